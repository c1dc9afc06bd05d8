//! A holder of the lock that stands still in the middle of its request: nobody asks in its place, and what the server
//! answered meanwhile is not lost.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "how long a process stands still is real time")]

mod support;

use std::io::Write as _;
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::processes::{arguments, holder, is_stopped, lock_file, signal};
use support::server::Server;
use support::server::families::now;
use support::{Answer, Sandbox, expired, get, storm};

/// A request may take 2 s, and whoever waits for it 3 s.
const IMPATIENT: &str = "[timeouts]\nconnect = 1\nrequest = 2\nlock = 3\n";

/// A call whose request is at the server, held there, and whose asking process is stopped.
struct Stopped {
    server: Server,
    sandbox: Sandbox,
    caller: Child,
    holder: u32,
}

impl Stopped {
    fn new(timeouts: &str, bundle: impl FnOnce(&Server) -> Value, request: &Value) -> Self {
        let server = Server::start("RT1-first");
        let sandbox = Sandbox::plaintext();
        sandbox.configure(timeouts);
        sandbox.run("store", &bundle(&server)).ok();
        server.hold();
        let mut caller = sandbox.command("get").spawn().unwrap();
        caller.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
        server.wait_held(1);
        // Whoever asks has the lock, be it the process that was called or one that works for it.
        let holder = holder(&lock_file(sandbox.home(), "alice")).expect("the lock says whose it is");
        let words = arguments(holder).expect("the holder lives");
        assert!(words[0].ends_with("claviger"), "{words:?}");
        assert!(signal(holder, Signal::SIGSTOP));
        while !is_stopped(holder) {
            std::thread::yield_now();
        }
        Self { server, sandbox, caller, holder }
    }

    /// Lets it go on, and waits until the lock is let go: the caller may have given up before.
    fn go_on(self) -> (Server, Sandbox, Answer) {
        let Self { server, sandbox, caller, holder } = self;
        assert!(signal(holder, Signal::SIGCONT));
        let answer = Answer::of(caller.wait_with_output().unwrap());
        let begun = now();
        while lock_file(sandbox.home(), "alice").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the lock is let go");
            std::thread::sleep(Duration::from_millis(10));
        }
        (server, sandbox, answer)
    }
}

impl Stopped {
    fn waiters(&self, request: &Value) -> Vec<Answer> {
        storm(10, request.to_string().as_bytes(), || self.sandbox.command("get"))
    }
}

#[test]
fn waiters_for_a_stopped_holder_give_up_in_time_and_ask_nothing() {
    // Longer than any waiter waits, so that the holder's own time is not up.
    let patient = "[timeouts]\nrequest = 60\nlock = 61\n";
    let stopped = Stopped::new(patient, |server| expired(server, "RT1-first"), &get());
    stopped.sandbox.configure(IMPATIENT);
    for answer in stopped.waiters(&get()) {
        assert_eq!(answer.code(4), "LOCK_TIMEOUT");
        assert!(!answer.stdout.contains("AT1"), "an expired token is not given out");
    }
    assert_eq!(stopped.server.token_requests(), 1, "nobody asked in its place");
    stopped.server.release();
    let (server, sandbox, answer) = stopped.go_on();
    assert_eq!(answer.ok()["outcome"], "refreshed");
    let next = sandbox.run("get", &get()).ok();
    assert_eq!((&next["outcome"], &next["accessToken"]), (&json!("cached"), &answer.ok()["accessToken"]));
    assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0));
}

#[test]
fn waiters_with_a_token_that_is_still_good_take_it_and_do_not_wait() {
    let patient = "[timeouts]\nrequest = 60\nlock = 61\n";
    let good_for_ten_minutes = |server: &Server| {
        let mut bundle = expired(server, "RT1-first");
        bundle["accessToken"] = json!("AT1-good");
        bundle.as_object_mut().unwrap().remove("expiresAt");
        bundle["expiresIn"] = json!(600);
        bundle
    };
    let mut picky = get();
    picky["minValidity"] = json!(1200);
    let stopped = Stopped::new(patient, good_for_ten_minutes, &picky);
    // A minute is allowed for the lock: whoever waited for it would show.
    for answer in stopped.waiters(&picky) {
        let reply = answer.ok();
        assert_eq!((&reply["outcome"], &reply["accessToken"]), (&json!("cached"), &json!("AT1-good")));
    }
    assert_eq!(stopped.server.token_requests(), 1, "nobody asked in its place");
    stopped.server.release();
    let (server, sandbox, answer) = stopped.go_on();
    assert_eq!(answer.ok()["outcome"], "refreshed");
    assert_eq!(sandbox.run("get", &picky).ok()["outcome"], "cached");
    assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0));
}

#[test]
fn an_answer_that_came_while_the_holder_was_stopped_is_taken_though_its_time_is_up() {
    // Read in one piece, and in several: the clock must not come between two of them.
    for padding in [0, 300_000] {
        let stored = |server: &Server| {
            server.behave(|behaviour| behaviour.padding = padding);
            expired(server, "RT1-first")
        };
        let stopped = Stopped::new(IMPATIENT, stored, &get());
        stopped.server.release();
        // Past the request's 2 s; its answer lies in the socket since.
        std::thread::sleep(Duration::from_secs(4));
        let (server, sandbox, _) = stopped.go_on();
        let next = sandbox.run("get", &get());
        assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0), "{}", next.stdout);
        assert_eq!(next.ok()["outcome"], "cached", "the rotation is not lost");
    }
}
