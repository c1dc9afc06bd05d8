//! Moving sessions between backends: whole, in order, and never into a place where nobody would look for them.

mod support;

use claviger::dialect::Verb;
use claviger::message::Request;
use claviger::session::Storage;
use serde_json::{Value, json};
use support::SERVICE;
use support::faults::{Fault, Plan};
use support::world::{Line, Machine, Mood};

const NOW: &str = "2026-01-01T00:00:00Z";

fn call(machine: &Machine, verb: Verb, request: &Value) -> Value {
    let rendered = machine.call(verb, None, request.to_string().as_bytes());
    serde_json::from_slice(&rendered.stdout).expect("a reply is JSON")
}

fn move_to(machine: &Machine, to: Storage) -> Value {
    serde_json::from_slice(&machine.people(Request::MoveStorage(to)).stdout).expect("a reply is JSON")
}

fn bundle(account: &str) -> Value {
    json!({
        "service": SERVICE, "account": account, "accessToken": format!("AT-{account}"), "expiresIn": 3600,
        "refreshToken": format!("RT-{account}"), "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    })
}

fn get(account: &str) -> Value {
    json!({ "service": SERVICE, "account": account })
}

fn three() -> Machine {
    let machine = Machine::new(NOW);
    for account in ["alice", "bob", "carol"] {
        assert!(call(&machine, Verb::Store, &bundle(account))["error"].is_null());
    }
    machine
}

fn pin(machine: &Machine) -> Value {
    let pin = std::fs::read(support::pin_file(machine.home())).expect("there is a pin");
    serde_json::from_slice(&pin).expect("a pin is JSON")
}

/// Plaintext slots. A probe that died young is nobody's.
fn files(machine: &Machine) -> usize {
    let slots = support::files_below(machine.home());
    let slots =
        slots.iter().filter(|(path, _)| path.parent().is_some_and(|folder| folder.ends_with("slots")));
    slots.filter(|(_, bytes)| !bytes.starts_with(b"claviger probe")).count()
}

#[test]
fn every_session_goes_and_comes_back_with_both_its_tokens() {
    let machine = three();
    let before = machine.keyring.slots.borrow().clone();
    assert_eq!(
        move_to(&machine, Storage::Plaintext),
        json!({ "version": 1, "storage": "plaintext", "moved": 3 })
    );
    assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (0, 6));
    assert_eq!(pin(&machine)["storage"], "plaintext");
    assert!(pin(&machine)["moving"].is_null(), "it has ended");
    for account in ["alice", "bob", "carol"] {
        let reply = call(&machine, Verb::Get, &get(account));
        assert_eq!(
            (&reply["accessToken"], &reply["storage"]),
            (&json!(format!("AT-{account}")), &json!("plaintext"))
        );
    }
    assert_eq!(
        call(&machine, Verb::Get, &json!({ "service": SERVICE }))["account"],
        "alice",
        "the default stays"
    );
    let listed = call(&machine, Verb::List, &json!({}));
    assert!(
        listed["sessions"].as_array().unwrap().iter().all(|session| session["storage"] == "plaintext"),
        "{listed}"
    );
    // New ones go there too, and back again it is what it was, to the byte.
    assert_eq!(call(&machine, Verb::Store, &bundle("dora"))["storage"], "plaintext");
    assert_eq!(call(&machine, Verb::Erase, &get("dora"))["erased"], true);
    assert_eq!(move_to(&machine, Storage::Keyring)["moved"], 3);
    assert_eq!(*machine.keyring.slots.borrow(), before);
    assert_eq!((files(&machine), move_to(&machine, Storage::Keyring)["moved"].clone()), (0, json!(0)));
}

#[test]
fn a_move_that_the_configuration_contradicts_is_refused_whoever_else_agrees() {
    let machine = three();
    std::fs::write(machine.home().join("config.toml"), "storage = \"keyring\"\n").unwrap();
    assert_eq!(move_to(&machine, Storage::Plaintext)["error"]["code"], "CONFLICT");
    // A variable that beats the configuration now will not beat it tomorrow.
    machine.variables.borrow_mut().push(("CLAVIGER_STORAGE".to_owned(), "plaintext".to_owned()));
    assert_eq!(move_to(&machine, Storage::Plaintext)["error"]["code"], "CONFLICT");
    assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (6, 0));
}

#[test]
fn a_target_that_keeps_nothing_gets_nothing() {
    for mood in [Mood::Unreachable, Mood::Locked, Mood::Hangs, Mood::Refuses] {
        let machine = Machine::new(NOW);
        std::fs::write(machine.home().join("config.toml"), "storage = \"plaintext\"\n").unwrap();
        call(&machine, Verb::Store, &bundle("alice"));
        std::fs::remove_file(machine.home().join("config.toml")).unwrap();
        machine.keyring.mood.set(mood);
        let reply = move_to(&machine, Storage::Keyring);
        assert!(reply["error"]["code"].as_str().unwrap().starts_with("STORE_"), "{reply}");
        assert_eq!(files(&machine), 2);
        assert!(!support::pin_file(machine.home()).exists(), "{mood:?}: nothing is pinned");
    }
}

#[test]
fn what_cannot_be_pinned_is_not_moved() {
    let machine = three();
    std::fs::remove_dir_all(machine.home().join("pin")).unwrap();
    std::fs::write(machine.home().join("pin"), b"in the way").unwrap();
    // The default is the keyring, and a file in the folder's place is nobody's pin.
    let reply = move_to(&machine, Storage::Plaintext);
    assert!(!reply["error"].is_null(), "{reply}");
    assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (6, 0));
}

#[test]
fn one_session_that_cannot_be_moved_stops_no_other_and_is_brought_along_later() {
    let machine = three();
    machine.keyring.deny(format!("{SERVICE}#bob"));
    let reply = move_to(&machine, Storage::Plaintext);
    assert_eq!(reply["error"]["code"], "AUTH_STORE_WRITE_FAILED");
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("2 moved to plaintext files, 1 not; new ones are kept there now, and moving again brings the rest: the session of bob"), "{message}");
    assert!(message.contains("it is where it was"), "{message}");
    assert_eq!(pin(&machine)["moving"], true);
    machine.keyring.deny_for(String::new(), 0);
    for account in ["alice", "bob", "carol"] {
        let reply = call(&machine, Verb::Get, &get(account));
        assert_eq!(
            (&reply["accessToken"], &reply["storage"]),
            (&json!(format!("AT-{account}")), &json!("plaintext"))
        );
    }
    assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (0, 6));
    assert_eq!(move_to(&machine, Storage::Plaintext)["moved"], 0);
    assert!(pin(&machine)["moving"].is_null());
}

#[test]
fn a_move_of_many_killed_anywhere_loses_none_of_them() {
    for at in 0.. {
        let machine = three();
        let plan = std::rc::Rc::new(Plan::new(Fault::DiesBefore, at));
        *machine.plan.borrow_mut() = Some(plan.clone());
        machine.people(Request::MoveStorage(Storage::Plaintext));
        *machine.plan.borrow_mut() = None;
        if !plan.struck() {
            assert!(at > 30, "only {at} calls");
            break;
        }
        // A rejected token is looked for where its session still is.
        let rejected = json!({ "service": SERVICE, "account": "carol", "accessToken": "AT-carol" });
        assert_eq!(call(&machine, Verb::Erase, &rejected)["erased"], true, "killed at {at}");
        for account in ["alice", "bob"] {
            let reply = call(&machine, Verb::Get, &get(account));
            assert_eq!(reply["accessToken"], json!(format!("AT-{account}")), "killed at {at}: {reply}");
        }
        assert!(move_to(&machine, Storage::Plaintext)["error"].is_null(), "killed at {at}");
        let examined: Value =
            serde_json::from_slice(&machine.people(Request::Doctor { fix: true }).stdout).unwrap();
        assert_eq!(examined["problems"], 0, "killed at {at}: {examined}");
        let slots = machine.keyring.slots.borrow().keys().filter(|name| !name.starts_with("probe/")).count();
        assert_eq!((slots, files(&machine)), (0, 6), "killed at {at}");
    }
}

#[test]
fn the_refresh_token_of_a_session_on_its_way_is_spent_in_one_place() {
    // Marked under a refresh that had already chosen it: nothing is sent.
    let machine = three();
    let slot = format!("{SERVICE}#alice");
    machine.keyring.once_locked(machine.locks(), move |slots| {
        let mut value: Value = serde_json::from_slice(&slots[&slot]).unwrap();
        value["movedTo"] = json!("plaintext");
        slots.insert(slot, value.to_string().into_bytes());
    });
    let forced = json!({ "service": SERVICE, "account": "alice", "forceRefresh": true });
    let reply = call(&machine, Verb::Get, &forced);
    assert_eq!(
        (&reply["error"]["code"], &reply["error"]["retryable"]),
        (&json!("LOCK_TIMEOUT"), &json!(true))
    );
    assert_eq!(machine.server.sent.borrow().len(), 0);
    // The next call settles it: the keyring is in use, so it comes back.
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: r#"{"access_token":"AT2","token_type":"Bearer","refresh_token":"RT2"}"#.to_owned(),
    });
    let reply = call(&machine, Verb::Get, &forced);
    assert_eq!((&reply["accessToken"], &reply["storage"]), (&json!("AT2"), &json!("keyring")));
    assert!(machine.slot(&format!("{SERVICE}#alice")).unwrap()["movedTo"].is_null());
    assert_eq!(files(&machine), 0);
}

#[test]
fn a_session_on_its_way_is_served_while_its_target_is_away() {
    let machine = Machine::new(NOW);
    std::fs::write(machine.home().join("config.toml"), "storage = \"plaintext\"\n").unwrap();
    call(&machine, Verb::Store, &bundle("alice"));
    let file = machine
        .home()
        .join("slots")
        .join(claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(format!("{SERVICE}#alice"))));
    let mut value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    value["movedTo"] = json!("keyring");
    std::fs::write(&file, value.to_string()).unwrap();
    machine.keyring.mood.set(Mood::Unreachable);
    assert_eq!(call(&machine, Verb::Get, &get("alice"))["accessToken"], "AT-alice");
    machine.clock.now.set(machine.clock.now.get() + 7200);
    assert_eq!(call(&machine, Verb::Get, &get("alice"))["error"]["code"], "STORE_UNAVAILABLE");
    assert_eq!(machine.server.sent.borrow().len(), 0);
}

#[test]
fn an_ended_session_is_not_moved_and_stays_ended() {
    let machine = three();
    let slot = format!("{SERVICE}#bob");
    let mut value = machine.slot(&slot).unwrap();
    value["erased"] = json!(true);
    value.as_object_mut().unwrap().remove("accessToken");
    machine.keyring.slots.borrow_mut().insert(slot, value.to_string().into_bytes());
    assert_eq!(move_to(&machine, Storage::Plaintext)["moved"], 2);
    assert_eq!(call(&machine, Verb::Get, &get("bob"))["error"]["code"], "ACCOUNT_NOT_FOUND");
}

#[test]
fn where_both_backends_lock_in_one_folder_nobody_waits_for_themselves() {
    let machine = Machine::new(NOW);
    machine.one_folder.set(true);
    let done = |reply: &Value| assert!(reply["error"].is_null(), "{reply}");
    done(&call(&machine, Verb::Store, &bundle("alice")));
    done(&call(&machine, Verb::Store, &bundle("alice")));
    done(&move_to(&machine, Storage::Plaintext));
    done(&call(&machine, Verb::Store, &bundle("alice")));
    done(&move_to(&machine, Storage::Keyring));
    done(&call(&machine, Verb::Erase, &get("alice")));
    assert_eq!(machine.clock.waited.get(), std::time::Duration::ZERO, "nobody waited");
    assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (0, 0));
}

#[test]
fn a_store_that_a_move_of_all_overtakes_is_sent_after_them() {
    let machine = three();
    let file = support::pin_file(machine.home());
    let mut elsewhere = pin(&machine);
    elsewhere["storage"] = json!("plaintext");
    elsewhere["moving"] = json!(true);
    // Under the store's lock, when the move has listed what there is.
    machine.keyring.once_locked(machine.locks(), move |_| {
        std::fs::write(&file, elsewhere.to_string()).expect("the pin is changed");
    });
    assert_eq!(call(&machine, Verb::Store, &bundle("dora"))["storage"], "plaintext");
    assert_eq!(files(&machine), 2, "both its slots");
    assert_eq!(call(&machine, Verb::Get, &get("dora"))["storage"], "plaintext");
    assert!(!machine.keyring.slots.borrow().keys().any(|name| name.contains("dora")));
}

/// A move to files that died after the given call.
fn killed_move(at: usize) -> Machine {
    let machine = Machine::new(NOW);
    assert!(call(&machine, Verb::Store, &bundle("alice"))["error"].is_null());
    *machine.plan.borrow_mut() = Some(std::rc::Rc::new(Plan::new(Fault::DiesBefore, at)));
    machine.people(Request::MoveStorage(Storage::Plaintext));
    *machine.plan.borrow_mut() = None;
    machine
}

#[test]
fn moving_back_after_a_killed_move_leaves_nothing_behind() {
    for at in 0..30 {
        let machine = killed_move(at);
        let back = move_to(&machine, Storage::Keyring);
        assert!(back["error"].is_null(), "killed before {at}: {back}");
        assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (2, 0), "killed before {at}");
        let reply = call(&machine, Verb::Get, &get("alice"));
        assert_eq!((&reply["accessToken"], &reply["storage"]), (&json!("AT-alice"), &json!("keyring")));
    }
}

#[test]
fn a_choice_for_one_call_finishes_no_move_and_takes_nothing_along() {
    for at in 0..30 {
        let machine = killed_move(at);
        let before = machine.keyring.slots.borrow().clone();
        for storage in ["keyring", "plaintext"] {
            let rendered = machine.call(Verb::Get, Some(storage), get("alice").to_string().as_bytes());
            assert!(rendered.exit <= 1, "killed before {at}: {}", String::from_utf8_lossy(&rendered.stdout));
        }
        assert!(*machine.keyring.slots.borrow() == before, "killed before {at}: the keyring is as it was");
        assert_eq!(call(&machine, Verb::Get, &get("alice"))["accessToken"], "AT-alice", "killed before {at}");
    }
}

#[test]
fn while_sessions_are_on_their_way_a_source_that_cannot_be_asked_is_an_error_and_no_miss() {
    let (mut misses, mut errors) = (0, 0);
    for at in 0..30 {
        for mood in [Mood::Unreachable, Mood::Locked, Mood::Hangs, Mood::Refuses] {
            let machine = killed_move(at);
            if pin(&machine)["moving"] != true {
                continue;
            }
            machine.keyring.mood.set(mood);
            let reply = call(&machine, Verb::Get, &get("alice"));
            match reply["error"]["code"].as_str() {
                None => misses += 1,
                Some(code) => {
                    assert!(code.starts_with("STORE_"), "killed before {at}, {mood:?}: {reply}");
                    errors += 1;
                }
            }
            // An end of it must not be told while a part of it may be where nobody looked.
            let ended = call(&machine, Verb::Erase, &get("alice"));
            assert!(!ended["error"].is_null(), "killed before {at}, {mood:?}: {ended}");
            machine.keyring.mood.set(Mood::Open);
            assert_eq!(
                call(&machine, Verb::Get, &get("alice"))["accessToken"],
                "AT-alice",
                "killed before {at}"
            );
        }
    }
    assert!(errors > 20 && misses > 0, "{errors} errors, {misses} served");
}

#[test]
fn what_a_newer_version_pinned_is_left_alone_and_one_that_says_nothing_is_replaced() {
    let machine = three();
    let file = support::pin_file(machine.home());
    std::fs::write(&file, br#"{"format":2}"#).unwrap();
    assert_eq!(move_to(&machine, Storage::Plaintext)["error"]["code"], "STORE_NEWER");
    assert_eq!(std::fs::read(&file).unwrap(), br#"{"format":2}"#);
    std::fs::write(&file, b"{").unwrap();
    assert_eq!(move_to(&machine, Storage::Plaintext)["moved"], 3);
}

#[test]
fn where_none_could_be_moved_the_pin_is_as_before() {
    let machine = three();
    for account in ["alice", "bob", "carol"] {
        let slot = format!("{SERVICE}#{account}");
        let mut value = machine.slot(&slot).unwrap();
        value["format"] = json!(2);
        machine.keyring.slots.borrow_mut().insert(slot, value.to_string().into_bytes());
    }
    assert_eq!(move_to(&machine, Storage::Plaintext)["error"]["code"], "STORE_NEWER");
    assert_eq!((&pin(&machine)["storage"], &pin(&machine)["moving"]), (&json!("keyring"), &Value::Null));
}

#[test]
fn a_target_that_forgets_gets_nothing() {
    let machine = Machine::new(NOW);
    std::fs::write(machine.home().join("config.toml"), "storage = \"plaintext\"\n").unwrap();
    call(&machine, Verb::Store, &bundle("alice"));
    std::fs::remove_file(machine.home().join("config.toml")).unwrap();
    *machine.plan.borrow_mut() = Some(std::rc::Rc::new(Plan::new(Fault::Forgets, 0)));
    assert_eq!(move_to(&machine, Storage::Keyring)["error"]["code"], "STORE_UNAVAILABLE");
    *machine.plan.borrow_mut() = None;
    assert!(!support::pin_file(machine.home()).exists());
    assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (0, 2));
}

#[test]
fn two_moves_at_once_take_turns() {
    let machine = three();
    let slot = claviger::session::SlotName::everything();
    let keep = claviger::lock::KeepUntilExit::default();
    let locks = machine.home().join("locks");
    let now = claviger::time::Timestamp::EPOCH;
    let held = claviger::lock::try_acquire(&locks, &slot, Storage::Plaintext, now, &keep).unwrap();
    assert!(matches!(held, claviger::lock::Attempt::Held(_)));
    assert_eq!(move_to(&machine, Storage::Plaintext)["error"]["code"], "LOCK_TIMEOUT");
    assert_eq!((machine.keyring.slots.borrow().len(), files(&machine)), (6, 0));
    let examined = machine.people(Request::Doctor { fix: false });
    assert_eq!(examined.exit, 0);
    drop(held);
    assert_eq!(move_to(&machine, Storage::Plaintext)["moved"], 3);
}

#[test]
fn files_can_be_pinned_for_good_where_there_is_no_keyring_and_they_have_sessions_already() {
    let machine = Machine::new(NOW);
    let stored = machine.call(Verb::Store, Some("plaintext"), bundle("alice").to_string().as_bytes());
    assert_eq!(stored.exit, 0);
    machine.keyring.mood.set(Mood::Unreachable);
    let moved = move_to(&machine, Storage::Plaintext);
    assert_eq!(moved, json!({ "version": 1, "storage": "plaintext", "moved": 0 }));
    assert_eq!((pin(&machine)["storage"].as_str(), files(&machine)), (Some("plaintext"), 2));
    assert!(pin(&machine)["moving"].is_null(), "it has ended");
}
