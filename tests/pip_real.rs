//! The keyring dialect and the real pip and uv, against an index of packages that asks for a user name and a password.

#![cfg(target_os = "linux")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use support::tools::{Bench, every, fail, succeed};
use support::web::{Door, FUTURE, PAST, Reply, Request, Web};
use support::{Answer, finish};

/// An index, and what asks it.
struct Index {
    program: PathBuf,
    door: Door,
    web: Web,
    bench: Bench,
}

/// The wheel of a package with nothing in it.
const WHEEL: &str = "hello-1.0-py3-none-any.whl";

fn answer(door: &Door, wheel: &[u8], request: &Request) -> Reply {
    if !door.opens(request.basic().map(|(_, password)| password).as_deref()) {
        return Reply::unauthorized("Basic realm=\"packages\"");
    }
    match request.target.as_str() {
        "/team/simple/hello/" => {
            Reply::new(200, "text/html", format!("<!DOCTYPE html><a href=\"../{WHEEL}\">{WHEEL}</a>"))
        }
        "/team/simple/hello-1.0-py3-none-any.whl" => Reply::new(200, "application/octet-stream", wheel),
        _ => Reply::not_found(),
    }
}

/// The Python that a tool would install for.
fn python(program: &Path) -> PathBuf {
    let beside = program.with_file_name("python");
    // A link whose Python lies where this user may not look is no Python.
    if beside.metadata().is_ok_and(|file| file.is_file()) { beside } else { "python3".into() }
}

/// A wheel is a zip file, which Python can pack.
fn wheel(bench: &Bench, program: &Path) -> Vec<u8> {
    let about = "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n";
    bench.write("tmp/hello-1.0.dist-info/METADATA", about);
    let tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    bench.write("tmp/hello-1.0.dist-info/WHEEL", tags);
    bench.write("tmp/hello-1.0.dist-info/RECORD", "");
    let mut pack = bench.command(python(program));
    succeed(pack.args(["-m", "zipfile", "-c", WHEEL, "hello-1.0.dist-info"]).current_dir(bench.path("tmp")));
    std::fs::read(bench.path("tmp").join(WHEEL)).expect("a wheel was packed")
}

/// One for each version of a tool that there is. `keyring` is a link to claviger in a private folder that is
/// first on the path.
fn indexes(name: &str) -> Vec<Index> {
    let mut seen = Vec::new();
    let mut is_new = |program: &PathBuf| {
        let version = succeed(Bench::new().command(program).arg("--version")).stdout;
        let version = version.split(" from ").next().unwrap_or_default().to_owned();
        let new = !seen.contains(&version);
        seen.push(version);
        new
    };
    // Debian's pip of 2023 knows no such option.
    every(
        name,
        if name == "pip" { &["--keyring-provider", "subprocess", "--version"] } else { &["--version"] },
    )
    .into_iter()
    .filter(|program| is_new(program))
    .map(|program| {
        let (door, bench) = (Door::new(), Bench::new());
        bench.link("bin/keyring");
        let (handler, wheel) = (door.clone(), wheel(&bench, &program));
        let web = Web::http(move |request| answer(&handler, &wheel, request));
        Index { program, door, web, bench }
    })
    .collect()
}

/// Whether a pip asks for user name and password at once, as those since 26.2 do.
fn asks_for_both(index: &Index) -> bool {
    let said = succeed(index.bench.command(&index.program).arg("--version")).stdout;
    let mut numbers = said.split([' ', '.']).filter_map(|word| word.parse::<u32>().ok());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (26, 2)
}

impl Index {
    fn store(&self, expires: &str) {
        self.bench.sandbox.run("store", &self.door.session(&self.web.address(), expires)).ok();
    }

    /// The index' address, with a user name in it.
    fn url(&self, user: &str) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        format!("http://{user}{at}{}/team/simple", self.web.authority())
    }

    /// A download with nothing remembered.
    fn pip(&self, user: &str) -> Command {
        let folder = tempfile::tempdir_in(self.bench.path("tmp")).expect("a folder").keep();
        let mut command = self.bench.command(&self.program);
        command.args(["download", "hello", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]);
        command
            .args(["--keyring-provider", "subprocess", "--index-url", &self.url(user), "--dest"])
            .arg(folder);
        command.env("PIP_CONFIG_FILE", "/dev/null");
        command
    }

    /// An installation with nothing remembered.
    fn uv(&self, user: &str) -> Command {
        let folder = tempfile::tempdir_in(self.bench.path("tmp")).expect("a folder").keep();
        let mut command = self.bench.command(&self.program);
        command.args(["pip", "install", "hello", "--no-cache", "--no-python-downloads", "--no-progress"]);
        command.arg("--python").arg(python(&self.program)).arg("--target").arg(folder);
        command.args(["--keyring-provider", "subprocess"]);
        if !user.is_empty() {
            command.args(["--no-config", "--index-url", &self.url(user)]);
        }
        command
    }

    /// A uv that asks although no user is named.
    fn uv_always(&self) -> Command {
        let always = format!(
            "[[index]]\nname = \"team\"\nurl = \"{}\"\nauthenticate = \"always\"\ndefault = true\n",
            self.url("")
        );
        let file = self.bench.write("work/uv.toml", &always);
        let mut command = self.uv("");
        command.arg("--config-file").arg(file);
        command
    }

    /// What each pip or uv can do without a question to anybody.
    fn commands(&self, name: &str) -> Vec<Command> {
        if name == "uv" {
            return vec![self.uv("oauth2"), self.uv_always()];
        }
        let mut commands = vec![self.pip("oauth2")];
        if asks_for_both(self) {
            commands.push(self.pip(""));
        }
        for command in &mut commands {
            command.arg("--no-input");
        }
        commands
    }

    /// The users and passwords that were shown since this was last asked for, each once.
    fn shown(&self) -> Vec<(String, String)> {
        let mut shown: Vec<_> = self.web.asked().iter().filter_map(Request::basic).collect();
        shown.dedup();
        shown
    }
}

fn pair(user: &str, password: &str) -> (String, String) {
    (user.to_owned(), password.to_owned())
}

#[test]
fn an_index_is_shown_the_token_as_a_password() {
    for name in ["pip", "uv"] {
        for index in indexes(name) {
            index.door.accept("AT1");
            index.store(FUTURE);
            for mut command in index.commands(name) {
                succeed(&mut command);
                let shown = index.shown();
                assert_eq!(shown.last(), Some(&pair("oauth2", "AT1")), "{command:?}");
                assert!(
                    shown.iter().all(|(_, password)| ["", "AT1"].contains(&password.as_str())),
                    "{shown:?}"
                );
            }
        }
    }
}

#[test]
fn a_session_s_own_user_name_goes_with_its_token() {
    for name in ["pip", "uv"] {
        for index in indexes(name) {
            index.door.accept("AT1");
            let mut session = index.door.session(&index.web.address(), FUTURE);
            session["username"] = "__token__".into();
            index.bench.sandbox.run("store", &session).ok();
            let mut commands = match name {
                "uv" => vec![index.uv_always(), index.uv("__token__")],
                _ if asks_for_both(&index) => vec![index.pip(""), index.pip("__token__")],
                _ => vec![index.pip("__token__")],
            };
            for command in &mut commands {
                succeed(command);
                assert_eq!(index.shown().last(), Some(&pair("__token__", "AT1")), "{command:?}");
            }
        }
    }
}

#[test]
fn an_expired_token_makes_one_token_request() {
    for name in ["pip", "uv"] {
        for index in indexes(name) {
            index.store(PAST);
            for mut command in index.commands(name) {
                succeed(&mut command);
                assert_eq!(index.shown().last(), Some(&pair("oauth2", &index.door.newest())));
            }
            assert_eq!(index.door.server().token_requests(), 1);
        }
    }
}

#[test]
fn without_a_session_or_for_somebody_else_s_name_nothing_is_given_and_nothing_said() {
    for name in ["pip", "uv"] {
        for index in indexes(name) {
            index.door.accept("AT1");
            for round in ["nothing is stored", "another user is asked for"] {
                let mut commands = match round {
                    "nothing is stored" => index.commands(name),
                    _ if name == "uv" => vec![index.uv("somebody")],
                    _ => vec![index.pip("somebody")],
                };
                for command in &mut commands {
                    let answer = fail(command.arg(if name == "uv" { "--quiet" } else { "--no-input" }));
                    assert!(!answer.stderr.contains("claviger"), "{round}: {}", answer.stderr);
                    let given = index.shown().into_iter().find(|(_, password)| !password.is_empty());
                    assert_eq!(given, None, "{round}: {command:?}");
                }
                index.store(FUTURE);
            }
        }
    }
}

/// Runs pip where nobody sits at a terminal: what it asks is answered by these lines.
fn typed(command: &Command, lines: &str) -> Answer {
    let mut alone = Command::new("setsid");
    alone.arg("--wait").arg(command.get_program()).args(command.get_args()).env_clear();
    alone.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    alone.current_dir(command.get_current_dir().expect("a folder"));
    alone.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(alone, lines.as_bytes())
}

#[test]
fn what_somebody_types_to_pip_and_has_saved_is_there_the_next_time() {
    for index in indexes("pip") {
        index.door.accept("typed");
        let answer = typed(&index.pip(""), "alice\ntyped\ny\n");
        assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
        let kept = index.bench.sandbox.run("get", &json!({ "service": index.web.address() })).ok();
        assert_eq!((&kept["account"], &kept["accessToken"]), (&json!("alice"), &json!("typed")));

        index.web.asked();
        succeed(index.pip("alice").arg("--no-input"));
        assert_eq!(index.shown().last(), Some(&pair("alice", "typed")));
        // Another user's name has nothing to do with it.
        fail(index.pip("bob").arg("--no-input"));
        assert!(index.shown().iter().all(|(_, password)| password != "typed"));

        let keyring = index.bench.path("bin/keyring");
        let place = index.web.authority();
        succeed(index.bench.command(&keyring).args(["del", &place, "alice"]));
        fail(index.pip("alice").arg("--no-input"));
    }
}

#[test]
fn the_tools_ask_as_they_are_known_to() {
    for name in ["pip", "uv"] {
        for index in indexes(name) {
            let (keyring, log) = (index.bench.link("links/keyring"), index.bench.path("log"));
            std::fs::remove_file(index.bench.path("bin/keyring")).expect("the link is taken away");
            let script =
                format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", log.display(), keyring.display());
            let written = index.bench.write("bin/keyring", &script);
            std::fs::set_permissions(written, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            for mut command in index.commands(name) {
                fail(&mut command);
            }
            let (url, place) = (index.url(""), index.web.authority());
            let expected = match name {
                "uv" => vec![format!("get {url} oauth2"), format!("get {url} --mode creds")],
                _ if asks_for_both(&index) => vec![
                    format!("--mode=creds --output=json get {url}/ oauth2"),
                    format!("--mode=creds --output=json get {place} oauth2"),
                    format!("--mode=creds --output=json get {url}/"),
                    format!("--mode=creds --output=json get {place}"),
                ],
                _ => vec![format!("get {url}/ oauth2"), format!("get {place} oauth2")],
            };
            let asked = std::fs::read_to_string(&log).unwrap();
            for line in expected {
                assert!(asked.lines().any(|asked| asked == line), "{line:?} is not in {asked}");
            }
        }
    }
}
