//! What is told about where sessions are kept.

use super::Failure;
use crate::session::Storage;

/// Where sessions are kept on this machine, and why.
#[derive(Debug)]
pub struct Shown {
    /// What was decided; `None`: nothing is kept.
    pub storage: Option<Storage>,
    /// Who decided it, in words.
    pub decided_by: String,
    /// Where the next read looks: the files, where nobody decided and the keyring cannot be reached.
    pub in_use: Option<Storage>,
    /// What this machine's pin says, if there is one.
    pub pin: Option<Storage>,
    /// A move of all sessions there has not ended.
    pub moving: bool,
    /// What the keyring answers; `None`: it can be used.
    pub keyring: Option<Failure>,
    /// The state folder.
    pub state: String,
    /// How many sessions the index knows in the keyring and in plaintext files.
    pub sessions: [(Storage, usize); 2],
}

/// Sessions that were moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocated {
    /// Where to.
    pub to: Storage,
    /// How many.
    pub moved: usize,
}

/// One thing found about where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found, on one line.
    pub message: String,
    /// What to do, on one line; empty where nothing is to be done.
    pub hint: String,
}

/// How something that was examined is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Wrong.
    Problem,
    /// It was wrong, and is no more.
    Mended,
}
