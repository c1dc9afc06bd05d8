//! A refresh whose request is at the server, and something else that begins meanwhile: it waits, and what comes of the
//! two is what one after the other would have given.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "that somebody waits shows only in time going by")]

mod support;

use std::io::Write as _;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};
use support::bus::Bus;
use support::processes::is_running;
use support::server::Server;
use support::server::families::What;
use support::{Answer, SERVICE, Sandbox, expired, get};

fn start(mut command: Command, input: &Value) -> Child {
    let mut child = command.spawn().unwrap();
    // Whoever takes its request from the command line may have ended the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.to_string().as_bytes());
    child
}

/// Starts a refresh, and returns once its answer is held.
fn refreshing(sandbox: &Sandbox, server: &Server) -> Child {
    server.hold();
    let child = start(sandbox.command("get"), &get());
    server.wait_held(1);
    child
}

/// Whether it still runs when it would long have been done, were nobody in its way.
fn waits(child: &mut Child) -> bool {
    std::thread::sleep(Duration::from_millis(700));
    is_running(child)
}

fn end(child: Child) -> Answer {
    Answer::of(child.wait_with_output().unwrap())
}

fn forced() -> Value {
    json!({ "service": SERVICE, "forceRefresh": true })
}

/// No slot of the session is left, nor anything that carries one of its tokens.
fn nothing_is_left(sandbox: &Sandbox) {
    assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND");
    assert_eq!(sandbox.run("get", &forced()).code(1), "NOT_FOUND");
    for (path, bytes) in sandbox.files() {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!path.to_string_lossy().contains("/slots/"), "{} came back", path.display());
        assert!(!text.contains("RT1-") && !text.contains("RT2-"), "{}: {text}", path.display());
    }
}

#[test]
fn an_erase_waits_for_the_refresh_and_then_ends_what_came_of_it() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    let refresh = refreshing(&sandbox, &server);
    let mut erase = start(sandbox.command("erase"), &get());
    assert!(waits(&mut erase), "the refresh has the lock");
    server.release();
    let (refreshed, erased) = (end(refresh).ok(), end(erase).ok());
    assert_eq!(refreshed["outcome"], "refreshed");
    assert_eq!((&erased["erased"], &erased["revocation"]), (&json!(true), &json!("revoked")));
    assert!(server.families(|families| families[0].is_revoked()), "the token that came of the refresh, too");
    nothing_is_left(&sandbox);
    assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0));
}

#[test]
fn a_store_waits_for_the_refresh_and_is_then_what_is_served() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    let refresh = refreshing(&sandbox, &server);
    let login = server.login();
    let mut newer = expired(&server, &login.refresh_token);
    newer["accessToken"] = json!(login.access_token);
    newer["expiresAt"] = json!("2100-01-01T00:00:00Z");
    let mut store = start(sandbox.command("store"), &newer);
    assert!(waits(&mut store), "the refresh has the lock");
    server.release();
    end(refresh).ok();
    end(store).ok();
    let got = sandbox.run("get", &get()).ok();
    assert_eq!((&got["outcome"], &got["accessToken"]), (&json!("cached"), &json!(login.access_token)));
    // Its refresh token is its own: none of the older session is mixed in.
    assert_eq!(sandbox.run("get", &forced()).ok()["outcome"], "refreshed");
    let of_the_new = server.families(|families| families[login.family].count(What::Rotated));
    assert_eq!((of_the_new, server.token_requests(), server.log(|log| log.reused)), (1, 2, 0));
}

#[test]
fn a_move_waits_for_the_refresh_and_takes_what_came_of_it_along() {
    let Some(bus) = Bus::with_keyring() else { return };
    for (from, to) in [("plaintext", "keyring"), ("keyring", "plaintext")] {
        let server = Server::start("RT1-first");
        let sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
        let relocation = |to| {
            let mut command = sandbox.command("storage");
            command.args(["move", to, "--json"]);
            command
        };
        sandbox.run("store", &expired(&server, "RT1-first")).ok();
        end(start(relocation(from), &json!({}))).ok();
        let refresh = refreshing(&sandbox, &server);
        let mut moving = start(relocation(to), &json!({}));
        assert!(waits(&mut moving), "{from} to {to}: the refresh has the lock");
        server.release();
        let refreshed = end(refresh).ok();
        end(moving).ok();
        assert_eq!(refreshed["outcome"], "refreshed", "{from} to {to}");
        let got = sandbox.run("get", &get()).ok();
        assert_eq!(
            (&got["outcome"], &got["storage"], &got["accessToken"]),
            (&json!("cached"), &json!(to), &refreshed["accessToken"]),
            "{from} to {to}"
        );
        let slots = support::files_below(sandbox.home())
            .into_iter()
            .filter(|(path, _)| path.to_string_lossy().contains("/slots/"))
            .count();
        let (in_files, in_keyring) = if to == "plaintext" { (2, 0) } else { (0, 2) };
        assert_eq!(
            (slots, bus.slots().0.len()),
            (in_files, in_keyring),
            "{from} to {to}: nothing is left behind"
        );
        assert_eq!(
            sandbox.run("get", &forced()).ok()["outcome"],
            "refreshed",
            "its refresh token came along"
        );
        assert_eq!((server.token_requests(), server.log(|log| log.reused)), (2, 0), "{from} to {to}");
        sandbox.run("erase", &get()).ok();
    }
}

#[test]
fn a_get_while_the_session_is_being_erased_finds_nothing_and_asks_nothing() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    // Held at the server with the revocation, the erase has its lock and has not deleted anything.
    server.hold();
    let mut erase = start(sandbox.command("erase"), &get());
    server.wait_held(1);
    for request in [get(), forced()] {
        assert_eq!(sandbox.run("get", &request).code(1), "NOT_FOUND");
    }
    assert!(is_running(&mut erase), "it was under way all the time");
    let login = server.login();
    let mut newer = expired(&server, &login.refresh_token);
    newer["expiresAt"] = json!("2100-01-01T00:00:00Z");
    newer["accessToken"] = json!(login.access_token);
    let mut store = start(sandbox.command("store"), &newer);
    assert!(waits(&mut store), "the erase has the lock");
    server.release();
    assert_eq!(end(erase).ok()["revocation"], "revoked");
    end(store).ok();
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], json!(login.access_token));
    sandbox.run("erase", &get()).ok();
    nothing_is_left(&sandbox);
    assert_eq!(server.token_requests(), 0);
}
