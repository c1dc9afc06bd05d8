//! `kill -9` just before every system call of a refresh, a store, an erase, a tool's logout and a move that can change anything outside
//! the process, one after the other: what is there afterwards works. The calls are counted in a trace by name and
//! occurrence, so none is chosen by hand; to die before a call that changes nothing is to die before the next one.

#![cfg(target_os = "linux")]

mod support;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use support::bus::Bus;
use support::server::Server;
use support::server::families::What;
use support::strace::{Injection, Whom, points, traced, traced_maker, traced_worker};
use support::{Answer, SERVICE, Sandbox, expired, finish, get, has_program, skipped};

/// The points of a refresh at which a server that revokes on reuse and grants no grace leaves the user to sign in anew:
/// between its answer and the refresh slot being in place. R14 and SECURITY.md speak of it. It may only shrink.
const WINDOW: usize = 8;

/// The calls that change something outside the process, or open what may be changed.
const TELLING: [&str; 17] = [
    "connect",
    "fchmod",
    "flock",
    "fsync",
    "ftruncate",
    "mkdir",
    "open",
    "openat",
    "rename",
    "renameat",
    "sendmsg",
    "sendto",
    "unlink",
    "unlinkat",
    "write",
    "writev",
    "rmdir",
];

/// How often the keyring may die of itself in all the points of a run before that is no accident.
const DEATHS: usize = 3;

/// Kills a run at every point of it, each time from the same beginning, and has a look at what is left.
fn at_every_point<S>(
    run: impl Fn(&Sandbox, Option<Injection<'_>>) -> (Answer, Vec<String>),
    prepare: impl Fn() -> (Sandbox, S),
    look: impl FnMut(&Sandbox, &S, &str),
) -> usize {
    at_every_point_of_it_and(run, prepare, look, || false)
}

/// The same, where a part that is not ours may die of itself: the point it died at is gone through again.
fn at_every_point_of_it_and<S>(
    run: impl Fn(&Sandbox, Option<Injection<'_>>) -> (Answer, Vec<String>),
    prepare: impl Fn() -> (Sandbox, S),
    mut look: impl FnMut(&Sandbox, &S, &str),
    mut has_died: impl FnMut() -> bool,
) -> usize {
    let (sandbox, state) = prepare();
    let (answer, calls) = run(&sandbox, None);
    assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
    drop((sandbox, state));
    let points = points(&calls, &TELLING);
    assert!(points.len() > 30, "only {} points", points.len());
    let mut deaths = 0;
    for (call, occurrence) in &points {
        let what = format!("killed before {call} number {occurrence}");
        let mut once = || {
            let (sandbox, state) = prepare();
            run(&sandbox, Some(Injection { call, occurrence: *occurrence, what: "signal=KILL" }));
            look(&sandbox, &state, &what);
        };
        while let Err(fault) = catch_unwind(AssertUnwindSafe(&mut once)) {
            if !has_died() || deaths == DEATHS {
                resume_unwind(fault);
            }
            deaths += 1;
            println!("{what}: the keyring died of itself; once more");
        }
    }
    points.len()
}

/// A command line, for [`at_every_point`].
fn command<'a>(
    words: &'a [&'a str],
    input: &'a str,
) -> impl Fn(&Sandbox, Option<Injection<'_>>) -> (Answer, Vec<String>) + 'a {
    move |sandbox, kill| traced(Whom::All, sandbox, words, input, kill)
}

fn bundle(age: &str) -> Value {
    json!({
        "service": SERVICE, "account": "alice", "accessToken": format!("AT-{age}"), "expiresIn": 3600,
        "refreshToken": format!("RT-{age}"), "tokenEndpoint": "https://127.0.0.1:1/token", "clientId": "tests",
    })
}

fn stored() -> (Sandbox, ()) {
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &bundle("old")).ok();
    (sandbox, ())
}

/// What the killed run left half written is gone with the next that writes.
fn has_no_litter(sandbox: &Sandbox, what: &str) {
    let paths = sandbox.files().into_iter().map(|(path, _)| path);
    let litter: Vec<_> = paths
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-")))
        .collect();
    assert_eq!(litter, Vec::<PathBuf>::new(), "{what}");
}

/// Whatever is left of it, nothing is wrong once the doctor has been there.
fn is_well_after_the_doctor(sandbox: &Sandbox, what: &str) {
    for words in [&["--fix", "--json"][..], &["--json"]] {
        let mut command = sandbox.command("doctor");
        command.args(words);
        let examined = finish(command, b"");
        assert_eq!(examined.exit, 0, "{what}: {}", examined.stdout);
    }
}

#[test]
fn a_worker_killed_anywhere_costs_the_session_in_the_one_window_alone() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let prepare = || {
        let server = Server::start("RT1-first");
        let sandbox = Sandbox::plaintext();
        sandbox.run("store", &expired(&server, "RT1-first")).ok();
        (sandbox, server)
    };
    let mut lost = Vec::new();
    let points = at_every_point(traced_worker, prepare, |sandbox, server, what| {
        let after = sandbox.run("get", &get());
        match after.exit {
            0 => {
                if after.json()["outcome"] == "refreshed" {
                    has_no_litter(sandbox, what);
                }
                // Nor is it lost unseen, for the refresh after: an access token without its refresh token.
                let forced = json!({ "service": SERVICE, "forceRefresh": true });
                assert_eq!(sandbox.run("get", &forced).ok()["outcome"], "refreshed", "{what}");
                assert_eq!(server.log(|log| log.reused), 0, "{what}");
                has_no_litter(sandbox, what);
            }
            3 => {
                assert_eq!(after.code(3), "AUTH_REFRESH_EXPIRED", "{what}");
                let message = after.json()["error"]["message"].as_str().unwrap().to_owned();
                assert!(message.contains("never ended"), "{what}: it says what happened: {message}");
                lost.push(what.to_owned());
            }
            _ => panic!("{what}: {} {}", after.stdout, after.stderr),
        }
        is_well_after_the_doctor(sandbox, what);
    });
    println!("{points} points, {} in the window: {lost:#?}", lost.len());
    assert!(lost.len() <= WINDOW, "the window has grown: {lost:#?}");
}

#[test]
fn a_worker_killed_anywhere_costs_nothing_where_the_server_gives_the_same_answer_again_for_a_while() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let prepare = || {
        let server = Server::start("RT1-first");
        server.behave(|behaviour| behaviour.grace = Duration::from_secs(60));
        let sandbox = Sandbox::plaintext();
        sandbox.run("store", &expired(&server, "RT1-first")).ok();
        (sandbox, server)
    };
    let mut repeated = 0;
    let points = at_every_point(traced_worker, prepare, |sandbox, server, what| {
        let after = sandbox.run("get", &get());
        assert_eq!(after.exit, 0, "{what}: {} {}", after.stdout, after.stderr);
        let forced = json!({ "service": SERVICE, "forceRefresh": true });
        assert_eq!(sandbox.run("get", &forced).ok()["outcome"], "refreshed", "{what}");
        assert_eq!(server.log(|log| log.reused), 0, "{what}");
        has_no_litter(sandbox, what);
        repeated += server.families(|families| families[0].count(What::Repeated));
    });
    println!("{points} points, {repeated} of them saved by the server's grace");
    assert!(repeated > 0, "some point lies in the window");
}

#[test]
fn a_called_process_killed_anywhere_costs_nothing_for_the_worker_goes_on_without_it() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let prepare = || {
        let server = Server::start("RT1-first");
        let sandbox = Sandbox::plaintext();
        sandbox.run("store", &expired(&server, "RT1-first")).ok();
        (sandbox, server)
    };
    let request = get().to_string();
    let run = |sandbox: &Sandbox, kill: Option<Injection<'_>>| {
        traced(Whom::Called, sandbox, &["get"], &request, kill)
    };
    let points = at_every_point(run, prepare, |sandbox, server, what| {
        let after = sandbox.run("get", &get());
        assert_eq!(after.exit, 0, "{what}: {} {}", after.stdout, after.stderr);
        assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0), "{what}");
        has_no_litter(sandbox, what);
        is_well_after_the_doctor(sandbox, what);
    });
    println!("{points} points, none of them in the window");
}

#[test]
fn a_session_being_made_for_a_machine_and_killed_anywhere_costs_a_request_at_most() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let prepare = || {
        let server = Server::start("unused");
        (Sandbox::with_a_machine_grant(&server), server)
    };
    let run = |sandbox: &Sandbox, injection: Option<Injection<'_>>| traced_maker(sandbox, "ci", injection);
    let mut repeated = 0;
    let points = at_every_point(run, prepare, |sandbox, server, what| {
        let after = sandbox.run("get", &get());
        assert_eq!(after.exit, 0, "{what}: {} {}", after.stdout, after.stderr);
        assert!(server.token_requests() <= 2, "{what}");
        repeated += usize::from(server.token_requests() == 2);
        let forced = json!({ "service": SERVICE, "forceRefresh": true });
        assert_eq!(sandbox.run("get", &forced).ok()["outcome"], "refreshed", "{what}");
        let listed = sandbox.run("list", &json!({})).ok();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{what}: {listed}");
        has_no_litter(sandbox, what);
        is_well_after_the_doctor(sandbox, what);
    });
    println!("{points} points, {repeated} of them cost a second request");
}

#[test]
fn a_store_killed_anywhere_leaves_the_old_session_or_the_new() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let points =
        at_every_point(command(&["store"], &bundle("new").to_string()), stored, |sandbox, (), what| {
            let token = sandbox.run("get", &get()).ok()["accessToken"].clone();
            assert!(token == "AT-old" || token == "AT-new", "{what}: {token}");
            // The next store is as if nothing had happened.
            sandbox.run("store", &bundle("later")).ok();
            assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT-later", "{what}");
            has_no_litter(sandbox, what);
            is_well_after_the_doctor(sandbox, what);
        });
    println!("{points} points");
}

#[test]
fn an_erase_killed_anywhere_leaves_the_session_or_nothing() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let points = at_every_point(command(&["erase"], &get().to_string()), stored, |sandbox, (), what| {
        let first = sandbox.run("get", &get());
        assert!(first.exit == 0 || first.exit == 1, "{what}: {} {}", first.stdout, first.stderr);
        is_well_after_the_doctor(sandbox, what);
        // What was gone does not come back, and what was there is whole.
        let then = sandbox.run("get", &get());
        assert_eq!(then.exit, first.exit, "{what}: {} {}", then.stdout, then.stderr);
        let files = sandbox.files();
        let tokens =
            files.iter().filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains("-old")).count();
        assert_eq!(tokens, if then.exit == 0 { 2 } else { 0 }, "{what}: what is left of its tokens");
        sandbox.run("erase", &get()).ok();
        has_no_litter(sandbox, what);
    });
    println!("{points} points");
}

#[test]
fn a_tools_logout_killed_anywhere_costs_its_own_place_at_most() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let registry = "registry.acme.example";
    let prepare = || {
        let sandbox = Sandbox::plaintext();
        let mut bundle = bundle("old");
        bundle["services"] = json!([format!("https://{registry}")]);
        sandbox.run("store", &bundle).ok();
        (sandbox, ())
    };
    let docker = |sandbox: &Sandbox, action: &str| {
        let mut command = sandbox.command("docker");
        command.arg(action);
        finish(command, registry.as_bytes())
    };
    let is_missing = |answer: &Answer| answer.stdout.starts_with("credentials not found");
    let points = at_every_point(command(&["docker", "erase"], registry), prepare, |sandbox, (), what| {
        assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT-old", "{what}");
        let first = docker(sandbox, "get");
        assert!(first.stdout.contains("AT-old") || is_missing(&first), "{what}: {}", first.stdout);
        is_well_after_the_doctor(sandbox, what);
        assert_eq!(is_missing(&docker(sandbox, "get")), is_missing(&first), "{what}: nothing comes back");
        assert_eq!(docker(sandbox, "erase").exit, 0, "{what}");
        assert!(is_missing(&docker(sandbox, "get")), "{what}");
        assert_eq!(sandbox.run("get", &get()).ok()["hasRefreshToken"], true, "{what}");
        is_well_after_the_doctor(sandbox, what);
        sandbox.run("store", &bundle("later")).ok();
        has_no_litter(sandbox, what);
    });
    println!("{points} points");
}

#[test]
fn a_move_killed_anywhere_loses_nothing_and_goes_on_with_the_next_call() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let Some(bus) = Bus::with_keyring() else { return };
    let (address, bus) = (bus.address.clone(), RefCell::new(bus));
    for (from, to) in [("plaintext", "keyring"), ("keyring", "plaintext")] {
        let prepare = || {
            let sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &address)]);
            sandbox.configure("[timeouts]\nkeyring = 30\n");
            // Whatever the last round left in the keyring they share is written over.
            sandbox.run("store", &bundle("old")).ok();
            if from == "plaintext" {
                let mut command = sandbox.command("storage");
                command.args(["move", from]);
                assert_eq!(finish(command, b"").exit, 0);
            }
            (sandbox, ())
        };
        let look = |sandbox: &Sandbox, (): &(), what: &str| {
            let reply = sandbox.run("get", &get()).ok();
            assert_eq!(reply["accessToken"], "AT-old", "{what}");
            let mut command = sandbox.command("storage");
            command.args(["move", to]);
            let moved = finish(command, b"");
            assert_eq!(moved.exit, 0, "{what}: {} {}", moved.stdout, moved.stderr);
            let reply = sandbox.run("get", &get()).ok();
            assert_eq!((&reply["accessToken"], &reply["storage"]), (&json!("AT-old"), &json!(to)), "{what}");
            is_well_after_the_doctor(sandbox, what);
            assert_eq!(sandbox.run("erase", &get()).ok()["erased"], true, "{what}");
            has_no_litter(sandbox, what);
            let left: Vec<String> = bus.borrow().slots().0;
            // A probe that died young is nobody's, and no session.
            assert!(left.iter().all(|name| name.starts_with("probe/")), "{what}: {left:?}");
        };
        let words = ["storage", "move", to];
        let run = command(&words, "");
        let points = at_every_point_of_it_and(run, prepare, look, || bus.borrow_mut().revive_keyring());
        println!("{from} to {to}: {points} points");
    }
}
