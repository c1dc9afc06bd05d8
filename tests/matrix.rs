//! The table of `protocol/README.md`, section B: each situation of a keyring, each way its use was decided, a read
//! and a write in each, against real buses.
//!
//! `cargo test --test matrix -- --nocapture` prints how long each answer took.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "how long another process takes is what is measured here")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::bus::Bus;
use support::{Answer, SERVICE, Sandbox, get};

/// One situation, and what it must lead to.
struct Situation {
    name: &'static str,
    bus: fn() -> Option<Bus>,
    /// The address to use instead of the bus's own; empty for none at all.
    address: Option<&'static str>,
    /// Whether somebody sits at a desktop.
    attended: bool,
    /// Where nobody decided.
    by_default: Row,
    /// Where somebody chose the keyring.
    chosen: Row,
    /// How long one answer may take.
    within: Within,
}

/// What a read and a write give.
struct Row {
    read: &'static str,
    write: Result<&'static str, &'static str>,
    pinned: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Within {
    /// The cause is known at once: 250 ms is the aim.
    Known,
    /// It hangs: the deadline, and half a second.
    Deadline(Duration),
}

const fn stays(code: &'static str) -> Row {
    Row { read: code, write: Err(code), pinned: None }
}

/// Files serve, visibly, where nobody decided.
const FILES: Row = Row { read: "NOT_FOUND", write: Ok("plaintext"), pinned: Some("plaintext") };
const OPEN: Row = Row { read: "NOT_FOUND", write: Ok("keyring"), pinned: None };

const CONFIG: &str = "[timeouts]\nkeyring = 1\nunlock = 1\n";
const ONE: Duration = Duration::from_secs(1);

fn locked() -> Option<Bus> {
    let bus = Bus::with_keyring()?;
    seed(&bus);
    bus.lock();
    Some(bus)
}

/// A session in the keyring, stored from another home.
fn seed(bus: &Bus) {
    let home = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address), ("CLAVIGER_STORAGE", "keyring")]);
    home.run("store", &bundle("bob", "AT-seed")).ok();
}

fn bundle(account: &str, token: &str) -> Value {
    json!({ "service": SERVICE, "account": account, "accessToken": token })
}

fn table() -> Vec<Situation> {
    let situation = |name, bus, by_default, chosen| Situation {
        name,
        bus,
        address: None,
        attended: false,
        by_default,
        chosen,
        within: Within::Known,
    };
    let unavailable = || stays("STORE_UNAVAILABLE");
    let locks = || stays("STORE_LOCKED");
    let timeout = || stays("STORE_TIMEOUT");
    vec![
        situation("unlocked", Bus::with_keyring, Row { pinned: Some("keyring"), ..OPEN }, OPEN),
        situation("locked, nobody to ask", locked, locks(), locks()),
        Situation {
            attended: true,
            ..situation("locked, the question is dismissed", locked, locks(), locks())
        },
        Situation {
            attended: true,
            within: Within::Deadline(ONE),
            ..situation(
                "locked, nobody answers the question",
                Bus::with_a_question_nobody_answers,
                locks(),
                locks(),
            )
        },
        Situation {
            within: Within::Deadline(ONE),
            ..situation("a service that never replies", Bus::with_silence, timeout(), timeout())
        },
        situation("no service", Bus::empty, FILES, unavailable()),
        Situation { address: Some(""), ..situation("no bus", Bus::empty, FILES, unavailable()) },
        Situation {
            address: Some("unix:path=/nonexistent/bus"),
            ..situation("a dead bus", Bus::empty, FILES, unavailable())
        },
        Situation {
            address: Some("tcp:host=127.0.0.1,port=1"),
            ..situation("a bus over TCP", Bus::empty, FILES, unavailable())
        },
        Situation {
            address: Some("unixexec:path=/bin/true"),
            ..situation("a bus that is a program", Bus::empty, FILES, unavailable())
        },
    ]
}

#[test]
fn each_situation_gives_its_own_answer_in_its_own_time() {
    for situation in table() {
        for (decided, row) in [("by default", &situation.by_default), ("by choice", &situation.chosen)] {
            let Some(bus) = (situation.bus)() else { return };
            let sandbox = sandbox(&situation, &bus, decided == "by choice");
            let what = format!("{}, {decided}", situation.name);
            let (read, took) = timed(|| sandbox.run("get", &get()));
            assert_eq!(code(&read), row.read, "{what}: read: {} {}", read.stdout, read.stderr);
            in_time(&situation, &what, "get", took);
            asked_once(&situation, &read, &what);
            assert!(
                sandbox
                    .files()
                    .iter()
                    .all(|(path, _)| !path.parent().is_some_and(|folder| folder.ends_with("pin"))),
                "{what}: a read pins nothing"
            );

            let (write, took) = timed(|| sandbox.run("store", &bundle("alice", "AT-new")));
            in_time(&situation, &what, "store", took);
            match row.write {
                Err(expected) => {
                    assert_eq!(code(&write), expected, "{what}: write: {} {}", write.stdout, write.stderr);
                    asked_once(&situation, &write, &what);
                }
                Ok(storage) => {
                    let reply = write.ok();
                    assert_eq!(reply["storage"], storage, "{what}");
                    let warned = reply["warnings"][0]["code"] == "STORED_PLAINTEXT";
                    assert_eq!(warned, storage == "plaintext", "{what}: a downgrade is seen: {reply}");
                    let lines = usize::from(storage == "plaintext");
                    assert_eq!(write.stderr.matches('\n').count(), lines, "{what}: {}", write.stderr);
                    let again = sandbox.run("get", &get()).ok();
                    assert_eq!(
                        (&again["accessToken"], &again["storage"]),
                        (&json!("AT-new"), &json!(storage))
                    );
                }
            }
            let in_a_file =
                sandbox.files().iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("AT-"));
            assert_eq!(in_a_file, row.write == Ok("plaintext"), "{what}: a token in a file");
            assert_eq!(pinned(&sandbox).as_deref(), row.pinned, "{what}: what is pinned");
        }
    }
}

#[test]
fn a_keyring_that_was_pinned_and_went_away_is_never_replaced_by_a_file() {
    let Some(bus) = Bus::with_keyring() else { return };
    let mut sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
    sandbox.run("store", &bundle("alice", "AT-1")).ok();
    sandbox.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    assert_eq!(sandbox.run("get", &get()).code(5), "STORE_UNAVAILABLE");
    assert_eq!(sandbox.run("store", &bundle("alice", "AT-2")).code(5), "STORE_UNAVAILABLE");
    assert_eq!(sandbox.run("erase", &get()).code(5), "STORE_UNAVAILABLE");
    // A choice for this call only is nobody's downgrade: it is made with open eyes, and pins nothing.
    sandbox.set("CLAVIGER_STORAGE", "plaintext");
    sandbox.run("store", &bundle("carol", "AT-3")).ok();
    assert_eq!(pinned(&sandbox).as_deref(), Some("keyring"));
    sandbox.set("CLAVIGER_STORAGE", "");
    sandbox.set("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT-1");
}

#[test]
fn what_the_index_knows_in_the_keyring_is_not_looked_for_in_files() {
    let Some(bus) = Bus::with_keyring() else { return };
    let mut sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
    sandbox.run("store", &bundle("alice", "AT-1")).ok();
    std::fs::remove_dir_all(sandbox.home().join("pin")).unwrap();
    sandbox.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    assert_eq!(sandbox.run("get", &get()).code(5), "STORE_UNAVAILABLE");
    let another = json!({ "service": "https://other.example" });
    let missing = sandbox.run("get", &another);
    assert_eq!(missing.code(1), "NOT_FOUND");
    assert!(missing.stderr.contains("the keyring cannot be reached"), "{}", missing.stderr);
}

fn sandbox(situation: &Situation, bus: &Bus, chosen: bool) -> Sandbox {
    let mut sandbox = Sandbox::new(&[]);
    match situation.address {
        None => sandbox.set("DBUS_SESSION_BUS_ADDRESS", &bus.address),
        Some("") => {}
        Some(address) => sandbox.set("DBUS_SESSION_BUS_ADDRESS", address),
    }
    if situation.attended {
        sandbox.set("DISPLAY", ":99");
    }
    if chosen {
        sandbox.set("CLAVIGER_STORAGE", "keyring");
    }
    sandbox.configure(CONFIG);
    sandbox
}

fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap_or("no error").to_owned()
}

/// Where somebody can be asked, one line on stderr says that they are, ahead of the error; else none does.
fn asked_once(situation: &Situation, answer: &Answer, what: &str) {
    let waiting = answer.stderr.matches("waiting up to 1 s for it to be unlocked").count();
    assert_eq!(waiting, usize::from(situation.attended), "{what}: {}", answer.stderr);
}

fn pinned(sandbox: &Sandbox) -> Option<String> {
    let pin = std::fs::read(support::pin_file(sandbox.home())).ok()?;
    let pin: Value = serde_json::from_slice(&pin).expect("a pin is JSON");
    Some(pin["storage"].as_str().expect("it names a storage").to_owned())
}

fn timed(run: impl FnOnce() -> Answer) -> (Answer, Duration) {
    let begun = Instant::now();
    let answer = run();
    (answer, begun.elapsed())
}

/// Ten times the room on a busy machine; the figure itself is printed.
fn in_time(situation: &Situation, what: &str, verb: &str, took: Duration) {
    let (aim, limit) = match situation.within {
        Within::Known => (Duration::from_millis(250), Duration::from_millis(2500)),
        Within::Deadline(deadline) => {
            (deadline + Duration::from_millis(500), deadline + Duration::from_secs(5))
        }
    };
    println!("{:>6} ms (aim {:>5})  {verb:<6} {what}", took.as_millis(), aim.as_millis());
    assert!(took < limit, "{what}: {verb} took {took:?}");
}
