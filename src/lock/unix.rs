//! `O_EXCL`, `flock`, and the inode comparison that makes unlinking safe.

use std::fs::{File, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use super::{Attempt, Error, Look, Target, Watch};
use crate::time::Timestamp;

const EXISTING: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder of keyring sessions' locks: per OS user, from the user database alone. The secret is one per
/// user, so a different `HOME` or `XDG_STATE_HOME` must not make a second lock for it.
pub fn user_folder() -> Result<PathBuf, Error> {
    let euid = nix::unistd::geteuid();
    let home = nix::unistd::User::from_uid(euid).ok().flatten().map(|user| user.dir);
    Ok(match home.filter(|home| home.is_absolute()) {
        Some(home) if cfg!(target_os = "macos") => home.join("Library/Application Support/claviger/locks"),
        Some(home) => home.join(".local/state/claviger/locks"),
        None => PathBuf::from(format!("/tmp/claviger-{euid}")),
    })
}

/// Whether two paths lead to one folder: through links, or because it is mounted twice.
#[must_use]
pub fn are_one_folder(one: &Path, other: &Path) -> bool {
    let place = |folder: &Path| rustix::fs::stat(folder).ok().map(|stat| (stat.st_dev, stat.st_ino));
    place(one).is_some_and(|one| Some(one) == place(other))
}

/// Makes the folder, and refuses one that another user could write in.
pub(super) fn prepare(folder: &Path) -> Result<(), Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let foreign = |why| Error::Foreign { path: folder.to_owned(), why };
    let open =
        || rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let opened = match open() {
        Err(rustix::io::Errno::NOENT) => {
            crate::folder::create(folder).map_err(io)?;
            open()
        }
        other => other,
    };
    let directory = opened.map_err(|errno| match errno {
        rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => foreign("is not a folder"),
        errno => io(errno.into()),
    })?;
    let stat = rustix::fs::fstat(&directory).map_err(|errno| io(errno.into()))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(foreign("belongs to another user"));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if folder.parent() == Some(Path::new("/tmp"))
        && mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO) != Mode::RWXU
    {
        return Err(foreign("lies where everyone can write, and is not mode 0700"));
    }
    if mode.intersects(Mode::RWXG | Mode::RWXO) || !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&directory, Mode::RWXU).map_err(|errno| io(errno.into()))?;
    }
    Ok(())
}

pub(super) fn try_acquire(target: Target, now: Timestamp) -> Result<Attempt, Error> {
    // Each round means that somebody else let go in between; where it never ends, inode numbers mean nothing.
    const ROUNDS: usize = 10_000;
    for _ in 0..ROUNDS {
        let Some(file) = open(&target)? else { continue };
        match lock(file, &target, now)? {
            Locked::Ours(file) => return Ok(Attempt::Held(target.held(file))),
            Locked::Theirs(file) => return Ok(Attempt::Busy(Watch { file: Some(file), target })),
            Locked::Gone => {}
        }
    }
    Err(Error::Unsupported { path: target.path })
}

pub(super) fn look(watch: Watch, now: Timestamp) -> Result<Look, Error> {
    let Watch { file: Some(file), target } = watch else { return Ok(Look::Gone) };
    if !is_at(&file, &target.path).map_err(|source| target.io(source))? {
        return Ok(Look::Gone);
    }
    Ok(match lock(file, &target, now)? {
        Locked::Ours(file) => Look::Held(target.held(file)),
        Locked::Theirs(file) => Look::Waiting(Watch { file: Some(file), target }),
        Locked::Gone => Look::Gone,
    })
}

/// Creates the lock file, or opens the one there is; `None` when it vanished in between.
fn open(target: &Target) -> Result<Option<File>, Error> {
    let created =
        rustix::fs::open(&target.path, EXISTING | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR);
    match created {
        Ok(file) => {
            // The umask may have taken our own bits; the next process must be able to open it.
            rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(|errno| target.io(errno.into()))?;
            Ok(Some(File::from(file)))
        }
        Err(rustix::io::Errno::EXIST) => {
            match rustix::fs::open(&target.path, EXISTING | OFlags::NONBLOCK, Mode::empty()) {
                Ok(file) => {
                    ours(&file, target)?;
                    Ok(Some(File::from(file)))
                }
                Err(rustix::io::Errno::NOENT) => Ok(None),
                Err(rustix::io::Errno::LOOP) => {
                    Err(Error::Foreign { path: target.path.clone(), why: "is a link" })
                }
                Err(errno) => Err(target.io(errno.into())),
            }
        }
        Err(errno) => Err(target.io(errno.into())),
    }
}

fn ours(file: impl AsFd, target: &Target) -> Result<(), Error> {
    let foreign = |why| Err(Error::Foreign { path: target.path.clone(), why });
    let stat = rustix::fs::fstat(file).map_err(|errno| target.io(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return foreign("is not a regular file");
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return foreign("belongs to another user");
    }
    // Zero links: its owner has just let go, and the inode comparison will say so.
    if stat.st_nlink > 1 {
        return foreign("has a second name");
    }
    Ok(())
}

enum Locked {
    Ours(File),
    Theirs(File),
    Gone,
}

fn lock(mut file: File, target: &Target, now: Timestamp) -> Result<Locked, Error> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Locked::Theirs(file)),
        Err(TryLockError::Error(_)) => return Err(Error::Unsupported { path: target.path.clone() }),
    }
    if !is_at(&file, &target.path).map_err(|source| target.io(source))? {
        return Ok(Locked::Gone);
    }
    match excludes(target) {
        Ok(true) => {}
        Ok(false) => return Err(Error::Unsupported { path: target.path.clone() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Locked::Gone),
        Err(source) => return Err(target.io(source)),
    }
    // For people who find the file; no decision reads it, so a full disk changes nothing.
    let written = file.rewind().and_then(|()| file.set_len(0));
    let _ = written.and_then(|()| writeln!(file, "pid {} since {now}", std::process::id()));
    Ok(Locked::Ours(file))
}

/// Makes sure that a descriptor handed over is this very lock: its file at its name, and nobody else's.
pub(super) fn take_over(file: File, target: &Target, now: Timestamp) -> Result<File, Error> {
    ours(&file, target)?;
    match lock(file, target, now)? {
        Locked::Ours(file) => Ok(file),
        Locked::Theirs(_) | Locked::Gone => {
            Err(Error::Foreign { path: target.path.clone(), why: "is not the lock that was handed over" })
        }
    }
}

/// Whether the file system really excludes: a second descriptor of our own must not get the lock too.
fn excludes(target: &Target) -> io::Result<bool> {
    let second = File::from(rustix::fs::open(&target.path, EXISTING | OFlags::NONBLOCK, Mode::empty())?);
    Ok(matches!(second.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether the name still stands for the file behind this descriptor.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = rustix::fs::fstat(file)?;
    match rustix::fs::lstat(path) {
        Ok(there) => Ok(here.st_dev == there.st_dev && here.st_ino == there.st_ino),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Unlinks while still locked, then lets go: the other order gives two holders.
pub(super) fn release(file: File, path: &Path) {
    if is_at(&file, path).unwrap_or(false) {
        // A file that stays is inherited by the next process; nothing waits on it.
        let _ = std::fs::remove_file(path);
    }
    drop(file);
}
