//! The main job, from nothing: `cargo run --release --example quickstart`.
//!
//! Builds the real binary, starts an authorization server of its own on loopback, hands claviger an expired
//! session and tells what happens next. Needs nothing installed, touches nothing outside a temporary folder.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "an example speaks, and fails loudly"
)]

#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
#[path = "../tests/support/server.rs"]
mod server;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::Server;

const SERVICE: &str = "https://api.acme.example";

fn main() {
    let claviger = Claviger { binary: build(), home: tempfile::tempdir().expect("a temporary folder") };
    let server = Server::start("RT-first");
    server.behave(|behaviour| behaviour.latency = Duration::from_millis(100));
    let requests = || server.token_requests();
    println!("an authorization server listens on {}, answering in 100 ms", server.token_endpoint());

    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT-expired", "expiresAt": "2020-01-01T00:00:00Z",
        "refreshToken": "RT-first", "tokenEndpoint": server.token_endpoint(), "clientId": "quickstart",
    });
    let (stored, cost) = claviger.run("store", &bundle);
    tell("store", "an expired session", cost, &format!("kept in {}", word(&stored, "storage")));

    let get = json!({ "service": SERVICE });
    let (first, cost) = claviger.run("get", &get);
    tell(
        "get",
        "the token has expired",
        cost,
        &format!("{}, {} token request", word(&first, "outcome"), requests()),
    );
    assert_eq!((word(&first, "outcome"), requests()), ("refreshed", 1));

    let (cached, cost) = claviger.run("get", &get);
    tell(
        "get",
        "the token is good",
        cost,
        &format!("{}: no request, no lock, no write", word(&cached, "outcome")),
    );
    assert_eq!((word(&cached, "outcome"), requests()), ("cached", 1));

    let (erased, cost) =
        claviger.run("erase", &json!({ "service": SERVICE, "accessToken": first["accessToken"] }));
    tell(
        "erase",
        "the service rejected it",
        cost,
        &format!("erased: {}, the session stays", erased["erased"]),
    );

    let begun = Instant::now();
    let children: Vec<_> = (0..20).map(|_| claviger.start("get", &get)).collect();
    let tokens: Vec<Value> = children.into_iter().map(|child| answer(child)["accessToken"].clone()).collect();
    tell(
        "get",
        "twenty callers at once",
        begun.elapsed(),
        &format!("one token, {} token request more", requests() - 1),
    );
    assert!(tokens.iter().all(|token| *token == tokens[0]), "all twenty have the same token");
    assert_eq!(requests(), 2, "twenty callers made one request");

    claviger.run("erase", &json!({ "service": SERVICE, "accessToken": tokens[0] }));
    let (again, cost) = claviger.run("get", &get);
    tell("get", "rejected and erased again", cost, word(&again, "outcome"));
    assert_eq!((word(&again, "outcome"), requests()), ("refreshed", 3));
    assert_eq!(server.log(|log| log.reused), 0, "no refresh token was ever sent twice");
    println!("each refresh token was spent once; no file of this is left but the build");
}

fn tell(verb: &str, what: &str, cost: Duration, outcome: &str) {
    println!("{verb:<6} {what:<26} {:>7.1} ms  {outcome}", cost.as_secs_f64() * 1000.0);
}

fn word<'a>(reply: &'a Value, key: &str) -> &'a str {
    reply[key].as_str().unwrap_or("?")
}

/// `cargo run --example` does not build the binary itself.
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let release = !cfg!(debug_assertions);
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--bin", "claviger"]).args(release.then_some("--release"));
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(built.success(), "the binary builds");
    // This example lies in target/<profile>/examples, the binary one folder up.
    let example = std::env::current_exe().expect("this program has a path");
    let folder = example.parent().and_then(|folder| folder.parent()).expect("a target folder");
    folder.join(format!("claviger{}", std::env::consts::EXE_SUFFIX))
}

struct Claviger {
    binary: PathBuf,
    home: tempfile::TempDir,
}

impl Claviger {
    fn start(&self, verb: &str, request: &Value) -> std::process::Child {
        let mut command = Command::new(&self.binary);
        command.arg(verb).env("CLAVIGER_HOME", self.home.path()).env("CLAVIGER_STORAGE", "plaintext");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("claviger starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(request.to_string().as_bytes()).expect("the request is written");
        child
    }

    fn run(&self, verb: &str, request: &Value) -> (Value, Duration) {
        let begun = Instant::now();
        let reply = answer(self.start(verb, request));
        (reply, begun.elapsed())
    }
}

fn answer(child: std::process::Child) -> Value {
    let output = child.wait_with_output().expect("claviger ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("the reply is JSON")
}
