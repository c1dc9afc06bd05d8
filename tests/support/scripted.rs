//! A Secret Service of our own, whose habits a test chooses: the keyrings of this world disagree about prompts,
//! locks and attributes, and gnome-keyring shows only one side of each. What it holds, it holds in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _};
use dbus::arg::{PropMap, ReadAll, RefArg, Variant, cast};
use dbus::channel::Channel;
use dbus::strings::{ErrorName, Interface, Member};
use dbus::{Message, MessageType, Path};
use hkdf::Hkdf;
use num_bigint::BigUint;
use sha2::Sha256;

use super::bus::Bus;

/// What the service does otherwise than the plainest service would. Nothing of it, by default.
#[allow(clippy::struct_excessive_bools, reason = "each habit is there or not, whatever the others are")]
#[derive(Clone, Default)]
pub struct Habits {
    /// `CreateItem` gives no item but a prompt, and the prompt gives the item, as `KeePassXC` does.
    pub create_by_prompt: bool,
    /// `Delete` gives a prompt, and the prompt deletes.
    pub delete_by_prompt: bool,
    /// A prompt's `Completed` comes before the answer to `Prompt`, as from a service that asks nobody.
    pub completes_early: bool,
    /// A locked collection shows no item and tells nothing about one, as `KeePassXC` does; gnome-keyring lists
    /// them as locked.
    pub hides_locked: bool,
    /// The collection is locked.
    pub locked: bool,
    /// What an `Unlock` of something locked leads to.
    pub unlock: Unlock,
    /// Each item is locked for each connection that has neither made it nor had it unlocked, as with
    /// `KeePassXC` told to confirm access.
    pub items_locked_per_client: bool,
    /// And of these only the ones whose user name ends so: consent is remembered item by item.
    pub locked_ending: &'static str,
    /// Every item shows attributes that nobody gave it, as the entries of `KeePassXC` do.
    pub extra_attributes: bool,
    /// No collection is called `default`.
    pub no_default_collection: bool,
    /// `CreateItem` and `SetSecret` succeed and change nothing.
    pub forgets: bool,
    /// A new value gives an old item a new object path.
    pub moves_on_replace: bool,
    /// The method, or property, that is answered with this D-Bus error.
    pub refuses: Option<(&'static str, &'static str)>,
    /// A prompt completes with something that is no result of it.
    pub completes_with_nonsense: bool,
    /// `GetSecret` answers with parameters that are none of the cipher's.
    pub garbles_secrets: bool,
    /// The method, or property, that is never answered.
    pub silent_on: Option<&'static str>,
}

/// What comes of an `Unlock`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Unlock {
    /// It is unlocked, and nobody was asked.
    #[default]
    AtOnce,
    /// The user says yes to a prompt.
    ByPrompt,
    /// The user says no to a prompt.
    Dismissed,
    /// The prompt is shown, and the user does not come back.
    Never,
}

/// A running service. It ends with the value.
pub struct Scripted {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Takes the Secret Service's name on this bus; a client that calls afterwards is answered.
    pub fn start(bus: &Bus, habits: Habits) -> Self {
        let mut channel = Channel::open_private(&bus.address).expect("the bus is there");
        channel.register().expect("the bus greets");
        let name = Message::call_with_args(BUS, "/org/freedesktop/DBus", BUS, "RequestName", (NAME, 4_u32));
        let named = channel.send_with_reply_and_block(name, Duration::from_secs(20)).expect("a name");
        assert_eq!(named.get1(), Some(1_u32), "nobody else has the name");
        let state = State { locked: habits.locked, habits, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::spawn(move || serve(&channel, &theirs, &stopped));
        Self { state, stop, thread: Some(thread) }
    }

    /// How often a method was called, or a property read, by its bare name: `Prompt`, `SearchItems`, `Locked`.
    pub fn calls(&self, name: &str) -> usize {
        self.state().calls.get(name).copied().unwrap_or(0)
    }

    /// The attributes its maker gave it, and the plain secret, of each item there is, oldest first.
    pub fn items(&self) -> Vec<(BTreeMap<String, String>, Vec<u8>)> {
        self.state().items.iter().map(|item| (item.attributes.clone(), item.secret.clone())).collect()
    }

    /// Locks the collection, as a user would elsewhere.
    pub fn lock(&self) {
        self.state().locked = true;
    }

    /// Other habits from now on; what is held stays, and the collection is locked as `locked` says.
    pub fn behave(&self, habits: Habits) {
        let mut state = self.state();
        state.locked = habits.locked;
        state.habits = habits;
    }

    /// An item that another program made, whatever the habits and locks are.
    pub fn plant(&self, attributes: &[(&str, &str)], secret: &[u8]) {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let content = Content { secret: secret.to_vec(), kind: "text/plain".to_owned() };
        self.state().add("planted".to_owned(), attributes, content, BTreeSet::new());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it panicked, the panic has been printed, and the test has seen no answer.
            let _ = thread.join();
        }
    }
}

fn serve(channel: &Channel, state: &Mutex<State>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match channel.blocking_pop_message(Duration::from_millis(20)) {
            Ok(Some(call)) if call.msg_type() == MessageType::MethodCall => {
                let answers = state.lock().unwrap_or_else(PoisonError::into_inner).answers(&call);
                for answer in answers {
                    channel.send(answer).expect("there is memory for a message");
                }
            }
            Ok(_) => {}
            // The bus has ended first.
            Err(_) => return,
        }
    }
}

const BUS: &str = "org.freedesktop.DBus";
const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";
const COLLECTION: &str = "/org/freedesktop/secrets/collection/scripted";
const ALIAS: &str = "/org/freedesktop/secrets/aliases/default";

/// Names of D-Bus errors.
type Error = &'static str;
const INVALID_ARGUMENTS: Error = "org.freedesktop.DBus.Error.InvalidArgs";
const IS_LOCKED: Error = "org.freedesktop.Secret.Error.IsLocked";
const NO_SESSION: Error = "org.freedesktop.Secret.Error.NoSession";
const NOT_SUPPORTED: Error = "org.freedesktop.DBus.Error.NotSupported";
const UNKNOWN_METHOD: Error = "org.freedesktop.DBus.Error.UnknownMethod";
const UNKNOWN_OBJECT: Error = "org.freedesktop.DBus.Error.UnknownObject";
const UNKNOWN_PROPERTY: Error = "org.freedesktop.DBus.Error.UnknownProperty";

type Attributes = BTreeMap<String, String>;
/// On the wire: the session, the initialization vector, what is encrypted, its content type.
type Secret = (Path<'static>, Vec<u8>, Vec<u8>, String);

struct Item {
    path: Path<'static>,
    label: String,
    attributes: Attributes,
    secret: Vec<u8>,
    kind: String,
    created: u64,
    modified: u64,
    /// The connections for which it is unlocked where that is asked of each.
    open_to: BTreeSet<String>,
}

struct Content {
    secret: Vec<u8>,
    kind: String,
}

struct Draft {
    label: String,
    attributes: Attributes,
    content: Content,
    replace: bool,
    client: String,
}

/// What waits for a prompt.
enum Errand {
    Create(Draft),
    Delete(Path<'static>),
    Unlock(Vec<Path<'static>>, String),
}

#[derive(Default)]
struct State {
    habits: Habits,
    locked: bool,
    items: Vec<Item>,
    sessions: HashMap<Path<'static>, Key>,
    prompts: HashMap<Path<'static>, Errand>,
    calls: BTreeMap<String, usize>,
    /// Counts what happens; items are dated by it, so that the later one always looks later.
    moment: u64,
}

impl State {
    /// The answer to a call, with the signals that go before or after it.
    fn answers(&mut self, call: &Message) -> Vec<Message> {
        let mut name = call.member().map(|member| member.to_string()).unwrap_or_default();
        if call.interface().is_some_and(|interface| &*interface == "org.freedesktop.DBus.Properties") {
            name = call.read2::<&str, &str>().map(|(_, property)| property.to_owned()).unwrap_or(name);
        }
        *self.calls.entry(name.clone()).or_default() += 1;
        if self.habits.silent_on == Some(&*name) {
            return Vec::new();
        }
        let answers = match self.habits.refuses {
            Some((method, error)) if method == name => Err(error),
            _ => self.dispatch(call, &name),
        };
        answers.unwrap_or_else(|error| vec![call.error(&ErrorName::from(error), c"as scripted")])
    }

    fn dispatch(&mut self, call: &Message, name: &str) -> Result<Vec<Message>, Error> {
        let path = call.path().ok_or(UNKNOWN_OBJECT)?.into_static();
        let client = call.sender().map(|sender| sender.to_string()).unwrap_or_default();
        let reply = call.method_return();
        let reply = match name {
            "OpenSession" => {
                let (ours, session) = self.open_session(call)?;
                reply.append2(Variant(ours), session)
            }
            "ReadAlias" => {
                let (alias,): (String,) = read(call)?;
                let known = alias == "default" && !self.habits.no_default_collection;
                reply.append1(Path::from(if known { COLLECTION } else { "/" }))
            }
            "SearchItems" => {
                let (wanted,): (Attributes,) = read(call)?;
                let (open, locked) = self.search(&wanted, &client);
                if is_collection(&path) {
                    reply.append1([open, locked].concat())
                } else {
                    reply.append2(open, locked)
                }
            }
            "Unlock" => {
                let (objects,): (Vec<Path<'static>>,) = read(call)?;
                let (unlocked, prompt) = self.unlock(objects, client);
                reply.append2(unlocked, prompt)
            }
            "Lock" => {
                let (objects,): (Vec<Path<'static>>,) = read(call)?;
                self.lock(&objects, &client);
                reply.append2(objects, nothing())
            }
            "GetSecrets" => {
                let (paths, session): (Vec<Path<'static>>, Path<'static>) = read(call)?;
                let mut secrets = HashMap::new();
                for path in paths {
                    if let Ok(at) = self.unlocked_item(&path, &client) {
                        secrets.insert(path, self.seal(at, &session)?);
                    }
                }
                reply.append1(secrets)
            }
            "CreateItem" if is_collection(&path) => {
                let (item, prompt) = self.create_item(call, client)?;
                reply.append2(item, prompt)
            }
            "GetSecret" => {
                let at = self.unlocked_item(&path, &client)?;
                let (session,): (Path<'static>,) = read(call)?;
                reply.append1(self.seal(at, &session)?)
            }
            "SetSecret" => {
                let at = self.unlocked_item(&path, &client)?;
                let (secret,): (Secret,) = read(call)?;
                let content = self.unseal(&secret)?;
                self.replace(at, content);
                reply
            }
            "Delete" => {
                self.item(&path)?;
                // Whoever may not read an item may still delete it, but for that the collection must be open.
                if self.locked {
                    return Err(IS_LOCKED);
                }
                if self.habits.delete_by_prompt {
                    reply.append1(self.raise(Errand::Delete(path)))
                } else {
                    self.items.retain(|item| item.path != path);
                    reply.append1(nothing())
                }
            }
            "Prompt" => return self.prompt(&path, reply),
            "Dismiss" => {
                self.prompts.remove(&path).ok_or(UNKNOWN_OBJECT)?;
                return Ok(vec![reply, completed(&path, true, Box::new(String::new()))]);
            }
            _ if call.member().as_deref() == Some("Get") => {
                reply.append1(Variant(self.property(&path, name, &client)?))
            }
            _ => return Err(UNKNOWN_METHOD),
        };
        Ok(vec![reply])
    }

    fn open_session(&mut self, call: &Message) -> Result<(Vec<u8>, Path<'static>), Error> {
        let (algorithm, input): (String, Variant<Box<dyn RefArg>>) = read(call)?;
        let theirs = cast::<Vec<u8>>(&input.0).filter(|_| algorithm == "dh-ietf1024-sha256-aes128-cbc-pkcs7");
        let (ours, key) = agree(theirs.ok_or(NOT_SUPPORTED)?);
        let session = self.new_path("/org/freedesktop/secrets/session");
        self.sessions.insert(session.clone(), key);
        Ok((ours, session))
    }

    fn property(&self, path: &Path<'_>, name: &str, client: &str) -> Result<Box<dyn RefArg>, Error> {
        let Ok(at) = self.item(path) else {
            return Ok(match name {
                "Collections" if &**path == SERVICE => Box::new(vec![Path::from(COLLECTION)]),
                "Locked" if is_collection(path) => Box::new(self.locked),
                "Label" if is_collection(path) => Box::new("Scripted".to_owned()),
                "Items" if is_collection(path) => {
                    let (open, locked) = self.search(&Attributes::new(), client);
                    Box::new([open, locked].concat())
                }
                _ => return Err(UNKNOWN_OBJECT),
            });
        };
        let item = &self.items[at];
        Ok(match name {
            "Locked" => Box::new(self.is_locked(item, client)),
            _ if self.locked && self.habits.hides_locked => return Err(IS_LOCKED),
            "Attributes" => Box::new(self.shown(item)),
            "Label" => Box::new(item.label.clone()),
            "Created" => Box::new(item.created),
            "Modified" => Box::new(item.modified),
            _ => return Err(UNKNOWN_PROPERTY),
        })
    }

    /// What is open to this client and what is locked for it.
    fn search(&self, wanted: &Attributes, client: &str) -> (Vec<Path<'static>>, Vec<Path<'static>>) {
        if self.locked && self.habits.hides_locked {
            return Default::default();
        }
        let is_wanted = |item: &&Item| {
            let shown = self.shown(item);
            wanted.iter().all(|(name, value)| shown.get(name) == Some(value))
        };
        let (locked, open): (Vec<&Item>, Vec<&Item>) =
            self.items.iter().filter(is_wanted).partition(|item| self.is_locked(item, client));
        let paths = |items: Vec<&Item>| items.into_iter().map(|item| item.path.clone()).collect();
        (paths(open), paths(locked))
    }

    fn shown(&self, item: &Item) -> Attributes {
        let mut shown = item.attributes.clone();
        if self.habits.extra_attributes {
            let extra = [
                ("Title", item.label.clone()),
                ("UserName", String::new()),
                ("URL", String::new()),
                ("Notes", String::new()),
                ("Path", format!("/{}", item.label)),
                ("Uuid", format!("{:032x}", item.created)),
            ];
            shown.extend(extra.map(|(name, value)| (name.to_owned(), value)));
        }
        shown
    }

    fn is_locked(&self, item: &Item, client: &str) -> bool {
        let name = item.attributes.get("username").map_or("", String::as_str);
        let asked_about = self.habits.items_locked_per_client && name.ends_with(self.habits.locked_ending);
        self.locked || asked_about && !item.open_to.contains(client)
    }

    fn item(&self, path: &Path<'_>) -> Result<usize, Error> {
        self.items.iter().position(|item| item.path == *path).ok_or(UNKNOWN_OBJECT)
    }

    fn unlocked_item(&self, path: &Path<'_>, client: &str) -> Result<usize, Error> {
        let at = self.item(path)?;
        if self.is_locked(&self.items[at], client) { Err(IS_LOCKED) } else { Ok(at) }
    }

    /// What is unlocked now, and the prompt for the rest.
    fn unlock(&mut self, objects: Vec<Path<'static>>, client: String) -> (Vec<Path<'static>>, Path<'static>) {
        let is_locked = |object: &Path<'static>| match self.item(object) {
            Ok(at) => self.is_locked(&self.items[at], &client),
            Err(_) => self.locked,
        };
        let (locked, open): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_locked);
        if locked.is_empty() || self.habits.unlock == Unlock::AtOnce {
            self.open(&locked, &client);
            ([open, locked].concat(), nothing())
        } else {
            (open, self.raise(Errand::Unlock(locked, client)))
        }
    }

    /// An item cannot be open in a locked collection, so the collection is opened with it.
    fn open(&mut self, objects: &[Path<'static>], client: &str) {
        self.locked &= objects.is_empty();
        for item in self.items.iter_mut().filter(|item| objects.contains(&item.path)) {
            item.open_to.insert(client.to_owned());
        }
    }

    /// Where items have no lock of their own, locking one locks the collection.
    fn lock(&mut self, objects: &[Path<'static>], client: &str) {
        self.locked |= !self.habits.items_locked_per_client || objects.iter().any(|path| is_collection(path));
        for item in self.items.iter_mut().filter(|item| objects.contains(&item.path)) {
            item.open_to.remove(client);
        }
    }

    /// The item made and the prompt to come; one of them is `/`.
    fn create_item(
        &mut self,
        call: &Message,
        client: String,
    ) -> Result<(Path<'static>, Path<'static>), Error> {
        let (properties, secret, replace): (PropMap, Secret, bool) = read(call)?;
        if self.locked {
            return Err(IS_LOCKED);
        }
        let property = |name: &str| properties.get(&format!("org.freedesktop.Secret.Item.{name}"));
        let label = property("Label").and_then(|label| label.0.as_str()).unwrap_or_default().to_owned();
        let mut attributes = Attributes::new();
        // A dictionary of unknown type is read as its keys and values in turn.
        let mut flat = property("Attributes").and_then(|dictionary| dictionary.0.as_iter());
        while let Some((name, value)) = flat.as_mut().and_then(|flat| Some((flat.next()?, flat.next()?))) {
            let (Some(name), Some(value)) = (name.as_str(), value.as_str()) else {
                return Err(INVALID_ARGUMENTS);
            };
            attributes.insert(name.to_owned(), value.to_owned());
        }
        let draft = Draft { label, attributes, content: self.unseal(&secret)?, replace, client };
        if self.habits.create_by_prompt {
            Ok((nothing(), self.raise(Errand::Create(draft))))
        } else {
            Ok((self.create(draft), nothing()))
        }
    }

    fn create(&mut self, draft: Draft) -> Path<'static> {
        let same = self.items.iter().position(|item| item.attributes == draft.attributes);
        match same.filter(|_| draft.replace) {
            Some(at) => self.replace(at, draft.content),
            None if self.habits.forgets => self.new_path(COLLECTION),
            None => self.add(draft.label, draft.attributes, draft.content, BTreeSet::from([draft.client])),
        }
    }

    fn add(
        &mut self,
        label: String,
        attributes: Attributes,
        content: Content,
        open_to: BTreeSet<String>,
    ) -> Path<'static> {
        let path = self.new_path(COLLECTION);
        let (created, modified) = (self.moment, self.moment);
        let Content { secret, kind } = content;
        self.items.push(Item {
            path: path.clone(),
            label,
            attributes,
            secret,
            kind,
            created,
            modified,
            open_to,
        });
        path
    }

    /// Where the item lies afterwards.
    fn replace(&mut self, at: usize, content: Content) -> Path<'static> {
        if !self.habits.forgets {
            let path = self.new_path(COLLECTION);
            let item = &mut self.items[at];
            (item.secret, item.kind, item.modified) = (content.secret, content.kind, self.moment);
            if self.habits.moves_on_replace {
                item.path = path;
            }
        }
        self.items[at].path.clone()
    }

    fn raise(&mut self, errand: Errand) -> Path<'static> {
        let prompt = self.new_path("/org/freedesktop/secrets/prompt");
        self.prompts.insert(prompt.clone(), errand);
        prompt
    }

    fn prompt(&mut self, path: &Path<'static>, reply: Message) -> Result<Vec<Message>, Error> {
        let errand = self.prompts.remove(path).ok_or(UNKNOWN_OBJECT)?;
        let (dismissed, result): (bool, Box<dyn RefArg>) = match errand {
            Errand::Create(draft) => (false, Box::new(self.create(draft))),
            Errand::Delete(item) => {
                self.items.retain(|other| other.path != item);
                (false, Box::new(String::new()))
            }
            Errand::Unlock(objects, client) => match self.habits.unlock {
                Unlock::Never => {
                    self.prompts.insert(path.clone(), Errand::Unlock(objects, client));
                    return Ok(vec![reply]);
                }
                Unlock::Dismissed => (true, Box::new(Vec::<Path<'static>>::new())),
                Unlock::AtOnce | Unlock::ByPrompt => {
                    self.open(&objects, &client);
                    (false, Box::new(objects))
                }
            },
        };
        let result = if self.habits.completes_with_nonsense { Box::new(7_u32) } else { result };
        let mut messages = vec![reply, completed(path, dismissed, result)];
        if self.habits.completes_early {
            messages.reverse();
        }
        Ok(messages)
    }

    fn new_path(&mut self, below: &str) -> Path<'static> {
        self.moment += 1;
        Path::from(format!("{below}/{}", self.moment))
    }

    fn seal(&self, at: usize, session: &Path<'static>) -> Result<Secret, Error> {
        let key = self.sessions.get(session).ok_or(NO_SESSION)?;
        let item = &self.items[at];
        let vector: Key = random();
        let cipher = cbc::Encryptor::<Aes128>::new(key.into(), &vector.into());
        let sealed = cipher.encrypt_padded_vec_mut::<Pkcs7>(&item.secret);
        let parameters = if self.habits.garbles_secrets { vec![1, 2, 3] } else { vector.to_vec() };
        Ok((session.clone(), parameters, sealed, item.kind.clone()))
    }

    fn unseal(&self, (session, vector, sealed, kind): &Secret) -> Result<Content, Error> {
        let key = self.sessions.get(session).ok_or(NO_SESSION)?;
        let cipher = cbc::Decryptor::<Aes128>::new_from_slices(key, vector).map_err(|_| INVALID_ARGUMENTS)?;
        let secret = cipher.decrypt_padded_vec_mut::<Pkcs7>(sealed).map_err(|_| INVALID_ARGUMENTS)?;
        Ok(Content { secret, kind: kind.clone() })
    }
}

fn read<A: ReadAll>(call: &Message) -> Result<A, Error> {
    call.read_all().map_err(|_| INVALID_ARGUMENTS)
}

fn is_collection(path: &str) -> bool {
    path == COLLECTION || path == ALIAS
}

/// No item, or no prompt.
fn nothing() -> Path<'static> {
    Path::from("/")
}

fn completed(prompt: &Path<'static>, dismissed: bool, result: Box<dyn RefArg>) -> Message {
    let interface = Interface::from("org.freedesktop.Secret.Prompt");
    Message::signal(prompt, &interface, &Member::from("Completed")).append2(dismissed, Variant(result))
}

type Key = [u8; 16];

/// The prime of RFC 2409's second group; the generator is 2.
const PRIME: &[u8] = b"\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
    020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
    4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF";

/// Our half of the key exchange, and the key that comes of both.
fn agree(theirs: &[u8]) -> (Vec<u8>, Key) {
    let prime = BigUint::parse_bytes(PRIME, 16).expect("it is hexadecimal");
    let private = BigUint::from_bytes_be(&random::<128>());
    let ours = BigUint::from(2_u8).modpow(&private, &prime);
    let shared = BigUint::from_bytes_be(theirs).modpow(&private, &prime).to_bytes_be();
    // Leading zeros count.
    let mut padded = vec![0; 128 - shared.len()];
    padded.extend(shared);
    let mut key = Key::default();
    Hkdf::<Sha256>::new(None, &padded).expand(&[], &mut key).expect("it is not too long");
    (ours.to_bytes_be(), key)
}

fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}
