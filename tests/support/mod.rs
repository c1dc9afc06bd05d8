//! What the tests share: the real binary in a folder of its own, an authorization server, a private keyring
//! (a real one, or one with chosen habits), and a world in memory.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its own part of this")]

pub mod bus;
#[cfg(target_os = "linux")]
pub mod crates;
pub mod faults;
#[cfg(unix)]
pub mod git;
#[cfg(unix)]
pub mod git_server;
#[cfg(unix)]
pub mod git_stage;
pub mod grants;
pub mod oidc;
#[cfg(unix)]
pub mod processes;
pub mod record;
#[cfg(target_os = "linux")]
pub mod registry;
#[cfg(target_os = "linux")]
pub mod registry_user;
#[cfg(target_os = "linux")]
pub mod scripted;
pub mod server;
pub mod shapes;
pub mod signing;
#[cfg(target_os = "linux")]
pub mod stage;
#[cfg(target_os = "linux")]
pub mod strace;
#[cfg(target_os = "linux")]
pub mod tls;
pub mod tool_home;
#[cfg(target_os = "linux")]
pub mod tools;
pub mod vault;
#[cfg(target_os = "linux")]
pub mod web;
pub mod world;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Whether a real component named in `CLAVIGER_REQUIRE` may be missing: there it is a failure, elsewhere the
/// test says that it was skipped.
#[allow(clippy::disallowed_methods, reason = "the tests' own switch")]
pub fn skipped(component: &str, missing: &str) {
    let required = std::env::var("CLAVIGER_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == component),
        "{component} is required, but {missing}"
    );
    eprintln!("skipped: {component}: {missing}");
}

/// Whether a program is on the path.
#[allow(clippy::disallowed_methods, reason = "the tests' own look at the path")]
pub fn has_program(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// The real binary, with an environment of its own and a state folder that vanishes.
pub struct Sandbox {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a run of the binary gave.
pub struct Answer {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn of(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// The reply, which must be one line of JSON.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.matches('\n').count(), 1, "one line: {:?} {:?}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).expect("stdout is JSON")
    }

    /// The reply of a run that must have succeeded.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.exit, 0, "{} {}", self.stdout, self.stderr);
        self.json()
    }

    /// The error code of a run that must have failed with that exit status.
    #[track_caller]
    pub fn code(&self, exit: i32) -> String {
        assert_eq!(self.exit, exit, "{} {}", self.stdout, self.stderr);
        self.json()["error"]["code"].as_str().expect("an error has a code").to_owned()
    }
}

impl Sandbox {
    /// With files for a store.
    pub fn plaintext() -> Self {
        Self::new(&[("CLAVIGER_STORAGE", "plaintext")])
    }

    /// With these variables beside `CLAVIGER_HOME`.
    pub fn new(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("claviger-").tempdir().expect("a temporary folder");
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { folder, environment }
    }

    /// Sets a variable from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// The state folder.
    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// One in files where a provider `ci` gives tokens to a machine. Its secret lies in a file.
    pub fn with_a_machine_grant(server: &server::Server) -> Self {
        let sandbox = Self::plaintext();
        let secret = sandbox.home().join("secret");
        std::fs::write(&secret, "CS:% 1\n").expect("the secret is written");
        sandbox.configure(&format!(
            "[timeouts]\nrequest = 1\nconnect = 1\nlock = 10\n\
             [providers.ci]\ntoken-endpoint = \"{}\"\nclient-id = \"runner\"\nclient-auth = \"client_secret_basic\"\n\
             client-secret = {{ file = '{}' }}\ngrant = \"client_credentials\"\nservices = [\"{SERVICE}\"]\n",
            server.token_endpoint(),
            secret.display()
        ));
        sandbox
    }

    /// Writes `config.toml`.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.home().join("config.toml"), text).expect("config.toml is written");
    }

    /// The binary, ready to be started.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(binary());
        command.arg(verb).env_clear().env("CLAVIGER_HOME", self.home());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The binary, as it is called by the name of a link to it.
    #[cfg(unix)]
    pub fn by(&self, name: &str, arguments: &[&str]) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(binary());
        command.arg0(name).args(arguments).env_clear().env("CLAVIGER_HOME", self.home());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary on exactly these bytes.
    pub fn run_bytes(&self, verb: &str, input: &[u8]) -> Answer {
        finish(self.command(verb), input)
    }

    /// Runs the binary on a request.
    pub fn run(&self, verb: &str, request: &Value) -> Answer {
        self.run_bytes(verb, request.to_string().as_bytes())
    }

    /// Runs the binary under strace, with these options besides, and gives its system calls, one a line; `None`
    /// where there is no strace and none is required.
    pub fn traced(&self, verb: &str, request: &Value, options: &[&str]) -> Option<(Answer, Vec<String>)> {
        if !has_program("strace") {
            skipped("strace", "strace is not installed");
            return None;
        }
        let trace = self.home().join("trace");
        let plain = self.command(verb);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-s", "4096"]).args(options).arg("-o").arg(&trace);
        command.arg(plain.get_program()).args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let answer = finish(command, request.to_string().as_bytes());
        let text = std::fs::read_to_string(&trace).expect("strace wrote its output");
        std::fs::remove_file(&trace).expect("the trace is removed");
        // `-f` puts the thread's number before each call.
        let calls = text
            .lines()
            .filter_map(|line| line.split_once(' ').map(|(_, call)| call.trim().to_owned()))
            .collect();
        Some((answer, calls))
    }

    /// The files below the state folder, with their contents.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files_below(self.home())
    }
}

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_claviger")
}

/// Starts a command, gives it its input, waits for its end.
pub fn finish(mut command: Command, input: &[u8]) -> Answer {
    let mut child = command.spawn().expect("the binary starts");
    // It may rightly end before it has read everything.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    Answer::of(child.wait_with_output().expect("the binary ends"))
}

/// Starts as many copies of a command at once, then waits for all.
pub fn storm(count: usize, input: &[u8], command: impl Fn() -> Command) -> Vec<Answer> {
    let mut children: Vec<_> = (0..count).map(|_| command().spawn().expect("the binary starts")).collect();
    for child in &mut children {
        child.stdin.take().expect("stdin is piped").write_all(input).expect("the request is written");
    }
    children.into_iter().map(|child| Answer::of(child.wait_with_output().expect("the binary ends"))).collect()
}

/// The same, with what number each command is, and with how long it took from before the first was started until
/// each had its answer: an upper bound of what each waited.
pub fn timed_storm(
    count: usize,
    input: &[u8],
    command: impl Fn(usize) -> Command,
) -> Vec<(Answer, Duration)> {
    let begun = server::families::now();
    let mut children: Vec<_> =
        (0..count).map(|number| command(number).spawn().expect("the binary starts")).collect();
    for child in &mut children {
        child.stdin.take().expect("stdin is piped").write_all(input).expect("the request is written");
    }
    let wait = |child: std::process::Child| {
        let answer = Answer::of(child.wait_with_output().expect("the binary ends"));
        (answer, begun.elapsed())
    };
    std::thread::scope(|scope| {
        let waiting: Vec<_> = children.into_iter().map(|child| scope.spawn(move || wait(child))).collect();
        waiting.into_iter().map(|thread| thread.join().expect("it waits to the end")).collect()
    })
}

/// The pin of this machine in a state folder (B3): named by the first 32 hex digits of its name's SHA-256.
pub fn pin_file(home: &Path) -> PathBuf {
    let digest = claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(machine()));
    home.join("pin").join(format!("{}.json", &digest[..32]))
}

#[cfg(unix)]
pub fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(windows)]
#[allow(clippy::disallowed_methods, reason = "the tests' own look")]
pub fn machine() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "unnamed".to_owned())
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder is read") {
            let path = entry.expect("an entry is read").path();
            let kind = std::fs::symlink_metadata(&path).expect("metadata").file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let content = match std::fs::read(&path) {
                    // A lock on Windows: its holder lets nobody look.
                    Err(error) if cfg!(windows) && error.raw_os_error() == Some(32) => Vec::new(),
                    content => content.expect("a file is read"),
                };
                files.push((path.clone(), content));
            }
        }
    }
    files.sort();
    files
}

/// Token sizes around every limit a keyring has: Windows' 2,560 bytes, halved where text is UTF-16.
pub const SIZES: [usize; 8] = [1, 1279, 1280, 1281, 2560, 2561, 8192, 65536];

/// Every size of [`SIZES`], stored and given back.
pub fn every_size_comes_back(sandbox: &Sandbox) {
    for size in SIZES {
        let token = "x".repeat(size);
        sandbox.run("store", &json!({ "service": SERVICE, "account": "alice", "accessToken": token })).ok();
        assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], json!(token), "{size}");
    }
}

pub const SERVICE: &str = "https://api.acme.example";

/// A bundle that expired long ago and can be refreshed at a server.
pub fn expired(server: &server::Server, refresh_token: &str) -> Value {
    json!({
        "service": SERVICE,
        "account": "alice",
        "accessToken": "AT1-expired",
        "expiresAt": "2020-01-01T00:00:00Z",
        "refreshToken": refresh_token,
        "tokenEndpoint": server.token_endpoint(),
        "revocationEndpoint": server.revocation_endpoint(),
        "clientId": "claviger-tests",
    })
}

/// The shortest request there is.
pub fn get() -> Value {
    json!({ "service": SERVICE })
}
