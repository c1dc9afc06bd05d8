//! What the tests of machine grants share: calls in a world in memory, and a scripted server's grants.

use claviger::dialect::Verb;
use serde_json::{Value, json};

use super::SERVICE;
use super::world::{Line, Machine};

/// A machine with this configuration and these variables.
pub fn configured(config: &str, variables: &[(&str, &str)]) -> Machine {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    std::fs::write(machine.home().join("config.toml"), config).expect("config.toml is written");
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    machine.variables.borrow_mut().extend(variables.iter().map(own));
    machine
}

/// Serves a request, with the reply's text in full.
pub fn call_in(machine: &Machine, verb: Verb, storage: Option<&str>, request: &Value) -> Value {
    let rendered = machine.call(verb, storage, request.to_string().as_bytes());
    serde_json::from_slice(&rendered.stdout).expect("a reply is JSON")
}

pub fn call(machine: &Machine, verb: Verb, request: &Value) -> Value {
    call_in(machine, verb, None, request)
}

pub fn get(machine: &Machine) -> Value {
    call(machine, Verb::Get, &json!({ "service": SERVICE }))
}

/// The server's next answer.
pub fn answers(machine: &Machine, status: u16, body: &str) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.to_owned(),
    });
}

/// A grant as its next answer.
pub fn grants(machine: &Machine, token: &str) {
    let issued = "urn:ietf:params:oauth:token-type:access_token";
    let body = format!(
        r#"{{"access_token":"{token}","token_type":"bearer","expires_in":3600,"issued_token_type":"{issued}"}}"#
    );
    answers(machine, 200, &body);
}

pub fn asked(machine: &Machine) -> usize {
    machine.server.sent.borrow().len()
}

pub fn token_and_outcome(reply: &Value) -> (&str, &str) {
    (reply["accessToken"].as_str().unwrap_or_default(), reply["outcome"].as_str().unwrap_or_default())
}

pub fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or_default()
}

/// The message of a failure.
pub fn message(reply: &Value) -> &str {
    reply["error"]["message"].as_str().unwrap_or_default()
}

/// A field of the form that was sent at that turn.
pub fn sent_field(machine: &Machine, turn: usize, field: &str) -> Option<String> {
    let sent = machine.server.sent.borrow();
    let (_, form) = sent.get(turn)?;
    let found = url::form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == field);
    found.map(|(_, value)| value.into_owned())
}
