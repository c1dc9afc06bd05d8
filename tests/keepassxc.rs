//! Against KeePassXC, which speaks the Secret Service in its own way: every item is made and deleted through a
//! prompt, a search shows attributes nobody gave, and a locked database shows nothing at all.

#![cfg(target_os = "linux")]

mod support;

use serde_json::json;
use support::bus::Bus;
use support::server::Server;
use support::{SERVICE, Sandbox, expired, get};

fn sandbox(bus: &Bus) -> Sandbox {
    Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)])
}

#[test]
fn a_session_is_stored_refreshed_and_erased() {
    let Some(bus) = Bus::with_keepassxc(false) else { return };
    let server = Server::start("RT1-first");
    let sandbox = sandbox(&bus);
    let stored = sandbox.run("store", &expired(&server, "RT1-first")).ok();
    assert_eq!(stored["storage"], "keyring");
    assert_eq!(bus.slots().0, [format!("{SERVICE}#alice"), format!("{SERVICE}#alice/refresh")]);
    let refreshed = sandbox.run("get", &get()).ok();
    assert_eq!((&refreshed["outcome"], &refreshed["storage"]), (&json!("refreshed"), &json!("keyring")));
    assert_eq!(sandbox.run("get", &get()).ok()["outcome"], "cached");
    assert_eq!(bus.slots().0.len(), 2, "a refresh overwrites in place");
    std::fs::remove_dir_all(sandbox.home().join("index")).unwrap();
    assert_eq!(sandbox.run("get", &get()).ok()["outcome"], "cached", "found again in the keyring");
    assert_eq!(sandbox.run("erase", &get()).ok()["revocation"], "revoked");
    assert_eq!(bus.slots().0, Vec::<String>::new());
    assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND");
}

#[test]
fn a_large_token_survives_the_round_trip() {
    let Some(bus) = Bus::with_keepassxc(false) else { return };
    let sandbox = sandbox(&bus);
    support::every_size_comes_back(&sandbox);
}

#[test]
fn what_it_would_ask_about_is_locked_where_nobody_can_be_asked_and_never_lands_in_a_file() {
    let Some(bus) = Bus::with_keepassxc(true) else { return };
    let mut sandbox = sandbox(&bus);
    sandbox.set("CLAVIGER_STORAGE", "keyring");
    let bundle = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" });
    // What a process has made it may read back; another process is another client.
    sandbox.run("store", &bundle).ok();
    assert_eq!(sandbox.run("get", &get()).code(5), "STORE_LOCKED");
    // It asks before it deletes, a probe too, and nobody answers.
    sandbox.set("CLAVIGER_STORAGE", "");
    assert_eq!(sandbox.run("store", &bundle).code(5), "STORE_TIMEOUT");
    let files = sandbox.files().into_iter().any(|(_, bytes)| String::from_utf8_lossy(&bytes).contains("AT1"));
    assert!(!files, "no token in a file");
}
