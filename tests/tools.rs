//! What tools do to sessions beside asking for tokens: they keep what was typed, take their own place off a session, and
//! report what was refused. And how they are talked to: a line at a time, or until an empty one.

#![cfg(unix)] // links by name

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use claviger::dialect::Verb;
use claviger::message::Request;
use claviger::session::Storage;
use serde_json::json;
use support::world::{Line, Machine};
use support::{SERVICE, Sandbox};

const NOW: &str = "2026-01-01T00:00:00Z";
const SLOT: &str = "https://api.acme.example#alice";

/// A session of alice's for three services, that refreshes itself.
fn signed_in() -> Machine {
    let machine = Machine::new(NOW);
    store(&machine, "alice", "AT1");
    machine
}

fn store(machine: &Machine, account: &str, token: &str) {
    let bundle = json!({
        "service": "https://api.acme.example", "account": account, "accessToken": token, "expiresIn": 3600,
        "refreshToken": format!("RT-{account}"), "tokenEndpoint": "https://id.acme.example/token", "clientId": "cli",
        "services": ["https://registry.acme.example", "https://git.acme.example"],
    });
    assert_eq!(machine.call(Verb::Store, None, bundle.to_string().as_bytes()).exit, 0);
}

fn services(machine: &Machine, slot: &str) -> Vec<String> {
    let services = machine.slot(slot).unwrap()["services"].as_array().unwrap().clone();
    services.iter().map(|service| service.as_str().unwrap().to_owned()).collect()
}

fn text(rendered: &claviger::dialect::Rendered) -> String {
    String::from_utf8_lossy(&rendered.stdout).into_owned()
}

fn granted(token: &str) -> Line {
    Line::Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "RT-next" })
            .to_string(),
    }
}

#[test]
fn what_a_logout_took_off_stays_off_through_a_refresh_and_comes_back_by_a_store() {
    let machine = signed_in();
    assert_eq!(machine.by("docker erase", "registry.acme.example").exit, 0);
    machine.server.lines.borrow_mut().push_back(granted("AT2"));
    let get = json!({ "service": "https://git.acme.example", "forceRefresh": true }).to_string();
    assert_eq!(machine.call(Verb::Get, None, get.as_bytes()).exit, 0);
    assert_eq!(services(&machine, SLOT), ["https://api.acme.example", "https://git.acme.example"]);
    assert!(text(&machine.by("docker get", "registry.acme.example")).starts_with("credentials not found"));
    store(&machine, "alice", "AT3");
    assert!(text(&machine.by("docker get", "registry.acme.example")).contains("AT3"));
}

#[test]
fn a_logout_takes_the_place_off_every_account_or_off_the_one_that_is_named() {
    let machine = signed_in();
    store(&machine, "bob", "ATB");
    machine.by("docker --account bob erase", "registry.acme.example");
    assert_eq!(services(&machine, "https://api.acme.example#bob").len(), 2);
    assert_eq!(services(&machine, SLOT).len(), 3);
    machine.by("docker erase", "registry.acme.example");
    assert_eq!(services(&machine, SLOT).len(), 2);
}

#[test]
fn the_account_that_was_the_default_of_a_place_taken_off_is_so_no_longer() {
    let machine = signed_in();
    store(&machine, "bob", "ATB");
    assert!(text(&machine.by("docker get", "registry.acme.example")).contains("AT1"));
    machine.by("docker --account alice erase", "registry.acme.example");
    assert!(
        text(&machine.by("docker get", "registry.acme.example")).contains("ATB"),
        "bob is the only one now"
    );
}

#[test]
fn with_its_last_place_a_session_ends_at_the_server_too() {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": "https://registry.acme.example", "account": "alice", "accessToken": "AT1", "refreshToken": "RT1",
        "tokenEndpoint": "https://id.acme.example/token", "clientId": "cli",
        "revocationEndpoint": "https://id.acme.example/revoke",
    });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status: 200,
        content_type: None,
        retry_after: None,
        body: String::new(),
    });
    machine.by("docker erase", "registry.acme.example");
    assert!(machine.slot("https://registry.acme.example#alice").is_none());
    assert!(machine.slot("https://registry.acme.example#alice/refresh").is_none());
    assert!(machine.server.sent.borrow()[0].1.contains("token=RT1"));
}

#[test]
fn a_logout_that_cannot_be_written_down_is_told_and_takes_off_all_or_what_is_given_out() {
    let machine = signed_in();
    machine.keyring.deny(SLOT.to_owned());
    let said = machine.by("docker erase", "registry.acme.example");
    assert_eq!(said.exit, 1, "{}", text(&said));
    assert_eq!(services(&machine, SLOT).len(), 3, "nothing was changed");

    let machine = signed_in();
    machine.keyring.deny_for(format!("{SLOT}/refresh"), 1);
    assert_eq!(machine.by("docker erase", "registry.acme.example").exit, 1);
    assert_eq!(services(&machine, SLOT).len(), 2, "what is given out is the access slot's to say");
    machine.server.lines.borrow_mut().push_back(granted("AT2"));
    let get = json!({ "service": "https://git.acme.example", "forceRefresh": true }).to_string();
    assert_eq!(machine.call(Verb::Get, None, get.as_bytes()).exit, 0, "the session is whole");
    assert_eq!(services(&machine, SLOT).len(), 2, "and what was taken off does not come back by a refresh");
}

#[test]
fn what_was_typed_never_takes_the_place_of_a_session_that_refreshes_itself() {
    let machine = signed_in();
    let login =
        json!({ "ServerURL": "api.acme.example", "Username": "alice", "Secret": "AT-typed" }).to_string();
    assert_eq!(machine.by("docker store", &login).exit, 1);
    machine.by("keyring set api.acme.example alice", "AT-typed\n");
    machine.by("git store", "protocol=https\nhost=api.acme.example\nusername=alice\npassword=AT-typed\n");
    assert_eq!(machine.slot(SLOT).unwrap()["accessToken"], "AT1");
    assert_eq!(machine.slot(&format!("{SLOT}/refresh")).unwrap()["refreshToken"], "RT-alice");
}

/// The session as it is when a login has granted it for more, just as a tool waited for its lock.
fn signed_in_meanwhile(machine: &Machine, slot: &'static str, service: &str) {
    let other = Machine::new(NOW);
    let bundle = json!({
        "service": service, "account": "alice", "accessToken": "AT-new", "refreshToken": "RT-new", "expiresIn": 3600,
        "tokenEndpoint": "https://id.acme.example/token", "clientId": "cli", "services": ["https://git.acme.example"],
    });
    assert_eq!(other.call(Verb::Store, None, bundle.to_string().as_bytes()).exit, 0);
    let slots = [slot.to_owned(), format!("{slot}/refresh")];
    let written = slots.map(|slot| (slot.clone(), serde_json::to_vec(&other.slot(&slot).unwrap()).unwrap()));
    machine.keyring.once_locked(machine.locks(), move |slots| {
        slots.extend(written);
    });
}

#[test]
fn a_logout_that_waited_does_not_end_what_was_granted_for_more_meanwhile() {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": "https://registry.acme.example", "account": "alice", "accessToken": "AT1", "refreshToken": "RT1",
        "tokenEndpoint": "https://id.acme.example/token", "clientId": "cli",
    });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    let slot = "https://registry.acme.example#alice";
    signed_in_meanwhile(&machine, slot, "https://registry.acme.example");
    assert_eq!(machine.by("docker erase", "registry.acme.example").exit, 0);
    assert_eq!(services(&machine, slot), ["https://git.acme.example"]);
    assert_eq!(machine.slot(&format!("{slot}/refresh")).unwrap()["refreshToken"], "RT-new");
}

#[test]
fn of_two_logouts_at_once_the_second_ends_the_session() {
    let machine = Machine::new(NOW);
    let bundle = json!({
        "service": "https://registry.acme.example", "account": "alice", "accessToken": "AT1", "refreshToken": "RT1",
        "tokenEndpoint": "https://id.acme.example/token", "clientId": "cli", "services": ["https://git.acme.example"],
    });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    let slot = "https://registry.acme.example#alice";
    let mut record = machine.slot(slot).unwrap();
    record["services"] = json!(["https://registry.acme.example"]);
    machine.keyring.once_locked(machine.locks(), move |slots| {
        slots.insert(slot.to_owned(), serde_json::to_vec(&record).unwrap());
    });
    assert_eq!(machine.by("docker erase", "registry.acme.example").exit, 0);
    assert!(machine.slot(slot).is_none(), "a session that serves nothing is none");
    assert!(machine.slot(&format!("{slot}/refresh")).is_none());
}

#[test]
fn what_somebody_signed_in_to_meanwhile_does_not_end_as_what_was_typed() {
    let machine = Machine::new(NOW);
    let login = r#"{"ServerURL":"registry.acme.example","Username":"alice","Secret":"AT-typed"}"#;
    machine.by("docker store", login);
    let slot = "https://registry.acme.example#alice";
    signed_in_meanwhile(&machine, slot, "https://registry.acme.example");
    machine.by("git erase", "protocol=https\nhost=registry.acme.example\n");
    assert_eq!(machine.slot(&format!("{slot}/refresh")).unwrap()["refreshToken"], "RT-new");
}

#[test]
fn go_shows_a_token_below_what_the_configuration_leaves_of_its_grant_alone() {
    let machine = signed_in();
    let config = "[providers.acme]\ntoken-endpoint = \"https://id.acme.example/token\"\nclient-id = \"cli\"\n\
                  services = [\"https://git.acme.example/team\"]\n";
    std::fs::write(machine.home().join("config.toml"), config).unwrap();
    let said = text(&machine.by("goauth https://git.acme.example/team/mod", ""));
    assert!(said.starts_with("https://git.acme.example/team\n\nAuthorization: Bearer AT1\n"), "{said}");
    assert_eq!(text(&machine.by("goauth https://git.acme.example/other", "")), "");
}

#[test]
fn a_refresh_token_of_a_store_that_was_cut_short_never_becomes_the_older_sessions() {
    for (words, input) in [
        ("docker erase", "registry.acme.example"),
        ("git erase", "protocol=https\nhost=git.acme.example\npassword=AT1\n"),
    ] {
        let machine = signed_in();
        let older = serde_json::to_vec(&machine.slot(SLOT).unwrap()).unwrap();
        let newer = json!({
            "service": "https://api.acme.example", "account": "alice", "accessToken": "AT2", "refreshToken": "RT2",
            "tokenEndpoint": "https://other.example/token", "clientId": "other", "replace": true,
        });
        assert_eq!(machine.call(Verb::Store, None, newer.to_string().as_bytes()).exit, 0);
        // It was killed before it got to the access slot.
        machine.keyring.slots.borrow_mut().insert(SLOT.to_owned(), older);
        assert_eq!(machine.by(words, input).exit, 0, "{words}");
        machine.server.lines.borrow_mut().push_back(granted("AT3"));
        let get = json!({ "service": "https://api.acme.example", "account": "alice", "forceRefresh": true });
        assert_eq!(machine.call(Verb::Get, None, get.to_string().as_bytes()).exit, 0, "{words}");
        let record = machine.slot(SLOT).unwrap();
        assert_eq!(
            (&record["accessToken"], &record["clientId"]),
            (&json!("AT3"), &json!("other")),
            "{words}"
        );
        assert_eq!(services(&machine, SLOT), ["https://api.acme.example"], "{words}");
    }
}

#[test]
fn what_a_move_has_not_brought_along_yet_is_taken_off_and_forgotten_too() {
    for (words, input) in [
        ("docker erase", "registry.acme.example"),
        ("git erase", "protocol=https\nhost=registry.acme.example\n"),
    ] {
        let machine = signed_in();
        store(&machine, "bob", "ATB");
        let bobs = "https://api.acme.example#bob";
        machine.keyring.deny(bobs.to_owned());
        machine.people(Request::MoveStorage(Storage::Plaintext));
        machine.keyring.deny_for(String::new(), 0);
        let here = |slot: &str| machine.keyring.slots.borrow().contains_key(slot);
        assert!(!here(SLOT) && here(bobs), "one was moved");
        assert_eq!(machine.by(words, input).exit, 0);
        let left = machine.slot(bobs).unwrap();
        if words == "docker erase" {
            assert_eq!(services(&machine, bobs).len(), 2);
        } else {
            assert!(left["accessToken"].is_null());
        }
    }
}

#[test]
fn a_login_that_never_ends_is_not_taken_for_something_typed() {
    let machine = Machine::new(NOW);
    let bundle = json!({ "service": "https://api.acme.example", "account": "alice", "accessToken": "AT1" });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    let mut record = machine.slot(SLOT).unwrap();
    record["obtainedBy"] = json!("login");
    machine.keyring.slots.borrow_mut().insert(SLOT.to_owned(), serde_json::to_vec(&record).unwrap());
    let login = json!({ "ServerURL": "api.acme.example", "Username": "alice", "Secret": "AT-typed" });
    assert_eq!(machine.by("docker store", &login.to_string()).exit, 1);
    assert_eq!(machine.slot(SLOT).unwrap()["accessToken"], "AT1");
}

#[test]
fn no_registry_is_listed_that_would_then_be_refused() {
    let machine = Machine::new(NOW);
    let provider = "[providers.r]\ntoken-endpoint = \"https://id.example/token\"\nclient-id = \"c\"\n\
                    services = [\"https://r.example\"]\ndocker-username = \"told\"\n";
    std::fs::write(machine.home().join("config.toml"), provider).unwrap();
    for account in ["a", "b"] {
        let bundle = json!({ "service": "https://r.example", "account": account, "accessToken": account, "makeDefault": false });
        machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    }
    assert_eq!(text(&machine.by("docker list", "")), "{}\n");
    assert_eq!(text(&machine.by("docker --account a list", "")), "{\"r.example\":\"told\"}\n");
    let bundle =
        json!({ "service": "https://r.example", "account": "a", "accessToken": "a", "makeDefault": true });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    assert_eq!(text(&machine.by("docker list", "")), "{\"r.example\":\"told\"}\n", "one is the default");
}

#[test]
fn a_user_name_adds_no_line_to_an_answer_whoever_the_account_is() {
    let machine = Machine::new(NOW);
    let login = |name: &str| {
        json!({ "ServerURL": "git.acme.example", "Username": name, "Secret": "AT-typed" }).to_string()
    };
    for name in ["u\npassword=evil", "u\r", "u\0", &"u".repeat(513)] {
        assert_eq!(machine.by("docker --account work store", &login(name)).exit, 1, "{name:?}");
        assert!(machine.slot("https://git.acme.example#work").is_none(), "{name:?}");
    }
    let long =
        format!("protocol=https\nhost=git.acme.example\nusername={}\npassword=AT-typed\n", "u".repeat(513));
    assert_eq!(machine.by("git --account work store", &long).exit, 2);
    assert_eq!(machine.by("docker --account work store", &login(&"u".repeat(512))).exit, 0);
    assert_eq!(
        machine.by("git get", "protocol=https\nhost=git.acme.example\n").exit,
        0,
        "what is kept can be read"
    );
}

#[test]
fn of_two_typed_passwords_each_user_has_their_own_and_a_registry_has_the_last() {
    let machine = Machine::new(NOW);
    let typed =
        |user: &str| format!("protocol=https\nhost=git.acme.example\nusername={user}\npassword=AT-{user}\n");
    machine.by("git store", &typed("a"));
    machine.by("git store", &typed("b"));
    for user in ["a", "b"] {
        let asked = format!("protocol=https\nhost=git.acme.example\nusername={user}\n");
        assert!(text(&machine.by("git get", &asked)).contains(&format!("password=AT-{user}\n")));
    }
    for user in ["a", "b"] {
        let login = json!({ "ServerURL": "r.example", "Username": user, "Secret": format!("AT-{user}") });
        assert_eq!(machine.by("docker store", &login.to_string()).exit, 0);
    }
    assert!(text(&machine.by("docker get", "r.example")).contains("AT-b"));
    assert!(machine.slot("https://r.example#a").is_none(), "one login to a registry");
    machine.by("docker erase", "r.example");
    assert!(text(&machine.by("docker get", "r.example")).starts_with("credentials not found"));
}

#[test]
fn where_nothing_is_kept_nothing_typed_is_either_and_that_is_told() {
    let machine = signed_in();
    machine.variables.borrow_mut().push(("CLAVIGER_STORAGE".to_owned(), "none".to_owned()));
    let login = json!({ "ServerURL": "r.example", "Username": "u", "Secret": "AT-typed" }).to_string();
    let said = machine.by("docker store", &login);
    assert!(said.exit == 1 && text(&said).contains("nothing can be stored"), "{}", text(&said));
    assert_eq!(text(&machine.by("docker list", "")), "{}\n");
    assert_eq!(machine.by("docker erase", "r.example").exit, 0);
    assert_eq!(machine.by("git get", "protocol=https\nhost=git.acme.example\n").exit, 0);
}

#[test]
fn cargo_is_greeted_and_answered_line_by_line_until_it_has_no_more_to_ask() {
    let sandbox = Sandbox::plaintext();
    sandbox
        .run("store", &json!({ "service": SERVICE, "account": "a", "accessToken": "AT1", "expiresIn": 3600 }))
        .ok();
    let mut child = sandbox
        .by("cargo-credential-claviger", &["--cargo-plugin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), r#"{"v":[1]}"#, "before anything is asked");
    let ask = |index: &str| {
        format!(
            "{{\"v\":1,\"registry\":{{\"index-url\":\"sparse+{index}/\"}},\"kind\":\"get\",\"operation\":\"read\"}}\n"
        )
    };
    stdin.write_all(ask(SERVICE).as_bytes()).unwrap();
    assert!(next().contains("\"token\":\"Bearer AT1\""), "while the pipe is open");
    stdin.write_all(ask("https://other.example").as_bytes()).unwrap();
    assert_eq!(next(), r#"{"Err":{"kind":"not-found"}}"#);
    stdin.write_all(b"nonsense\n").unwrap();
    assert!(next().starts_with(r#"{"Err":{"kind":"other""#));
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn git_is_answered_at_the_empty_line_though_the_pipe_stays_open() {
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &json!({ "service": SERVICE, "account": "a", "accessToken": "AT1" })).ok();
    let host = SERVICE.strip_prefix("https://").unwrap();
    let mut child = sandbox
        .by("git-credential-claviger", &["get"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("protocol=https\nhost={host}\n\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "username=oauth2");
    assert_eq!(lines.next().unwrap().unwrap(), "password=AT1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
}

#[test]
fn az_tells_the_end_on_the_clock_of_the_wall_and_in_seconds() {
    let mut sandbox = Sandbox::plaintext();
    let at = "2100-01-01T00:01:00Z";
    sandbox
        .run("store", &json!({ "service": SERVICE, "account": "a", "accessToken": "AT1", "expiresAt": at }))
        .ok();
    for (zone, wall) in [("UTC", "2100-01-01 00:00:00.000000"), ("Asia/Tokyo", "2100-01-01 09:00:00.000000")]
    {
        sandbox.set("TZ", zone);
        let said = sandbox.by("claviger", &["token", SERVICE, "--format", "az"]).output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(said["expires_on"], 4_102_444_800_i64);
        assert_eq!(said["expiresOn"], wall, "{zone}");
        assert_eq!((said["accessToken"].as_str(), said["tokenType"].as_str()), (Some("AT1"), Some("Bearer")));
    }
}

#[test]
fn what_was_typed_into_one_tool_is_that_tools_and_changes_nothing_for_the_others() {
    let machine = signed_in();
    let login =
        json!({ "ServerURL": "git.acme.example", "Username": "dave", "Secret": "AT-dave" }).to_string();
    assert_eq!(machine.by("docker store", &login).exit, 0);
    let git = || text(&machine.by("git get", "protocol=https\nhost=git.acme.example\n"));
    let docker = || text(&machine.by("docker get", "git.acme.example"));
    assert!(git().contains("password=AT1\n"), "git is given the session");
    assert!(docker().contains("AT-dave"), "docker is given what was typed into it");
    // One logout of docker's: the bare address, and then the same with schemes.
    for address in ["git.acme.example", "http://git.acme.example", "https://git.acme.example"] {
        assert_eq!(machine.by("docker erase", address).exit, 0);
    }
    assert!(machine.slot("https://git.acme.example#dave").is_none());
    assert!(docker().contains("AT1") && git().contains("AT1"), "the login alone was undone");
    machine.by("docker erase", "git.acme.example");
    assert!(docker().starts_with("credentials not found"), "and the next logout is one of the session's");
}

#[test]
fn a_logout_of_one_tool_forgets_nothing_that_was_typed_into_another() {
    let machine = Machine::new(NOW);
    machine.by("git store", "protocol=https\nhost=r.example\nusername=u\npassword=AT-git\n");
    machine.by("docker erase", "r.example");
    machine.by("keyring del r.example u", "");
    let asked = "protocol=https\nhost=r.example\nusername=u\n";
    assert!(text(&machine.by("git get", asked)).contains("AT-git"));
}

#[test]
fn what_was_typed_does_not_join_a_session_of_that_account() {
    let machine = signed_in();
    // The session is named after another of its services.
    let login = json!({ "ServerURL": "registry.acme.example", "Username": "alice", "Secret": "AT-typed" })
        .to_string();
    let said = machine.by("docker store", &login);
    assert!(said.exit == 1 && text(&said).contains("refreshes itself"), "{}", text(&said));
    assert!(text(&machine.by("docker get", "registry.acme.example")).contains("AT1"));
}

#[test]
fn a_login_for_an_account_that_was_named_is_that_accounts_alone() {
    let machine = Machine::new(NOW);
    let login = |user: &str| {
        json!({ "ServerURL": "r.example", "Username": user, "Secret": format!("AT-{user}") }).to_string()
    };
    machine.by("docker --account work store", &login("wanda"));
    machine.by("docker store", &login("dora"));
    assert!(text(&machine.by("docker get", "r.example")).contains("AT-dora"));
    assert!(
        text(&machine.by("docker --account work get", "r.example")).contains("AT-wanda"),
        "it was not ended"
    );
    machine.by("docker erase", "r.example");
    assert!(machine.slot("https://r.example#dora").is_none());
    assert!(
        text(&machine.by("docker --account work get", "r.example")).contains("AT-wanda"),
        "nor by a logout"
    );
    machine.by("docker --account work erase", "r.example");
    assert!(machine.slot("https://r.example#work").is_none());
}

#[test]
fn a_keyring_keeps_what_each_user_typed() {
    let machine = Machine::new(NOW);
    for user in ["a", "b"] {
        machine.by(&format!("keyring set r.example {user}"), &format!("AT-{user}\n"));
    }
    for user in ["a", "b"] {
        let said = machine.by(&format!("keyring get r.example {user}"), "");
        assert_eq!(text(&said), format!("AT-{user}\n"));
    }
}
