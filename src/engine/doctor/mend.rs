//! What `doctor --fix` does, each under the lock that the same write takes anywhere else, and only if what was
//! found is still so.

use super::Call;
use crate::message::{Failure, Finding, Health};
use crate::session::{SessionName, SlotName, Storage};
use crate::store::files::Folder;
use crate::store::index::{Damaged, Entry, Pinned};
use crate::store::record::{Fault, whose};
use crate::store::{self, Piece};

/// One thing to mend.
pub(super) enum Remedy {
    /// A pin that cannot be read.
    ClearPin,
    /// A session whose end was begun, or a refresh token without a session.
    End { name: SessionName, storage: Storage },
    /// The same, where only the name of its access slot is known.
    EndSlot { slot: SlotName, storage: Storage },
    /// A move that was begun.
    Settle { name: SessionName, home: Storage },
    /// A move of everything that was begun.
    MoveAll(Storage),
    /// A session in two places: the newer goes to, or stays in, the backend in use.
    KeepNewer { name: SessionName, home: Storage },
    /// A probe that was not deleted.
    Discard { storage: Storage, label: String },
    /// A chunk that belongs to no value.
    Stray { storage: Storage, label: String },
    /// An index entry without a session.
    Forget(SessionName),
    /// A session without an index entry.
    List(Entry),
    /// A file of the index that cannot be read.
    RemoveDamaged(Damaged),
    /// A default without a session.
    Unpin(Pinned),
    /// A temporary file.
    Sweep { folder: &'static str, file: String },
}

impl Remedy {
    /// Whether it decides between the storages, which a choice for one call must not.
    pub(super) fn takes_sides(&self) -> bool {
        matches!(self, Self::Settle { .. } | Self::KeepNewer { .. } | Self::MoveAll(_))
    }

    /// What it will do, after "claviger doctor --fix".
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::ClearPin => "pins where the sessions are, or nothing where there are none",
            Self::End { .. } | Self::EndSlot { .. } => "finishes it: revoked where it can be, then deleted",
            Self::Settle { .. } => "settles it in the storage in use",
            Self::MoveAll(_) => "goes on with it",
            Self::KeepNewer { .. } => "keeps the newer one, in the storage in use, and deletes the other",
            Self::Discard { .. } | Self::Stray { .. } | Self::Sweep { .. } => "removes it",
            Self::Forget(_) | Self::List(_) => "puts the index right",
            Self::RemoveDamaged(Damaged {
                error: store::Error::Damaged { piece: Piece::Default, .. },
                ..
            }) => "removes the file; choose the default again by storing with makeDefault",
            Self::RemoveDamaged(_) => "removes the file; what is there is found again",
            Self::Unpin(_) => "unpins it",
        }
    }
}

impl Call<'_> {
    pub(super) fn mend(&self, finding: Finding, remedy: Remedy) -> Finding {
        let done = format!("done: {}", remedy.words());
        match self.apply(remedy) {
            Ok(()) => Finding { health: Health::Mended, hint: done, ..finding },
            Err(failure) => Finding {
                message: format!("{}; it could not be mended: {}", finding.message, failure.message),
                hint: failure.hint,
                ..finding
            },
        }
    }

    fn apply(&self, remedy: Remedy) -> Result<(), Failure> {
        let index = self.world.index;
        match remedy {
            Remedy::ClearPin => {
                let again = self.world.pin.read(&self.world.settings.machine);
                if matches!(again, Err(store::Error::Damaged { piece: Piece::Pin, .. })) {
                    self.pin_what_there_is()?;
                }
            }
            Remedy::End { name, storage } => self.end_leftover(&name, storage)?,
            Remedy::EndSlot { slot, storage } => {
                let value = self.backend(storage).peek(slot.and_refresh().as_str())?;
                // Gone since: somebody else finished it.
                let Some(value) = value else { return Ok(()) };
                let fault = |fault: Fault| fault.at(format!("slot {slot}"));
                let (_, name) = whose(&value).map_err(fault)?;
                // What says that it is another session's must not end that one, nor seem to have ended.
                if name.access_slot() != slot {
                    let elsewhere = "it belongs to another session; remove it in the keyring's own settings";
                    return Err(fault(Fault::Damaged(elsewhere.to_owned())).into());
                }
                self.end_leftover(&name, storage)?;
            }
            Remedy::Settle { name, home } if self.mode()?.storage == home => {
                self.settle(&name, home).map(|_| ())?;
            }
            Remedy::MoveAll(to) if self.still_moving_to(to)? => self.move_all(to).map(|_| ())?,
            Remedy::KeepNewer { name, home } if self.mode()?.storage == home => {
                self.keep_newer(&name, home)?;
            }
            // Decided otherwise meanwhile.
            Remedy::Settle { .. } | Remedy::MoveAll(_) | Remedy::KeepNewer { .. } => {}
            Remedy::Discard { storage, label } => self.backend(storage).discard(&label).map(|_| ())?,
            Remedy::Stray { storage, label } => self.discard_stray(storage, &label)?,
            Remedy::Forget(name) => self.forget_ghost(&name)?,
            Remedy::List(entry) => {
                let _guard = self.lock(&entry.name, entry.storage)?;
                if !self.is_ghost(&entry) {
                    index.put(&entry)?;
                }
            }
            Remedy::RemoveDamaged(damaged) => index.remove_damaged(&damaged)?,
            Remedy::Unpin(pinned) => self.unpin(&pinned)?,
            Remedy::Sweep { folder, file } => {
                Folder::new(&self.world.settings.state, folder).delete(&file).map(|_| ())?;
            }
        }
        Ok(())
    }

    /// Under the session's lock: without it, it may be part of a value that is being written just now.
    fn discard_stray(&self, storage: Storage, label: &str) -> Result<(), Failure> {
        let slot = label.rsplit_once('/').map_or(label, |(slot, _)| slot);
        let slot = SlotName::beside_refresh(slot).or_else(|| SlotName::found_access(slot));
        let Some(slot) = slot else { return Ok(()) };
        let _guard = self.lock_slot(&slot, storage)?;
        let backend = self.backend(storage);
        if backend.strays()?.iter().any(|stray| stray == label) {
            backend.discard(label)?;
        }
        Ok(())
    }

    /// In the place of a pin that says nothing: the one storage that the index knows sessions in, if it is one.
    fn pin_what_there_is(&self) -> Result<(), Failure> {
        let (entries, _) = self.world.index.all()?.or_damage();
        let machine = &self.world.settings.machine;
        match entries.first().map(|entry| entry.storage) {
            Some(storage) if entries.iter().all(|entry| entry.storage == storage) => {
                Ok(self.world.pin.write(machine, storage)?)
            }
            _ => Ok(self.world.pin.clear(&self.world.settings.machine)?),
        }
    }

    /// A store pins a default after its entry is in the index: with an entry there, it is somebody's again.
    fn unpin(&self, (service, profile, account): &Pinned) -> Result<(), Failure> {
        let index = self.world.index;
        let (entries, _) = index.all()?.or_damage();
        let serves = |entry: &Entry| {
            entry.name.account == *account
                && entry.name.profile == *profile
                && entry.services.iter().any(|granted| granted.covers(service))
        };
        let still = index.default_account(service, profile.as_ref())?.as_ref() == Some(account);
        if still && !entries.iter().any(serves) {
            index.unpin_default(service, profile.as_ref())?;
        }
        Ok(())
    }

    /// An entry is removed only where neither backend has the session, as far as they can be asked once more.
    fn forget_ghost(&self, name: &SessionName) -> Result<(), Failure> {
        let _guards = self.lock_both(name)?;
        for storage in [Storage::Keyring, Storage::Plaintext] {
            match store::load(self.backend(storage), name) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                // The entry did not say that it is there.
                Err(error) if error.is_out_of_reach() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.world.index.remove(name)?)
    }
}
