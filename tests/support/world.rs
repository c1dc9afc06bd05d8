//! The program in one process, against a keyring in memory, a scripted server and a clock that is set by hand.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use claviger::clock::Clock;
use claviger::dialect::{Call, Rendered, Verb};
use claviger::engine::World;
use claviger::http::{Error, Get, Http, Post, Reply};
use claviger::lock::{Guard, KeepUntilExit};
use claviger::message::{Manner, Request};
use claviger::refresh::turn::Locks;
use claviger::session::{SlotName, Storage};
use claviger::settings::{Command, Invocation};
use claviger::store::{self, Backend, index::Index, mode::Pin, plaintext::Plaintext};
use claviger::time::Timestamp;
use claviger::worker::{Ended, Worker};

use super::faults::{Faulty, Plan};

pub type Slots = BTreeMap<String, Vec<u8>>;
type Change = Box<dyn FnOnce(&mut Slots)>;

/// When something is to happen to a keyring behind the program's back.
enum When {
    /// After so many reads.
    Reads(usize),
    /// At the first read while a lock file lies in this folder: under the lock, as another process without it.
    Locked(PathBuf),
}

/// What state a keyring is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    #[default]
    Open,
    /// There is none.
    Unreachable,
    /// It is locked, and nobody unlocks it.
    Locked,
    /// It is locked, and whoever is asked unlocks it.
    Opens,
    /// It is locked, and whoever is asked says no.
    Dismissed,
    /// It never answers.
    Hangs,
    /// It says no.
    Refuses,
}

/// A keyring that is a map, and that can be told to misbehave.
#[derive(Default)]
pub struct Memory {
    pub slots: Rc<RefCell<Slots>>,
    /// Calls of every kind.
    pub calls: Cell<usize>,
    pub reads: Cell<usize>,
    pub writes: Cell<usize>,
    pub refresh_reads: Cell<usize>,
    pending: RefCell<Option<(When, Change)>>,
    denied: RefCell<Option<String>>,
    denials: Cell<usize>,
    spared: Cell<usize>,
    forgetful: RefCell<Option<String>>,
    pub mood: Cell<Mood>,
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

    fn in_mood(&self) -> Result<(), store::Error> {
        self.calls.set(self.calls.get() + 1);
        match self.mood.get() {
            Mood::Open => Ok(()),
            Mood::Unreachable => Err(store::Error::Unavailable {
                storage: Storage::Keyring,
                why: "no Secret Service is running".to_owned(),
            }),
            Mood::Locked | Mood::Opens | Mood::Dismissed => {
                Err(store::Error::Locked(store::Unlock::NotAsked))
            }
            Mood::Hangs => Err(store::Error::Timeout { seconds: 3 }),
            Mood::Refuses => Err(store::Error::Denied { why: "D-Bus says access denied".to_owned() }),
        }
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
        self.in_mood()
    }

    fn read(&self, slot: &SlotName) -> Result<Option<store::Value>, store::Error> {
        self.in_mood()?;
        self.happen(false);
        self.reads.set(self.reads.get() + 1);
        if slot.as_str().ends_with("/refresh") {
            self.refresh_reads.set(self.refresh_reads.get() + 1);
        }
        let found = self.slots.borrow().get(slot.as_str()).map(|bytes| bytes.clone().into());
        self.happen(true);
        Ok(found)
    }

    fn write(&self, slot: &SlotName, value: &store::Value) -> Result<(), store::Error> {
        self.in_mood()?;
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
        self.in_mood()?;
        self.writes.set(self.writes.get() + 1);
        Ok(self.slots.borrow_mut().remove(slot.as_str()).is_some())
    }

    fn unlock(&self) -> Result<(), store::Error> {
        match self.mood.get() {
            Mood::Opens => {
                self.mood.set(Mood::Open);
                Ok(())
            }
            Mood::Dismissed => Err(store::Error::Locked(store::Unlock::Dismissed)),
            Mood::Locked => Err(store::Error::Locked(store::Unlock::Unanswered { seconds: 60 })),
            _ => self.in_mood(),
        }
    }

    fn label(&self, slot: &SlotName) -> String {
        slot.as_str().to_owned()
    }

    fn labels(&self) -> Result<Vec<String>, store::Error> {
        self.in_mood()?;
        Ok(self.slots.borrow().keys().cloned().collect())
    }

    fn peek(&self, label: &str) -> Result<Option<store::Value>, store::Error> {
        self.in_mood()?;
        Ok(self.slots.borrow().get(label).map(|bytes| bytes.clone().into()))
    }

    fn discard(&self, label: &str) -> Result<bool, store::Error> {
        self.in_mood()?;
        Ok(self.slots.borrow_mut().remove(label).is_some())
    }

    fn access_values(&self) -> Result<Vec<store::Value>, store::Error> {
        self.in_mood()?;
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

/// No process but this one: every refresh is carried out here.
pub struct Nobody;

impl Worker for Nobody {
    fn carry_out(&self, _: &Guard, _: &[u8], _: Option<Duration>) -> Ended {
        Ended::NotDone
    }
}

/// Another process that does not come to its end while its caller waits.
pub struct Slow;

impl Worker for Slow {
    fn carry_out(&self, _: &Guard, _: &[u8], patience: Option<Duration>) -> Ended {
        if patience.is_some() { Ended::Late } else { Ended::NotDone }
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

impl Script {
    fn next(&self) -> Result<Reply, Error> {
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

impl Http for Script {
    fn post(&self, post: &Post) -> Result<Reply, Error> {
        let authorization =
            post.authorization.as_ref().map_or_else(String::new, |header| format!("{} ", header.as_str()));
        let sent = format!("{authorization}{}", post.body.as_str());
        self.sent.borrow_mut().push((post.endpoint.as_str().to_owned(), sent));
        self.next()
    }

    fn get(&self, get: &Get) -> Result<Reply, Error> {
        let authorization = get.authorization.as_ref().map_or("", |header| header.as_str());
        self.sent.borrow_mut().push((get.endpoint.as_str().to_owned(), format!("GET {authorization}")));
        match self.next() {
            Ok(reply) if reply.body.len() > get.limit => Err(Error::TooLarge),
            next => next,
        }
    }
}

/// Everything a call needs, kept from one call to the next.
pub struct Machine {
    pub folder: tempfile::TempDir,
    pub keyring: Memory,
    pub server: Script,
    pub clock: Hands,
    pub variables: RefCell<Vec<(String, String)>>,
    /// What was said to people ahead of the reply.
    pub told: RefCell<Vec<String>>,
    /// Both backends keep their locks in one folder, as where nothing moves the state folder from its usual place.
    pub one_folder: Cell<bool>,
    /// Whoever has a deadline does not see the end of a refresh.
    pub slow: Cell<bool>,
    /// What goes wrong in the next calls, in either backend.
    pub plan: RefCell<Option<Rc<Plan>>>,
}

impl Machine {
    pub fn new(clock: &str) -> Self {
        let named = tempfile::Builder::new().prefix("claviger-world-").tempdir();
        Self::within(named.expect("a temporary folder"), clock)
    }

    /// One that waits for no disk, where there is a place for that: for whoever makes thousands.
    pub fn in_memory(clock: &str) -> Self {
        let named = tempfile::Builder::new().prefix("claviger-world-").tempdir_in("/dev/shm");
        named
            .ok()
            .filter(|_| cfg!(unix))
            .map_or_else(|| Self::new(clock), |folder| Self::within(folder, clock))
    }

    fn within(folder: tempfile::TempDir, clock: &str) -> Self {
        let (keyring, server) = (Memory::default(), Script::default());
        Self {
            folder,
            keyring,
            server,
            clock: Hands::at(clock),
            variables: RefCell::default(),
            told: RefCell::default(),
            plan: RefCell::default(),
            one_folder: Cell::default(),
            slow: Cell::default(),
        }
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
        self.serve(&self.keyring, Command::Protocol(Call::Native(verb)), storage, input)
    }

    /// Serves a command line, a tool's or a person's, as the binary would.
    pub fn by(&self, words: &str, input: &str) -> Rendered {
        let invoked = ["claviger"].into_iter().chain(words.split_whitespace()).map(OsString::from);
        match claviger::settings::invocation(invoked) {
            Ok(invocation) => self.serve(&self.keyring, invocation.command, None, input.as_bytes()),
            Err(usage) => usage.rendered(),
        }
    }

    /// Serves a person's request, with the reply as JSON.
    pub fn people(&self, request: Request) -> Rendered {
        self.serve(&self.keyring, Command::People { request, manner: Manner::Json }, None, b"")
    }

    /// Serves one request with this keyring.
    pub fn serve(
        &self,
        keyring: &dyn Backend,
        command: Command,
        storage: Option<&str>,
        input: &[u8],
    ) -> Rendered {
        let environment = |name: &str| -> Option<OsString> {
            if name == "CLAVIGER_HOME" {
                return Some(self.home().as_os_str().to_owned());
            }
            // Where the system keeps the machine's name.
            if cfg!(windows) && name == "COMPUTERNAME" {
                return Some(super::machine().into());
            }
            self.variables.borrow().iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
        };
        let invocation = Invocation { command, storage: storage.map(str::to_owned) };
        let input = |_| claviger::terminal::read_bounded(input, claviger::limits::REQUEST_BYTES);
        claviger::run(invocation, input, &environment, |settings, serve| {
            let keep = KeepUntilExit::default();
            let locks = Locks {
                keyring: Some(if self.one_folder.get() {
                    settings.state.join("locks")
                } else {
                    self.locks()
                }),
                plaintext: settings.state.join("locks"),
                keep,
                patience: settings.timeouts.lock,
            };
            let files = Plaintext::new(&settings.state);
            let plan = self.plan.borrow().clone();
            serve(&World {
                settings,
                keyring: &Faulty { backend: keyring, plan: plan.as_deref() },
                plaintext: &Faulty { backend: &files, plan: plan.as_deref() },
                index: &Index::new(&settings.state),
                pin: &Pin::new(&settings.state),
                http: &self.server,
                clock: &self.clock,
                locks: &locks,
                worker: if self.slow.get() { &Slow } else { &Nobody },
                tell: &|line| self.told.borrow_mut().push(line.to_owned()),
                event: &|_| (),
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
