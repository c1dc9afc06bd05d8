//! Every tool at once on one session: one request to the server, and each has the answer in its own words. And a tool
//! that waits for no longer than so long is answered by then.

#![cfg(unix)] // links by name

mod support;

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use claviger::dialect::Verb;
use serde_json::json;
use support::server::{Server, families};
use support::shapes::{self, Shape};
use support::world::Machine;
use support::{Answer, SERVICE, Sandbox, expired, get};

const CALLERS: usize = 40;
const ROUNDS: usize = 4;
const LATENCY: Duration = Duration::from_millis(200);
const INFO: &str = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false,"cluster":{"server":"https://api.acme.example"}}}"#;

/// The name a tool calls, its arguments, what it sends, and how it takes the answer.
type Tool = (&'static str, &'static [&'static str], &'static str, Shape);

#[rustfmt::skip]
const TOOLS: [Tool; 9] = [
    ("claviger", &["get"], r#"{"service":"https://api.acme.example"}"#, Shape::Native),
    ("git-credential-claviger", &["get"], "protocol=https\nhost=api.acme.example\n\n", Shape::Git),
    ("docker-credential-claviger", &["get"], "api.acme.example", Shape::Docker),
    ("cargo-credential-claviger", &["--cargo-plugin"],
        "{\"v\":1,\"registry\":{\"index-url\":\"sparse+https://api.acme.example/\"},\"kind\":\"get\",\"operation\":\"read\",\"args\":[]}\n",
        Shape::Cargo),
    ("claviger", &["kubernetes"], "", Shape::Kubernetes),
    ("terraform-credentials-claviger", &["get", "api.acme.example"], "", Shape::Terraform),
    ("bazel-credential-claviger", &["get"], r#"{"uri":"https://api.acme.example/x"}"#, Shape::Bazel),
    ("claviger", &["goauth", "https://api.acme.example/x"], "", Shape::Goauth),
    ("keyring", &["get", "https://api.acme.example/simple/", "oauth2"], "", Shape::Password),
];

/// One call of a tool: a process, and what goes to it.
fn call(sandbox: &Sandbox, (name, arguments, input, _): Tool) -> (Command, Vec<u8>) {
    let mut command = sandbox.by(name, arguments);
    command.env("KUBERNETES_EXEC_INFO", INFO);
    (command, input.into())
}

/// git says that a server refused this password.
fn rejection(sandbox: &Sandbox, token: &str) -> (Command, Vec<u8>) {
    let lines = format!("protocol=https\nhost=api.acme.example\nusername=oauth2\npassword={token}\n\n");
    (sandbox.by("git-credential-claviger", &["erase"]), lines.into_bytes())
}

/// All of them at once.
fn at_once(calls: Vec<(Command, Vec<u8>)>) -> Vec<Answer> {
    let mut children: Vec<_> = calls
        .into_iter()
        .map(|(mut command, input)| (command.spawn().expect("the binary starts"), input))
        .collect();
    for (child, input) in &mut children {
        // It may rightly end before it has read everything.
        let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    }
    let wait = |child: std::process::Child| Answer::of(child.wait_with_output().expect("the binary ends"));
    std::thread::scope(|scope| {
        let waiting: Vec<_> =
            children.into_iter().map(|(child, _)| scope.spawn(move || wait(child))).collect();
        waiting.into_iter().map(|thread| thread.join().expect("it waits to the end")).collect()
    })
}

fn tools() -> impl Iterator<Item = Tool> {
    TOOLS.into_iter().cycle().take(CALLERS)
}

/// What each tool takes from its answer must be this token.
#[track_caller]
fn all_have(answers: &[Answer], token: &str, what: &str) {
    for (answer, (name, arguments, _, shape)) in answers.iter().zip(tools()) {
        let what = format!("{what}, {name} {arguments:?}: {} {}", answer.stdout, answer.stderr);
        let reply = match shape {
            Shape::Cargo => answer.stdout.strip_prefix("{\"v\":[1]}\n").expect(&what),
            _ => &answer.stdout,
        };
        assert_eq!(answer.exit, 0, "{what}");
        let given = shapes::read(shape, 0, reply).expect(&what);
        let expected = match shape {
            Shape::Cargo | Shape::Bazel | Shape::Goauth => format!("Bearer {token}"),
            _ => token.to_owned(),
        };
        assert_eq!(given.len(), 1, "{what}");
        assert_eq!(given[0].secret, expected, "{what}");
    }
}

fn last_granted(server: &Server) -> String {
    server.log(|log| log.granted.last().cloned()).expect("a token was granted")
}

/// Every tool asks; so many requests may that cost, and all have the same.
#[track_caller]
fn round(server: &Server, sandbox: &Sandbox, requests: usize, what: &str) -> String {
    let before = server.token_requests();
    let answers = at_once(tools().map(|tool| call(sandbox, tool)).collect());
    assert_eq!(server.token_requests() - before, requests, "{what}");
    let token = last_granted(server);
    all_have(&answers, &token, what);
    token
}

#[test]
fn forty_callers_of_nine_tools_make_one_request_for_one_expired_token() {
    let server = Server::start("unused");
    let sandbox = Sandbox::plaintext();
    server.behave(|behaviour| behaviour.latency = LATENCY);
    for number in 1..=ROUNDS {
        let login = server.login();
        sandbox.run("store", &expired(&server, &login.refresh_token)).ok();
        round(&server, &sandbox, 1, &format!("round {number}"));
        round(&server, &sandbox, 0, &format!("round {number}, cached"));
    }
    assert_eq!(server.log(|log| log.reused), 0);
}

#[test]
fn forty_callers_of_nine_tools_make_one_request_for_a_machines_token() {
    let server = Server::start("unused");
    let sandbox = Sandbox::with_a_machine_grant(&server);
    let config = sandbox.home().join("config.toml");
    // How busy this machine is, is not what is shown.
    let patient =
        std::fs::read_to_string(&config).unwrap().replace("= 10\n", "= 60\n").replace("= 1\n", "= 30\n");
    sandbox.configure(&patient);
    server.behave(|behaviour| behaviour.latency = LATENCY);
    for number in 1..=ROUNDS {
        let token = round(&server, &sandbox, 1, &format!("round {number}, made"));
        let rejections = (0..CALLERS / 2).map(|_| rejection(&sandbox, &token)).collect();
        assert!(at_once(rejections).iter().all(|answer| answer.exit == 0 && answer.stdout.is_empty()));
        let next = round(&server, &sandbox, 1, &format!("round {number}, renewed"));
        assert_ne!(next, token);
        assert_eq!(sandbox.run("erase", &get()).ok()["erased"], true);
    }
}

#[test]
fn a_token_that_half_of_them_reject_costs_one_request_and_its_successor_none() {
    let server = Server::start("unused");
    let sandbox = Sandbox::plaintext();
    server.behave(|behaviour| behaviour.latency = LATENCY);
    for number in 1..=ROUNDS {
        let login = server.login();
        let mut bundle = expired(&server, &login.refresh_token);
        bundle["accessToken"] = json!(login.access_token);
        sandbox.run("store", &bundle).ok();
        // While some still report the old token, others have a new one already.
        let before = server.token_requests();
        let calls = tools().flat_map(|tool| [call(&sandbox, tool), rejection(&sandbox, &login.access_token)]);
        let answers: Vec<Answer> = at_once(calls.collect()).into_iter().step_by(2).collect();
        assert_eq!(server.token_requests() - before, 1, "round {number}");
        let token = last_granted(&server);
        all_have(&answers, &token, &format!("round {number}, rejected meanwhile"));
        round(&server, &sandbox, 0, &format!("round {number}, kept"));
        // And then they reject the new one.
        at_once((0..CALLERS / 2).map(|_| rejection(&sandbox, &token)).collect());
        assert_ne!(round(&server, &sandbox, 1, &format!("round {number}, rejected")), token);
    }
    assert_eq!(server.log(|log| log.reused), 0);
}

#[test]
fn bazel_is_answered_before_it_gives_up_and_the_refresh_is_there_for_the_next() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    server.hold();
    let bazel = TOOLS[6];
    let begun = families::now();
    let answer = at_once(vec![call(&sandbox, bazel)]).remove(0);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "bazel would have killed it: {took:?}");
    assert_ne!(answer.exit, 0, "{}", answer.stdout);
    assert_eq!(answer.stdout, "");
    assert_eq!(answer.stderr.lines().count(), 1, "{}", answer.stderr);
    server.wait_held(1);
    server.release();
    let answer = at_once(vec![call(&sandbox, bazel)]).remove(0);
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    assert!(answer.stdout.contains(&last_granted(&server)), "{}", answer.stdout);
    assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0));
}

#[test]
fn a_token_that_is_due_and_still_good_is_given_where_the_refresh_outlasts_the_caller() {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": 3600, "refreshToken": "RT1",
        "tokenEndpoint": "https://id.acme.example/token", "clientId": "cli",
    });
    assert_eq!(machine.call(Verb::Store, None, bundle.to_string().as_bytes()).exit, 0);
    machine.clock.now.set(machine.clock.now.get() + 3500);
    machine.slow.set(true);
    let rendered = machine.by("bazel get", r#"{"uri":"https://api.acme.example/x"}"#);
    let stdout = String::from_utf8_lossy(&rendered.stdout).into_owned();
    let taken = shapes::read(Shape::Bazel, rendered.exit, &stdout).unwrap();
    assert_eq!(taken[0].secret, "Bearer AT1");
    assert!(rendered.stderr.starts_with("claviger: warning: a refresh was due"), "{}", rendered.stderr);
    machine.clock.now.set(machine.clock.now.get() + 200);
    let rendered = machine.by("bazel get", r#"{"uri":"https://api.acme.example/x"}"#);
    assert!(rendered.stdout.is_empty() && rendered.exit != 0, "{}", rendered.stderr);
    assert!(machine.server.sent.borrow().is_empty());
}
