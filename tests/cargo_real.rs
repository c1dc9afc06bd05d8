//! The cargo dialect and the cargo that runs these tests, against a registry that wants a token for everything.

#![cfg(target_os = "linux")]

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::crates::Scene;
use support::tools::{fail, run, succeed};
use support::web::{FUTURE, PAST};
use support::{Answer, finish};

const PROVIDER: &str = r#"["claviger"]"#;

/// One start of the provider, which was asked these kinds of things.
fn asked_once(scene: &Scene, kinds: &[&str]) {
    let heard = scene.heard();
    let [asked] = heard.as_slice() else { panic!("started {} times: {heard:?}", heard.len()) };
    let asked: Vec<&str> = asked.iter().filter_map(|request| request["kind"].as_str()).collect();
    assert_eq!(asked, kinds, "{heard:?}");
}

#[test]
fn a_crate_is_fetched_and_built_with_a_token_that_is_good_and_no_server_is_asked() {
    let scene = Scene::with_provider(PROVIDER);
    scene.store(FUTURE);
    succeed(&mut scene.fetch());
    asked_once(&scene, &["get"]);
    let asked = scene.registry.asked();
    assert_eq!(asked[0], ("GET /index/config.json".to_owned(), String::new()));
    assert!(asked[1..].iter().all(|(_, shown)| shown == "Bearer AT1"), "{asked:?}");
    assert!(asked.iter().any(|(what, _)| what == "GET /dl/there/0.1.0/download"), "{asked:?}");
    succeed(scene.cargo("uses").arg("build"));
    assert_eq!(scene.door.server().token_requests(), 0);
}

#[test]
fn a_token_that_has_expired_costs_one_request_and_one_provider() {
    let scene = Scene::with_provider(PROVIDER);
    scene.store(PAST);
    for _ in 0..2 {
        succeed(&mut scene.fetch());
        asked_once(&scene, &["get"]);
        assert_eq!(scene.registry.shown(), [format!("Bearer {}", scene.door.newest())]);
        assert_eq!(scene.door.server().token_requests(), 1);
    }
}

#[test]
fn a_token_that_ends_soon_is_asked_for_again_and_still_costs_one_request() {
    let scene = Scene::with_provider(PROVIDER);
    scene.door.server().behave(|behaviour| behaviour.expires_in = 90);
    scene.store(PAST);
    succeed(&mut scene.fetch());
    assert_eq!(scene.registry.shown(), [format!("Bearer {}", scene.door.newest())]);
    assert_eq!(scene.door.server().token_requests(), 1);
}

#[test]
fn cargos_at_once_make_one_request_among_them() {
    let scene = Scene::new();
    // The real one: what is asked is not written down.
    let real = scene.bench.path("real/claviger").display().to_string();
    scene.configure(&format!("credential-provider = [\"{real}\"]"), "");
    scene.store(PAST);
    let started: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .map(|name| {
            let mut command = scene.fetch_elsewhere(name);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cargo starts")
        })
        .into();
    for cargo in started {
        let answer = Answer::of(cargo.wait_with_output().expect("it ends"));
        assert_eq!(answer.exit, 0, "{}", answer.stderr);
    }
    assert_eq!(scene.door.server().token_requests(), 1);
    assert_eq!(scene.registry.shown(), [format!("Bearer {}", scene.door.newest())]);
}

#[test]
fn a_token_that_was_taken_back_is_refused_and_the_session_lives_on() {
    let scene = Scene::with_provider(PROVIDER);
    scene.store(FUTURE);
    scene.door.revoke("AT1");
    let refused = fail(&mut scene.fetch());
    assert!(refused.stderr.contains("token rejected for `my`"), "{}", refused.stderr);
    assert_eq!(scene.door.server().token_requests(), 0);
    let mut force = scene.bench.sandbox.command("token");
    force.args([&scene.registry.service(), "--force-refresh"]);
    assert_eq!(finish(force, b"").exit, 0);
    succeed(&mut scene.fetch());
    assert_eq!(scene.door.server().token_requests(), 1);
}

#[test]
fn publish_yank_and_owner_each_start_one_provider_and_one_token_does_for_all() {
    let scene = Scene::with_provider(PROVIDER);
    scene.store(PAST);
    scene.package("new", "");
    let each: [&[&str]; 6] = [
        &["publish", "--no-verify", "--allow-dirty"],
        &["yank", "new@0.1.0"],
        &["yank", "new@0.1.0", "--undo"],
        &["owner", "--add", "bob", "new"],
        &["owner", "--list", "new"],
        &["owner", "--remove", "bob", "new"],
    ];
    for arguments in each {
        let answer = succeed(scene.cargo("new").args(arguments).args(["--registry", "my"]));
        asked_once(&scene, &["get"]);
        match arguments {
            ["yank", _] => assert!(scene.registry.is_yanked("new")),
            ["yank", _, _] => assert!(!scene.registry.is_yanked("new")),
            ["owner", "--list", _] => assert_eq!(answer.stdout.trim(), "bob"),
            _ => {}
        }
    }
    assert_eq!(scene.registry.shown(), [format!("Bearer {}", scene.door.newest())]);
    assert_eq!(scene.door.server().token_requests(), 1);
    // What was published can be had.
    scene.package("uses", "[dependencies]\nnew = { version = \"0.1\", registry = \"my\" }\n");
    succeed(&mut scene.fetch());
    succeed(scene.cargo("uses").arg("build"));
}

#[test]
fn a_token_that_somebody_logs_in_with_is_kept_as_it_is_and_ended_by_the_logout() {
    for typed in ["TOK1", "Bearer TOK1", "Basic YTpi"] {
        let scene = Scene::with_provider(PROVIDER);
        scene.door.accept(typed.trim_start_matches("Bearer "));
        let done = scene.told(&["login", "--registry", "my"], &format!("{typed}\n"));
        assert_eq!(done.exit, 0, "{}", done.stderr);
        let kinds: Vec<Value> =
            scene.heard().concat().into_iter().map(|asked| asked["kind"].clone()).collect();
        assert_eq!(kinds, [json!("get"), json!("login")]);
        scene.registry.asked();
        succeed(&mut scene.fetch());
        assert_eq!(scene.registry.shown(), [typed]);
        scene.heard();
        succeed(scene.cargo("uses").args(["logout", "--registry", "my"]));
        asked_once(&scene, &["logout"]);
        let refused = fail(&mut scene.fetch());
        assert!(refused.stderr.contains("no token found for `my`"), "{}", refused.stderr);
        let again = run(scene.cargo("uses").args(["logout", "--registry", "my"]));
        assert!(again.stderr.contains("not currently logged in"), "{} {}", again.exit, again.stderr);
    }
}

#[test]
fn a_login_without_a_token_says_how_to_sign_in_and_is_content_with_a_session() {
    let scene = Scene::with_provider(PROVIDER);
    let refused = fail(scene.cargo("uses").args(["login", "--registry", "my"]));
    for said in [
        format!("there is no session for {}", scene.registry.service()),
        "`claviger ".to_owned(),
        format!("get a token at {}/me", scene.registry.web.address()),
    ] {
        assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    }
    scene.store(FUTURE);
    succeed(scene.cargo("uses").args(["login", "--registry", "my"]));
    assert_eq!(scene.door.server().token_requests(), 0);
}

#[test]
fn a_logout_takes_the_registry_off_a_session_that_goes_on_for_its_other_service() {
    let scene = Scene::with_provider(PROVIDER);
    let mut session = scene.door.session(&scene.registry.service(), FUTURE);
    session["services"] = json!([support::SERVICE]);
    scene.bench.sandbox.run("store", &session).ok();
    succeed(&mut scene.fetch());
    succeed(scene.cargo("uses").args(["logout", "--registry", "my"]));
    let refused = fail(&mut scene.fetch());
    assert!(refused.stderr.contains("no token found for `my`"), "{}", refused.stderr);
    assert_eq!(scene.bench.sandbox.run("get", &support::get()).ok()["accessToken"], "AT1");
}

#[test]
fn the_provider_is_found_by_every_name_and_takes_the_arguments_that_are_configured() {
    let scene = Scene::new();
    for (account, token) in [("alice", "AT-alice"), ("bob", "AT-bob")] {
        let session =
            json!({ "service": scene.registry.service(), "account": account, "accessToken": token });
        scene.bench.sandbox.run("store", &session).ok();
        scene.door.accept(token);
    }
    let path = scene.bench.path("bin/claviger");
    let alias = format!("[credential-alias]\nmine = [\"{}\", \"--account\", \"bob\"]", path.display());
    for (registry, more, expected) in [
        ("credential-provider = \"claviger\"", "", "AT-alice"),
        ("credential-provider = \"cargo-credential-claviger\"", "", "AT-alice"),
        ("credential-provider = [\"claviger\", \"--account\", \"bob\"]", "", "AT-bob"),
        ("credential-provider = \"cargo-credential-claviger --account=bob\"", "", "AT-bob"),
        ("credential-provider = \"mine\"", alias.as_str(), "AT-bob"),
        ("", "[registry]\nglobal-credential-providers = [\"cargo-credential-claviger\"]", "AT-alice"),
        ("", "[registry]\nglobal-credential-providers = [\"claviger --account bob\"]", "AT-bob"),
    ] {
        scene.configure(registry, more);
        succeed(&mut scene.fetch());
        assert_eq!(scene.registry.shown(), [format!("Bearer {expected}")], "{registry} {more}");
        asked_once(&scene, &["get"]);
    }
    scene.configure("", "");
    let mut command = scene.fetch();
    succeed(command.env("CARGO_REGISTRIES_MY_CREDENTIAL_PROVIDER", "claviger --account bob"));
    assert_eq!(scene.registry.shown(), ["Bearer AT-bob"]);
}

#[test]
fn what_is_not_known_here_is_left_to_the_next_provider() {
    let scene = Scene::new();
    scene.configure("", "[registry]\nglobal-credential-providers = [\"cargo:token\", \"claviger\"]");
    scene.bench.write("cargo/credentials.toml", "[registries.my]\ntoken = \"TOK1\"\n");
    scene.door.accept("TOK1");
    succeed(&mut scene.fetch());
    assert_eq!(scene.registry.shown(), ["TOK1"]);
    asked_once(&scene, &["get"]);
    scene.store(PAST);
    succeed(&mut scene.fetch());
    assert_eq!(scene.registry.shown(), [format!("Bearer {}", scene.door.newest())]);
}

#[test]
fn the_token_command_serves_cargo_too() {
    let scene = Scene::new();
    let service = scene.registry.service();
    scene.configure(
        &format!(
            "credential-provider = [\"cargo:token-from-stdout\", \"claviger\", \"token\", \"{service}\"]"
        ),
        "",
    );
    scene.store(PAST);
    succeed(&mut scene.fetch());
    assert_eq!(scene.registry.shown(), [scene.door.newest()]);
    assert_eq!(scene.door.server().token_requests(), 1);
}

#[test]
fn a_registry_that_wants_the_bare_token_is_given_it() {
    let scene = Scene::with_provider(PROVIDER);
    scene.bench.sandbox.configure(&format!(
        "[providers.acme]\nissuer = \"https://id.acme.example\"\ntoken-endpoint = \"{}\"\nclient-id = \"cli\"\n\
         cargo-scheme = \"none\"\nservices = [\"{}\"]\n",
        scene.door.server().token_endpoint(),
        scene.registry.service()
    ));
    let session = json!({
        "service": scene.registry.service(), "account": "alice", "accessToken": "AT0", "expiresAt": PAST,
        "refreshToken": "RT1", "provider": "acme",
    });
    scene.bench.sandbox.run("store", &session).ok();
    succeed(&mut scene.fetch());
    assert_eq!(scene.registry.shown(), [scene.door.newest()]);
}
