//! What sessions stand on: the keyring, the files, the locks; tried as a real call would use them.

use super::{Call, Chart};
use crate::error;
use crate::lock::Attempt;
use crate::message::{Code, Failure, Health};
use crate::session::Storage;
use crate::store::files::Folder;
use crate::store::mode::{Mode, Source};
use crate::store::probe;
use crate::time::Timestamp;

use super::mend::Remedy;

/// A temporary file older than this, in seconds, belongs to a writer that will not come back.
const OLD: i64 = 86_400;

impl Call<'_> {
    /// Writes, reads back and deletes in each backend that matters; gives those that can be used.
    pub(super) fn examine_backends(&self, mode: Mode, chart: &mut Chart) -> Vec<Storage> {
        let mut usable = Vec::new();
        let in_use = mode.storage == Storage::Keyring;
        let tried = if in_use {
            self.awake(|| self.write_probe(Storage::Keyring))
        } else {
            // One that is not in use is asked nothing that could raise a question, and given nothing.
            probe::read_probe(self.backend(Storage::Keyring)).map_err(Failure::from)
        };
        match tried {
            Ok(()) => {
                let message = if in_use {
                    "it keeps what it is given, gives it back and deletes it"
                } else {
                    "it answers; it is not in use"
                };
                chart.good("keyring", message);
                usable.push(Storage::Keyring);
            }
            Err(failure) => keyring_failed(mode, failure, self.sessions_known_in_keyring(), chart),
        }
        let in_use = mode.storage == Storage::Plaintext
            || (mode.source == Source::Default && usable.is_empty())
            || self.world.settings.state.join("slots").exists();
        if in_use {
            match self.write_probe(Storage::Plaintext) {
                Ok(()) => {
                    chart.good("files", format!("slots are kept in {}", self.world.settings.state_words()));
                    usable.push(Storage::Plaintext);
                }
                Err(failure) => chart.problem("files", failure.message, failure.hint),
            }
        }
        match self.world.index.write_probe() {
            Ok(()) => {
                chart.good("index", format!("it can be written in {}", self.world.settings.state_words()));
            }
            Err(error) => {
                let failure = error::of_store(&error);
                chart.problem("index", failure.message, failure.hint);
            }
        }
        usable
    }

    fn sessions_known_in_keyring(&self) -> usize {
        // An index that cannot be read is told of by itself.
        let entries = self.world.index.all().unwrap_or_default().entries;
        entries.iter().filter(|entry| entry.storage == Storage::Keyring).count()
    }

    fn write_probe(&self, storage: Storage) -> Result<(), Failure> {
        Ok(probe::write_probe(self.backend(storage), self.world.clock.now())?)
    }

    /// Takes and releases a lock of its own name: a file system that gives it twice excludes nobody.
    pub(super) fn examine_locks(&self, usable: &[Storage], chart: &mut Chart) {
        for storage in usable {
            let taken = probe::random_slot().map_err(Failure::from).and_then(|slot| {
                let attempt = self.world.locks.attempt(&slot, *storage, self.world.clock);
                attempt.map_err(|error| error::of_lock(&error))
            });
            match taken {
                Ok(Attempt::Held(_guard)) => {
                    chart.good("locks", format!("the locks of {} exclude a second writer", storage.words()));
                }
                Ok(Attempt::Busy(_)) => chart.problem(
                    "locks",
                    format!("a lock of {} that nobody can hold is held", storage.words()),
                    "see which process holds it",
                ),
                Err(failure) => chart.problem("locks", failure.message, failure.hint),
            }
        }
    }

    /// Temporary files whose writers were killed. Young ones may belong to somebody alive.
    pub(super) fn examine_litter(&self, chart: &mut Chart) {
        let now: Timestamp = self.world.clock.now();
        for name in ["slots", "index", "defaults", "pin", "locks"] {
            let folder = Folder::new(&self.world.settings.state, name);
            match folder.litter() {
                Ok(litter) => {
                    for file in litter.into_iter().filter(|file| now.since(file.modified) > OLD) {
                        let message = format!("{name}/{} was left behind at {}", file.name, file.modified);
                        chart.mendable("litter", message, Remedy::Sweep { folder: name, file: file.name });
                    }
                }
                Err(error) => {
                    let failure = error::of_store(&error);
                    chart.put("litter", Health::Problem, failure.message, failure.hint, None);
                }
            }
        }
    }
}

/// Bad where it is in use or sessions are known to be in it; where nobody chose it and it is not there, files serve;
/// else only worth knowing.
fn keyring_failed(mode: Mode, mut failure: Failure, known: usize, chart: &mut Chart) {
    match (mode.storage, mode.source) {
        (Storage::Plaintext, _) => {
            return chart.note("keyring", failure.message, "it is not in use; nothing is to be done");
        }
        (Storage::Keyring, Source::Default) if failure.code == Code::StoreUnavailable && known == 0 => {
            failure.message.push_str(
                "; as nobody chose it, the next store keeps tokens in plaintext files, and says so",
            );
            return chart.note("keyring", failure.message, failure.hint);
        }
        (Storage::Keyring, _) => {}
    }
    if known > 0 {
        failure.message = format!("{}; {known} known sessions are in it", failure.message);
    }
    chart.problem("keyring", failure.message, failure.hint);
}
