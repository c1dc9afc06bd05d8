//! What stood in a session's slots before a write of several parts, and how it is put back when one fails.

use super::Call;
use crate::lock::Guard;
use crate::session::{SessionName, SlotName, Storage};
use crate::store::{self, Value};

/// Both slots of a session, byte for byte.
pub(super) struct Before {
    name: SessionName,
    storage: Storage,
    access: Option<Value>,
    refresh: Option<Value>,
    /// What stood there was damaged, and is not to be had again.
    damaged: bool,
}

/// What a reply says of a write that failed, so that the caller knows what is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Everything as it was.
    AsBefore,
    /// Not all of it could be put back.
    Torn,
    /// A keyring call is still out: it may land yet, and nothing can be done about it.
    Unknown,
}

impl Call<'_> {
    pub(super) fn before(&self, name: &SessionName, storage: Storage) -> Result<Before, store::Error> {
        let mut before = Before { name: name.clone(), storage, access: None, refresh: None, damaged: false };
        let mut read = |slot: &SlotName| match self.backend(storage).read(slot) {
            Err(store::Error::Damaged { .. }) => {
                before.damaged = true;
                Ok(None)
            }
            other => other,
        };
        let (access, refresh) = (read(&name.access_slot())?, read(&name.refresh_slot())?);
        Ok(Before { access, refresh, ..before })
    }

    /// Puts both slots back after `error`. Each is tried, whatever becomes of the other: one of them is the one
    /// that would not be written. Under the session's lock nobody else can have written since.
    pub(super) fn put_back(&self, before: &Before, guard: &Guard, error: &store::Error) -> Left {
        let Before { name, storage, access, refresh, damaged } = before;
        let backend = self.backend(*storage);
        let back =
            [(name.access_slot(), access), (name.refresh_slot(), refresh)].map(
                |(slot, before)| match backend.read(&slot) {
                    Ok(now) if now == *before => Ok(()),
                    _ => store::restore(backend, guard, name, &slot, before.as_ref()),
                },
            );
        match error {
            _ if back.iter().all(Result::is_ok) && !damaged => Left::AsBefore,
            store::Error::Timeout { .. } => Left::Unknown,
            _ => Left::Torn,
        }
    }
}
