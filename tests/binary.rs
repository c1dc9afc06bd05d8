//! The real executable where the world is unkind: signals, death, closed streams, odd arguments.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a bound on how long another process may take")]

mod support;

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::json;
use support::processes;
use support::server::Server;
use support::{Answer, SERVICE, Sandbox, binary, expired, finish, get};

fn begin_refresh(sandbox: &Sandbox, server: &Server) -> Child {
    sandbox.run("store", &expired(server, "RT1-first")).ok();
    server.behave(|behaviour| behaviour.latency = Duration::from_millis(500));
    let mut child = sandbox.command("get").spawn().unwrap();
    child.stdin.take().unwrap().write_all(get().to_string().as_bytes()).unwrap();
    let begun = Instant::now();
    while server.token_requests() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the request never came");
        std::thread::yield_now();
    }
    child
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

#[test]
fn whatever_ends_the_called_process_in_mid_request_does_not_cost_the_session() {
    use Signal::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP};
    for name in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGKILL] {
        let server = Server::start("RT1-first");
        let sandbox = Sandbox::plaintext();
        let child = begin_refresh(&sandbox, &server);
        signal(&child, name);
        if name == SIGTSTP {
            signal(&child, Signal::SIGCONT);
        }
        let _ = child.wait_with_output().unwrap();
        server.behave(|behaviour| behaviour.latency = Duration::ZERO);
        // The worker goes on without it; who comes meanwhile waits for that.
        let next = sandbox.run("get", &get()).ok();
        assert!(next["outcome"] == "adopted" || next["outcome"] == "cached", "{name}: {next}");
        assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0), "{name}");
        assert_eq!(support::files_below(&sandbox.home().join("locks")).len(), 0, "{name}: no lock is left");
    }
}

#[test]
fn a_killed_worker_is_told_of_and_leaves_a_trace_of_what_happened() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    let child = begin_refresh(&sandbox, &server);
    assert!(processes::signal(worker(&sandbox), Signal::SIGKILL));
    let told = Answer::of(child.wait_with_output().unwrap());
    assert_eq!(told.code(4), "AUTH_REFRESH_TRANSIENT");
    server.behave(|behaviour| behaviour.latency = Duration::ZERO);
    // This server rotates strictly and has seen the token: the one window that no client can close.
    let answer = sandbox.run("get", &get());
    assert_eq!(answer.code(3), "AUTH_REFRESH_EXPIRED");
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("never ended"), "{}", answer.stdout);
}

#[test]
fn dead_owners_leave_a_lock_that_the_next_inherits() {
    let server = Server::start("RT1-first");
    server.behave(|behaviour| behaviour.grace = Duration::from_secs(60));
    let sandbox = Sandbox::plaintext();
    let mut child = begin_refresh(&sandbox, &server);
    let worker = worker(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(processes::signal(worker, Signal::SIGKILL));
    assert_eq!(
        support::files_below(&sandbox.home().join("locks")).len(),
        1,
        "the dead owners' file is there"
    );
    server.behave(|behaviour| behaviour.latency = Duration::ZERO);
    assert_eq!(sandbox.run("get", &get()).ok()["outcome"], "refreshed");
    assert_eq!(support::files_below(&sandbox.home().join("locks")).len(), 0);
}

/// Who asks the server: the lock says whose it is.
fn worker(sandbox: &Sandbox) -> u32 {
    let lock = processes::lock_file(sandbox.home(), "alice");
    processes::holder(&lock).expect("the lock says whose it is")
}

#[test]
fn a_stopped_caller_keeps_nobody_from_what_its_worker_got() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.configure("[timeouts]\nrequest = 1\nconnect = 1\nlock = 2\n");
    let child = begin_refresh(&sandbox, &server);
    signal(&child, Signal::SIGSTOP);
    for answer in support::storm(5, get().to_string().as_bytes(), || sandbox.command("get")) {
        let outcome = answer.ok()["outcome"].clone();
        assert!(outcome == "adopted" || outcome == "cached", "{outcome}");
    }
    signal(&child, Signal::SIGCONT);
    assert_eq!(Answer::of(child.wait_with_output().unwrap()).ok()["outcome"], "refreshed");
    assert_eq!(server.token_requests(), 1);
}

/// The binary as a shell would start it after some words of its own.
fn by_shell(sandbox: &Sandbox, script: &str) -> Command {
    let plain = sandbox.command("get");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, binary()]).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_caller_that_ignores_the_ends_of_its_children_hears_of_its_refresh_all_the_same() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    let command = by_shell(&sandbox, "trap '' CHLD; exec \"$0\" get");
    assert_eq!(Answer::of(finish_raw(command)).ok()["outcome"], "refreshed");
    assert_eq!(server.token_requests(), 1);
}

fn finish_raw(mut command: Command) -> std::process::Output {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(get().to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn where_the_worker_never_begins_the_called_process_does_its_work() {
    let loader = "/lib64/ld-linux-x86-64.so.2";
    if !std::path::Path::new(loader).exists() {
        return support::skipped("loader", "it is not where it is looked for");
    }
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    // What runs is then the loader, which makes nothing of a worker's words.
    let command = by_shell(&sandbox, &format!("exec {loader} \"$0\" get"));
    assert_eq!(Answer::of(finish_raw(command)).ok()["outcome"], "refreshed");
    assert_eq!(server.token_requests(), 1);
}

#[test]
fn a_job_stopped_by_its_terminal_in_mid_refresh_lets_go_of_the_lock_first() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    let child = begin_refresh(&sandbox, &server);
    signal(&child, Signal::SIGTSTP);
    // It is held by the worker and then by nobody, though its caller is not heard of again until it goes on.
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    let other = sandbox.run("get", &forced).ok();
    assert!(other["outcome"] == "adopted" || other["outcome"] == "refreshed", "{other}");
    assert_eq!(
        support::files_below(&sandbox.home().join("locks")).len(),
        0,
        "it is not stopped with the lock"
    );
    signal(&child, Signal::SIGCONT);
    assert_eq!(Answer::of(child.wait_with_output().unwrap()).ok()["outcome"], "refreshed");
    assert_eq!(server.log(|log| log.reused), 0);
}

#[test]
fn whoever_waits_for_what_a_killed_caller_had_open_does_not_wait_for_its_worker() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    server.hold();
    let mut child = by_shell(&sandbox, "exec 3>&1; exec \"$0\" get").spawn().unwrap();
    child.stdin.take().unwrap().write_all(get().to_string().as_bytes()).unwrap();
    server.wait_held(1);
    child.kill().unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    assert!(ended.recv_timeout(Duration::from_secs(20)).is_ok(), "the worker holds what it was not given");
    server.release();
    let next = sandbox.run("get", &get()).ok();
    assert!(next["outcome"] == "adopted" || next["outcome"] == "cached", "{next}");
}

#[test]
fn closed_streams_never_send_a_secret_into_a_file() {
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" })).ok();
    let before = sandbox.files();
    let closed = |redirections: &str| {
        let plain = sandbox.command("get");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("exec \"$0\" get {redirections}"), binary()]).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command, get().to_string().as_bytes())
    };
    // The runtime opens /dev/null in place of what is closed; no file of ours takes its number.
    assert_eq!(closed(">&-").exit, 0);
    assert_eq!(closed("2>&-").exit, 0);
    assert_eq!(closed("<&-").exit, 2);
    assert_eq!(closed("<&- >&- 2>&-").exit, 2);
    assert_eq!(closed(">/dev/full").exit, 70);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn usage_errors_touch_nothing_and_exit_2() {
    let sandbox = Sandbox::plaintext();
    for arguments in [
        &["frobnicate"][..],
        &["get", "--frob"],
        &["get", "extra"],
        &[],
        &["--storage"],
        &["get", "--storage"],
    ] {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().env("CLAVIGER_HOME", sandbox.home());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    let help = Command::new(binary()).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("capabilities"));
    assert_eq!(sandbox.files().len(), 0);
}

#[test]
fn the_storage_is_explained_and_misspelling_it_names_the_source() {
    let sandbox = Sandbox::new(&[]);
    let store = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" });
    let with = |arguments: &[&str], environment: &[(&str, &str)], verb: &str, request: &serde_json::Value| {
        let mut command = sandbox.command(verb);
        command.args(arguments).envs(environment.iter().copied());
        finish(command, request.to_string().as_bytes())
    };
    assert_eq!(with(&["--storage", " PlainText "], &[], "store", &store).ok()["storage"], "plaintext");
    assert_eq!(with(&[], &[("CLAVIGER_STORAGE", "plaintext")], "get", &get()).ok()["storage"], "plaintext");
    let misspelt = with(&["--storage", "plaintext"], &[("CLAVIGER_STORAGE", "keychain")], "get", &get());
    assert_eq!(misspelt.code(6), "CONFIG_INVALID");
    assert!(misspelt.stderr.contains("CLAVIGER_STORAGE"), "{}", misspelt.stderr);
    // Nobody steered: the default is the keyring, and as there is none here, a read uses the files and says so.
    assert_eq!(with(&[], &[], "get", &get()).ok()["storage"], "plaintext");
    sandbox.configure("storage = \"plaintext\"\n");
    assert_eq!(with(&[], &[], "get", &get()).ok()["storage"], "plaintext");
    assert_eq!(with(&["--storage", "keyring"], &[], "get", &get()).code(5), "STORE_UNAVAILABLE");
    assert!(!sandbox.home().join("pin").exists(), "nothing was pinned by any of this");
}

#[test]
fn no_secret_is_in_the_arguments_or_the_core() {
    let limits = Command::new("/bin/sh")
        .args(["-c", "ulimit -c unlimited; exec \"$0\" capabilities </dev/null", binary()])
        .output();
    assert!(limits.unwrap().status.success());
    // While a refresh is under way the process can be looked at: it is not dumpable, its limit is zero.
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    let mut child = begin_refresh(&sandbox, &server);
    let proc = format!("/proc/{}", child.id());
    if let Ok(limits) = std::fs::read_to_string(format!("{proc}/limits")) {
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
        let arguments = std::fs::read(format!("{proc}/cmdline")).unwrap();
        assert!(!String::from_utf8_lossy(&arguments).contains("RT1"));
        // A process that is not dumpable has its files in /proc owned by root, whoever runs it; root cannot tell.
        assert_eq!(std::fs::metadata(format!("{proc}/environ")).unwrap().uid(), 0);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
