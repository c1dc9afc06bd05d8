//! A second process of this program, out of reach of whatever may end the first: a caller that kills its helper after
//! ten seconds, a Ctrl-C, a terminal that closes.
//!
//! It is started by whoever holds a lock, holds that lock too, and is told what to do by a pipe. None of the caller's
//! descriptors go with it: nobody who waits for the first process's output has to wait for the second.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use crate::limits::REPORT_BYTES;
use crate::lock::Guard;

/// The hidden command that makes a process a worker.
pub const COMMAND: &str = "refresh-worker";
/// The exit status of a worker that has not done, and will not do, anything.
pub const DECLINED: u8 = 2;

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a report.
    Reported(Vec<u8>),
    /// Without one: somebody killed it, and what it did is to be seen in the store.
    Silent,
    /// Nothing was done: it could not be started, or would not serve.
    NotDone,
}

/// Whatever can have work done in a process of its own.
pub trait Worker {
    /// Has an order carried out under a lock, and waits for the end.
    fn carry_out(&self, lock: &Guard, order: &[u8]) -> Ended;
}

/// A copy of this very program.
pub struct OwnProcess;

impl Worker for OwnProcess {
    fn carry_out(&self, lock: &Guard, order: &[u8]) -> Ended {
        let Ok(child) = lock.to_hand_on().and_then(start) else { return Ended::NotDone };
        // Whoever could not be told the whole order has not begun.
        end(child, order).unwrap_or(Ended::Silent)
    }
}

fn start(lock: File) -> io::Result<Child> {
    let mut command = Command::new(program()?);
    command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(lock));
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // What a terminal sends goes to its foreground group, which this one is then not in.
        command.process_group(0).arg0(std::env::current_exe().unwrap_or_else(|_| "claviger".into()));
    }
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt as _;
        const DETACHED_PROCESS: u32 = 0x0000_0008;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        // Without a console there is no Ctrl-C, and no window to close.
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }
    command.spawn()
}

/// This very program, even where another version has taken its place meanwhile (Linux).
fn program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// Gives the order, waits for the report and for the end.
fn end(mut child: Child, order: &[u8]) -> io::Result<Ended> {
    let told = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(order));
    let mut report = Vec::new();
    let read = match child.stdout.take() {
        Some(pipe) => pipe.take(REPORT_BYTES).read_to_end(&mut report).map(|_| ()),
        None => Ok(()),
    };
    let status = child.wait()?;
    Ok(match (told, read) {
        (Err(_), _) => Ended::NotDone,
        _ if report.is_empty() && status.code() == Some(DECLINED.into()) => Ended::NotDone,
        (Ok(()), Ok(())) if !report.is_empty() => Ended::Reported(report),
        _ => Ended::Silent,
    })
}
