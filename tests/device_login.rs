//! Signing in by a code on another device, with the clock in the test's hands: how often the server is asked, and when
//! that ends (RFC 8628 sections 3.4 and 3.5).

mod support;

use std::time::Duration;

use claviger::http::Error;
use claviger::message::{Login, Request, Target, Way};
use serde_json::{Value, json};
use support::SERVICE;
use support::world::{Line, Machine};

const NOW: &str = "2026-01-01T00:00:00Z";
const GRANTED: &str =
    r#"{"access_token":"AT1","token_type":"bearer","expires_in":3600,"refresh_token":"RT1"}"#;

fn machine(more: &str) -> Machine {
    let machine = Machine::new(NOW);
    let config = format!(
        "[providers.acme]\nissuer = \"https://id.example\"\ntoken-endpoint = \"https://id.example/token\"\n\
         authorization-endpoint = \"https://id.example/authorize\"\n\
         device-authorization-endpoint = \"https://id.example/device\"\nclient-id = \"cli\"\ngrant = \"device_code\"\n\
         scopes = [\"api\"]\nservices = [\"{SERVICE}\"]\n{more}\n"
    );
    std::fs::write(machine.home().join("config.toml"), config).unwrap();
    machine
}

fn says(machine: &Machine, status: u16, body: &str) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.to_owned(),
    });
}

fn gives_out(machine: &Machine, more: &str) {
    let body = format!(
        r#"{{"device_code":"DC1","user_code":"WDJB-MJHT","verification_uri":"https://id.example/device"{more}}}"#
    );
    says(machine, 200, &body);
}

fn sign_in(machine: &Machine) -> Value {
    let target = Target { word: Some("acme".to_owned()), account: Some("alice".to_owned()), profile: None };
    let login = Request::Login(Box::new(Login { target, way: Way::Best }));
    serde_json::from_slice(&machine.people(login).stdout).expect("a reply is JSON")
}

fn waited(machine: &Machine) -> Duration {
    machine.clock.waited.get()
}

#[test]
fn the_server_is_asked_every_five_seconds_and_slower_for_good_once_it_says_so() {
    let machine = machine("");
    gives_out(&machine, "");
    for word in ["authorization_pending", "slow_down", "authorization_pending"] {
        says(&machine, 400, &json!({ "error": word }).to_string());
    }
    says(&machine, 200, GRANTED);
    let reply = sign_in(&machine);
    assert_eq!((&reply["account"], &reply["hasRefreshToken"]), (&json!("alice"), &json!(true)), "{reply}");
    assert_eq!(waited(&machine), Duration::from_secs(5 + 5 + 10 + 10));
    let sent = machine.server.sent.borrow();
    assert_eq!(sent[0], ("https://id.example/device".to_owned(), "scope=api&client_id=cli".to_owned()));
    let asked =
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=DC1&client_id=cli";
    assert!(
        sent[1..].iter().all(|sent| *sent == ("https://id.example/token".to_owned(), asked.to_owned())),
        "{sent:?}"
    );
    let told = machine.told.borrow().concat();
    assert!(told.contains("https://id.example/device") && told.contains("WDJB-MJHT"), "{told}");
}

#[test]
fn a_network_that_fails_in_between_is_asked_less_often_and_costs_nothing() {
    let machine = machine("");
    gives_out(&machine, r#","interval":2"#);
    machine.server.lines.borrow_mut().push_back(Line::Fail(|| Error::Broken("reset".to_owned())));
    says(&machine, 503, "{}");
    says(&machine, 200, GRANTED);
    assert_eq!(sign_in(&machine)["account"], "alice");
    assert_eq!(waited(&machine), Duration::from_secs(2 + 4 + 8));
}

#[test]
fn a_code_that_nobody_enters_ends_and_so_does_a_refusal() {
    let ended = machine("");
    gives_out(&ended, r#","interval":5,"expires_in":12"#);
    says(&ended, 400, r#"{"error":"authorization_pending"}"#);
    says(&ended, 400, r#"{"error":"authorization_pending"}"#);
    assert_eq!(sign_in(&ended)["error"]["code"], "LOGIN_TIMEOUT");
    assert_eq!(waited(&ended), Duration::from_secs(12));

    let impatient = machine("[timeouts]\nlogin = 7\n");
    gives_out(&impatient, "");
    says(&impatient, 400, r#"{"error":"authorization_pending"}"#);
    assert_eq!(sign_in(&impatient)["error"]["code"], "LOGIN_TIMEOUT");
    assert_eq!(waited(&impatient), Duration::from_secs(7));

    for (answer, code) in [
        (r#"{"error":"access_denied"}"#, "LOGIN_DENIED"),
        (r#"{"error":"expired_token"}"#, "LOGIN_TIMEOUT"),
        (r#"{"error":"invalid_client"}"#, "PROVIDER_REJECTED"),
        (r#"{"error":"invalid_grant","error_description":"DC1-and-more-of-it"}"#, "PROVIDER_REJECTED"),
    ] {
        let machine = machine("");
        gives_out(&machine, "");
        says(&machine, 400, answer);
        let reply = sign_in(&machine);
        assert_eq!(reply["error"]["code"], code, "{reply}");
        assert!(!reply.to_string().contains("DC1"), "what was sent is not repeated: {reply}");
        assert!(machine.keyring.slots.borrow().is_empty(), "nothing is kept");
    }
}

#[test]
fn what_a_server_would_have_shown_cannot_steer_the_terminal() {
    let machine = machine("");
    let code = "A\\u001b[2J\\u202eB\\nclaviger: error";
    let body = format!(
        r#"{{"device_code":"D","user_code":"{code}","verification_uri":"https://id.example/device"}}"#
    );
    says(&machine, 200, &body);
    says(&machine, 400, r#"{"error":"access_denied"}"#);
    sign_in(&machine);
    let told = machine.told.borrow().concat();
    assert!(told.contains("A\\u{1b}[2J\\u{202e}B\\u{a}claviger: error"), "{told:?}");
    assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
}
