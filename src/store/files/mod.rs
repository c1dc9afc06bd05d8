//! Files of ours: only the user can read them, and a reader sees the old content or the new, never half.
//!
//! Every check is made on the open descriptor, not on a name: owner, type, link count, mode.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Error, Piece};

#[cfg(unix)]
#[path = "unix.rs"]
mod imp;
#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

pub use imp::{Folder, read_foreign};

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
    /// Anyone: a random temporary name, and the last rename wins.
    Many,
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
