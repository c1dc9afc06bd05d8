//! What is damaged is said by name, what is newer is left alone, and the other sessions go on.

mod support;

use claviger::dialect::Verb;
use claviger::message::Request;
use claviger::session::Storage;
use serde_json::{Value, json};
use support::world::{Line, Machine};
use support::{SERVICE, Sandbox, get};

const NOW: &str = "2026-01-01T00:00:00Z";

fn call(machine: &Machine, verb: Verb, request: &Value) -> (u8, Value) {
    let rendered = machine.call(verb, None, request.to_string().as_bytes());
    (rendered.exit, serde_json::from_slice(&rendered.stdout).expect("a reply"))
}

fn store(machine: &Machine, account: &str, make_default: bool) {
    let request = json!({ "service": SERVICE, "account": account, "accessToken": format!("AT-{account}"), "makeDefault": make_default });
    assert_eq!(call(machine, Verb::Store, &request).0, 0);
}

fn slot(account: &str) -> String {
    format!("{SERVICE}#{account}")
}

fn two_sessions() -> Machine {
    let machine = Machine::new(NOW);
    store(&machine, "alice", true);
    store(&machine, "bob", false);
    machine
}

#[test]
fn a_damaged_slot_is_named_and_only_its_own_session_suffers() {
    for damage in [
        &b""[..],
        b"{",
        b"not json",
        b"{}",
        b"[]",
        br#"{"format":0}"#,
        br#"{"format":1,"slot":"refresh"}"#,
        b"\0\0\0\0",
    ] {
        let machine = two_sessions();
        machine.keyring.slots.borrow_mut().insert(slot("alice"), damage.to_vec());
        let (exit, reply) = call(&machine, Verb::Get, &get());
        assert_eq!((exit, &reply["error"]["code"]), (5, &json!("AUTH_STORE_READ_FAILED")));
        assert!(reply["error"]["message"].as_str().unwrap().contains(&slot("alice")), "{reply}");
        let (exit, bob) = call(&machine, Verb::Get, &json!({ "service": SERVICE, "account": "bob" }));
        assert_eq!((exit, &bob["accessToken"]), (0, &json!("AT-bob")));
        // A store does not silently go over what it cannot read; an erase clears it.
        let again = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT9" });
        assert_eq!(call(&machine, Verb::Store, &again).1["error"]["code"], "AUTH_STORE_READ_FAILED");
        let erase = json!({ "service": SERVICE, "account": "alice" });
        assert_eq!(call(&machine, Verb::Erase, &erase).1["erased"], true);
        assert_eq!(call(&machine, Verb::Store, &again).0, 0);
    }
}

#[test]
fn a_slot_of_another_session_is_not_taken_for_ones_own() {
    let machine = two_sessions();
    let bob = machine.keyring.slots.borrow()[&slot("bob")].clone();
    machine.keyring.slots.borrow_mut().insert(slot("alice"), bob);
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "AUTH_STORE_READ_FAILED");
}

#[test]
fn a_slot_of_a_newer_format_is_untouched_by_every_verb() {
    let machine = two_sessions();
    let newer = br#"{"format":2,"shape":"unknown"}"#.to_vec();
    machine.keyring.slots.borrow_mut().insert(slot("alice"), newer.clone());
    let alice = json!({ "service": SERVICE, "account": "alice" });
    let rejected = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT-alice" });
    let store = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT9", "replace": true });
    for (verb, request) in
        [(Verb::Get, &alice), (Verb::Get, &get()), (Verb::Store, &store), (Verb::Erase, &alice)]
    {
        let (exit, reply) = call(&machine, verb, request);
        assert_eq!((exit, &reply["error"]["code"]), (5, &json!("STORE_NEWER")), "{verb:?}");
    }
    assert_eq!(call(&machine, Verb::Erase, &rejected).1["erased"], false);
    assert_eq!(machine.keyring.slots.borrow()[&slot("alice")], newer);
    assert_eq!(call(&machine, Verb::Get, &json!({ "service": SERVICE, "account": "bob" })).0, 0);
}

#[test]
fn a_record_that_promises_a_missing_refresh_token_is_an_error_and_can_be_erased() {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresAt": "2020-01-01T00:00:00Z",
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    assert_eq!(call(&machine, Verb::Store, &bundle).0, 0);
    machine.keyring.slots.borrow_mut().remove(&format!("{}/refresh", slot("alice")));
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "AUTH_STORE_READ_FAILED");
    assert_eq!(call(&machine, Verb::Erase, &get()).1["erased"], true);
    assert_eq!(machine.keyring.slots.borrow().len(), 0);
}

#[test]
fn an_unknown_refresh_slot_is_resolved_once_under_the_lock() {
    let machine = Machine::new(NOW);
    store(&machine, "alice", true);
    let mut value: Value = serde_json::from_slice(&machine.keyring.slots.borrow()[&slot("alice")]).unwrap();
    value.as_object_mut().unwrap().remove("hasRefreshToken");
    machine.keyring.slots.borrow_mut().insert(slot("alice"), value.to_string().into_bytes());
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    assert_eq!(call(&machine, Verb::Get, &forced).1["error"]["code"], "AUTH_REFRESH_UNAVAILABLE");
    assert_eq!(machine.slot(&slot("alice")).unwrap()["hasRefreshToken"], false);
    machine.keyring.reads.set(0);
    assert_eq!(call(&machine, Verb::Get, &forced).1["error"]["code"], "AUTH_REFRESH_UNAVAILABLE");
    let refresh_reads = machine.keyring.reads.get();
    assert!(refresh_reads <= 2, "the access slot before and under the lock, nothing else: {refresh_reads}");
}

#[test]
fn a_damaged_index_file_is_named_and_hides_no_other_session() {
    let machine = two_sessions();
    let index = machine.home().join("index");
    let bob = machine.home().join("index").join(format!("{}.json", digest(&slot("bob"))));
    std::fs::write(&bob, b"{").unwrap();
    // The default is named by its own file, so alice is still certain; the list is not.
    assert_eq!(call(&machine, Verb::Get, &get()).1["accessToken"], "AT-alice");
    let (exit, reply) = call(&machine, Verb::List, &json!({}));
    assert_eq!((exit, &reply["error"]["code"]), (5, &json!("AUTH_STORE_READ_FAILED")));
    assert!(reply["error"]["message"].as_str().unwrap().contains(&digest(&slot("bob"))), "{reply}");
    // Bob's own slot is whole: named, it is served; and storing it mends the index.
    assert_eq!(
        call(&machine, Verb::Get, &json!({ "service": SERVICE, "account": "bob" })).1["accessToken"],
        "AT-bob"
    );
    store(&machine, "bob", false);
    assert_eq!(call(&machine, Verb::List, &json!({})).1["sessions"].as_array().unwrap().len(), 2);
    // Without a default, being the only readable one proves nothing.
    std::fs::remove_dir_all(machine.home().join("defaults")).unwrap();
    std::fs::write(&bob, b"{").unwrap();
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "AUTH_STORE_READ_FAILED");
    std::fs::remove_dir_all(&index).unwrap();
    let reply = call(&machine, Verb::Get, &get()).1;
    assert_eq!(reply["error"]["code"], "NO_ACCOUNT_SELECTED", "rebuilt: both accounts are known again");
}

#[test]
fn a_deleted_index_is_rebuilt_in_both_backends() {
    for storage in ["keyring", "plaintext"] {
        let sandbox = Machine::new(NOW);
        let request =
            json!({ "service": SERVICE, "account": "Alice", "accessToken": "AT1", "profile": "ci" });
        sandbox.call(Verb::Store, Some(storage), request.to_string().as_bytes());
        std::fs::remove_dir_all(sandbox.home().join("index")).unwrap();
        std::fs::remove_dir_all(sandbox.home().join("defaults")).unwrap();
        let request = json!({ "service": SERVICE, "profile": "ci" });
        let rendered = sandbox.call(Verb::Get, Some(storage), request.to_string().as_bytes());
        let reply: Value = serde_json::from_slice(&rendered.stdout).unwrap();
        assert_eq!(
            (&reply["accessToken"], &reply["matchedBy"]),
            (&json!("AT1"), &json!("only")),
            "{storage}: {reply}"
        );
        let listed: Value =
            serde_json::from_slice(&sandbox.call(Verb::List, Some(storage), b"").stdout).unwrap();
        assert_eq!(listed["sessions"][0]["profile"], "ci", "{storage}");
    }
}

#[test]
fn a_half_written_slot_is_never_seen() {
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" })).ok();
    // What a writer killed between create and rename leaves is overwritten by the next and read by nobody.
    let slot = sandbox.home().join("slots").join(format!(".new-{}", digest(&slot("alice"))));
    std::fs::write(&slot, b"{\"format\":1,\"acc").unwrap();
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT1");
    sandbox.run("store", &json!({ "service": SERVICE, "account": "alice", "accessToken": "AT2" })).ok();
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT2");
    assert!(!slot.exists());
}

#[test]
fn an_interrupted_erase_reads_as_gone_and_is_finished_by_the_next_writer() {
    let machine = two_sessions();
    let mut value = machine.slot(&slot("alice")).unwrap();
    value["erased"] = json!(true);
    value.as_object_mut().unwrap().remove("accessToken");
    machine.keyring.slots.borrow_mut().insert(slot("alice"), value.to_string().into_bytes());
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "NOT_FOUND");
    assert_eq!(
        call(&machine, Verb::Erase, &json!({ "service": SERVICE, "account": "alice" })).1["erased"],
        true
    );
    assert_eq!(machine.keyring.slots.borrow().len(), 1);
}

#[test]
fn a_logout_during_a_refresh_is_never_undone() {
    // The session is gone when the lock is ours: nothing is sent, nothing comes back.
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresAt": "2020-01-01T00:00:00Z",
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    assert_eq!(call(&machine, Verb::Store, &bundle).0, 0);
    let ok = r#"{"access_token":"AT2","token_type":"bearer","refresh_token":"RT2"}"#;
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: ok.to_owned(),
    });
    let name = slot("alice");
    machine.keyring.after_reads(1, move |slots| {
        slots.remove(&name);
        slots.remove(&format!("{name}/refresh"));
    });
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "NOT_FOUND");
    assert_eq!(machine.server.sent.borrow().len(), 0);
    assert_eq!(machine.keyring.slots.borrow().len(), 0);
}

fn digest(slot: &str) -> String {
    claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(slot))
}

#[test]
fn entries_whose_slots_are_gone_do_not_count_as_accounts() {
    let machine = two_sessions();
    std::fs::remove_dir_all(machine.home().join("defaults")).unwrap();
    machine.keyring.slots.borrow_mut().remove(&slot("bob"));
    let (exit, reply) = call(&machine, Verb::Get, &get());
    assert_eq!((exit, &reply["account"]), (0, &json!("alice")), "bob's entry is a leftover: {reply}");
}

#[test]
fn nobody_is_served_in_the_place_of_a_default_that_is_gone() {
    let machine = two_sessions();
    machine.keyring.slots.borrow_mut().remove(&slot("alice"));
    let (exit, reply) = call(&machine, Verb::Get, &get());
    assert_eq!((exit, &reply["error"]["code"]), (1, &json!("NOT_FOUND")), "{reply}");
    assert!(!reply.to_string().contains("AT-bob"));
}

#[test]
fn the_other_backend_is_told_of_and_never_fallen_back_to() {
    let machine = Machine::new(NOW);
    let request = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" });
    machine.call(Verb::Store, Some("plaintext"), request.to_string().as_bytes());
    let (exit, reply) = call(&machine, Verb::Get, &get());
    assert_eq!((exit, &reply["error"]["code"]), (1, &json!("NOT_FOUND")));
    assert!(reply["error"]["hint"].as_str().unwrap().contains("--storage plaintext"), "{reply}");
}

#[test]
fn a_write_moves_the_session_and_one_for_this_call_only_says_that_a_copy_stays() {
    let machine = Machine::new(NOW);
    let request = |token: &str| json!({ "service": SERVICE, "account": "alice", "accessToken": token });
    machine.call(Verb::Store, Some("plaintext"), request("AT1").to_string().as_bytes());
    let slots = || support::files_below(&machine.home().join("slots")).len();
    assert_eq!((slots(), machine.keyring.slots.borrow().len()), (1, 0));
    // Nobody steers: the keyring it is, the file goes, and the choice is pinned.
    assert_eq!(call(&machine, Verb::Store, &request("AT2")).0, 0);
    assert_eq!((slots(), machine.keyring.slots.borrow().len()), (0, 1));
    assert!(support::pin_file(machine.home()).is_file());
    let rendered = machine.call(Verb::Store, Some("plaintext"), request("AT3").to_string().as_bytes());
    let reply: Value = serde_json::from_slice(&rendered.stdout).unwrap();
    assert_eq!(reply["warnings"][0]["code"], "OTHER_COPY");
    assert_eq!((slots(), machine.keyring.slots.borrow().len()), (1, 1));
    // An erase ends both.
    assert_eq!(call(&machine, Verb::Erase, &get()).1["erased"], true);
    assert_eq!((slots(), machine.keyring.slots.borrow().len()), (0, 0));
}

#[test]
fn erasing_a_damaged_session_unpins_it_too() {
    let machine = two_sessions();
    machine.keyring.slots.borrow_mut().insert(slot("alice"), b"{".to_vec());
    assert_eq!(
        call(&machine, Verb::Erase, &json!({ "service": SERVICE, "account": "alice" })).1["erased"],
        true
    );
    let reply = call(&machine, Verb::Get, &get()).1;
    assert_eq!((&reply["account"], &reply["matchedBy"]), (&json!("bob"), &json!("only")));
}

#[test]
fn an_erase_beside_a_damaged_index_file_does_not_take_the_only_readable_session() {
    let machine = Machine::new(NOW);
    store(&machine, "alice", false);
    store(&machine, "bob", false);
    let bob = machine.home().join("index").join(format!("{}.json", digest(&slot("bob"))));
    std::fs::write(&bob, b"{").unwrap();
    assert_eq!(call(&machine, Verb::Erase, &get()).1["error"]["code"], "AUTH_STORE_READ_FAILED");
    assert_eq!(machine.keyring.slots.borrow().len(), 2);
}

#[test]
fn a_pin_of_another_machine_says_nothing_and_a_damaged_one_is_named() {
    let machine = Machine::new(NOW);
    let pin = support::pin_file(machine.home());
    std::fs::create_dir(pin.parent().unwrap()).unwrap();
    std::fs::write(&pin, br#"{"format":1,"storage":"plaintext","machine":"another"}"#).unwrap();
    store(&machine, "alice", true);
    assert_eq!(machine.keyring.slots.borrow().len(), 1, "the default, not another machine's plaintext");
    std::fs::write(&pin, b"{").unwrap();
    let (exit, reply) = call(&machine, Verb::Get, &get());
    assert_eq!((exit, &reply["error"]["code"]), (5, &json!("AUTH_STORE_READ_FAILED")));
    let named = format!("{0}pin{0}", std::path::MAIN_SEPARATOR);
    assert!(reply["error"]["message"].as_str().unwrap().contains(&named), "{reply}");
    std::fs::write(&pin, br#"{"format":2}"#).unwrap();
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "STORE_NEWER");
}

#[test]
fn a_forced_caller_never_adopts_the_token_it_wants_to_be_rid_of() {
    // Another process buries the refresh token while we wait: the session changed, its token did not.
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": 3600,
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    assert_eq!(call(&machine, Verb::Store, &bundle).0, 0);
    let name = slot("alice");
    machine.keyring.after_reads(1, move |slots| {
        let mut value: Value = serde_json::from_slice(&slots[&name]).unwrap();
        value["generation"] = json!(9);
        slots.insert(name.clone(), value.to_string().into_bytes());
    });
    let forced = json!({ "service": SERVICE, "account": "alice", "forceRefresh": true });
    let (exit, reply) = call(&machine, Verb::Get, &forced);
    assert_ne!(exit, 0, "{reply}");
    assert_eq!(machine.server.sent.borrow().len(), 1, "it asked the server");
}

#[test]
fn a_rotation_that_cannot_be_kept_is_loud() {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": 60,
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    assert_eq!(call(&machine, Verb::Store, &bundle).0, 0);
    machine.clock.now.set(machine.clock.now.get() + 45);
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: r#"{"access_token":"AT2","token_type":"bearer","refresh_token":"RT2"}"#.to_owned(),
    });
    machine.keyring.deny(format!("{}/refresh", slot("alice")));
    let (exit, reply) = call(&machine, Verb::Get, &get());
    assert_eq!((exit, &reply["error"]["code"]), (5, &json!("AUTH_STORE_WRITE_FAILED")), "{reply}");
    assert!(!reply.to_string().contains("AT2"), "what is not durable is not handed out (I2)");
    assert_eq!(machine.slot(&slot("alice")).unwrap()["accessToken"], "AT1");
}

#[test]
fn a_store_that_fails_half_way_puts_back_what_was_there() {
    for denied in ["", "/refresh"] {
        let machine = Machine::new(NOW);
        let bundle = |number: u8| {
            json!({
                "service": SERVICE, "account": "alice", "accessToken": format!("AT{number}"), "expiresIn": 3600,
                "refreshToken": format!("RT{number}"), "tokenEndpoint": "https://id.example/token", "clientId": "cli",
            })
        };
        assert_eq!(call(&machine, Verb::Store, &bundle(1)).0, 0);
        let before = machine.keyring.slots.borrow().clone();
        machine.keyring.deny(format!("{}{denied}", slot("alice")));
        assert_eq!(call(&machine, Verb::Store, &bundle(2)).1["error"]["code"], "AUTH_STORE_WRITE_FAILED");
        assert_eq!(*machine.keyring.slots.borrow(), before, "{denied}");
        // And a first store that fails leaves nothing.
        let fresh = Machine::new(NOW);
        fresh.keyring.deny(format!("{}{denied}", slot("alice")));
        assert_eq!(call(&fresh, Verb::Store, &bundle(1)).0, 5);
        assert_eq!(fresh.keyring.slots.borrow().len(), 0);
        assert_eq!(call(&fresh, Verb::List, &json!({})).1["sessions"], json!([]));
    }
}

#[test]
fn what_is_left_of_a_session_in_the_index_ends_with_an_erase() {
    let machine = two_sessions();
    machine.keyring.slots.borrow_mut().remove(&slot("alice"));
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "NOT_FOUND");
    // By name, or as the default it still is.
    for request in [json!({ "service": SERVICE, "account": "alice" }), get()] {
        let machine = two_sessions();
        machine.keyring.slots.borrow_mut().remove(&slot("alice"));
        assert_eq!(call(&machine, Verb::Erase, &request).1["erased"], false);
        assert_eq!(call(&machine, Verb::Get, &get()).1["account"], "bob", "{request}");
        assert_eq!(call(&machine, Verb::List, &json!({})).1["sessions"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_session_the_index_lost_is_found_behind_two_that_are_gone() {
    let machine = Machine::new(NOW);
    for account in ["alice", "bob", "carol"] {
        store(&machine, account, false);
    }
    for gone in ["alice", "bob"] {
        machine.keyring.slots.borrow_mut().remove(&slot(gone));
    }
    std::fs::remove_file(machine.home().join("index").join(format!("{}.json", digest(&slot("carol")))))
        .unwrap();
    assert_eq!(call(&machine, Verb::Get, &get()).1["account"], "carol");
}

#[test]
fn another_profiles_damage_is_its_own() {
    let machine = two_sessions();
    std::fs::remove_dir_all(machine.home().join("defaults")).unwrap();
    let ci = json!({ "service": SERVICE, "account": "alice", "profile": "ci", "accessToken": "AT-ci" });
    assert_eq!(call(&machine, Verb::Store, &ci).0, 0);
    machine.keyring.slots.borrow_mut().insert(format!("{}#ci", slot("alice")), b"{".to_vec());
    assert_eq!(call(&machine, Verb::Get, &get()).1["error"]["code"], "NO_ACCOUNT_SELECTED");
}

#[test]
fn a_damaged_default_does_not_undo_a_store() {
    let machine = two_sessions();
    for (path, _) in support::files_below(&machine.home().join("defaults")) {
        std::fs::write(path, b"{").unwrap();
    }
    let again = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT9" });
    let (exit, reply) = call(&machine, Verb::Store, &again);
    assert_eq!((exit, &reply["warnings"][0]["code"]), (0, &json!("PIN_FAILED")), "{reply}");
    store(&machine, "alice", true);
    assert_eq!(call(&machine, Verb::Get, &get()).1["account"], "alice");
}

#[test]
fn a_store_never_goes_over_what_a_newer_version_or_another_client_keeps_in_the_other_backend() {
    let newer = br#"{"format":2}"#;
    let plain = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT9", "replace": true });
    for suffix in ["", "/refresh"] {
        // In the other backend.
        let machine = Machine::new(NOW);
        let folder = machine.home().join("slots");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join(digest(&format!("{}{suffix}", slot("alice"))));
        std::fs::write(&file, newer).unwrap();
        assert_eq!(call(&machine, Verb::Store, &plain).1["error"]["code"], "STORE_NEWER", "{suffix}");
        assert_eq!(
            call(&machine, Verb::Erase, &json!({ "service": SERVICE, "account": "alice" })).1["error"]["code"],
            "STORE_NEWER"
        );
        assert_eq!(
            (std::fs::read(&file).unwrap(), machine.keyring.slots.borrow().len()),
            (newer.to_vec(), 0)
        );
        // And in this one.
        let machine = two_sessions();
        machine.keyring.slots.borrow_mut().insert(format!("{}{suffix}", slot("alice")), newer.to_vec());
        let before = machine.keyring.slots.borrow().clone();
        assert_eq!(call(&machine, Verb::Store, &plain).1["error"]["code"], "STORE_NEWER", "{suffix}");
        assert_eq!(
            call(&machine, Verb::Erase, &json!({ "service": SERVICE, "account": "alice" })).1["error"]["code"],
            "STORE_NEWER"
        );
        assert_eq!(*machine.keyring.slots.borrow(), before, "{suffix}");
    }
    let machine = Machine::new(NOW);
    let bundle = |client: &str| {
        json!({
            "service": SERVICE, "account": "alice", "accessToken": "AT1", "refreshToken": "RT1",
            "tokenEndpoint": "https://id.example/token", "clientId": client,
        })
    };
    machine.call(Verb::Store, Some("plaintext"), bundle("one").to_string().as_bytes());
    assert_eq!(call(&machine, Verb::Store, &bundle("two")).1["error"]["code"], "CONFLICT");
    assert_eq!(support::files_below(&machine.home().join("slots")).len(), 2);
}

#[test]
fn a_stray_file_in_the_index_is_nobodys_entry() {
    let machine = two_sessions();
    for stray in [".DS_Store", "notes.txt", "x.json"] {
        std::fs::write(machine.home().join("index").join(stray), b"x").unwrap();
    }
    assert_eq!(call(&machine, Verb::List, &json!({})).1["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(call(&machine, Verb::Get, &get()).0, 0);
}

#[test]
fn a_static_session_that_ends_in_one_backend_leaves_the_others_index_entry() {
    let machine = Machine::new(NOW);
    let request =
        |token: &str| json!({ "service": SERVICE, "account": "alice", "accessToken": token }).to_string();
    machine.call(Verb::Store, Some("plaintext"), request("AT-plain").as_bytes());
    machine.call(Verb::Store, Some("keyring"), request("AT-keyring").as_bytes());
    let rejected = json!({ "service": SERVICE, "accessToken": "AT-keyring" });
    assert_eq!(call(&machine, Verb::Erase, &rejected).1["erased"], true);
    let sessions = call(&machine, Verb::List, &json!({})).1["sessions"].clone();
    assert_eq!(sessions[0]["storage"], "plaintext", "{sessions}");
}

#[test]
fn a_refresh_token_beside_a_record_that_denies_it_is_still_revoked() {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token",
        "revocationEndpoint": "https://id.example/revoke", "clientId": "cli",
    });
    assert_eq!(call(&machine, Verb::Store, &bundle).0, 0);
    // A static store that was killed before it could delete the refresh slot.
    let mut value = machine.slot(&slot("alice")).unwrap();
    value["hasRefreshToken"] = json!(false);
    machine.keyring.slots.borrow_mut().insert(slot("alice"), value.to_string().into_bytes());
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status: 200,
        content_type: None,
        retry_after: None,
        body: String::new(),
    });
    assert_eq!(call(&machine, Verb::Erase, &get()).1["revocation"], "revoked");
    assert_eq!(machine.keyring.slots.borrow().len(), 0);
}

#[test]
fn an_erase_stops_at_what_a_newer_version_wrote_before_it_touches_either_backend() {
    let machine = Machine::new(NOW);
    store(&machine, "alice", true);
    let folder = machine.home().join("slots");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(digest(&slot("alice"))), br#"{"format":2}"#).unwrap();
    let before = machine.keyring.slots.borrow().clone();
    assert_eq!(call(&machine, Verb::Erase, &get()).1["error"]["code"], "STORE_NEWER");
    assert_eq!(*machine.keyring.slots.borrow(), before);
}

#[test]
fn a_move_stops_at_what_a_newer_version_wrote_and_goes_over_what_is_damaged() {
    for (left, newer) in [(&br#"{"format":2}"#[..], true), (b"{", false)] {
        let machine = Machine::new(NOW);
        store(&machine, "alice", true);
        let folder = machine.home().join("slots");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join(digest(&format!("{}/refresh", slot("alice"))));
        std::fs::write(&file, left).unwrap();
        let before = machine.keyring.slots.borrow().clone();
        let moved = machine.people(Request::MoveStorage(Storage::Plaintext));
        let reply: Value = serde_json::from_slice(&moved.stdout).unwrap();
        if newer {
            assert_eq!(reply["error"]["code"], "STORE_NEWER", "{reply}");
            assert_eq!(std::fs::read(&file).unwrap(), left);
            assert_eq!(*machine.keyring.slots.borrow(), before);
        } else {
            assert_eq!(reply["moved"], 1, "{reply}");
            assert!(!file.exists(), "the session has no refresh token");
        }
        assert_eq!(call(&machine, Verb::Get, &get()).1["accessToken"], "AT-alice");
    }
}
