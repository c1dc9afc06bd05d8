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
use crate::message::{Code, Failure, Outcome, Relocated};
use crate::refresh::policy;
use crate::resolve::Wanted;
use crate::session::{SessionName, SlotName, Storage};
use crate::store::index::Entry;
use crate::store::mode::{Mode, Pinned};
use crate::store::record::{Bundle, Record};
use crate::store::{self, Persisted, Piece, probe};

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
        Ok(Some(here))
    }

    /// Makes a session the only one: without its mark, and without the refresh token that was copied ahead of it.
    fn clear_away(&self, session: Persisted, home: Storage, locks: &Locked) -> Result<(), store::Error> {
        let name = session.record().name.clone();
        if session.record().moved_to.is_some() {
            let Bundle { record, access } = session.into_bundle();
            let stays = Bundle { record: Record { moved_to: None, ..record }, access };
            store::save_checked(self.backend(home), locks.of(home), stays)?;
        }
        let other = home.other();
        if self.backend(other).read(&name.access_slot())?.is_none() {
            store::delete(self.backend(other), locks.of(other), &name, &name.refresh_slot())?;
        }
        Ok(())
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
            (Some(here), None) if leaving => {
                let Bundle { record, access } = here.into_bundle();
                let stays = Bundle { record: Record { moved_to: None, ..record }, access };
                store::save_checked(self.backend(home), locks.of(home), stays)?
            }
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

    fn living(&self, name: &SessionName, storage: Storage) -> Result<Option<Persisted>, store::Error> {
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

    /// Moves every session of this machine into one backend, and pins it first: what cannot be pinned is not moved.
    pub(super) fn move_all(&self, to: Storage) -> Result<Outcome, Failure> {
        let settings = self.world.settings;
        let chosen = [settings.chosen, settings.standing].into_iter().flatten();
        if let Some(chosen) = chosen.into_iter().find(|chosen| chosen.storage != to) {
            return Err(Failure::new(
                Code::Conflict,
                format!("{} says {}, and would not look into {}", chosen.source, chosen.storage, to.words()),
                "change that first; nothing was moved",
            ));
        }
        let now = self.world.clock.now();
        // Two moves at once would meet half way.
        let _alone = self.lock_slot(&SlotName::everything(), Storage::Plaintext).map_err(|failure| {
            match failure.code {
                Code::LockTimeout => Failure::new(
                    failure.code,
                    "another `storage move` is under way",
                    "wait for it, or try again",
                ),
                _ => failure,
            }
        })?;
        self.awake(|| probe::write_probe(self.backend(to), now).map_err(Failure::from))
            .map_err(nothing_moved)?;
        // And what is to be moved must be readable, before anything says that it will be elsewhere.
        self.names_in(to.other()).map_err(nothing_moved)?;
        let pinned = match self.world.pin.read(&settings.machine) {
            // One that says nothing is replaced; one of a newer version is not.
            Err(store::Error::Damaged { piece: Piece::Pin, .. }) => None,
            pinned => pinned?,
        };
        // Whoever comes while this is under way, or after it died, finds what has not arrived and brings it along.
        self.world.pin.write(&settings.machine, Pinned { storage: to, moving: true })?;
        let (moved, left) = self.move_each(to);
        let Some(first) = left.first() else {
            self.world.pin.write(&settings.machine, to)?;
            return Ok(Outcome::Relocated(Relocated { to, moved }));
        };
        if moved == 0 {
            match pinned {
                Some(pinned) => self.world.pin.write(&settings.machine, pinned)?,
                None => self.world.pin.clear(&self.world.settings.machine)?,
            }
        }
        let rest =
            if moved == 0 { "" } else { "; new ones are kept there now, and moving again brings the rest" };
        let counted = format!("{moved} moved to {}, {} not{rest}: {}", to.words(), left.len(), first.message);
        Err(Failure { message: counted, ..first.clone() })
    }

    /// Moves them one by one: how many were moved, and what stood in the way of the others.
    fn move_each(&self, to: Storage) -> (usize, Vec<Failure>) {
        let (mut moved, mut left) = (0, Vec::new());
        // Looked up once the pin is written: who wrote before is found here, and who writes after sees the pin.
        let names = self.names_in(to.other()).unwrap_or_else(|failure| {
            left.push(failure);
            Vec::new()
        });
        // And what is there already, for what a move the other way may have left beside it.
        let there = self.names_in(to).unwrap_or_default();
        for name in names.iter().chain(there.iter().filter(|name| !names.contains(name))) {
            // Items that have a lock each are opened before ours is taken.
            let opened = self.awake(|| match self.living(name, to) {
                Err(locked @ store::Error::Locked(_)) => Err(locked.into()),
                _ => Ok(()),
            });
            match opened.and_then(|()| self.relocate(name, to)) {
                Ok(Some(_)) => moved += 1,
                Ok(None) => {}
                Err(failure) => left.push(failure),
            }
        }
        (moved, left)
    }

    /// Every session in a backend that is not marked erased, and what the index knows there: none where the
    /// backend cannot be reached and nothing is known to be in it.
    fn names_in(&self, storage: Storage) -> Result<Vec<SessionName>, Failure> {
        let known = self.world.index.all()?.entries.into_iter().filter(|entry| entry.storage == storage);
        let mut names: Vec<SessionName> = known.map(|entry| entry.name).collect();
        match self.awake(|| self.search_backend(storage)) {
            Ok(found) => names.extend(found.into_iter().map(|entry| entry.name)),
            // What cannot be looked into, and nothing is known to be in, keeps nobody from leaving it.
            Err(failure) if names.is_empty() && is_out_of_reach(&failure) => {}
            Err(failure) => return Err(failure),
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// Why nothing was moved: the remedy is another than for a call that only wants a place to keep a token.
fn nothing_moved(failure: Failure) -> Failure {
    if !is_out_of_reach(&failure) {
        return failure;
    }
    let hint = "nothing was moved; make it answer, see `claviger doctor`, and move again";
    Failure { hint: hint.to_owned(), ..failure }
}

fn two_copies(name: &SessionName) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("{} is in both backends", name.words()),
        "`claviger doctor` shows both, and with --fix keeps the newer one",
    )
}

fn is_out_of_reach(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::StoreUnavailable | Code::StoreLocked | Code::StoreDenied | Code::StoreTimeout
    )
}
