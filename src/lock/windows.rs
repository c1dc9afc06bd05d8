//! Share mode 0 and delete-on-close: the kernel releases and deletes when the owner dies.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Attempt, Error, Look, Target, Watch};
use crate::time::Timestamp;

const GENERIC_READ_WRITE_DELETE: u32 = 0x8000_0000 | 0x4000_0000 | 0x0001_0000;
const DELETE_ON_CLOSE_OPEN_REPARSE_POINT: u32 = 0x0400_0000 | 0x0020_0000;
const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_SHARING_VIOLATION: i32 = 32;

/// The folder of keyring sessions' locks: per OS user, from the system and not from the environment.
pub fn user_folder() -> Result<PathBuf, Error> {
    let local = known_folders::get_known_folder_path(known_folders::KnownFolder::LocalAppData);
    local.map(|local| local.join("claviger\\locks")).ok_or_else(|| Error::Foreign {
        path: PathBuf::from("LocalAppData"),
        why: "is not known for this user",
    })
}

/// Whether two paths lead to one folder.
#[must_use]
pub fn are_one_folder(one: &Path, other: &Path) -> bool {
    let real = |folder: &Path| folder.canonicalize().ok();
    real(one).is_some_and(|one| Some(one) == real(other))
}

pub(super) fn prepare(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })
}

pub(super) fn try_acquire(target: Target, _now: Timestamp) -> Result<Attempt, Error> {
    Ok(match open(&target)? {
        Some(file) => Attempt::Held(target.held(file)),
        None => Attempt::Busy(Watch { file: None, target }),
    })
}

pub(super) fn look(watch: Watch, _now: Timestamp) -> Result<Look, Error> {
    Ok(match open(&watch.target)? {
        Some(file) => Look::Held(watch.target.held(file)),
        None => Look::Waiting(watch),
    })
}

fn open(target: &Target) -> Result<Option<File>, Error> {
    let opened = OpenOptions::new()
        .access_mode(GENERIC_READ_WRITE_DELETE)
        .share_mode(0)
        .write(true)
        .create(true)
        .custom_flags(DELETE_ON_CLOSE_OPEN_REPARSE_POINT)
        .open(&target.path);
    match opened {
        Ok(file) => Ok(Some(file)),
        // Access denied is also what a file shows whose deletion is under way.
        Err(error) if matches!(error.raw_os_error(), Some(ERROR_SHARING_VIOLATION | ERROR_ACCESS_DENIED)) => {
            Ok(None)
        }
        Err(source) => Err(target.io(source)),
    }
}

/// Makes sure that somebody holds the lock: with share mode 0 nobody can open its file then, and whoever handed the
/// handle over is the one.
pub(super) fn take_over(file: File, target: &Target, _now: Timestamp) -> Result<File, Error> {
    match open(target)? {
        None => Ok(file),
        Some(_) => {
            Err(Error::Foreign { path: target.path.clone(), why: "is not the lock that was handed over" })
        }
    }
}

/// Share mode 0 forbids renaming and deleting while we hold it, so the name cannot have moved.
#[expect(clippy::unnecessary_wraps, reason = "the shape Unix needs")]
pub(super) fn is_at(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Closing deletes.
pub(super) fn release(file: File, _path: &Path) {
    drop(file);
}
