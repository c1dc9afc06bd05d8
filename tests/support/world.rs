//! The program in one process, against a keyring in memory, a scripted server and a clock that is set by hand.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use claviger::clock::Clock;
use claviger::dialect::{Dialect, Rendered, Verb};
use claviger::engine::World;
use claviger::http::{Error, Http, Post, Reply};
use claviger::lock::KeepUntilExit;
use claviger::refresh::turn::Locks;
use claviger::session::{SlotName, Storage};
use claviger::settings::Invocation;
use claviger::store::{self, Backend, index::Index, mode::Pin, plaintext::Plaintext};
use claviger::time::Timestamp;

/// A keyring that is a map.
#[derive(Default)]
pub struct Memory {
    pub slots: RefCell<BTreeMap<String, Vec<u8>>>,
    pub reads: Cell<usize>,
    pub writes: Cell<usize>,
    after: RefCell<Option<(usize, Change)>>,
    denied: RefCell<Option<String>>,
}

type Slots = BTreeMap<String, Vec<u8>>;
type Change = Box<dyn FnOnce(&mut Slots)>;

impl Memory {
    /// From now on writes to this slot fail.
    pub fn deny(&self, slot: String) {
        *self.denied.borrow_mut() = Some(slot);
    }

    /// Lets another process change the slots once this one has read so often.
    pub fn after_reads(&self, reads: usize, change: impl FnOnce(&mut Slots) + 'static) {
        *self.after.borrow_mut() = Some((self.reads.get() + reads, Box::new(change)));
    }
}

impl Backend for Memory {
    fn storage(&self) -> Storage {
        Storage::Keyring
    }

    fn reach(&self) -> Result<(), store::Error> {
        Ok(())
    }

    fn read(&self, slot: &SlotName) -> Result<Option<store::Value>, store::Error> {
        self.reads.set(self.reads.get() + 1);
        let found = self.slots.borrow().get(slot.as_str()).map(|bytes| bytes.clone().into());
        if self.after.borrow().as_ref().is_some_and(|(reads, _)| *reads == self.reads.get())
            && let Some((_, change)) = self.after.borrow_mut().take()
        {
            change(&mut self.slots.borrow_mut());
        }
        Ok(found)
    }

    fn write(&self, slot: &SlotName, value: &store::Value) -> Result<(), store::Error> {
        self.writes.set(self.writes.get() + 1);
        if self.denied.borrow().as_deref() == Some(slot.as_str()) {
            return Err(store::Error::Write { what: format!("slot {slot}"), why: "it is denied".to_owned() });
        }
        self.slots.borrow_mut().insert(slot.as_str().to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&self, slot: &SlotName) -> Result<bool, store::Error> {
        self.writes.set(self.writes.get() + 1);
        Ok(self.slots.borrow_mut().remove(slot.as_str()).is_some())
    }

    fn access_values(&self) -> Result<Vec<store::Value>, store::Error> {
        let slots = self.slots.borrow();
        let access = slots.iter().filter(|(name, _)| SlotName::found_access(name).is_some());
        Ok(access.map(|(_, bytes)| bytes.clone().into()).collect())
    }
}

/// A clock that moves only when it is told to, or when somebody waits.
pub struct Hands {
    pub now: Cell<i64>,
    waited: Cell<Duration>,
}

impl Hands {
    pub fn at(text: &str) -> Self {
        Self { now: Cell::new(Timestamp::parse(text).expect("a time").unix()), waited: Cell::default() }
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now.get())
    }

    fn monotonic(&self) -> Duration {
        self.waited.get()
    }

    fn pause(&self, span: Duration) {
        self.waited.set(self.waited.get() + span);
    }
}

/// What a scripted server says next.
pub enum Line {
    Reply { status: u16, content_type: Option<String>, retry_after: Option<String>, body: String },
    Fail(fn() -> Error),
}

/// A server that says its lines in order and remembers what it was sent.
#[derive(Default)]
pub struct Script {
    pub lines: RefCell<VecDeque<Line>>,
    pub sent: RefCell<Vec<(String, String)>>,
}

impl Http for Script {
    fn post(&self, post: &Post) -> Result<Reply, Error> {
        let authorization =
            post.authorization.as_ref().map_or_else(String::new, |header| format!("{} ", header.as_str()));
        let sent = format!("{authorization}{}", post.form.as_str());
        self.sent.borrow_mut().push((post.endpoint.as_str().to_owned(), sent));
        match self.lines.borrow_mut().pop_front() {
            Some(Line::Reply { status, content_type, retry_after, body }) => {
                Ok(Reply { status, content_type, retry_after, body: body.into_bytes().into() })
            }
            Some(Line::Fail(error)) => Err(error()),
            None => Err(Error::Unsent("the server has no more lines".to_owned())),
        }
    }
}

/// Everything a call needs, kept from one call to the next.
pub struct Machine {
    pub folder: tempfile::TempDir,
    pub keyring: Memory,
    pub server: Script,
    pub clock: Hands,
    pub variables: Vec<(String, String)>,
}

impl Machine {
    pub fn new(clock: &str) -> Self {
        let folder =
            tempfile::Builder::new().prefix("claviger-world-").tempdir().expect("a temporary folder");
        let (keyring, server) = (Memory::default(), Script::default());
        Self { folder, keyring, server, clock: Hands::at(clock), variables: Vec::new() }
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// Serves one request as the binary would.
    pub fn call(&self, verb: Verb, storage: Option<&str>, input: &[u8]) -> Rendered {
        let environment = |name: &str| -> Option<OsString> {
            if name == "CLAVIGER_HOME" {
                return Some(self.home().as_os_str().to_owned());
            }
            self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
        };
        let invocation = Invocation { dialect: Dialect::Native, verb, storage: storage.map(str::to_owned) };
        let input = claviger::terminal::read_bounded(input, claviger::limits::REQUEST_BYTES);
        claviger::run(invocation, input, &environment, |settings, serve| {
            let keep = KeepUntilExit::default();
            let locks = Locks {
                keyring: Some(self.home().join("locks-keyring")),
                plaintext: settings.state.join("locks"),
                keep,
                patience: settings.timeouts.lock,
            };
            serve(&World {
                settings,
                keyring: &self.keyring,
                plaintext: &Plaintext::new(&settings.state),
                index: &Index::new(&settings.state),
                pin: &Pin::new(&settings.state),
                http: &self.server,
                clock: &self.clock,
                locks: &locks,
            });
        })
    }

    /// A slot's value as JSON, wherever it lies.
    pub fn slot(&self, name: &str) -> Option<serde_json::Value> {
        let digest = claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(name));
        let file = std::fs::read(self.home().join("slots").join(digest)).ok();
        let bytes = self.keyring.slots.borrow().get(name).cloned().or(file)?;
        Some(serde_json::from_slice(&bytes).expect("a slot holds JSON"))
    }
}
