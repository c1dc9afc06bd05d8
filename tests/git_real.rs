//! The real git, new and old, against its own server with claviger for a helper.

#![cfg(unix)]

mod support;

use serde_json::{Value, json};
use support::git::{Git, KNOWS_AUTHTYPE, PROBES_WITH_BEARER};
use support::git_server::{BASIC, BEARER, Shown};
use support::git_stage::{Stage, TOKEN, asks, done, provider, refused};

#[test]
fn a_clone_a_push_and_a_fetch_are_served_from_the_cache() {
    for git in Git::each() {
        let stage = Stage::signed_in(&git);
        done(&stage.user.clone_from(&stage.server.url("repo.git")));
        let commit = stage.user.commit(100);
        done(&stage.user.run_in_clone(&["push", "--quiet"]));
        assert_eq!(stage.server.branch(&git, "repo.git", "main"), commit);
        done(&stage.user.run_in_clone(&["fetch"]));
        assert_eq!(stage.opened_with(), [Shown::basic("oauth2", TOKEN)], "{:?}", git.version);
        assert_eq!(stage.authority.token_requests(), 0);
        assert_eq!(stage.sessions().len(), 1, "git's own store keeps nothing beside it");
    }
}

#[test]
fn an_expired_token_costs_one_request_to_the_authority_and_no_command() {
    for git in Git::each() {
        let stage = Stage::new(&git);
        stage.store(&json!({}));
        done(&stage.user.clone_from(&stage.server.url("repo.git")));
        stage.user.commit(100);
        done(&stage.user.run_in_clone(&["push", "--quiet"]));
        let granted = stage.granted();
        assert_eq!(stage.opened_with(), [Shown::basic("oauth2", &granted[0])], "{:?}", git.version);
        assert_eq!(stage.authority.token_requests(), 1);
    }
}

#[test]
fn a_revoked_token_costs_one_command_and_never_the_session() {
    for git in Git::each() {
        let stage = Stage::cloned(&git);
        stage.server.door(|door| door.revoked.push(TOKEN.to_owned()));
        refused(&stage.user.run_in_clone(&["fetch"]));
        assert_eq!(stage.authority.token_requests(), 0);
        assert_eq!(stage.sessions()[0]["hasRefreshToken"], json!(true));
        assert_eq!(stage.opened_with(), []);

        done(&stage.user.run_in_clone(&["fetch"]));
        assert_eq!(stage.authority.token_requests(), 1);
        assert_eq!(stage.opened_with(), [Shown::basic("oauth2", &stage.granted()[0])]);
        done(&stage.user.run_in_clone(&["fetch"]));
        assert_eq!(stage.authority.token_requests(), 1);
    }
}

#[test]
fn with_retry_a_revoked_token_does_not_cost_a_command_where_git_can_come_back() {
    for git in Git::each() {
        let stage = Stage::cloned(&git);
        stage.user.configure("[credential]\nhelper = claviger --retry\n");
        done(&stage.user.run_in_clone(&["fetch"]));
        assert_eq!(stage.opened_with(), [Shown::basic("oauth2", TOKEN)]);
        stage.server.door(|door| door.revoked.push(TOKEN.to_owned()));
        if git.version < KNOWS_AUTHTYPE {
            refused(&stage.user.run_in_clone(&["fetch"]));
        }
        let commit = stage.user.commit(100);
        done(&stage.user.run_in_clone(&["push", "--quiet"]));
        assert_eq!(stage.server.branch(&git, "repo.git", "main"), commit);
        assert_eq!(stage.opened_with(), [Shown::basic("oauth2", &stage.granted()[0])]);
        assert_eq!(stage.authority.token_requests(), 1);
        assert_eq!(stage.sessions()[0]["hasRefreshToken"], json!(true));
        // One that refuses whatever comes is asked twice and no more, and the session stays.
        stage.server.door(|door| door.closed = true);
        refused(&stage.user.run_in_clone(&["fetch"]));
        let asked = if git.version < KNOWS_AUTHTYPE { 1 } else { 2 };
        assert_eq!(stage.authority.token_requests(), asked);
        stage.server.door(|door| door.closed = false);
        done(&stage.user.run_in_clone(&["fetch"]));
        assert_eq!((stage.authority.token_requests(), stage.authority.log(|log| log.reused)), (asked + 1, 0));
    }
}

#[test]
fn a_user_name_in_the_address_or_in_the_configuration_chooses_the_account() {
    for git in Git::each() {
        let stage = Stage::signed_in(&git);
        let bobs = stage.authority.login();
        stage.server.door(|door| door.tokens.push(bobs.access_token.clone()));
        stage.store(&json!({
            "account": "bob", "accessToken": bobs.access_token, "refreshToken": bobs.refresh_token, "expiresIn": 3600,
        }));
        let token = |stage: &Stage<'_>| match stage.opened_with().as_slice() {
            [Shown::Basic { password, .. }] => password.clone(),
            other => panic!("{:?}: {other:?}", git.version),
        };
        // Alice came first and is the default.
        done(&stage.user.clone_from(&stage.server.url("repo.git")));
        assert_eq!(token(&stage), TOKEN);
        done(&stage.user.clone_from(&stage.server.url_of("bob", "repo.git")));
        assert_eq!(token(&stage), bobs.access_token);
        done(&stage.user.clone_from(&stage.server.url_of("alice", "repo.git")));
        assert_eq!(token(&stage), TOKEN);

        let of_bob =
            format!("[credential \"{}\"]\nhelper = claviger\nusername = bob\n", stage.server.origin());
        stage.user.configure(&of_bob);
        done(&stage.user.clone_from(&stage.server.url("repo.git")));
        assert_eq!(token(&stage), bobs.access_token);
        // What is dropped is the token of the one who was turned away.
        stage.server.door(|door| door.revoked.push(bobs.access_token.clone()));
        refused(&stage.user.run_in_clone(&["fetch"]));
        done(&stage.user.run_in_clone(&["fetch"]));
        assert_eq!(token(&stage), stage.granted()[0]);
        assert_eq!(stage.authority.token_requests(), 1);
        done(&stage.user.clone_from(&stage.server.url_of("alice", "repo.git")));
        assert_eq!(token(&stage), TOKEN);

        asks(&stage.user.clone_from(&stage.server.url_of("carol", "repo.git")));
        assert_eq!(stage.opened_with(), []);
    }
}

#[test]
fn a_server_that_offers_bearer_alone_is_given_the_token_as_it_is() {
    let Some(git) = Git::new() else { return };
    let stage = Stage::new(&git);
    stage.store(&json!({}));
    stage.server.door(|door| door.challenges = vec![BEARER.to_owned()]);
    done(&stage.user.clone_from(&stage.server.url("repo.git")));
    let first = stage.granted()[0].clone();
    assert_eq!(stage.opened_with(), [Shown::Bearer(first.clone())]);
    let commit = stage.user.commit(100);
    done(&stage.user.run_in_clone(&["push", "--quiet"]));
    assert_eq!(stage.server.branch(&git, "repo.git", "main"), commit);
    assert_eq!(stage.opened_with(), [Shown::Bearer(first.clone())]);

    stage.server.door(|door| door.revoked.push(first.clone()));
    refused(&stage.user.run_in_clone(&["fetch"]));
    done(&stage.user.run_in_clone(&["fetch"]));
    let second = stage.granted()[1].clone();
    assert_eq!(stage.opened_with(), [Shown::Bearer(second.clone())]);
    stage.server.door(|door| door.revoked.push(second));
    stage.user.configure("[credential]\nhelper = claviger --retry\n");
    done(&stage.user.run_in_clone(&["fetch"]));
    assert_eq!(stage.opened_with(), [Shown::Bearer(stage.granted()[2].clone())]);
    assert_eq!((stage.authority.token_requests(), stage.sessions().len()), (3, 1));
}

#[test]
fn a_providers_table_says_how_git_is_answered_where_both_ways_are_offered() {
    for git in Git::each() {
        let stage = Stage::signed_in(&git);
        stage.server.door(|door| door.challenges = vec![BEARER.to_owned(), BASIC.to_owned()]);
        for (more, new, old) in [
            ("", Shown::basic("oauth2", TOKEN), Shown::basic("oauth2", TOKEN)),
            (
                "git-username = \"x-token-auth\"",
                Shown::basic("x-token-auth", TOKEN),
                Shown::basic("x-token-auth", TOKEN),
            ),
            ("git-authtype = \"bearer\"", Shown::Bearer(TOKEN.to_owned()), Shown::basic("oauth2", TOKEN)),
        ] {
            stage.user.sandbox.configure(&provider(&stage, more));
            done(&stage.user.clone_from(&stage.server.url("repo.git")));
            let expected = if git.version >= KNOWS_AUTHTYPE { new } else { old };
            assert_eq!(stage.opened_with(), [expected], "{:?} {more}", git.version);
        }
    }
}

/// More than git sends in one piece, `http.postBuffer`.
const LARGE: usize = 3 << 20;

#[test]
fn a_push_larger_than_gits_buffer_arrives() {
    for git in Git::each() {
        let stage = Stage::cloned(&git);
        let commit = stage.user.commit(LARGE);
        done(&stage.user.run_in_clone(&["push", "--quiet"]));
        assert_eq!(stage.server.branch(&git, "repo.git", "main"), commit);
        let asked = stage.server.asked();
        assert!(asked.iter().any(|asked| asked.size > LARGE), "{asked:?}");
        assert_eq!((stage.authority.token_requests(), stage.sessions().len()), (0, 1));
    }
}

/// git before 2.55 sends the probe before a large push without its Bearer token, is turned away, and says that the
/// token was rejected. A good token is lost to that, and no session.
#[test]
fn a_push_larger_than_gits_buffer_with_bearer_costs_no_more_than_a_token() {
    let Some(git) = Git::new() else { return };
    let stage = Stage::cloned(&git);
    stage.server.door(|door| door.challenges = vec![BEARER.to_owned()]);
    let commit = stage.user.commit(LARGE);
    let pushed = stage.user.run_in_clone(&["push", "--quiet"]);
    if git.version < PROBES_WITH_BEARER {
        assert_ne!(pushed.exit, 0, "{}", pushed.stderr);
        assert_eq!(stage.sessions()[0]["hasRefreshToken"], json!(true));
        // What a person is told to do.
        done(&stage.user.run_in_clone(&["-c", "http.postBuffer=16m", "push", "--quiet"]));
        assert_eq!(stage.authority.token_requests(), 1);
    } else {
        done(&pushed);
        assert_eq!(stage.authority.token_requests(), 0);
    }
    assert_eq!(stage.server.branch(&git, "repo.git", "main"), commit);
}

#[test]
fn with_paths_each_repository_has_a_session_of_its_own() {
    for git in Git::each() {
        let stage = Stage::new(&git);
        for (name, token) in [("alice", "AT-alice"), ("bob", "AT-bob")] {
            stage.server.repository(&git, &format!("{name}/repo.git"));
            stage.server.door(|door| {
                door.tokens.push(token.to_owned());
                door.owners.insert(format!("/{name}/"), token.to_owned());
            });
            let service = stage.server.url(name);
            stage.store(
                &json!({ "service": service, "account": name, "accessToken": token, "expiresIn": 3600 }),
            );
        }
        // Without a path nobody knows which is meant.
        asks(&stage.user.clone_from(&stage.server.url("alice/repo.git")));
        stage.user.configure("[credential]\nhelper = claviger\nuseHttpPath = true\n");
        for (name, token) in [("alice", "AT-alice"), ("bob", "AT-bob")] {
            done(&stage.user.clone_from(&stage.server.url(&format!("{name}/repo.git"))));
            assert_eq!(stage.opened_with(), [Shown::basic("oauth2", token)], "{:?}", git.version);
        }
        stage.server.door(|door| door.revoked.push("AT-bob".to_owned()));
        refused(&stage.user.run_in_clone(&["fetch"]));
        done(&stage.user.clone_from(&stage.server.url("alice/repo.git")));
        assert_eq!((stage.authority.token_requests(), stage.sessions().len()), (0, 2));
    }
}

#[test]
fn a_password_that_somebody_typed_is_kept_and_found_until_it_is_wrong() {
    for git in Git::each() {
        let stage = Stage::new(&git);
        stage.server.door(|door| _ = door.passwords.insert("carol".to_owned(), "sesame".to_owned()));
        stage.user.program("ask", "case $1 in Username*) echo carol;; *) echo \"$TYPED\";; esac");
        let asking = |typed: &str, url: &str| {
            let mut command =
                stage.user.command("", &["-c", "core.askPass=ask", "ls-remote", "--quiet", url]);
            command.env("TYPED", typed);
            support::finish(command, b"")
        };
        let url = stage.server.url("repo.git");
        refused(&asking("sesam", &url));
        assert_eq!(stage.sessions(), Vec::<Value>::new());
        assert_eq!(asking("sesame", &url).exit, 0);
        let sessions = stage.sessions();
        assert_eq!((sessions.len(), &sessions[0]["account"]), (1, &json!("carol")), "{sessions:?}");
        stage.server.asked();

        for url in [&url, &stage.server.url_of("carol", "repo.git")] {
            done(&stage.user.clone_from(url));
            assert_eq!(stage.opened_with(), [Shown::basic("carol", "sesame")], "{:?}", git.version);
        }
        // Nothing would come of a second try with it.
        for helper in ["claviger", "claviger --retry"] {
            stage.user.configure(&format!("[credential]\nhelper = {helper}\n"));
            stage.server.door(|door| _ = door.passwords.insert("carol".to_owned(), "changed".to_owned()));
            refused(&stage.user.run_in_clone(&["fetch"]));
            assert_eq!(stage.sessions(), Vec::<Value>::new());
            asks(&stage.user.clone_from(&url));
            stage.server.door(|door| _ = door.passwords.insert("carol".to_owned(), "sesame".to_owned()));
            assert_eq!(asking("sesame", &url).exit, 0);
            done(&stage.user.clone_from(&url));
        }
    }
}

#[test]
fn gits_that_come_at_once_with_an_expired_token_make_one_request() {
    for git in Git::each() {
        let stage = Stage::new(&git);
        stage.store(&json!({}));
        let url = stage.server.url("repo.git");
        for answer in support::storm(12, b"", || stage.user.command("", &["ls-remote", "--quiet", &url])) {
            assert_eq!(answer.exit, 0, "{}", answer.stderr);
        }
        assert_eq!(stage.opened_with(), [Shown::basic("oauth2", &stage.granted()[0])]);
        assert_eq!((stage.authority.token_requests(), stage.authority.log(|log| log.reused)), (1, 0));
    }
}

#[test]
fn a_machine_pushes_with_tokens_of_its_own_and_nothing_is_kept_where_nothing_is_to_be() {
    for git in Git::each() {
        for (storage, requests) in [("plaintext", 1), ("none", 2)] {
            let mut stage = Stage::new(&git);
            stage.user.sandbox.set("CLAVIGER_STORAGE", storage);
            std::fs::write(stage.user.path("secret"), "CS").unwrap();
            let machine = format!(
                "client-auth = \"client_secret_basic\"\nclient-secret = {{ file = '{}' }}\n\
                 grant = \"client_credentials\"",
                stage.user.path("secret").display()
            );
            stage.user.sandbox.configure(&provider(&stage, &machine));
            done(&stage.user.clone_from(&stage.server.url("repo.git")));
            let commit = stage.user.commit(100);
            done(&stage.user.run_in_clone(&["push", "--quiet"]));
            assert_eq!(stage.server.branch(&git, "repo.git", "main"), commit);
            assert_eq!(stage.authority.token_requests(), requests, "{:?} {storage}", git.version);
            let held = stage.user.sandbox.files().iter().any(|(_, held)| {
                let held = String::from_utf8_lossy(held);
                stage.granted().iter().any(|token| held.contains(token))
            });
            assert_eq!(held, storage == "plaintext");
        }
    }
}
