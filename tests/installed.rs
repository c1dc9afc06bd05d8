//! Any executable of claviger, from outside: the one just built, or the one that `CLAVIGER_PROGRAM` names, a static one, one
//! of another processor under an emulator, one of Windows under wine.
//!
//! `CLAVIGER_PROGRAM` is a command line, split at spaces. `CLAVIGER_PROGRAM_HOMES` is `OURS=THEIRS`: a folder in which its
//! homes lie, and what the program calls that folder. With `CLAVIGER_PROGRAM_KEYRING` the keyring is that of its own system,
//! and is tried; else it is a private gnome-keyring, where there is one.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "the tests' own switches")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::bus::Bus;
use support::server::Server;
use support::{Answer, finish, storm};

/// An executable with a home of its own, and a storage.
struct Program {
    words: Vec<String>,
    home: tempfile::TempDir,
    called: String,
    storage: &'static str,
    service: String,
    bus: Option<Bus>,
}

impl Program {
    /// The program in every storage there is here; `test` names its service, for a keyring may be one for all.
    fn in_every_storage(test: &str) -> Vec<Self> {
        let mut programs = vec![Self::new(test, "plaintext", None)];
        if std::env::var_os("CLAVIGER_PROGRAM_KEYRING").is_some() {
            programs.push(Self::new(test, "keyring", None));
        } else if let Some(bus) = Bus::with_keyring() {
            programs.push(Self::new(test, "keyring", Some(bus)));
        }
        programs
    }

    fn new(test: &str, storage: &'static str, bus: Option<Bus>) -> Self {
        let line = std::env::var("CLAVIGER_PROGRAM").unwrap_or_else(|_| support::binary().to_owned());
        let mut temporary = tempfile::Builder::new();
        temporary.prefix("installed-");
        let (home, called) = if let Ok(both) = std::env::var("CLAVIGER_PROGRAM_HOMES") {
            let (ours, theirs) = both.split_once('=').expect("CLAVIGER_PROGRAM_HOMES is OURS=THEIRS");
            let home = temporary.tempdir_in(ours).expect("a folder of the program's");
            let name = home.path().file_name().expect("it has a name").to_string_lossy().into_owned();
            (home, format!("{theirs}{name}"))
        } else {
            let home = temporary.tempdir().expect("a temporary folder");
            let called = home.path().display().to_string();
            (home, called)
        };
        let service = format!("https://{test}-{}.acme.example", std::process::id());
        // An emulator, and a keyring behind it, want their time.
        std::fs::write(
            home.path().join("config.toml"),
            "[timeouts]\nkeyring = 60\nrequest = 60\nlock = 120\n",
        )
        .expect("config.toml is written");
        let words = line.split_whitespace().map(str::to_owned).collect();
        Self { words, home, called, storage, service, bus }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (program, before) = self.words.split_first().expect("CLAVIGER_PROGRAM names a program");
        let mut command = Command::new(program);
        command.args(before).args(arguments).env_clear();
        command.env("CLAVIGER_HOME", &self.called).env("CLAVIGER_STORAGE", self.storage);
        if let Some(bus) = &self.bus {
            command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, verb: &str, request: &Value) -> Answer {
        finish(self.command(&[verb]), request.to_string().as_bytes())
    }

    fn get(&self) -> Value {
        json!({ "service": self.service })
    }

    fn bundle(&self, more: &Value) -> Value {
        let mut bundle = json!({ "service": self.service, "account": "alice", "accessToken": "AT1" });
        let (bundle_keys, more) = (bundle.as_object_mut().unwrap(), more.as_object().unwrap());
        bundle_keys.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
        bundle
    }

    fn expired(&self, server: &Server, refresh_token: &str) -> Value {
        self.bundle(&json!({
            "expiresAt": "2020-01-01T00:00:00Z", "refreshToken": refresh_token,
            "tokenEndpoint": server.token_endpoint(), "clientId": "claviger-tests",
        }))
    }

    /// Ends every process of this home's, called ones and workers, as a power cut would. Their environment names them,
    /// whatever runs them.
    fn kill_all(&self) -> usize {
        let home = self.home.path().file_name().unwrap().to_string_lossy().into_owned();
        let ids = || {
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        };
        let part_of = |id: &String, file: &str, what: &str| {
            let text = std::fs::read(Path::new("/proc").join(id).join(file)).unwrap_or_default();
            text.windows(what.len()).any(|part| part == what.as_bytes())
        };
        // What runs it may live on for others, as wine's server does, with the environment of whoever came first.
        let of_ours = |id: &String| part_of(id, "environ", &home) && part_of(id, "cmdline", "claviger");
        let ours = ids().filter(|id| id.parse::<i32>().is_ok()).filter(of_ours);
        let killed = ours.filter_map(|id| kill_process(Pid::from_raw(id.parse().ok()?)?, Signal::KILL).ok());
        killed.count()
    }

    fn erased(&self) {
        assert_eq!(self.run("erase", &self.get()).ok()["erased"], true, "{}", self.storage);
        assert_eq!(self.run("get", &self.get()).code(1), "NOT_FOUND", "{}", self.storage);
    }
}

#[test]
fn it_says_its_version_and_what_it_can_do() {
    let program = Program::new("version", "plaintext", None);
    let version = finish(program.command(&["--version"]), b"");
    assert_eq!(
        (version.exit, version.stdout.trim_end()),
        (0, concat!("claviger ", env!("CARGO_PKG_VERSION")))
    );
    let said = program.run("capabilities", &json!({})).ok();
    assert!(said["storages"].as_array().is_some_and(|storages| storages.len() == 3), "{said}");
    let page = finish(program.command(&["man", "get"]), b"");
    assert!(page.exit == 0 && page.stdout.contains("CLAVIGER-GET"), "{}", page.stderr);
}

#[test]
fn a_session_is_kept_given_refreshed_and_ended() {
    for program in Program::in_every_storage("life") {
        let server = Server::start("RT1");
        let stored = program.run("store", &program.bundle(&json!({ "expiresIn": 3600 }))).ok();
        assert_eq!(stored["storage"], program.storage);
        let cached = program.run("get", &program.get()).ok();
        assert_eq!((&cached["accessToken"], &cached["outcome"]), (&json!("AT1"), &json!("cached")));

        program.run("store", &program.expired(&server, "RT1")).ok();
        let refreshed = program.run("get", &program.get()).ok();
        assert_eq!((&refreshed["outcome"], server.token_requests()), (&json!("refreshed"), 1));
        let refused = json!({ "service": program.service, "accessToken": refreshed["accessToken"] });
        assert_eq!(program.run("erase", &refused).ok()["erased"], true);
        let again = program.run("get", &program.get()).ok();
        assert_eq!((&again["outcome"], server.token_requests()), (&json!("refreshed"), 2));
        assert_ne!(again["accessToken"], refreshed["accessToken"]);
        assert_eq!(server.log(|log| log.reused), 0);
        program.erased();
    }
}

#[test]
fn twenty_callers_at_once_make_one_request_and_have_one_token() {
    for program in Program::in_every_storage("twenty") {
        let server = Server::start("RT1");
        program.run("store", &program.expired(&server, "RT1")).ok();
        let answers = storm(20, program.get().to_string().as_bytes(), || program.command(&["get"]));
        let tokens: Vec<_> = answers.iter().map(|answer| answer.ok()["accessToken"].clone()).collect();
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
        assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0), "{}", program.storage);
        program.erased();
    }
}

#[test]
fn tokens_of_eight_kibibytes_come_back() {
    for program in Program::in_every_storage("eight") {
        let long = "R".repeat(8192);
        let server = Server::start(&long);
        let access = "A".repeat(8192);
        let mut bundle = program.expired(&server, &long);
        bundle["accessToken"] = json!(access);
        bundle["expiresAt"] = json!("2099-01-01T00:00:00Z");
        program.run("store", &bundle).ok();
        assert_eq!(
            program.run("get", &program.get()).ok()["accessToken"],
            json!(access),
            "{}",
            program.storage
        );
        let refreshed = program.run("get", &json!({ "service": program.service, "forceRefresh": true })).ok();
        assert_eq!(refreshed["outcome"], "refreshed");
        assert_eq!(server.log(|log| log.tokens[0]["refresh_token"].clone()), long);
        program.erased();
    }
}

#[test]
fn a_lock_that_a_killed_process_left_is_taken_over_and_nothing_is_lost() {
    for program in Program::in_every_storage("killed") {
        let server = Server::start("RT1");
        // What was granted to the one that was killed is granted to the next, as servers with a grace period do.
        server.behave(|behaviour| behaviour.grace = Duration::from_secs(3600));
        program.run("store", &program.expired(&server, "RT1")).ok();
        server.hold();
        let mut child = program.command(&["get"]).spawn().expect("it starts");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), program.get().to_string().as_bytes())
            .unwrap();
        server.wait_held(1);
        assert!(program.kill_all() > 0, "nothing was running");
        child.wait().expect("it has ended");
        server.release();
        let next = program.run("get", &program.get()).ok();
        assert_eq!(
            (&next["outcome"], server.token_requests()),
            (&json!("refreshed"), 2),
            "{}",
            program.storage
        );
        assert_eq!(program.run("get", &program.get()).ok()["accessToken"], next["accessToken"]);
        let examined = finish(program.command(&["doctor"]), b"");
        // A keyring that all share holds sessions of others, which this home's index does not know.
        let about_ours = |line: &str| line.starts_with("problem") && line.contains(&program.service);
        assert!(!examined.stdout.lines().any(about_ours), "{}: {}", program.storage, examined.stdout);
        program.erased();
    }
}

#[test]
fn who_reads_while_a_session_is_replaced_has_the_old_one_or_the_new() {
    for program in Program::in_every_storage("replaced") {
        program.run("store", &program.bundle(&json!({ "accessToken": "AT0" }))).ok();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 1..=10 {
                    let token = format!("AT{number}");
                    program.run("store", &program.bundle(&json!({ "accessToken": token }))).ok();
                }
            });
            let mut last = 0;
            while !writer.is_finished() {
                let token = program.run("get", &program.get()).ok()["accessToken"].clone();
                let number: u32 = token.as_str().unwrap().trim_start_matches("AT").parse().unwrap();
                assert!(number >= last, "AT{number} after AT{last}");
                last = number;
            }
        });
        assert_eq!(program.run("get", &program.get()).ok()["accessToken"], "AT10");
        program.erased();
    }
}

#[test]
fn its_files_are_where_it_was_told() {
    let program = Program::new("home", "plaintext", None);
    program.run("store", &program.bundle(&json!({}))).ok();
    assert_eq!(std::fs::read_dir(program.home.path().join("slots")).expect("the slots are there").count(), 1);
}
