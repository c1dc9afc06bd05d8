//! `configure`: other tools' own files, changed so that they ask claviger and back again, by the real binary.

#![cfg(unix)]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};
use support::Answer;
use support::tool_home::{Home, real};

/// Each tool: what is said, the file it keeps, and texts of people's that must survive.
const TOOLS: &[(&str, &[&str], &str, &[&str])] = &[
    (
        "git",
        &["--host", "git.acme.example"],
        ".gitconfig",
        &[
            "",
            "[user]\n\tname = A",
            "# mine\n\n[credential]   ; all\n  helper=store\n\n\n",
            "[user]\r\n  name = \"A \\\"B\\\"\" # odd\r\n",
            "[credential \"https://git.acme.example\"]\n\thelper =\n\thelper = store\n\tusername = a",
            "[credential]\n\thelper = \"!f() { echo password=s3cret; }; f\"\n\thelper = store --file czNjcmV0",
        ],
    ),
    (
        "docker",
        &["--host", "r.acme.example:5000"],
        ".docker/config.json",
        &[
            "{}",
            "{}\n",
            "{\n\t\"auths\": {\n\t\t\"x\": {\n\t\t\t\"auth\": \"czNjcmV0\"\n\t\t}\n\t}\n}",
            "{ \"credHelpers\" : { \"z\":\"z\" } ,\n   \"b\":[1,\n2]}\n\n",
            "{\"auths\":{\"x\":{\"auth\":\"czNjcmV0\"}},\"credHelpers\":{}}",
            "{\r\n  \"credHelpers\": {\r\n  }\r\n}\r\n",
            " {\n}",
            "{\"a\": \"{\\\"credHelpers\\\": {}\", \"credHelpers\": {\"y\": \"other,\", \"z\":\"z\"}}",
            "{\r\n\t\"auths\": {}\r\n}",
        ],
    ),
    (
        "cargo",
        &[],
        ".cargo/config.toml",
        &[
            "",
            "# mine\n[build]\n  jobs = 2   # few\n",
            "[build]\r\njobs = 2",
            "[registry]\r\ndefault = 'my'\r\n",
            "[registry]\nglobal-credential-providers = []",
            "\u{feff}[registry]\r\n# mine\r\n",
            "[registry]\nglobal-credential-providers = ['a'] # odd\n",
            "[registry]\nglobal-credential-providers = [\n  'a'\n]\n# The end.\n",
            "[registries.a]\nindex='x'\n[registry]\n# nothing\n\n[net]\nretry = 1",
            "[registry] # all\n default   =  'my'\n\n# The end.",
            "[registry]\nglobal-credential-providers = [\n  'cargo:token', # usual\n]\n\n[net]\nretry=1\n",
        ],
    ),
    (
        "kubernetes",
        &[],
        ".kube/config",
        &[
            "",
            "apiVersion: v1\nkind: Config\n# mine\nclusters:\n- {name: c, cluster: {server: 'https://k.acme.example:6443'}}\nusers:\n# the admin\n- name: admin\n  user: {token: s3cret}\n",
            "apiVersion: v1\nkind: Config\nusers:\n    - name: admin\n      user:\n        token: s3cret",
            "apiVersion: v1\nkind: Config\nusers: []\ncontexts: null\n",
            "kind: Config\napiVersion: v1\nclusters: []",
            "---\r\nkind: Config\r\nusers:   # people\r\n\r\n  # one\r\n  -   name: admin\r\n      user: {token: s3cret}\r\nusers-of: x\r\n",
            "users: null\nkind: Config\n",
        ],
    ),
    (
        "terraform",
        &[],
        ".terraformrc",
        &["", "# mine\nplugin_cache_dir = \"/x\"", "disable_checkpoint = true\r\n"],
    ),
    (
        "bazel",
        &["--host", "b.acme.example"],
        ".bazelrc",
        &["", "# mine\nbuild --jobs=2", "build   --jobs=2 \\\n  -k\n"],
    ),
    (
        "goauth",
        &["--host", "go.acme.example"],
        ".config/go/env",
        &[
            "",
            "GOPROXY=https://go.acme.example\n",
            "# mine\nGOAUTH=git /x; netrc\nGOFLAGS=-v",
            "GOAUTH=netrc\r\n",
        ],
    ),
    (
        "pip",
        &[],
        ".config/pip/pip.conf",
        &[
            "",
            "# mine\n[global]\ntimeout : 60\n[install]\nuser=no",
            "[list]\r\nformat = columns\r\n",
            "[global]\n",
            "[global]\r\ntimeout = 1\r\n",
            "[global] # mine\n\n    index-url = https://pypi.acme.example/simple\n    timeout = 60\n",
        ],
    ),
];

fn configure(home: &Home, tool: &str, words: &[&str]) -> Answer {
    home.say(&[&["configure", tool], words].concat())
}

/// The reply as JSON, which must fit its schema.
#[track_caller]
fn told(home: &Home, tool: &str, words: &[&str]) -> Value {
    let reply = configure(home, tool, &[words, &["--json"]].concat()).ok();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/schemas/reply-configure.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let schema = jsonschema::options().should_validate_formats(false).build(&schema).unwrap();
    assert!(schema.is_valid(&reply), "{reply}");
    reply
}

/// What git and kubectl read themselves is not changed without them.
fn judged(tool: &str) -> bool {
    let judge = match tool {
        "git" => "git",
        "kubernetes" => "kubectl",
        _ => return true,
    };
    real(judge).is_some()
}

#[test]
fn what_people_wrote_is_there_to_the_byte_when_it_is_undone() {
    for (tool, words, file, texts) in TOOLS.iter().filter(|(tool, ..)| judged(tool)) {
        for text in *texts {
            let home = Home::linked();
            home.write(file, text);
            let shown = told(&home, tool, &[*words, &["--dry-run"]].concat());
            assert_eq!((&shown["changed"], home.read(file).as_str()), (&json!(true), *text), "{tool}");
            let done = told(&home, tool, words);
            assert_eq!(
                (&done["changed"], &done["added"]),
                (&json!(true), &shown["added"]),
                "{tool} {text:?}"
            );
            let configured = home.read(file);
            assert_ne!(&configured, text, "{tool}");
            let again = told(&home, tool, words);
            assert_eq!((&again["changed"], &again["added"]), (&json!(false), &json!([])), "{tool} {text:?}");
            assert_eq!(home.read(file), configured, "{tool} {text:?}");
            assert_eq!(told(&home, tool, &["--undo", "--dry-run"])["changed"], true, "{tool}");
            assert_eq!(home.read(file), configured, "{tool} {text:?}");
            assert_eq!(told(&home, tool, &["--undo"])["changed"], true, "{tool} {text:?}");
            assert_eq!(&home.read(file), text, "{tool}: {configured}");
            assert_eq!(told(&home, tool, &["--undo"])["changed"], false, "{tool}");
            let names = std::fs::read_dir(home.path(file).parent().unwrap()).unwrap();
            let litter = names.map(|entry| entry.unwrap().path()).filter(|path| {
                let new = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-"));
                new || path.extension() == Some("lock".as_ref())
            });
            assert_eq!(litter.count(), 0, "{tool}");
        }
    }
}

#[test]
fn no_line_of_peoples_own_is_ever_shown() {
    for (tool, words, file, texts) in TOOLS.iter().filter(|(tool, ..)| judged(tool)) {
        for text in *texts {
            let home = Home::linked();
            home.write(file, text);
            for more in
                [&["--dry-run"][..], &["--dry-run", "--json"], &[], &["--undo", "--dry-run"], &["--undo"]]
            {
                let undo = more.contains(&"--undo");
                let answer = configure(&home, tool, &[if undo { &[] } else { *words }, more].concat());
                assert_eq!(answer.exit, 0, "{}", answer.stderr);
                for secret in ["s3cret", "czNjcmV0"] {
                    assert!(
                        !answer.stdout.contains(secret) && !answer.stderr.contains(secret),
                        "{tool} {more:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn without_a_file_one_is_made_that_only_the_user_can_read() {
    for (tool, words, file, _) in TOOLS.iter().filter(|(tool, ..)| judged(tool)) {
        let home = Home::linked();
        assert_eq!(told(&home, tool, &["--undo"])["changed"], false, "{tool}");
        told(&home, tool, &[*words, &["--dry-run"]].concat());
        assert!(!home.path(file).exists(), "{tool}");
        told(&home, tool, words);
        assert_eq!(std::fs::metadata(home.path(file)).unwrap().mode() & 0o777, 0o600, "{tool}");
    }
}

#[test]
fn what_is_changed_is_said_before_it_is_done_and_in_a_dry_run_alike() {
    let Some(_) = real("git") else { return };
    let home = Home::linked();
    let file = home.path(".gitconfig").display().to_string();
    let lines = "+ [credential \"https://git.acme.example\"]\n+     helper =\n+     helper = claviger\n";
    let dry = configure(&home, "git", &["--host", "git.acme.example", "--dry-run"]);
    let said = format!("git would ask claviger; {file} is as it was\n");
    assert_eq!((dry.stdout, dry.stderr), (said, format!("{file}:\n{lines}")));
    for words in [&["--host", "git.acme.example"][..], &["--undo"]] {
        let dry = configure(&home, "git", &[words, &["--dry-run", "--json"]].concat());
        let done = configure(&home, "git", &[words, &["--json"]].concat());
        assert!(!done.stderr.is_empty());
        assert_eq!(dry.stderr, done.stderr);
        assert_eq!(dry.json()["added"], done.json()["added"]);
        assert_eq!(dry.json()["removed"], done.json()["removed"]);
    }
    let dry = configure(&home, "terraform", &["--dry-run"]);
    let done = configure(&home, "terraform", &[]);
    assert!(done.stderr.contains("/plugins/terraform-credentials-claviger -> "), "{}", done.stderr);
    assert_eq!(dry.stderr, done.stderr);
    let done = configure(&home, "git", &["--host", "git.acme.example"]);
    assert_eq!((done.stdout.as_str(), done.stderr), ("git asks claviger now\n", format!("{file}:\n{lines}")));
    let again = configure(&home, "git", &["--host", "git.acme.example"]);
    assert_eq!(again.stdout, format!("git asks claviger already; {file} is as it was\n"));
    let undone = configure(&home, "git", &["--undo"]);
    assert_eq!(
        (undone.stdout.as_str(), undone.stderr),
        ("git no longer asks claviger\n", format!("{file}:\n{}", lines.replace("+ ", "- ")))
    );
    let nothing = configure(&home, "git", &["--undo"]);
    assert_eq!(nothing.stdout, format!("nothing of claviger's is in {file}; it is as it was\n"));
    std::fs::remove_file(home.bin().join("git-credential-claviger")).unwrap();
    let noted = configure(&home, "git", &["--host", "git.acme.example"]);
    assert!(
        noted.stdout.contains("note: git looks for `git-credential-claviger` on PATH"),
        "{}",
        noted.stdout
    );
}

#[test]
fn a_helper_of_gits_that_is_taken_back_is_named_without_its_arguments() {
    let Some(_) = real("git") else { return };
    let home = Home::linked();
    let text = "[credential]\n\thelper = \"!echo password=s3cret\"\n\thelper = store --file s3cret\n";
    home.write(".gitconfig", text);
    for words in [&["--host", "a.example", "--dry-run"][..], &["--host", "a.example"]] {
        let answer = configure(&home, "git", words);
        for name in ["a helper that is a command of the shell's", "`store`"] {
            let note = format!(
                "note: {name} was asked for https://a.example before; with claviger's lines it no longer is\n"
            );
            assert!(answer.stdout.contains(&note), "{}", answer.stdout);
        }
        assert!(!answer.stdout.contains("s3cret") && !answer.stderr.contains("s3cret"));
    }
    for words in [&["--host", "a.example"][..], &["--undo"]] {
        assert!(!configure(&home, "git", words).stdout.contains("was asked"));
    }
}

#[test]
fn a_host_that_another_file_would_read_otherwise_is_refused() {
    let home = Home::linked();
    for tool in ["git", "docker", "cargo", "kubernetes", "bazel", "goauth"] {
        for host in [
            "",
            "a\nhelper = x",
            "a\r",
            "a\"]",
            "a]",
            "a\"",
            "a'",
            "a b",
            "a;b",
            "a#b",
            "a/b",
            "a\\b",
            "-x",
            "a=b",
            "$(x)",
            "u@a",
        ] {
            let answer = configure(&home, tool, &[&format!("--host={host}")]);
            assert_eq!(answer.exit, 2, "{tool} {host:?}: {}{}", answer.stdout, answer.stderr);
        }
    }
    for tool in ["terraform", "pip"] {
        assert_eq!(configure(&home, tool, &["--host", "a.example"]).exit, 2, "{tool} knows no hosts");
    }
    assert!(TOOLS.iter().all(|(_, _, file, _)| !home.path(file).exists()), "nothing was written");
}

#[test]
fn a_tool_is_called_what_people_call_it() {
    let home = Home::linked();
    for (alias, word, file) in [("go", "goauth", ".config/go/env"), ("kubectl", "kubernetes", ".kube/config")]
    {
        if !judged(word) {
            continue;
        }
        let reply = told(&home, alias, &["--host", "a.example"]);
        assert_eq!((reply["tool"].as_str(), reply["changed"].as_bool()), (Some(word), Some(true)), "{alias}");
        assert!(home.path(file).exists(), "{alias}");
        let undone = configure(&home, alias, &["--undo"]);
        assert_eq!(undone.stdout, format!("{alias} no longer asks claviger\n"));
    }
    assert_eq!(configure(&home, "goauth", &[]).stdout, "go asks claviger now\n");
    for (tool, example) in [
        ("git", "git.acme.example"),
        ("docker", "registry.acme.example"),
        ("cargo", "crates.acme.example"),
        ("kubectl", "k8s.acme.example"),
        ("bazel", "cache.acme.example"),
        ("go", "go.acme.example"),
    ] {
        let help = configure(&home, tool, &["--help"]).stdout;
        assert!(help.contains(&format!("A host, as {example};")), "{help}");
        let complaint = configure(&home, tool, &["--host", "a/b"]).stderr;
        assert!(complaint.contains(&format!("; say {example}, or ")), "{complaint}");
    }
    let patterns = configure(&home, "bazel", &["--host", "*.acme.example"]);
    assert!(patterns.exit == 2 && patterns.stderr.contains("hosts one by one"), "{}", patterns.stderr);
    assert!(patterns.stderr.contains("a pattern is to be written by hand"), "{}", patterns.stderr);
}

#[test]
fn the_hosts_of_the_providers_are_meant_where_none_is_named() {
    let home = Home::linked();
    for tool in ["git", "docker", "bazel"] {
        let answer = configure(&home, tool, &["--json"]);
        assert_eq!(answer.code(2), "BAD_REQUEST", "{tool}");
        assert!(answer.stdout.contains("say --host "), "{}", answer.stdout);
    }
    home.sandbox.configure(
        "[providers.a]\nissuer = 'https://id.a.example'\nclient-id = 'x'\nservices = ['https://a.example/x', 'https://a.example/y', 'http://127.0.0.1:5000']\n\
         [providers.b]\nissuer = 'https://id.b.example'\nclient-id = 'x'\nservices = ['https://b.example:8443']\n",
    );
    told(&home, "docker", &[]);
    let written: Value = serde_json::from_str(&home.read(".docker/config.json")).unwrap();
    let expected =
        json!({ "a.example": "claviger", "127.0.0.1:5000": "claviger", "b.example:8443": "claviger" });
    assert_eq!(written["credHelpers"], expected);
    told(&home, "goauth", &[]);
    let services =
        "--service https://a.example --service http://127.0.0.1:5000 --service https://b.example:8443";
    assert!(home.read(".config/go/env").contains(&format!("\nGOAUTH=claviger goauth {services}; netrc\n")));
    if real("git").is_some() {
        assert_eq!(told(&home, "git", &[])["added"].as_array().unwrap().len(), 9);
    }
    told(&home, "docker", &["--undo", "--host", "a.example"]);
    assert!(!home.read(".docker/config.json").contains("\"a.example\""));
    told(&home, "goauth", &["--undo", "--host", "b.example:8443"]);
    assert!(!home.read(".config/go/env").contains("b.example"));
}

#[test]
fn another_helper_in_the_way_is_a_conflict_that_changes_nothing() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str], &str, &str)] = &[
        ("docker", &["--host", "r.example"], ".docker/config.json", "{\"credHelpers\": {\"r.example\": \"other\"}}"),
        ("docker", &["--all"], ".docker/config.json", "{\"credsStore\": \"desktop\"}"),
        ("cargo", &["--host", "c.example"], ".cargo/config.toml", "[registries.my]\nindex = 'sparse+https://c.example/i/'\ncredential-provider = 'other'\n"),
        ("cargo", &["--host", "c.example"], ".cargo/config.toml", "[registries.my]\nindex = 'sparse+https://other.example/i/'\n"),
        ("cargo", &[], ".cargo/config.toml", "registry = { default = 'x' }\n"),
        ("terraform", &[], ".terraformrc", "credentials_helper \"other\" {\n}\n"),
        ("goauth", &[], ".config/go/env", "GOAUTH=off\n"),
        ("pip", &[], ".config/pip/pip.conf", "[global]\nkeyring_provider = import\n"),
        ("pip", &[], ".config/pip/pip.conf", "[install]\nkeyring-provider: disabled\n"),
        ("pip", &[], ".config/pip/pip.conf", "[global] # mine\n  keyring-provider = import\n"),
    ];
    for (tool, words, file, text) in cases {
        let home = Home::linked();
        home.write(file, text);
        let answer = configure(&home, tool, &[*words, &["--json"]].concat());
        assert_eq!(answer.code(2), "CONFLICT", "{tool} {text}");
        assert_eq!(&home.read(file), text);
    }
    let home = Home::linked();
    home.write(".terraform.d/plugins/terraform-credentials-claviger", "mine");
    for words in [&["--json", "--dry-run"][..], &["--json"]] {
        assert_eq!(configure(&home, "terraform", words).code(2), "CONFLICT");
        assert!(!home.path(".terraformrc").exists(), "nothing was changed, as it says");
    }
}

/// A tool, what is said, its file, and what is wrong with that.
type Broken = (&'static str, &'static [&'static str], &'static str, &'static [&'static [u8]]);

#[test]
fn a_file_that_cannot_be_read_back_is_not_touched() {
    #[rustfmt::skip]
    let cases: &[Broken] = &[
        ("git", &["--host", "a.example"], ".gitconfig", &[b"[user\n", b"[user]\nname = \xff\n", b"[a]\n\tb = \"c\n"]),
        ("docker", &["--host", "a.example"], ".docker/config.json", &[b"{", b"[]", b"{\"credHelpers\": []}", b"{\"credhelpers\": {}}", b"{\"credHelpers\": {}, \"credHelpers\": {}}", b"\xff"]),
        ("cargo", &[], ".cargo/config.toml", &[b"[registry\n", b"[registry]\nglobal-credential-providers = 'x'\n"]),
        ("kubernetes", &[], ".kube/config", &[b"users: [\n", b"users:\n- name: [\n"]),
        ("terraform", &[], ".terraformrc", &[b"{\"a\": 1}"]),
        ("goauth", &[], ".config/go/env", &[b"\xff\n"]),
        ("pip", &[], ".config/pip/pip.conf", &[b"\xff\n", b"[global]", b"timeout = 1\n"]),
    ];
    for (tool, words, file, texts) in cases.iter().filter(|(tool, ..)| judged(tool)) {
        for text in *texts {
            let home = Home::linked();
            std::fs::write(home.write(file, ""), text).unwrap();
            let answer = configure(&home, tool, &[*words, &["--json"]].concat());
            assert_eq!(answer.code(6), "CONFIG_INVALID", "{tool} {}", String::from_utf8_lossy(text));
            assert!(answer.stdout.contains("cannot be read: "), "{}", answer.stdout);
            assert_eq!(std::fs::read(home.path(file)).unwrap(), *text, "{tool}");
        }
    }
}

#[test]
fn lists_that_kubectl_would_not_have_written_are_left_to_people() {
    let Some(_) = real("kubectl") else { return };
    for text in [
        "{\"kind\": \"Config\", \"users\": [{\"name\": \"a\", \"user\": {}}]}\n",
        "users: [{name: a, user: {}}]\n",
    ] {
        let home = Home::linked();
        home.write(".kube/config", text);
        let answer = configure(&home, "kubernetes", &["--json"]);
        assert_eq!(answer.code(2), "CONFLICT");
        assert!(answer.stdout.contains("kubectl config set-credentials claviger "), "{}", answer.stdout);
        assert_eq!(home.read(".kube/config"), text);
    }
}

#[test]
fn a_link_stays_and_the_file_it_leads_to_is_changed_with_its_mode() {
    for (tool, words, file, texts) in TOOLS.iter().filter(|(tool, ..)| judged(tool)) {
        let home = Home::linked();
        let kept = home.write("dotfiles/kept", texts[1]);
        std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::fs::create_dir_all(home.path(file).parent().unwrap()).unwrap();
        symlink("kept", home.path("dotfiles/step")).unwrap();
        symlink(home.path("dotfiles/step"), home.path(file)).unwrap();
        told(&home, tool, words);
        assert!(std::fs::symlink_metadata(home.path(file)).unwrap().is_symlink(), "{tool}");
        assert_ne!(home.read("dotfiles/kept"), texts[1], "{tool}");
        assert_eq!(std::fs::symlink_metadata(&kept).unwrap().mode() & 0o777, 0o640, "{tool}");
        told(&home, tool, &["--undo"]);
        assert_eq!(home.read("dotfiles/kept"), texts[1], "{tool}");
    }
}

#[test]
fn a_file_that_is_not_safely_the_users_is_refused() {
    let refused = |home: &Home, why: &str| {
        let before = std::fs::read(home.path(".docker/config.json")).ok();
        let answer = configure(home, "docker", &["--host", "a.example", "--json"]);
        assert_eq!(answer.code(5), "STORE_DENIED", "{why}");
        assert!(answer.stdout.contains(why), "{why}: {}", answer.stdout);
        assert_eq!(std::fs::read(home.path(".docker/config.json")).ok(), before);
    };
    let with_mode = |mode| {
        let home = Home::linked();
        let file = home.write(".docker/config.json", "{}");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        home
    };
    for mode in [0o666, 0o662, 0o602] {
        refused(&with_mode(mode), "can be written by others");
    }
    refused(&with_mode(0o444), "is read-only");
    let home = Home::linked();
    std::fs::create_dir_all(home.path(".docker/config.json")).unwrap();
    refused(&home, "is not a regular file");
    let home = with_mode(0o600);
    std::fs::hard_link(home.path(".docker/config.json"), home.path("second")).unwrap();
    refused(&home, "has a second name (hard link)");
    let home = Home::linked();
    std::fs::create_dir_all(home.path(".docker")).unwrap();
    symlink("config.json", home.path(".docker/config.json")).unwrap();
    assert_eq!(configure(&home, "docker", &["--host", "a.example"]).exit, 5, "a ring of links");
    let home = with_mode(0o600);
    if std::os::unix::fs::chown(home.path(".docker/config.json"), Some(1), None).is_ok() {
        refused(&home, "belongs to another user");
    } else {
        eprintln!("skipped: only root can give a file away");
    }
}

#[test]
fn of_many_changes_at_once_none_is_lost() {
    let Some(git) = real("git") else { return };
    let home = Home::linked();
    home.write(".gitconfig", "[user]\n\tname = A\n");
    let mut numbers = 0..;
    let mut start = |program: &Path, words: &dyn Fn(usize) -> Vec<String>| {
        let number = numbers.next().unwrap();
        home.program(program).args(words(number)).spawn().unwrap()
    };
    let mut children = Vec::new();
    for _ in 0..6 {
        let words = |host: usize| {
            ["configure", "git", "--host"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("h{host}.example")])
                .collect()
        };
        children.push((true, start(&home.bin().join("claviger"), &words)));
        let words = |key: usize| {
            ["config", "--global"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("x.k{key}"), "v".to_owned()])
                .collect()
        };
        children.push((false, start(&git, &words)));
    }
    let mut done = 1;
    for (ours, child) in children {
        let answer = Answer::of(child.wait_with_output().unwrap());
        // git does not wait for its lock.
        assert!(
            answer.exit == 0 || (!ours && answer.stderr.contains("could not lock config file")),
            "{}",
            answer.stderr
        );
        done += usize::from(!ours && answer.exit == 0);
    }
    let written = home.read(".gitconfig");
    assert_eq!(written.matches("\thelper = claviger\n").count(), 6, "{written}");
    assert_eq!(written.matches("\tk").count() + written.matches("name = A").count(), done, "{written}");
    told(&home, "git", &["--undo"]);
    assert!(!home.read(".gitconfig").contains("claviger"));
}

#[test]
fn a_lock_of_the_tools_own_is_waited_for_and_then_named() {
    let home = Home::linked();
    home.sandbox.configure("[timeouts]\nrequest = 1\nconnect = 1\nlock = 2\n");
    home.write(".kube/config.lock", "");
    home.write(".docker/config.json.lock", "");
    let answer = configure(&home, "docker", &["--host", "a.example", "--json"]);
    assert_eq!(answer.code(4), "LOCK_TIMEOUT");
    assert!(answer.stdout.contains("config.json.lock is there"), "{}", answer.stdout);
    assert!(!home.path(".docker/config.json").exists() && home.path(".docker/config.json.lock").exists());
}

#[test]
fn the_variables_of_a_tool_move_its_file() {
    for (tool, words, variable, value, file) in [
        ("git", &["--host", "a.example"][..], "GIT_CONFIG_GLOBAL", "other/git", "other/git"),
        ("git", &["--host", "a.example"], "XDG_CONFIG_HOME", "xdg", ".gitconfig"),
        ("docker", &["--host", "a.example"], "DOCKER_CONFIG", "other", "other/config.json"),
        ("cargo", &[], "CARGO_HOME", "other", "other/config.toml"),
        ("kubernetes", &[], "KUBECONFIG", "other/kube", "other/kube"),
        ("terraform", &[], "TF_CLI_CONFIG_FILE", "other/rc", "other/rc"),
        ("goauth", &[], "GOENV", "other/go", "other/go"),
        ("goauth", &[], "XDG_CONFIG_HOME", "xdg", "xdg/go/env"),
        ("pip", &[], "PIP_CONFIG_FILE", "other/pip", "other/pip"),
        ("pip", &[], "XDG_CONFIG_HOME", "xdg", "xdg/pip/pip.conf"),
    ] {
        if !judged(tool) {
            continue;
        }
        let mut home = Home::linked();
        home.set(variable, home.path(value));
        let told = told(&home, tool, words);
        assert_eq!(told["file"].as_str(), home.path(file).to_str(), "{variable}");
        assert!(home.path(file).is_file(), "{variable}");
        if variable != "XDG_CONFIG_HOME" {
            home.set(variable, "relative".into());
            let answer = configure(&home, tool, &[words, &["--json"]].concat());
            assert_eq!(answer.code(6), "CONFIG_INVALID");
            assert!(answer.stdout.contains(variable), "{}", answer.stdout);
        }
    }
    let mut home = Home::linked();
    home.write("xdg/git/config", "");
    home.write("two", "");
    home.write(".cargo/config", "");
    home.set("XDG_CONFIG_HOME", home.path("xdg"));
    home.set(
        "KUBECONFIG",
        std::env::join_paths([home.path("one"), home.path("two"), home.path("three")]).unwrap().into(),
    );
    for (tool, words, file) in [
        ("git", &["--host", "a.example"][..], "xdg/git/config"),
        ("kubernetes", &[], "two"),
        ("cargo", &[], ".cargo/config"),
    ] {
        if judged(tool) {
            assert_eq!(told(&home, tool, words)["file"].as_str(), home.path(file).to_str(), "{tool}");
        }
    }
}

#[test]
fn what_was_written_between_the_marks_stays() {
    let Some(_) = real("git") else { return };
    let home = Home::linked();
    told(&home, "git", &["--host", "git.acme.example"]);
    home.ask("git", &["config", "--global", "credential.https://git.acme.example.username", "alice"]);
    told(&home, "git", &["--undo"]);
    assert_eq!(home.read(".gitconfig"), "[credential \"https://git.acme.example\"]\n\tusername = alice\n");
}

#[test]
fn a_call_for_another_host_adds_to_what_is_there() {
    let home = Home::linked();
    for host in ["a.example", "b.example", "a.example"] {
        for tool in ["docker", "goauth", "bazel"] {
            configure(&home, tool, &["--host", host]);
        }
    }
    assert_eq!(home.read(".bazelrc").matches("common --credential_helper=").count(), 2);
    assert!(
        home.read(".config/go/env").contains(
            "GOAUTH=claviger goauth --service https://a.example --service https://b.example; netrc\n"
        )
    );
    told(&home, "goauth", &["--undo", "--host", "a.example"]);
    told(&home, "bazel", &["--undo", "--host", "a.example"]);
    assert_eq!(home.read(".bazelrc").matches("=b.example=").count(), 1);
    for tool in ["docker", "goauth", "bazel"] {
        told(&home, tool, &["--undo"]);
    }
    assert_eq!((home.read(".bazelrc"), home.read(".config/go/env")), (String::new(), String::new()));
    assert_eq!(home.read(".docker/config.json"), "{}");
    std::fs::remove_file(home.bin().join("bazel-credential-claviger")).unwrap();
    assert_eq!(configure(&home, "bazel", &["--host", "a.example", "--json"]).code(1), "NOT_FOUND");
}

#[test]
fn an_entry_of_dockers_for_an_account_is_claviger_and_goes_with_the_others() {
    let home = Home::linked();
    let text = "{\n\t\"credsStore\": \"claviger-bob\",\n\t\"credHelpers\": {\n\t\t\"a.example\": \"claviger-alice\",\n\t\t\"b.example\": \"clavigerx\"\n\t}\n}";
    home.write(".docker/config.json", text);
    for words in [&["--host", "a.example"][..], &["--all"]] {
        assert!(configure(&home, "docker", words).stdout.contains("docker asks claviger already"));
    }
    let undone = told(&home, "docker", &["--undo"]);
    let expected = ["\"credsStore\": \"claviger-bob\"", "credHelpers: \"a.example\": \"claviger-alice\""];
    assert_eq!(undone["removed"], json!(expected));
    assert_eq!(
        home.read(".docker/config.json"),
        "{\n\t\"credHelpers\": {\n\t\t\"b.example\": \"clavigerx\"\n\t}\n}"
    );
}

#[test]
fn docker_hub_is_meant_by_any_of_its_names() {
    let home = Home::linked();
    for host in ["docker.io", "index.docker.io", "https://registry-1.docker.io"] {
        told(&home, "docker", &["--host", host]);
    }
    let written: Value = serde_json::from_str(&home.read(".docker/config.json")).unwrap();
    assert_eq!(written, json!({ "credHelpers": { "https://index.docker.io/v1/": "claviger" } }));
}

#[test]
fn a_judge_that_is_missing_is_named() {
    let mut home = Home::linked();
    home.set("PATH", home.bin());
    for (tool, judge) in [("git", "git"), ("kubernetes", "kubectl")] {
        let answer = configure(&home, tool, &["--host", "a.example", "--json"]);
        assert_eq!(answer.code(6), "CONFIG_INVALID");
        assert!(answer.stdout.contains(&format!("{judge} is not on PATH")), "{}", answer.stdout);
    }
}

#[test]
fn an_interrupt_leaves_no_copy_of_a_kubeconfig_behind() {
    use std::os::unix::process::CommandExt as _;
    let home = Home::default();
    let kubectl = home.write("bin/kubectl", "#!/bin/sh\nexec sleep 30\n");
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.write(".kube/config", "users:\n- name: x\n  user: {token: s3cret}\n");
    let mut command = home.program(&home.bin().join("claviger"));
    let mut child = command.args(["configure", "kubernetes", "--dry-run"]).process_group(0).spawn().unwrap();
    let copies = || std::fs::read_dir(home.sandbox.home().join("check")).map_or(0, Iterator::count);
    while copies() == 0 {
        std::thread::yield_now();
    }
    // kubectl is there, or will be.
    while !std::process::Command::new("pgrep")
        .args(["-P", &child.id().to_string()])
        .output()
        .unwrap()
        .status
        .success()
    {}
    let group = format!("-{}", child.id());
    assert!(std::process::Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    child.wait().unwrap();
    assert_eq!(copies(), 0);
}
