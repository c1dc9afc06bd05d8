//! Where sessions lie: slots in a backend, the index beside them, and which backend it is.
//!
//! What a caller may hand out comes from [`load`] and [`save`] alone, as [`Persisted`]; writing demands the
//! lock's guard (I2, I3).

pub mod files;
pub mod index;
pub mod keyring;
pub mod mode;
pub mod plaintext;
pub mod record;

use std::fmt;
use std::path::PathBuf;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::lock::Guard;
use crate::secret::AccessToken;
use crate::session::{SessionName, SlotName, Storage};
use record::{Bundle, Record, RefreshEntry};

/// One slot's bytes, wiped when dropped.
pub type Value = Zeroizing<Vec<u8>>;

/// A place for slots. Small on purpose: a third backend joins by answering these.
pub trait Backend {
    /// Which one it is.
    fn storage(&self) -> Storage;
    /// Whether it can be reached at all; touches nothing.
    fn reach(&self) -> Result<(), Error>;
    /// Reads a slot; `None` when there is none.
    fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error>;
    /// Writes a slot in place: the old value or the new one can be read at any time, never neither.
    fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error>;
    /// Deletes a slot; `false` when there was none.
    fn delete(&self, slot: &SlotName) -> Result<bool, Error>;
    /// Every access slot's value, to find sessions the index has lost. Values that cannot be read are left
    /// out: whoever asks for that very session is told.
    fn access_values(&self) -> Result<Vec<Value>, Error>;
}

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
    Locked,
    /// The backend refused.
    Denied {
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
        matches!(self, Self::Unavailable { .. } | Self::Locked | Self::Denied { .. } | Self::Timeout { .. })
    }
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
            Self::Unavailable { storage, why } => write!(f, "the {storage} cannot be reached: {why}"),
            Self::Locked => f.write_str("the keyring is locked"),
            Self::Denied { why } => write!(f, "the keyring refused: {why}"),
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

/// A session as it stands in a backend. Made by [`load`] and [`save`] and by nothing else.
#[derive(Debug)]
pub struct Persisted {
    bundle: Bundle,
    storage: Storage,
}

impl Persisted {
    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.bundle.record
    }

    /// The access token, unless it was dropped.
    #[must_use]
    pub fn access(&self) -> Option<&AccessToken> {
        self.bundle.access.as_ref()
    }

    /// The backend it came from; a refresh writes there and nowhere else.
    #[must_use]
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// A session that no backend holds, to judge in tests.
    #[cfg(test)]
    pub(crate) fn for_test(bundle: Bundle, storage: Storage) -> Self {
        Self { bundle, storage }
    }

    /// Takes it apart, to write it changed or to hand its token out.
    #[must_use]
    pub fn into_bundle(self) -> Bundle {
        self.bundle
    }
}

/// Loads a session's access slot; `None` when there is none.
pub fn load(backend: &dyn Backend, name: &SessionName) -> Result<Option<Persisted>, Error> {
    let slot = name.access_slot();
    let Some(value) = backend.read(&slot)? else { return Ok(None) };
    let bundle = Bundle::decode(&value, Some(name)).map_err(|fault| fault.of(&slot))?;
    Ok(Some(Persisted { bundle, storage: backend.storage() }))
}

/// Loads a session's refresh slot. Only whoever may refresh or end the session has business there, so it
/// wants the guard.
pub fn load_refresh(
    backend: &dyn Backend,
    guard: &Guard,
    name: &SessionName,
) -> Result<Option<RefreshEntry>, Error> {
    check_guard(backend, guard, name)?;
    let slot = name.refresh_slot();
    let Some(value) = backend.read(&slot)? else { return Ok(None) };
    RefreshEntry::decode(&value, name).map(Some).map_err(|fault| fault.of(&slot))
}

/// A bundle that could not be saved, given back with the reason.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub error: Error,
    /// What was to be saved.
    pub bundle: Box<Bundle>,
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        rejected.error
    }
}

/// Writes a session's access slot as one value and gives back what now stands there.
pub fn save(backend: &dyn Backend, guard: &Guard, bundle: Bundle) -> Result<Persisted, Rejected> {
    let name = &bundle.record.name;
    let written =
        check_guard(backend, guard, name).and_then(|()| backend.write(&name.access_slot(), &bundle.encode()));
    match written {
        Ok(()) => Ok(Persisted { bundle, storage: backend.storage() }),
        Err(error) => Err(Rejected { error, bundle: Box::new(bundle) }),
    }
}

/// Writes a session's refresh slot and reads it back: a backend that says yes and keeps nothing is found
/// out while the old token may still be good.
pub fn save_refresh(backend: &dyn Backend, guard: &Guard, entry: &RefreshEntry) -> Result<(), Error> {
    check_guard(backend, guard, &entry.name)?;
    let slot = entry.name.refresh_slot();
    let value = entry.encode();
    backend.write(&slot, &value)?;
    match backend.read(&slot)? {
        Some(kept) if bool::from(kept.ct_eq(&value)) => Ok(()),
        _ => {
            Err(Error::Write { what: slot_words(&slot), why: "it does not read back as written".to_owned() })
        }
    }
}

/// Writes raw bytes back where they came from, to undo a failed store.
pub fn restore(
    backend: &dyn Backend,
    guard: &Guard,
    name: &SessionName,
    slot: &SlotName,
    value: Option<&Value>,
) -> Result<(), Error> {
    check_guard(backend, guard, name)?;
    match value {
        Some(value) => backend.write(slot, value),
        None => backend.delete(slot).map(|_| ()),
    }
}

/// Deletes one of a session's slots; `false` when it was not there.
pub fn delete(
    backend: &dyn Backend,
    guard: &Guard,
    name: &SessionName,
    slot: &SlotName,
) -> Result<bool, Error> {
    check_guard(backend, guard, name)?;
    backend.delete(slot)
}

/// A guard for another session or backend would be no protection at all.
fn check_guard(backend: &dyn Backend, guard: &Guard, name: &SessionName) -> Result<(), Error> {
    if guard.covers(&name.access_slot(), backend.storage()) {
        Ok(())
    } else {
        Err(Error::Write {
            what: slot_words(&name.access_slot()),
            why: "the lock held is another session's".to_owned(),
        })
    }
}

fn slot_words(slot: &SlotName) -> String {
    format!("slot {slot}")
}
