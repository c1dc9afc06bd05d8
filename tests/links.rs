//! `links`: the names that tools call this program by, made and taken away, and nobody else's touched.

#![cfg(unix)]

mod support;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::tool_home::Home;
use support::{Answer, binary};

const NAMES: [&str; 5] = [
    "git-credential-claviger",
    "docker-credential-claviger",
    "cargo-credential-claviger",
    "terraform-credentials-claviger",
    "bazel-credential-claviger",
];

fn links(home: &Home, words: &[&str]) -> Answer {
    home.say(&[&["links", "--dir", home.path("links").to_str().unwrap()], words].concat())
}

#[track_caller]
fn told(home: &Home, words: &[&str]) -> Value {
    let reply = links(home, &[words, &["--json"]].concat()).ok();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/schemas/reply-links.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let schema = jsonschema::options().should_validate_formats(false).build(&schema).unwrap();
    assert!(schema.is_valid(&reply), "{reply}");
    reply
}

fn states(reply: &Value) -> Vec<(String, String)> {
    let word = |link: &Value, key: &str| link[key].as_str().unwrap().to_owned();
    reply["links"].as_array().unwrap().iter().map(|link| (word(link, "name"), word(link, "state"))).collect()
}

fn all(reply: &Value, state: &str) -> bool {
    states(reply).iter().all(|(_, found)| found == state)
}

fn there(home: &Home) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(home.path("links")) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_name_leads_to_the_path_this_program_was_called_by_and_goes_again() {
    let home = Home::default();
    let made = told(&home, &[]);
    assert!(all(&made, "made") && states(&made).len() == NAMES.len(), "{made}");
    // Not to where the link that was called leads: that is another place after the next update.
    let called = home.bin().join("claviger");
    assert_eq!(made["program"].as_str(), called.to_str());
    for name in NAMES {
        assert_eq!(std::fs::read_link(home.path("links").join(name)).unwrap(), called);
    }
    assert!(all(&told(&home, &[]), "kept"));
    let mut command = home.program(Path::new("claviger"));
    command.args(["links", "--dir", home.path("links").to_str().unwrap(), "--json"]);
    assert!(all(&support::finish(command, b"").ok(), "kept"), "found on PATH, too");
    assert!(all(&told(&home, &["--undo"]), "removed"));
    assert!(all(&told(&home, &["--undo"]), "absent"));
    assert!(there(&home).is_empty());
}

#[test]
fn accounts_and_the_keyring_have_names_of_their_own_when_asked_for() {
    let home = Home::default();
    let made = told(&home, &["--account", "work", "--account", "a.b@c", "--keyring"]);
    let mut expected: Vec<String> = NAMES.map(str::to_owned).to_vec();
    for name in ["docker-credential-claviger", "bazel-credential-claviger"] {
        expected.extend([format!("{name}-work"), format!("{name}-a.b@c")]);
    }
    expected.push("keyring".to_owned());
    expected.sort();
    assert_eq!(there(&home), expected);
    assert!(
        made["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|note| note.as_str().unwrap().contains("`keyring` here is claviger"))
    );
    let hostile = ["", "a/b", "../x", "a b", "a\nb", "\u{fc}", "a\"b"];
    for account in hostile {
        let answer = links(&home, &["--account", account]);
        assert_eq!(answer.exit, 2, "{account:?}: {}", answer.stderr);
    }
    assert_eq!(there(&home), expected);
}

#[test]
fn without_options_undo_takes_away_every_name_that_leads_here() {
    let home = Home::default();
    let options = ["--account", "work", "--keyring"];
    told(&home, &[&options[..], &["--account", "home"]].concat());
    symlink("/opt/claviger-0.0.1/bin/claviger", home.path("links/bazel-credential-claviger-old")).unwrap();
    for name in ["docker-credential-claviger-mine", "docker-credential-clavigerx", "other"] {
        symlink("/bin/true", home.path("links").join(name)).unwrap();
    }
    let called = home.bin().join("claviger");
    symlink(&called, home.path("links/docker-credential-claviger-")).unwrap();
    symlink(&called, home.path("links/git-credential-claviger-work")).unwrap();
    told(&home, &[&options[..], &["--undo"]].concat());
    let left = ["bazel-credential-claviger-home", "bazel-credential-claviger-old"];
    assert_eq!(there(&home)[..2], left, "with options what they name goes, and no more");
    assert!(there(&home).contains(&"docker-credential-claviger-home".to_owned()));
    told(&home, &["--keyring"]);
    let undone = links(&home, &["--undo"]);
    let folder = home.path("links").display().to_string();
    let removed = "git-credential-claviger, docker-credential-claviger, cargo-credential-claviger, terraform-credentials-claviger, \
                   bazel-credential-claviger, bazel-credential-claviger-home, bazel-credential-claviger-old, docker-credential-claviger-home, keyring";
    assert_eq!(undone.stdout, format!("in {folder}\nremoved: {removed}\n"), "{}", undone.stderr);
    #[rustfmt::skip]
    let left = ["docker-credential-claviger-", "docker-credential-claviger-mine", "docker-credential-clavigerx", "git-credential-claviger-work", "other"];
    assert_eq!(there(&home), left);
    // Another program of that name is no business of ours.
    symlink("/bin/true", home.path("links/keyring")).unwrap();
    assert!(all(&told(&home, &["--undo"]), "absent"));
    assert!(there(&home).contains(&"keyring".to_owned()));
}

#[test]
fn what_is_somebody_elses_is_named_and_stays() {
    let home = Home::default();
    home.write("links/git-credential-claviger", "#!/bin/sh\n");
    symlink("/bin/true", home.path("links/keyring")).unwrap();
    std::fs::create_dir(home.path("links/bazel-credential-claviger")).unwrap();
    let answer = links(&home, &["--keyring", "--json"]);
    assert_eq!(answer.code(2), "CONFLICT");
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    for name in ["links/git-credential-claviger", "links/keyring", "links/bazel-credential-claviger"] {
        assert!(message.contains(name), "{message}");
    }
    assert!(!message.contains("docker"), "{message}");
    assert_eq!(there(&home).len(), 3, "nothing was made beside them");
    let undone = told(&home, &["--keyring", "--undo"]);
    let foreign = states(&undone).into_iter().filter(|(_, state)| state == "foreign").count();
    assert_eq!((foreign, there(&home).len()), (3, 3), "{undone}");
    assert_eq!(home.read("links/git-credential-claviger"), "#!/bin/sh\n");
}

#[test]
fn one_that_led_to_another_claviger_is_renewed() {
    let home = Home::default();
    std::fs::create_dir(home.path("links")).unwrap();
    symlink("/opt/claviger-0.0.1/bin/claviger", home.path("links/git-credential-claviger")).unwrap();
    symlink(binary(), home.path("links/docker-credential-claviger")).unwrap();
    let reply = told(&home, &[]);
    let renewed: Vec<_> = states(&reply).into_iter().filter(|(_, state)| state == "renewed").collect();
    assert_eq!(renewed.len(), 2, "{reply}");
    assert!(all(&told(&home, &[]), "kept"));
}

#[test]
fn it_says_whether_tools_look_there_and_who_else_writes_there() {
    let mut home = Home::default();
    let off = told(&home, &[]);
    assert_eq!(off["onPath"], false);
    assert!(off["notes"][0].as_str().unwrap().contains("is not on PATH"), "{off}");
    std::fs::set_permissions(home.path("links"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let open = links(&home, &[]);
    assert!(open.stdout.contains("note: others can write in "), "{}", open.stdout);
    std::fs::set_permissions(home.path("links"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path: PathBuf = std::env::join_paths([home.bin(), home.path("links")]).unwrap().into();
    home.set("PATH", path);
    let on = told(&home, &[]);
    assert_eq!((&on["onPath"], on["notes"].as_array().unwrap().len()), (&Value::Bool(true), 0), "{on}");
}

#[test]
fn of_many_at_once_every_one_succeeds() {
    let home = Home::default();
    let folder = home.path("links");
    let answers =
        support::storm(8, b"", || home.claviger(&["links", "--dir", folder.to_str().unwrap(), "--json"]));
    for answer in answers {
        assert!(
            states(&answer.ok()).iter().all(|(_, state)| ["made", "kept"].contains(&state.as_str())),
            "{}",
            answer.stdout
        );
    }
    assert_eq!(there(&home).len(), NAMES.len());
}

#[test]
fn a_folder_that_is_none_is_told() {
    let home = Home::default();
    home.write("links", "a file\n");
    assert_eq!(links(&home, &["--json"]).exit, 5);
    assert_eq!(home.say(&["links"]).exit, 2, "a folder is always named");
}
