//! Why the store did not do it: told apart as far as the remedies differ.

use std::fmt;
use std::path::PathBuf;

use crate::session::Storage;

/// Why the store did not do it.
#[derive(Debug)]
pub enum Error {
    /// The backend cannot be reached.
    Unavailable {
        /// Which.
        storage: Storage,
        /// Why, in words of ours.
        why: String,
    },
    /// The keyring is locked.
    Locked(Unlock),
    /// The backend refused.
    Denied {
        /// Why, in words of ours.
        why: String,
    },
    /// The keyring is there, and failed. That is no keyring that is not there: nothing falls back on it.
    Failed {
        /// Why, in words of ours.
        why: String,
    },
    /// A call did not end within its deadline, in seconds.
    Timeout {
        /// The deadline.
        seconds: u64,
    },
    /// Written by a newer version; left untouched.
    Newer {
        /// The slot or file.
        what: String,
    },
    /// Damaged, or not where it says it belongs.
    Damaged {
        /// What kind of thing.
        piece: Piece,
        /// The slot or file.
        what: String,
        /// What is wrong, in words of ours.
        why: String,
    },
    /// It could not be read, which says nothing of what is in it.
    Read {
        /// The slot or file.
        what: String,
        /// What the system said.
        why: String,
    },
    /// A write failed; what was there before is still there.
    Write {
        /// The slot or file.
        what: String,
        /// What the system said.
        why: String,
    },
    /// A file or folder is not safely ours.
    Unsafe {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Error {
    /// Whether the backend itself could not be asked: what is in it stays as it is.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Locked(_)
                | Self::Denied { .. }
                | Self::Failed { .. }
                | Self::Timeout { .. }
        )
    }
}

/// What became of asking somebody to unlock the keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// Nobody was asked.
    NotAsked,
    /// The question was dismissed.
    Dismissed,
    /// The question was not answered in time.
    Unanswered {
        /// How long it was waited for.
        seconds: u64,
    },
}

/// What can be damaged; each is mended in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A slot's value.
    Slot,
    /// A session's entry in the index.
    Index,
    /// A service's default account.
    Default,
    /// This machine's pin.
    Pin,
    /// Another file.
    File,
    /// What the keyring itself answered.
    Answer,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { storage, why } => write!(f, "{} cannot be reached: {why}", storage.words()),
            Self::Locked(Unlock::NotAsked) => f.write_str("the keyring is locked"),
            Self::Locked(Unlock::Dismissed) => {
                f.write_str("the keyring is locked, and the question to unlock it was dismissed")
            }
            Self::Locked(Unlock::Unanswered { seconds }) => {
                write!(f, "the keyring is locked, and nobody unlocked it within {seconds} s")
            }
            Self::Denied { why } => write!(f, "the keyring refused: {why}"),
            Self::Failed { why } => write!(f, "the keyring failed: {why}"),
            Self::Timeout { seconds } => write!(f, "the keyring did not answer within {seconds} s"),
            Self::Newer { what } => write!(f, "{what} was written by a newer claviger and is left untouched"),
            Self::Damaged { what, why, .. } => write!(f, "{what} is damaged: {why}"),
            Self::Read { what, why } => write!(f, "{what} could not be read: {why}"),
            Self::Write { what, why } => write!(f, "{what} could not be written: {why}"),
            Self::Unsafe { path, why } => {
                write!(f, "{} {why}", crate::text::Escaped(&path.display().to_string()))
            }
        }
    }
}
