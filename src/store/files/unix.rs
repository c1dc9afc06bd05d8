//! `openat` from a checked folder, `O_NOFOLLOW`, and `rename` after `fsync`; `flock` on a temporary file says that its
//! writer lives.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{
    Content, MARKERS, TEMPORARY, TRIES, Writers, is_of_many, not_ours, read_limited, unreadable, unwritable,
};
use crate::store::Error;

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const OTHERS: Mode = Mode::RWXG.union(Mode::RWXO);
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
// Non-blocking, so that a FIFO in a file's place is found and not waited on.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// A folder of ours below the state folder, mode 0700 under any umask.
pub struct Folder {
    root: PathBuf,
    path: PathBuf,
}

impl Folder {
    /// The folder `name` in `root`. Nothing is touched yet.
    #[must_use]
    pub fn new(root: &Path, name: &str) -> Self {
        Self { root: root.to_owned(), path: root.join(name) }
    }

    /// The path of a file in here.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file; `None` when it or the folder is not there.
    pub fn read(&self, name: &str, limit: usize) -> Result<Option<Content>, Error> {
        let Some(folder) = self.open()? else { return Ok(None) };
        let path = self.path_of(name);
        let file = match rustix::fs::openat(&folder, name, READ, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(not_ours(&path, "is a link")),
            Err(errno) => return Err(unreadable(&path, &errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| unreadable(&path, &errno.into()))?;
        ours(&path, &stat)?;
        let repaired = Mode::from_raw_mode(stat.st_mode).intersects(OTHERS);
        if repaired {
            rustix::fs::fchmod(&file, PRIVATE).map_err(|errno| unreadable(&path, &errno.into()))?;
        }
        Ok(Some(Content { bytes: read_limited(&file, &path, limit)?, repaired }))
    }

    /// Replaces a file's content in one step that survives a power failure.
    pub fn write(&self, name: &str, bytes: &[u8], writers: Writers) -> Result<(), Error> {
        let folder = self.make()?;
        let path = self.path_of(name);
        let failed = |source: io::Error| unwritable(&path, &source);
        // Another file type or a foreign owner in this place is refused, not replaced.
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => ours(&path, &stat)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        let replaced = match writers {
            Writers::One => replace_alone(&folder, name, bytes),
            Writers::Many => {
                self.sweep();
                (0..TRIES).find_map(|_| replace_among_many(&folder, name, bytes).transpose()).unwrap_or_else(
                    || Err(io::Error::other("its temporary file is taken away again and again")),
                )
            }
        };
        replaced.map_err(failed)?;
        rustix::fs::fsync(&folder).map_err(|errno| failed(errno.into()))
    }

    /// Takes away what dead writers left: a living one holds a lock on its temporary file. What cannot be looked into or
    /// taken away stays, is never read, and the doctor tells of it.
    pub fn sweep(&self) {
        let Ok(Some(folder)) = self.open() else { return };
        for name in self.listed().unwrap_or_default() {
            if is_of_many(&name)
                && let Ok(file) = rustix::fs::openat(&folder, &name, READ, Mode::empty())
                && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = rustix::fs::unlinkat(&folder, &name, AtFlags::empty());
            }
        }
    }

    /// Deletes a file; `false` when it was not there.
    pub fn delete(&self, name: &str) -> Result<bool, Error> {
        let Some(folder) = self.open()? else { return Ok(false) };
        let failed = |errno: Errno| unwritable(&self.path_of(name), &errno.into());
        // What a killed writer left on its way to this name goes with it.
        match rustix::fs::unlinkat(&folder, format!("{TEMPORARY}{name}"), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) => rustix::fs::fsync(&folder).map(|()| true).map_err(failed),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// The names of all files in here, temporary ones too.
    pub(super) fn every_name(&self) -> Result<Vec<String>, Error> {
        if self.open()?.is_some() { self.listed() } else { Ok(Vec::new()) }
    }

    fn listed(&self) -> Result<Vec<String>, Error> {
        let failed = |source: io::Error| unreadable(&self.path, &source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            // Ours are ASCII.
            names.extend(entry.map_err(failed)?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self) -> Result<Option<OwnedFd>, Error> {
        match checked_folder(&self.root, Others::MayRead)? {
            None => Ok(None),
            Some(_) => checked_folder(&self.path, Others::LoseAccess),
        }
    }

    fn make(&self) -> Result<OwnedFd, Error> {
        let failed = |path: &Path| unwritable(path, &io::Error::other("it vanished while it was being made"));
        if checked_folder(&self.root, Others::MayRead)?.is_none() {
            crate::folder::create(&self.root).map_err(|source| unwritable(&self.root, &source))?;
        }
        if let Some(folder) = checked_folder(&self.path, Others::LoseAccess)? {
            return Ok(folder);
        }
        crate::folder::create(&self.path).map_err(|source| unwritable(&self.path, &source))?;
        mark(&self.root)?;
        checked_folder(&self.path, Others::LoseAccess)?.ok_or_else(|| failed(&self.path))
    }
}

/// Asks backups and version control to pass the state folder by.
fn mark(root: &Path) -> Result<(), Error> {
    let folder = checked_folder(root, Others::MayRead)?
        .ok_or_else(|| not_ours(root, "vanished while it was in use"))?;
    for (name, text) in MARKERS {
        match write_new(&folder, name, text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unwritable(&root.join(name), &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Replaces a file that nobody else writes.
fn replace_alone(folder: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = Writers::One.temporary_name(name)?;
    match rustix::fs::unlinkat(folder, &temporary, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let written = write_new(folder, &temporary, bytes);
    renamed(folder, &temporary, name, written)
}

/// Replaces a file that others may write at the same time; `None`: a sweeper was faster than our claim.
fn replace_among_many(folder: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<Option<()>> {
    let temporary = Writers::Many.temporary_name(name)?;
    let file = create(folder, &temporary)?;
    if !claimed(&file)? {
        return Ok(None);
    }
    match renamed(folder, &temporary, name, fill(&file, bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        renamed => renamed.map(Some),
    }
}

fn renamed(folder: &OwnedFd, temporary: &str, name: &str, written: io::Result<()>) -> io::Result<()> {
    let renamed = written.and_then(|()| Ok(rustix::fs::renameat(folder, temporary, folder, name)?));
    if renamed.is_err() {
        // The write has failed already; litter that stays is never read.
        let _ = rustix::fs::unlinkat(folder, temporary, AtFlags::empty());
    }
    renamed
}

/// Locks a temporary file of ours against sweepers, for as long as it is open. Where the file system has no locks, no
/// sweeper gets one either.
fn claimed(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        Ok(()) | Err(_) => Ok(rustix::fs::fstat(file)?.st_nlink > 0),
    }
}

fn write_new(folder: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    fill(&create(folder, name)?, bytes)
}

fn create(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(folder, name, flags, PRIVATE)?))
}

fn fill(file: &File, bytes: &[u8]) -> io::Result<()> {
    rustix::fs::fchmod(file, PRIVATE)?;
    crate::terminal::write_whole(file, bytes)?;
    file.sync_all()
}

/// What becomes of others' access to a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// They may look into it: the state folder itself may be one the user made, and is left as it is.
    MayRead,
    /// They lose it: the umask of whoever made the folder must not decide.
    LoseAccess,
}

/// Opens a folder if it is there, and refuses one that somebody else owns or can write.
fn checked_folder(path: &Path, others: Others) -> Result<Option<OwnedFd>, Error> {
    let folder = match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(not_ours(path, "is not a folder")),
        Err(errno) => return Err(unreadable(path, &errno.into())),
    };
    let stat = rustix::fs::fstat(&folder).map_err(|errno| unreadable(path, &errno.into()))?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(not_ours(path, "belongs to another user"));
    }
    match others {
        Others::MayRead if mode.intersects(Mode::WGRP | Mode::WOTH) => {
            Err(not_ours(path, "can be written by others"))
        }
        Others::LoseAccess if mode.intersects(OTHERS) => {
            rustix::fs::fchmod(&folder, Mode::RWXU).map_err(|errno| unreadable(path, &errno.into()))?;
            Ok(Some(folder))
        }
        Others::MayRead | Others::LoseAccess => Ok(Some(folder)),
    }
}

fn ours(path: &Path, stat: &Stat) -> Result<(), Error> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(not_ours(path, "is not a regular file"));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(not_ours(path, "belongs to another user"));
    }
    if stat.st_nlink > 1 {
        return Err(not_ours(path, "has a second name (hard link)"));
    }
    Ok(())
}

/// Reads a file the user or an administrator wrote: the configuration, or a secret it names. Links are
/// followed (mounted secrets are links), the owner is us or root, and nobody else may write it.
pub fn read_foreign(path: &Path, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(unreadable(path, &errno.into())),
    };
    let stat = rustix::fs::fstat(file.as_fd()).map_err(|errno| unreadable(path, &errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(not_ours(path, "is not a regular file"));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() && stat.st_uid != 0 {
        return Err(not_ours(path, "belongs to another user"));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(Mode::WOTH) || (mode.contains(Mode::WGRP) && !is_the_users_alone(stat.st_gid)) {
        return Err(not_ours(path, "can be written by others"));
    }
    read_limited(&file, path, limit).map(Some)
}

/// Whether a group has nobody in it but the user: many systems give each user one of the same name, and let it write by
/// default. Limit: somebody else whose own group it is in passwd alone is not seen.
fn is_the_users_alone(group: u32) -> bool {
    use nix::unistd::{Gid, Group, User, geteuid};
    let Ok(Some(user)) = User::from_uid(geteuid()) else { return false };
    let Ok(Some(group)) = Group::from_gid(Gid::from_raw(group)) else { return false };
    user.gid == group.gid && group.name == user.name && group.mem.iter().all(|member| *member == user.name)
}

/// Makes the folder of such a file, the user's alone, where it is not there.
pub fn make_foreign_folder(folder: &Path) -> Result<(), Error> {
    crate::folder::create(folder).map_err(|source| unwritable(folder, &source))
}

/// Replaces such a file, if `unchanged` says so once the new one is ready.
pub(super) fn replace_foreign(
    path: &Path,
    bytes: &[u8],
    unchanged: &dyn Fn() -> Result<bool, Error>,
) -> Result<bool, Error> {
    let failed = |source: io::Error| unwritable(path, &source);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(std::ffi::OsStr::to_str))
    else {
        return Err(not_ours(path, "is no name of a file"));
    };
    // Links on the way to the folder are people's own, as those to the file are.
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let mode = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            ours(path, &stat)?;
            Mode::from_raw_mode(stat.st_mode) & (Mode::RWXU | OTHERS)
        }
        Err(Errno::NOENT) => PRIVATE,
        Err(errno) => return Err(failed(errno.into())),
    };
    let temporary = Writers::One.temporary_name(name).map_err(failed)?;
    match rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(errno.into())),
    }
    let written = create(&folder, &temporary).and_then(|file| {
        fill(&file, bytes)?;
        rustix::fs::fchmod(&file, mode)?;
        file.sync_all()
    });
    let ready = written.map_err(failed).and_then(|()| unchanged());
    if !matches!(ready, Ok(true)) {
        // Nothing has been changed yet; litter that stays is never read.
        let _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
        return ready;
    }
    renamed(&folder, &temporary, name, Ok(())).map_err(failed)?;
    rustix::fs::fsync(&folder).map_err(|errno| failed(errno.into()))?;
    Ok(true)
}
