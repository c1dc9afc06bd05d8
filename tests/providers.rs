//! `providers list`, `add` and `remove`, by the real binary: what people wrote stays, what is wrong is not written, and of
//! changes at the same time none is lost.

mod support;

use std::path::Path;

use claviger::settings::check_config;
use serde_json::{Value, json};
use support::{Answer, Sandbox, finish, get};

fn providers(sandbox: &Sandbox, words: &[&str]) -> Answer {
    let mut command = sandbox.command("providers");
    command.args(words);
    finish(command, b"")
}

/// The reply as JSON, which must fit its schema.
#[track_caller]
fn told(sandbox: &Sandbox, words: &[&str], schema: &str) -> Value {
    let reply = providers(sandbox, &[words, &["--json"]].concat()).ok();
    fits(schema, &reply);
    reply
}

#[track_caller]
fn fits(name: &str, reply: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("protocol/schemas/{name}.json"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let schema = jsonschema::options().should_validate_formats(false).build(&schema).unwrap();
    let complaints: Vec<_> = schema.iter_errors(reply).map(|error| error.to_string()).collect();
    assert!(complaints.is_empty(), "{name}: {reply}: {complaints:?}");
}

fn written(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.home().join("config.toml")).unwrap()
}

const PRESETS: [&str; 9] =
    ["github", "gitlab", "bitbucket", "gitea", "forgejo", "codeberg", "google", "entra", "databricks"];

fn host(preset: &str) -> Option<String> {
    ["forgejo", "databricks"].contains(&preset).then(|| format!("{preset}.acme.example"))
}

#[test]
fn every_preset_is_added_by_its_name_and_read_back() {
    let sandbox = Sandbox::plaintext();
    for preset in PRESETS {
        let host = host(preset);
        let mut words = vec!["add", preset];
        words.extend(host.as_deref().map(|host| ["--host", host]).into_iter().flatten());
        let added = told(&sandbox, &words, "reply-provider-added");
        assert_eq!(added["provider"], preset);
        let ships = ["gitea", "forgejo", "codeberg", "databricks"].contains(&preset);
        assert_ne!(added["needs"].is_string(), ships, "{added}");
    }
    assert_eq!(check_config(written(&sandbox).as_bytes()), Ok(PRESETS.len()));
    let listed = told(&sandbox, &["list"], "reply-providers");
    for (at, preset) in PRESETS.iter().enumerate() {
        let provider = &listed["providers"][at];
        assert_eq!((provider["name"].as_str(), provider["preset"].as_str()), (Some(*preset), Some(*preset)));
        assert_ne!(provider["needs"].is_string(), provider["clientIdFrom"] == "preset", "{provider}");
    }
    let shown = providers(&sandbox, &["list"]);
    assert!(shown.stdout.contains("\ngithub\n  preset     github\n"), "{}", shown.stdout);
    assert!(shown.stdout.contains("  needs      register an OAuth app"), "{}", shown.stdout);
}

#[test]
fn a_provider_without_a_preset_is_written_key_by_key() {
    let sandbox = Sandbox::plaintext();
    #[rustfmt::skip]
    let words = [
        "add", "acme", "--issuer", "https://id.acme.example", "--token-endpoint", "https://id.acme.example/token",
        "--authorization-endpoint", "https://id.acme.example/authorize", "--revocation-endpoint", "https://id.acme.example/revoke",
        "--device-authorization-endpoint", "https://id.acme.example/device", "--client-id", "cli",
        "--client-auth", "client_secret_basic", "--client-secret-env", "ACME_SECRET", "--grant", "device_code",
        "--scope", "a", "--scope", "b", "--service", "https://api.acme.example", "--redirect-uri", "http://127.0.0.1",
    ];
    let said = providers(&sandbox, &words);
    let config = sandbox.home().join("config.toml");
    assert_eq!(said.stdout, format!("added provider acme in {}\n", config.display()));
    let text = "[providers.acme]\nissuer = \"https://id.acme.example\"\n\
                authorization-endpoint = \"https://id.acme.example/authorize\"\n\
                token-endpoint = \"https://id.acme.example/token\"\n\
                device-authorization-endpoint = \"https://id.acme.example/device\"\n\
                revocation-endpoint = \"https://id.acme.example/revoke\"\nclient-id = \"cli\"\n\
                client-auth = \"client_secret_basic\"\ngrant = \"device_code\"\n\
                client-secret = { env = \"ACME_SECRET\" }\nscopes = [\"a\", \"b\"]\n\
                services = [\"https://api.acme.example\"]\nredirect-uris = [\"http://127.0.0.1\"]\n";
    assert_eq!(written(&sandbox), text);
    let listed = told(&sandbox, &["list"], "reply-providers");
    let source = json!({ "source": "env", "name": "ACME_SECRET" });
    assert_eq!(listed["providers"][0]["clientSecretFrom"], source);
    assert_eq!(listed["providers"][0]["clientIdFrom"], "config");
    assert!(providers(&sandbox, &["list"]).stdout.contains("in the environment variable ACME_SECRET"));
}

#[test]
fn without_a_file_the_place_it_would_have_is_told() {
    let sandbox = Sandbox::plaintext();
    let config = sandbox.home().join("config.toml");
    let listed = told(&sandbox, &["list"], "reply-providers");
    assert_eq!(listed["config"].as_str(), config.to_str());
    assert_eq!((&listed["found"], &listed["providers"]), (&json!(false), &json!([])));
    let shown = providers(&sandbox, &["list"]).stdout;
    let (place, presets) = shown.split_once('\n').unwrap();
    assert_eq!(place, format!("no providers: there is no {}", config.display()));
    assert!(presets.contains("`claviger providers add NAME`") && presets.contains("codeberg"), "{presets}");
    assert_eq!(providers(&sandbox, &["remove", "acme", "--json"]).code(2), "BAD_REQUEST");
    assert!(sandbox.files().is_empty(), "nothing was made");
}

const MINE: &str = "# Mine; do not touch.\n\n[timeouts]\nlock = 70   # patience\n\n# The one at work.\n[providers.acme]\n\
                    issuer =    'https://id.acme.example'  # ours\n\n# The end.\n";

#[test]
fn what_people_wrote_survives_both_ways() {
    let sandbox = Sandbox::plaintext();
    sandbox.configure(MINE);
    told(&sandbox, &["add", "gitea"], "reply-provider-added");
    assert_eq!(written(&sandbox), format!("{MINE}\n[providers.gitea]\npreset = \"gitea\"\n"));
    let removed = told(&sandbox, &["remove", "gitea"], "reply-provider-removed");
    assert_eq!(removed["sessions"], 0);
    assert_eq!(written(&sandbox), MINE);
    told(&sandbox, &["remove", "acme"], "reply-provider-removed");
    assert_eq!(
        written(&sandbox),
        "# Mine; do not touch.\n\n[timeouts]\nlock = 70   # patience\n\n# The end.\n"
    );
}

#[test]
fn what_is_wrong_is_refused_by_its_name_and_changes_nothing() {
    let sandbox = Sandbox::plaintext();
    sandbox.configure(MINE);
    for (words, key) in [
        (&["add", "b"][..], "issuer"),
        (&["add", "b", "--preset", "acme"], "preset"),
        (&["add", "b", "--preset", "gitlab", "--host", "https://git.acme.example"], "host"),
        (&["add", "b", "--preset", "gitlab", "--tenant", "t"], "tenant"),
        (&["add", "forgejo"], "host"),
        (&["add", "b", "--issuer", "http://id.b.example"], "issuer"),
        (&["add", "gitlab", "--grant", "s3cret"], "grant"),
        (&["add", "gitlab", "--client-auth", "s3cret"], "client-auth"),
        (&["add", "gitea", "--client-secret-env", "X"], "client-secret"),
        (&["add", "github", "--client-secret-file", "relative"], "client-secret.file"),
        (&["add", "gitlab", "--service", "ftp://s3cret"], "services"),
        (&["add", "gitlab", "--token-endpoint", "s3cret"], "token-endpoint"),
    ] {
        let answer = providers(&sandbox, &[words, &["--json"]].concat());
        assert_eq!(answer.code(2), "BAD_REQUEST", "{words:?}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("`providers.{}.{key}`: ", words[1])), "{message}");
        assert!(!answer.stdout.contains("s3cret") && !answer.stderr.contains("s3cret"), "{words:?}");
        assert_eq!(written(&sandbox), MINE, "{words:?}");
    }
    for words in [
        &["add", "a b", "--issuer", "https://b.example"][..],
        &["add", "b", "--preset", "entra", "--service", "https://graph.microsoft.com", "--service", "x"],
    ] {
        assert_eq!(providers(&sandbox, words).exit, 2, "{words:?}");
    }
    assert_eq!(
        providers(&sandbox, &["add", "acme", "--issuer", "https://b.example", "--json"]).code(2),
        "CONFLICT"
    );
    assert_eq!(written(&sandbox), MINE);
    let replaced = ["add", "acme", "--issuer", "https://b.example", "--replace"];
    assert_eq!(told(&sandbox, &replaced, "reply-provider-added")["replaced"], true);
    assert!(
        written(&sandbox).contains("# The one at work.\n[providers.acme]\nissuer = \"https://b.example\"\n")
    );
    let names: Vec<_> = sandbox.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, [sandbox.home().join("config.toml")], "nothing is left lying about");
}

#[test]
fn a_broken_file_is_not_touched() {
    let sandbox = Sandbox::plaintext();
    for broken in ["[providers", "storag = 'keyring'\n", "[providers.a]\nissuer = 1\n"] {
        sandbox.configure(broken);
        for words in [&["add", "gitea", "--json"][..], &["remove", "a", "--json"]] {
            assert_eq!(providers(&sandbox, words).code(6), "CONFIG_INVALID", "{broken}");
        }
        assert_eq!(written(&sandbox), broken);
    }
}

#[test]
fn a_client_id_that_is_missing_is_told_of_when_it_is_needed_and_not_before() {
    let sandbox = Sandbox::plaintext();
    told(&sandbox, &["add", "gitlab"], "reply-provider-added");
    assert_eq!(sandbox.run("list", &json!({})).ok()["sessions"], json!([]));
    assert_eq!(sandbox.run("get", &json!({ "service": "https://gitlab.com" })).code(1), "NOT_FOUND");
    let bundle = json!({ "service": "https://gitlab.com", "account": "alice", "accessToken": "AT1", "refreshToken": "RT1" });
    let answer = sandbox.run("store", &bundle);
    assert_eq!(answer.code(6), "CONFIG_INVALID");
    let error = &answer.json()["error"];
    assert_eq!(error["message"], "provider `gitlab` has no `client-id`");
    let help = claviger::presets::find("gitlab").unwrap().client_id_help.unwrap();
    assert_eq!(error["hint"], help);
    told(&sandbox, &["add", "gitlab", "--client-id", "mine", "--replace"], "reply-provider-added");
    sandbox.run("store", &bundle).ok();
}

#[test]
fn sessions_that_a_removed_provider_leaves_are_counted() {
    let sandbox = Sandbox::plaintext();
    sandbox.configure(
        "[providers.acme]\nissuer = 'https://id.acme.example'\nservices = ['https://api.acme.example']\n",
    );
    for account in ["alice", "bob"] {
        sandbox
            .run("store", &json!({ "service": support::SERVICE, "account": account, "accessToken": "AT1" }))
            .ok();
    }
    let said = providers(&sandbox, &["remove", "acme"]);
    assert_eq!(said.exit, 0);
    assert!(said.stdout.contains("\n2 sessions for its services are still stored; "), "{}", said.stdout);
    assert_eq!(sandbox.run("get", &get()).exit, 0, "they are served as before");
}

#[test]
fn changes_at_the_same_time_lose_none() {
    let sandbox = Sandbox::plaintext();
    sandbox.configure(MINE);
    let children: Vec<_> = (0..24)
        .map(|number| {
            let mut command = sandbox.command("providers");
            command.args(["add", &format!("p{number}"), "--issuer", &format!("https://p{number}.example")]);
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let answer = Answer::of(child.wait_with_output().unwrap());
        assert_eq!(answer.exit, 0, "{}", answer.stderr);
    }
    assert_eq!(check_config(written(&sandbox).as_bytes()), Ok(25));
    let names: Vec<_> = sandbox.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, [sandbox.home().join("config.toml")], "neither locks nor halves are left");
}

#[test]
fn what_an_editor_writes_meanwhile_is_not_written_over() {
    use claviger::store::files;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    assert!(files::replace(&path, None, b"one").unwrap());
    std::fs::write(&path, "theirs").unwrap();
    for before in [None, Some(&b"one"[..])] {
        assert!(!files::replace(&path, before, b"two").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
    }
    assert!(files::replace(&path, Some(b"theirs"), b"two").unwrap());
    assert_eq!(support::files_below(folder.path()), [(path, b"two".to_vec())]);
}

#[test]
fn lines_that_end_as_on_windows_are_kept() {
    let sandbox = Sandbox::plaintext();
    let windows = MINE.replace('\n', "\r\n");
    sandbox.configure(&windows);
    told(&sandbox, &["add", "gitea"], "reply-provider-added");
    told(&sandbox, &["remove", "gitea"], "reply-provider-removed");
    assert_eq!(written(&sandbox), windows);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_folder_and_the_file_are_the_users_alone_and_a_mode_that_is_there_stays() {
        let mut sandbox = Sandbox::plaintext();
        let home = sandbox.home().join("not/yet");
        sandbox.set("CLAVIGER_HOME", home.to_str().unwrap());
        told(&sandbox, &["add", "gitea"], "reply-provider-added");
        let config = home.join("config.toml");
        assert_eq!((mode(&home), mode(&config)), (0o700, 0o600));
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
        told(&sandbox, &["add", "codeberg"], "reply-provider-added");
        assert_eq!(mode(&config), 0o644);
    }

    #[test]
    fn a_link_is_followed_and_stays_one() {
        let sandbox = Sandbox::plaintext();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::set_permissions(elsewhere.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let target = elsewhere.path().join("claviger.toml");
        std::fs::write(&target, MINE).unwrap();
        symlink(&target, elsewhere.path().join("between")).unwrap();
        let link = sandbox.home().join("config.toml");
        symlink(elsewhere.path().join("between"), &link).unwrap();
        told(&sandbox, &["add", "gitea"], "reply-provider-added");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(check_config(&std::fs::read(&target).unwrap()), Ok(2));
        assert_eq!(mode(elsewhere.path()), 0o755, "the folder is people's own");
        told(&sandbox, &["remove", "gitea"], "reply-provider-removed");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), MINE);
        assert_eq!(support::files_below(elsewhere.path()).len(), 1);
        std::fs::remove_file(&target).unwrap();
        told(&sandbox, &["add", "gitea"], "reply-provider-added");
        assert_eq!(mode(&target), 0o600, "where the link leads nowhere yet, the file is made there");
    }

    #[test]
    fn two_links_to_one_file_lose_no_change_either() {
        let shared = tempfile::tempdir().unwrap();
        let target = shared.path().join("config.toml");
        std::fs::write(&target, MINE).unwrap();
        let homes: Vec<_> = (0..4)
            .map(|_| {
                let sandbox = Sandbox::plaintext();
                symlink(&target, sandbox.home().join("config.toml")).unwrap();
                sandbox
            })
            .collect();
        let children: Vec<_> = (0..16)
            .map(|number| {
                let mut command = homes[number % 4].command("providers");
                command.args([
                    "add",
                    &format!("p{number}"),
                    "--issuer",
                    &format!("https://p{number}.example"),
                ]);
                command.spawn().unwrap()
            })
            .collect();
        for child in children {
            let answer = Answer::of(child.wait_with_output().unwrap());
            assert_eq!(answer.exit, 0, "{}", answer.stderr);
        }
        assert_eq!(check_config(&std::fs::read(&target).unwrap()), Ok(17));
    }

    #[test]
    fn what_a_killed_change_left_behind_is_in_nobodys_way_and_goes_with_the_next() {
        let sandbox = Sandbox::plaintext();
        sandbox.configure(MINE);
        std::fs::write(sandbox.home().join(".new-config.toml"), "half a").unwrap();
        std::fs::write(sandbox.home().join(".config.toml.lock"), "pid 1 since then\n").unwrap();
        told(&sandbox, &["add", "gitea"], "reply-provider-added");
        assert_eq!(check_config(written(&sandbox).as_bytes()), Ok(2));
        assert_eq!(sandbox.files().len(), 1, "{:?}", sandbox.files());
    }

    #[test]
    fn who_holds_the_lock_is_waited_for_and_given_up_in_the_end() {
        let sandbox = Sandbox::plaintext();
        sandbox.configure("[timeouts]\nrequest = 1\nlock = 2\n");
        let lock = std::fs::File::create(sandbox.home().join(".config.toml.lock")).unwrap();
        lock.lock().unwrap();
        assert_eq!(providers(&sandbox, &["add", "gitea", "--json"]).code(4), "LOCK_TIMEOUT");
        let mut command = sandbox.command("providers");
        let waiting = command.args(["add", "gitea"]).spawn().unwrap();
        drop(lock);
        assert_eq!(Answer::of(waiting.wait_with_output().unwrap()).exit, 0);
        assert_eq!(check_config(written(&sandbox).as_bytes()), Ok(1));
    }

    #[test]
    fn a_ring_of_links_a_second_name_and_a_foreign_kind_are_refused() {
        let sandbox = Sandbox::plaintext();
        let config = sandbox.home().join("config.toml");
        symlink(&config, sandbox.home().join("a")).unwrap();
        symlink(sandbox.home().join("a"), &config).unwrap();
        assert_ne!(providers(&sandbox, &["add", "gitea", "--json"]).exit, 0);
        std::fs::remove_file(&config).unwrap();
        sandbox.configure(MINE);
        std::fs::hard_link(&config, sandbox.home().join("second")).unwrap();
        assert_eq!(providers(&sandbox, &["add", "gitea", "--json"]).code(5), "STORE_DENIED");
        assert_eq!(written(&sandbox), MINE);
        std::fs::remove_file(&config).unwrap();
        std::fs::create_dir(&config).unwrap();
        assert_ne!(providers(&sandbox, &["add", "gitea", "--json"]).exit, 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_leaves_the_file_as_it_was() {
        if rustix::process::geteuid().is_root() {
            support::skipped("no-root", "root writes anywhere");
            return;
        }
        let sandbox = Sandbox::plaintext();
        sandbox.configure(MINE);
        std::fs::set_permissions(sandbox.home(), std::fs::Permissions::from_mode(0o500)).unwrap();
        let exit = providers(&sandbox, &["add", "gitea"]).exit;
        std::fs::set_permissions(sandbox.home(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(exit, 5);
        assert_eq!(written(&sandbox), MINE);
    }
}
