//! Files of ours: only the user can read them, and a reader sees the old content or the new, never half.
//!
//! Every check is made on the open descriptor, not on a name: owner, type, link count, mode.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Error, Piece};
use crate::time::Timestamp;

#[cfg(unix)]
#[path = "unix.rs"]
mod imp;
#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

mod people;

pub use imp::{Folder, make_foreign_folder, read_foreign};
pub use people::{replace, target};

/// What a read found.
pub struct Content {
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether others could read the file until just now.
    pub repaired: bool,
}

fn words(path: &Path) -> String {
    format!("file {}", crate::text::Escaped(&path.display().to_string()))
}

fn unreadable(path: &Path, source: &io::Error) -> Error {
    Error::Read { what: words(path), why: source.to_string() }
}

fn unwritable(path: &Path, source: &io::Error) -> Error {
    Error::Write { what: words(path), why: source.to_string() }
}

fn not_ours(path: &Path, why: &'static str) -> Error {
    Error::Unsafe { path: path.to_owned(), why }
}

fn read_limited(file: &std::fs::File, path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    match crate::terminal::read_bounded(file, limit) {
        Ok(crate::terminal::Input::Whole(bytes)) => Ok(bytes),
        Ok(crate::terminal::Input::Over) => Err(Error::Damaged {
            piece: Piece::File,
            what: words(path),
            why: format!("it is over {limit} bytes"),
        }),
        Err(source) => Err(unreadable(path, &source)),
    }
}

/// How temporary files begin; a scan skips them.
const TEMPORARY: &str = ".new-";

/// A temporary file that a killed writer left behind.
#[derive(Debug)]
pub struct Litter {
    /// Its name in its folder.
    pub name: String,
    /// When it was last written.
    pub modified: Timestamp,
}

impl Folder {
    /// What killed writers left in here; none when the folder is not there.
    pub fn litter(&self) -> Result<Vec<Litter>, Error> {
        let mut litter = Vec::new();
        for name in self.every_name()?.into_iter().filter(|name| name.starts_with(TEMPORARY)) {
            let path = self.path_of(&name);
            match std::fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()) {
                Ok(modified) => litter.push(Litter { name, modified: Timestamp::from_system(modified) }),
                // Its writer was alive after all, and is done.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&path, &error)),
            }
        }
        Ok(litter)
    }

    /// The names of the files in here, sorted; none when the folder is not there.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = self.every_name()?;
        names.retain(|name| !name.starts_with(TEMPORARY));
        Ok(names)
    }
}

/// Ask version control and backups to pass the state folder by.
const MARKERS: [(&str, &str); 2] = [
    (".gitignore", "*\n"),
    (
        "CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n# Sessions of claviger; not worth a backup.\n",
    ),
];

/// Who may be writing a file at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// The holder of the session's lock alone: one temporary name, so that what a killed writer left is
    /// replaced by the next.
    One,
    /// Anyone: a random temporary name, and the last rename wins. Whoever writes first takes away what writers that
    /// were killed have left in the folder.
    Many,
}

/// How often a write among many begins anew because somebody took its temporary file for a dead writer's, as may
/// happen before it is claimed, and where locks exclude nobody.
const TRIES: usize = 8;

/// Whether a temporary file is that of one writer among many. Those of a single one are its own to take away.
fn is_of_many(name: &str) -> bool {
    let random = name.strip_prefix(TEMPORARY);
    random.is_some_and(|random| random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Writers {
    fn temporary_name(self, name: &str) -> Result<String, io::Error> {
        match self {
            Self::One => Ok(format!("{TEMPORARY}{name}")),
            Self::Many => {
                let mut random = [0; 16];
                getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
                Ok(format!("{TEMPORARY}{}", crate::secret::hex(&random)))
            }
        }
    }
}
