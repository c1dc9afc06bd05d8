//! The refresh transaction, step by step: what is read again under the lock, what is adopted, what is proven
//! before the token is spent, what is tried again after. Each of these fails if its step is left out.

mod support;

use claviger::dialect::Verb;
use claviger::lock::{Attempt, Guard, KeepUntilExit, try_acquire};
use claviger::session::{Account, Service, SessionName, Storage};
use claviger::time::Timestamp;
use serde_json::{Value, json};
use support::SERVICE;
use support::world::{Line, Machine};

const NOW: &str = "2026-01-01T00:00:00Z";

fn slot() -> String {
    format!("{SERVICE}#alice")
}

fn refresh_slot() -> String {
    format!("{}/refresh", slot())
}

/// A machine with one session that lives for so many seconds.
fn machine(expires_in: i64) -> Machine {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": expires_in,
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    assert_eq!(machine.call(Verb::Store, None, bundle.to_string().as_bytes()).exit, 0);
    machine
}

fn get(machine: &Machine, extra: &Value) -> (u8, Value) {
    let mut request = json!({ "service": SERVICE, "account": "alice" });
    for (key, value) in extra.as_object().unwrap() {
        request[key] = value.clone();
    }
    let rendered = machine.call(Verb::Get, None, request.to_string().as_bytes());
    (rendered.exit, serde_json::from_slice(&rendered.stdout).unwrap())
}

fn answers(machine: &Machine, status: u16, body: &str) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.to_owned(),
    });
}

const GRANT: &str = r#"{"access_token":"AT2","token_type":"bearer","expires_in":3600,"refresh_token":"RT2"}"#;

/// What another process leaves after it has refreshed.
fn refreshed_by_another(slots: &mut support::world::Slots) {
    let mut access: Value = serde_json::from_slice(&slots[&slot()]).unwrap();
    access["accessToken"] = json!("AT-theirs");
    access["expiresAt"] = json!("2026-01-01T09:00:00Z");
    access["generation"] = json!(2);
    slots.insert(slot(), access.to_string().into_bytes());
    let mut refresh: Value = serde_json::from_slice(&slots[&refresh_slot()]).unwrap();
    refresh["refreshToken"] = json!("RT-theirs");
    slots.insert(refresh_slot(), refresh.to_string().into_bytes());
}

#[test]
fn what_another_process_did_just_before_the_lock_was_ours_is_adopted() {
    for forced in [false, true] {
        let machine = machine(0);
        machine.keyring.once_locked(machine.locks(), refreshed_by_another);
        let (exit, reply) = get(&machine, &json!({ "forceRefresh": forced }));
        assert_eq!(
            (exit, &reply["outcome"], &reply["accessToken"]),
            (0, &json!("adopted"), &json!("AT-theirs")),
            "{reply}"
        );
        assert_eq!(machine.server.sent.borrow().len(), 0, "nothing was spent");
    }
}

#[test]
fn a_logout_just_before_the_lock_was_ours_is_never_undone() {
    let machine = machine(0);
    answers(&machine, 200, GRANT);
    machine.keyring.once_locked(machine.locks(), std::collections::BTreeMap::clear);
    assert_eq!(get(&machine, &json!({})).1["error"]["code"], "NOT_FOUND");
    assert_eq!((machine.server.sent.borrow().len(), machine.keyring.slots.borrow().len()), (0, 0));
}

#[test]
fn the_token_that_is_sent_is_the_one_read_under_the_lock() {
    let machine = machine(0);
    answers(&machine, 200, GRANT);
    machine.keyring.once_locked(machine.locks(), |slots| {
        refreshed_by_another(slots);
        // Theirs has expired too: nothing to adopt, but RT1 is spent.
        let mut access: Value = serde_json::from_slice(&slots[&slot()]).unwrap();
        access["expiresAt"] = json!("2025-01-01T00:00:00Z");
        slots.insert(slot(), access.to_string().into_bytes());
    });
    assert_eq!(get(&machine, &json!({})).1["outcome"], "refreshed");
    assert!(machine.server.sent.borrow()[0].1.contains("refresh_token=RT-theirs"));
}

fn name() -> SessionName {
    let service = Service::parse(SERVICE).unwrap();
    SessionName { service, account: Account::parse("alice").unwrap(), profile: None }
}

fn held_by_another(machine: &Machine) -> Guard {
    let slot = name().access_slot();
    match try_acquire(&machine.locks(), &slot, Storage::Keyring, Timestamp::EPOCH, &KeepUntilExit::default())
        .unwrap()
    {
        Attempt::Held(guard) => guard,
        Attempt::Busy(_) => panic!("nobody else is here"),
    }
}

#[test]
fn with_thirty_seconds_left_nobody_waits_for_anothers_refresh() {
    for (left, outcome, waits) in [(31, "cached", false), (30, "cached", false), (29, "stale", true)] {
        let machine = machine(3600);
        let _theirs = held_by_another(&machine);
        machine.clock.now.set(machine.clock.now.get() + 3600 - left);
        let (exit, reply) = get(&machine, &json!({}));
        assert_eq!((exit, &reply["outcome"]), (0, &json!(outcome)), "{left}: {reply}");
        assert_eq!(!machine.clock.waited.get().is_zero(), waits, "{left}");
        assert_eq!(machine.server.sent.borrow().len(), 0);
    }
    let machine = machine(3600);
    let _theirs = held_by_another(&machine);
    let (exit, reply) = get(&machine, &json!({ "forceRefresh": true }));
    assert_eq!(
        (exit, &reply["error"]["code"]),
        (4, &json!("LOCK_TIMEOUT")),
        "a forced caller waits, and does not ask unlocked"
    );
    assert_eq!(machine.clock.waited.get().as_secs(), 60);
    assert_eq!(machine.server.sent.borrow().len(), 0);
}

#[test]
#[cfg(unix)]
fn a_lock_taken_away_by_hand_is_noticed_before_the_token_is_spent() {
    let machine = machine(0);
    answers(&machine, 200, GRANT);
    let locks = machine.locks();
    machine.keyring.once_locked(locks.clone(), move |_| {
        for (path, _) in support::files_below(&locks) {
            std::fs::remove_file(path).unwrap();
        }
    });
    assert_eq!(get(&machine, &json!({})).1["error"]["code"], "LOCK_TIMEOUT");
    assert_eq!(machine.server.sent.borrow().len(), 0);
}

#[test]
fn a_store_that_cannot_be_written_is_found_out_before_the_token_is_spent() {
    let machine = machine(0);
    machine.keyring.deny(slot());
    assert_eq!(get(&machine, &json!({})).1["error"]["code"], "AUTH_STORE_WRITE_FAILED");
    assert_eq!(machine.server.sent.borrow().len(), 0);
}

#[test]
fn a_write_that_fails_after_the_answer_is_tried_again() {
    let late: [fn(&Machine); 2] = [
        |machine| machine.keyring.deny_for(refresh_slot(), 3),
        // The mark before the request is written; what comes after the answer is denied.
        |machine| machine.keyring.deny_after_next(slot(), 3),
    ];
    for deny in late {
        let machine = machine(0);
        answers(&machine, 200, GRANT);
        deny(&machine);
        let (exit, reply) = get(&machine, &json!({}));
        assert_eq!(
            (exit, &reply["outcome"], &reply["accessToken"]),
            (0, &json!("refreshed"), &json!("AT2")),
            "{reply}"
        );
        assert_eq!(machine.slot(&refresh_slot()).unwrap()["refreshToken"], "RT2");
    }
}

#[test]
fn a_backend_that_keeps_nothing_is_found_out() {
    let fresh = Machine::new(NOW);
    fresh.keyring.forget(refresh_slot());
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "refreshToken": "RT1",
        "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    let rendered = fresh.call(Verb::Store, None, bundle.to_string().as_bytes());
    let reply: Value = serde_json::from_slice(&rendered.stdout).unwrap();
    assert_eq!((rendered.exit, &reply["error"]["code"]), (5, &json!("AUTH_STORE_WRITE_FAILED")));

    let machine = machine(0);
    answers(&machine, 200, GRANT);
    machine.keyring.forget(refresh_slot());
    assert_eq!(
        get(&machine, &json!({})).1["error"]["code"],
        "AUTH_STORE_WRITE_FAILED",
        "loudly, after the server rotated"
    );
}

#[test]
fn a_refusal_of_a_token_that_changed_meanwhile_buries_nothing() {
    let machine = machine(0);
    answers(&machine, 400, r#"{"error":"invalid_grant"}"#);
    let slots = machine.keyring.slots.clone();
    machine.server.meanwhile(move || refreshed_by_another(&mut slots.borrow_mut()));
    let (exit, reply) = get(&machine, &json!({}));
    assert_eq!(
        (exit, &reply["outcome"], &reply["accessToken"]),
        (0, &json!("adopted"), &json!("AT-theirs")),
        "{reply}"
    );
    assert!(machine.slot(&slot()).unwrap().get("tombstone").is_none());
}

#[test]
fn the_refresh_slot_is_written_before_the_access_slot() {
    // The access slot is denied for ever: what survives must be the new refresh token beside the old access token.
    let machine = machine(0);
    answers(&machine, 200, GRANT);
    machine.keyring.deny_after_next(slot(), usize::MAX);
    assert_eq!(get(&machine, &json!({})).1["error"]["code"], "AUTH_STORE_WRITE_FAILED");
    assert_eq!(machine.slot(&refresh_slot()).unwrap()["refreshToken"], "RT2");
    assert_eq!(machine.slot(&slot()).unwrap()["accessToken"], "AT1");
}

const OTHER: &str = "https://git.acme.example";

/// A machine whose session is granted for two services.
fn machine_for_two(expires_in: i64) -> Machine {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": expires_in, "services": [OTHER],
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    assert_eq!(machine.call(Verb::Store, None, bundle.to_string().as_bytes()).exit, 0);
    machine
}

fn get_other(machine: &Machine) -> (u8, Value) {
    let rendered = machine.call(Verb::Get, None, json!({ "service": OTHER }).to_string().as_bytes());
    (rendered.exit, serde_json::from_slice(&rendered.stdout).unwrap())
}

#[test]
fn a_session_narrowed_while_we_waited_gives_no_token_for_what_it_lost() {
    for their_token_is_good in [true, false] {
        let machine = machine_for_two(0);
        answers(&machine, 200, GRANT);
        machine.keyring.once_locked(machine.locks(), move |slots| {
            refreshed_by_another(slots);
            let mut access: Value = serde_json::from_slice(&slots[&slot()]).unwrap();
            access["services"] = json!([SERVICE]);
            if !their_token_is_good {
                access["expiresAt"] = json!("2025-01-01T00:00:00Z");
            }
            slots.insert(slot(), access.to_string().into_bytes());
        });
        let (exit, reply) = get_other(&machine);
        assert_eq!((exit, &reply["error"]["code"]), (1, &json!("NOT_FOUND")), "{reply}");
        assert_eq!(machine.server.sent.borrow().len(), 0, "and nothing is spent for it");
    }
}

#[test]
fn a_failed_refresh_serves_what_is_there_now_and_not_what_was_there_before() {
    // Due but valid; while the server thinks, somebody drops the token as rejected.
    let machine = machine(3600);
    machine.clock.now.set(machine.clock.now.get() + 3500);
    answers(&machine, 503, "{}");
    let slots = machine.keyring.slots.clone();
    machine.server.meanwhile(move || {
        let mut access: Value = serde_json::from_slice(&slots.borrow()[&slot()]).unwrap();
        access.as_object_mut().unwrap().remove("accessToken");
        slots.borrow_mut().insert(slot(), access.to_string().into_bytes());
    });
    let keyring = machine.keyring.slots.clone();
    machine.keyring.deny(slot());
    machine.keyring.deny_after_next(slot(), usize::MAX);
    let (exit, reply) = get(&machine, &json!({}));
    assert_eq!((exit, &reply["error"]["code"]), (4, &json!("AUTH_REFRESH_TRANSIENT")), "{reply}");
    assert!(!reply.to_string().contains("AT1") && keyring.borrow().len() == 2);
}

#[test]
fn a_store_cut_short_between_the_slots_is_completed_and_never_mixed_with_the_old_session() {
    let machine = machine_for_two(0);
    let old_record = machine.keyring.slots.borrow()[&slot()].clone();
    let replacing = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT5", "expiresIn": 3600, "username": "new",
        "refreshToken": "RT5", "tokenEndpoint": "https://other.example/token", "clientId": "another", "replace": true,
    });
    assert_eq!(machine.call(Verb::Store, None, replacing.to_string().as_bytes()).exit, 0);
    // Killed before the access slot: the old record lies beside the new refresh token.
    machine.keyring.slots.borrow_mut().insert(slot(), old_record);
    answers(&machine, 200, GRANT);
    let (exit, reply) = get_other(&machine);
    assert_eq!(
        (exit, machine.server.sent.borrow().len()),
        (1, 0),
        "the new grant was not for this service: {reply}"
    );
    let (exit, reply) = get(&machine, &json!({}));
    assert_eq!(
        (exit, &reply["outcome"], &reply["username"]),
        (0, &json!("refreshed"), &json!("new")),
        "{reply}"
    );
    assert_eq!(machine.server.sent.borrow()[0].0, "https://other.example/token");
    let record = machine.slot(&slot()).unwrap();
    assert_eq!((&record["services"], &record["clientId"]), (&json!([SERVICE]), &json!("another")));
}

#[test]
fn a_rotation_in_an_otherwise_unusable_answer_is_kept() {
    let machine = machine(0);
    answers(&machine, 200, r#"{"access_token":"AT2","refresh_token":"RT2"}"#);
    assert_eq!(get(&machine, &json!({})).1["error"]["code"], "AUTH_REFRESH_TRANSIENT");
    assert_eq!(machine.slot(&refresh_slot()).unwrap()["refreshToken"], "RT2");
    answers(&machine, 200, GRANT);
    assert_eq!(get(&machine, &json!({ "forceRefresh": true })).1["outcome"], "refreshed");
    assert!(machine.server.sent.borrow()[1].1.contains("refresh_token=RT2"));
}

#[test]
fn a_note_of_failure_is_forgotten_only_after_the_new_token_is_safe() {
    let machine = machine(0);
    answers(&machine, 503, "{}");
    get(&machine, &json!({}));
    let notes = || {
        let files = support::files_below(&machine.locks()).into_iter();
        files.filter(|(path, _)| path.extension() == Some("failed".as_ref())).count()
    };
    assert_eq!(notes(), 1);
    answers(&machine, 200, GRANT);
    machine.keyring.deny(refresh_slot());
    get(&machine, &json!({ "forceRefresh": true }));
    assert_eq!(notes(), 1, "the save failed");
    machine.keyring.deny_for(refresh_slot(), 0);
    answers(&machine, 200, GRANT);
    assert_eq!(get(&machine, &json!({ "forceRefresh": true })).1["outcome"], "refreshed");
    assert_eq!(notes(), 0);
}
