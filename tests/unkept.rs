//! The storage `none`: a machine's token is asked for, handed out and forgotten, and nothing is written.

mod support;

use claviger::dialect::Verb;
use claviger::message::Request;
use claviger::session::Storage;
use serde_json::{Value, json};
use support::grants::{
    answers, asked, call, call_in, code, configured, get, grants, message, token_and_outcome,
};
use support::server::Server;
use support::world::{Machine, Mood};
use support::{SERVICE, Sandbox};

const OTHER: &str = "https://git.acme.example";
const CONFIG: &str = "[providers.ci]\ntoken-endpoint = \"https://id.example/token\"\nclient-id = \"runner\"\n\
    client-auth = \"client_secret_post\"\nclient-secret = { env = \"CS\" }\ngrant = \"client_credentials\"\n\
    scopes = [\"read\"]\nservices = [\"https://api.acme.example\", \"https://git.acme.example\"]\n\
    [providers.people]\nissuer = \"https://id.example\"\nservices = [\"https://people.example\"]\n";

fn machine() -> Machine {
    configured(CONFIG, &[("CS", "CS-canary"), ("CLAVIGER_STORAGE", "none")])
}

/// Everything there is below the folder of a machine, but for its configuration.
fn left(machine: &Machine) -> Vec<String> {
    let names = std::fs::read_dir(machine.home()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "config.toml").collect()
}

#[test]
fn each_get_asks_and_the_reply_says_that_nothing_is_kept() {
    let machine = machine();
    for token in ["AT1", "AT2"] {
        grants(&machine, token);
        let reply = call(&machine, Verb::Get, &json!({ "service": OTHER }));
        assert_eq!(
            reply,
            json!({
                "version": 1, "service": SERVICE, "account": "ci", "tokenType": "Bearer", "accessToken": token,
                "expiresAt": "2026-01-01T01:00:00Z", "scopes": ["read"], "hasRefreshToken": false, "storage": "none",
                "outcome": "minted", "matchedBy": "only",
            })
        );
    }
    assert_eq!((asked(&machine), left(&machine), machine.keyring.writes.get()), (2, vec![], 0));
    assert!(machine.told.borrow().is_empty());
}

#[test]
fn a_tool_is_answered_by_the_rules_of_what_is_kept() {
    let said = |words: &str, input: &str| {
        let machine = machine();
        grants(&machine, "AT1");
        String::from_utf8_lossy(&machine.by(words, input).stdout).into_owned()
    };
    let git = "protocol=https\nhost=git.acme.example\nusername=";
    for anybody in ["", "oauth2", "ci"] {
        assert!(said("git get", &format!("{git}{anybody}\n")).contains("password=AT1\n"), "{anybody}");
    }
    assert_eq!(said("git get", &format!("{git}bob\n")), "", "somebody unknown here");
    assert_eq!(said("git --account other get", &format!("{git}bob\n")), "");
    assert_eq!(said("keyring get https://git.acme.example bob", ""), "");
    let index = r#"{"v":1,"registry":{"index-url":"https://git.acme.example/index"},"kind":"get","operation":"read"}"#;
    assert_eq!(
        said("cargo", &format!("{index}\n")),
        "{\"Err\":{\"kind\":\"not-found\"}}\n",
        "it says where tokens go"
    );
    assert!(said("docker get", "https://git.acme.example/v1/x").starts_with("credentials not found"));
    assert!(said("goauth https://git.acme.example/a", "").starts_with("https://git.acme.example\n"));
}

#[test]
fn neither_a_keyring_nor_what_it_keeps_is_looked_into() {
    let machine = machine();
    let stored = json!({ "service": SERVICE, "account": "ci", "accessToken": "AT-kept" });
    call_in(&machine, Verb::Store, Some("keyring"), &stored);
    for mood in [Mood::Open, Mood::Unreachable, Mood::Locked, Mood::Hangs] {
        machine.keyring.mood.set(mood);
        grants(&machine, "AT1");
        assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"), "{mood:?}");
    }
    assert_eq!(call(&machine, Verb::List, &json!({}))["sessions"], json!([]));
    machine.keyring.mood.set(Mood::Open);
    let kept = call_in(&machine, Verb::Get, Some("keyring"), &json!({ "service": SERVICE }));
    assert_eq!(token_and_outcome(&kept), ("AT-kept", "cached"));
}

#[test]
fn account_profile_and_path_name_it_as_they_would_a_kept_one() {
    let machine = machine();
    for (request, account, matched_by) in [
        (json!({ "service": SERVICE, "account": "bot", "profile": "tool" }), "bot", "account"),
        (json!({ "service": format!("{OTHER}/team"), "account": "bot" }), "bot", "origin"),
        (json!({ "service": format!("{OTHER}/team"), "forceRefresh": true }), "ci", "origin"),
    ] {
        grants(&machine, "AT1");
        let reply = call(&machine, Verb::Get, &request);
        assert_eq!(
            (&reply["account"], &reply["matchedBy"]),
            (&json!(account), &json!(matched_by)),
            "{reply}"
        );
        assert_eq!(reply.get("profile"), request.get("profile"));
    }
    grants(&machine, "AT1");
    let reply = call(&machine, Verb::Get, &json!({ "service": SERVICE, "minValidity": 7200 }));
    assert_eq!(reply["warnings"][0]["code"], "VALIDITY_SHORT");
}

#[test]
fn a_service_without_a_machine_grant_is_not_found() {
    let machine = machine();
    for service in ["https://people.example", "https://nobody.example"] {
        let reply = call(&machine, Verb::Get, &json!({ "service": service }));
        assert_eq!((code(&reply), asked(&machine)), ("NOT_FOUND", 0), "{reply}");
        assert!(message(&reply).contains("CLAVIGER_STORAGE says none"), "{reply}");
        assert!(reply["error"]["hint"].as_str().unwrap().contains("--storage keyring"), "{reply}");
    }
}

#[test]
fn what_fails_is_noted_nowhere_and_the_next_call_asks_again() {
    let machine = machine();
    for (status, body, expected) in [
        (503, "{}", "AUTH_REFRESH_TRANSIENT"),
        (503, "{}", "AUTH_REFRESH_TRANSIENT"),
        (401, r#"{"error":"invalid_client","error_description":"CS-canary"}"#, "PROVIDER_REJECTED"),
        (404, "{}", "ENDPOINT_NOT_FOUND"),
    ] {
        let before = asked(&machine);
        answers(&machine, status, body);
        let reply = get(&machine);
        assert_eq!((code(&reply), asked(&machine)), (expected, before + 1), "{reply}");
        assert!(!reply.to_string().contains("canary"), "{reply}");
    }
    machine.variables.borrow_mut().retain(|(name, _)| name != "CS");
    let before = asked(&machine);
    let reply = get(&machine);
    assert_eq!((code(&reply), asked(&machine), left(&machine)), ("CONFIG_INVALID", before, vec![]));
    assert!(message(&reply).contains("variable CS is not set"), "{reply}");
}

#[test]
fn nothing_can_be_stored_and_no_session_ended_but_a_rejected_token_may_be_dropped() {
    let machine = machine();
    let stored = json!({ "service": SERVICE, "account": "ci", "accessToken": "AT1" });
    let reply = call(&machine, Verb::Store, &stored);
    assert_eq!(code(&reply), "CONFIG_INVALID");
    assert!(message(&reply).contains("CLAVIGER_STORAGE says none"), "{reply}");
    assert_eq!(code(&call(&machine, Verb::Erase, &json!({ "service": SERVICE }))), "CONFIG_INVALID");
    let dropped = call(&machine, Verb::Erase, &json!({ "service": SERVICE, "accessToken": "AT1" }));
    assert_eq!((&dropped["erased"], &dropped["revocation"]), (&json!(false), &json!("skipped")));
    assert_eq!(call(&machine, Verb::List, &json!({}))["sessions"], json!([]));
    assert_eq!((left(&machine), machine.keyring.writes.get()), (vec![], 0));
}

#[test]
fn people_are_told_of_it_and_nothing_is_moved() {
    let machine = machine();
    let people = |request| {
        let rendered = machine.people(request);
        serde_json::from_slice::<Value>(&rendered.stdout).unwrap()
    };
    let shown = people(Request::ShowStorage);
    assert_eq!(
        (&shown["storage"], &shown["inUse"], &shown["decidedBy"]),
        (&json!("none"), &json!("none"), &json!("CLAVIGER_STORAGE"))
    );
    assert_eq!(code(&people(Request::MoveStorage(Storage::Plaintext))), "CONFLICT");
    let examined = people(Request::Doctor { fix: true });
    assert_eq!((&examined["problems"], examined["findings"].as_array().unwrap().len()), (&json!(0), 1));
    assert_eq!((left(&machine), machine.keyring.writes.get()), (vec![], 0));
}

#[test]
fn flag_environment_and_configuration_each_choose_it_and_the_strongest_counts() {
    let config = format!("storage = \"none\"\n{CONFIG}");
    let storage_of = |machine: &Machine, flag| {
        grants(machine, "AT1");
        let reply = call_in(machine, Verb::Get, flag, &json!({ "service": SERVICE }));
        reply["storage"].as_str().unwrap_or_default().to_owned()
    };
    let by_config = configured(&config, &[("CS", "CS1")]);
    assert_eq!(storage_of(&by_config, None), "none");
    assert_eq!(storage_of(&by_config, Some("plaintext")), "plaintext");
    by_config.variables.borrow_mut().push(("CLAVIGER_STORAGE".to_owned(), "keyring".to_owned()));
    assert_eq!(storage_of(&by_config, None), "keyring");
    assert_eq!(storage_of(&by_config, Some(" None ")), "none");
    let rendered = by_config.people(Request::MoveStorage(Storage::Keyring));
    let reply: Value = serde_json::from_slice(&rendered.stdout).unwrap();
    assert_eq!(code(&reply), "CONFLICT", "what config.toml says comes back with the next call: {reply}");
}

#[test]
fn the_binary_writes_nothing_at_all() {
    let server = Server::start("unused");
    let mut sandbox = Sandbox::with_a_machine_grant(&server);
    let home = tempfile::tempdir().unwrap();
    sandbox.set("CLAVIGER_STORAGE", "none");
    sandbox.set("HOME", &home.path().display().to_string());
    let there = || {
        let names = std::fs::read_dir(sandbox.home()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = there();
    for token in ["AT-machine-1", "AT-machine-2"] {
        let reply = sandbox.run("get", &json!({ "service": SERVICE })).ok();
        assert_eq!((token_and_outcome(&reply), &reply["storage"]), ((token, "minted"), &json!("none")));
    }
    assert_eq!(sandbox.run("list", &json!({})).ok()["sessions"], json!([]));
    let stored = json!({ "service": SERVICE, "account": "a", "accessToken": "AT" });
    assert_eq!(sandbox.run("store", &stored).code(6), "CONFIG_INVALID");
    assert_eq!(there(), before);
    if let Some((answer, calls)) = sandbox.traced("get", &json!({ "service": SERVICE }), &[]) {
        assert_eq!(answer.ok()["outcome"], "minted");
        let changes = ["flock(", "mkdir", "rename", "unlink", "fsync(", "link", "symlink", "ftruncate("];
        let writes = |call: &&String| {
            let opens = call.starts_with("open")
                && ["O_CREAT", "O_WRONLY", "O_RDWR"].iter().any(|flag| call.contains(flag));
            changes.iter().any(|name| call.starts_with(name)) || (opens && !call.contains("\"/dev/"))
        };
        assert_eq!(calls.iter().filter(writes).collect::<Vec<_>>(), Vec::<&String>::new());
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}
