//! Sessions that nobody signed in to: made by the first `get` that finds none, with the client's own credentials.

mod support;

use std::time::Duration;

use claviger::dialect::Verb;
use claviger::http::Error;
use serde_json::{Value, json};
use support::server::Server;
use support::world::{Line, Machine, Mood};
use support::{SERVICE, Sandbox};

const NOW: &str = "2026-01-01T00:00:00Z";
const OTHER: &str = "https://git.acme.example";
const SLOT: &str = "https://api.acme.example#ci";

/// A machine whose configuration has a machine grant for both services.
fn machine() -> Machine {
    let machine = Machine::new(NOW);
    configure(&machine, "runner", &[SERVICE, OTHER]);
    machine.variables.borrow_mut().push(("ACME_SECRET".to_owned(), "CS1".to_owned()));
    machine
}

fn configure(machine: &Machine, client: &str, services: &[&str]) {
    let config = format!(
        "[providers.ci]\nissuer = \"https://id.example\"\ntoken-endpoint = \"https://id.example/token\"\n\
         client-id = \"{client}\"\nclient-auth = \"client_secret_post\"\nclient-secret = {{ env = \"ACME_SECRET\" }}\n\
         grant = \"client_credentials\"\nservices = {services:?}\n"
    );
    std::fs::write(machine.home().join("config.toml"), config).unwrap();
}

fn call_in(machine: &Machine, verb: Verb, storage: Option<&str>, request: &Value) -> Value {
    let rendered = machine.call(verb, storage, request.to_string().as_bytes());
    serde_json::from_slice(&rendered.stdout).expect("a reply is JSON")
}

fn call(machine: &Machine, verb: Verb, request: &Value) -> Value {
    call_in(machine, verb, None, request)
}

fn get(machine: &Machine) -> Value {
    call(machine, Verb::Get, &json!({ "service": SERVICE }))
}

fn answers(machine: &Machine, status: u16, body: &str) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.to_owned(),
    });
}

fn grants(machine: &Machine, token: &str) {
    let body = format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":3600}}"#);
    answers(machine, 200, &body);
}

fn asked(machine: &Machine) -> usize {
    machine.server.sent.borrow().len()
}

fn token_and_outcome(reply: &Value) -> (&str, &str) {
    (reply["accessToken"].as_str().unwrap_or_default(), reply["outcome"].as_str().unwrap_or_default())
}

fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or_default()
}

fn sessions(machine: &Machine) -> usize {
    call(machine, Verb::List, &json!({}))["sessions"].as_array().unwrap().len()
}

#[test]
fn it_is_made_once_served_from_the_cache_and_renewed_by_a_real_request_when_its_window_opens() {
    let machine = machine();
    grants(&machine, "AT1");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"));
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "cached"));
    let other = call(&machine, Verb::Get, &json!({ "service": OTHER }));
    assert_eq!(token_and_outcome(&other), ("AT1", "cached"), "one cache for all its services");
    machine.clock.now.set(machine.clock.now.get() + 3600 - 240);
    assert_eq!(asked(&machine), 1);
    grants(&machine, "AT2");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT2", "refreshed"));
    assert_eq!(asked(&machine), 2);
    let sent = machine.server.sent.borrow();
    assert_eq!(sent[0], sent[1], "to renew is to ask again");
    assert!(!sent[1].1.contains("refresh_token"), "{sent:?}");
}

#[test]
fn a_forced_call_asks_and_a_failure_leaves_the_token_at_hand_to_the_others() {
    let machine = machine();
    grants(&machine, "AT1");
    get(&machine);
    answers(&machine, 503, "{}");
    let forced = call(&machine, Verb::Get, &json!({ "service": SERVICE, "forceRefresh": true }));
    assert_eq!(code(&forced), "AUTH_REFRESH_TRANSIENT");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "cached"));
    machine.clock.now.set(machine.clock.now.get() + 3500);
    answers(&machine, 503, "{}");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "stale"));
}

#[test]
fn a_token_just_obtained_is_not_asked_for_again_for_its_validitys_sake() {
    let machine = machine();
    answers(&machine, 200, r#"{"access_token":"AT1","token_type":"bearer","expires_in":60}"#);
    let wanted = json!({ "service": SERVICE, "minValidity": 600 });
    assert_eq!(token_and_outcome(&call(&machine, Verb::Get, &wanted)), ("AT1", "minted"));
    let again = call(&machine, Verb::Get, &wanted);
    assert_eq!(token_and_outcome(&again), ("AT1", "cached"));
    assert_eq!(again["warnings"][0]["code"], "VALIDITY_SHORT");
    assert_eq!(asked(&machine), 1);
}

#[test]
fn what_fails_leaves_no_session_and_is_left_alone_for_a_while() {
    let machine = machine();
    for (status, body, expected) in [
        (503, "{}", "AUTH_REFRESH_TRANSIENT"),
        (401, r#"{"error":"invalid_client"}"#, "PROVIDER_REJECTED"),
        (400, r#"{"error":"invalid_grant"}"#, "PROVIDER_REJECTED"),
        (404, "{}", "ENDPOINT_NOT_FOUND"),
        (200, "{}", "AUTH_REFRESH_TRANSIENT"),
    ] {
        answers(&machine, status, body);
        assert_eq!(code(&get(&machine)), expected, "{status}");
        assert_eq!((sessions(&machine), machine.slot(SLOT)), (0, None), "{status}");
        if expected == "AUTH_REFRESH_TRANSIENT" {
            let before = asked(&machine);
            let again = get(&machine);
            assert_eq!((code(&again), asked(&machine)), (expected, before), "{status}");
            assert!(again["error"]["retryAfter"].as_i64().unwrap() > 0, "{again}");
        }
        machine.clock.now.set(machine.clock.now.get() + 3600);
    }
    machine.server.lines.borrow_mut().push_back(Line::Fail(|| Error::Broken("it broke off".to_owned())));
    assert_eq!(code(&get(&machine)), "AUTH_REFRESH_TRANSIENT");
    machine.clock.now.set(machine.clock.now.get() + 3600);
    grants(&machine, "AT9");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT9", "minted"));
}

#[test]
fn a_store_that_keeps_nothing_is_found_out_before_the_server_is_asked() {
    let machine = machine();
    machine.keyring.deny(SLOT.to_owned());
    assert_eq!(code(&get(&machine)), "AUTH_STORE_WRITE_FAILED");
    machine.keyring.forget(SLOT.to_owned());
    assert_eq!(code(&get(&machine)), "AUTH_STORE_WRITE_FAILED");
    assert_eq!((asked(&machine), sessions(&machine)), (0, 0));
}

#[test]
fn a_token_that_cannot_be_kept_is_not_given_out() {
    let machine = machine();
    grants(&machine, "AT1");
    machine.keyring.deny_after_next(SLOT.to_owned(), usize::MAX);
    let reply = get(&machine);
    assert_eq!(code(&reply), "AUTH_STORE_WRITE_FAILED");
    assert!(!reply.to_string().contains("AT1"), "{reply}");
}

#[test]
fn a_rejected_token_is_dropped_and_the_next_call_gets_another() {
    let machine = machine();
    grants(&machine, "AT1");
    get(&machine);
    let rejected = json!({ "service": SERVICE, "accessToken": "AT1" });
    assert_eq!(call(&machine, Verb::Erase, &rejected)["erased"], true);
    grants(&machine, "AT2");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT2", "refreshed"));
}

#[test]
fn an_erased_session_is_made_anew() {
    let machine = machine();
    grants(&machine, "AT1");
    get(&machine);
    assert_eq!(call(&machine, Verb::Erase, &json!({ "service": SERVICE }))["erased"], true);
    assert_eq!(sessions(&machine), 0);
    grants(&machine, "AT2");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT2", "minted"));
}

#[test]
fn another_client_in_the_configuration_gets_a_token_of_its_own_at_once() {
    let machine = machine();
    grants(&machine, "AT1");
    get(&machine);
    configure(&machine, "another", &[SERVICE, OTHER]);
    grants(&machine, "AT2");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT2", "refreshed"));
    assert!(machine.server.sent.borrow()[1].1.contains("client_id=another"));
    assert_eq!(machine.slot(SLOT).unwrap()["clientId"], "another");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT2", "cached"));
}

#[test]
fn a_service_added_to_the_configuration_is_served_by_a_new_grant_and_one_taken_away_no_more() {
    let machine = machine();
    configure(&machine, "runner", &[SERVICE]);
    grants(&machine, "AT1");
    get(&machine);
    configure(&machine, "runner", &[SERVICE, OTHER]);
    grants(&machine, "AT2");
    let other = call(&machine, Verb::Get, &json!({ "service": OTHER }));
    assert_eq!(token_and_outcome(&other), ("AT2", "minted"), "AT1 was never granted for it");
    configure(&machine, "runner", &[SERVICE]);
    assert_eq!(code(&call(&machine, Verb::Get, &json!({ "service": OTHER }))), "NOT_FOUND");
    assert_eq!((token_and_outcome(&get(&machine)), sessions(&machine)), (("AT2", "cached"), 1));
}

#[test]
fn without_the_grant_in_the_configuration_it_is_a_session_without_refresh_token() {
    let machine = machine();
    grants(&machine, "AT1");
    get(&machine);
    std::fs::remove_file(machine.home().join("config.toml")).unwrap();
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "cached"));
    machine.clock.now.set(machine.clock.now.get() + 3600);
    assert_eq!(code(&get(&machine)), "AUTH_REFRESH_UNAVAILABLE");
    assert_eq!(asked(&machine), 1);
}

#[test]
fn a_session_that_somebody_stored_is_neither_replaced_nor_refreshed_by_the_machines_grant() {
    let machine = machine();
    let stored = json!({ "service": SERVICE, "account": "ci", "accessToken": "AT-stored", "expiresIn": 60 });
    call(&machine, Verb::Store, &stored);
    assert_eq!(token_and_outcome(&get(&machine)), ("AT-stored", "cached"));
    assert_eq!(code(&call(&machine, Verb::Get, &json!({ "service": OTHER }))), "NOT_FOUND");
    machine.clock.now.set(machine.clock.now.get() + 60);
    assert_eq!(code(&get(&machine)), "AUTH_REFRESH_UNAVAILABLE");
    assert_eq!(asked(&machine), 0);
    assert_eq!(machine.slot(SLOT).unwrap()["accessToken"], "AT-stored");
}

#[test]
fn nobody_is_served_in_the_place_of_a_default_that_is_gone() {
    let machine = machine();
    call(
        &machine,
        Verb::Store,
        &json!({ "service": SERVICE, "account": "alice", "accessToken": "AT-alice" }),
    );
    machine.keyring.slots.borrow_mut().clear();
    assert_eq!((code(&get(&machine)), asked(&machine)), ("NOT_FOUND", 0));
    grants(&machine, "AT1");
    let named = call(&machine, Verb::Get, &json!({ "service": SERVICE, "account": "ci" }));
    assert_eq!(token_and_outcome(&named), ("AT1", "minted"), "named, it is meant");
}

#[test]
fn profiles_do_not_share_it() {
    let machine = machine();
    grants(&machine, "AT1");
    get(&machine);
    grants(&machine, "AT2");
    let tool = json!({ "service": SERVICE, "profile": "tool" });
    assert_eq!(token_and_outcome(&call(&machine, Verb::Get, &tool)), ("AT2", "minted"));
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "cached"));
}

#[test]
fn a_change_of_its_services_in_the_configuration_strands_no_session() {
    let machine = machine();
    grants(&machine, "AT1");
    assert_eq!(
        token_and_outcome(&call(&machine, Verb::Get, &json!({ "service": OTHER }))),
        ("AT1", "minted")
    );
    for services in [&[OTHER, SERVICE][..], &[OTHER]] {
        configure(&machine, "runner", services);
        machine.clock.now.set(machine.clock.now.get() + 7200);
        grants(&machine, "AT2");
        let renewed = call(&machine, Verb::Get, &json!({ "service": OTHER }));
        assert_eq!(token_and_outcome(&renewed), ("AT2", "refreshed"), "{services:?}: {renewed}");
    }
}

#[test]
fn a_call_that_named_another_account_does_not_stand_in_the_way_of_those_that_name_none() {
    let machine = machine();
    for (request, token) in
        [(json!({ "service": SERVICE }), "AT1"), (json!({ "service": SERVICE, "account": "typo" }), "AT2")]
    {
        grants(&machine, token);
        assert_eq!(token_and_outcome(&call(&machine, Verb::Get, &request)), (token, "minted"));
    }
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "cached"));
}

#[test]
fn a_failure_says_nothing_of_a_token_that_was_kept() {
    let machine = machine();
    machine.keyring.mood.set(Mood::Unreachable);
    answers(&machine, 401, r#"{"error":"invalid_client"}"#);
    let reply = get(&machine);
    assert_eq!((code(&reply), reply.get("warnings")), ("PROVIDER_REJECTED", None), "{reply}");
    machine.variables.borrow_mut().clear();
    machine.told.borrow_mut().clear();
    assert_eq!(code(&get(&machine)), "CONFIG_INVALID");
    assert_eq!(
        machine.told.borrow().len(),
        0,
        "nor is a storage spoken of before the configuration is whole"
    );
}

#[test]
fn an_end_that_was_cut_short_is_finished_and_revoked_before_a_session_is_made_in_its_place() {
    let machine = machine();
    let stored = json!({
        "service": SERVICE, "account": "ci", "accessToken": "AT-old", "refreshToken": "RT-old", "clientId": "cli",
        "tokenEndpoint": "https://id.example/token", "revocationEndpoint": "https://id.example/revoke",
    });
    call(&machine, Verb::Store, &stored);
    let mut cut: Value = serde_json::from_slice(&machine.keyring.slots.borrow()[SLOT]).unwrap();
    cut["erased"] = json!(true);
    cut.as_object_mut().unwrap().remove("accessToken");
    machine.keyring.slots.borrow_mut().insert(SLOT.to_owned(), cut.to_string().into_bytes());
    answers(&machine, 200, "");
    grants(&machine, "AT1");
    let named = json!({ "service": SERVICE, "account": "ci" });
    assert_eq!(token_and_outcome(&call(&machine, Verb::Get, &named)), ("AT1", "minted"));
    let sent = machine.server.sent.borrow();
    assert_eq!((sent.len(), sent[0].0.as_str()), (2, "https://id.example/revoke"));
    assert!(sent[0].1.contains("RT-old"), "{sent:?}");
}

#[test]
fn a_session_stored_meanwhile_over_an_end_that_was_cut_short_is_not_ended() {
    let machine = machine();
    let stored = json!({ "service": SERVICE, "account": "ci", "accessToken": "AT-new", "expiresIn": 3600 });
    call(&machine, Verb::Store, &stored);
    let living = machine.keyring.slots.borrow()[SLOT].clone();
    let mut cut: Value = serde_json::from_slice(&living).unwrap();
    cut["erased"] = json!(true);
    machine.keyring.slots.borrow_mut().insert(SLOT.to_owned(), cut.to_string().into_bytes());
    machine.keyring.once_locked(machine.locks(), move |slots| {
        slots.insert(SLOT.to_owned(), living);
    });
    assert_eq!(token_and_outcome(&get(&machine)), ("AT-new", "adopted"));
    assert_eq!((asked(&machine), machine.slot(SLOT).unwrap()["accessToken"].as_str()), (0, Some("AT-new")));
}

#[test]
fn it_becomes_nobodys_default() {
    let machine = machine();
    grants(&machine, "AT1");
    get(&machine);
    assert_eq!(call(&machine, Verb::List, &json!({}))["sessions"][0]["default"], false);
}

#[test]
fn where_there_is_no_keyring_it_lies_in_a_file_and_the_reply_says_so() {
    let machine = machine();
    machine.keyring.mood.set(Mood::Unreachable);
    grants(&machine, "AT1");
    let made = get(&machine);
    assert_eq!((token_and_outcome(&made), &made["storage"]), (("AT1", "minted"), &json!("plaintext")));
    assert_eq!(made["warnings"][0]["code"], "STORED_PLAINTEXT");
    machine.keyring.mood.set(Mood::Open);
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "cached"), "it is pinned there");
}

#[test]
fn a_keyring_that_was_chosen_and_is_not_there_is_an_error_and_nobody_is_asked() {
    let machine = machine();
    for mood in [Mood::Unreachable, Mood::Locked, Mood::Hangs] {
        machine.keyring.mood.set(mood);
        let reply = call_in(&machine, Verb::Get, Some("keyring"), &json!({ "service": SERVICE }));
        assert!(code(&reply).starts_with("STORE_"), "{mood:?}: {reply}");
    }
    assert_eq!(asked(&machine), 0);
}

#[test]
fn a_copy_in_the_other_backend_goes_where_it_is_a_machines_and_stays_where_somebody_stored_it() {
    for by_machine in [true, false] {
        let machine = machine();
        if by_machine {
            grants(&machine, "AT1");
            call_in(&machine, Verb::Get, Some("plaintext"), &json!({ "service": SERVICE }));
        } else {
            let stored = json!({ "service": SERVICE, "account": "ci", "accessToken": "AT1" });
            call_in(&machine, Verb::Store, Some("plaintext"), &stored);
            // Their default, which is the very account.
        }
        grants(&machine, "AT2");
        let made = get(&machine);
        assert_eq!((token_and_outcome(&made), &made["storage"]), (("AT2", "minted"), &json!("keyring")));
        let files =
            call_in(&machine, Verb::Get, Some("plaintext"), &json!({ "service": SERVICE, "account": "ci" }));
        if by_machine {
            assert_eq!(
                files["error"]["code"], "AUTH_REFRESH_TRANSIENT",
                "it is not there, and nobody answers: {files}"
            );
        } else {
            assert_eq!(files["accessToken"], "AT1", "{files}");
            assert_eq!(made["warnings"][0]["code"], "OTHER_COPY");
        }
    }
}

#[test]
fn forty_callers_without_a_session_make_one_request_and_so_do_forty_with_one_that_is_due() {
    let server = Server::start("unused");
    let sandbox = Sandbox::with_a_machine_grant(&server);
    server.behave(|behaviour| behaviour.latency = Duration::from_millis(200));
    let request = json!({ "service": SERVICE }).to_string();
    for (first, token) in [("minted", "AT-machine-1"), ("refreshed", "AT-machine-2")] {
        let answers = support::storm(40, request.as_bytes(), || sandbox.command("get"));
        let replies: Vec<Value> = answers.iter().map(support::Answer::ok).collect();
        assert!(replies.iter().all(|reply| reply["accessToken"] == token), "{replies:?}");
        assert_eq!(replies.iter().filter(|reply| reply["outcome"] == first).count(), 1);
        let rejected = json!({ "service": SERVICE, "accessToken": token });
        assert_eq!(sandbox.run("erase", &rejected).ok()["erased"], true);
    }
    assert_eq!(server.token_requests(), 2);
    assert_eq!(support::files_below(&sandbox.home().join("locks")).len(), 0);
}

#[test]
fn forty_callers_of_a_server_that_fails_make_one_request_and_leave_no_session() {
    let server = Server::start("unused");
    let sandbox = Sandbox::with_a_machine_grant(&server);
    server.behave(|behaviour| {
        behaviour.latency = Duration::from_millis(200);
        behaviour.instead = Some((503, String::new(), String::new()));
    });
    let request = json!({ "service": SERVICE }).to_string();
    for answer in support::storm(40, request.as_bytes(), || sandbox.command("get")) {
        assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT");
    }
    assert_eq!(server.token_requests(), 1);
    assert_eq!(sandbox.run("list", &json!({})).ok()["sessions"], json!([]));
    assert_eq!(support::files_below(&sandbox.home().join("slots")).len(), 0);
}
