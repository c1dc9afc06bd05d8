//! The program in one process, against a keyring in memory, a scripted server and a clock that is set by hand.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
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

pub type Slots = BTreeMap<String, Vec<u8>>;
type Change = Box<dyn FnOnce(&mut Slots)>;

/// When something is to happen to a keyring behind the program's back.
enum When {
    /// After so many reads.
    Reads(usize),
    /// At the first read while a lock file lies in this folder: under the lock, as another process without it.
    Locked(PathBuf),
}

/// A keyring that is a map, and that can be told to misbehave.
#[derive(Default)]
pub struct Memory {
    pub slots: Rc<RefCell<Slots>>,
    pub reads: Cell<usize>,
    pub writes: Cell<usize>,
    pending: RefCell<Option<(When, Change)>>,
    denied: RefCell<Option<String>>,
    denials: Cell<usize>,
    spared: Cell<usize>,
    forgetful: RefCell<Option<String>>,
}

impl Memory {
    /// From now on writes to this slot fail.
    pub fn deny(&self, slot: String) {
        self.deny_for(slot, usize::MAX);
    }

    /// The next writes to this slot fail.
    pub fn deny_for(&self, slot: String, writes: usize) {
        *self.denied.borrow_mut() = Some(slot);
        self.denials.set(writes);
    }

    /// The next write to this slot works, and the ones after it fail.
    pub fn deny_after_next(&self, slot: String, writes: usize) {
        self.deny_for(slot, writes);
        self.spared.set(1);
    }

    /// From now on writes to this slot succeed and keep nothing.
    pub fn forget(&self, slot: String) {
        *self.forgetful.borrow_mut() = Some(slot);
    }

    /// Lets another process change the slots once this one has read so often.
    pub fn after_reads(&self, reads: usize, change: impl FnOnce(&mut Slots) + 'static) {
        *self.pending.borrow_mut() = Some((When::Reads(self.reads.get() + reads), Box::new(change)));
    }

    /// Changes the slots just before the first read under the lock.
    pub fn once_locked(&self, locks: PathBuf, change: impl FnOnce(&mut Slots) + 'static) {
        *self.pending.borrow_mut() = Some((When::Locked(locks), Box::new(change)));
    }

    fn happen(&self, after_read: bool) {
        let due = match self.pending.borrow().as_ref() {
            Some((When::Reads(reads), _)) => after_read && *reads == self.reads.get(),
            Some((When::Locked(folder), _)) => {
                !after_read && folder.exists() && !super::files_below(folder).is_empty()
            }
            None => false,
        };
        if due && let Some((_, change)) = self.pending.borrow_mut().take() {
            change(&mut self.slots.borrow_mut());
        }
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
        self.happen(false);
        self.reads.set(self.reads.get() + 1);
        let found = self.slots.borrow().get(slot.as_str()).map(|bytes| bytes.clone().into());
        self.happen(true);
        Ok(found)
    }

    fn write(&self, slot: &SlotName, value: &store::Value) -> Result<(), store::Error> {
        self.writes.set(self.writes.get() + 1);
        if self.denied.borrow().as_deref() == Some(slot.as_str()) && self.spared.get() > 0 {
            self.spared.set(self.spared.get() - 1);
        } else if self.denied.borrow().as_deref() == Some(slot.as_str()) && self.denials.get() > 0 {
            self.denials.set(self.denials.get() - 1);
            return Err(store::Error::Write { what: format!("slot {slot}"), why: "it is denied".to_owned() });
        }
        if self.forgetful.borrow().as_deref() != Some(slot.as_str()) {
            self.slots.borrow_mut().insert(slot.as_str().to_owned(), value.to_vec());
        }
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
    pub waited: Cell<Duration>,
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
    meanwhile: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl Script {
    /// Something that happens while the server thinks.
    pub fn meanwhile(&self, happen: impl FnOnce() + 'static) {
        *self.meanwhile.borrow_mut() = Some(Box::new(happen));
    }
}

impl Http for Script {
    fn post(&self, post: &Post) -> Result<Reply, Error> {
        let authorization =
            post.authorization.as_ref().map_or_else(String::new, |header| format!("{} ", header.as_str()));
        let sent = format!("{authorization}{}", post.form.as_str());
        self.sent.borrow_mut().push((post.endpoint.as_str().to_owned(), sent));
        if let Some(happen) = self.meanwhile.borrow_mut().take() {
            happen();
        }
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

    /// Where the locks of keyring sessions lie.
    pub fn locks(&self) -> PathBuf {
        self.home().join("locks-keyring")
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
                keyring: Some(self.locks()),
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
