//! Where this call's sessions are: what was decided, whether it answers, and what is done where it does not.
//!
//! One row of the table in `protocol/README.md`, section B, to a function: a keyring that cannot be reached is
//! told from one that is locked, and both from one that hangs. Nothing here ever falls back after a choice.

use super::Call;
use crate::error;
use crate::lock::Guard;
use crate::message::{Code, Failure, WarningCode};
use crate::refresh::turn::Turn;
use crate::resolve::{self, Wanted};
use crate::session::{SessionName, SlotName, Storage};
use crate::store::index::Listing;
use crate::store::mode::{Choice, Mode, Pinned, Source};
use crate::store::{self, Backend, probe};

impl<'a> Call<'a> {
    pub(super) fn backend(&self, storage: Storage) -> &'a dyn Backend {
        match storage {
            Storage::Keyring => self.world.keyring,
            Storage::Plaintext => self.world.plaintext,
        }
    }

    /// What was decided, and who did: flag, environment, configuration, pin, default.
    pub(super) fn mode(&self) -> Result<Mode, Failure> {
        Ok(self.pinned_or_chosen()?)
    }

    pub(super) fn pinned_or_chosen(&self) -> Result<Mode, store::Error> {
        let settings = self.world.settings;
        // Where nothing is to be kept, nobody comes here.
        if let Some(Choice::Kept(chosen)) = settings.chosen {
            return Ok(chosen);
        }
        Ok(match self.world.pin.read(&settings.machine)? {
            Some(Pinned { storage, moving }) => Mode { storage, source: Source::Pin, moving },
            None => Mode { storage: Storage::Keyring, source: Source::Default, moving: false },
        })
    }

    /// Does something where the sessions are and, where it found nothing while they were being moved, once more: what
    /// was not there yet, or not there any more, has arrived.
    pub(super) fn where_they_are<T>(
        &self,
        work: impl Fn(Mode) -> Result<T, Failure>,
        found_nothing: impl Fn(&Result<T, Failure>) -> bool,
    ) -> Result<T, Failure> {
        let mode = self.mode()?;
        let result = work(mode);
        if !found_nothing(&result) {
            return result;
        }
        match self.mode()? {
            now if now == mode && !mode.moving => result,
            now => work(now),
        }
    }

    /// Reads where the sessions are. Where nobody decided and the keyring cannot be reached, the files are read
    /// instead, quietly; not where the index knows that what is wanted lies in the keyring.
    pub(super) fn reading<T>(
        &self,
        mode: Mode,
        wanted: Wanted<'_>,
        read: impl Fn(Storage) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.reading_unless(mode, || self.known_in(Storage::Keyring, wanted), read)
    }

    /// The same for whatever else may be wanted: `in_keyring` says whether the index knows it to lie there.
    pub(super) fn reading_unless<T>(
        &self,
        mode: Mode,
        in_keyring: impl Fn() -> Result<bool, Failure>,
        read: impl Fn(Storage) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self.awake(|| read(mode.storage)) {
            Err(failure)
                if failure.code == Code::StoreUnavailable
                    && mode.source == Source::Default
                    && !in_keyring()? =>
            {
                read(Storage::Plaintext).map_err(|missing| match missing.code {
                    Code::NotFound | Code::AccountNotFound => {
                        let message = format!("{} in plaintext files; {}", missing.message, failure.message);
                        Failure { message, ..missing }
                    }
                    _ => missing,
                })
            }
            other => other,
        }
    }

    /// Where a write of this session goes, once it is certain that it can be kept there: before anything is made,
    /// a lock's folder included. Where nobody decided, the keyring is tried with a value that says nothing; if it
    /// cannot be reached, the files are used, and people are told before a token lies there.
    pub(super) fn writing(&self, mode: Mode, name: &SessionName) -> Result<Mode, Failure> {
        let backend = self.backend(mode.storage);
        // The very slot too: some keyrings have a lock for each item.
        let reads = || match backend.read(&name.access_slot()) {
            Ok(_) | Err(store::Error::Damaged { .. }) => Ok(()),
            Err(error) => Err(Failure::from(error)),
        };
        if (mode.storage, mode.source) != (Storage::Keyring, Source::Default) {
            self.awake(reads)?;
            self.refresh_slot_awake(mode.storage, name)?;
            return Ok(mode);
        }
        let keeps = || Ok(probe::write_probe(backend, self.world.clock.now())?);
        match self.awake(|| keeps().and_then(|()| reads())) {
            Ok(()) => {
                self.refresh_slot_awake(mode.storage, name)?;
                Ok(mode)
            }
            Err(failure) if failure.code == Code::StoreUnavailable => {
                let state = self.world.settings.state_words();
                let message = format!("{}; tokens are kept in plaintext files in {state}", failure.message);
                self.tell(&format!(
                    "warning: {message}; once there is a keyring, `claviger storage move keyring` moves them"
                ));
                self.warn(WarningCode::StoredPlaintext, message);
                Ok(Mode { storage: Storage::Plaintext, ..mode })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Where items have a lock each, the refresh slot's may be closed while the access slot's is open: looked at under
    /// the session's lock, as ever, which is let go before anybody is asked.
    fn refresh_slot_awake(&self, storage: Storage, name: &SessionName) -> Result<(), Failure> {
        if storage == Storage::Plaintext || self.world.settings.somebody_to_ask().is_none() {
            return Ok(());
        }
        self.awake(|| {
            let guard = self.lock(name, storage)?;
            match store::load_refresh(self.backend(storage), &guard, name) {
                Err(locked @ store::Error::Locked(_)) => Err(locked.into()),
                _ => Ok(()),
            }
        })
    }

    /// Does something, and where the keyring turns out to be locked, has it unlocked by whoever sits there and does
    /// it once more. Only before a lock is held: under one, a locked keyring is an error at once.
    pub(super) fn awake<T>(&self, work: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
        let locked = match work() {
            Err(failure) if failure.code == Code::StoreLocked => failure,
            other => return other,
        };
        // One question a call: what is still locked after it, somebody wants locked.
        if self.asked.replace(true) {
            return Err(locked);
        }
        let Some(patience) = self.world.settings.somebody_to_ask() else {
            let message = format!("{}, and there is no desktop here to ask at", locked.message);
            return Err(Failure { message, ..locked });
        };
        self.tell(&format!(
            "{}; waiting up to {} s for it to be unlocked",
            locked.message,
            patience.as_secs()
        ));
        self.world.keyring.unlock()?;
        work()
    }

    /// Whether sessions may still be on their way to this backend: a move of all of them was begun and has not ended.
    pub(super) fn still_moving_to(&self, storage: Storage) -> Result<bool, Failure> {
        let pinned = self.world.pin.read(&self.world.settings.machine)?;
        Ok(pinned.is_some_and(|pinned| pinned.storage == storage && pinned.moving))
    }

    /// Whether the index knows a session that may be meant in this backend.
    pub(super) fn known_in(&self, storage: Storage, wanted: Wanted<'_>) -> Result<bool, Failure> {
        let Listing { entries, .. } = self.world.index.all()?;
        let there: Vec<_> = entries.into_iter().filter(|entry| entry.storage == storage).collect();
        Ok(!resolve::all(wanted, &super::find::candidates(&there)).is_empty())
    }

    /// The lock of a session in a backend, waited for.
    pub(super) fn lock(&self, name: &SessionName, storage: Storage) -> Result<Guard, Failure> {
        self.lock_slot(&name.access_slot(), storage)
    }

    /// The lock beside a slot of which only the name is known.
    pub(super) fn lock_slot(&self, slot: &SlotName, storage: Storage) -> Result<Guard, Failure> {
        let turn = self.world.locks.take(slot, storage, self.world.clock, |_| Ok(None::<()>));
        match turn.map_err(|error: crate::lock::Error| error::of_lock(&error))? {
            Turn::Mine(guard) => Ok(guard),
            Turn::Answered(()) | Turn::TimedOut => Err(error::lock_timeout(slot)),
        }
    }

    /// The locks of a session in both backends.
    pub(super) fn lock_both(&self, name: &SessionName) -> Result<Locked, Failure> {
        self.lock_in(name, &[Storage::Keyring, Storage::Plaintext])
    }

    /// The locks of a session in these backends, the keyring's first wherever both are taken. Where both lie in one
    /// folder they are one file, and taking it twice would be waiting for ourselves.
    pub(super) fn lock_in(&self, name: &SessionName, storages: &[Storage]) -> Result<Locked, Failure> {
        let slot = name.access_slot();
        if !storages.contains(&Storage::Keyring) {
            return Ok(Locked { slot, first: self.lock(name, Storage::Plaintext)?, second: None });
        }
        let keyring = self.lock(name, Storage::Keyring)?;
        if !storages.contains(&Storage::Plaintext) {
            return Ok(Locked { slot, first: keyring, second: None });
        }
        if self.world.locks.are_one().map_err(|error| error::of_lock(&error))? {
            return Ok(Locked { slot, first: keyring.for_both(), second: None });
        }
        Ok(Locked { slot, first: keyring, second: Some(self.lock(name, Storage::Plaintext)?) })
    }

    pub(super) fn tell(&self, line: &str) {
        (self.world.tell)(&format!("claviger: {line}"));
    }
}

/// The locks of one session in one backend or both.
pub(super) struct Locked {
    slot: SlotName,
    first: Guard,
    second: Option<Guard>,
}

impl Locked {
    /// The guard for a backend. The store checks that it is.
    pub(super) fn of(&self, storage: Storage) -> &Guard {
        match &self.second {
            Some(second) if second.covers(&self.slot, storage) => second,
            _ => &self.first,
        }
    }
}
