//! A second process of this program, out of reach of whatever may end the first: a caller that kills its helper after
//! ten seconds, a Ctrl-C, a terminal that closes.
//!
//! It is started by whoever holds a lock, holds that lock too, and is told what to do by a pipe. It keeps none of the
//! caller's descriptors: nobody who waits for the first process's output has to wait for the second. Limit: on Windows
//! the caller's own standard handles are inherited all the same, and stay open as long as the worker works.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::limits::REPORT_BYTES;
use crate::lock::Guard;

/// The hidden command that makes a process a worker.
pub const COMMAND: &str = "refresh-worker";
/// The exit status of a worker that has not done, and will not do, anything: for whoever starts one by hand.
pub const DECLINED: u8 = 2;
/// What a worker says first, once it has the lock and before it does anything: without it, it never began.
pub const BEGUN: u8 = b'.';

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a report.
    Reported(Vec<u8>),
    /// Without one: somebody killed it, and what it did is to be seen in the store.
    Silent,
    /// Nothing was done: it could not be started, or would not serve.
    NotDone,
    /// It is still at it, and whoever called waits no longer.
    Late,
}

/// Whatever can have work done in a process of its own.
pub trait Worker {
    /// Has an order carried out under a lock, and waits for the end, or for so long.
    fn carry_out(&self, lock: &Guard, order: &[u8], patience: Option<Duration>) -> Ended;
}

/// A copy of this very program.
pub struct OwnProcess;

impl Worker for OwnProcess {
    fn carry_out(&self, lock: &Guard, order: &[u8], patience: Option<Duration>) -> Ended {
        let Ok(child) = lock.to_hand_on().and_then(start) else { return Ended::NotDone };
        let Some(patience) = patience else { return end(child, order) };
        let (send, ended) = std::sync::mpsc::channel();
        let order = order.to_vec();
        // Nobody may be there to hear of it any more.
        let waiting = std::thread::Builder::new().spawn(move || send.send(end(child, &order)));
        match waiting.map(|_| ended.recv_timeout(patience)) {
            Ok(Ok(ended)) => ended,
            Ok(Err(RecvTimeoutError::Timeout)) => Ended::Late,
            // Without a thread to wait in, the order was not given either.
            Ok(Err(RecvTimeoutError::Disconnected)) | Err(_) => Ended::NotDone,
        }
    }
}

fn start(lock: File) -> io::Result<Child> {
    let mut command = Command::new(program()?);
    command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(lock));
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // What a terminal sends goes to its foreground group, which this one is then not in. A list of processes shows
        // the program, and not the link it was started by.
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

/// Closes whatever else the process was started with: what its caller had open and left to be inherited.
#[cfg(unix)]
pub fn close_what_was_inherited() {
    // Where it cannot be told what is open, it stays open.
    let open = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The one that read the list is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// This very program, even where another version has taken its place meanwhile (Linux).
fn program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// Gives the order, waits for the report and for the end.
fn end(mut child: Child, order: &[u8]) -> Ended {
    // Whoever could not be told the whole order does not begin.
    let told = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(order));
    let mut said = Vec::new();
    let heard = match child.stdout.take() {
        Some(pipe) => pipe.take(REPORT_BYTES).read_to_end(&mut said).map(|_| ()),
        None => Ok(()),
    };
    // How it ended is not asked: where this process ignores its children's ends, the kernel does not say.
    let _ = child.wait();
    match (told, heard, said.split_first()) {
        (Err(_), _, None) | (_, Ok(()), None) => Ended::NotDone,
        (_, Ok(()), Some((&BEGUN, report))) if !report.is_empty() => Ended::Reported(report.to_vec()),
        _ => Ended::Silent,
    }
}
