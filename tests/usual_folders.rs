//! The usual folders, with no variable that moves them: there the locks of both backends lie in one folder, and every
//! verb must get along with that. In a mount namespace of its own, so that no real home is touched; this needs root.

#![cfg(target_os = "linux")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use support::bus::Bus;
use support::{Answer, SERVICE, has_program, skipped};

/// The calls, one after another in one home: each line is the words of a call and its input.
fn in_a_home_of_ones_own(bus: &Bus, calls: &[(&str, String)]) -> Option<Vec<Answer>> {
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten()?.dir;
    if !nix::unistd::geteuid().is_root() || !has_program("unshare") {
        skipped("mount-namespace", "this user cannot have one");
        return None;
    }
    // The project may lie in the home that is covered.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binary = folder.path().join("claviger");
    std::fs::copy(support::binary(), &binary).expect("the binary is copied");
    let run = |script: &str, input: &str| {
        let mut child = namespace(&home, &binary, script)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", &home)
            .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("it reads");
        Answer::of(child.wait_with_output().expect("it ends"))
    };
    if run("true", "").exit != 0 {
        skipped("mount-namespace", "this machine allows none");
        return None;
    }
    // One namespace for all calls; each gets its input from a here-document and ends with a line of its own.
    let lines: Vec<String> = calls
        .iter()
        .map(|(words, input)| format!("\"$2\" {words} <<'END' 2>&1\n{input}\nEND\necho \"exit $?\"\n"))
        .collect();
    let answer = run(&lines.concat(), "");
    let parts = answer.stdout.split_inclusive("exit 0\n").map(|part| Answer {
        exit: i32::from(!part.ends_with("exit 0\n")),
        stdout: part.trim_end_matches("exit 0\n").to_owned(),
        stderr: String::new(),
    });
    Some(parts.collect())
}

fn namespace(home: &Path, binary: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    let covered = format!("mount -t tmpfs none \"$1\" && {{ {script}\n}}");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &covered, "sh"]).arg(home).arg(binary);
    command
}

#[test]
fn every_verb_works_where_nothing_moves_the_folders() {
    let Some(bus) = Bus::with_keyring() else { return };
    let bundle = json!({
        "service": SERVICE, "account": "usual", "accessToken": "AT1", "expiresIn": 3600, "refreshToken": "RT1",
        "tokenEndpoint": "https://127.0.0.1:1/token", "clientId": "tests",
    });
    let wanted = json!({ "service": SERVICE, "account": "usual" });
    let calls = [
        ("store", bundle.to_string()),
        ("get", wanted.to_string()),
        ("storage move plaintext --json", String::new()),
        ("store", bundle.to_string()),
        ("doctor --json", String::new()),
        ("storage move keyring --json", String::new()),
        ("store", bundle.to_string()),
        ("erase", wanted.to_string()),
        ("doctor --json", String::new()),
    ];
    let Some(answers) = in_a_home_of_ones_own(&bus, &calls) else { return };
    assert_eq!(
        answers.len(),
        calls.len(),
        "{:?}",
        answers.iter().map(|answer| &answer.stdout).collect::<Vec<_>>()
    );
    for ((words, _), answer) in calls.iter().zip(&answers) {
        assert_eq!(answer.exit, 0, "{words}: {}", answer.stdout);
    }
    assert_eq!(answers[1].json()["accessToken"], "AT1");
    assert_eq!(answers[2].json()["moved"], 1);
    assert_eq!(answers[5].json()["moved"], 1);
    assert_eq!(answers[7].json()["erased"], true);
    assert_eq!(bus.slots().0, Vec::<String>::new());
}
