//! Moving every session of this machine: the pin first, then one after another.
//!
//! Whoever comes while this is under way, or after it died, finds by the pin that what is not here yet may still be
//! there, and brings it along (`relocate.rs`).

use super::Call;
use crate::message::{Code, Failure, Outcome, Relocated};
use crate::session::{SessionName, SlotName, Storage};
use crate::store::mode::{Choice, Nothing, Pinned};
use crate::store::{self, Piece, probe};

impl Call<'_> {
    /// Moves every session of this machine into one backend, and pins it first: what cannot be pinned is not moved.
    pub(super) fn move_all(&self, to: Storage) -> Result<Outcome, Failure> {
        let settings = self.world.settings;
        for choice in [settings.chosen, settings.standing].into_iter().flatten() {
            match choice {
                Choice::Nothing(nothing) => return Err(contradicts(nothing)),
                Choice::Kept(chosen) if chosen.storage != to => {
                    return Err(contradiction(format!(
                        "{} says {}, and would not look into {}",
                        chosen.source,
                        chosen.storage,
                        to.words()
                    )));
                }
                Choice::Kept(_) => {}
            }
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
                // It is there already, and what cannot be looked into has nothing of it that is known.
                Err(failure) if !names.contains(name) && is_out_of_reach(&failure) => {}
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

fn is_out_of_reach(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::StoreUnavailable | Code::StoreLocked | Code::StoreDenied | Code::StoreTimeout
    )
}

/// What keeps nothing would look into no storage.
pub(super) fn contradicts(nothing: Nothing) -> Failure {
    contradiction(format!("{} says none, and would keep nothing anywhere", nothing.source()))
}

fn contradiction(message: String) -> Failure {
    Failure::new(Code::Conflict, message, "change that first; nothing was moved")
}
