//! The real git, an old and a new one, and a user of it whose helper is claviger.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::git_server::neutral;
use super::{Answer, Sandbox, binary, finish, skipped};

/// One git of this machine.
pub struct Git {
    program: PathBuf,
    pub version: (u32, u32, u32),
}

/// The first version that is told when a password ends, and passes it on.
pub const KNOWS_EXPIRY: (u32, u32, u32) = (2, 40, 0);
/// The first version that tells a helper what it understands, and takes a token that is no password.
pub const KNOWS_AUTHTYPE: (u32, u32, u32) = (2, 46, 0);
/// The first version that sends a Bearer token with the request that precedes a large push.
pub const PROBES_WITH_BEARER: (u32, u32, u32) = (2, 55, 0);

impl Git {
    /// The newest that knows `authtype`.
    pub fn new() -> Option<Self> {
        let found = all().into_iter().find(|git| git.version >= KNOWS_AUTHTYPE);
        if found.is_none() {
            skipped("git", "no git of 2.46 or newer is installed");
        }
        found
    }

    /// The newest that does not.
    pub fn old() -> Option<Self> {
        let found = all().into_iter().find(|git| git.version < KNOWS_AUTHTYPE);
        if found.is_none() {
            skipped("git-old", "no git older than 2.46 is installed");
        }
        found
    }

    /// Both, as far as they are there.
    pub fn each() -> Vec<Self> {
        Self::new().into_iter().chain(Self::old()).collect()
    }

    /// The folder it lies in.
    pub fn folder(&self) -> &Path {
        self.program.parent().expect("a program lies in a folder")
    }

    pub fn exec_path(&self) -> PathBuf {
        let mut command = Command::new(&self.program);
        command.arg("--exec-path").env_clear();
        PathBuf::from(said(command))
    }

    /// With nothing of the machine's configuration, and no helper.
    pub fn bare(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.program);
        neutral(&mut command, home);
        command
    }
}

/// Every git on the path and among the tools of `.ci/run`, newest first, one of each version.
#[allow(clippy::disallowed_methods, reason = "the tests' own look at the path")]
fn all() -> Vec<Git> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/git/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<Git> = std::env::split_paths(&path)
        .chain([tools])
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("git"))
        .filter(|program| program.is_file())
        .filter_map(|program| {
            let mut command = Command::new(&program);
            command.arg("--version").env_clear();
            let version = version(said(command).strip_prefix("git version ")?)?;
            Some(Git { program, version })
        })
        .collect();
    found.sort_by_key(|git| std::cmp::Reverse(git.version));
    found.dedup_by_key(|git| git.version);
    found
}

/// Three numbers with dots between; what follows does not count.
pub fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

/// What a command that must succeed says, without the end of its line.
pub fn said(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// Somebody who uses this git, with claviger on the path and sessions in files.
pub struct User<'a> {
    pub git: &'a Git,
    pub sandbox: Sandbox,
    folder: tempfile::TempDir,
}

impl<'a> User<'a> {
    /// With claviger for a helper, and no other.
    pub fn new(git: &'a Git) -> Self {
        let folder = tempfile::Builder::new().prefix("claviger-user-").tempdir().expect("a temporary folder");
        let user = Self { git, sandbox: Sandbox::plaintext(), folder };
        std::fs::create_dir(user.path("bin")).expect("a folder is made");
        std::os::unix::fs::symlink(binary(), user.path("bin/git-credential-claviger"))
            .expect("a link is made");
        user.configure("[credential]\nhelper = claviger\n");
        user
    }

    /// A path below the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `.gitconfig`.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.path(".gitconfig"), text).expect(".gitconfig is written");
    }

    /// A program on the path.
    pub fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a program is written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    }

    /// git, in a folder below the home.
    pub fn command(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = self.git.bare(self.folder.path());
        let path = format!("{}:{}:/usr/bin:/bin", self.path("bin").display(), self.git.folder().display());
        command.env("PATH", path);
        for (name, value) in self.sandbox.command("get").get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.args(arguments).current_dir(self.path(folder));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs git in the home.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        finish(self.command("", arguments), b"")
    }

    /// Runs git in the clone.
    pub fn run_in_clone(&self, arguments: &[&str]) -> Answer {
        finish(self.command("clone", arguments), b"")
    }

    /// Clones from an address into the folder `clone`, which it replaces.
    pub fn clone_from(&self, url: &str) -> Answer {
        if self.path("clone").exists() {
            std::fs::remove_dir_all(self.path("clone")).expect("the old clone is removed");
        }
        self.run(&["clone", "--quiet", url, "clone"])
    }

    /// Commits a new file of so many bytes that do not compress, and gives the commit.
    pub fn commit(&self, size: usize) -> String {
        let clone = self.path("clone");
        let number = std::fs::read_dir(&clone).expect("there is a clone").count();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64 + number as u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        let bytes: Vec<u8> = std::iter::repeat_with(&mut byte).take(size).collect();
        std::fs::write(clone.join(format!("file-{number}")), bytes).expect("a file is written");
        for arguments in [&["add", "."][..], &["commit", "--quiet", "-m", "Another"]] {
            let made = self.run_in_clone(arguments);
            assert_eq!(made.exit, 0, "{}", made.stderr);
        }
        self.run_in_clone(&["rev-parse", "HEAD"]).stdout.trim_end().to_owned()
    }

    /// `git credential fill`, `approve` or `reject`, with these lines.
    pub fn credential(&self, operation: &str, lines: &[&str]) -> Answer {
        let input = lines.join("\n") + "\n";
        finish(self.command("", &["credential", operation]), input.as_bytes())
    }
}
