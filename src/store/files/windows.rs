//! Files in the user's profile, whose inherited access list names only the user.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{
    Content, MARKERS, TEMPORARY, TRIES, Writers, is_of_many, not_ours, read_limited, unreadable, unwritable,
};
use crate::store::Error;

/// A folder of ours below the state folder.
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
        // Before anything is made elsewhere on the strength of its being empty.
        inside_profile(&self.root)?;
        let path = self.path_of(name);
        let Some(file) = open(&path)? else { return Ok(None) };
        Ok(Some(Content { bytes: read_limited(&file, &path, limit)?, repaired: false }))
    }

    /// Replaces a file's content in one step.
    pub fn write(&self, name: &str, bytes: &[u8], writers: Writers) -> Result<(), Error> {
        self.make()?;
        let path = self.path_of(name);
        let failed = |source: io::Error| unwritable(&path, &source);
        let attempt = || {
            let temporary = self.path_of(&writers.temporary_name(name)?);
            if writers == Writers::One {
                match std::fs::remove_file(&temporary) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            let written = write_new(&temporary, bytes).and_then(|()| replace(&temporary, &path));
            if written.is_err() {
                // The write has failed already; litter that stays is never read.
                let _ = std::fs::remove_file(&temporary);
            }
            written
        };
        if writers == Writers::One {
            return attempt().map_err(failed);
        }
        self.sweep();
        let mut tries = (0..TRIES).map(|_| attempt());
        let swept = |result: &io::Result<()>| {
            result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let lost = || Err(io::Error::other("its temporary file is taken away again and again"));
        tries.find(|result| !swept(result)).unwrap_or_else(lost).map_err(failed)
    }

    /// Takes away what dead writers left. What a living one has open cannot be taken away; what it has closed and not
    /// yet renamed it writes again. What stays is never read, and the doctor tells of it.
    pub fn sweep(&self) {
        for name in self.every_name().unwrap_or_default() {
            if is_of_many(&name) {
                let _ = std::fs::remove_file(self.path_of(&name));
            }
        }
    }

    /// Deletes a file; `false` when it was not there.
    pub fn delete(&self, name: &str) -> Result<bool, Error> {
        let path = self.path_of(name);
        // What a killed writer left on its way to this name goes with it.
        match std::fs::remove_file(self.path_of(&format!("{TEMPORARY}{name}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(&path, &error)),
            _ => {}
        }
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }

    /// The names of all files in here, temporary ones too.
    pub(super) fn every_name(&self) -> Result<Vec<String>, Error> {
        let failed = |source: io::Error| unreadable(&self.path, &source);
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            // Ours are ASCII.
            names.extend(entry.map_err(failed)?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn make(&self) -> Result<(), Error> {
        inside_profile(&self.root)?;
        if self.path.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.path).map_err(|source| unwritable(&self.path, &source))?;
        for (name, text) in MARKERS {
            let path = self.root.join(name);
            match write_new(&path, text.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(unwritable(&path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The profile's access list names the user, SYSTEM and administrators; a folder elsewhere would inherit
/// whatever its parent has.
fn inside_profile(root: &Path) -> Result<(), Error> {
    let profile = known_folders::get_known_folder_path(known_folders::KnownFolder::Profile);
    let profile = profile.and_then(|profile| profile.canonicalize().ok());
    let existing = root.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    if profile.zip(existing).is_some_and(|(profile, existing)| existing.starts_with(profile)) {
        Ok(())
    } else {
        Err(not_ours(root, "is outside the user's profile"))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Nobody else reads or deletes it while it is open.
    let file = OpenOptions::new().write(true).create_new(true).share_mode(0).open(path)?;
    crate::terminal::write_whole(&file, bytes)?;
    file.sync_all()
}

/// A virus scanner or another reader may hold either file for a moment; the rename is then denied. Half a
/// second outlasts that, and a denial that stays is reported.
#[expect(clippy::disallowed_methods, reason = "no clock reaches a file; the wait is bounded and rare")]
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    const ERROR_ACCESS_DENIED: i32 = 5;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    const TRIES: usize = 50;
    let mut tried = 0;
    loop {
        match std::fs::rename(from, to) {
            Err(error)
                if matches!(error.raw_os_error(), Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION))
                    && tried < TRIES =>
            {
                tried += 1;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

fn open(path: &Path) -> Result<Option<File>, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(not_ours(path, "is not a regular file")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    }
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Reads a file the user or an administrator wrote: the configuration, or a secret it names.
pub fn read_foreign(path: &Path, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    match File::open(path) {
        Ok(file) => read_limited(&file, path, limit).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Makes the folder of such a file, where it is not there.
pub fn make_foreign_folder(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| unwritable(folder, &source))
}

/// Replaces such a file, if `unchanged` says so once the new one is ready. Its access list is the folder's.
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
    let temporary = folder.join(Writers::One.temporary_name(name).map_err(failed)?);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let ready = write_new(&temporary, bytes).map_err(failed).and_then(|()| unchanged());
    let done = match ready {
        Ok(true) => replace(&temporary, path).map_err(failed).map(|()| true),
        other => other,
    };
    if !matches!(done, Ok(true)) {
        // Nothing has been changed; litter that stays is never read.
        let _ = std::fs::remove_file(&temporary);
    }
    done
}
