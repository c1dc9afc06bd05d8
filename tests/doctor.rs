//! `doctor`: every kind of trouble is found, named, and mended where that loses nothing; and no token is shown.

mod support;

use std::cell::RefCell;

use claviger::dialect::Verb;
use claviger::message::{Manner, Request};
use serde_json::{Value, json};
use support::SERVICE;
use support::vault::{Vault, WINDOWS};
use support::world::{Line, Machine};

const NOW: &str = "2026-01-01T00:00:00Z";

fn call(machine: &Machine, storage: Option<&str>, verb: Verb, request: &Value) -> Value {
    let rendered = machine.call(verb, storage, request.to_string().as_bytes());
    serde_json::from_slice(&rendered.stdout).expect("a reply is JSON")
}

fn bundle(account: &str, token: &str) -> Value {
    json!({
        "service": SERVICE, "account": account, "accessToken": format!("AT-{token}"), "expiresIn": 3600,
        "refreshToken": format!("RT-{token}"), "tokenEndpoint": "https://id.example/token", "clientId": "cli",
        "revocationEndpoint": "https://id.example/revoke",
    })
}

fn machine() -> Machine {
    let machine = Machine::new(NOW);
    assert!(call(&machine, None, Verb::Store, &bundle("alice", "1"))["error"].is_null());
    machine
}

fn doctor(machine: &Machine, fix: bool) -> Value {
    let rendered = machine.people(Request::Doctor { fix });
    let text = String::from_utf8(rendered.stdout.to_vec()).unwrap();
    assert!(!text.contains("AT-") && !text.contains("RT-"), "no token is shown: {text}");
    let reply: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rendered.exit, if reply["problems"] == 0 { 0 } else { 5 }, "{reply}");
    reply
}

fn all(reply: &Value, state: &str) -> Vec<String> {
    let findings = reply["findings"].as_array().unwrap();
    let wanted = findings.iter().filter(|finding| finding["state"] == state);
    wanted.map(|finding| finding["message"].as_str().unwrap().to_owned()).collect()
}

/// Everything but what a probe or a lock leaves for a moment.
fn everything(machine: &Machine) -> (Vec<(std::path::PathBuf, Vec<u8>)>, support::world::Slots) {
    (support::files_below(machine.home()), machine.keyring.slots.borrow().clone())
}

/// One trouble: found, left alone without `--fix`, mended with it, and gone after.
fn is_found_and_mended(machine: &Machine, words: &str) {
    let before = everything(machine);
    let found = doctor(machine, false);
    assert_eq!(all(&found, "problem").len(), 1, "{found}");
    assert!(all(&found, "problem")[0].contains(words), "{words}: {found}");
    let hint = found["findings"].as_array().unwrap().iter().find(|finding| finding["state"] == "problem");
    assert!(hint.unwrap()["hint"].as_str().unwrap().starts_with("`claviger doctor --fix` "), "{found}");
    assert!(before == everything(machine), "{words}: looking changes nothing");
    let mended = doctor(machine, true);
    assert_eq!((all(&mended, "mended").len(), &mended["problems"]), (1, &json!(0)), "{words}: {mended}");
    let after = doctor(machine, false);
    assert_eq!(after["problems"], 0, "{words}: {after}");
}

/// A trouble that is told, and that no machine should mend by itself.
fn is_told_and_left(machine: &Machine, words: &str) {
    for fix in [false, true] {
        let found = doctor(machine, fix);
        assert!(all(&found, "problem").iter().any(|message| message.contains(words)), "{words}: {found}");
        assert_eq!(all(&found, "mended"), Vec::<String>::new(), "{found}");
    }
}

fn slot(machine: &Machine, name: &str, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&machine.keyring.slots.borrow()[name]).unwrap();
    change(&mut value);
    machine.keyring.slots.borrow_mut().insert(name.to_owned(), value.to_string().into_bytes());
}

const ALICE: &str = "https://api.acme.example#alice";

#[test]
fn where_nothing_is_wrong_nothing_is_said_to_be_and_nothing_changes() {
    let machine = machine();
    let before = everything(&machine);
    for fix in [false, true] {
        let reply = doctor(&machine, fix);
        assert_eq!((reply["problems"].clone(), all(&reply, "note")), (json!(0), Vec::new()), "{reply}");
    }
    assert!(before == everything(&machine));
}

#[test]
fn of_two_copies_the_newer_is_kept_in_the_storage_in_use_with_its_own_refresh_token() {
    for newer in ["plaintext", "keyring"] {
        let machine = machine();
        let older = if newer == "keyring" { "plaintext" } else { "keyring" };
        call(&machine, Some(older), Verb::Store, &bundle("alice", "older"));
        machine.clock.now.set(machine.clock.now.get() + 60);
        call(&machine, Some(newer), Verb::Store, &bundle("alice", "newer"));
        is_found_and_mended(&machine, "is in two places");
        let reply = call(&machine, None, Verb::Get, &json!({ "service": SERVICE }));
        assert_eq!(
            (&reply["accessToken"], &reply["storage"]),
            (&json!("AT-newer"), &json!("keyring")),
            "{newer}"
        );
        assert_eq!(machine.slot(&format!("{ALICE}/refresh")).unwrap()["refreshToken"], "RT-newer", "{newer}");
        assert_eq!(std::fs::read_dir(machine.home().join("slots")).unwrap().count(), 0, "{newer}");
        assert_eq!(machine.server.sent.borrow().len(), 0, "the older one's token may be of the same grant");
    }
}

#[test]
fn a_session_where_no_call_looks_is_worth_a_note() {
    let machine = machine();
    call(&machine, Some("plaintext"), Verb::Store, &bundle("bob", "2"));
    let found = doctor(&machine, false);
    assert!(all(&found, "note")[0].contains("1 lie in plaintext files alone"), "{found}");
    // Where files serve for want of a keyring, that is where they belong.
    std::fs::remove_dir_all(machine.home().join("pin")).unwrap();
    std::fs::remove_dir_all(machine.home().join("index")).unwrap();
    machine.keyring.mood.set(support::world::Mood::Unreachable);
    let found = doctor(&machine, true);
    assert!(!all(&found, "note").iter().any(|message| message.contains("no call finds")), "{found}");
}

#[test]
fn an_end_that_was_not_finished_is_finished_and_revoked() {
    let machine = machine();
    slot(&machine, ALICE, |value| {
        value["erased"] = json!(true);
        value.as_object_mut().unwrap().remove("accessToken");
    });
    revokes(&machine);
    is_found_and_mended(&machine, "the end of the session of alice");
    assert_eq!(machine.keyring.slots.borrow().len(), 0);
    assert_eq!(machine.server.sent.borrow().len(), 1, "it was revoked");
}

fn revokes(machine: &Machine) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status: 200,
        content_type: None,
        retry_after: None,
        body: String::new(),
    });
}

#[test]
fn a_move_that_was_not_finished_is_settled() {
    let machine = machine();
    slot(&machine, ALICE, |value| value["movedTo"] = json!("plaintext"));
    is_found_and_mended(&machine, "the move of the session of alice");
    assert!(machine.slot(ALICE).unwrap()["movedTo"].is_null(), "the keyring is in use: it stays there");
}

#[test]
fn a_refresh_token_without_its_session_is_revoked_and_deleted() {
    let machine = machine();
    machine.keyring.slots.borrow_mut().remove(ALICE);
    std::fs::remove_dir_all(machine.home().join("index")).unwrap();
    std::fs::remove_dir_all(machine.home().join("defaults")).unwrap();
    revokes(&machine);
    is_found_and_mended(&machine, "a refresh token lies without its session");
    assert_eq!((machine.keyring.slots.borrow().len(), machine.server.sent.borrow().len()), (0, 1));
}

#[test]
fn a_refresh_token_in_another_sessions_slot_ends_neither_and_is_not_called_mended() {
    let machine = machine();
    let bob = "https://api.acme.example#bob";
    call(&machine, None, Verb::Store, &bundle("bob", "2"));
    let bobs = machine.keyring.slots.borrow()[&format!("{bob}/refresh")].clone();
    machine.keyring.slots.borrow_mut().remove(ALICE);
    machine.keyring.slots.borrow_mut().insert(format!("{ALICE}/refresh"), bobs);
    for _ in 0..2 {
        let left = all(&doctor(&machine, true), "problem").concat();
        assert!(left.contains("it could not be mended") && left.contains("another session"), "{left}");
    }
    assert!(machine.slot(bob).is_some() && machine.slot(&format!("{bob}/refresh")).is_some());
}

#[test]
fn the_copy_of_a_living_sessions_refresh_token_is_deleted_and_never_revoked() {
    // As a move leaves it that died after its first write.
    let machine = machine();
    let refresh = machine.keyring.slots.borrow()[&format!("{ALICE}/refresh")].clone();
    let file = claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(format!("{ALICE}/refresh")));
    // A slot made by the program, so that the folder has its proper mode.
    call(&machine, Some("plaintext"), Verb::Store, &bundle("bob", "2"));
    std::fs::write(machine.home().join("slots").join(&file), refresh).unwrap();
    is_found_and_mended(&machine, "in plaintext files a refresh token lies without its session");
    assert!(!machine.home().join("slots").join(file).exists());
    assert_eq!(machine.server.sent.borrow().len(), 0, "it is the living session's too");
    assert_eq!(call(&machine, None, Verb::Get, &json!({ "service": SERVICE }))["accessToken"], "AT-1");
}

#[test]
fn a_promise_without_its_token_is_told_with_the_way_out() {
    let machine = machine();
    machine.keyring.slots.borrow_mut().remove(&format!("{ALICE}/refresh"));
    is_told_and_left(&machine, "promises a refresh token, and there is none");
    assert_eq!(call(&machine, None, Verb::Get, &json!({ "service": SERVICE }))["accessToken"], "AT-1");
}

#[test]
fn a_damaged_slot_and_one_of_a_newer_version_are_told_and_left() {
    let machine = machine();
    machine.keyring.slots.borrow_mut().insert("https://x.example#bob".to_owned(), b"{".to_vec());
    is_told_and_left(&machine, "in the keyring, slot https://x.example#bob is damaged");
    machine.keyring.slots.borrow_mut().remove("https://x.example#bob");
    slot(&machine, ALICE, |value| value["format"] = json!(2));
    let before = machine.keyring.slots.borrow().clone();
    is_told_and_left(&machine, "was written by a newer claviger");
    assert_eq!(*machine.keyring.slots.borrow(), before);
}

#[test]
fn an_index_that_says_otherwise_is_put_right() {
    let ghost = machine();
    ghost.keyring.slots.borrow_mut().clear();
    let found = doctor(&ghost, false);
    assert_eq!(all(&found, "problem").len(), 2, "the entry, and the default: {found}");
    doctor(&ghost, true);
    assert_eq!(call(&ghost, None, Verb::List, &json!({}))["sessions"], json!([]));

    let unlisted = machine();
    std::fs::remove_dir_all(unlisted.home().join("index")).unwrap();
    is_found_and_mended(&unlisted, "it does not list the session of alice");
    assert_eq!(call(&unlisted, None, Verb::List, &json!({}))["sessions"][0]["account"], "alice");

    for folder in ["index", "defaults"] {
        let damaged = machine();
        let file = std::fs::read_dir(damaged.home().join(folder)).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&file, b"{").unwrap();
        let found = doctor(&damaged, true);
        assert!(
            all(&found, "mended").iter().any(|message| message.contains("is damaged")),
            "{folder}: {found}"
        );
        doctor(&damaged, true);
        assert_eq!(doctor(&damaged, false)["problems"], 0, "{folder}");
        assert_eq!(
            call(&damaged, None, Verb::Get, &json!({ "service": SERVICE }))["accessToken"],
            "AT-1",
            "{folder}"
        );
    }

    let pin = machine();
    std::fs::write(support::pin_file(pin.home()), b"{").unwrap();
    is_found_and_mended(&pin, ".json is damaged");
    let again: Value =
        serde_json::from_slice(&std::fs::read(support::pin_file(pin.home())).unwrap()).unwrap();
    assert_eq!(again["storage"], "keyring", "where the sessions are");
}

#[test]
fn what_belongs_to_nothing_is_removed_when_nobody_can_need_it_any_more() {
    let machine = machine();
    let probe = |age: &str| format!("claviger probe of {age}").into_bytes();
    let mut slots = machine.keyring.slots.borrow_mut();
    slots.insert("probe/00".to_owned(), probe("2025-12-31T22:00:00Z"));
    slots.insert("probe/11".to_owned(), probe("2025-12-31T23:59:00Z"));
    drop(slots);
    let found = doctor(&machine, true);
    assert_eq!(all(&found, "mended").len(), 1, "{found}");
    assert!(machine.keyring.slots.borrow().contains_key("probe/11"), "its writer may be alive");
    machine.keyring.slots.borrow_mut().remove("probe/11");

    // Written just now, by the machine's own clock, which here is far ahead of the program's.
    let litter = machine.home().join("index/.new-0011");
    std::fs::write(&litter, b"{").unwrap();
    let before = machine.clock.now.get();
    let modified = std::fs::metadata(&litter).unwrap().modified().unwrap();
    let modified = claviger::time::Timestamp::from_system(modified).unix();
    machine.clock.now.set(modified + 86_000);
    assert_eq!(all(&doctor(&machine, true), "mended"), Vec::<String>::new(), "younger than a day");
    machine.clock.now.set(modified + 87_000);
    let found = doctor(&machine, true);
    assert_eq!(all(&found, "mended").len(), 1, "{found}");
    assert!(!litter.exists());
    machine.clock.now.set(before);
}

#[test]
fn parts_of_no_value_are_removed_and_those_in_use_are_not() {
    let machine = Machine::new(NOW);
    let vault = Vault::with_limit(WINDOWS);
    let keyring = RefCell::new(());
    let serve = |command, input: &[u8]| {
        let _one = keyring.borrow_mut();
        let shared = vault.clone();
        let open = move || Ok(claviger::store::keyring::Chunked::new(shared.clone(), Some(WINDOWS)));
        let patience =
            claviger::store::keyring::Patience { call: std::time::Duration::from_secs(20), unlock: None };
        let keyring = claviger::store::keyring::Keyring::through(
            open,
            patience,
            claviger::lock::KeepUntilExit::default(),
        );
        let rendered = machine.serve(&keyring, command, None, input);
        serde_json::from_slice::<Value>(&rendered.stdout).expect("a reply is JSON")
    };
    let verb = |verb| claviger::settings::Command::Protocol(claviger::dialect::Call::Native(verb));
    let doctor =
        |fix| claviger::settings::Command::People { request: Request::Doctor { fix }, manner: Manner::Json };
    let token = "x".repeat(8192);
    let mut large = bundle("alice", &token);
    serve(verb(Verb::Store), large.to_string().as_bytes());
    large["accessToken"] = json!(format!("AT-second{token}"));
    serve(verb(Verb::Store), large.to_string().as_bytes());
    vault.change(|values| {
        values.insert(format!("{ALICE}/9.0"), b"AT-stray".to_vec());
        values.insert(format!("{ALICE}/refresh/7.1"), b"RT-stray".to_vec());
    });
    let found = serve(doctor(false), b"");
    assert_eq!(all(&found, "problem").len(), 2, "{found}");
    let mended = serve(doctor(true), b"");
    assert_eq!((all(&mended, "mended").len(), &mended["problems"]), (2, &json!(0)), "{mended}");
    let reply = serve(verb(Verb::Get), json!({ "service": SERVICE }).to_string().as_bytes());
    assert_eq!(reply["accessToken"], large["accessToken"]);
    assert_eq!(
        serve(verb(Verb::Erase), json!({ "service": SERVICE }).to_string().as_bytes())["erased"],
        true
    );
    assert_eq!(vault.names(), Vec::<String>::new(), "no part of it is left");
}

#[test]
fn people_are_told_in_lines_and_programs_in_json() {
    let machine = machine();
    machine.keyring.slots.borrow_mut().remove(&format!("{ALICE}/refresh"));
    let command =
        claviger::settings::Command::People { request: Request::Doctor { fix: false }, manner: Manner::Text };
    let rendered = machine.serve(&machine.keyring, command, None, b"");
    let text = String::from_utf8(rendered.stdout.to_vec()).unwrap();
    assert!(text.starts_with("ok       storage   keyring, decided by this machine's pin\n"), "{text}");
    assert!(text.contains("\nproblem  sessions  the session of alice"), "{text}");
    assert!(text.ends_with("1 to be seen to\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour");
    assert_eq!(rendered.exit, 5);
}

#[test]
fn a_choice_for_one_call_decides_nothing_between_two_copies() {
    for storage in ["plaintext", "keyring"] {
        let machine = machine();
        call(&machine, Some("plaintext"), Verb::Store, &bundle("alice", "older"));
        machine.clock.now.set(machine.clock.now.get() + 60);
        call(&machine, Some("keyring"), Verb::Store, &bundle("alice", "newer"));
        let before = machine.keyring.slots.borrow().clone();
        let command = claviger::settings::Command::People {
            request: Request::Doctor { fix: true },
            manner: Manner::Json,
        };
        let rendered = machine.serve(&machine.keyring, command, Some(storage), b"");
        let reply: Value = serde_json::from_slice(&rendered.stdout).unwrap();
        assert_eq!((rendered.exit, reply["problems"].clone()), (5, json!(1)), "{storage}: {reply}");
        assert!(reply.to_string().contains("run it without --storage"), "{reply}");
        assert!(*machine.keyring.slots.borrow() == before, "{storage}");
    }
}

#[test]
fn what_the_index_says_of_a_backend_that_cannot_be_looked_into_stands() {
    let machine = Machine::new(NOW);
    call(&machine, Some("plaintext"), Verb::Store, &bundle("alice", "older"));
    call(&machine, Some("keyring"), Verb::Store, &bundle("alice", "newer"));
    machine.keyring.mood.set(support::world::Mood::Unreachable);
    let wanted = json!({ "service": SERVICE });
    assert_eq!(call(&machine, None, Verb::Get, &wanted)["error"]["code"], "STORE_UNAVAILABLE");
    doctor(&machine, true);
    assert_eq!(
        call(&machine, None, Verb::Get, &wanted)["error"]["code"],
        "STORE_UNAVAILABLE",
        "and still no file"
    );
}

#[test]
fn an_index_entry_of_a_newer_version_is_not_written_over() {
    let machine = machine();
    let file = std::fs::read_dir(machine.home().join("index")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, br#"{"format":2}"#).unwrap();
    is_told_and_left(&machine, "was written by a newer claviger");
    assert_eq!(std::fs::read(&file).unwrap(), br#"{"format":2}"#);
}

#[test]
fn a_pin_of_another_name_of_this_machine_is_told_of() {
    let machine = Machine::new(NOW);
    let other = br#"{"format":1,"storage":"plaintext","machine":"old-name"}"#;
    claviger::store::mode::Pin::new(machine.home())
        .write("old-name", claviger::session::Storage::Plaintext)
        .unwrap();
    let found = doctor(&machine, true);
    assert!(all(&found, "note")[0].contains("for old-name it is plaintext"), "{found}");
    let files = support::files_below(&machine.home().join("pin"));
    assert_eq!(files[0].1, other, "another machine's decision is its own");
}

#[test]
fn a_damaged_pin_is_replaced_by_where_the_sessions_are() {
    let machine = machine();
    assert_eq!(machine.people(Request::MoveStorage(claviger::session::Storage::Plaintext)).exit, 0);
    std::fs::write(support::pin_file(machine.home()), b"{").unwrap();
    is_found_and_mended(&machine, ".json is damaged");
    assert_eq!(call(&machine, None, Verb::Get, &json!({ "service": SERVICE }))["storage"], "plaintext");
}

#[test]
fn a_default_without_a_session_is_found_where_there_is_no_keyring_too() {
    let machine = Machine::new(NOW);
    machine.keyring.mood.set(support::world::Mood::Unreachable);
    for account in ["alice", "bob"] {
        call(&machine, None, Verb::Store, &bundle(account, account));
    }
    std::fs::remove_file(machine.home().join("slots").join(digest(ALICE))).unwrap();
    std::fs::remove_file(machine.home().join("slots").join(digest(&format!("{ALICE}/refresh")))).unwrap();
    doctor(&machine, true);
    assert_eq!(call(&machine, None, Verb::Get, &json!({ "service": SERVICE }))["account"], "bob");
}

fn digest(slot: &str) -> String {
    claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(slot))
}

#[test]
fn one_damaged_value_in_chunks_is_its_own_sessions_trouble() {
    let machine = Machine::new(NOW);
    let vault = Vault::with_limit(WINDOWS);
    let serve = |verb, request: &Value| {
        let shared = vault.clone();
        let open = move || Ok(claviger::store::keyring::Chunked::new(shared.clone(), Some(WINDOWS)));
        let patience =
            claviger::store::keyring::Patience { call: std::time::Duration::from_secs(20), unlock: None };
        let keep = claviger::lock::KeepUntilExit::default();
        let keyring = claviger::store::keyring::Keyring::through(open, patience, keep);
        let command = claviger::settings::Command::Protocol(claviger::dialect::Call::Native(verb));
        let rendered = machine.serve(&keyring, command, None, request.to_string().as_bytes());
        serde_json::from_slice::<Value>(&rendered.stdout).expect("a reply is JSON")
    };
    for account in ["alice", "bob"] {
        serve(Verb::Store, &bundle(account, &format!("{account}{}", "x".repeat(6000))));
    }
    vault.change(|values| {
        values.remove(&format!("{ALICE}/1.1"));
    });
    std::fs::remove_dir_all(machine.home().join("index")).unwrap();
    std::fs::remove_dir_all(machine.home().join("defaults")).unwrap();
    let below = json!({ "service": format!("{SERVICE}/path") });
    assert_eq!(serve(Verb::Get, &below)["account"], "bob", "the index is lost, and bob is found");
    let alice = json!({ "service": SERVICE, "account": "alice" });
    assert_eq!(serve(Verb::Get, &alice)["error"]["code"], "AUTH_STORE_READ_FAILED");
    let mut again = bundle("alice", &"y".repeat(6000));
    assert_eq!(serve(Verb::Store, &again)["error"]["code"], "AUTH_STORE_READ_FAILED");
    again["replace"] = json!(true);
    assert!(serve(Verb::Store, &again)["error"].is_null(), "whoever says replace wants it gone");
    assert_eq!(serve(Verb::Get, &alice)["accessToken"], again["accessToken"]);
}
