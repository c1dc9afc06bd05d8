//! A program that is run with a token in its environment: the one place where a token enters one.

use std::ffi::OsString;
use std::fs::File;
use std::process::{Command, Stdio};

use crate::secret::AccessToken;
use crate::text::Escaped;

/// The exit status where claviger itself failed; as `env` and `docker run` have it.
pub const FAILED: u8 = 125;
/// Where the program is there and cannot be run.
const NOT_RUNNABLE: u8 = 126;
/// Where there is no such program.
const NOT_FOUND: u8 = 127;

/// Runs a program in this one's place (Unix), or waits for its end and gives its exit status. What it returns on Unix is
/// why it could not.
#[must_use]
pub fn run(command: &[OsString], variable: &str, token: &AccessToken, stdout: File) -> u8 {
    let Some((program, arguments)) = command.split_first() else { return FAILED };
    let mut child = Command::new(program);
    child.args(arguments).env(variable, token.expose()).stdout(Stdio::from(stdout));
    let error = match take_our_place(&mut child) {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    let shown = program.to_string_lossy();
    crate::terminal::complain(&format!("{} cannot be run: {error}", Escaped(&shown)));
    if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE }
}

#[cfg(unix)]
fn take_our_place(child: &mut Command) -> std::io::Result<u8> {
    use std::os::unix::process::CommandExt as _;
    crate::harden::allow_cores_again();
    Err(child.exec())
}

#[cfg(windows)]
fn take_our_place(child: &mut Command) -> std::io::Result<u8> {
    // A Ctrl-C goes to both, and the child's answer to it is ours.
    let _calm = crate::terminal::Interrupts::watch();
    let status = child.status()?;
    // This program's own status has eight bits: what does not fit is told as the largest, and never as our own failure.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
