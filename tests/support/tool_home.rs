//! A home for other tools, and the tools themselves where they are found.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Answer, Sandbox, binary, finish, skipped};

/// A home with a `bin` that comes first on PATH, in which `claviger` and its links lie.
pub struct Home {
    pub sandbox: Sandbox,
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Default for Home {
    fn default() -> Self {
        let folder = tempfile::Builder::new().prefix("tools-").tempdir().expect("a temporary folder");
        let home = Self { sandbox: Sandbox::plaintext(), folder, variables: Vec::new() };
        std::fs::create_dir(home.bin()).expect("a folder is made");
        link(Path::new(binary()), &home.bin().join("claviger"));
        home
    }
}

impl Home {
    /// One in which every name that tools call is there.
    pub fn linked() -> Self {
        let home = Self::default();
        let answer = home.say(&["links", "--dir", home.bin().to_str().expect("UTF-8"), "--keyring"]);
        assert_eq!(answer.exit, 0, "{}", answer.stderr);
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn bin(&self) -> PathBuf {
        self.path("bin")
    }

    /// Sets a variable for all that runs here.
    pub fn set(&mut self, name: &'static str, value: PathBuf) {
        self.variables.push((name, value));
    }

    /// Writes a file, and the folders it lies in.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        std::fs::write(&path, text).expect("a file is written");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file is read")
    }

    /// A program with an environment of this home's alone.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.folder.path()).env("CLAVIGER_HOME", self.sandbox.home());
        command.env("CLAVIGER_STORAGE", "plaintext").env("PATH", path_with(&self.bin()));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Claviger, as it is found on PATH here.
    pub fn claviger(&self, words: &[&str]) -> Command {
        let mut command = self.program(&self.bin().join("claviger"));
        command.args(words);
        command
    }

    pub fn say(&self, words: &[&str]) -> Answer {
        finish(self.claviger(words), b"")
    }

    /// What a real tool says, which must succeed; `None`: it is not here, and not required.
    pub fn ask(&self, name: &str, words: &[&str]) -> Option<String> {
        let Output { status, stdout, stderr } = self.run(name, words)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(stdout), text(stderr));
        assert!(status.success(), "{name} {words:?}: {stdout}{stderr}");
        Some(stdout)
    }

    pub fn run(&self, name: &str, words: &[&str]) -> Option<Output> {
        let mut command = self.program(&real(name)?);
        if ["cargo", "pip"].contains(&name) {
            // Found by a shim that wants to know where the rest of it lies.
            command.envs(kept(&["RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "PYENV_ROOT", "PYENV_VERSION"]));
        }
        Some(command.args(words).output().expect("the tool runs"))
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) {
    std::os::unix::fs::symlink(to, at).expect("a link is made");
}

#[cfg(windows)]
fn link(to: &Path, at: &Path) {
    std::fs::copy(to, at.with_extension("exe")).expect("a copy is made");
}

/// Where a real tool lies; `None` says that it was skipped.
pub fn real(name: &str) -> Option<PathBuf> {
    let found = folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(name, &format!("{name} is not installed"));
    }
    found
}

#[allow(clippy::disallowed_methods, reason = "the tests' own look at the path")]
fn folders() -> Vec<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let installed = std::fs::read_dir(tools).into_iter().flatten().flatten();
    let mut installed: Vec<PathBuf> =
        installed.map(|entry| entry.path().join("bin")).filter(|bin| bin.is_dir()).collect();
    installed.sort();
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).chain(installed).collect()
}

fn path_with(bin: &Path) -> std::ffi::OsString {
    std::env::join_paths([bin.to_owned()].into_iter().chain(folders())).expect("a path")
}

#[allow(clippy::disallowed_methods, reason = "what the tools' own launchers need")]
fn kept(names: &[&str]) -> Vec<(String, std::ffi::OsString)> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let value = |name: &str| {
        let usual = (name == "RUSTUP_HOME").then(|| home.join(".rustup")).filter(|folder| folder.is_dir());
        std::env::var_os(name).or_else(|| usual.map(Into::into))
    };
    names.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect()
}
