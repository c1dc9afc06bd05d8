//! `git credential` itself, new and old, with claviger for a helper, alone and beside others.

#![cfg(unix)]

mod support;

use serde_json::json;
use support::git::{Git, KNOWS_EXPIRY, User};
use support::git_server::{BASIC, BEARER};
use support::git_stage::{Stage, TOKEN, done};
use support::server::Server;
use support::{Answer, binary, expired};

const HOST: &str = "git.acme.example";
/// The end of the session's token, and what git is told: a minute earlier.
const END: &str = "2040-01-01T00:00:00Z";
const TOLD: &str = "password_expiry_utc=2208988740";

/// A session of alice's for [`HOST`] that can be refreshed at this server.
fn signed_in<'a>(git: &'a Git, authority: &Server) -> User<'a> {
    let user = User::new(git);
    let mut bundle = expired(authority, "RT1-first");
    bundle["service"] = json!(format!("https://{HOST}"));
    bundle["accessToken"] = json!(TOKEN);
    bundle["expiresAt"] = json!(END);
    user.sandbox.run("store", &bundle).ok();
    user
}

#[track_caller]
fn says(answer: &Answer, lines: &[&str]) {
    let expected: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str(), answer.exit), (expected.as_str(), "", 0));
}

/// git has nothing and asks somebody, who is not there; nothing else is said.
#[track_caller]
fn asks(answer: &Answer) {
    assert_eq!((answer.stdout.as_str(), answer.exit), ("", 128));
    let lines: Vec<&str> = answer.stderr.lines().collect();
    assert!(matches!(lines[..], [line] if line.contains("terminal prompts disabled")), "{lines:?}");
}

#[test]
fn what_is_filled_in_is_a_user_name_a_token_and_an_early_end() {
    for git in Git::each() {
        let authority = Server::start("RT1-first");
        let user = signed_in(&git, &authority);
        let mut lines =
            vec!["protocol=https", "host=git.acme.example", "username=oauth2", "password=AT-fresh"];
        lines.extend((git.version >= KNOWS_EXPIRY).then_some(TOLD));
        says(&user.credential("fill", &["protocol=https", "host=git.acme.example"]), &lines);
        says(&user.credential("fill", &["url=https://git.acme.example"]), &lines);
        lines[2] = "username=alice";
        says(&user.credential("fill", &["url=https://alice@git.acme.example/a/repo.git"]), &lines);
        for elsewhere in ["other.example", "git.acme.example:8443", "a.git.acme.example", "acme.example"] {
            asks(&user.credential("fill", &["protocol=https", &format!("host={elsewhere}")]));
        }
        assert_eq!(authority.token_requests(), 0);
    }
}

#[test]
fn whoever_understands_a_token_is_given_one_where_the_table_says_so_and_is_told_to_keep_it_nowhere() {
    let Some(git) = Git::new() else { return };
    let authority = Server::start("RT1-first");
    let user = signed_in(&git, &authority);
    user.sandbox.configure(&format!(
        "[providers.acme]\ntoken-endpoint = \"{}\"\nclient-id = \"claviger-tests\"\n\
         services = [\"https://{HOST}\"]\ngit-authtype = \"bearer\"\n",
        authority.token_endpoint()
    ));
    let place = ["protocol=https", "host=git.acme.example"];
    let token = ["capability[]=authtype", "authtype=Bearer", "credential=AT-fresh", "ephemeral=1"];
    let filled = user.credential("fill", &[&token[..1], &place].concat());
    says(&filled, &[&token[..], &place, &[TOLD]].concat());
    // To one who does not say so it is a password.
    let password = ["username=oauth2", "password=AT-fresh", TOLD];
    says(&user.credential("fill", &place), &[&place[..], &password].concat());
}

#[test]
fn what_was_filled_in_is_not_stored_and_rejecting_it_costs_a_refresh_and_no_session() {
    for git in Git::each() {
        let authority = Server::start("RT1-first");
        let user = signed_in(&git, &authority);
        let before = user.sandbox.files();
        let filled = user.credential("fill", &["protocol=https", "host=git.acme.example"]);
        let lines: Vec<&str> = filled.stdout.lines().collect();
        says(&user.credential("approve", &lines), &[]);
        assert!(user.sandbox.files() == before, "{:?}", git.version);

        says(
            &user.credential(
                "reject",
                &["protocol=https", "host=git.acme.example", "username=oauth2", "password=other"],
            ),
            &[],
        );
        assert!(user.sandbox.files() == before, "{:?}", git.version);

        says(&user.credential("reject", &lines), &[]);
        let filled = user.credential("fill", &["protocol=https", "host=git.acme.example"]);
        let granted = authority.log(|log| log.granted[0].clone());
        assert!(filled.stdout.contains(&format!("\npassword={granted}\n")), "{}", filled.stdout);
        // Nobody said which: the token at hand goes, the session stays.
        says(&user.credential("reject", &["protocol=https", "host=git.acme.example"]), &[]);
        let filled = user.credential("fill", &["protocol=https", "host=git.acme.example"]);
        let granted = authority.log(|log| log.granted[1].clone());
        assert!(filled.stdout.contains(&format!("\npassword={granted}\n")), "{}", filled.stdout);
        assert_eq!((authority.token_requests(), authority.log(|log| log.reused)), (2, 0));
    }
}

#[test]
fn a_password_beside_a_session_is_kept_only_under_a_name_of_its_own() {
    for git in Git::each() {
        let authority = Server::start("RT1-first");
        let user = signed_in(&git, &authority);
        let before = user.sandbox.files();
        let place = ["protocol=https", "host=git.acme.example"];
        // What a server gave is not overwritten by what somebody typed, nor by a token that is to be kept nowhere.
        for typed in [
            &["username=alice", "password=typed"][..],
            &["username=oauth2", "password=AT-fresh"],
            &["capability[]=authtype", "authtype=Bearer", "credential=theirs", "ephemeral=1"],
        ] {
            says(&user.credential("approve", &[typed, &place].concat()), &[]);
            assert!(user.sandbox.files() == before, "{:?} {typed:?}", git.version);
        }
        let carols = [&place[..], &["username=carol", "password=typed"]].concat();
        says(&user.credential("approve", &carols), &[]);
        says(&user.credential("fill", &carols[..3]), &carols);
        let filled = user.credential("fill", &place);
        assert!(filled.stdout.contains("\npassword=AT-fresh\n"), "{}", filled.stdout);
        // It ends without being asked for by its password, and alone.
        says(&user.credential("reject", &carols[..3]), &[]);
        asks(&user.credential("fill", &carols[..3]));
        let filled = user.credential("fill", &place);
        assert!(filled.stdout.contains("\npassword=AT-fresh\n"), "{}", filled.stdout);
        assert_eq!(authority.token_requests(), 0);
    }
}

#[test]
fn what_two_people_typed_is_two_passwords_even_where_it_is_the_same() {
    for git in Git::each() {
        let user = User::new(&git);
        let of = |name: &'static str| ["protocol=https", "host=git.acme.example", name, "password=typed"];
        let (carols, daves) = (of("username=carol"), of("username=dave"));
        for typed in [carols, daves] {
            says(&user.credential("approve", &typed), &[]);
        }
        for typed in [carols, daves] {
            says(&user.credential("fill", &typed[..3]), &typed);
        }
        asks(&user.credential("fill", &of("username=erin")[..3]));
        says(&user.credential("reject", &carols), &[]);
        asks(&user.credential("fill", &carols[..3]));
        says(&user.credential("fill", &daves[..3]), &daves);
        // An empty one is nobody's.
        let before = user.sandbox.files();
        for operation in ["approve", "reject"] {
            says(&user.credential(operation, &[&daves[..2], &["username=", "password="]].concat()), &[]);
            says(&user.credential(operation, &[&daves[..3], &["password="]].concat()), &[]);
        }
        assert!(user.sandbox.files() == before);
    }
}

#[test]
fn a_password_with_an_end_is_given_with_it_replaced_and_forgotten() {
    let Some(git) = Git::new() else { return };
    let user = User::new(&git);
    let typed = |password: &'static str, end: &'static str| {
        ["protocol=https", "host=git.acme.example", "username=carol", password, end]
    };
    for typed in [
        typed("password=one", "password_expiry_utc=9999999998"),
        typed("password=one", "password_expiry_utc=9999999999"),
        typed("password=two", "password_expiry_utc=9999999999"),
    ] {
        says(&user.credential("approve", &typed), &[]);
        says(&user.credential("fill", &typed[..3]), &typed);
    }
    says(&user.credential("reject", &typed("password=two", "password_expiry_utc=9999999999")), &[]);
    asks(&user.credential("fill", &["protocol=https", "host=git.acme.example"]));
    assert_eq!(user.sandbox.run_bytes("list", b"").ok()["sessions"], json!([]));
}

#[test]
fn a_password_typed_for_a_path_is_found_below_it_alone() {
    for git in Git::each() {
        let user = User::new(&git);
        user.configure("[credential]\nhelper = claviger\nuseHttpPath = true\n");
        let typed = [
            "protocol=https",
            "host=git.acme.example",
            "path=a/repo.git",
            "username=carol",
            "password=typed",
        ];
        says(&user.credential("approve", &typed), &[]);
        says(&user.credential("fill", &typed[..3]), &typed);
        for path in ["path=a/repo.gitx", "path=b/repo.git", "path=a"] {
            asks(&user.credential("fill", &["protocol=https", "host=git.acme.example", path]));
        }
        user.configure("[credential]\nhelper = claviger\n");
        asks(&user.credential("fill", &typed[..3]));
    }
}

#[test]
fn no_protocol_but_https_is_answered_and_nothing_is_kept_for_it() {
    for git in Git::each() {
        let authority = Server::start("RT1-first");
        let user = signed_in(&git, &authority);
        let before = user.sandbox.files();
        for protocol in ["http", "ssh", "ftp", "smtp", "imaps", "git"] {
            let place = [format!("protocol={protocol}"), format!("host={HOST}")];
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            asks(&user.credential("fill", &place));
            for operation in ["approve", "reject"] {
                let typed = [&place[..], &["username=oauth2", "password=AT-fresh"]].concat();
                says(&user.credential(operation, &typed), &[]);
                let typed = [&place[..], &["username=carol", "password=typed"]].concat();
                says(&user.credential(operation, &typed), &[]);
            }
            assert!(user.sandbox.files() == before, "{:?} {protocol}", git.version);
        }
    }
}

#[test]
fn the_helper_is_found_however_it_is_named_and_may_be_given_an_account() {
    for git in Git::each() {
        let authority = Server::start("RT1-first");
        let user = signed_in(&git, &authority);
        let link = user.path("bin/git-credential-claviger").display().to_string();
        let bobs = json!({ "service": format!("https://{HOST}"), "account": "bob", "accessToken": "AT-bob" });
        user.sandbox.run("store", &bobs).ok();
        for (helper, token) in [
            ("claviger", TOKEN),
            ("claviger --account bob", "AT-bob"),
            (&link, TOKEN),
            (&format!("{link} --account bob"), "AT-bob"),
            (&format!("!'{}' git", binary()), TOKEN),
            (&format!("!'{}' git --account bob", binary()), "AT-bob"),
        ] {
            user.configure(&format!("[credential]\nhelper = \"{helper}\"\n"));
            let filled = user.credential("fill", &["protocol=https", "host=git.acme.example"]);
            assert!(filled.stdout.contains(&format!("\npassword={token}\n")), "{helper}: {}", filled.stderr);
        }
        let operation = |word: &str| user.run(&["credential-claviger", word]);
        says(&operation("capability"), &["version 0", "capability authtype", "capability state"]);
        says(&operation("an-operation-of-the-future"), &[]);
    }
}

/// What a helper beside ours was told, an operation and its lines at a time.
fn overheard(user: &User<'_>) -> Vec<String> {
    let text = std::fs::read_to_string(user.path("overheard")).unwrap_or_default();
    text.split_terminator("--\n").map(str::to_owned).collect()
}

const EAR: &str = "{ echo $1; cat; echo --; } >>\"$HOME/overheard\"";

#[test]
fn a_helper_beside_ours_hears_with_every_token_that_it_is_not_to_be_kept() {
    let Some(git) = Git::new() else { return };
    for (challenge, secret, other) in
        [(BASIC, "\npassword=", "credential="), (BEARER, "\ncredential=", "password=")]
    {
        let stage = Stage::signed_in(&git);
        stage.server.door(|door| door.challenges = vec![challenge.to_owned()]);
        stage.user.program("git-credential-ear", EAR);
        stage.user.configure("[credential]\nhelper = claviger\nhelper = ear\nhelper = store\n");
        let url = stage.server.url("repo.git");
        done(&stage.user.clone_from(&url));
        stage.server.door(|door| door.revoked.push(TOKEN.to_owned()));
        stage.user.run(&["ls-remote", &url]);
        stage.user.run(&["ls-remote", &url]);
        assert_eq!(stage.authority.token_requests(), 1);

        let overheard = overheard(&stage.user);
        let with = |line: &str| overheard.iter().filter(|told| told.contains(line)).count();
        assert!(with("store\n") > 0 && with("erase\n") > 0, "{overheard:?}");
        assert!(with(secret) > 0);
        assert_eq!(with(secret), with("\nephemeral=1\n"), "{overheard:?}");
        assert_eq!((with(other), with("refresh_token")), (0, 0), "{overheard:?}");
        // git's own store listens to nobody, and keeps whatever is a password.
        assert_eq!(stage.user.path(".git-credentials").exists(), challenge == BASIC);
    }
}

#[test]
fn gits_own_cache_beside_ours_keeps_what_was_typed_and_no_token() {
    let Some(git) = Git::new() else { return };
    let stage = Stage::signed_in(&git);
    stage.server.door(|door| _ = door.passwords.insert("carol".to_owned(), "sesame".to_owned()));
    let place = ["protocol=http".to_owned(), format!("host={}", stage.server.host())];
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let carols = [&place[..], &["username=carol", "password=sesame"]].concat();
    stage.user.configure("[credential]\nhelper = cache --timeout 20\nhelper = claviger\n");
    done(&stage.user.clone_from(&stage.server.url("repo.git")));
    says(&stage.user.credential("approve", &carols), &[]);
    stage.user.configure("[credential]\nhelper = cache --timeout 20\n");
    let cached = stage.user.credential("fill", &place);
    stage.user.run(&["credential-cache", "exit"]);
    says(&cached, &carols);
}

/// A password is kept by whoever hears of it, so a list that names ours alone begins with an empty entry.
#[test]
fn a_helper_of_the_machine_hears_nothing_where_the_list_begins_anew() {
    for git in Git::each() {
        let authority = Server::start("RT1-first");
        let user = signed_in(&git, &authority);
        user.program("git-credential-ear", EAR);
        let ours = format!("[credential \"https://{HOST}\"]\nhelper =\nhelper = claviger\n");
        let place = ["protocol=https", "host=git.acme.example"];
        for (config, others_hear) in [(ours.as_str(), false), ("[credential]\nhelper = claviger\n", true)] {
            user.configure(&format!("[credential]\nhelper = ear\n{config}"));
            let filled = user.credential("fill", &place);
            assert!(filled.stdout.contains("\npassword=AT-fresh\n"), "{}", filled.stdout);
            let lines: Vec<&str> = filled.stdout.lines().collect();
            says(&user.credential("approve", &lines), &[]);
            says(&user.credential("reject", &[&lines[..], &["password=other"]].concat()), &[]);
            let told = overheard(&user);
            assert_eq!(!told.is_empty(), others_hear, "{told:?}");
            // Whoever keeps it is at least told until when it is any good.
            let stored = told.iter().filter(|told| told.starts_with("store\n"));
            assert!(git.version < KNOWS_EXPIRY || stored.clone().all(|told| told.contains(TOLD)), "{told:?}");
            assert!(told.iter().all(|told| !told.contains("refresh_token")), "{told:?}");
        }
    }
}
