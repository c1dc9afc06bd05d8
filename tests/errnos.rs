//! A system call that fails, at every place and in every way that its manual page knows: nothing panics, the reply is
//! whole and its code is documented, and the credential that was there is there.

#![cfg(target_os = "linux")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::server::Server;
use support::strace::{Injection, Whom, points, traced, traced_maker, traced_worker};
use support::{Answer, SERVICE, Sandbox, expired, finish, get, has_program, skipped};

/// The calls, each with the errors of its manual page, section 2, that a call of ours can meet.
const ERRORS: [(&str, &[&str]); 12] = [
    ("write", &["EAGAIN", "EBADF", "EDQUOT", "EFBIG", "EINTR", "EINVAL", "EIO", "ENOSPC", "EPERM", "EPIPE"]),
    ("openat", OPEN),
    // What we open by a path are folders, and the lock file in one: a kernel never says ENOENT where the folder is there.
    ("open", OPEN_FOLDER),
    ("fsync", &["EBADF", "EDQUOT", "EINTR", "EINVAL", "EIO", "ENOSPC", "EROFS"]),
    ("rename", RENAME),
    ("renameat", RENAME),
    ("fchmod", &["EACCES", "EBADF", "EIO", "ELOOP", "ENOENT", "ENOMEM", "ENOTDIR", "EPERM", "EROFS"]),
    ("flock", &["EAGAIN", "EBADF", "EINTR", "EINVAL", "ENOLCK", "EOPNOTSUPP"]),
    // Not ENOENT: of a file that is there, a kernel never says it when asked to remove it.
    ("unlinkat", UNLINK),
    ("unlink", UNLINK),
    ("ftruncate", &["EBADF", "EFBIG", "EINTR", "EINVAL", "EIO", "EPERM", "EROFS"]),
    (
        "mkdir",
        &["EACCES", "EDQUOT", "EEXIST", "ELOOP", "EMLINK", "ENOENT", "ENOMEM", "ENOSPC", "ENOTDIR", "EROFS"],
    ),
];
const OPEN: &[&str] = &[
    "EACCES",
    "EAGAIN",
    "EDQUOT",
    "EEXIST",
    "EINTR",
    "EIO",
    "EISDIR",
    "ELOOP",
    "EMFILE",
    "ENAMETOOLONG",
    "ENFILE",
    "ENODEV",
    "ENOENT",
    "ENOMEM",
    "ENOSPC",
    "ENOTDIR",
    "ENXIO",
    "EOVERFLOW",
    "EPERM",
    "EROFS",
    "ETXTBSY",
];
const OPEN_FOLDER: &[&str] =
    &["EACCES", "EINTR", "EIO", "ELOOP", "EMFILE", "ENFILE", "ENOMEM", "ENOTDIR", "EPERM"];
const UNLINK: &[&str] = &["EACCES", "EBUSY", "EIO", "EISDIR", "ENOMEM", "EPERM", "EROFS"];
const RENAME: &[&str] = &[
    "EACCES", "EBUSY", "EDQUOT", "EEXIST", "EINVAL", "EIO", "EISDIR", "ELOOP", "EMLINK", "ENOENT", "ENOMEM",
    "ENOSPC", "ENOTDIR", "EPERM", "EROFS", "EXDEV",
];
/// Every exit status of the table in the specification (X3), with the one for no reply at all.
const EXITS: [i32; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 70];

type Run<'a> = dyn Fn(&Sandbox, Option<Injection<'_>>) -> (Answer, Vec<String>) + Sync + 'a;

/// Each place of a run with each error it can meet.
fn faults(calls: &[String]) -> Vec<(String, usize, &'static str)> {
    let names: Vec<&str> = ERRORS.iter().map(|(call, _)| *call).collect();
    let at = |(call, occurrence): (String, usize)| {
        let (_, errors) = ERRORS.iter().find(|(name, _)| *name == call).expect("it is one of them");
        errors.iter().map(move |error| (call.clone(), occurrence, *error))
    };
    points(calls, &names).into_iter().flat_map(at).collect()
}

/// Runs with each fault, each time from the same beginning, on two threads. Gives how many there were.
fn with_each_fault<S>(
    run: &Run<'_>,
    prepare: impl Fn() -> (Sandbox, S) + Sync,
    look: impl Fn(&Sandbox, &S, &Answer, &str) + Sync,
) -> usize {
    let (sandbox, state) = prepare();
    let (answer, calls) = run(&sandbox, None);
    assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
    drop((sandbox, state));
    let faults = faults(&calls);
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((call, occurrence, error)) = faults.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let what = format!("{error} at {call} number {occurrence}");
                    let once = || {
                        let (sandbox, state) = prepare();
                        let error = format!("error={error}");
                        let injection = Injection { call, occurrence: *occurrence, what: &error };
                        let (answer, _) = run(&sandbox, Some(injection));
                        ended_well(&answer, &what);
                        look(&sandbox, &state, &answer, &what);
                    };
                    if catch_unwind(AssertUnwindSafe(once)).is_err() {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), faults.len());
    faults.len()
}

/// By itself, without a panic, with a whole reply or none, and with no token in what people read.
fn ended_well(answer: &Answer, what: &str) {
    let Answer { exit, stdout, stderr } = answer;
    assert!(EXITS.contains(exit), "{what}: exit {exit}: {stdout} {stderr}");
    assert!(
        !stderr.contains("panicked")
            && !stderr.contains("AT-")
            && !stderr.contains("RT-")
            && !stderr.contains("RT1-"),
        "{what}: {stderr}"
    );
    if *exit == 70 && stdout.is_empty() {
        return;
    }
    let reply: Value = serde_json::from_str(stdout).unwrap_or_else(|_| panic!("{what}: no reply: {stdout}"));
    assert_eq!(reply.get("error").is_some(), *exit != 0, "{what}: {reply}");
    assert_ne!(reply["error"]["code"], "INTERNAL", "{what}: {reply}");
}

fn bundle(age: &str) -> Value {
    json!({
        "service": SERVICE, "account": "alice", "accessToken": format!("AT-{age}"), "expiresIn": 3600,
        "refreshToken": format!("RT-{age}"), "tokenEndpoint": "https://127.0.0.1:1/token", "clientId": "tests",
    })
}

/// Nobody waits long for what one call cannot have.
const IMPATIENT: &str = "[timeouts]\nrequest = 1\nconnect = 1\nlock = 2\n";

fn stored() -> (Sandbox, ()) {
    let sandbox = Sandbox::plaintext();
    sandbox.configure(IMPATIENT);
    sandbox.run("store", &bundle("old")).ok();
    (sandbox, ())
}

fn due() -> (Sandbox, Server) {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.configure(IMPATIENT);
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    (sandbox, server)
}

/// How many files hold a token of that age.
fn holding(sandbox: &Sandbox, age: &str) -> usize {
    let files = sandbox.files();
    files.iter().filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&format!("T-{age}\""))).count()
}

/// The next call works, as does the one after it, and no refresh token was sent twice.
fn is_alive(sandbox: &Sandbox, server: &Server, what: &str) {
    let after = sandbox.run("get", &get());
    assert_eq!(after.exit, 0, "{what}: {} {}", after.stdout, after.stderr);
    let forced = sandbox.run("get", &json!({ "service": SERVICE, "forceRefresh": true }));
    assert_eq!(forced.exit, 0, "{what}: {} {}", forced.stdout, forced.stderr);
    assert_eq!(server.log(|log| log.reused), 0, "{what}");
}

/// What the called process makes of a report is its own affair: where the worker declines, it does the work itself.
fn told((mut report, calls): (Answer, Vec<String>)) -> (Answer, Vec<String>) {
    if report.exit == i32::from(claviger::worker::DECLINED) {
        report.stdout = json!({ "error": {} }).to_string();
    } else if report.exit == 0 {
        assert!(!report.stdout.contains("\"AT"), "no token is reported: {}", report.stdout);
        "{}".clone_into(&mut report.stdout);
    }
    (report, calls)
}

#[test]
fn a_refresh_whose_worker_meets_any_error_keeps_the_session() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let run = |sandbox: &Sandbox, injection: Option<Injection<'_>>| told(traced_worker(sandbox, injection));
    let faults = with_each_fault(&run, due, |sandbox, server, _, what| is_alive(sandbox, server, what));
    println!("{faults} faults");
}

#[test]
fn a_session_being_made_for_a_machine_meets_any_error_and_the_next_call_has_it() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let run =
        |sandbox: &Sandbox, injection: Option<Injection<'_>>| told(traced_maker(sandbox, "ci", injection));
    let prepare = || {
        let server = Server::start("unused");
        (Sandbox::with_a_machine_grant(&server), server)
    };
    let faults = with_each_fault(&run, prepare, |sandbox, server, _, what| {
        is_alive(sandbox, server, what);
        assert!(server.token_requests() <= 3, "{what}: one, one more, and one that was forced");
    });
    println!("{faults} faults");
}

#[test]
fn a_refresh_whose_caller_meets_any_error_keeps_the_session() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let request = get().to_string();
    let run = |sandbox: &Sandbox, injection: Option<Injection<'_>>| {
        traced(Whom::Called, sandbox, &["get"], &request, injection)
    };
    let faults = with_each_fault(&run, due, |sandbox, server, _, what| is_alive(sandbox, server, what));
    println!("{faults} faults");
}

#[test]
fn a_store_that_meets_any_error_leaves_the_old_session_or_the_new_and_says_which() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let request = bundle("new").to_string();
    let run = |sandbox: &Sandbox, injection: Option<Injection<'_>>| {
        traced(Whom::All, sandbox, &["store"], &request, injection)
    };
    let faults = with_each_fault(&run, stored, |sandbox, (), answer, what| {
        let token = sandbox.run("get", &get()).ok()["accessToken"].clone();
        // Only who got no reply does not know.
        let expected: &[&str] = match answer.exit {
            0 => &["AT-new"],
            70 => &["AT-old", "AT-new"],
            _ => &["AT-old"],
        };
        assert!(expected.iter().any(|one| token == *one), "{what}: {token} after {}", answer.stdout);
        let age = token.as_str().unwrap().trim_start_matches("AT-");
        assert_eq!(holding(sandbox, age), 2, "{what}: its refresh token is its own");
        sandbox.run("store", &bundle("later")).ok();
        assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT-later", "{what}");
    });
    println!("{faults} faults");
}

#[test]
fn an_erase_that_meets_any_error_says_gone_only_of_what_is_gone() {
    if !has_program("strace") {
        return skipped("strace", "strace is not installed");
    }
    let request = get().to_string();
    let run = |sandbox: &Sandbox, injection: Option<Injection<'_>>| {
        traced(Whom::All, sandbox, &["erase"], &request, injection)
    };
    let faults = with_each_fault(&run, stored, |sandbox, (), answer, what| {
        let then = sandbox.run("get", &get());
        assert!(then.exit == 0 || then.exit == 1, "{what}: {} {}", then.stdout, then.stderr);
        if answer.exit == 0 && answer.json()["erased"] == true {
            assert_eq!((then.exit, holding(sandbox, "old")), (1, 0), "{what}: it is gone");
        }
        if then.exit == 0 {
            assert_eq!(holding(sandbox, "old"), 2, "{what}: it is whole");
        }
        sandbox.run("erase", &get()).ok();
        assert_eq!(holding(sandbox, "old"), 0, "{what}: the next one ends it");
        let mut doctor = sandbox.command("doctor");
        doctor.args(["--fix", "--json"]);
        let examined = finish(doctor, b"");
        assert_eq!(examined.exit, 0, "{what}: {}", examined.stdout);
    });
    println!("{faults} faults");
}
