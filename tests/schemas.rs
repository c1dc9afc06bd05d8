//! The schemas in `protocol/schemas` say what the program does: they take every request it takes, and every
//! reply, slot and index file it writes.

mod support;

use std::path::{Path, PathBuf};

use claviger::dialect::Verb;
use claviger::store::record::{Bundle, RefreshEntry};
use serde_json::{Value, json};
use support::SERVICE;
use support::world::{Line, Machine};

fn protocol() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol")
}

fn schema(name: &str) -> jsonschema::Validator {
    let path = protocol().join("schemas").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no schema {name}"));
    let schema: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    jsonschema::options()
        .should_validate_formats(false)
        .build(&schema)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn fits(name: &str, value: &Value) {
    let schema = schema(name);
    let complaints: Vec<String> = schema.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(complaints.is_empty(), "{name}: {value}: {complaints:?}");
}

fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(protocol().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension() == Some(extension.as_ref())).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_transcript_fits_the_schemas() {
    let mut seen = 0;
    for (path, text) in files("transcripts", "txt") {
        let header = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let body = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark)).unwrap_or_default();
        // What other tools are told is in their own shapes, and not ours to describe.
        if header("call:").is_some() {
            continue;
        }
        let verb = match (header("verb:"), header("command:")) {
            (Some(verb), None) => verb,
            (None, Some(command)) if !command.contains("--json") => continue,
            (None, Some(command)) => match command.split_whitespace().next() {
                Some("doctor") => "doctor",
                Some(word @ ("login" | "logout" | "status" | "use")) => word,
                Some("token") => "get",
                Some("providers") if command.contains(" list") => "providers",
                Some("providers") if command.contains(" add") => "provider-added",
                Some("providers") => "provider-removed",
                _ if command.contains("move") => "moved",
                _ => "storage",
            },
            _ => panic!("{}: either `verb` or `command`", path.display()),
        };
        let reply: Value = serde_json::from_str(body("< ")).unwrap_or_else(|_| panic!("{}", path.display()));
        let code = reply["error"]["code"].as_str();
        fits(&if code.is_some() { "reply-error".to_owned() } else { format!("reply-{verb}") }, &reply);
        // A refused request may be one no schema can tell from a good one; an accepted one must fit.
        if !matches!(code, Some("BAD_REQUEST" | "INSECURE_URL")) && !body("> ").is_empty() {
            fits(&format!("request-{verb}"), &serde_json::from_str(body("> ")).unwrap());
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen} requests");
}

#[test]
fn a_schema_refuses_what_the_program_refuses() {
    for (verb, request) in [
        ("get", json!({})),
        ("get", json!({ "service": SERVICE, "refresh_token": "x" })),
        ("get", json!({ "service": SERVICE, "minValidity": "60" })),
        ("get", json!({ "service": SERVICE, "minValidity": -1 })),
        ("get", json!({ "service": SERVICE, "profile": "CI" })),
        ("get", json!({ "service": "api.acme.example" })),
        ("get", json!({ "version": 2, "service": SERVICE })),
        ("store", json!({ "service": SERVICE, "account": "a" })),
        ("store", json!({ "service": SERVICE, "account": "a", "accessToken": "" })),
        ("store", json!({ "service": SERVICE, "account": "a", "accessToken": "AT", "clientId": "c" })),
        (
            "store",
            json!({ "service": SERVICE, "account": "a", "accessToken": "AT", "expiresIn": 1, "expiresAt": "2026-01-01T00:00:00Z" }),
        ),
        ("erase", json!({ "service": SERVICE, "accessToken": 1 })),
        ("list", json!({ "account": "a" })),
        ("capabilities", json!({ "service": SERVICE })),
    ] {
        assert!(!schema(&format!("request-{verb}")).is_valid(&request), "{verb}: {request}");
        let machine = Machine::new("2026-01-01T00:00:00Z");
        let verb = Verb::ALL.into_iter().find(|(_, word)| *word == verb).unwrap().0;
        assert_eq!(machine.call(verb, None, request.to_string().as_bytes()).exit, 2, "{request}");
    }
}

#[test]
fn the_examples_of_slots_are_read_and_fit() {
    for (path, text) in files("slots/format-1", "json") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let value: Value = serde_json::from_str(&text).unwrap();
        let kind = if name == "client-secret" { &name } else { name.split('-').next().unwrap() };
        fits(&format!("slot-{kind}"), &value);
        let bytes = value.to_string();
        if kind == "chunks" {
            put_together(&bytes);
            continue;
        }
        if kind == "client-secret" {
            let machine = Machine::new("2026-01-01T00:00:00Z");
            machine.keyring.slots.borrow_mut().insert("client-secret/acme".to_owned(), bytes.into_bytes());
            let read = claviger::store::load_client_secret(&machine.keyring, "acme").unwrap().unwrap();
            assert_eq!(read.reveal(), value["clientSecret"], "{name}");
            continue;
        }
        // Format 1 is users' stored state: these files are kept for ever, and every version must read them.
        let session = || Bundle::decode(bytes.as_bytes(), None).map(|bundle| bundle.record.name);
        if kind == "access" {
            assert!(session().is_ok(), "{name}");
            continue;
        }
        let of = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let expected = claviger::session::SessionName {
            service: claviger::session::Service::parse(&of("service")).unwrap(),
            account: claviger::session::Account::parse(&of("account")).unwrap(),
            profile: value["profile"].as_str().map(|text| claviger::session::Profile::parse(text).unwrap()),
        };
        assert!(RefreshEntry::decode(bytes.as_bytes(), &expected).is_ok(), "{name}");
    }
}

/// The head of a value of 3,000 times `x`.
fn put_together(head: &str) {
    let vault = support::vault::Vault::with_limit(support::vault::WINDOWS);
    vault.change(|values| {
        values.insert("s#a".to_owned(), head.as_bytes().to_vec());
        values.insert("s#a/3.0".to_owned(), vec![b'x'; support::vault::WINDOWS]);
        values.insert("s#a/3.1".to_owned(), vec![b'x'; 3000 - support::vault::WINDOWS]);
    });
    let mut slots = claviger::store::keyring::Chunked::new(vault, Some(support::vault::WINDOWS));
    assert_eq!(slots.read("s#a").unwrap().unwrap().len(), 3000);
}

#[test]
fn what_is_written_fits() {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    let call = |verb, request: &Value| {
        let rendered = machine.call(verb, None, request.to_string().as_bytes());
        for (name, bytes) in machine.keyring.slots.borrow().iter() {
            let kind = if name.ends_with("/refresh") { "slot-refresh" } else { "slot-access" };
            fits(kind, &serde_json::from_slice(bytes).unwrap());
        }
        for (path, bytes) in support::files_below(machine.home()) {
            let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            let value = serde_json::from_slice(&bytes).unwrap_or_default();
            match folder.as_str() {
                "index" => fits("index-entry", &value),
                "defaults" => fits("index-default", &value),
                "pin" => fits("pin", &value),
                _ => {}
            }
        }
        rendered.exit
    };
    let bundle = json!({
        "service": SERVICE, "account": "Alice", "profile": "ci", "label": "work", "username": "oauth2", "accessToken": "AT1",
        "expiresIn": 3600, "refreshToken": "RT1", "refreshTokenExpiresAt": "2027-01-01T00:00:00Z", "tokenType": "Bearer",
        "scopes": ["api"], "services": ["https://git.acme.example"], "tokenEndpoint": "https://id.example/token",
        "revocationEndpoint": "https://id.example/revoke", "issuer": "https://id.example", "clientId": "cli", "clientSecret": "CS1",
    });
    assert_eq!(call(Verb::Store, &bundle), 0);
    let get = json!({ "service": SERVICE, "profile": "ci", "forceRefresh": true });
    let reply = |status, body: &str| Line::Reply {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.to_owned(),
    };
    machine.server.lines.borrow_mut().extend([
        Line::Fail(|| claviger::http::Error::Broken("closed".to_owned())),
        reply(200, r#"{"access_token":"AT2","token_type":"bearer","refresh_token":"RT2","expires_in":60}"#),
        reply(400, r#"{"error":"invalid_grant"}"#),
    ]);
    assert_eq!([call(Verb::Get, &get), call(Verb::Get, &get), call(Verb::Get, &get)], [4, 0, 3]);
    assert_eq!(call(Verb::Erase, &json!({ "service": SERVICE, "profile": "ci", "accessToken": "AT2" })), 0);
    assert_eq!(call(Verb::Erase, &json!({ "service": SERVICE, "profile": "ci" })), 0);
}
