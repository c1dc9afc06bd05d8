//! Slots as files only the user can read: for CI runners, containers, and whoever chose it.

use std::cell::Cell;
use std::path::Path;

use super::files::{Folder, Writers};
use super::{Backend, Error, Value};
use crate::limits::SLOT_BYTES;
use crate::session::{SlotName, Storage};

/// `slots/<sha256 of the slot name, hex>` in the state folder.
pub struct Plaintext {
    slots: Folder,
    repaired: Cell<bool>,
}

impl Plaintext {
    /// The slots of a state folder. Nothing is touched yet.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { slots: Folder::new(state, "slots"), repaired: Cell::new(false) }
    }

    fn read_file(&self, name: &str) -> Result<Option<Value>, Error> {
        let content = self.slots.read(name, SLOT_BYTES)?;
        Ok(content.map(|content| {
            self.repaired.set(self.repaired.get() || content.repaired);
            content.bytes
        }))
    }
}

impl Backend for Plaintext {
    fn storage(&self) -> Storage {
        Storage::Plaintext
    }

    fn reach(&self) -> Result<(), Error> {
        Ok(())
    }

    fn unlock(&self) -> Result<(), Error> {
        Ok(())
    }

    fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error> {
        self.read_file(&slot.digest())
    }

    fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error> {
        let writers = if slot.is_a_probe() { Writers::Many } else { Writers::One };
        self.slots.write(&slot.digest(), value, writers)
    }

    fn delete(&self, slot: &SlotName) -> Result<bool, Error> {
        self.slots.delete(&slot.digest())
    }

    fn access_values(&self) -> Result<Vec<Value>, Error> {
        let names = self.slots.names()?;
        Ok(names.iter().filter_map(|name| self.read_file(name).ok().flatten()).collect())
    }

    fn label(&self, slot: &SlotName) -> String {
        slot.digest()
    }

    fn labels(&self) -> Result<Vec<String>, Error> {
        self.slots.names()
    }

    fn peek(&self, label: &str) -> Result<Option<Value>, Error> {
        self.read_file(label)
    }

    fn discard(&self, label: &str) -> Result<bool, Error> {
        self.slots.delete(label)
    }

    fn repaired(&self) -> bool {
        self.repaired.get()
    }
}
