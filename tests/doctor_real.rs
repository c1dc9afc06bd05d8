//! `doctor` against real keyrings, real files and real locks: what is wrong is named with its cause and a remedy, no
//! token is shown, and without `--fix` no file is changed.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::bus::Bus;
use support::scripted::{Habits, Unlock};
use support::server::Server;
use support::stage::{Stage, told};
use support::{Answer, SERVICE, Sandbox, finish};

/// Parts of both tokens that no output may hold.
const MARK: &str = "c4n4ry";

/// A session of both tokens.
fn bundle(server: &Server, account: &str) -> Value {
    json!({
        "service": SERVICE, "account": account, "accessToken": format!("AT-{MARK}"), "expiresIn": 3600,
        "refreshToken": format!("RT-{MARK}"), "tokenEndpoint": server.token_endpoint(), "clientId": "tests",
    })
}

/// Runs `doctor` twice, for people and as JSON: both show no token and end alike, and no file is changed.
#[track_caller]
fn examined(sandbox: &Sandbox) -> (Answer, Answer) {
    examined_at(sandbox, sandbox.home())
}

#[track_caller]
fn examined_at(sandbox: &Sandbox, home: &Path) -> (Answer, Answer) {
    let before = kept(sandbox);
    let run = |words: &[&str]| {
        let mut command = sandbox.command("doctor");
        command.args(words).env("CLAVIGER_HOME", home);
        finish(command, b"")
    };
    let (for_people, as_json) = (run(&[]), run(&["--json"]));
    for answer in [&for_people, &as_json] {
        assert!(!format!("{}{}", answer.stdout, answer.stderr).contains(MARK), "no token is shown");
    }
    assert_eq!(for_people.exit, as_json.exit);
    let problems = as_json.json()["problems"].as_u64().unwrap();
    assert_eq!(as_json.exit, if problems == 0 { 0 } else { 5 }, "{}", as_json.stdout);
    assert_eq!(kept(sandbox), before, "no file is changed");
    (for_people, as_json)
}

fn doctor(sandbox: &Sandbox, words: &[&str]) -> Answer {
    let mut command = sandbox.command("doctor");
    command.args(words);
    finish(command, b"")
}

fn per_client() -> Habits {
    Habits { items_locked_per_client: true, unlock: Unlock::ByPrompt, ..Habits::default() }
}

/// Every file and its mode, locks apart.
fn kept(sandbox: &Sandbox) -> Vec<(PathBuf, Vec<u8>, u32)> {
    let files =
        sandbox.files().into_iter().filter(|(path, _)| !path.starts_with(sandbox.home().join("locks")));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    files.map(|(path, bytes)| (path.clone(), bytes, mode(&path))).collect()
}

/// What was found by a check: state, message and hint. Where there are several, the first that is not well.
fn finding(answer: &Answer, check: &str) -> Option<(String, String, String)> {
    let reply = answer.json();
    let found: Vec<&Value> =
        reply["findings"].as_array()?.iter().filter(|one| one["check"] == check).collect();
    let one = found.iter().find(|one| one["state"] != "ok").or(found.first())?;
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    Some((text("state"), text("message"), text("hint")))
}

/// A problem must be there, with these words in its message and its hint, and people must be told of it too.
#[track_caller]
fn has_problem((for_people, as_json): &(Answer, Answer), check: &str, message: &str, hint: &str) {
    let (state, said, remedy) = finding(as_json, check).unwrap();
    assert_eq!(state, "problem", "{check}: {}", as_json.stdout);
    assert!(said.contains(message), "{check}: {said}");
    assert!(remedy.contains(hint), "{check}: {remedy}");
    assert!(
        for_people.stdout.contains(&said) && for_people.stdout.contains(&remedy),
        "{}",
        for_people.stdout
    );
    assert_eq!(as_json.exit, 5);
}

struct Situation {
    name: &'static str,
    bus: fn() -> Option<Bus>,
    /// The address to use instead of the bus's own; empty for none at all.
    address: Option<&'static str>,
    /// Where the session lies, so that there is a token to keep quiet about.
    stored: &'static str,
    attended: bool,
    by_default: &'static str,
    chosen: &'static str,
    message: &'static str,
    hint: &'static str,
}

fn table() -> Vec<Situation> {
    let plain = || Situation {
        name: "unlocked",
        bus: Bus::with_keyring,
        address: None,
        stored: "keyring",
        attended: false,
        by_default: "ok",
        chosen: "ok",
        message: "keeps what it is given",
        hint: "",
    };
    let locked = || Situation {
        name: "locked, nobody to ask",
        by_default: "problem",
        chosen: "problem",
        message: "the keyring is locked, and there is no desktop here to ask at",
        hint: "unlock the keyring",
        ..plain()
    };
    let absent = || Situation {
        name: "no service",
        bus: Bus::empty,
        stored: "plaintext",
        by_default: "note",
        chosen: "problem",
        message: "no Secret Service is running",
        hint: "see to the keyring",
        ..plain()
    };
    vec![
        plain(),
        locked(),
        Situation {
            name: "locked, the question is dismissed",
            attended: true,
            message: "the question to unlock it was dismissed",
            ..locked()
        },
        Situation {
            name: "a service that never replies",
            bus: Bus::with_silence,
            stored: "plaintext",
            message: "did not answer within 1 s",
            hint: "timeouts.keyring",
            ..locked()
        },
        absent(),
        Situation { name: "no bus", address: Some(""), message: "there is no session bus", ..absent() },
        Situation {
            name: "a dead bus",
            address: Some("unix:path=/nonexistent/bus"),
            message: "cannot be reached",
            ..absent()
        },
    ]
}

#[test]
fn each_situation_of_a_keyring_is_named_with_its_cause_and_a_remedy() {
    let server = Server::start("RT-unused");
    for situation in table() {
        for chosen in [false, true] {
            let Some(bus) = (situation.bus)() else { return };
            let mut sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
            sandbox.configure("[timeouts]\nkeyring = 1\nunlock = 1\n");
            // A choice for one call pins nothing: afterwards it is as if nobody had decided.
            sandbox.set("CLAVIGER_STORAGE", situation.stored);
            sandbox.run("store", &bundle(&server, "doctor")).ok();
            sandbox.set("CLAVIGER_STORAGE", if chosen { "keyring" } else { "" });
            sandbox.set("DISPLAY", if situation.attended { ":99" } else { "" });
            sandbox.set("DBUS_SESSION_BUS_ADDRESS", situation.address.unwrap_or(&bus.address));
            let expected = if chosen { situation.chosen } else { situation.by_default };
            if expected != "ok" && situation.stored == "keyring" {
                bus.lock();
            }

            let both = examined(&sandbox);
            let what = format!("{}, by choice: {chosen}: {}", situation.name, both.1.stdout);
            let (state, message, hint) = finding(&both.1, "keyring").unwrap();
            assert_eq!(state, expected, "{what}");
            assert!(message.contains(situation.message), "{what}");
            assert!(hint.contains(situation.hint) && hint.is_empty() == (state == "ok"), "{what}");
            assert_eq!(message.contains("plaintext files, and says so"), state == "note", "{what}");
            assert_eq!(both.1.exit, if state == "problem" { 5 } else { 0 }, "{what}");
            assert!(both.0.stdout.contains(&message), "{what}: {}", both.0.stdout);
            let waits = both.0.stderr.matches("waiting up to 1 s").count();
            assert_eq!(waits, usize::from(situation.attended), "{what}: {}", both.0.stderr);
        }
    }
}

#[test]
fn a_keyring_that_is_not_in_use_is_worth_a_note_whatever_is_wrong_with_it() {
    let server = Server::start("RT-unused");
    for address in ["", "unix:path=/nonexistent/bus", "tcp:host=127.0.0.1,port=1"] {
        let sandbox =
            Sandbox::new(&[("CLAVIGER_STORAGE", "plaintext"), ("DBUS_SESSION_BUS_ADDRESS", address)]);
        sandbox.run("store", &bundle(&server, "doctor")).ok();
        let (for_people, as_json) = examined(&sandbox);
        let (state, _, hint) = finding(&as_json, "keyring").unwrap();
        assert_eq!((&*state, as_json.exit), ("note", 0), "{}", as_json.stdout);
        assert!(hint.contains("not in use"), "{hint}");
        assert!(for_people.stdout.ends_with("nothing is wrong\n"), "{}", for_people.stdout);
        assert_eq!(finding(&as_json, "files").unwrap().0, "ok");
    }
}

/// With a session in files.
fn stored() -> (Sandbox, PathBuf) {
    let (server, sandbox) = (Server::start("RT-unused"), Sandbox::plaintext());
    sandbox.run("store", &bundle(&server, "doctor")).ok();
    let slots = support::files_below(&sandbox.home().join("slots"));
    let access = |(_, bytes): &&(PathBuf, Vec<u8>)| String::from_utf8_lossy(bytes).contains("AT-");
    let slot = slots.iter().find(access).unwrap().0.clone();
    (sandbox, slot)
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_state_folder_that_others_can_write_is_a_problem_that_names_it() {
    let (sandbox, _) = stored();
    chmod(sandbox.home(), 0o777);
    let both = examined(&sandbox);
    let folder = sandbox.home().display().to_string();
    has_problem(&both, "files", &format!("{folder} can be written by others"), "owner and permissions");
}

#[test]
fn a_slot_that_others_could_read_is_closed_and_told() {
    for words in [&[] as &[&str], &["--json"]] {
        let (sandbox, slot) = stored();
        chmod(&slot, 0o644);
        let mut command = sandbox.command("doctor");
        command.args(words);
        let answer = finish(command, b"");
        assert_eq!(answer.exit, 0, "{}", answer.stdout);
        assert_eq!(std::fs::metadata(&slot).unwrap().permissions().mode() & 0o777, 0o600);
        if words.is_empty() {
            assert!(answer.stderr.contains("others could read a slot's file"), "{}", answer.stderr);
        } else {
            assert_eq!(answer.json()["warnings"][0]["code"], "PERMISSIONS_REPAIRED", "{}", answer.stdout);
        }
        assert!(!format!("{}{}", answer.stdout, answer.stderr).contains(MARK));
        assert!(examined(&sandbox).1.json().get("warnings").is_none(), "it is closed now");
    }
}

#[test]
fn a_file_system_that_excludes_nobody_is_a_problem_of_the_locks() {
    let (sandbox, _) = stored();
    // Everybody is given every lock, and then nobody any.
    for injected in ["inject=flock:retval=0", "inject=flock:error=ENOLCK"] {
        let Some((answer, _)) = sandbox.traced("doctor", &json!({}), &["-e", injected]) else { return };
        assert_eq!(answer.exit, 5, "{injected}: {}", answer.stdout);
        let line = answer.stdout.lines().find(|line| line.starts_with("problem")).unwrap();
        assert!(line.contains("locks") && line.contains("does not exclude a second writer"), "{line}");
        assert!(line.contains(&sandbox.home().display().to_string()), "{line}");
        assert!(answer.stdout.contains("keep the state folder on a local disk"), "{}", answer.stdout);
        assert!(!answer.stdout.contains(MARK));
    }
    assert_eq!(examined(&sandbox).1.exit, 0, "no lock is left behind");
}

#[test]
fn a_slot_that_is_a_link_is_a_problem_that_names_it_and_its_target_is_untouched() {
    let (sandbox, slot) = stored();
    let victim = sandbox.home().join("victim");
    std::fs::rename(&slot, &victim).unwrap();
    symlink(&victim, &slot).unwrap();
    has_problem(&examined(&sandbox), "sessions", &format!("{} is a link", slot.display()), "remove it");
    assert!(std::fs::symlink_metadata(&slot).unwrap().is_symlink());
}

#[test]
fn a_slot_with_a_second_name_is_a_problem_that_names_it() {
    let (sandbox, slot) = stored();
    std::fs::hard_link(&slot, sandbox.home().join("second")).unwrap();
    let said = format!("{} has a second name", slot.display());
    has_problem(&examined(&sandbox), "sessions", &said, "remove it");
}

#[test]
fn a_lock_folder_that_is_a_link_is_a_problem_of_the_locks() {
    let (sandbox, _) = stored();
    let locks = sandbox.home().join("locks");
    if locks.exists() {
        std::fs::remove_dir_all(&locks).unwrap();
    }
    symlink("/nonexistent/locks", &locks).unwrap();
    has_problem(&examined(&sandbox), "locks", &locks.display().to_string(), "");
}

#[test]
fn a_state_folder_that_cannot_be_made_is_a_problem_that_names_it() {
    let (sandbox, _) = stored();
    let file = sandbox.home().join("file");
    std::fs::write(&file, b"").unwrap();
    let home = file.join("state");
    let both = examined_at(&sandbox, &home);
    has_problem(&both, "files", &home.display().to_string(), "");
}

#[test]
fn an_index_that_cannot_be_read_and_a_slot_that_is_damaged_are_problems_that_quote_nothing() {
    let (sandbox, slot) = stored();
    std::fs::write(&slot, format!("{{\"format\":1,\"accessToken\":\"AT-{MARK}")).unwrap();
    let (entry, _) = support::files_below(&sandbox.home().join("index")).remove(0);
    std::fs::write(&entry, format!("AT-{MARK}")).unwrap();
    let both = examined(&sandbox);
    has_problem(&both, "sessions", "is damaged", "erase");
    has_problem(&both, "index", &entry.display().to_string(), "doctor --fix");
}

/// What a write makes on its way, the folders and the two marks for backups and version control, it makes too.
#[test]
fn a_home_where_nothing_was_ever_stored_is_well_and_gets_no_session_and_no_pin() {
    let sandbox = Sandbox::new(&[]);
    for words in [&[] as &[&str], &["--json"]] {
        let mut command = sandbox.command("doctor");
        command.args(words).env("CLAVIGER_HOME", sandbox.home().join("new"));
        let answer = finish(command, b"");
        assert_eq!(answer.exit, 0, "{}", answer.stdout);
        let files = sandbox.files();
        let names: Vec<_> = files.iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, [".gitignore", "CACHEDIR.TAG"]);
    }
}

#[test]
fn doctor_asks_before_it_looks_into_items_of_other_clients() {
    let Some(mut stage) = Stage::new("examined", per_client()) else { return };
    stage.store("AT1").ok();
    stage.attended(true);
    let answer = doctor(&stage.sandbox, &[]);
    assert_eq!((answer.exit, stage.asked()), (0, 1), "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn doctor_asks_nobody_about_a_keyring_that_is_not_in_use() {
    let habits = Habits { locked: true, unlock: Unlock::ByPrompt, ..Habits::default() };
    let Some(mut stage) = Stage::new("unused", habits) else { return };
    stage.sandbox.set("CLAVIGER_STORAGE", "plaintext");
    stage.store("AT1").ok();
    stage.attended(true);
    let answer = doctor(&stage.sandbox, &[]);
    assert_eq!(told(&answer), (0, 0), "{}", answer.stderr);
    assert_eq!((stage.scripted.calls("Unlock"), stage.asked(), stage.writes()), (0, 0, 0));
}

#[test]
fn doctor_leaves_a_pin_of_a_newer_version_alone() {
    let sandbox = Sandbox::new(&[]);
    let pin = support::pin_file(sandbox.home());
    std::fs::create_dir(sandbox.home().join("pin")).unwrap();
    std::fs::write(&pin, br#"{"format":2,"storage":"keyring","machine":"m"}"#).unwrap();
    let answer = doctor(&sandbox, &["--fix"]);
    assert!(pin.exists(), "{}", answer.stdout);
}

#[test]
fn doctor_unpins_no_default_whose_session_could_not_be_read() {
    let Some(stage) = Stage::seeded("unreadable") else { return };
    let (attributes, secret) = stage.scripted.items().remove(0);
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
    let newer = String::from_utf8(secret).unwrap().replace("\"format\":1", "\"format\":2");
    stage.scripted.plant(&attributes, newer.as_bytes());
    let answer = doctor(&stage.sandbox, &["--fix"]);
    let defaults = support::files_below(&stage.sandbox.home().join("defaults"));
    assert_eq!(defaults.len(), 1, "{}", answer.stdout);
    assert!(!answer.stdout.contains("and there is none"), "{}", answer.stdout);
}

#[test]
fn doctor_does_not_call_well_what_every_get_fails_over() {
    let Some(mut stage) = Stage::new("away", Habits::default()) else { return };
    stage.chosen(true);
    stage.store("AT1").ok();
    stage.chosen(false);
    stage.sandbox.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    assert_eq!(stage.run("get").code(5), "STORE_UNAVAILABLE");
    let answer = doctor(&stage.sandbox, &[]);
    assert_eq!(answer.exit, 5, "{}", answer.stdout);
}

#[test]
fn doctor_tells_one_trouble_once() {
    let sandbox = Sandbox::plaintext();
    std::fs::set_permissions(sandbox.home(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let answer = doctor(&sandbox, &[]);
    assert!(answer.stdout.matches("can be written by others").count() == 1, "{}", answer.stdout);
}
