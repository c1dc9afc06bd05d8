//! Many callers, one expired token: one request to the server, one answer for all.

mod support;

use std::time::Duration;

use serde_json::json;
use support::bus::Bus;
use support::server::Server;
use support::{Answer, Sandbox, expired, get, storm};

const LATENCY: Duration = Duration::from_millis(200);

fn one_request_and_good_answers(answers: &[Answer], server: &Server) {
    let granted = server.log(|log| log.granted.clone());
    for answer in answers {
        answer.ok();
    }
    assert_eq!((granted.len(), server.token_requests(), server.log(|log| log.reused)), (1, 1, 0));
    let mut outcomes: Vec<String> = Vec::new();
    for answer in answers {
        let reply = answer.ok();
        assert_eq!(reply["accessToken"], json!(granted[0]));
        outcomes.push(reply["outcome"].as_str().unwrap().to_owned());
    }
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "refreshed").count(), 1, "{outcomes:?}");
}

#[test]
fn a_hundred_callers_make_one_request_in_plaintext() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    server.behave(|behaviour| behaviour.latency = LATENCY);
    let answers = storm(100, get().to_string().as_bytes(), || sandbox.command("get"));
    one_request_and_good_answers(&answers, &server);
    let left: Vec<_> =
        sandbox.files().into_iter().filter(|(path, _)| path.extension() == Some("lock".as_ref())).collect();
    assert!(left.is_empty(), "no lock is left behind");
}

#[test]
fn a_hundred_callers_make_one_request_in_the_keyring_whatever_their_home() {
    let Some(bus) = Bus::with_keyring() else { return };
    let server = Server::start("RT1-first");
    let sandbox =
        Sandbox::new(&[("CLAVIGER_STORAGE", "keyring"), ("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
    // A hundred key exchanges at once are slow on a busy machine; how slow is a figure, not a failure.
    let patient = "[timeouts]\nkeyring = 30\n";
    sandbox.configure(patient);
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    server.behave(|behaviour| behaviour.latency = LATENCY);
    // Half of them live elsewhere: another state folder, another HOME, another TMPDIR, the same keyring.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("config.toml"), patient).unwrap();
    let half = std::cell::Cell::new(false);
    let answers = storm(100, get().to_string().as_bytes(), || {
        let mut command = sandbox.command("get");
        half.set(!half.get());
        if half.get() {
            command
                .env("CLAVIGER_HOME", elsewhere.path())
                .env("HOME", elsewhere.path())
                .env("TMPDIR", elsewhere.path());
            command.env("XDG_STATE_HOME", elsewhere.path()).current_dir(elsewhere.path());
        }
        command
    });
    one_request_and_good_answers(&answers, &server);
}

#[test]
fn forced_callers_adopt_what_another_just_got() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    server.behave(|behaviour| behaviour.latency = LATENCY);
    let request = json!({ "service": support::SERVICE, "forceRefresh": true }).to_string();
    let answers = storm(20, request.as_bytes(), || sandbox.command("get"));
    let outcomes: Vec<_> =
        answers.iter().map(|answer| answer.ok()["outcome"].as_str().unwrap().to_owned()).collect();
    assert!(outcomes.iter().any(|outcome| outcome == "adopted"), "{outcomes:?}");
    // Whoever read the session after another's refresh was over asks anew, rightly; nobody reuses a token.
    let refreshed = outcomes.iter().filter(|outcome| *outcome == "refreshed").count();
    assert_eq!((server.token_requests(), server.log(|log| log.reused)), (refreshed, 0));
}

#[test]
fn writers_of_two_sessions_never_lose_each_others_writes() {
    let sandbox = Sandbox::plaintext();
    let accounts: Vec<String> = (0..24).map(|number| format!("user{number}")).collect();
    let children: Vec<_> = accounts
        .iter()
        .map(|account| {
            let mut child = sandbox.command("store").spawn().unwrap();
            let request = json!({ "service": support::SERVICE, "account": account, "accessToken": format!("AT-{account}") });
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), request.to_string().as_bytes()).unwrap();
            child
        })
        .collect();
    for child in children {
        Answer::of(child.wait_with_output().unwrap()).ok();
    }
    let sessions = sandbox.run_bytes("list", b"").ok()["sessions"].as_array().unwrap().len();
    assert_eq!(sessions, accounts.len());
    for account in &accounts {
        let reply = sandbox.run("get", &json!({ "service": support::SERVICE, "account": account })).ok();
        assert_eq!(reply["accessToken"], json!(format!("AT-{account}")));
    }
}

#[test]
fn sessions_moved_to_and_fro_under_a_storm_are_never_lost_and_no_token_is_spent_twice() {
    let Some(bus) = Bus::with_keyring() else { return };
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
    sandbox.configure("[timeouts]\nkeyring = 30\n");
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    let forced = json!({ "service": support::SERVICE, "forceRefresh": true }).to_string();
    for round in 0..6 {
        let to = if round % 2 == 0 { "plaintext" } else { "keyring" };
        let number = std::cell::Cell::new(0);
        let answers = storm(14, forced.as_bytes(), || {
            number.set(number.get() + 1);
            // In the midst of them one moves everything.
            if number.get() == 5 {
                let mut command = sandbox.command("storage");
                command.args(["move", to]);
                return command;
            }
            sandbox.command("get")
        });
        for answer in &answers {
            assert_eq!(answer.exit, 0, "round {round}: {} {}", answer.stdout, answer.stderr);
        }
        assert_eq!(server.log(|log| log.reused), 0, "round {round}: no refresh token is spent twice");
        let reply = sandbox.run("get", &get()).ok();
        assert_eq!(reply["storage"], to, "round {round}");
    }
    let mut doctor = sandbox.command("doctor");
    doctor.arg("--json");
    let examined = support::finish(doctor, b"").ok();
    assert_eq!(examined["problems"], 0, "{examined}");
}
