//! The binary under strace: its system calls counted by name and occurrence, and one of them chosen to go wrong.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use claviger::lock::{Attempt, KeepUntilExit, try_acquire};
use claviger::session::{Account, Service, SessionName, Storage};
use claviger::time::Timestamp;
use serde_json::json;

use super::{Answer, SERVICE, Sandbox, finish};

/// What happens at one call.
#[derive(Clone, Copy, Debug)]
pub struct Injection<'a> {
    pub call: &'a str,
    /// The first is 1.
    pub occurrence: usize,
    /// As strace writes it: `signal=KILL`, `error=ENOSPC`.
    pub what: &'a str,
}

/// Which processes of a call strace looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// All of them, with their threads; where there is one alone.
    All,
    /// The one that was called, and not the worker it starts.
    Called,
}

/// A command line under strace, with what it answered and the calls it made.
pub fn traced(
    whom: Whom,
    sandbox: &Sandbox,
    words: &[&str],
    input: &str,
    injection: Option<Injection<'_>>,
) -> (Answer, Vec<String>) {
    let plain = sandbox.command(words[0]);
    let mut command = under_strace(whom, sandbox, injection);
    command.arg(plain.get_program()).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (finish(command, input.as_bytes()), calls(sandbox))
}

/// A worker under strace, the test being the process that was called: it holds the lock and gives the order.
pub fn traced_worker(sandbox: &Sandbox, injection: Option<Injection<'_>>) -> (Answer, Vec<String>) {
    traced_work(sandbox, "alice", false, injection)
}

/// The same for a session that is to be made.
pub fn traced_maker(
    sandbox: &Sandbox,
    account: &str,
    injection: Option<Injection<'_>>,
) -> (Answer, Vec<String>) {
    traced_work(sandbox, account, true, injection)
}

fn traced_work(
    sandbox: &Sandbox,
    account: &str,
    make: bool,
    injection: Option<Injection<'_>>,
) -> (Answer, Vec<String>) {
    let service = Service::parse(SERVICE).unwrap();
    let slot =
        SessionName { service, account: Account::parse(account).unwrap(), profile: None }.access_slot();
    let (locks, keep) = (sandbox.home().join("locks"), KeepUntilExit::default());
    let attempt = try_acquire(&locks, &slot, Storage::Plaintext, Timestamp::EPOCH, &keep).unwrap();
    let Attempt::Held(guard) = attempt else { panic!("nobody else is here") };
    let order = json!({
        "version": env!("CARGO_PKG_VERSION"), "storage": "plaintext", "service": SERVICE, "account": account,
        "profile": null, "wanted": SERVICE, "force": false, "make": make, "machine": make,
    });
    let mut command = under_strace(Whom::All, sandbox, injection);
    command.args([super::binary(), claviger::worker::COMMAND]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(guard.to_hand_on().unwrap());
    (finish(command, order.to_string().as_bytes()), calls(sandbox))
}

fn under_strace(whom: Whom, sandbox: &Sandbox, injection: Option<Injection<'_>>) -> Command {
    let mut command = Command::new("strace");
    command.arg("-qq").args((whom == Whom::All).then_some("-f"));
    if let Some(Injection { call, occurrence, what }) = injection {
        command.arg("-e").arg(format!("inject={call}:{what}:when={occurrence}"));
    }
    command.arg("-o").arg(sandbox.home().with_extension("trace")).env_clear();
    let plain = sandbox.command("get");
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// The names of the calls in the trace, in order. With `-f` there is a number before each.
fn calls(sandbox: &Sandbox) -> Vec<String> {
    let trace = sandbox.home().with_extension("trace");
    let text = std::fs::read_to_string(&trace).expect("strace wrote its output");
    std::fs::remove_file(&trace).expect("the trace is removed");
    let calls = text.lines().filter_map(|line| {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let name = call.split('(').next()?;
        (!name.contains([' ', '<', '+', '-']) && call.contains('(')).then(|| name.to_owned())
    });
    calls.collect()
}

/// Every call of a run with its occurrence, from the first that an interruption could matter at: what the loader does
/// before our first own line is the same for every program.
pub fn points(calls: &[String], telling: &[&str]) -> Vec<(String, usize)> {
    let ours = calls.iter().position(|name| name == "prctl").unwrap_or(0);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for (at, name) in calls.iter().enumerate() {
        let count = counts.entry(name).or_default();
        *count += 1;
        if at >= ours && telling.contains(&name.as_str()) {
            points.push((name.clone(), *count));
        }
    }
    points
}
