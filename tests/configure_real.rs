//! `configure`, and then the real tools: they read what was written, and call the names that `links` has made.

#![cfg(unix)]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use support::finish;
use support::tool_home::{Home, real};

/// Puts a program in a place that says on a line of `asked` what it was called by and with, reads its input, and answers.
fn stands_in(home: &Home, name: &str, answer: &str) {
    let path = home.bin().join(name);
    // A link there leads to the program under test.
    let _ = std::fs::remove_file(&path);
    let asked = home.path("asked");
    let script = format!("#!/bin/sh\necho \"${{0##*/}} $*\" >>'{}'\n{answer}\n", asked.display());
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn asked(home: &Home) -> Vec<String> {
    let text = std::fs::read_to_string(home.path("asked")).unwrap_or_default();
    let _ = std::fs::remove_file(home.path("asked"));
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn configure(home: &Home, words: &[&str]) -> String {
    let answer = home.say(&[&["configure"], words].concat());
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    answer.stdout
}

const TAKES: &str = "cat >/dev/null";

#[test]
fn git_asks_claviger_alone_for_that_host_and_others_for_the_rest() {
    let Some(git) = real("git") else { return };
    let home = Home::linked();
    home.write(
        ".gitconfig",
        "[credential]\n\thelper = other\n[credential \"https://git.acme.example\"]\n\thelper = other",
    );
    configure(&home, &["git", "--host", "git.acme.example"]);
    stands_in(
        &home,
        "git-credential-claviger",
        &format!("{TAKES}\n[ \"$1\" = get ] && printf 'username=oauth2\\npassword=AT1\\n'"),
    );
    stands_in(
        &home,
        "git-credential-other",
        &format!("{TAKES}\n[ \"$1\" = get ] && printf 'username=o\\npassword=o\\n'"),
    );
    let fill = |host: &str| {
        let mut command = home.program(&git);
        command.args(["credential", "fill"]).env("GIT_TERMINAL_PROMPT", "0");
        finish(command, format!("protocol=https\nhost={host}\n\n").as_bytes())
    };
    let filled = fill("git.acme.example");
    assert!(filled.stdout.contains("password=AT1\n"), "{}{}", filled.stdout, filled.stderr);
    assert_eq!(asked(&home), ["git-credential-claviger get"]);
    let mut approve = home.program(&git);
    approve.args(["credential", "approve"]);
    finish(approve, filled.stdout.as_bytes());
    assert_eq!(asked(&home), ["git-credential-claviger store"], "no other helper is given the token to keep");
    assert!(fill("other.example").stdout.contains("password=o\n"));
    assert_eq!(asked(&home), ["git-credential-other get"]);
    configure(&home, &["git", "--undo"]);
    fill("git.acme.example");
    assert_eq!(asked(&home), ["git-credential-other get"]);
}

#[test]
fn git_reads_a_helper_that_is_written_below_ours_as_the_last_word_until_we_are_asked_again() {
    let Some(_) = real("git") else { return };
    let home = Home::linked();
    let helpers = || {
        home.ask("git", &["config", "--global", "--get-all", "credential.https://git.acme.example.helper"])
    };
    configure(&home, &["git", "--host", "git.acme.example"]);
    home.ask("git", &["config", "--global", "--add", "credential.https://git.acme.example.helper", "store"]);
    assert_eq!(helpers().as_deref(), Some("\nclaviger\nstore\n"));
    configure(&home, &["git", "--host", "git.acme.example"]);
    assert_eq!(helpers().as_deref(), Some("store\n\nclaviger\n"));
}

#[test]
fn git_that_asks_claviger_in_words_of_peoples_own_is_left_as_it_is() {
    let Some(git) = real("git") else { return };
    for helper in
        ["claviger --account bob", "claviger --retry", "/PATH/git-credential-claviger", "/PATH/claviger git"]
    {
        let home = Home::linked();
        let helper = helper.replace("/PATH", home.bin().to_str().unwrap());
        let text = format!(
            "[credential \"https://git.acme.example\"]\n\thelper =\n\thelper = {helper}\n\tusername = bob\n"
        );
        home.write(".gitconfig", &text);
        assert!(
            configure(&home, &["git", "--host", "git.acme.example"]).contains("git asks claviger already")
        );
        assert_eq!(home.read(".gitconfig"), text);
        let request = r#"{"service":"https://git.acme.example","account":"bob","username":"bob","accessToken":"AT-bob"}"#;
        finish(home.claviger(&["store"]), request.as_bytes()).ok();
        let mut command = home.program(&git);
        command.args(["credential", "fill"]).env("GIT_TERMINAL_PROMPT", "0");
        let filled = finish(command, b"protocol=https\nhost=git.acme.example\n\n");
        assert!(filled.stdout.contains("password=AT-bob\n"), "{helper}: {}{}", filled.stdout, filled.stderr);
    }
}

#[test]
fn docker_gives_the_registry_to_claviger() {
    let Some(_) = real("docker") else { return };
    let home = Home::linked();
    configure(&home, &["docker", "--host", "r.acme.example"]);
    stands_in(&home, "docker-credential-claviger", TAKES);
    home.ask("docker", &["logout", "r.acme.example"]);
    let calls = asked(&home);
    assert!(
        !calls.is_empty() && calls.iter().all(|call| call == "docker-credential-claviger erase"),
        "{calls:?}"
    );
    home.ask("docker", &["logout", "other.example"]);
    assert!(asked(&home).is_empty());
    configure(&home, &["docker", "--all"]);
    home.ask("docker", &["logout", "other.example"]);
    assert!(!asked(&home).is_empty());
    configure(&home, &["docker", "--undo"]);
    home.ask("docker", &["logout", "r.acme.example"]);
    assert!(asked(&home).is_empty());
}

#[test]
fn cargo_runs_claviger_for_the_registries_that_were_meant() {
    let Some(_) = real("cargo") else { return };
    let answer = "echo '{\"v\":[1]}'\nread request\necho '{\"Ok\":{\"kind\":\"logout\"}}'";
    let registries = "[registries.my]\nindex = \"sparse+https://crates.acme.example/index/\"\n\n[registries.other]\nindex = \"sparse+https://other.example/\"\n";
    let words: [&[&str]; 2] = [&["cargo"], &["cargo", "--host", "crates.acme.example"]];
    for (words, others) in words.into_iter().zip([1, 0]) {
        let home = Home::linked();
        home.write(".cargo/config.toml", registries);
        configure(&home, words);
        stands_in(&home, "claviger", answer);
        home.ask("cargo", &["logout", "--registry", "my"]);
        assert_eq!(asked(&home), ["claviger --cargo-plugin"]);
        home.run("cargo", &["logout", "--registry", "other"]);
        assert_eq!(asked(&home).len(), others, "{words:?}");
    }
}

#[test]
fn kubectl_finds_a_user_and_a_context_for_the_cluster_and_nothing_else_changed() {
    let Some(_) = real("kubectl") else { return };
    let home = Home::linked();
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: \"odd: \\\"name\\\"\"\n  cluster: {server: https://k.acme.example:6443}\n- name: d\n  cluster: {server: https://d.example}\n\
                contexts:\n- name: c\n  context: {cluster: d, user: admin}\n# mine\nusers:\n- name: admin\n  user: {token: s3cret}\n";
    home.write(".kube/config", text);
    let said = configure(&home, &["kubernetes", "--host", "k.acme.example:6443"]);
    assert!(said.contains("`kubectl config use-context 'claviger@odd: \"name\"'`"), "{said}");
    let view = |path: &str| {
        home.ask("kubectl", &["config", "view", "--raw", "-o", &format!("jsonpath={path}")]).unwrap()
    };
    assert_eq!(view("{.users[?(@.name=='claviger')].user.exec.command}"), "claviger");
    assert_eq!(view("{.users[?(@.name=='claviger')].user.exec.args}"), "[\"kubernetes\"]");
    assert_eq!(view("{.users[?(@.name=='claviger')].user.exec.provideClusterInfo}"), "true");
    assert_eq!(view("{.users[?(@.name=='admin')].user.token}"), "s3cret");
    assert_eq!(view("{.contexts[?(@.context.user=='claviger')].context.cluster}"), "odd: \"name\"");
    assert_eq!(view("{.current-context}"), "c");
    configure(&home, &["kubernetes", "--host", "d.example"]);
    assert_eq!(view("{.contexts[*].context.user}"), "admin claviger claviger");
    configure(&home, &["kubernetes", "--undo"]);
    assert_eq!(home.read(".kube/config"), text);
}

#[test]
fn kubectl_is_said_to_ask_only_where_the_context_in_use_has_the_user() {
    let Some(_) = real("kubectl") else { return };
    let home = Home::linked();
    let text = "clusters:\n- name: k\n  cluster: {server: https://k.acme.example}\n- name: d\n  cluster: {server: https://d.example}\n\
                contexts:\n- name: mine\n  context: {cluster: d, user: admin}\ncurrent-context: mine\n";
    let file = home.write(".kube/config", text).display().to_string();
    let hand = "note: `kubectl config set-context CONTEXT --user=claviger` makes a context that is there ask claviger\n";
    let none =
        |is: &str, end: &str| format!("the user `claviger` {is} in {file}; no context uses it yet{end}\n");
    let as_it_was = "; that file is as it was";
    assert_eq!(configure(&home, &["kubernetes", "--dry-run"]), none("would be", as_it_was) + hand);
    assert_eq!(configure(&home, &["kubernetes"]), none("is", "") + hand);
    assert_eq!(configure(&home, &["kubernetes"]), none("is", as_it_was) + hand);
    let elsewhere = "note: no cluster of that file is on https://a.example or https://b.example\n";
    let said = configure(&home, &["kubernetes", "--host", "a.example", "--host", "b.example"]);
    assert_eq!(said, none("is", as_it_was) + elsewhere + hand);
    home.sandbox.configure(
        "[providers.a]\nissuer = 'https://id.a.example'\nclient-id = 'x'\nservices = ['https://a.example']\n",
    );
    let elsewhere =
        "note: no cluster of that file is on https://a.example, where the providers' services are\n";
    assert_eq!(configure(&home, &["kubernetes"]), none("is", as_it_was) + elsewhere + hand);
    let said = configure(&home, &["kubernetes", "--host", "k.acme.example"]);
    let how = |context: &str| {
        format!(
            "note: `kubectl config use-context {context}` makes kubectl ask claviger for that cluster, `kubectl --context {context}` for one call\n"
        )
    };
    let uses = "the context claviger@k uses it, and is not the current one";
    assert_eq!(said, format!("the user `claviger` is in {file}; {uses}\n") + &how("claviger@k"));
    home.ask("kubectl", &["config", "use-context", "claviger@k"]);
    let said = configure(&home, &["kubernetes", "--host", "k.acme.example"]);
    assert_eq!(said, format!("kubectl asks claviger already; {file} is as it was\n"));
    let said = configure(&home, &["kubernetes", "--host", "d.example"]);
    assert_eq!(said, "kubectl asks claviger now\n".to_owned() + &how("claviger@d"));
    home.ask("kubectl", &["config", "use-context", "mine"]);
    let said = configure(&home, &["kubernetes", "--undo"]);
    let stays = format!("the user or a context of claviger's stays in {file}{as_it_was}\n");
    assert!(said.starts_with(&stays), "{said}");
}

#[test]
fn what_kubectl_has_written_anew_is_told_how_to_be_taken_away() {
    let Some(_) = real("kubectl") else { return };
    let home = Home::linked();
    home.write(".kube/config", "clusters:\n- name: k\n  cluster: {server: https://k.acme.example}\n");
    configure(&home, &["kubernetes", "--host", "k.acme.example"]);
    home.ask("kubectl", &["config", "use-context", "claviger@k"]);
    assert!(!home.read(".kube/config").contains("# claviger"));
    let said = configure(&home, &["kubernetes", "--host", "k.acme.example"]);
    assert!(said.contains("asks claviger already"), "{said}");
    let said = configure(&home, &["kubernetes", "--undo"]);
    for words in [["config", "delete-user", "claviger"], ["config", "delete-context", "claviger@k"]] {
        assert!(said.contains(&format!("`kubectl {}`", words.join(" "))), "{said}");
        home.ask("kubectl", &words);
    }
    assert!(!configure(&home, &["kubernetes", "--undo"]).contains("kubectl config"));
}

#[test]
fn terraform_runs_the_link_in_its_plugins() {
    let Some(_) = real("terraform") else { return };
    let home = Home::linked();
    home.write(".terraformrc", "disable_checkpoint = true");
    configure(&home, &["terraform"]);
    stands_in(&home, "claviger", TAKES);
    home.ask("terraform", &["logout", "tf.acme.example"]);
    assert_eq!(asked(&home), ["terraform-credentials-claviger forget tf.acme.example"]);
}

#[test]
fn pip_reads_that_it_is_to_run_keyring() {
    let Some(_) = real("pip") else { return };
    for text in ["", "[global]\ntimeout = 60\n", "[list]\nformat = columns"] {
        let home = Home::linked();
        home.write(".config/pip/pip.conf", text);
        assert!(!configure(&home, &["pip"]).contains("note:"));
        let listed = home.ask("pip", &["config", "list", "--user"]).unwrap();
        assert!(listed.contains("global.keyring-provider='subprocess'\n"), "{listed}");
        assert_eq!(listed.lines().count(), 1 + usize::from(!text.is_empty()), "{listed}");
    }
    let home = Home::default();
    stands_in(&home, "keyring", "exit 1");
    assert!(
        configure(&home, &["pip"])
            .contains("/bin/keyring, is not claviger's: `claviger links --dir DIR --keyring`")
    );
}

#[test]
fn go_reads_the_command_in_front_of_those_that_were_there() {
    let Some(_) = real("go") else { return };
    let home = Home::linked();
    home.write(".config/go/env", "# mine\nGOAUTH=git /x; netrc\n");
    configure(&home, &["goauth", "--host", "go.acme.example"]);
    let read = home.ask("go", &["env", "GOAUTH"]).unwrap();
    if read.trim().is_empty() {
        support::skipped("goauth", "this go is older than 1.24, which brought GOAUTH");
        return;
    }
    assert_eq!(read, "claviger goauth --service https://go.acme.example; git /x; netrc\n");
    // go sorts and rewrites the file.
    home.ask("go", &["env", "-w", "GOFLAGS=-v"]);
    configure(&home, &["goauth", "--undo"]);
    assert_eq!(home.ask("go", &["env", "GOAUTH"]).unwrap(), "git /x; netrc\n");
}

#[test]
fn a_session_is_found_by_the_tools_that_were_configured_and_by_the_names_that_were_made() {
    let home = Home::linked();
    let store = |host: &str, token: &str| {
        let request = serde_json::json!({ "service": format!("https://{host}"), "account": "alice", "accessToken": token });
        finish(home.claviger(&["store"]), request.to_string().as_bytes()).ok();
    };
    let left = || finish(home.claviger(&["list"]), b"").ok()["sessions"].as_array().unwrap().len();
    if let Some(git) = real("git") {
        store("git.acme.example", "AT-git");
        configure(&home, &["git", "--host", "git.acme.example"]);
        let mut command = home.program(&git);
        command.args(["credential", "fill"]).env("GIT_TERMINAL_PROMPT", "0");
        let filled = finish(command, b"protocol=https\nhost=git.acme.example\n\n");
        assert!(filled.stdout.contains("\npassword=AT-git\n"), "{}{}", filled.stdout, filled.stderr);
    }
    for (tool, words) in [
        ("docker", &["logout", "r.acme.example"][..]),
        ("cargo", &["logout", "--registry", "my"]),
        ("terraform", &["logout", "tf.acme.example"]),
    ] {
        if real(tool).is_none() {
            continue;
        }
        home.write(
            ".cargo/config.toml",
            "[registries.my]\nindex = \"sparse+https://crates.acme.example/\"\n",
        );
        let before = left();
        for host in ["r.acme.example", "crates.acme.example", "tf.acme.example"] {
            store(host, "AT");
        }
        let host: &[&str] = if tool == "docker" { &["--host", "r.acme.example"] } else { &[] };
        configure(&home, &[&[tool], host].concat());
        home.ask(tool, words);
        assert_eq!(left(), before + 2, "{tool}");
        for host in ["r.acme.example", "crates.acme.example", "tf.acme.example"] {
            finish(home.claviger(&["erase"]), format!("{{\"service\":\"https://{host}\"}}").as_bytes());
        }
    }
}
