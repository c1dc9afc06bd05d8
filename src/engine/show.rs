//! `storage show`: where sessions are kept on this machine, who decided it, and whether it answers.

use super::Call;
use crate::message::{Code, Failure, Outcome, Shown};
use crate::session::Storage;
use crate::store::mode::{Choice, Source};
use crate::store::probe;

impl Call<'_> {
    pub(super) fn show_storage(&self) -> Result<Outcome, Failure> {
        let (mode, decided_by) = if let Some(Choice::Nothing(nothing)) = self.world.settings.chosen {
            (None, nothing.source())
        } else {
            let mode = self.mode()?;
            (Some(mode), mode.source)
        };
        // Nobody is asked to unlock anything for the sake of a look.
        let keyring = probe::read_probe(self.world.keyring).map_err(Failure::from).err();
        let unreachable = keyring.as_ref().is_some_and(|failure| failure.code == Code::StoreUnavailable);
        let in_use = mode.map(|mode| {
            if mode.source == Source::Default && unreachable { Storage::Plaintext } else { mode.storage }
        });
        let pinned = self.world.pin.read(&self.world.settings.machine)?;
        let (entries, _) = self.world.index.all()?.or_damage();
        let count = |storage| (storage, entries.iter().filter(|entry| entry.storage == storage).count());
        Ok(Outcome::Shown(Box::new(Shown {
            storage: mode.map(|mode| mode.storage),
            decided_by: decided_by.to_string(),
            in_use,
            pin: pinned.map(|pinned| pinned.storage),
            moving: pinned.is_some_and(|pinned| pinned.moving),
            keyring,
            state: self.world.settings.state_words(),
            sessions: [count(Storage::Keyring), count(Storage::Plaintext)],
        })))
    }
}
