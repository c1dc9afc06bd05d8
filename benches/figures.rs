//! The figures: `cargo bench`. Ratios measured side by side in one run, for machines are noisy; nothing here
//! is asserted. What a figure needs and is not installed is said and left out.
//!
//! - a cached `get` in plaintext against `/bin/true`, and in the keyring against git-credential-libsecret; in git's dialect
//!   against `git credential-store`
//! - the size, and `--version` against `/bin/true`, of the release build or of the executable that `CLAVIGER_PROGRAM` names, such
//!   as a static one of `packaging/build`
//! - instructions (valgrind), peak memory
//! - a hundred callers at once on one expired token, the server answering in 200 ms

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark measures real time and speaks"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::bus::Bus;
use support::server::Server;
use support::{SERVICE, Sandbox, binary, expired, get, has_program, storm};

const ROUNDS: usize = 200;

fn main() {
    let program = std::env::var("CLAVIGER_PROGRAM").unwrap_or_else(|_| binary().to_owned());
    let size = std::fs::metadata(&program).expect("the binary is built").len();
    println!("binary                       {size} bytes");
    let version = || {
        let mut command = Command::new(&program);
        command.arg("--version");
        command
    };
    let (ratio, ours, theirs) = paired(version, "", || Command::new("/bin/true"), "");
    println!("--version                    {ratio:.2} x /bin/true (medians {ours:.2} and {theirs:.2} ms)");
    plaintext();
    keyring();
    callers("plaintext", Some(Sandbox::plaintext()));
    let bus = Bus::with_keyring();
    callers("keyring", bus.as_ref().map(sandbox_on));
}

fn sandbox_on(bus: &Bus) -> Sandbox {
    let sandbox =
        Sandbox::new(&[("CLAVIGER_STORAGE", "keyring"), ("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
    sandbox.configure("[timeouts]\nkeyring = 30\n");
    sandbox
}

fn bundle() -> serde_json::Value {
    json!({ "service": SERVICE, "account": "alice", "accessToken": "A".repeat(40), "expiresIn": 86_400 })
}

fn request() -> String {
    json!({ "service": SERVICE, "account": "alice" }).to_string()
}

fn plaintext() {
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &bundle()).ok();
    let (ratio, ours, theirs) =
        paired(|| sandbox.command("get"), &request(), || Command::new("/bin/true"), "");
    println!("cached get, plaintext        {ratio:.2} x /bin/true (medians {ours:.2} and {theirs:.2} ms)");
    costs("plaintext", &sandbox);
    git(&sandbox);
}

/// The same session as git asks for it, against the helper that git brings along.
fn git(sandbox: &Sandbox) {
    if !has_program("git") {
        println!("git get, plaintext           git is not installed: no ratio");
        return;
    }
    let file = sandbox.home().join("git-credentials");
    std::fs::write(&file, format!("https://alice:{}@api.acme.example\n", "A".repeat(40)))
        .expect("it is written");
    let theirs = || {
        let mut command = Command::new("git");
        command.arg("credential-store").arg(format!("--file={}", file.display())).arg("get");
        command
    };
    let ours = || {
        let mut command = sandbox.command("git");
        command.arg("get");
        command
    };
    let question = "protocol=https\nhost=api.acme.example\nusername=alice\n";
    let (ratio, ours, theirs) = paired(ours, question, theirs, question);
    println!(
        "git get, plaintext           {ratio:.2} x git credential-store (medians {ours:.2} and {theirs:.2} ms)"
    );
}

fn keyring() {
    let Some(bus) = Bus::with_keyring() else { return };
    let sandbox = sandbox_on(&bus);
    sandbox.run("store", &bundle()).ok();
    if has_program("git-credential-libsecret") {
        let theirs = || {
            let mut command = bus.command("git-credential-libsecret");
            command.arg("get");
            command
        };
        let mut stored = bus
            .command("git-credential-libsecret")
            .arg("store")
            .stdin(Stdio::piped())
            .spawn()
            .expect("it starts");
        let credential =
            format!("protocol=https\nhost=api.acme.example\nusername=alice\npassword={}\n", "A".repeat(40));
        stored.stdin.take().expect("stdin is piped").write_all(credential.as_bytes()).expect("it reads");
        stored.wait().expect("it ends");
        let question = "protocol=https\nhost=api.acme.example\nusername=alice\n";
        let (ratio, ours, theirs) = paired(|| sandbox.command("get"), &request(), theirs, question);
        println!(
            "cached get, keyring          {ratio:.2} x git-credential-libsecret (medians {ours:.2} and {theirs:.2} ms)"
        );
    } else {
        println!("cached get, keyring          git-credential-libsecret is not on the path: no ratio");
    }
    costs("keyring", &sandbox);
}

/// The median of the pairwise ratios, and both medians in milliseconds.
fn paired(
    ours: impl Fn() -> Command,
    input: &str,
    theirs: impl Fn() -> Command,
    their_input: &str,
) -> (f64, f64, f64) {
    let (mut ratios, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (a, b) = (once(ours(), input), once(theirs(), their_input));
        ratios.push(a / b);
        first.push(a);
        second.push(b);
    }
    (median(ratios), median(first), median(second))
}

fn once(mut command: Command, input: &str) -> f64 {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn().expect("it starts");
    // A program that reads nothing may be gone already.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends");
    begun.elapsed().as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Instructions and peak memory of one cached `get`.
fn costs(name: &str, sandbox: &Sandbox) {
    let run = |program: &str, arguments: &[&str]| {
        let plain = sandbox.command("get");
        let mut command = Command::new(program);
        command.args(arguments).arg(binary()).arg("get").env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        support::finish(command, request().as_bytes()).stderr
    };
    if has_program("valgrind") {
        let text = run("valgrind", &["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let collected = text
            .lines()
            .find_map(|line| line.split_once("Collected : "))
            .map(|(_, count)| count.trim().to_owned());
        println!(
            "  instructions, {name:<12} {}",
            collected.unwrap_or_else(|| "valgrind said nothing".to_owned())
        );
    } else {
        println!("  instructions, {name:<12} valgrind is not installed");
    }
    if has_program("time") {
        let text = run("time", &["-f", "%M"]);
        println!("  peak memory, {name:<13} {} KiB", text.trim());
    } else {
        println!("  peak memory, {name:<13} GNU time is not installed");
    }
}

fn callers(name: &str, sandbox: Option<Sandbox>) {
    let Some(sandbox) = sandbox else { return };
    let server = Server::start("RT1-first");
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    server.behave(|behaviour| behaviour.latency = Duration::from_millis(200));
    let begun = Instant::now();
    let answers = storm(100, get().to_string().as_bytes(), || sandbox.command("get"));
    let good = answers.iter().filter(|answer| answer.exit == 0).count();
    let (whole, requests) = (begun.elapsed().as_secs_f64(), server.token_requests());
    println!("100 callers, {name:<15} {good} good answers, {requests} token request, {whole:.2} s in all");
}
