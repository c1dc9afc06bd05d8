//! Moving a session from one backend to the other, and finishing a move that was cut short.
//!
//! ```text
//! lock both ─ target refresh slot ─ mark the source ─ target access slot ─ index ─ delete the source
//! ```
//!
//! The mark is written with the session's content still beside it: whoever finds it, before or after a crash,
//! has all that is needed to go on. A part that fails is put back; what dies is rolled forward.

use super::Call;
use super::find::Found;
use super::place::Locked;
use super::undo::Left;
use crate::harden::Uninterrupted;
use crate::message::{Code, Failure};
use crate::refresh::backoff::Backoff;
use crate::refresh::policy;
use crate::resolve::Wanted;
use crate::session::{SessionName, Storage};
use crate::store::index::Entry;
use crate::store::mode::Mode;
use crate::store::record::{Bundle, Record};
use crate::store::{self, Persisted};

impl Call<'_> {
    /// Moves a session into a backend; `None` where the other has none.
    pub(super) fn relocate(&self, name: &SessionName, to: Storage) -> Result<Option<Persisted>, Failure> {
        let locks = self.lock_both(name)?;
        let _calm = Uninterrupted::begin();
        let from = to.other();
        let here = match (self.living(name, from)?, self.living(name, to)?) {
            (None, None) => return Ok(None),
            // It is there already. What a move the other way left behind, a mark or a refresh token, goes.
            (None, Some(target)) => {
                self.clear_away(target, to, &locks)?;
                return Ok(None);
            }
            // Written by the move that marked the source, or by a store since.
            (Some(source), Some(target)) if source.record().moved_to == Some(to) => target,
            // A move the other way, cut short behind its last write: the marked copy is the older.
            (Some(source), Some(target)) if target.record().moved_to == Some(from) => {
                self.copy(source, to, &locks)?
            }
            (Some(_), Some(_)) => return Err(two_copies(name)),
            (Some(source), None) => self.copy(source, to, &locks)?,
        };
        // A hint only: what it says is checked in the slot.
        let _ = self.world.index.put(&Entry::of(here.record(), to));
        self.leave(from, locks.of(from), name);
        // Left where it is, the note of a failure would speak for a session that comes back and has been refreshed since.
        if let Ok(backoff) = Backoff::beside(self.world.locks, &name.access_slot(), from) {
            backoff.clear();
        }
        Ok(Some(here))
    }

    /// Makes a session the only one: without its mark, and without the refresh token that was copied ahead of it.
    fn clear_away(&self, session: Persisted, home: Storage, locks: &Locked) -> Result<(), store::Error> {
        let name = session.record().name.clone();
        if session.record().moved_to.is_some() {
            self.unmark(session, home, locks)?;
        }
        let other = home.other();
        if self.backend(other).read(&name.access_slot())?.is_none() {
            store::delete(self.backend(other), locks.of(other), &name, &name.refresh_slot())?;
        }
        Ok(())
    }

    /// Takes the mark of a move away: the session stays.
    fn unmark(
        &self,
        session: Persisted,
        home: Storage,
        locks: &Locked,
    ) -> Result<Persisted, store::Rejected> {
        let Bundle { record, access } = session.into_bundle();
        let stays = Bundle { record: Record { moved_to: None, ..record }, access };
        store::save_checked(self.backend(home), locks.of(home), stays)
    }

    /// Writes the copy, or puts back what was there.
    fn copy(&self, source: Persisted, to: Storage, locks: &Locked) -> Result<Persisted, Failure> {
        let from = to.other();
        let name = source.record().name.clone();
        let before = [self.before(&name, to)?, self.before(&name, from)?];
        self.steps(source, to, locks).map_err(|error| {
            let back = |storage, before| self.put_back(before, locks.of(storage), &error) == Left::AsBefore;
            let [target, source] = &before;
            // A copy that cannot be taken back leaves the mark where it is: without it, both would claim the session.
            let whole = back(to, target) && back(from, source);
            let failure = Failure::from(error);
            let place = if whole {
                "it is where it was"
            } else {
                "it can still be read where it was; `claviger doctor --fix` finishes what was begun"
            };
            Failure {
                message: format!("{} was not moved: {}; {place}", name.words(), failure.message),
                ..failure
            }
        })
    }

    /// The generation stays: a refresh slot that outruns its record does so in the target too.
    fn steps(&self, source: Persisted, to: Storage, locks: &Locked) -> Result<Persisted, store::Error> {
        let (here, there) = (self.backend(to.other()), self.backend(to));
        let Bundle { record, access } = source.into_bundle();
        let name = record.name.clone();
        // What is damaged there gives way to what is whole here; what a newer version wrote does not.
        match store::load_refresh(there, locks.of(to), &name) {
            Ok(_) | Err(store::Error::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let entry = match record.has_refresh_token {
            Some(false) => None,
            promised => match store::load_refresh(here, locks.of(to.other()), &name)? {
                None if promised == Some(true) => return Err(store::broken_promise(&name)),
                entry => entry,
            },
        };
        match &entry {
            Some(entry) => store::save_refresh(there, locks.of(to), entry)?,
            None => store::delete(there, locks.of(to), &name, &name.refresh_slot()).map(|_| ())?,
        }
        let marked = Bundle { record: Record { moved_to: Some(to), ..record }, access };
        let Bundle { record, access } = store::save(here, locks.of(to.other()), marked)?.into_bundle();
        let moved = Bundle { record: Record { moved_to: None, ..record }, access };
        Ok(store::save_checked(there, locks.of(to), moved)?)
    }

    /// Of two living copies keeps the newer, in the backend in use.
    pub(super) fn keep_newer(&self, name: &SessionName, home: Storage) -> Result<(), Failure> {
        let locks = self.lock_both(name)?;
        let _calm = Uninterrupted::begin();
        let (Some(here), Some(there)) = (self.living(name, home)?, self.living(name, home.other())?) else {
            return Ok(());
        };
        let age = |session: &Persisted| (session.record().obtained_at, session.record().generation);
        let kept = if age(&there) > age(&here) {
            // The older one goes first: its record must never stand beside the newer one's refresh token.
            self.delete_both(name, home, &locks)?;
            self.copy(there, home, &locks)?
        } else {
            here
        };
        // A hint only.
        let _ = self.world.index.put(&Entry::of(kept.record(), home));
        Ok(self.delete_both(name, home.other(), &locks)?)
    }

    fn delete_both(&self, name: &SessionName, storage: Storage, locks: &Locked) -> Result<(), store::Error> {
        let (backend, guard) = (self.backend(storage), locks.of(storage));
        store::delete(backend, guard, name, &name.refresh_slot())?;
        store::delete(backend, guard, name, &name.access_slot()).map(|_| ())
    }

    /// Ends a move that was cut short, in the direction of the storage in use: what was on its way there arrives, and
    /// what was on its way elsewhere comes back. `None`: there is no such session, or it is the other's own.
    pub(super) fn settle(&self, name: &SessionName, home: Storage) -> Result<Option<Persisted>, Failure> {
        let other = home.other();
        let locks = self.lock_both(name)?;
        let _calm = Uninterrupted::begin();
        let (here, there) = (self.living(name, home)?, self.living(name, other)?);
        let leaving = here.as_ref().is_some_and(|here| here.record().moved_to.is_some());
        let coming = there.as_ref().is_some_and(|there| there.record().moved_to == Some(home));
        let settled = match (here, there) {
            // Both are whole, and the one that carries no mark was written last.
            (Some(_), Some(there)) if leaving => self.copy(there, home, &locks)?,
            (Some(here), None) if leaving => self.unmark(here, home, &locks)?,
            (None, Some(there)) if coming => self.copy(there, home, &locks)?,
            (None, _) => return Ok(None),
            (Some(here), _) if coming => here,
            (Some(here), _) => return Ok(Some(here)),
        };
        // A hint only: what it says is checked in the slot.
        let _ = self.world.index.put(&Entry::of(settled.record(), home));
        self.leave(other, locks.of(other), name);
        Ok(Some(settled))
    }

    pub(super) fn living(
        &self,
        name: &SessionName,
        storage: Storage,
    ) -> Result<Option<Persisted>, store::Error> {
        Ok(store::load(self.backend(storage), name)?.filter(|session| !session.record().erased))
    }

    /// A session chosen for a `get`: one whose move was cut short is settled first, for its refresh token may lie in
    /// two places and must be spent in one. Where that cannot be done now, a token that is still good is served all
    /// the same.
    pub(super) fn settled(&self, found: Found, mode: Mode) -> Result<Found, Failure> {
        // A choice for this call only moves nothing; what is marked is then not refreshed either.
        if found.session.record().moved_to.is_none() || mode.source.is_ephemeral() {
            return Ok(found);
        }
        let Found { session, matched_by } = found;
        match self.settle(&session.record().name, session.storage()) {
            Ok(Some(session)) => Ok(Found { session, matched_by }),
            Ok(None) => Err(self.not_found(&session.record().name.service)),
            Err(_) if policy::is_valid(&session, self.world.clock.now()) => Ok(Found { session, matched_by }),
            Err(failure) => Err(failure),
        }
    }

    /// What is not in the backend in use, but on its way there: marked so, or one of all that are being moved. It is
    /// brought along.
    pub(super) fn on_its_way(&self, wanted: Wanted<'_>, mode: Mode) -> Result<Option<Found>, Failure> {
        let (home, other) = (mode.storage, mode.storage.other());
        let moving = self.still_moving_to(home)?;
        if mode.source.is_ephemeral() || (!moving && !self.known_in(other, wanted)?) {
            return Ok(None);
        }
        let found = if moving { self.awake(|| self.find(wanted, other)) } else { self.find(wanted, other) };
        let Found { session, matched_by } = match found {
            Ok(found) => found,
            Err(failure) if moving && !matches!(failure.code, Code::NotFound | Code::AccountNotFound) => {
                return Err(failure);
            }
            Err(_) => return Ok(None),
        };
        let name = &session.record().name;
        let arrived = match session.record().moved_to {
            Some(to) if to == home => self.settle(name, home),
            _ if moving => self.relocate(name, home),
            _ => return Ok(None),
        };
        match arrived {
            Ok(Some(session)) => Ok(Some(Found { session, matched_by })),
            // Somebody else brought it while we waited.
            Ok(None) => Ok(self.find(wanted, home).ok()),
            Err(_) if policy::is_valid(&session, self.world.clock.now()) => {
                Ok(Some(Found { session, matched_by }))
            }
            Err(failure) => Err(failure),
        }
    }
}

fn two_copies(name: &SessionName) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("{} is in both backends", name.words()),
        "`claviger doctor` shows both, and with --fix keeps the newer one",
    )
}
