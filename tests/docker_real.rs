//! The docker dialect and its real clients, against a real registry whose realm knows the tokens of an authorization server.

#![cfg(target_os = "linux")]

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::registry::{IMAGE, PUBLIC};
use support::registry_user::{ALL, Scene, WITH_STORE, at, copies, login, logout, pair, readers, shown};
use support::tools::{fail, succeed};
use support::web::{FUTURE, PAST};
use support::{Answer, finish};

#[test]
fn every_client_reads_with_a_token_that_is_good_and_no_server_is_asked() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        scene.store(FUTURE);
        let answer = succeed(&mut make(&scene, &program, IMAGE));
        assert!(answer.stdout.contains("vnd.docker.image.rootfs.diff.tar.gzip"), "{}", answer.stdout);
        assert_eq!(shown(&scene.registry), [pair("oauth2", "AT1")], "{}", program.display());
        assert_eq!(scene.door.server().token_requests(), 0);
    }
}

#[test]
fn a_token_that_has_expired_costs_one_request_and_the_client_is_given_the_new_one() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        scene.store(PAST);
        for _ in 0..2 {
            succeed(&mut make(&scene, &program, IMAGE));
            assert_eq!(
                shown(&scene.registry),
                [pair("oauth2", &scene.door.newest())],
                "{}",
                program.display()
            );
            assert_eq!(scene.door.server().token_requests(), 1, "{}", program.display());
        }
    }
}

#[test]
fn clients_at_once_make_one_request_among_them() {
    for (program, make) in readers(&["crane"]) {
        let Some(scene) = Scene::new() else { return };
        scene.store(PAST);
        let mut started: Vec<_> = (0..8)
            .map(|_| {
                let mut command = make(&scene, &program, IMAGE);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
            })
            .collect();
        for client in started.drain(..) {
            let answer = Answer::of(client.wait_with_output().expect("it ends"));
            assert_eq!(answer.exit, 0, "{}", answer.stderr);
        }
        assert_eq!(scene.door.server().token_requests(), 1);
        assert_eq!(shown(&scene.registry), [pair("oauth2", &scene.door.newest())]);
    }
}

#[test]
fn a_token_that_was_taken_back_is_refused_and_the_session_lives_on() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        scene.store(FUTURE);
        scene.door.revoke("AT1");
        fail(&mut make(&scene, &program, IMAGE));
        assert_eq!(scene.door.server().token_requests(), 0);
        // No client says that a token was refused: somebody has to.
        let mut force = scene.bench.sandbox.command("token");
        force.args([&scene.registry.service(), "--force-refresh"]);
        assert_eq!(finish(force, b"").exit, 0);
        succeed(&mut make(&scene, &program, IMAGE));
        assert_eq!(scene.door.server().token_requests(), 1, "{}", program.display());
    }
}

#[test]
fn one_store_for_all_registries_serves_too() {
    for (program, make) in readers(&WITH_STORE) {
        let Some(scene) = Scene::new() else { return };
        scene.configure(&json!({ "credsStore": "claviger" }));
        scene.store(PAST);
        succeed(&mut make(&scene, &program, IMAGE));
        assert_eq!(shown(&scene.registry), [pair("oauth2", &scene.door.newest())], "{}", program.display());
        assert_eq!(scene.door.server().token_requests(), 1);
    }
}

#[test]
fn without_a_session_the_text_is_what_clients_compare_and_they_go_on_as_anybody() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        scene.listen();
        succeed(&mut make(&scene, &program, PUBLIC));
        let came = scene.registry.came();
        assert!(!came.is_empty() && came.iter().all(|who| *who == pair("", "")), "{came:?}");
        let heard = scene.heard();
        let asked = format!("get {}", scene.registry.authority());
        assert!(heard.contains(&asked), "{}: {heard:?}", program.display());
        // One that is not anybody's is refused, and that is what the client says.
        let refused = fail(&mut make(&scene, &program, IMAGE));
        assert!(!refused.stderr.contains("claviger"), "{}: {}", program.display(), refused.stderr);
    }
    let Some(scene) = Scene::new() else { return };
    let answer = scene.helper("get", scene.registry.authority());
    let expected = ("credentials not found in native keychain\n", "", 1);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str(), answer.exit), expected);
}

#[test]
fn an_image_is_copied_and_pushed_with_a_token_for_each_place() {
    for program in copies("skopeo") {
        let (Some(from), Some(to)) = (Scene::new(), Scene::new()) else { return };
        from.store(PAST);
        let session = to.door.session(&to.registry.service(), PAST);
        from.bench.sandbox.run("store", &session).ok();
        from.configure(&json!({ "credHelpers": {
            from.registry.authority(): "claviger", to.registry.authority(): "claviger",
        } }));
        let mut copy = from.command(&program);
        copy.args(["copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        copy.args([&from, &to].map(|scene| format!("docker://{}", at(scene, "team/app"))));
        succeed(&mut copy);
        for scene in [&from, &to] {
            assert_eq!(shown(&scene.registry), [pair("oauth2", &scene.door.newest())]);
            assert_eq!(scene.door.server().token_requests(), 1);
        }
    }
    for program in copies("oras") {
        let Some(scene) = Scene::new() else { return };
        scene.store(PAST);
        scene.bench.write("work/file", "of no meaning\n");
        let mut push = scene.command(&program);
        push.args(["push", "--plain-http", &at(&scene, "team/new"), "file:text/plain"]);
        succeed(&mut push);
        std::fs::remove_file(scene.bench.path("work/file")).unwrap();
        let mut pull = scene.command(&program);
        pull.args(["pull", "--plain-http", &at(&scene, "team/new")]);
        succeed(&mut pull);
        assert_eq!(std::fs::read_to_string(scene.bench.path("work/file")).unwrap(), "of no meaning\n");
        assert_eq!(scene.door.server().token_requests(), 1);
    }
    for program in copies("crane") {
        let Some(scene) = Scene::new() else { return };
        scene.store(PAST);
        let mut copy = scene.command(&program);
        copy.args(["copy", &at(&scene, IMAGE), &at(&scene, "team/copy")]);
        succeed(&mut copy);
        let mut digest = scene.command(&program);
        digest.args(["digest", &at(&scene, "team/copy")]);
        assert!(succeed(&mut digest).stdout.starts_with("sha256:"));
        assert_eq!(scene.door.server().token_requests(), 1);
    }
}

#[test]
fn what_somebody_logs_in_with_is_kept_used_and_ended_by_the_logout() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        scene.registry.know("carol", "P1 %:");
        let name = program.display().to_string();
        let before = scene.config();
        let done = login(&scene, &program, "carol", "P1 %:");
        assert_eq!(done.exit, 0, "{name}: {} {}", done.stdout, done.stderr);
        scene.registry.came();
        succeed(&mut make(&scene, &program, IMAGE));
        assert_eq!(shown(&scene.registry), [pair("carol", "P1 %:")], "{name}");
        assert!(!scene.config().contains("\"auth\":"), "{name}: {before} {}", scene.config());
        let shown: Value = serde_json::from_str(&scene.helper("list", "unused").stdout).unwrap();
        assert_eq!(shown, json!({ scene.registry.authority(): "carol" }), "{name}");
        // Whoever else asks is told that it is a password.
        let mut token = scene.bench.sandbox.command("token");
        token.args([&scene.registry.service(), "--format", "header"]);
        let header = finish(token, b"");
        assert_eq!(header.stdout, "Authorization: Basic Y2Fyb2w6UDEgJTo=\n", "{}", header.stderr);
        // The last login counts, and there is one to a registry.
        scene.registry.know("dave", "P3");
        assert_eq!(login(&scene, &program, "dave", "P3").exit, 0, "{name}");
        let shown: Value = serde_json::from_str(&scene.helper("list", "unused").stdout).unwrap();
        assert_eq!(shown, json!({ scene.registry.authority(): "dave" }), "{name}");
        let there = finish(scene.bench.sandbox.command("list"), b"{}").ok();
        assert_eq!(there["sessions"].as_array().map(Vec::len), Some(1), "{there}");
        succeed(&mut logout(&scene, &program));
        assert_eq!(scene.helper("list", "unused").stdout, "{}\n", "{name}");
        fail(&mut make(&scene, &program, IMAGE));
    }
}

#[test]
fn a_password_that_the_registry_refuses_is_not_kept() {
    // crane does not try a password before it is stored.
    for (program, _) in readers(&["docker", "skopeo", "oras"]) {
        let Some(scene) = Scene::new() else { return };
        scene.listen();
        let refused = login(&scene, &program, "carol", "P2");
        assert_ne!(refused.exit, 0, "{}", program.display());
        let heard = scene.heard();
        assert!(!heard.iter().any(|line| line.starts_with("store")), "{}: {heard:?}", program.display());
        assert_eq!(scene.helper("list", "unused").stdout, "{}\n");
    }
}

#[test]
fn a_password_does_not_take_the_place_of_a_session_that_refreshes_itself() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        scene.registry.know("alice", "P1");
        scene.store(PAST);
        let refused = login(&scene, &program, "alice", "P1");
        assert_ne!(refused.exit, 0, "{}: {}", program.display(), refused.stdout);
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("end it first with `claviger logout`"), "{}: {said}", program.display());
        scene.registry.came();
        succeed(&mut make(&scene, &program, IMAGE));
        assert_eq!(shown(&scene.registry), [pair("oauth2", &scene.door.newest())], "{}", program.display());
    }
}

#[test]
fn a_logout_takes_the_registry_off_a_session_that_goes_on_for_its_other_service() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        let mut session = scene.door.session(&scene.registry.service(), FUTURE);
        session["services"] = json!([support::SERVICE]);
        session["revocationEndpoint"] = json!(scene.door.server().revocation_endpoint());
        scene.bench.sandbox.run("store", &session).ok();
        let name = program.display().to_string();
        succeed(&mut make(&scene, &program, IMAGE));
        succeed(&mut logout(&scene, &program));
        let answer = scene.helper("get", scene.registry.authority());
        assert_eq!(answer.stdout, "credentials not found in native keychain\n", "{name}");
        assert_eq!(scene.bench.sandbox.run("get", &support::get()).ok()["accessToken"], "AT1", "{name}");
        assert_eq!(scene.door.server().log(|log| log.revocations.len()), 0, "{name}");
        // Its last service ends it.
        assert_eq!(scene.helper("erase", support::SERVICE.trim_start_matches("https://")).exit, 0);
        assert_eq!(scene.bench.sandbox.run("get", &support::get()).code(1), "NOT_FOUND");
        assert_eq!(scene.door.server().log(|log| log.revocations.len()), 1, "{name}");
    }
}

#[test]
fn a_helper_named_after_an_account_gives_that_accounts_token() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        for (account, token) in [("alice", "AT-alice"), ("bob", "AT-bob")] {
            let service = scene.registry.service();
            let session =
                json!({ "service": service, "account": account, "username": account, "accessToken": token });
            scene.bench.sandbox.run("store", &session).ok();
            scene.bench.link(&format!("bin/docker-credential-claviger-{account}"));
            scene.door.accept(token);
        }
        for (suffix, expected) in [
            ("claviger-bob", pair("bob", "AT-bob")),
            ("claviger-alice", pair("alice", "AT-alice")),
            ("claviger", pair("alice", "AT-alice")),
        ] {
            scene.configure(&json!({ "credHelpers": { scene.registry.authority(): suffix } }));
            succeed(&mut make(&scene, &program, IMAGE));
            assert_eq!(shown(&scene.registry), [expected], "{} {suffix}", program.display());
        }
    }
}

#[test]
fn another_port_is_another_registry() {
    let (Some(one), Some(other)) = (Scene::new(), Scene::new()) else { return };
    for (program, make) in readers(&ALL) {
        one.configure(&json!({ "credHelpers": {
            one.registry.authority(): "claviger", other.registry.authority(): "claviger",
        } }));
        one.store(FUTURE);
        succeed(&mut make(&one, &program, IMAGE));
        let elsewhere = make(&other, &program, IMAGE);
        let mut command = one.command(&program);
        command.args(elsewhere.get_args());
        fail(&mut command);
        assert!(other.registry.came().iter().all(|who| *who == pair("", "")), "{}", program.display());
    }
}

#[test]
fn a_host_that_has_a_name_is_known_with_its_port() {
    for (program, make) in readers(&ALL) {
        let Some(scene) = Scene::new() else { return };
        let port = scene.registry.authority().rsplit(':').next().unwrap();
        let host = format!("localhost:{port}");
        scene.helps(&host);
        // Whichever way the client reaches it: the session says https, for a name is not this machine.
        let session = scene.door.session(&format!("https://{host}"), PAST);
        scene.bench.sandbox.run("store", &session).ok();
        let by_address = make(&scene, &program, IMAGE);
        let mut by_name = scene.command(&program);
        by_name.args(
            by_address
                .get_args()
                .map(|argument| argument.to_string_lossy().replace(scene.registry.authority(), &host)),
        );
        succeed(&mut by_name);
        assert_eq!(shown(&scene.registry), [pair("oauth2", &scene.door.newest())], "{}", program.display());
    }
}

#[test]
fn skopeo_says_who_it_is_logged_in_as() {
    for program in copies("skopeo") {
        let Some(scene) = Scene::new() else { return };
        let mut who = scene.command(&program);
        who.args(["login", "--get-login", scene.registry.authority()]);
        let nobody = fail(&mut who);
        assert!(nobody.stderr.contains("not logged into"), "{}", nobody.stderr);
        scene.store(FUTURE);
        assert_eq!(succeed(&mut who).stdout, "oauth2\n");
    }
}
