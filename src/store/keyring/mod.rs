//! The operating system's keyring, behind a deadline that holds even when its library never returns.
//!
//! One worker thread owns the one connection; calls go to it in turn. A call past its deadline is never
//! followed by another: it may still land, so the locks held are kept until the process ends.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "native.rs"]
mod platform;

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

pub use platform::Access;

use super::{Backend, Error, Value};
use crate::lock::KeepUntilExit;
use crate::session::{SlotName, Storage};

/// What slots are called in a keyring; with the slot's own name it is the whole of an item's identity.
pub const SERVICE: &str = "claviger";

/// The keyring of this user.
pub struct Keyring {
    access: Access,
    deadline: Duration,
    keep: KeepUntilExit,
    worker: RefCell<Worker>,
}

enum Worker {
    Idle,
    Running { calls: Sender<Call>, answers: Receiver<Answer> },
    Stuck,
}

enum Call {
    Read(SlotName),
    Write(SlotName, Value),
    Delete(SlotName),
    AccessValues,
}

enum Answer {
    Value(Result<Option<Value>, Error>),
    Written(Result<(), Error>),
    Deleted(Result<bool, Error>),
    Values(Result<Vec<Value>, Error>),
}

impl Answer {
    fn timed_out(&self) -> bool {
        let error = match self {
            Self::Value(result) => result.as_ref().err(),
            Self::Written(result) => result.as_ref().err(),
            Self::Deleted(result) => result.as_ref().err(),
            Self::Values(result) => result.as_ref().err(),
        };
        matches!(error, Some(Error::Timeout { .. }))
    }
}

impl Keyring {
    /// A keyring reached by `access`, each call of which may take `deadline`. Nothing is touched yet.
    #[must_use]
    pub fn new(access: Access, deadline: Duration, keep: KeepUntilExit) -> Self {
        Self { access, deadline, keep, worker: RefCell::new(Worker::Idle) }
    }

    fn ask(&self, call: Call) -> Result<Answer, Error> {
        self.reach()?;
        let mut worker = self.worker.borrow_mut();
        if matches!(*worker, Worker::Idle) {
            *worker = start(self.access.clone(), self.deadline)?;
        }
        let Worker::Running { calls, answers } = &*worker else { return Err(self.timed_out()) };
        if calls.send(call).is_err() {
            return Err(gone());
        }
        match answers.recv_timeout(self.deadline) {
            Ok(answer) if !answer.timed_out() => Ok(answer),
            // The library gave up waiting or never came back; either way the call may still land.
            Ok(_) | Err(RecvTimeoutError::Timeout) => {
                self.keep.set();
                *worker = Worker::Stuck;
                Err(self.timed_out())
            }
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    fn timed_out(&self) -> Error {
        Error::Timeout { seconds: self.deadline.as_secs() }
    }
}

fn gone() -> Error {
    Error::Unavailable { storage: Storage::Keyring, why: "its client failed".to_owned() }
}

/// Starts the worker. A library that gives up waiting before our deadline is asked again: reading is
/// harmless, and writing the same value under the same lock is too.
fn start(access: Access, deadline: Duration) -> Result<Worker, Error> {
    let tries = deadline.as_secs().div_ceil(platform::GIVES_UP_AFTER).max(1);
    let (calls, inbox) = channel();
    let (outbox, answers) = channel();
    let serve = move || {
        let _quiet = crate::harden::Uninterrupted::begin();
        let mut session = None;
        for call in inbox {
            let mut answered = answer(&access, &mut session, &call);
            for _ in 1..tries {
                if !answered.timed_out() || matches!(call, Call::Delete(_)) {
                    break;
                }
                answered = answer(&access, &mut session, &call);
            }
            // The cipher of the keyring's session worked on the secret's blocks down there.
            crate::harden::scrub_stack();
            if outbox.send(answered).is_err() {
                return;
            }
        }
    };
    let spawned = std::thread::Builder::new().name("keyring".to_owned()).spawn(serve);
    spawned.map(|_| Worker::Running { calls, answers }).map_err(|error| Error::Unavailable {
        storage: Storage::Keyring,
        why: format!("no thread for it: {error}"),
    })
}

fn answer(access: &Access, session: &mut Option<platform::Session>, call: &Call) -> Answer {
    let with = || match session {
        Some(session) => Ok(session),
        empty => platform::Session::open(access).map(|opened| empty.insert(opened)),
    };
    match call {
        Call::Read(slot) => Answer::Value(with().and_then(|session| session.read(slot))),
        Call::Write(slot, value) => Answer::Written(with().and_then(|session| session.write(slot, value))),
        Call::Delete(slot) => Answer::Deleted(with().and_then(|session| session.delete(slot))),
        Call::AccessValues => Answer::Values(with().and_then(|session| session.access_values())),
    }
}

impl Backend for Keyring {
    fn storage(&self) -> Storage {
        Storage::Keyring
    }

    fn reach(&self) -> Result<(), Error> {
        self.access.check().map_err(|why| Error::Unavailable { storage: Storage::Keyring, why })
    }

    fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error> {
        match self.ask(Call::Read(slot.clone()))? {
            Answer::Value(result) => result,
            Answer::Written(_) | Answer::Deleted(_) | Answer::Values(_) => Err(gone()),
        }
    }

    fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error> {
        match self.ask(Call::Write(slot.clone(), value.clone()))? {
            Answer::Written(result) => result,
            Answer::Value(_) | Answer::Deleted(_) | Answer::Values(_) => Err(gone()),
        }
    }

    fn delete(&self, slot: &SlotName) -> Result<bool, Error> {
        match self.ask(Call::Delete(slot.clone()))? {
            Answer::Deleted(result) => result,
            Answer::Value(_) | Answer::Written(_) | Answer::Values(_) => Err(gone()),
        }
    }

    fn access_values(&self) -> Result<Vec<Value>, Error> {
        match self.ask(Call::AccessValues)? {
            Answer::Values(result) => result,
            Answer::Value(_) | Answer::Written(_) | Answer::Deleted(_) => Err(gone()),
        }
    }
}
