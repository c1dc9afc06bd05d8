//! Waiting for one's turn: the one loop that waits for a lock, for a refresh as for a store or an erase.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Clock;
use crate::lock::{self, Attempt, Guard, KeepUntilExit, Look};
use crate::session::{SlotName, Storage};

/// Where locks lie. Their scope is the secret's: keyring sessions per OS user, plaintext sessions beside
/// their slots.
pub struct Locks {
    /// The folder for keyring sessions; `None`: asked of the system, and only when it is needed.
    pub keyring: Option<PathBuf>,
    /// The folder for plaintext sessions.
    pub plaintext: PathBuf,
    /// Set when a keyring call may still land.
    pub keep: KeepUntilExit,
    /// How long to wait for another process.
    pub patience: Duration,
}

/// What happened while we waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Somebody else holds the lock; we have not waited yet.
    Busy,
    /// The holder let go: the store has news.
    Released,
    /// Our patience has ended; a last look at the store.
    Deadline,
}

/// How the wait ended.
pub enum Turn<T> {
    /// It is our turn.
    Mine(Guard),
    /// It turned out that we need no turn.
    Answered(T),
    /// Our patience ended.
    TimedOut,
}

/// Between two looks, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl Locks {
    pub(super) fn folder(&self, storage: Storage) -> Result<PathBuf, lock::Error> {
        match (storage, &self.keyring) {
            (Storage::Plaintext, _) => Ok(self.plaintext.clone()),
            (Storage::Keyring, Some(folder)) => Ok(folder.clone()),
            (Storage::Keyring, None) => lock::user_folder(),
        }
    }

    /// Whether both backends keep their locks in one folder, as they do where nothing moves the state folder from its
    /// usual place. Asked once the keyring's lock is held: its folder is there then, and one that is not is another.
    pub fn are_one(&self) -> Result<bool, lock::Error> {
        let (keyring, plaintext) = (self.folder(Storage::Keyring)?, self.folder(Storage::Plaintext)?);
        Ok(keyring == plaintext || lock::are_one_folder(&keyring, &plaintext))
    }

    /// Waits for the lock of a session in a backend. At each [`Moment`] the caller may look at the store
    /// and find that it needs the lock no more.
    pub fn take<T, E: From<lock::Error>>(
        &self,
        slot: &SlotName,
        storage: Storage,
        clock: &dyn Clock,
        mut at: impl FnMut(Moment) -> Result<Option<T>, E>,
    ) -> Result<Turn<T>, E> {
        let folder = self.folder(storage)?;
        let deadline = clock.monotonic() + self.patience;
        let mut pause = FIRST_PAUSE;
        let mut first = true;
        loop {
            let mut watch = match attempt(&folder, slot, storage, clock, &self.keep)? {
                Attempt::Held(guard) => return Ok(Turn::Mine(guard)),
                Attempt::Busy(watch) => watch,
            };
            if std::mem::take(&mut first)
                && let Some(answer) = at(Moment::Busy)?
            {
                return Ok(Turn::Answered(answer));
            }
            loop {
                let left = deadline.saturating_sub(clock.monotonic());
                if left.is_zero() {
                    return Ok(at(Moment::Deadline)?.map_or(Turn::TimedOut, Turn::Answered));
                }
                clock.pause(pause.min(left));
                pause = (pause * 2).min(LONGEST_PAUSE);
                match watch.look(clock.now())? {
                    Look::Waiting(still) => watch = still,
                    Look::Held(guard) => return Ok(Turn::Mine(guard)),
                    Look::Gone => break,
                }
            }
            if let Some(answer) = at(Moment::Released)? {
                return Ok(Turn::Answered(answer));
            }
            pause = FIRST_PAUSE;
        }
    }

    /// Takes over the lock that another process of ours holds and has handed on.
    pub fn take_over(
        &self,
        file: File,
        slot: &SlotName,
        storage: Storage,
        clock: &dyn Clock,
    ) -> Result<Guard, lock::Error> {
        lock::take_over(file, &self.folder(storage)?, slot, storage, clock.now(), &self.keep)
    }

    /// Tries once, without waiting.
    pub fn attempt(
        &self,
        slot: &SlotName,
        storage: Storage,
        clock: &dyn Clock,
    ) -> Result<Attempt, lock::Error> {
        attempt(&self.folder(storage)?, slot, storage, clock, &self.keep)
    }
}

fn attempt(
    folder: &Path,
    slot: &SlotName,
    storage: Storage,
    clock: &dyn Clock,
    keep: &KeepUntilExit,
) -> Result<Attempt, lock::Error> {
    lock::try_acquire(folder, slot, storage, clock.now(), keep)
}
