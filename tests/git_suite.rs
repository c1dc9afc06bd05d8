//! git's own tests for credential helpers that are not its own, t0303 and what stands beside it in `lib-credential.sh`,
//! of the version of each git that is found. `.ci/run` unpacks them from Debian's sources; git itself is the one that
//! is installed.

#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::git::{Git, KNOWS_AUTHTYPE, User, version};
use support::skipped;

/// The tests that do not hold, and why they do not hold here. One that begins to hold has to leave the table.
const OTHERWISE: &[(&str, &str)] = &[
    ("can store empty username", "the password is empty too, and an empty one is never kept (S2)"),
    (
        "gets oauth_refresh_token",
        "a refresh token goes to its own endpoint and its own slot, and to nobody who asks (N9)",
    ),
];

/// The same of what git asks of its own cache for credentials with a scheme.
const AUTHTYPE_OTHERWISE: &[(&str, &str)] = &[
    ("gets authtype and credential", NEVER_TYPED),
    ("gets authtype and credential with username", NEVER_TYPED),
];
const NEVER_TYPED: &str = "what has a scheme was never typed by anybody: whoever made it makes another";

/// The newest tests that were unpacked of what is no newer than this git, on the same side of `authtype`.
fn unpacked(git: &Git) -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/git-tests");
    let found = std::fs::read_dir(&tools).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = found
        .filter_map(|path| Some((version(path.file_name()?.to_str()?)?, path)))
        .filter(|(version, _)| (version.0, version.1) <= (git.version.0, git.version.1))
        .filter(|(version, _)| (*version >= KNOWS_AUTHTYPE) == (git.version >= KNOWS_AUTHTYPE))
        .max();
    if found.is_none() {
        skipped("git-tests", &format!("there are none for git {:?} below {}", git.version, tools.display()));
    }
    found.map(|(_, path)| path)
}

/// What the tests take for a git that was built beside them. Nothing of it is used: git is an installed one.
fn build(user: &User<'_>, unpacked: &Path) -> PathBuf {
    let build = user.path("build");
    let copied = Command::new("cp").arg("-r").arg(unpacked).arg(&build).status().expect("cp starts");
    assert!(copied.success());
    for folder in ["templates/blt", "t/helper"] {
        std::fs::create_dir_all(build.join(folder)).expect("a folder is made");
    }
    std::fs::write(build.join("GIT-BUILD-OPTIONS"), "SHELL_PATH=/bin/sh\nPERL_PATH=perl\nDIFF=diff\n")
        .unwrap();
    // It is asked whether something is switched on, and nothing is.
    user.program("test-tool", "exit 1");
    std::os::unix::fs::symlink(user.path("bin/test-tool"), build.join("t/helper/test-tool")).unwrap();
    build
}

/// Runs a script of git's tests with claviger for the helper, and gives its tests by name: whether each held.
fn run(user: &User<'_>, script: &str, build: &Path) -> (BTreeMap<String, bool>, String) {
    let mut command = user.command("build/t", &[]);
    let environment: Vec<_> =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    command = Command::new("/bin/sh");
    command.arg(format!("./{script}")).current_dir(build.join("t")).env_clear().envs(environment);
    command
        .env("GIT_TEST_INSTALLED", user.git.folder())
        .env("GIT_TEST_CREDENTIAL_HELPER", "claviger")
        // How the tests are written is not our affair.
        .env("GIT_TEST_CHAIN_LINT", "0")
        .stdin(Stdio::null());
    let output = command.output().expect("sh starts");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let tests = said.lines().filter_map(|line| {
        let (held, rest) = match line.strip_prefix("not ok ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok ")?),
        };
        let (_, name) = rest.split_once(" - helper (claviger) ")?;
        Some((name.to_owned(), held))
    });
    (tests.collect(), said)
}

fn check(held: &BTreeMap<String, bool>, otherwise: &[(&str, &str)], said: &str) {
    for (name, held) in held {
        let reason = otherwise.iter().find(|(otherwise, _)| otherwise == name).map(|(_, why)| why);
        match (held, reason) {
            (true, Some(why)) => panic!("{name} holds, although {why}"),
            (false, None) => panic!("{name} does not hold\n{said}"),
            _ => {}
        }
    }
}

#[test]
fn gits_own_tests_of_a_helper_hold_but_for_those_with_a_reason() {
    for git in Git::each() {
        let Some(unpacked) = unpacked(&git) else { return };
        let user = User::new(&git);
        let build = build(&user, &unpacked);
        let (held, said) = run(&user, "t0303-credential-external.sh", &build);
        assert!(held.len() >= if git.version >= KNOWS_AUTHTYPE { 21 } else { 12 }, "{said}");
        check(&held, OTHERWISE, &said);
    }
}

#[test]
fn gits_own_tests_of_what_is_no_password_hold_but_for_those_with_a_reason() {
    let Some(git) = Git::new() else { return };
    let Some(unpacked) = unpacked(&git) else { return };
    let user = User::new(&git);
    let build = build(&user, &unpacked);
    let script = "test_description='authtype'\n. ./test-lib.sh\n. \"$TEST_DIRECTORY\"/lib-credential.sh\n\
                  helper_test_authtype \"$GIT_TEST_CREDENTIAL_HELPER\"\ntest_done\n";
    std::fs::write(build.join("t/t0000-authtype.sh"), script).unwrap();
    let (held, said) = run(&user, "t0000-authtype.sh", &build);
    assert_eq!(held.len(), 7, "{said}");
    check(&held, AUTHTYPE_OTHERWISE, &said);
}
