//! The docker dialect and the real docker, with an engine that writes down what it is handed.

#![cfg(target_os = "linux")]

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::finish;
use support::registry::IMAGE;
use support::registry_user::{Scene, at, copies};
use support::tools::succeed;
use support::web::{FUTURE, PAST, Reply, Request, Web};

/// An engine that only says yes to what docker asks of it, and gives this identity token at a login.
fn engine(identity: &'static str) -> Web {
    Web::http(move |request| {
        let said = |text: &str| Reply::new(200, "application/json", text);
        let path = request.path();
        let mut reply = match path.trim_start_matches("/v1.41") {
            "/_ping" => Reply::new(200, "text/plain", "OK"),
            "/info" => said(r#"{"ID":"x","IndexServerAddress":"https://index.docker.io/v1/"}"#),
            "/auth" => Reply::json(&json!({ "Status": "Login Succeeded", "IdentityToken": identity })),
            "/images/create" => said("{\"status\":\"pulled\"}\n"),
            "/build" => said("{\"stream\":\"built\\n\"}\n"),
            _ => Reply::not_found(),
        };
        for (name, value) in [("Api-Version", "1.41"), ("Ostype", "linux"), ("Builder-Version", "1")] {
            reply.headers.push((name, value.to_owned()));
        }
        reply
    })
}

/// The JSON of a header in which docker hands credentials to its engine.
fn handed_over(request: &Request, header: &str) -> Value {
    let encoded = request.header(header).expect("the header is there").trim_end_matches('=').to_owned();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded.replace('+', "-").replace('/', "_")).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// docker with an engine that says yes to everything.
fn with_engine(scene: &Scene, program: &PathBuf, engine: &Web) -> Command {
    let mut command = scene.command(program);
    command.env("DOCKER_HOST", format!("tcp://{}", engine.authority()));
    command
}

/// `docker login`, which asks the engine to try it.
fn login_through(scene: &Scene, program: &PathBuf, engine: &Web, arguments: &[&str], password: &str) {
    let mut login = with_engine(scene, program, engine);
    login.arg("login").args(arguments);
    login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = finish(login, password.as_bytes());
    assert_eq!(done.exit, 0, "{}: {} {}", program.display(), done.stdout, done.stderr);
}

#[test]
fn a_build_lists_all_there_is_and_hands_it_to_the_engine() {
    for program in copies("docker") {
        let Some(scene) = Scene::new() else { return };
        let engine = engine("");
        scene.configure(&json!({ "credsStore": "claviger" }));
        scene.listen();
        scene.bench.write("work/Dockerfile", "FROM scratch\n");
        let build = || {
            let mut command = with_engine(&scene, &program, &engine);
            command.env("DOCKER_BUILDKIT", "0").args(["build", "."]);
            succeed(&mut command);
            let asked = engine.asked();
            let build = asked.iter().find(|request| request.path().ends_with("/build")).expect("it is built");
            handed_over(build, "x-registry-config")
        };
        assert_eq!(build(), json!({}), "{}", program.display());
        assert_eq!(scene.heard(), ["list unused"]);
        // One that somebody typed, one of a provider whose user name is known, and one that no registry is known of.
        scene.bench.sandbox.configure(&format!(
            "[providers.acme]\nissuer = \"https://id.acme.example\"\ntoken-endpoint = \"{}\"\nclient-id = \"cli\"\n\
             docker-username = \"acme-token\"\nservices = [\"{}\"]\n",
            scene.door.server().token_endpoint(),
            scene.registry.service()
        ));
        let session = json!({
            "service": scene.registry.service(), "account": "alice", "accessToken": "AT0", "expiresAt": PAST,
            "refreshToken": "RT1", "provider": "acme",
        });
        scene.bench.sandbox.run("store", &session).ok();
        let elsewhere = json!({ "service": support::SERVICE, "account": "alice", "accessToken": "AT2", "expiresAt": FUTURE });
        scene.bench.sandbox.run("store", &elsewhere).ok();
        let typed = json!({ "ServerURL": "registry.acme.example:5000", "Username": "carol", "Secret": "P1" });
        assert_eq!(scene.helper("store", &typed.to_string()).exit, 0);
        scene.heard();
        let host = scene.registry.authority();
        let handed = build();
        assert_eq!(handed[host]["username"], "acme-token", "{handed}");
        assert_eq!(handed[host]["password"], json!(scene.door.newest()), "{handed}");
        assert_eq!(handed["registry.acme.example:5000"]["username"], "carol", "{handed}");
        assert_eq!(handed["registry.acme.example:5000"]["password"], "P1", "{handed}");
        assert_eq!(handed.as_object().unwrap().len(), 2, "{handed}");
        assert_eq!(scene.door.server().token_requests(), 1);
        let mut heard = scene.heard();
        heard.sort();
        let mut expected =
            [format!("get {host}"), "get registry.acme.example:5000".to_owned(), "list unused".to_owned()];
        expected.sort();
        assert_eq!(heard, expected);
    }
}

#[test]
fn docker_hub_is_one_registry_under_all_its_names() {
    for program in copies("docker") {
        let Some(scene) = Scene::new() else { return };
        let engine = engine("");
        scene.configure(&json!({ "credsStore": "claviger" }));
        scene.listen();
        let pull = || {
            let mut command = with_engine(&scene, &program, &engine);
            succeed(command.args(["pull", "busybox"]));
            let asked = engine.asked();
            let pulled = asked.iter().find(|request| request.path().ends_with("/images/create"));
            handed_over(pulled.expect("it is pulled"), "x-registry-auth")
        };
        assert_eq!(pull()["password"], Value::Null, "{}", program.display());
        login_through(&scene, &program, &engine, &["-u", "carol", "--password-stdin"], "P1");
        let heard = scene.heard();
        assert!(heard.iter().any(|line| line.starts_with("store ")), "{heard:?}");
        let pulled = pull();
        assert_eq!((&pulled["username"], &pulled["password"]), (&json!("carol"), &json!("P1")));
        for name in ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"] {
            let given: Value = serde_json::from_str(&scene.helper("get", name).stdout).unwrap();
            assert_eq!(given, json!({ "ServerURL": name, "Username": "carol", "Secret": "P1" }));
        }
        let listed = scene.helper("list", "unused").stdout;
        assert_eq!(listed, "{\"https://index.docker.io/v1/\":\"carol\"}\n");
        let mut logout = with_engine(&scene, &program, &engine);
        succeed(logout.arg("logout"));
        assert_eq!(scene.helper("list", "unused").stdout, "{}\n", "{:?}", scene.heard());
        // A session of an authorization server's serves as well, and is not what docker keeps beside a login.
        let session = scene.door.session("https://index.docker.io", FUTURE);
        scene.bench.sandbox.run("store", &session).ok();
        let pulled = pull();
        assert_eq!((&pulled["username"], &pulled["password"]), (&json!("oauth2"), &json!("AT1")));
        for name in ["https://index.docker.io/v1/refresh-token", "https://index.docker.io/v1/access-token"] {
            assert_eq!(scene.helper("get", name).stdout, "credentials not found in native keychain\n");
        }
    }
}

#[test]
fn a_login_with_what_docker_was_given_anyway_does_not_make_a_password_of_it() {
    for program in copies("docker") {
        let Some(scene) = Scene::new() else { return };
        let engine = engine("");
        scene.listen();
        scene.store(PAST);
        login_through(&scene, &program, &engine, &[scene.registry.authority()], "");
        let auth =
            engine.asked().into_iter().find(|asked| asked.path().ends_with("/auth")).expect("it is tried");
        let tried: Value = serde_json::from_str(&auth.body).unwrap();
        assert_eq!(tried["password"], json!(scene.door.newest()), "{}", program.display());
        let stored = scene.heard().into_iter().filter(|line| line.starts_with("store ")).count();
        assert_eq!(stored, 1, "docker hands back what it was given");
        let listed = finish(scene.bench.sandbox.command("list"), b"{}").ok();
        assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(listed["sessions"][0]["hasRefreshToken"], true, "{listed}");
    }
}

#[test]
fn an_identity_token_that_a_login_brings_is_kept_and_given_back_as_one() {
    for program in copies("docker") {
        let Some(scene) = Scene::new() else { return };
        let engine = engine("IT1");
        let host = scene.registry.authority();
        login_through(&scene, &program, &engine, &["-u", "carol", "--password-stdin", host], "P1");
        let kept: Value = serde_json::from_str(&scene.helper("get", host).stdout).unwrap();
        assert_eq!(kept, json!({ "ServerURL": host, "Username": "<token>", "Secret": "IT1" }));
        let mut pull = with_engine(&scene, &program, &engine);
        succeed(pull.args(["pull", &at(&scene, IMAGE)]));
        let asked = engine.asked();
        let pulled = asked.iter().find(|request| request.path().ends_with("/images/create"));
        let handed = handed_over(pulled.expect("it is pulled"), "x-registry-auth");
        assert_eq!(handed["identitytoken"], "IT1", "{}: {handed}", program.display());
    }
}
