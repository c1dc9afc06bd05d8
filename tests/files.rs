//! Plaintext files: ours alone under any umask, and whatever is not a plain file of ours is refused.
#![cfg(unix)]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use claviger::store::files::{Folder, Writers};
use serde_json::json;
use support::server::Server;
use support::{Answer, SERVICE, Sandbox, binary, expired, finish, get};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let mut at = 0;
    while let Some(path) = all.get(at).cloned() {
        if path.is_dir() {
            all.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    all
}

fn under_umask(
    sandbox: &Sandbox,
    home: &Path,
    umask: &str,
    verb: &str,
    request: &serde_json::Value,
) -> Answer {
    let plain = sandbox.command(verb);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask \"$0\"; exec \"$1\" \"$2\"", umask, binary(), verb]).env_clear();
    command
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("CLAVIGER_HOME", home);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command, request.to_string().as_bytes())
}

#[test]
fn every_file_is_0600_and_every_folder_0700_under_any_umask() {
    for umask in ["000", "022", "077", "777"] {
        let server = Server::start("RT1-first");
        let sandbox = Sandbox::plaintext();
        let home = sandbox.home().join("state");
        under_umask(&sandbox, &home, umask, "store", &expired(&server, "RT1-first")).ok();
        under_umask(&sandbox, &home, umask, "get", &get()).ok();
        let all = everything_below(&home);
        assert!(all.len() > 8, "{all:?}");
        for path in all {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "{} under {umask}", path.display());
        }
        assert!(home.join(".gitignore").is_file() && home.join("CACHEDIR.TAG").is_file());
    }
}

fn stored() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" })).ok();
    let (slot, _) = support::files_below(&sandbox.home().join("slots")).remove(0);
    (sandbox, slot)
}

#[test]
fn a_slot_others_could_read_is_repaired_and_said() {
    let (sandbox, slot) = stored();
    chmod(&slot, 0o644);
    chmod(&sandbox.home().join("slots"), 0o755);
    let reply = sandbox.run("get", &get()).ok();
    assert_eq!(reply["warnings"][0]["code"], "PERMISSIONS_REPAIRED");
    assert_eq!((mode(&slot), mode(&sandbox.home().join("slots"))), (0o600, 0o700));
    assert!(sandbox.run("get", &get()).ok().get("warnings").is_none());
}

#[test]
fn what_is_not_a_plain_file_of_ours_is_refused_and_its_target_untouched() {
    type Replace = fn(&Path, &Path);
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    let replace: [(&str, Replace); 4] = [
        ("link", |slot, victim| symlink(victim, slot).unwrap()),
        ("hard link", |slot, victim| std::fs::hard_link(victim, slot).unwrap()),
        ("folder", |slot, _| std::fs::create_dir(slot).unwrap()),
        ("fifo", |slot, _| assert!(Command::new("mkfifo").arg(slot).status().unwrap().success())),
    ];
    for (kind, replace) in replace {
        std::fs::write(&victim, b"precious").unwrap();
        let (sandbox, slot) = stored();
        std::fs::remove_file(&slot).unwrap();
        replace(&slot, &victim);
        assert_eq!(sandbox.run("get", &get()).code(5), "STORE_DENIED", "{kind}");
        let store = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT2", "replace": true });
        assert_eq!(sandbox.run("store", &store).exit, 5, "{kind}");
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious", "{kind}");
    }
}

#[test]
fn a_lock_file_that_is_a_link_is_refused() {
    let (sandbox, slot) = stored();
    let name = slot.file_name().unwrap().to_string_lossy()[..32].to_owned();
    let victim = sandbox.home().join("victim");
    std::fs::write(&victim, b"precious").unwrap();
    let lock = sandbox.home().join("locks").join(format!("{name}.lock"));
    symlink(&victim, &lock).unwrap();
    let store = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT2" });
    assert_eq!(sandbox.run("store", &store).code(5), "STORE_DENIED");
    std::fs::remove_file(&lock).unwrap();
    std::fs::hard_link(&victim, &lock).unwrap();
    assert_eq!(sandbox.run("store", &store).code(5), "STORE_DENIED");
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    // An empty file that a killed process left is inherited.
    std::fs::remove_file(&lock).unwrap();
    std::fs::write(&lock, b"pid 1 since 1970-01-01T00:00:00Z\n").unwrap();
    sandbox.run("store", &store).ok();
    assert!(!lock.exists());
}

#[test]
fn a_state_folder_that_is_not_safely_ours_is_refused() {
    let sandbox = Sandbox::plaintext();
    let shared = sandbox.home().join("shared");
    std::fs::create_dir(&shared).unwrap();
    chmod(&shared, 0o777);
    let file = sandbox.home().join("file");
    std::fs::write(&file, b"").unwrap();
    let link = sandbox.home().join("link");
    symlink(sandbox.home(), &link).unwrap();
    let request = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" }).to_string();
    for home in [&shared, &file, &link] {
        let mut command = sandbox.command("store");
        command.env("CLAVIGER_HOME", home);
        assert_eq!(finish(command, request.as_bytes()).exit, 5, "{}", home.display());
    }
    for home in ["relative/home", "./x", "~"] {
        let mut command = sandbox.command("store");
        command.env("CLAVIGER_HOME", home);
        assert_eq!(finish(command, request.as_bytes()).code(6), "CONFIG_INVALID", "{home}");
    }
    assert_eq!(support::files_below(&shared).len(), 0);
}

#[test]
fn a_configuration_others_can_write_is_refused_and_a_linked_one_is_read() {
    let (sandbox, _) = stored();
    let config = sandbox.home().join("config.toml");
    sandbox.configure("storage = \"plaintext\"\n");
    chmod(&config, 0o666);
    assert_eq!(sandbox.run("get", &get()).code(6), "CONFIG_INVALID");
    chmod(&config, 0o444);
    sandbox.run("get", &get()).ok();
    let elsewhere = sandbox.home().join("elsewhere.toml");
    std::fs::rename(&config, &elsewhere).unwrap();
    symlink(&elsewhere, &config).unwrap();
    sandbox.run("get", &get()).ok();
}

#[test]
fn a_group_that_is_the_users_alone_may_write_a_configuration_and_no_other_may() {
    let (sandbox, _) = stored();
    let config = sandbox.home().join("config.toml");
    sandbox.configure("storage = \"plaintext\"\n");
    chmod(&config, 0o664);
    let id = |what| Command::new("id").arg(what).output().unwrap().stdout;
    if id("-gn") == id("-un") {
        sandbox.run("get", &get()).ok();
    } else {
        assert_eq!(sandbox.run("get", &get()).code(6), "CONFIG_INVALID");
    }
    let another = if id("-g") == b"12\n" { 13 } else { 12 };
    if std::os::unix::fs::chown(&config, None, Some(another)).is_ok() {
        assert_eq!(sandbox.run("get", &get()).code(6), "CONFIG_INVALID");
        chmod(&config, 0o644);
        sandbox.run("get", &get()).ok();
    }
}

#[test]
fn a_slot_is_on_the_disk_before_its_name_is_and_its_name_before_we_say_so() {
    let (sandbox, _) = stored();
    let store = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT2" });
    let Some((answer, calls)) = sandbox.traced("store", &store, &[]) else { return };
    answer.ok();
    let slot_renamed = |call: &&String| call.starts_with("renameat") && !call.contains(".json");
    let renames: Vec<usize> =
        calls.iter().enumerate().filter(|(_, call)| slot_renamed(call)).map(|(at, _)| at).collect();
    assert!(!renames.is_empty(), "a slot is replaced by renaming: {calls:#?}");
    for rename in renames {
        let nearby = |range: &[String]| range.iter().any(|call| call.starts_with("fsync("));
        assert!(
            nearby(&calls[rename - 3..rename]),
            "the content is synced before: {:#?}",
            &calls[rename - 6..rename + 3]
        );
        assert!(
            nearby(&calls[rename + 1..rename + 3]),
            "the folder is synced after: {:#?}",
            &calls[rename - 3..rename + 3]
        );
    }
}

#[test]
fn a_file_system_that_does_not_exclude_a_second_owner_is_found_out() {
    let (sandbox, _) = stored();
    let store = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT2" });
    // The second attempt on the same file, by ourselves, is made to succeed, as on a file system that only pretends.
    let Some((answer, _)) = sandbox.traced("store", &store, &["-e", "inject=flock:retval=0:when=2"]) else {
        return;
    };
    assert_eq!(answer.code(5), "LOCK_UNSUPPORTED");
    let Some((answer, _)) = sandbox.traced("store", &store, &["-e", "inject=flock:error=ENOLCK:when=1"])
    else {
        return;
    };
    assert_eq!(answer.code(5), "LOCK_UNSUPPORTED");
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT1");
}

#[test]
fn what_a_killed_writer_left_goes_with_the_session() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    for (slot, _) in support::files_below(&sandbox.home().join("slots")) {
        let name = slot.file_name().unwrap().to_string_lossy().into_owned();
        std::fs::write(slot.with_file_name(format!(".new-{name}")), b"RT2-rotated").unwrap();
    }
    sandbox.run("erase", &get()).ok();
    assert_eq!(support::files_below(&sandbox.home().join("slots")), Vec::new());
}

#[test]
fn a_dangling_link_on_the_way_to_the_state_folder_is_an_error() {
    let sandbox = Sandbox::plaintext();
    let dangling = sandbox.home().join("dangling");
    symlink("/nonexistent/folder", &dangling).unwrap();
    let request = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" }).to_string();
    for home in [dangling.join("x"), dangling.join("x/y/z"), dangling.clone()] {
        let mut command = sandbox.command("store");
        command.env("CLAVIGER_HOME", &home);
        assert_eq!(finish(command, request.as_bytes()).exit, 5, "{}", home.display());
    }
    let mut command = sandbox.command("store");
    let link = sandbox.home().join("link");
    symlink(sandbox.home(), &link).unwrap();
    command.env("CLAVIGER_HOME", format!("{}/", link.display()));
    assert_eq!(finish(command, request.as_bytes()).exit, 5, "a trailing slash does not make a link a folder");
}

#[test]
fn a_slot_that_cannot_be_read_just_now_is_not_taken_for_a_damaged_one() {
    let (sandbox, _) = stored();
    let erase = json!({ "service": SERVICE, "account": "alice" });
    for error in ["EIO", "EMFILE", "EACCES"] {
        // Every opening from the slots' folder on fails; which call that is, a first run tells.
        let Some((_, calls)) = sandbox.traced("get", &get(), &["-e", "trace=/^open(at)?$"]) else { return };
        let slots = calls.iter().position(|call| call.contains("/slots")).unwrap();
        let name = calls[slots].split('(').next().unwrap().to_owned();
        let count = calls[..=slots].iter().filter(|call| call.starts_with(&format!("{name}("))).count();
        let inject = format!("inject={name}:error={error}:when={count}+");
        let (answer, _) = sandbox.traced("erase", &erase, &["-e", &inject]).unwrap();
        assert_ne!(answer.exit, 0, "{error}: {}", answer.stdout);
        assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT1", "{error}");
    }
}

#[test]
fn what_killed_writers_left_goes_with_the_next_write_and_what_a_living_one_writes_stays() {
    let sandbox = Sandbox::plaintext();
    let bundle = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" });
    sandbox.run("store", &bundle).ok();
    let left = |folder: &str, name: &str| {
        let path = sandbox.home().join(folder).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "half").unwrap();
        path
    };
    let of_the_dead = || {
        ["index", "defaults", "pin", "slots"]
            .map(|folder| left(folder, ".new-00112233445566778899aabbccddeeff"))
    };
    let dead = of_the_dead();
    let living = left("index", ".new-ffeeddccbbaa99887766554433221100");
    let claim = std::fs::File::open(&living).unwrap();
    rustix::fs::flock(&claim, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let taken = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT2", "makeDefault": true });
    sandbox.run("store", &taken).ok();
    assert_eq!(dead.iter().filter(|path| path.exists()).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
    assert!(living.exists(), "its writer lives");
    drop(claim);
    sandbox.run("store", &bundle).ok();
    assert!(!living.exists(), "its writer is gone");
    let dead = of_the_dead();
    sandbox.run("erase", &get()).ok();
    assert_eq!(dead.iter().filter(|path| path.exists()).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
}

#[test]
fn many_writers_at_once_lose_no_write_and_leave_nothing() {
    const NAMES: [&str; 3] = ["a.json", "b.json", "c.json"];
    let root = tempfile::tempdir().unwrap();
    chmod(root.path(), 0o700);
    let write = |writer: usize| {
        let folder = Folder::new(root.path(), "index");
        for round in 0..150 {
            let name = NAMES[(writer + round) % NAMES.len()];
            folder.write(name, format!("{writer} {round} end").as_bytes(), Writers::Many).unwrap();
            let content = folder.read(name, 100).unwrap().expect("it is there from the first write on");
            assert!(content.bytes.ends_with(b" end"), "{:?}", content.bytes);
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..6 {
            scope.spawn(move || write(writer));
        }
    });
    let mut left: Vec<_> = std::fs::read_dir(root.path().join("index")).unwrap().collect();
    left.retain(|entry| !NAMES.contains(&entry.as_ref().unwrap().file_name().to_str().unwrap()));
    assert!(left.is_empty(), "{left:?}");
}
