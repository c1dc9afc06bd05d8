//! Processes of the test, found by the path of a binary that nobody else runs, and their locks.

use std::path::{Path, PathBuf};
use std::process::Child;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// The binary under a name of its own: what runs under it is the test's, whoever started it.
#[cfg(target_os = "linux")]
pub struct Own {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

#[cfg(target_os = "linux")]
impl Own {
    pub fn binary() -> Self {
        // Beside the binary: a link needs the same file system, and nothing there forbids to run it.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let path = folder.path().join("claviger");
        std::fs::hard_link(super::binary(), &path)
            .or_else(|_| std::fs::copy(super::binary(), &path).map(drop))
            .expect("the binary has a second name");
        Self { _folder: folder, path }
    }

    /// Every process that runs it now, with its arguments.
    pub fn running(&self) -> Vec<(u32, Vec<String>)> {
        let entries = std::fs::read_dir("/proc").expect("/proc is read").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Some((pid, arguments(pid)?)))
            .filter(|(_, words)| words.first().is_some_and(|word| Path::new(word) == self.path))
            .collect()
    }
}

/// Kills a process that runs a binary of the test's own. `false`: it was gone, and its number may be another's by now.
#[cfg(target_os = "linux")]
pub fn kill(own: &Own, pid: u32) -> bool {
    let Some(number) = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")) else {
        return false;
    };
    // Held before it is looked at, so that it is still the same process that is killed.
    let Ok(handle) = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()) else {
        return false;
    };
    arguments(pid).is_some_and(|words| Path::new(&words[0]) == own.path)
        && rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL).is_ok()
}

/// The command line of a living process.
#[cfg(target_os = "linux")]
pub fn arguments(pid: u32) -> Option<Vec<String>> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    (!words.is_empty()).then_some(words)
}

/// Whether a process is stopped by a signal.
#[cfg(target_os = "linux")]
pub fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// A signal to one process. `false`: it was gone.
pub fn signal(pid: u32, signal: Signal) -> bool {
    nix::sys::signal::kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal).is_ok()
}

/// Who says in a lock file that the lock is theirs.
pub fn holder(lock: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(lock).ok()?;
    text.strip_prefix("pid ")?.split(' ').next()?.parse().ok()
}

/// The lock of a plaintext session (K3) of the service, without a profile.
pub fn lock_file(home: &Path, account: &str) -> PathBuf {
    let digest = slot_file(account);
    home.join("locks").join(format!("{}.lock", &digest[..32]))
}

/// The name of a session's access slot in files (F): the SHA-256 of the slot's name.
pub fn slot_file(account: &str) -> String {
    let slot = format!("{}#{account}", super::SERVICE);
    claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(slot))
}

/// Whether a child has not ended yet.
pub fn is_running(child: &mut Child) -> bool {
    child.try_wait().expect("a child is asked after").is_none()
}
