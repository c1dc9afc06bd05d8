//! What a call asks for, how often, and what it leaves alone: in one process, with the clock and the server in hand.

mod support;

use std::collections::BTreeMap;

use claviger::dialect::Verb;
use claviger::http::Error;
use claviger::lock::{Attempt, KeepUntilExit, try_acquire};
use claviger::message::Request;
use claviger::session::{Account, Service, SessionName, Storage};
use claviger::time::Timestamp;
use serde_json::{Value, json};
use support::SERVICE;
use support::world::{Line, Machine};

const NOW: &str = "2026-01-01T00:00:00Z";
const OTHER: &str = "https://git.acme.example";
const GRANT: &str = r#"{"access_token":"AT2","token_type":"bearer","expires_in":3600,"refresh_token":"RT2"}"#;

fn bundle(account: &str, expires_in: i64) -> Value {
    json!({
        "service": SERVICE, "account": account, "accessToken": "AT1", "expiresIn": expires_in, "services": [OTHER],
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    })
}

/// A machine with one session that lives for so many seconds.
fn machine(expires_in: i64) -> Machine {
    let machine = Machine::new(NOW);
    call(&machine, Verb::Store, &bundle("alice", expires_in));
    machine
}

fn call(machine: &Machine, verb: Verb, request: &Value) -> Value {
    let rendered = machine.call(verb, None, request.to_string().as_bytes());
    serde_json::from_slice(&rendered.stdout).expect("a reply is JSON")
}

fn get(machine: &Machine) -> Value {
    call(machine, Verb::Get, &json!({ "service": SERVICE }))
}

fn get_forced(machine: &Machine) -> Value {
    call(machine, Verb::Get, &json!({ "service": SERVICE, "account": "alice", "forceRefresh": true }))
}

fn answers(machine: &Machine, status: u16, body: &str, retry_after: Option<&str>) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: retry_after.map(str::to_owned),
        body: body.to_owned(),
    });
}

fn asked(machine: &Machine) -> usize {
    machine.server.sent.borrow().len()
}

/// The files below one folder of the state folder.
fn files(machine: &Machine, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = machine.home().join(folder);
    let files = if folder.exists() { support::files_below(&folder) } else { Vec::new() };
    let json = files.into_iter().filter(|(path, _)| path.extension() == Some("json".as_ref()));
    json.map(|(path, bytes)| (path.display().to_string(), bytes)).collect()
}

#[test]
fn a_call_asks_once_even_where_it_is_certain_that_nothing_was_sent() {
    let failures: [fn() -> Error; 5] = [
        || Error::Unsent("connection refused".to_owned()),
        || Error::Untrusted("unknown issuer".to_owned()),
        || Error::Broken("reset".to_owned()),
        || Error::ProxyAuth,
        || Error::TooLarge,
    ];
    for fail in failures {
        let machine = machine(0);
        machine.server.lines.borrow_mut().push_back(Line::Fail(fail));
        // It would be given, were it asked for.
        answers(&machine, 200, GRANT, None);
        let reply = get(&machine);
        assert!(reply["error"].is_object(), "{reply}");
        assert_eq!(asked(&machine), 1, "{reply}");
    }
}

#[test]
fn nobody_sleeps_for_as_long_as_a_server_would_like() {
    for (status, retry_after) in [(503, "86400"), (429, "300"), (503, "Fri, 02 Jan 2026 00:00:00 GMT")] {
        let machine = machine(0);
        answers(&machine, status, "{}", Some(retry_after));
        let reply = get(&machine);
        assert!(reply["error"]["retryAfter"].as_i64().is_some_and(|seconds| seconds >= 300), "{reply}");
        assert!(machine.clock.waited.get().is_zero(), "{status} {retry_after}");
    }
}

#[test]
fn a_clock_that_is_years_off_costs_one_request_and_no_more() {
    const YEARS: i64 = 10 * 365 * 86_400;
    for off in [-YEARS, YEARS] {
        let machine = machine(3600);
        machine.clock.now.set(machine.clock.now.get() + off);
        answers(&machine, 200, GRANT, None);
        assert_eq!(get(&machine)["outcome"], "refreshed", "{off}");
        for _ in 0..3 {
            assert_eq!(get(&machine)["outcome"], "cached", "{off}");
        }
        // And again, once it is put right: what was written by a wrong clock may be asked for once more.
        machine.clock.now.set(machine.clock.now.get() - off);
        answers(&machine, 200, GRANT, None);
        assert!(get(&machine)["error"].is_null(), "{off}");
        assert_eq!(get(&machine)["outcome"], "cached", "{off}");
        assert!(asked(&machine) <= 2, "{off}");
    }
}

#[test]
fn a_dead_refresh_token_is_not_called_an_expired_access_token() {
    // Valid for an hour: whoever forces hears of the refresh token, for that is what is dead.
    let machine = machine(3600);
    answers(&machine, 400, r#"{"error":"invalid_grant"}"#, None);
    for attempt in ["the first", "under the tombstone"] {
        let error = &get_forced(&machine)["error"];
        assert_eq!(error["code"], "AUTH_REFRESH_EXPIRED", "{attempt}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("refresh token") && !message.contains("expired"), "{attempt}: {message}");
        assert!(!message.contains("access token"), "{attempt}: {message}");
    }
    assert_eq!(asked(&machine), 1);
}

#[test]
fn a_dead_refresh_token_keeps_its_code_though_another_failure_came_just_before() {
    let machine = machine(0);
    answers(&machine, 503, "{}", Some("300"));
    assert_eq!(get(&machine)["error"]["code"], "AUTH_REFRESH_TRANSIENT");
    answers(&machine, 400, r#"{"error":"invalid_grant"}"#, None);
    assert_eq!(get_forced(&machine)["error"]["code"], "AUTH_REFRESH_EXPIRED");
    assert_eq!(get(&machine)["error"]["code"], "AUTH_REFRESH_EXPIRED");
    assert_eq!(asked(&machine), 2);
}

#[test]
fn a_failure_noted_before_the_clock_was_put_back_is_no_part_of_the_row() {
    let machine = machine(0);
    for _ in 0..4 {
        answers(&machine, 503, "{}", None);
        get_forced(&machine);
    }
    machine.clock.now.set(machine.clock.now.get() - 3600);
    answers(&machine, 503, "{}", None);
    get_forced(&machine);
    machine.clock.now.set(machine.clock.now.get() + 2);
    answers(&machine, 200, GRANT, None);
    assert_eq!(get(&machine)["outcome"], "refreshed");
}

#[test]
fn what_failed_before_a_move_says_nothing_of_the_session_that_comes_back() {
    let machine = machine(0);
    answers(&machine, 503, "{}", Some("300"));
    get(&machine);
    assert_eq!(machine.people(Request::MoveStorage(Storage::Plaintext)).exit, 0);
    answers(&machine, 200, GRANT, None);
    assert_eq!(get(&machine)["outcome"], "refreshed");
    assert_eq!(machine.people(Request::MoveStorage(Storage::Keyring)).exit, 0);
    answers(&machine, 200, GRANT, None);
    let wanted = json!({ "service": SERVICE, "minValidity": 7200 });
    machine.clock.now.set(machine.clock.now.get() + 60);
    assert_eq!(call(&machine, Verb::Get, &wanted)["outcome"], "refreshed");
}

#[test]
fn a_forced_refresh_and_one_that_is_due_send_the_same_and_keep_the_same() {
    let kept = |forced: bool| {
        let machine = machine(0);
        answers(&machine, 200, GRANT, None);
        let reply = if forced { get_forced(&machine) } else { get(&machine) };
        assert_eq!(reply["outcome"], "refreshed");
        let sent = machine.server.sent.borrow().clone();
        let slots = machine.keyring.slots.borrow().clone();
        (sent, slots, files(&machine, "index").into_values().collect::<Vec<_>>())
    };
    assert!(kept(true) == kept(false));
}

#[test]
fn a_refresh_by_way_of_another_service_writes_the_session_it_came_from_and_changes_no_default() {
    for service in [OTHER.to_owned(), format!("{OTHER}/team/app"), format!("{SERVICE}/v1")] {
        for forced in [false, true] {
            let machine = machine(0);
            let names = || machine.keyring.slots.borrow().keys().cloned().collect::<Vec<_>>();
            let (slots, index, defaults) = (names(), files(&machine, "index"), files(&machine, "defaults"));
            answers(&machine, 200, GRANT, None);
            let reply = call(&machine, Verb::Get, &json!({ "service": service, "forceRefresh": forced }));
            assert_eq!((&reply["outcome"], &reply["service"]), (&json!("refreshed"), &json!(SERVICE)));
            assert_eq!(names(), slots, "{service}");
            assert!(files(&machine, "defaults") == defaults, "{service}");
            assert!(files(&machine, "index").keys().eq(index.keys()), "{service}");
        }
    }
}

#[test]
fn whoever_refreshes_an_account_does_not_make_it_the_default() {
    let machine = machine(3600);
    call(&machine, Verb::Store, &bundle("bob", 0));
    let before = files(&machine, "defaults");
    answers(&machine, 200, GRANT, None);
    let reply = call(&machine, Verb::Get, &json!({ "service": SERVICE, "account": "bob" }));
    assert_eq!((&reply["outcome"], &reply["account"]), (&json!("refreshed"), &json!("bob")));
    assert!(files(&machine, "defaults") == before);
    assert_eq!(get(&machine)["account"], "alice");
}

#[test]
fn to_say_that_an_account_is_not_to_be_the_default_is_another_thing_than_to_say_nothing() {
    for (make_default, second, selected) in [
        (None, None, Some("alice")),
        (Some(false), None, Some("bob")),
        (Some(false), Some(false), None),
        (None, Some(true), Some("bob")),
        (Some(true), Some(false), Some("alice")),
    ] {
        let machine = Machine::new(NOW);
        for (account, make_default) in [("alice", make_default), ("bob", second)] {
            let mut request = bundle(account, 3600);
            if let Some(make_default) = make_default {
                request["makeDefault"] = json!(make_default);
            }
            assert!(call(&machine, Verb::Store, &request)["error"].is_null());
        }
        let reply = get(&machine);
        match selected {
            Some(account) => assert_eq!(reply["account"], json!(account), "{make_default:?} {second:?}"),
            None => assert_eq!(reply["error"]["code"], "NO_ACCOUNT_SELECTED", "{reply}"),
        }
    }
}

#[test]
fn a_move_that_is_repeated_leaves_a_default_chosen_in_between() {
    let machine = machine(3600);
    call(&machine, Verb::Store, &bundle("bob", 3600));
    assert_eq!(machine.people(Request::MoveStorage(Storage::Plaintext)).exit, 0);
    let mut chosen = bundle("bob", 3600);
    chosen["makeDefault"] = json!(true);
    assert!(call(&machine, Verb::Store, &chosen)["error"].is_null());
    for to in [Storage::Plaintext, Storage::Keyring, Storage::Keyring] {
        assert_eq!(machine.people(Request::MoveStorage(to)).exit, 0);
        assert_eq!(get(&machine)["account"], "bob");
    }
}

#[test]
fn a_rejected_token_is_dropped_wherever_it_is_stored() {
    let machine = machine(3600);
    let key = json!({ "service": OTHER, "account": "bob", "accessToken": "AT1" });
    call(&machine, Verb::Store, &key);
    let erase = json!({ "service": OTHER, "accessToken": "AT1" });
    assert_eq!(call(&machine, Verb::Erase, &erase)["erased"], json!(true));
    assert!(
        !machine.keyring.slots.borrow().values().any(|slot| String::from_utf8_lossy(slot).contains("AT1"))
    );
    assert_eq!(call(&machine, Verb::Erase, &erase)["erased"], json!(false));
}

#[test]
fn an_erase_of_an_unknown_account_or_an_ambiguous_label_clears_nothing() {
    let machine = Machine::new(NOW);
    for account in ["alice", "bob"] {
        let mut request = bundle(account, 3600);
        request["label"] = json!("work");
        call(&machine, Verb::Store, &request);
    }
    let (slots, defaults) = (machine.keyring.slots.borrow().clone(), files(&machine, "defaults"));
    let erase =
        |account: &str| call(&machine, Verb::Erase, &json!({ "service": SERVICE, "account": account }));
    assert_eq!(erase("nobody")["erased"], json!(false));
    assert_eq!(erase("work")["error"]["code"], "NO_ACCOUNT_SELECTED");
    assert!(*machine.keyring.slots.borrow() == slots && files(&machine, "defaults") == defaults);
}

/// Somebody else holds the session's lock for as long as this lives.
fn held_by_another(machine: &Machine) -> claviger::lock::Guard {
    let name = SessionName {
        service: Service::parse(SERVICE).unwrap(),
        account: Account::parse("alice").unwrap(),
        profile: None,
    };
    let (slot, keep) = (name.access_slot(), KeepUntilExit::default());
    match try_acquire(&machine.locks(), &slot, Storage::Keyring, Timestamp::EPOCH, &keep).unwrap() {
        Attempt::Held(guard) => guard,
        Attempt::Busy(_) => panic!("nobody else is here"),
    }
}

#[test]
fn what_the_holder_of_the_lock_has_finished_is_adopted_at_the_deadline_too() {
    for forced in [false, true] {
        let machine = machine(0);
        let _theirs = held_by_another(&machine);
        // It saves once we have looked, and never lets go. An unforced call looks once more before it waits.
        machine.keyring.after_reads(if forced { 1 } else { 2 }, |slots| {
            let name = format!("{SERVICE}#alice");
            let mut access: Value = serde_json::from_slice(&slots[&name]).unwrap();
            access["accessToken"] = json!("AT-theirs");
            access["expiresAt"] = json!("2026-01-01T09:00:00Z");
            access["generation"] = json!(2);
            slots.insert(name, access.to_string().into_bytes());
        });
        let reply = if forced { get_forced(&machine) } else { get(&machine) };
        assert_eq!(
            (&reply["outcome"], &reply["accessToken"]),
            (&json!("adopted"), &json!("AT-theirs")),
            "forced: {forced}: {reply}"
        );
        assert_eq!(machine.clock.waited.get().as_secs(), 60, "it was waited for");
        assert_eq!(asked(&machine), 0);
    }
}
