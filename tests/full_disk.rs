//! A disk that is really full, in bytes or in files: nothing is lost, nobody is asked for a token that could not be kept,
//! and all is well once there is room. On a small file system of its own, in a mount namespace; this needs root.

#![cfg(target_os = "linux")]

mod support;

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::server::Server;
use support::{SERVICE, expired, get, has_program, skipped};

/// Runs a script where `$1` is the state folder, mounted there, and `call` the binary: it prints its reply and then its
/// exit status, one line each.
fn on_a_small_disk(options: &str, script: &str) -> Option<Vec<(Value, i32)>> {
    if !nix::unistd::geteuid().is_root() || !has_program("unshare") {
        skipped("mount-namespace", "this user cannot have one");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |script: &str| {
        let whole = format!(
            "mount -t tmpfs -o mode=700,{options} none \"$1\" || exit 99\n\
             export CLAVIGER_HOME=\"$1\" CLAVIGER_STORAGE=plaintext\n\
             call() {{ \"$BINARY\" \"$@\" 2>/dev/null; echo $?; }}\n{script}\n"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &whole, "sh"]).arg(folder.path());
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("BINARY", support::binary());
        command.stdin(Stdio::null()).output().expect("unshare starts")
    };
    if run("").status.code() != Some(0) {
        skipped("mount-namespace", "this machine allows none");
        return None;
    }
    let output = run(script);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() % 2, 0, "{text} {}", String::from_utf8_lossy(&output.stderr));
    let reply = |pair: &[&str]| {
        let value = serde_json::from_str(pair[0]).unwrap_or_else(|_| panic!("no reply: {text}"));
        (value, pair[1].parse().expect("an exit status"))
    };
    Some(lines.chunks(2).map(reply).collect())
}

fn call(verb: &str, request: &Value) -> String {
    format!("call {verb} <<'END'\n{request}\nEND\n")
}

/// Takes every byte that is left.
const FILLED_WITH_BYTES: &str = "head -c 9999999 /dev/zero > \"$1/filler\" 2>/dev/null\n";
/// Makes files until there can be no more.
const FILLED_WITH_FILES: &str = "i=0; while touch \"$1/filler$i\" 2>/dev/null; do i=$((i+1)); done\n";
const ROOM: &str = "rm -f \"$1\"/filler*\n";

#[test]
fn a_full_disk_loses_nothing_and_costs_no_token_and_all_is_well_once_there_is_room() {
    for (options, filled) in [("size=256k", FILLED_WITH_BYTES), ("size=1m,nr_inodes=32", FILLED_WITH_FILES)] {
        let server = Server::start("RT1-first");
        let due = expired(&server, "RT1-first");
        let bob = |token: &str| json!({ "service": SERVICE, "account": "bob", "accessToken": token });
        let of_bob = json!({ "service": SERVICE, "account": "bob" });
        let script = [
            call("store", &due),
            call("store", &bob("AT-bob")),
            filled.to_owned(),
            call("get", &get()),
            call("store", &bob("AT-new")),
            call("get", &of_bob),
            call("erase", &of_bob),
            call("get", &of_bob),
            ROOM.to_owned(),
            call("get", &get()),
            call("store", &bob("AT-new")),
            call("get", &of_bob),
            call("erase", &of_bob),
            call("doctor --json", &json!({})),
        ];
        let Some(replies) = on_a_small_disk(options, &script.concat()) else { return };
        let exits: Vec<i32> = replies.iter().map(|(_, exit)| *exit).collect();
        assert_eq!(exits, [0, 0, 5, 5, 0, 5, 0, 0, 0, 0, 0, 0], "{options}: {replies:#?}");
        for at in [2, 3, 5] {
            assert_eq!(replies[at].0["error"]["code"], "AUTH_STORE_WRITE_FAILED", "{options}: {replies:#?}");
        }
        assert_eq!(
            (&replies[4].0["accessToken"], &replies[6].0["accessToken"]),
            (&json!("AT-bob"), &json!("AT-bob"))
        );
        assert_eq!(replies[7].0["outcome"], "refreshed", "with the token that was not spent");
        assert_eq!(replies[9].0["accessToken"], "AT-new");
        assert_eq!((server.token_requests(), server.log(|log| log.reused)), (1, 0), "{options}");
    }
}
