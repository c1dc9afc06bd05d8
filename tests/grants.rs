//! I11: a token is given only for a service its own record was granted for, whatever index and configuration
//! claim.

mod support;

use claviger::dialect::Verb;
use serde_json::{Value, json};
use support::SERVICE;
use support::world::Machine;

const OTHER: &str = "https://evil.example";

fn machine() -> Machine {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    let request = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT-alice" });
    assert_eq!(machine.call(Verb::Store, None, request.to_string().as_bytes()).exit, 0);
    machine
}

fn get(machine: &Machine, request: &Value) -> (u8, String) {
    let rendered = machine.call(Verb::Get, None, request.to_string().as_bytes());
    (rendered.exit, String::from_utf8_lossy(&rendered.stdout).into_owned())
}

fn refused(machine: &Machine) {
    for service in
        [OTHER.to_owned(), format!("{OTHER}/x"), format!("{SERVICE}.evil.example"), format!("{SERVICE}:8443")]
    {
        for account in [None, Some("alice"), Some("work")] {
            let mut request = json!({ "service": service });
            if let Some(account) = account {
                request["account"] = json!(account);
            }
            let (exit, reply) = get(machine, &request);
            assert_ne!(exit, 0, "{request}: {reply}");
            assert!(!reply.contains("AT-alice"), "{request}: {reply}");
        }
    }
    assert_eq!(get(machine, &json!({ "service": SERVICE, "account": "alice" })).0, 0);
}

#[test]
fn an_index_that_claims_more_gives_nothing() {
    let machine = machine();
    let (path, _) = support::files_below(&machine.home().join("index")).remove(0);
    let mut entry: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    entry["services"] = json!([SERVICE, OTHER, format!("{SERVICE}.evil.example"), format!("{SERVICE}:8443")]);
    entry["label"] = json!("work");
    std::fs::write(&path, entry.to_string()).unwrap();
    refused(&machine);
}

#[test]
fn a_default_that_claims_more_gives_nothing() {
    let machine = machine();
    let digest = claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(OTHER));
    let default = json!({ "format": 1, "service": OTHER, "account": "alice" });
    std::fs::write(machine.home().join("defaults").join(format!("{digest}.json")), default.to_string())
        .unwrap();
    refused(&machine);
}

#[test]
fn a_configuration_that_claims_more_gives_nothing() {
    let machine = machine();
    let config = format!(
        "[providers.acme]\nissuer = \"https://id.example\"\ntoken-endpoint = \"https://id.example/token\"\nclient-id = \"cli\"\n\
         services = [\"{SERVICE}\", \"{OTHER}\", \"{SERVICE}.evil.example\"]\n"
    );
    std::fs::write(machine.home().join("config.toml"), config).unwrap();
    refused(&machine);
}

#[test]
fn a_refresh_token_goes_to_the_endpoint_in_its_own_slot_whatever_the_record_says() {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresAt": "2020-01-01T00:00:00Z",
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    let slot = format!("{SERVICE}#alice");
    let mut record = machine.slot(&slot).unwrap();
    record["tokenEndpoint"] = json!(format!("{OTHER}/token"));
    record["issuer"] = json!(OTHER);
    machine.keyring.slots.borrow_mut().insert(slot, record.to_string().into_bytes());
    let config = format!(
        "[providers.evil]\nissuer = \"{OTHER}\"\ntoken-endpoint = \"{OTHER}/token\"\nclient-id = \"cli\"\nservices = [\"{SERVICE}\"]\n"
    );
    std::fs::write(machine.home().join("config.toml"), config).unwrap();
    let (exit, _) = get(&machine, &json!({ "service": SERVICE }));
    assert_eq!(exit, 4, "the scripted server has nothing to say");
    let sent = machine.server.sent.borrow();
    assert_eq!(
        sent.iter().map(|(endpoint, _)| endpoint.as_str()).collect::<Vec<_>>(),
        ["https://id.example/token"]
    );
}

#[test]
fn a_providers_secret_never_goes_to_an_endpoint_that_came_by_store() {
    let machine = Machine {
        variables: vec![("ACME_SECRET".to_owned(), "CS-provider".to_owned())].into(),
        ..Machine::new("2026-01-01T00:00:00Z")
    };
    let config = format!(
        "[providers.acme]\nissuer = \"https://id.example\"\ntoken-endpoint = \"https://id.example/token\"\n\
         revocation-endpoint = \"https://id.example/revoke\"\nclient-id = \"cli\"\nclient-auth = \"client_secret_post\"\n\
         client-secret = {{ env = \"ACME_SECRET\" }}\nservices = [\"{SERVICE}\"]\n"
    );
    std::fs::write(machine.home().join("config.toml"), config).unwrap();
    let bundle = |token_endpoint: &str, revocation_endpoint: &str| {
        json!({
            "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresAt": "2020-01-01T00:00:00Z", "refreshToken": "RT1",
            "issuer": "https://id.example", "tokenEndpoint": token_endpoint, "revocationEndpoint": revocation_endpoint,
            "clientId": "cli", "replace": true,
        })
    };
    for (token_endpoint, revocation_endpoint) in [
        (format!("{OTHER}/token"), "https://id.example/revoke".to_owned()),
        ("https://id.example/token".to_owned(), format!("{OTHER}/revoke")),
        (format!("{OTHER}/token"), format!("{OTHER}/revoke")),
    ] {
        machine.call(Verb::Store, None, bundle(&token_endpoint, &revocation_endpoint).to_string().as_bytes());
        get(&machine, &json!({ "service": SERVICE }));
        machine.call(Verb::Erase, None, json!({ "service": SERVICE }).to_string().as_bytes());
    }
    let sent = machine.server.sent.borrow();
    assert!(!sent.is_empty(), "something was sent where it may go");
    for (endpoint, form) in sent.iter() {
        assert!(!endpoint.starts_with(OTHER) || !form.contains("CS-provider"), "{endpoint}: {form}");
    }
    assert!(sent.iter().any(|(endpoint, form)| endpoint == "https://id.example/token"
        && form.contains("client_secret=CS-provider")));
}
