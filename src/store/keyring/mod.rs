//! The operating system's keyring, behind a deadline that holds even when its library never returns.
//!
//! One worker thread owns the one connection; calls go to it in turn. A call past its deadline is never
//! followed by another: it may still land, so the locks held are kept until the process ends.

mod chunks;
mod items;
#[cfg(all(unix, not(target_os = "macos")))]
#[path = "linux.rs"]
mod platform;
#[cfg(any(windows, target_os = "macos"))]
#[path = "native.rs"]
mod platform;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

pub use chunks::Chunked;
pub use items::Items;
pub use platform::Access;

use super::{Backend, Error, Piece, Unlock, Value};
use crate::clock::{Clock as _, SystemClock};
use crate::lock::KeepUntilExit;
use crate::session::{SlotName, Storage};

/// What slots are called in a keyring; with the slot's own name it is the whole of an item's identity.
pub const SERVICE: &str = "claviger";

/// How long a keyring may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One call.
    pub call: Duration,
    /// Somebody who is asked to unlock it; `None`: there is nobody to ask.
    pub unlock: Option<Duration>,
}

/// Makes the connection, on its thread, which it never leaves.
type Open = Arc<dyn Fn() -> Result<Chunked, Error> + Send + Sync>;
/// A call with its own way to answer.
type Job = Box<dyn FnOnce(&mut Option<Chunked>) + Send>;

/// The keyring of this user.
pub struct Keyring {
    unreachable: Option<String>,
    open: Open,
    patience: Patience,
    keep: KeepUntilExit,
    worker: RefCell<Worker>,
    /// Somebody was asked and is there: from then on a call may wait for them too.
    asked: Cell<bool>,
}

enum Worker {
    Idle,
    Running { jobs: Sender<Job>, ended: Receiver<()>, thread: JoinHandle<()> },
    Stuck { seconds: u64 },
}

/// Whether a call that its library gave up may be made again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Reading is harmless, and writing the same value under the same lock is too.
    Yes,
    /// What was deleted may have been made anew since.
    No,
}

impl Keyring {
    /// The system's keyring, reached by `access`. Nothing is touched yet.
    #[must_use]
    pub fn new(access: Access, patience: Patience, keep: KeepUntilExit) -> Self {
        let unreachable = access.check().err();
        let open = move || {
            let session = platform::Session::open(&access, patience)?;
            Ok(Chunked::new(session, platform::VALUE_BYTES))
        };
        let mut keyring = Self::through(open, patience, keep);
        keyring.unreachable = unreachable;
        keyring
    }

    /// A keyring whose connection is made by `open`.
    pub fn through(
        open: impl Fn() -> Result<Chunked, Error> + Send + Sync + 'static,
        patience: Patience,
        keep: KeepUntilExit,
    ) -> Self {
        Self {
            unreachable: None,
            open: Arc::new(open),
            patience,
            keep,
            worker: RefCell::new(Worker::Idle),
            asked: Cell::new(false),
        }
    }

    /// Makes a call on the worker's thread and waits for its answer, but no longer than its deadline.
    fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        again: Again,
        mut call: impl FnMut(&mut Chunked) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.reach()?;
        let tries = match again {
            Again::Yes => patience.as_secs().div_ceil(platform::GIVES_UP_AFTER).max(1),
            Again::No => 1,
        };
        let open = Arc::clone(&self.open);
        let (answer, answered) = channel();
        let job: Job = Box::new(move |connection| {
            let mut result = with(connection, &open, &mut call);
            for _ in 1..tries {
                if !matches!(result, Err(Error::Timeout { .. })) {
                    break;
                }
                result = with(connection, &open, &mut call);
            }
            // The cipher of the keyring's session worked on the secret's blocks down there.
            crate::harden::scrub_stack();
            // Whoever asked may have stopped waiting.
            let _ = answer.send(result);
        });
        let mut worker = self.worker.borrow_mut();
        if matches!(*worker, Worker::Idle) {
            *worker = start()?;
        }
        let jobs = match &*worker {
            Worker::Running { jobs, .. } => jobs,
            Worker::Stuck { seconds } => return Err(Error::Timeout { seconds: *seconds }),
            Worker::Idle => return Err(broken()),
        };
        if jobs.send(job).is_err() {
            *worker = Worker::Idle;
            return Err(broken());
        }
        let begun = SystemClock::start();
        match answered.recv_timeout(patience) {
            // The library gave up waiting or never came back; either way the call may still land.
            Ok(Err(Error::Timeout { .. })) | Err(RecvTimeoutError::Timeout) => {
                self.keep.set();
                let seconds = begun.monotonic().min(patience).as_secs().max(1);
                *worker = Worker::Stuck { seconds };
                Err(Error::Timeout { seconds })
            }
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => {
                *worker = Worker::Idle;
                Err(broken())
            }
        }
    }

    /// The deadline of a call that may put a question to somebody.
    fn with_a_question(&self) -> Duration {
        self.patience.call + self.patience.unlock.unwrap_or_default()
    }

    /// The deadline of a call. Where the system asks whenever an item is touched, it holds the answer too.
    fn call(&self) -> Duration {
        if platform::ASKS_PER_ITEM && self.asked.get() { self.with_a_question() } else { self.patience.call }
    }

    /// The deadline of a deletion, which some keyrings ask about.
    fn deletion(&self) -> Duration {
        if platform::ASKS_TO_DELETE { self.with_a_question() } else { self.call() }
    }
}

impl Drop for Keyring {
    /// Nothing of the keyring is under way when the process ends: its thread has wiped what it held, and no thread's end
    /// comes in between that of the process and its exit status. A library that never returns is not waited for.
    fn drop(&mut self) {
        let Worker::Running { jobs, ended, thread } = self.worker.replace(Worker::Idle) else { return };
        drop(jobs);
        if matches!(ended.recv_timeout(self.patience.call), Err(RecvTimeoutError::Disconnected)) {
            // One that panicked has said so in its answer.
            let _ = thread.join();
        }
    }
}

/// The library panicked over an answer. That is no keyring that cannot be reached: nothing falls back on it.
fn broken() -> Error {
    Error::Damaged {
        piece: Piece::Answer,
        what: "the keyring's answer".to_owned(),
        why: "its client failed over it".to_owned(),
    }
}

fn start() -> Result<Worker, Error> {
    let (jobs, inbox) = channel::<Job>();
    let (ends, ended) = channel::<()>();
    let serve = move || {
        let _quiet = crate::harden::Uninterrupted::begin();
        // Dropped last, and so said when the connection is closed.
        let _ends = ends;
        let mut connection = None;
        for job in inbox {
            job(&mut connection);
        }
    };
    let spawned = std::thread::Builder::new().name("keyring".to_owned()).spawn(serve);
    spawned.map(|thread| Worker::Running { jobs, ended, thread }).map_err(|error| Error::Unavailable {
        storage: Storage::Keyring,
        why: format!("no thread for it: {error}"),
    })
}

fn with<T>(
    connection: &mut Option<Chunked>,
    open: &Open,
    call: &mut impl FnMut(&mut Chunked) -> Result<T, Error>,
) -> Result<T, Error> {
    let slots = match connection.take() {
        Some(slots) => slots,
        None => open()?,
    };
    let result = call(connection.insert(slots));
    if matches!(result, Err(Error::Unavailable { .. } | Error::Failed { .. })) {
        // The service may be another one by now, that knows nothing of our session: the next call opens its own.
        *connection = None;
    }
    result
}

impl Backend for Keyring {
    fn storage(&self) -> Storage {
        Storage::Keyring
    }

    fn reach(&self) -> Result<(), Error> {
        match &self.unreachable {
            None => Ok(()),
            Some(why) => Err(Error::Unavailable { storage: Storage::Keyring, why: why.clone() }),
        }
    }

    fn unlock(&self) -> Result<(), Error> {
        let Some(patience) = self.patience.unlock else { return Err(Error::Locked(Unlock::NotAsked)) };
        match self.ask(patience, Again::No, |slots| slots.items().unlock()) {
            Err(Error::Timeout { seconds }) => Err(Error::Locked(Unlock::Unanswered { seconds })),
            Err(error) => Err(error),
            Ok(()) => {
                self.asked.set(true);
                Ok(())
            }
        }
    }

    fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error> {
        self.peek(slot.as_str())
    }

    fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error> {
        let (slot, value) = (slot.as_str().to_owned(), value.clone());
        self.ask(self.call(), Again::Yes, move |slots| slots.write(&slot, &value))
    }

    fn delete(&self, slot: &SlotName) -> Result<bool, Error> {
        self.discard(slot.as_str())
    }

    fn access_values(&self) -> Result<Vec<Value>, Error> {
        let labels = self.labels()?;
        let access = labels.iter().filter(|label| SlotName::found_access(label).is_some());
        // One that has gone since is no session and no error.
        let read = access.filter_map(|label| match self.peek(label) {
            // Whoever asks for that very session is told.
            Err(Error::Damaged { piece: Piece::Slot, .. } | Error::Newer { .. }) => None,
            read => read.transpose(),
        });
        read.collect()
    }

    fn label(&self, slot: &SlotName) -> String {
        slot.as_str().to_owned()
    }

    fn labels(&self) -> Result<Vec<String>, Error> {
        self.ask(self.call(), Again::Yes, Chunked::slots)
    }

    fn strays(&self) -> Result<Vec<String>, Error> {
        self.ask(self.call(), Again::Yes, Chunked::strays)
    }

    fn peek(&self, label: &str) -> Result<Option<Value>, Error> {
        let label = label.to_owned();
        self.ask(self.call(), Again::Yes, move |slots| slots.read(&label))
    }

    fn discard(&self, label: &str) -> Result<bool, Error> {
        let label = label.to_owned();
        self.ask(self.deletion(), Again::No, move |slots| slots.delete(&label))
    }
}
