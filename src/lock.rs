//! One owner at a time, across processes, without ever taking anything from the dead.
//!
//! `O_EXCL` create is the fast path; a kernel lock on that same file says whether its owner lives. Nothing
//! is stolen: a dead owner's file is inherited by locking it. Neither age nor pid is evidence: clocks jump,
//! pids repeat, a stopped process still holds. `protocol/README.md` has the rule and its proof sketch.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::session::{SlotName, Storage};
use crate::time::Timestamp;

#[cfg(unix)]
#[path = "lock/unix.rs"]
mod imp;
#[cfg(windows)]
#[path = "lock/windows.rs"]
mod imp;

pub use imp::{are_one_folder, user_folder};

/// Why there is no lock and, so, no write and no token request.
#[derive(Debug)]
pub enum Error {
    /// The file system does not really exclude a second owner.
    Unsupported {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file or its folder is not what we made: a link, another's, no regular file.
    Foreign {
        /// The lock file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The folder or file cannot be made or opened.
    Io {
        /// The lock file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What came of one attempt.
pub enum Attempt {
    /// The lock is ours until the guard is dropped.
    Held(Guard),
    /// Somebody alive holds it.
    Busy(Watch),
}

/// Set when a keyring call outlived its deadline: it may still land, so every guard is then kept until the
/// process ends, and the kernel excludes others for as long.
#[derive(Clone, Default)]
pub struct KeepUntilExit(Arc<AtomicBool>);

impl KeepUntilExit {
    /// From now on no guard is released before the process ends.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether a call is still out.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The right to write one session in one backend, and to send its refresh token.
#[must_use = "dropping the guard releases the lock"]
pub struct Guard {
    file: Option<File>,
    path: PathBuf,
    slot: SlotName,
    storage: Storage,
    /// It guards the other backend too.
    both: bool,
    /// The process that handed it on holds it too, and removes its file.
    handed_on: bool,
    keep: KeepUntilExit,
}

impl Guard {
    /// Whether this guard is for that session in that backend.
    #[must_use]
    pub fn covers(&self, slot: &SlotName, storage: Storage) -> bool {
        self.slot == *slot && (self.storage == storage || self.both)
    }

    /// The same guard, where both backends keep their locks in one folder: it is one file, and nobody else can have
    /// it for either.
    pub fn for_both(mut self) -> Self {
        self.both = true;
        self
    }

    /// Whether the lock file is still the one we hold: asked again just before anything irrevocable, in
    /// case somebody removed it by hand.
    #[must_use]
    pub fn still_held(&self) -> bool {
        self.file.as_ref().is_some_and(|file| imp::is_at(file, &self.path).unwrap_or(false))
    }

    /// A second descriptor of the same lock, for a process of ours that is to hold it too: the kernel lets go only when
    /// the last one is closed. The file's name is then removed by one of the two alone, after the other has ended.
    pub fn to_hand_on(&self) -> io::Result<File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the lock has been let go"))?.try_clone()
    }

    /// The process that handed this lock on is gone: its file is ours to remove.
    pub fn outlives_its_giver(&mut self) {
        self.handed_on = false;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        match (self.keep.is_set(), self.handed_on) {
            (true, _) => std::mem::forget(file),
            (false, true) => drop(file),
            (false, false) => imp::release(file, &self.path),
        }
    }
}

/// A lock somebody else holds, watched through our own descriptor of its file.
pub struct Watch {
    #[cfg_attr(
        windows,
        expect(dead_code, reason = "Windows watches by name: share mode 0 lets nobody open it")
    )]
    file: Option<File>,
    target: Target,
}

/// What a watcher saw.
pub enum Look {
    /// The holder let go and its file is gone: the store has news.
    Gone,
    /// The holder died, or let go just now; the lock is ours.
    Held(Guard),
    /// Still held.
    Waiting(Watch),
}

impl Watch {
    /// Looks once, without blocking.
    pub fn look(self, now: Timestamp) -> Result<Look, Error> {
        imp::look(self, now)
    }
}

struct Target {
    path: PathBuf,
    slot: SlotName,
    storage: Storage,
    keep: KeepUntilExit,
}

impl Target {
    fn held(self, file: File) -> Guard {
        let Self { path, slot, storage, keep } = self;
        Guard { file: Some(file), path, slot, storage, both: false, handed_on: false, keep }
    }

    fn io(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

/// Tries once, without blocking, to become the one writer of a session in a backend.
pub fn try_acquire(
    folder: &Path,
    slot: &SlotName,
    storage: Storage,
    now: Timestamp,
    keep: &KeepUntilExit,
) -> Result<Attempt, Error> {
    imp::prepare(folder)?;
    let path = folder.join(slot.lock_file());
    imp::try_acquire(Target { path, slot: slot.clone(), storage, keep: keep.clone() }, now)
}

/// Tries once to become the one who changes a file that people keep. The lock lies beside the file, so that all who lead
/// to it meet, whatever their environment says; the folder is people's, and is left as it is.
pub fn try_acquire_beside(file: &Path, now: Timestamp, keep: &KeepUntilExit) -> Result<Attempt, Error> {
    let slot = SlotName::configuration();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let path = file.with_file_name(format!(".{name}.lock"));
    imp::try_acquire(Target { path, slot, storage: Storage::Plaintext, keep: keep.clone() }, now)
}

/// Takes over a lock that another process of ours holds and has handed on with [`Guard::to_hand_on`].
pub fn take_over(
    file: File,
    folder: &Path,
    slot: &SlotName,
    storage: Storage,
    now: Timestamp,
    keep: &KeepUntilExit,
) -> Result<Guard, Error> {
    let path = folder.join(slot.lock_file());
    let target = Target { path, slot: slot.clone(), storage, keep: keep.clone() };
    let file = imp::take_over(file, &target, now)?;
    let mut guard = target.held(file);
    guard.handed_on = true;
    Ok(guard)
}
