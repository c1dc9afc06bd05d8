//! What earlier versions left is read by this one, for ever: `protocol/slots/format-N` holds states that were written in
//! format N, and nothing in them is edited again.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use claviger::dialect::Verb;
use claviger::secret::{AccessToken, ClientSecret, hex};
use claviger::store::keyring::Chunked;
use claviger::store::record::{Bundle, FORMAT, RefreshEntry, whose};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::bus::Bus;
use support::faults::{Fault, Plan};
use support::vault::{Vault, WINDOWS};
use support::world::{Line, Machine, Mood};
use support::{SERVICE, Sandbox};

/// Every format there ever was, and the digest of its folder: a new format gets a line, no line changes.
const KEPT: &[(i64, &str)] = &[(1, "6884a946a6e1dafae0e3d6d2c279088ab98866bdd3e93d2812bf5e9b4e1abf54")];

/// The states of a format: a home that keeps files, one that has a keyring, one whose move to files was killed.
const STATES: [&str; 3] = ["plaintext", "keyring", "moving"];
/// The machine that the pins of these states are for.
const MACHINE: &str = "fixture";
/// When the states are looked into: some tokens have ended by then.
const LATER: &str = "2026-01-01T02:00:00Z";

type Texts = BTreeMap<String, String>;

/// Everything that claviger has left on a machine.
#[derive(Debug, PartialEq)]
struct State {
    /// The files of the state folder, by their paths there.
    files: Texts,
    /// The values in the keyring, by the names of their slots.
    keyring: Texts,
}

impl State {
    fn of(format: i64, name: &str) -> Self {
        let text = std::fs::read_to_string(folder(format).join(format!("states/{name}.json"))).unwrap();
        let mut parts: BTreeMap<String, Texts> = serde_json::from_str(&text).unwrap();
        let state = Self { files: parts.remove("files").unwrap(), keyring: parts.remove("keyring").unwrap() };
        assert!(parts.is_empty(), "{name}");
        state
    }

    fn all(format: i64) -> impl Iterator<Item = (&'static str, Self)> {
        STATES.into_iter().map(move |name| (name, Self::of(format, name)))
    }

    /// What a machine has: the pin made out to the machine of the fixtures, without what is written anew where it is
    /// missing, and without locks.
    fn left(machine: &Machine) -> Self {
        let mut files = below(machine.home());
        let ours = ["slots/", "index/", "defaults/", "pin/", "locks/"];
        files.retain(|name, _| ours.iter().any(|folder| name.starts_with(folder)));
        // Locks are for people to read; a probe whose writer was killed has a random name, and means nothing.
        files.retain(|_, text| text.starts_with('{'));
        if let Some(pin) = files.remove(&pin_of(&support::machine())) {
            files.insert(pin_of(MACHINE), pin.replace(&support::machine(), MACHINE));
        }
        let slots = machine.keyring.slots.borrow();
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        Self { files, keyring: slots.iter().map(|(name, value)| (name.clone(), text(value))).collect() }
    }

    /// With what differs from run to run in the same words: salts, and what a failure is called.
    fn settled(self) -> Self {
        let settled = |texts: Texts| texts.into_iter().map(|(name, text)| (name, settled(&text))).collect();
        Self { files: settled(self.files), keyring: settled(self.keyring) }
    }

    /// The state on a machine of this test.
    fn laid(&self) -> Machine {
        let machine = Machine::in_memory(LATER);
        self.lay(machine.home());
        let bytes = |(name, text): (&String, &String)| (name.clone(), text.clone().into_bytes());
        machine.keyring.slots.borrow_mut().extend(self.keyring.iter().map(bytes));
        if self.keyring.is_empty() {
            machine.keyring.mood.set(Mood::Unreachable);
        }
        machine
    }

    /// The state folder, its pin made out to the machine that the test runs on.
    fn lay(&self, home: &Path) {
        for (name, text) in &self.files {
            let (name, text) = if *name == pin_of(MACHINE) {
                (pin_of(&support::machine()), text.replace(MACHINE, &support::machine()))
            } else {
                (name.clone(), text.clone())
            };
            let path = home.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    /// Writes this down as the state of a new format, on demand, and says whether: one that is there is never written over.
    #[allow(clippy::disallowed_methods, reason = "the tests' own switch")]
    fn write_if_blessing(&self, name: &str) -> bool {
        let path = folder(FORMAT).join(format!("states/{name}.json"));
        if path.exists() || std::env::var_os("CLAVIGER_BLESS").is_none() {
            return false;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let value = json!({ "files": self.files, "keyring": self.keyring });
        std::fs::write(path, serde_json::to_string_pretty(&value).unwrap() + "\n").unwrap();
        true
    }

    fn values(&self) -> impl Iterator<Item = &String> {
        self.files.values().chain(self.keyring.values())
    }
}

fn folder(format: i64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("protocol/slots/format-{format}"))
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Every file below a folder, by its path there.
fn below(folder: &Path) -> Texts {
    let name = |path: &Path| {
        let path = path.strip_prefix(folder).unwrap();
        path.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join("/")
    };
    let files = support::files_below(folder).into_iter();
    files.map(|(path, bytes)| (name(&path), String::from_utf8(bytes).unwrap())).collect()
}

fn settled(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    let random = [&value["tombstone"]["salt"], &value["tombstone"]["hash"], &value["why"]];
    let random = random.into_iter().filter_map(Value::as_str);
    random.fold(text.to_owned(), |text, word| text.replace(word, "-"))
}

fn pin_of(machine: &str) -> String {
    format!("pin/{}.json", &digest(machine.as_bytes())[..32])
}

fn call(machine: &Machine, verb: Verb, request: &Value) -> (u8, Value) {
    let rendered = machine.call(verb, None, request.to_string().as_bytes());
    (rendered.exit, serde_json::from_slice(&rendered.stdout).unwrap())
}

/// The same, of a call that must end so.
#[track_caller]
fn expect(exit: u8, machine: &Machine, verb: Verb, request: &Value) -> Value {
    let (ended, reply) = call(machine, verb, request);
    assert_eq!(ended, exit, "{request}: {reply}");
    reply
}

/// A request that means just this session, and says this besides.
fn meant(session: &Value, besides: &Value) -> Value {
    let mut request = besides.clone();
    for key in ["service", "account", "profile"] {
        if let Some(value) = session.get(key) {
            request[key] = value.clone();
        }
    }
    request
}

fn answer(machine: &Machine, status: u16, body: &str) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.to_owned(),
    });
}

fn session(service: &str, account: &str, lives: u32) -> Value {
    json!({
        "service": service, "account": account, "accessToken": format!("AT-{account}"), "expiresIn": lives,
        "refreshToken": format!("RT-{account}"), "clientId": "claviger", "tokenEndpoint": "https://id.acme.example/token",
        "revocationEndpoint": "https://id.acme.example/revoke",
    })
}

/// Sessions with everything that can be said of one.
fn sign_in(machine: &Machine) -> [Value; 3] {
    let mut alice = session(SERVICE, "alice", 86_400);
    for (key, value) in [
        ("label", json!("work")),
        ("username", json!("oauth2")),
        ("services", json!(["https://git.acme.example/org"])),
        ("issuer", json!("https://id.acme.example")),
        ("scopes", json!(["api", "offline_access"])),
        ("refreshTokenExpiresAt", json!("2027-01-01T00:00:00Z")),
    ] {
        alice[key] = value;
    }
    let mut bob = session(SERVICE, "Bob@Acme", 3600);
    bob["profile"] = json!("ci");
    bob["clientSecret"] = json!("CS-example");
    let all = [alice, bob, session(SERVICE, "carol", 3600)];
    for bundle in &all {
        expect(0, machine, Verb::Store, bundle);
    }
    all
}

/// Sessions that came in every other way, and sessions to which something has happened.
fn live_through(machine: &Machine) {
    let [_, _, carol] = sign_in(machine);
    let [dave, erin, frank, gina] = ["dave", "erin", "frank", "gina"]
        .map(|account| session(&format!("https://{account}.acme.example"), account, 3600));
    let key = json!({ "service": "https://key.acme.example", "account": "heidi", "accessToken": "AT-heidi" });
    for bundle in [&dave, &erin, &frank, &gina, &key] {
        expect(0, machine, Verb::Store, bundle);
    }
    let typed = "protocol=https\nhost=typed.acme.example\nusername=ivan\npassword=AT-ivan\n\n";
    assert_eq!(machine.by("git store", typed).exit, 0);
    let provider = "[providers.ci]\ntoken-endpoint = \"https://id.acme.example/token\"\nclient-id = \"runner\"\n\
         grant = \"client_credentials\"\nclient-auth = \"client_secret_post\"\nclient-secret = { env = \"CS\" }\n\
         services = [\"https://mint.acme.example\"]\n";
    std::fs::write(machine.home().join("config.toml"), provider).unwrap();
    machine.variables.borrow_mut().push(("CS".to_owned(), "CS-example".to_owned()));
    answer(machine, 200, r#"{"access_token":"AT-ci","token_type":"Bearer","expires_in":3600}"#);
    expect(0, machine, Verb::Get, &json!({ "service": "https://mint.acme.example" }));

    let forced = |session: &Value| meant(session, &json!({ "forceRefresh": true }));
    answer(machine, 400, r#"{"error":"invalid_grant"}"#);
    expect(3, machine, Verb::Get, &forced(&carol));
    let broken = Line::Fail(|| claviger::http::Error::Broken("closed".to_owned()));
    machine.server.lines.borrow_mut().push_back(broken);
    expect(4, machine, Verb::Get, &forced(&dave));
    answer(
        machine,
        200,
        r#"{"access_token":"AT-frank2","token_type":"Bearer","expires_in":3600,"refresh_token":"RT-frank2"}"#,
    );
    expect(0, machine, Verb::Get, &forced(&frank));
    expect(0, machine, Verb::Erase, &meant(&erin, &json!({ "accessToken": "AT-erin" })));
    killed_at(machine, "erased", |machine| {
        call(machine, Verb::Erase, &meant(&gina, &json!({})));
    });
}

/// Lets a call be killed as soon as some slot has a mark.
fn killed_at(machine: &Machine, mark: &str, call: impl Fn(&Machine)) {
    let marked = || State::left(machine).values().any(|text| text.contains(&format!("\"{mark}\"")));
    for at in 0.. {
        let plan = Rc::new(Plan::new(Fault::DiesBefore, at));
        *machine.plan.borrow_mut() = Some(Rc::clone(&plan));
        // Whatever comes of it.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(machine)));
        *machine.plan.borrow_mut() = None;
        if marked() {
            return;
        }
        assert!(plan.struck(), "{mark} never lay there");
    }
}

/// How each state came about.
fn made(state: &str) -> Machine {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    match state {
        "plaintext" => {
            machine.keyring.mood.set(Mood::Unreachable);
            live_through(&machine);
        }
        "keyring" => {
            live_through(&machine);
            let secret = ClientSecret::new("CS-example").unwrap();
            claviger::store::save_client_secret(&machine.keyring, "acme", &secret).unwrap();
        }
        _ => {
            sign_in(&machine);
            killed_at(&machine, "movedTo", |machine| {
                machine.by("storage move plaintext", "");
            });
        }
    }
    machine
}

#[test]
fn what_is_kept_is_never_edited() {
    let mut formats = BTreeSet::new();
    for entry in std::fs::read_dir(folder(FORMAT).parent().unwrap()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        formats.extend(name.strip_prefix("format-").map(|number| number.parse::<i64>().unwrap()));
    }
    assert_eq!(formats, (1..=FORMAT).collect(), "a folder for each format");
    assert!(KEPT.iter().map(|(format, _)| *format).eq(formats), "a digest for each folder");
    for (format, kept) in KEPT {
        let files = below(&folder(*format)).into_iter();
        let lines: Vec<String> =
            files.map(|(name, text)| format!("{} {name}\n", digest(text.as_bytes()))).collect();
        let all = lines.concat();
        assert_eq!(
            digest(all.as_bytes()),
            *kept,
            "format {format} is users' stored state, and was edited:\n{all}"
        );
    }
}

#[test]
fn this_version_writes_what_is_kept_of_its_format() {
    for name in STATES {
        let now = State::left(&made(name));
        if now.write_if_blessing(name) {
            continue;
        }
        let (now, then) = (now.settled(), State::of(FORMAT, name).settled());
        for (now, then) in [(now.files, then.files), (now.keyring, then.keyring)] {
            assert!(now.keys().eq(then.keys()), "{name}: {:?} {:?}", now.keys(), then.keys());
            for (file, text) in now {
                assert_eq!(text, then[&file], "{name}: {file}");
            }
        }
    }
}

/// The values that stand alone, each as its name begins.
#[test]
fn every_value_that_is_kept_is_read_and_written_back_as_it_was() {
    for (name, text) in below(&folder(FORMAT)) {
        let text = text.trim_end();
        let again = match name.split(['-', '.']).next().unwrap() {
            "access" => Bundle::decode(text.as_bytes(), None).map(|bundle| bundle.encode().to_vec()),
            "refresh" => {
                let (_, whose) = whose(text.as_bytes()).unwrap();
                RefreshEntry::decode(text.as_bytes(), &whose).map(|entry| entry.encode().to_vec())
            }
            // For these, and those of a provider and of a head, there are tests of their own, here and in `schemas.rs`.
            _ => continue,
        };
        assert_eq!(String::from_utf8(again.unwrap()).unwrap(), text, "{name}");
    }
}

/// A value over the limit of Windows' keyring, as it lies there in chunks.
#[test]
fn chunks_are_read_and_written_as_they_were() {
    let vault = Vault::with_limit(WINDOWS);
    let slot = "https://api.acme.example#alice";
    let mut made = Bundle::decode(State::of(FORMAT, "keyring").keyring[slot].as_bytes(), None).unwrap();
    made.access = Some(AccessToken::new(&"AT-alice".repeat(500)).unwrap());
    Chunked::new(vault.clone(), Some(WINDOWS)).write(slot, &made.encode()).unwrap();
    let text = |name: &String| String::from_utf8(vault.value(name).unwrap()).unwrap();
    let now: Texts = vault.names().iter().map(|name| (name.clone(), text(name))).collect();
    let now = State { files: Texts::new(), keyring: now };
    if now.write_if_blessing("windows") {
        return;
    }
    let kept = State::of(FORMAT, "windows");
    assert_eq!(now, kept);

    let older = Vault::with_limit(WINDOWS);
    older.change(|values| {
        values.extend(kept.keyring.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())));
    });
    let mut slots = Chunked::new(older.clone(), Some(WINDOWS));
    assert_eq!(*slots.read(slot).unwrap().unwrap(), *made.encode());
    assert_eq!((slots.slots().unwrap(), slots.strays().unwrap()), (vec![slot.to_owned()], vec![]));
    assert!(slots.delete(slot).unwrap());
    assert_eq!(older.names(), Vec::<String>::new());
}

/// A new optional field needs a fixture that has it, and a new format number.
#[test]
fn everything_that_a_schema_allows_is_in_some_fixture() {
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut saw = |kind, text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        seen.entry(kind).or_default().extend(value.as_object().unwrap().keys().cloned());
    };
    for (name, text) in below(&folder(FORMAT)) {
        match name.split(['-', '.']).next().unwrap() {
            "access" => saw("slot-access", &text),
            "refresh" => saw("slot-refresh", &text),
            "client" => saw("slot-client-secret", &text),
            "chunks" => saw("slot-chunks", &text),
            _ => {}
        }
    }
    for (_, state) in State::all(FORMAT) {
        for (name, text) in &state.files {
            match name.split('/').next().unwrap() {
                "index" => saw("index-entry", text),
                "defaults" => saw("index-default", text),
                "pin" => saw("pin", text),
                _ => {}
            }
        }
        for text in state.values().filter(|text| text.contains("\"slot\":\"")) {
            let value: Value = serde_json::from_str(text).unwrap();
            match value["slot"].as_str().unwrap() {
                "access" => saw("slot-access", text),
                "refresh" => saw("slot-refresh", text),
                _ => {}
            }
        }
    }
    assert_eq!(seen.len(), 7);
    for (kind, keys) in seen {
        let schema = format!("{}/protocol/schemas/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
        assert!(keys.iter().eq(schema["properties"].as_object().unwrap().keys()), "{kind}: {keys:?}");
        assert_eq!(schema["properties"]["format"]["const"], FORMAT, "{kind}");
    }
}

#[test]
fn a_home_of_every_format_is_used_as_if_it_were_ours() {
    for (format, _) in KEPT {
        for (name, state) in State::all(*format) {
            let machine = state.laid();
            let listed = expect(0, &machine, Verb::List, &json!({}));
            let status = machine.by("status --json", "");
            let status: Value = serde_json::from_slice(&status.stdout).unwrap();
            let sessions = listed["sessions"].as_array().unwrap().clone();
            assert_eq!(status["sessions"].as_array().unwrap().len(), sessions.len(), "{name}: {status}");
            let expected = if name == "moving" { 3 } else { 10 };
            assert_eq!(sessions.len(), expected, "{name}: {listed}");
            for session in &sessions {
                let account = session["account"].as_str().unwrap();
                let what = format!("{name}: {account}");
                let get = |besides: Value| meant(session, &besides);
                match account {
                    // A token that lives, one without an end, a password.
                    "alice" | "heidi" | "ivan" => {
                        let reply = expect(0, &machine, Verb::Get, &get(json!({})));
                        assert_eq!(reply["accessToken"], format!("AT-{account}"), "{what}");
                    }
                    // The server has refused it, unless the move was before that.
                    "carol" if name != "moving" => {
                        let reply = expect(3, &machine, Verb::Get, &get(json!({})));
                        assert_eq!(reply["error"]["code"], "AUTH_REFRESH_EXPIRED", "{what}");
                    }
                    "gina" => {
                        let reply = expect(1, &machine, Verb::Get, &get(json!({})));
                        assert_eq!(reply["error"]["code"], "ACCOUNT_NOT_FOUND", "{what}");
                    }
                    "ci" => {}
                    _ => refreshed(&machine, session, &what),
                }
                if account == "alice" {
                    refreshed(&machine, &get(json!({ "forceRefresh": true })), &what);
                }
            }
            // Whatever is left of it can be ended, and then nothing is left.
            for session in &sessions {
                answer(&machine, 200, "");
                answer(&machine, 200, "");
                call(&machine, Verb::Erase, &meant(session, &json!({})));
                machine.server.lines.borrow_mut().clear();
            }
            let left = State::left(&machine);
            let names = |folder: &str| left.files.keys().filter(|name| name.starts_with(folder)).count();
            assert_eq!((names("slots/"), names("index/"), names("defaults/")), (0, 0, 0), "{name}: {left:?}");
            assert!(left.keyring.keys().all(|slot| slot == "client-secret/acme"), "{name}: {left:?}");
        }
    }
}

/// That a session's refresh token is sent where it may be sent, and nothing of what is said of it is lost.
#[track_caller]
fn refreshed(machine: &Machine, request: &Value, what: &str) {
    answer(machine, 200, r#"{"access_token":"AT-new","token_type":"Bearer","expires_in":3600}"#);
    machine.server.sent.borrow_mut().clear();
    let account = request["account"].as_str().unwrap();
    let reply = expect(0, machine, Verb::Get, &meant(request, &json!({ "forceRefresh": true })));
    assert_eq!((&reply["accessToken"], &reply["outcome"]), (&json!("AT-new"), &json!("refreshed")), "{what}");
    let sent = machine.server.sent.borrow();
    let token = if account == "frank" { "frank2".to_owned() } else { account.replace('@', "%40") };
    assert_eq!(sent[0].0, "https://id.acme.example/token", "{what}");
    assert!(sent[0].1.contains(&format!("refresh_token=RT-{token}")), "{what}: {sent:?}");
}

/// The same values with the next format's number, one at a time. What the index says is a hint (I1): who only looks leaves
/// it alone, who writes that session writes it anew.
#[test]
fn what_a_newer_version_wrote_is_told_and_left_alone() {
    let (number, newer) = (format!("{{\"format\":{FORMAT},"), format!("{{\"format\":{},", FORMAT + 1));
    let mut raised = 0;
    for name in ["plaintext", "keyring"] {
        let state = State::of(FORMAT, name);
        let of = |texts: &Texts, in_keyring: bool| -> Vec<(bool, String)> {
            let numbered = texts.iter().filter(|(_, text)| text.starts_with(&number));
            numbered.map(|(place, _)| (in_keyring, place.clone())).collect()
        };
        for (in_keyring, place) in [of(&state.files, false), of(&state.keyring, true)].concat() {
            let mut state = State::of(FORMAT, name);
            let texts = if in_keyring { &mut state.keyring } else { &mut state.files };
            let text = texts.get(&place).unwrap().replacen(&number, &newer, 1);
            texts.insert(place.clone(), text.clone());
            let said = all_verbs(
                &state,
                &serde_json::from_str(&text).unwrap(),
                place.starts_with("index/"),
                |machine| {
                    let left = State::left(machine);
                    let left = if in_keyring { left.keyring } else { left.files };
                    assert_eq!(left.get(&place), Some(&text), "{name}: {place}");
                },
            );
            assert!(said.contains("written by a newer claviger"), "{name}: {place}: {said}");
            raised += 1;
        }
    }
    assert!(raised > 70, "{raised}");
}

/// What is said by everything that can be done with the session of a value, with a look at the machine after each.
fn all_verbs(state: &State, value: &Value, only_look: bool, look: impl Fn(&Machine)) -> String {
    let machine = state.laid();
    let mut said = String::new();
    if value["slot"] == "client-secret" {
        said += &claviger::store::load_client_secret(&machine.keyring, "acme").err().unwrap().to_string();
    }
    let doctor = if only_look { "doctor --json" } else { "doctor --fix --json" };
    let of_alice = json!({ "service": SERVICE, "account": "alice" });
    let whose = if value.get("service").is_some() { value } else { &of_alice };
    let by_default = match whose.get("profile") {
        Some(profile) => json!({ "service": whose["service"], "profile": profile }),
        None => json!({ "service": whose["service"] }),
    };
    for (verb, request) in [
        (Verb::List, json!({})),
        (Verb::Get, meant(whose, &json!({}))),
        (Verb::Get, by_default.clone()),
        (Verb::Get, meant(whose, &json!({ "forceRefresh": true }))),
        (Verb::Erase, meant(whose, &json!({ "accessToken": "AT-other" }))),
        (Verb::Store, meant(whose, &json!({ "accessToken": "AT-replaced", "replace": true }))),
        (Verb::Erase, meant(whose, &json!({}))),
        (Verb::Erase, by_default),
    ] {
        if only_look && (verb == Verb::Store || verb == Verb::Erase) {
            continue;
        }
        said += &call(&machine, verb, &request).1.to_string();
        look(&machine);
    }
    said += &String::from_utf8_lossy(&machine.by(doctor, "").stdout);
    look(&machine);
    said
}

/// The executable itself, on files and with a real keyring. Its clock is the world's: tokens with an end have ended.
#[test]
fn the_executable_finds_what_was_left() {
    let bus = Bus::with_keyring();
    for (name, state) in State::all(FORMAT) {
        let mut sandbox = Sandbox::new(&[]);
        state.lay(sandbox.home());
        if !state.keyring.is_empty() {
            let Some(bus) = &bus else { continue };
            sandbox.set("DBUS_SESSION_BUS_ADDRESS", &bus.address);
            for (slot, value) in &state.keyring {
                bus.keep(slot, value);
            }
        }
        let listed = sandbox.run_bytes("list", b"{}").ok();
        let listed = listed["sessions"].as_array().unwrap();
        assert_eq!(listed.len(), if name == "moving" { 3 } else { 10 }, "{name}: {listed:?}");
        if name != "moving" {
            let get = |service: &str| {
                sandbox.run("get", &json!({ "service": service })).ok()["accessToken"].clone()
            };
            assert_eq!(get("https://key.acme.example"), "AT-heidi", "{name}");
            assert_eq!(get("https://typed.acme.example"), "AT-ivan", "{name}");
        }
        for session in listed {
            sandbox.run("erase", &meant(session, &json!({})));
        }
        assert_eq!(sandbox.run_bytes("list", b"{}").ok()["sessions"], json!([]), "{name}");
        if let Some(bus) = bus.as_ref().filter(|_| !state.keyring.is_empty()) {
            assert!(
                bus.slots().0.iter().all(|slot| slot == "client-secret/acme"),
                "{name}: {:?}",
                bus.slots().0
            );
        }
    }
}
