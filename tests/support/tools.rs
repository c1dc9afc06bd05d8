//! Real tools: where they are, and a clean environment for them with claviger in it.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Answer, Sandbox, binary, skipped};

/// Every copy of a tool: what was installed below `target/tools` for the tests, and the one on the path.
#[allow(clippy::disallowed_methods, reason = "the tests' own look at the path")]
pub fn found(name: &str) -> Vec<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(tools)
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join(name).is_file());
    folders.extend(on_path);
    folders.into_iter().map(|folder| folder.join(name)).filter(|file| file.is_file()).collect()
}

/// Those of them that run with these arguments; where there is none, the test says so, and fails if one is required.
pub fn every(name: &str, arguments: &[&str]) -> Vec<PathBuf> {
    let runs = |program: &PathBuf| {
        let output = Bench::new().command(program).args(arguments).output();
        let runs = output.is_ok_and(|output| output.status.success());
        if !runs {
            eprintln!("passed over: {} does not run", program.display());
        }
        runs
    };
    let running: Vec<_> = found(name).into_iter().filter(runs).collect();
    if running.is_empty() {
        skipped(name, &format!("there is no {name} that runs"));
    }
    running
}

/// A home for one tool: its own HOME, and a folder of links to the binary that is first on its path.
pub struct Bench {
    pub sandbox: Sandbox,
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("claviger-tool-").tempdir().expect("a temporary folder");
        for name in ["home", "bin", "tmp", "work"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder is made");
        }
        let bench = Self { sandbox: Sandbox::plaintext(), folder };
        // go would begin to count, and write here after its end.
        bench.write("home/.config/go/telemetry/mode", "off");
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file below the bench's folder, with the folders that it needs.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders are made");
        std::fs::write(&path, text).expect("a file is written");
        path
    }

    /// Puts the binary below the bench's folder under another name.
    pub fn link(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders are made");
        symlink(binary(), &path).expect("a link is made");
        path
    }

    /// A program with nothing of this machine's environment but what it needs to run.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = [self.path("bin"), "/usr/local/bin".into(), "/usr/bin".into(), "/bin".into()];
        command
            .env_clear()
            .env("PATH", std::env::join_paths(path).expect("no colon in a folder's name"))
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("CLAVIGER_HOME", self.sandbox.home())
            .env("CLAVIGER_STORAGE", "plaintext")
            .current_dir(self.path("work"))
            .stdin(Stdio::null());
        command
    }
}

/// Runs a tool to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Answer {
    Answer::of(command.output().expect("the tool starts"))
}

/// Runs a tool that must succeed.
#[track_caller]
pub fn succeed(command: &mut Command) -> Answer {
    let answer = run(command);
    assert_eq!(answer.exit, 0, "{command:?}\n{}\n{}", answer.stdout, answer.stderr);
    answer
}

/// Runs a tool that must fail.
#[track_caller]
pub fn fail(command: &mut Command) -> Answer {
    let answer = run(command);
    assert_ne!(answer.exit, 0, "{command:?}\n{}\n{}", answer.stdout, answer.stderr);
    answer
}
