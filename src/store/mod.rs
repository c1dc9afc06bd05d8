//! Where sessions lie: slots in a backend, the index beside them, and which backend it is.
//!
//! What a caller may hand out comes from [`load`] and [`save`] alone, as [`Persisted`]; writing demands the
//! lock's guard (I2, I3).

mod client_secret;
mod error;
pub mod files;
pub mod index;
pub mod keyring;
pub mod mode;
pub mod plaintext;
pub mod probe;
pub mod record;

pub use client_secret::{delete_client_secret, load_client_secret, save_client_secret};
pub use error::{Error, Piece, Unlock};

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
    /// Asks whoever sits there to unlock it, and waits for the answer; an error where there is nobody.
    fn unlock(&self) -> Result<(), Error>;
    /// Reads a slot; `None` when there is none.
    fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error>;
    /// Writes a slot in place: the old value or the new one can be read at any time, never neither.
    fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error>;
    /// Deletes a slot; `false` when there was none.
    fn delete(&self, slot: &SlotName) -> Result<bool, Error>;
    /// Every access slot's value, to find sessions the index has lost. Values that cannot be read are left
    /// out: whoever asks for that very session is told.
    fn access_values(&self) -> Result<Vec<Value>, Error>;

    /// What this backend calls a slot.
    fn label(&self, slot: &SlotName) -> String;
    /// What it calls everything it holds of ours.
    fn labels(&self) -> Result<Vec<String>, Error>;
    /// Parts of values that belong to no value any more, by label; none where values are kept whole.
    fn strays(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
    /// Reads a value by its label.
    fn peek(&self, label: &str) -> Result<Option<Value>, Error>;
    /// Deletes a value or a stray by its label.
    fn discard(&self, label: &str) -> Result<bool, Error>;
    /// Whether something others could read was found and closed to them.
    fn repaired(&self) -> bool {
        false
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

/// Writes a session's access slot as one value: a mark, whose loss costs nothing. What a caller is told of, or given,
/// is written by [`save_checked`].
pub fn save(backend: &dyn Backend, guard: &Guard, bundle: Bundle) -> Result<Persisted, Rejected> {
    let name = &bundle.record.name;
    let written =
        check_guard(backend, guard, name).and_then(|()| backend.write(&name.access_slot(), &bundle.encode()));
    match written {
        Ok(()) => Ok(Persisted { bundle, storage: backend.storage() }),
        Err(error) => Err(Rejected { error, bundle: Box::new(bundle) }),
    }
}

/// Writes a session's access slot and reads it back: a backend that says yes and keeps nothing, or does not
/// give back what it took, is found out before anyone is told that the session is kept.
pub fn save_checked(backend: &dyn Backend, guard: &Guard, bundle: Bundle) -> Result<Persisted, Rejected> {
    let (slot, value) = (bundle.record.name.access_slot(), bundle.encode());
    let saved = save(backend, guard, bundle)?;
    match kept(backend, &slot, &value) {
        Ok(()) => Ok(saved),
        Err(error) => Err(Rejected { error, bundle: Box::new(saved.bundle) }),
    }
}

/// Writes a session's refresh slot and reads it back: a backend that says yes and keeps nothing is found
/// out while the old token may still be good.
pub fn save_refresh(backend: &dyn Backend, guard: &Guard, entry: &RefreshEntry) -> Result<(), Error> {
    check_guard(backend, guard, &entry.name)?;
    let (slot, value) = (entry.name.refresh_slot(), entry.encode());
    backend.write(&slot, &value)?;
    kept(backend, &slot, &value)
}

/// Whether a slot reads back as it was written.
fn kept(backend: &dyn Backend, slot: &SlotName, value: &Value) -> Result<(), Error> {
    match backend.read(slot)? {
        Some(kept) if bool::from(kept.ct_eq(value)) => Ok(()),
        _ => Err(Error::Write { what: slot_words(slot), why: "it does not read back as written".to_owned() }),
    }
}

/// The error of a record that promises a refresh token, where there is none.
#[must_use]
pub fn broken_promise(name: &SessionName) -> Error {
    Error::Damaged {
        piece: Piece::Slot,
        what: slot_words(&name.refresh_slot()),
        why: "its record promises a refresh token and there is none".to_owned(),
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
