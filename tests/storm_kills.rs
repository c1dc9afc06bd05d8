//! A minute of get, store and erase on a few sessions at once, with `kill -9` falling where it may. The server's log
//! and what the callers saw say whether anything was lost, mixed or brought back.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "a storm takes its time, and kills come at any")]

mod support;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::processes::{Own, arguments, holder, kill, lock_file};
use support::record::{Call, Verb, faults};
use support::server::Server;
use support::server::families::{Event, What};
use support::{Answer, SERVICE, Sandbox, expired, finish};

/// How long each half takes: first only processes that were called are killed, then those that work for them, too.
const HALF: Duration = Duration::from_secs(30);
const CALLERS: usize = 16;
const ACCOUNTS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// The server's answer is under way for so long: the window in which a kill costs the session under strict rotation.
const LATENCY: Duration = Duration::from_millis(15);

/// Numbers that look random and come again with their seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let number = self.below(u64::try_from(all.len()).ok()?.max(1));
        all.get(usize::try_from(number).ok()?)
    }
}

struct Storm {
    server: Server,
    sandbox: Sandbox,
    own: Own,
    /// The account each family was signed in for.
    accounts: Arc<Mutex<HashMap<usize, usize>>>,
    calls: Mutex<Vec<Call>>,
    /// Whoever was called and has not been waited for.
    called: Mutex<Vec<u32>>,
    kills: Mutex<Vec<(u32, Instant)>>,
    /// When the first process that worked for another was killed.
    orphaned: Mutex<Option<Instant>>,
    over: AtomicBool,
}

impl Storm {
    fn new() -> Self {
        let (server, sandbox) = (Server::start("unused"), Sandbox::plaintext());
        server.behave(|behaviour| behaviour.latency = LATENCY);
        let accounts = Arc::<Mutex<HashMap<usize, usize>>>::default();
        // Whoever has the lock when a refresh token arrives is the one who sent it.
        let (home, known) = (sandbox.home().to_owned(), accounts.clone());
        server.witness(move |family| {
            let account = *known.lock().unwrap().get(&family)?;
            holder(&lock_file(&home, ACCOUNTS[account]))
        });
        Self {
            server,
            sandbox,
            own: Own::binary(),
            accounts,
            calls: Mutex::default(),
            called: Mutex::default(),
            kills: Mutex::default(),
            orphaned: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    fn command(&self, verb: &str) -> Command {
        let plain = self.sandbox.command(verb);
        let mut command = Command::new(&self.own.path);
        command.args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A new login, to be stored: the server has to be asked at once for half of them.
    fn bundle(&self, account: usize, is_due: bool) -> (usize, Value) {
        let login = self.server.login();
        self.accounts.lock().unwrap().insert(login.family, account);
        let mut bundle = expired(&self.server, &login.refresh_token);
        bundle["account"] = json!(ACCOUNTS[account]);
        bundle["accessToken"] = json!(login.access_token);
        if !is_due {
            bundle["expiresAt"] = json!("2100-01-01T00:00:00Z");
        }
        (login.family, bundle)
    }

    /// Calls without pause until the storm is over.
    fn call(&self, mut random: Random) {
        while !self.over.load(Ordering::SeqCst) {
            let account = usize::try_from(random.below(4)).unwrap();
            let whose = json!({ "service": SERVICE, "account": ACCOUNTS[account] });
            let (word, verb, request) = match random.below(20) {
                0..=1 => ("erase", Verb::Erase, whose),
                2..=4 => {
                    let (family, bundle) = self.bundle(account, random.below(2) == 0);
                    ("store", Verb::Store(family), bundle)
                }
                5..=11 => ("get", Verb::Get, whose),
                _ => {
                    let forced =
                        json!({ "service": SERVICE, "account": ACCOUNTS[account], "forceRefresh": true });
                    ("get", Verb::Get, forced)
                }
            };
            let begun = Instant::now();
            let answer = self.killable(word, &request);
            let call = Call { verb, account, begun, ended: Instant::now(), answer };
            self.calls.lock().unwrap().push(call);
        }
    }

    /// Runs the binary within the killers' reach; `None`: it was killed.
    fn killable(&self, word: &str, request: &Value) -> Option<Answer> {
        let mut child = self.command(word).spawn().expect("the binary starts");
        let pid = child.id();
        self.called.lock().unwrap().push(pid);
        // It may be dead already.
        let _ = child.stdin.take().unwrap().write_all(request.to_string().as_bytes());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        self.called.lock().unwrap().retain(|known| *known != pid);
        let status = child.wait().unwrap();
        (status.signal() != Some(9)).then(|| Answer { exit: status.code().unwrap_or(-1), stdout, stderr })
    }

    /// Kills one of these every few milliseconds, for that long.
    fn kill(&self, random: &mut Random, whom: impl Fn(&mut Random) -> Option<u32>) {
        let begun = Instant::now();
        while begun.elapsed() < HALF {
            std::thread::sleep(Duration::from_millis(5 + random.below(60)));
            let Some(pid) = whom(random) else { continue };
            let (at, words) = (Instant::now(), arguments(pid).unwrap_or_default());
            if kill(&self.own, pid) {
                if is_worker(&words) {
                    self.orphaned.lock().unwrap().get_or_insert(at);
                }
                self.kills.lock().unwrap().push((pid, at));
            }
        }
    }

    fn one_that_was_called(&self, random: &mut Random) -> Option<u32> {
        random.of(&self.called.lock().unwrap()).copied()
    }

    /// Any process of ours; every other time one that works for another, if there is one.
    fn any(&self, random: &mut Random) -> Option<u32> {
        let all = self.own.running();
        let pids = |workers_only: bool| {
            let wanted = all.iter().filter(move |(_, words)| !workers_only || is_worker(words));
            wanted.map(|(pid, _)| *pid).collect::<Vec<u32>>()
        };
        let workers = pids(true);
        if random.below(2) == 0 && !workers.is_empty() {
            return random.of(&workers).copied();
        }
        random.of(&pids(false)).copied()
    }

    /// Reads every file of state over and over: each is whole at every moment.
    fn read(&self) -> (usize, Vec<String>) {
        let (mut reads, mut torn) = (0, Vec::new());
        while !self.over.load(Ordering::SeqCst) {
            for folder in ["slots", "index", "defaults", "pin"] {
                let entries =
                    std::fs::read_dir(self.sandbox.home().join(folder)).into_iter().flatten().flatten();
                for path in entries.map(|entry| entry.path()).filter(|path| !is_temporary(path)) {
                    // Gone meanwhile is as good.
                    let Ok(bytes) = std::fs::read(&path) else { continue };
                    reads += 1;
                    if serde_json::from_slice::<Value>(&bytes).is_err() {
                        torn.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&bytes)));
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        (reads, torn)
    }

    /// Refresh tokens that were sent a second time, with the account, and whether a kill explains it: of the process
    /// that had sent it the first time, after which nobody could know the server's answer. That process is the one
    /// that had the lock when the token arrived. If it was dead by then, the lock says another's number already,
    /// but its end of the connection was closed before the answer went out.
    fn reuses(&self) -> Vec<(usize, Event, bool)> {
        let (kills, accounts) = (self.kills.lock().unwrap(), self.accounts.lock().unwrap());
        let mut reuses = Vec::new();
        self.server.families(|families| {
            for (number, family) in families.iter().enumerate() {
                for reuse in family.events.iter().filter(|event| event.what == What::Reused) {
                    let first = |event: &&Event| event.what == What::Rotated && event.number == reuse.number;
                    let first = family.events.iter().find(first).expect("what is spent was rotated");
                    let explains = |(pid, at): &(u32, Instant)| {
                        let away = at
                            .saturating_duration_since(first.begun)
                            .max(first.begun.saturating_duration_since(*at));
                        let was_its =
                            Some(*pid) == first.seen || (first.abandoned && away < Duration::from_secs(1));
                        was_its && *at < reuse.begun && away < Duration::from_secs(10)
                    };
                    reuses.push((accounts[&number], reuse.clone(), kills.iter().any(explains)));
                }
            }
        });
        reuses
    }
}

fn is_worker(words: &[String]) -> bool {
    words.get(1).is_some_and(|word| word == "refresh-worker")
}

fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lock")
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-"))
}

fn temporary(sandbox: &Sandbox) -> Vec<String> {
    let found = sandbox.files().into_iter().filter(|(path, _)| is_temporary(path));
    found.map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn a_minute_of_kills_loses_mixes_and_brings_back_nothing() {
    let seed = u64::from_le_bytes(std::array::from_fn(|_| {
        // The hasher of a map is seeded by the system.
        let hasher = std::hash::BuildHasher::build_hasher(&std::hash::RandomState::new());
        std::hash::Hasher::finish(&hasher).to_le_bytes()[0]
    })) | 1;
    println!("seed {seed}");
    let storm = Storm::new();
    let (halfway, (reads, torn)) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| storm.read());
        for number in 1..=CALLERS {
            let number = u64::try_from(number).unwrap();
            let storm = &storm;
            scope.spawn(move || storm.call(Random(seed.wrapping_mul(2 * number + 1))));
        }
        let mut random = Random(seed);
        storm.kill(&mut random, |random| storm.one_that_was_called(random));
        let halfway = Instant::now();
        storm.kill(&mut random, |random| storm.any(random));
        storm.over.store(true, Ordering::SeqCst);
        (halfway, reader.join().unwrap())
    });
    // Whoever works on without its caller comes to its end.
    let begun = Instant::now();
    while !storm.own.running().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?} still runs", storm.own.running());
        std::thread::sleep(Duration::from_millis(20));
    }

    let calls = storm.calls.lock().unwrap();
    let reuses = storm.reuses();
    let killed_calls = calls.iter().filter(|call| call.answer.is_none()).count();
    let kills = storm.kills.lock().unwrap().len();
    let early = reuses.iter().filter(|(_, reuse, _)| reuse.at < halfway).count();
    println!(
        "{} calls, {killed_calls} of them killed, {} kills besides, {} token requests, {} reuses in the first half \
         and {} in the second, {reads} files read",
        calls.len(),
        kills - killed_calls.min(kills),
        storm.server.token_requests(),
        early,
        reuses.len() - early,
    );
    assert_eq!(torn, Vec::<String>::new(), "every file is whole at every moment");
    let unexplained: Vec<_> = reuses.iter().filter(|(_, _, explained)| !explained).collect();
    assert!(unexplained.is_empty(), "no refresh token is spent twice but for a kill: {unexplained:?}");
    let most = storm.server.families(|families| families.iter().map(|family| family.most_in_flight).max());
    assert!(most <= Some(1), "requests of one session never overlap");
    let orphaned = *storm.orphaned.lock().unwrap();
    let mut wrong = Vec::new();
    for (account, name) in ACCOUNTS.iter().enumerate() {
        let of_account: Vec<&Call> = calls.iter().filter(|call| call.account == account).collect();
        let dies =
            reuses.iter().filter(|(whose, _, _)| *whose == account).map(|(_, reuse, _)| reuse.begun).min();
        wrong.extend(faults(&of_account, dies, orphaned).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(wrong.is_empty(), "{} faults: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
    afterwards(&storm);
}

/// The storm has left nothing that lasts, and every session can be had and ended.
fn afterwards(storm: &Storm) {
    let sandbox = &storm.sandbox;
    let locks: Vec<_> =
        sandbox.files().into_iter().map(|(path, _)| path).filter(|path| is_lock(path)).collect();
    for path in &locks {
        let lock = std::fs::File::open(path).unwrap();
        assert!(lock.try_lock().is_ok(), "{} is held", path.display());
    }
    println!("{} lock files of the dead are left for whoever comes next", locks.len());
    for (account, name) in ACCOUNTS.iter().enumerate() {
        let whose = json!({ "service": SERVICE, "account": name });
        let (family, bundle) = storm.bundle(account, true);
        sandbox.run("store", &bundle).ok();
        let reply = sandbox.run("get", &whose).ok();
        assert_eq!(reply["outcome"], "refreshed", "{name}");
        let token = support::server::families::parse(reply["accessToken"].as_str().unwrap());
        assert_eq!(token, Some((family, 2)), "{name}");
    }
    let locks = sandbox.files().into_iter().filter(|(path, _)| is_lock(path)).count();
    assert_eq!(locks, 0, "whoever came next has inherited them, and let go");
    assert_eq!(temporary(sandbox), Vec::<String>::new(), "the next call takes what a killed writer left");
    let mut doctor = sandbox.command("doctor");
    doctor.args(["--fix", "--json"]);
    let examined = finish(doctor, b"");
    assert_eq!(examined.exit, 0, "{}", examined.stdout);
    for name in ACCOUNTS {
        let whose = json!({ "service": SERVICE, "account": name });
        assert_eq!(sandbox.run("get", &whose).ok()["outcome"], "cached", "{name}");
        assert_eq!(sandbox.run("erase", &whose).ok()["revocation"], "revoked", "{name}");
        assert_eq!(sandbox.run("get", &whose).code(1), "ACCOUNT_NOT_FOUND", "{name}");
    }
    let left =
        sandbox.files().into_iter().filter(|(path, _)| path.to_string_lossy().contains("/slots/")).count();
    assert_eq!(left, 0, "no slot is left");
}
