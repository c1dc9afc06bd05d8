//! Against a certified authorization server: people sign in by browser and by device, sessions are renewed, ended
//! and found out. The real binary, and a server that nobody here wrote.

#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::oidc::{self, AuthorizationServer};
use support::{Answer, SERVICE, Sandbox, finish, get, storm};

/// A provider that people sign in to.
const ACME: &str = r#"
[providers.acme]
issuer = "ISSUER"
client-id = "native"
scopes = ["openid", "offline_access", "email"]
services = ["https://api.acme.example"]
"#;

/// Whom the browser signs in as, by the ID token's `email`.
const ALICE: &str = "alice@acme.example";

fn login(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command("login");
    command.args(arguments).arg("--json");
    command
}

/// Every line of a login's output, and the last one by itself.
fn told(answer: &Answer) -> (Vec<Value>, Value) {
    let line = |line| serde_json::from_str(line).expect("each line is JSON");
    let mut lines: Vec<Value> = answer.stdout.lines().map(line).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("nothing was said: {}", answer.stderr));
    (lines, last)
}

/// Signs in, which must succeed, and gives what was said of the session.
#[track_caller]
fn signed_in(sandbox: &Sandbox) -> Value {
    let answer = finish(login(sandbox, &["acme"]), b"");
    assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
    told(&answer).1
}

/// Tries to sign in, which must fail, and gives the error's code. Nothing may be left of it.
#[track_caller]
fn refused(server: &AuthorizationServer, sandbox: &Sandbox, exit: Option<i32>) -> String {
    let answer = finish(login(sandbox, &["acme"]), b"");
    assert_ne!(answer.exit, 0, "{}", answer.stdout);
    if let Some(exit) = exit {
        assert_eq!(answer.exit, exit, "{} {}", answer.stdout, answer.stderr);
    }
    assert_eq!(sandbox.run_bytes("list", b"").ok()["sessions"], json!([]));
    assert_eq!(server.grants("authorization_code"), [0; 0], "no code was spent");
    told(&answer).1["error"]["code"].as_str().expect("an error has a code").to_owned()
}

fn access_token(sandbox: &Sandbox, request: &Value) -> String {
    sandbox.run("get", request).ok()["accessToken"].as_str().expect("a token").to_owned()
}

/// The refresh token in the session's slot.
fn refresh_token(sandbox: &Sandbox) -> String {
    let slots = sandbox.files().into_iter().filter(|(path, _)| path.to_string_lossy().contains("/slots/"));
    let found = slots.filter_map(|(_, bytes)| serde_json::from_slice::<Value>(&bytes).ok());
    let mut tokens = found.filter_map(|slot| Some(slot["refreshToken"].as_str()?.to_owned()));
    tokens.next().expect("a session has a refresh token")
}

/// Waits for something that will be so within ten seconds.
fn until(mut so: impl FnMut() -> bool) {
    let (_never, tick) = std::sync::mpsc::channel::<()>();
    for _ in 0..500 {
        if so() {
            return;
        }
        let _ = tick.recv_timeout(Duration::from_millis(20));
    }
    panic!("it never came");
}

#[test]
fn the_server_is_one_that_tells_live_tokens_from_dead_ones() {
    let Some(server) = AuthorizationServer::start(&[("DEVICE_INTERVAL", "1")]) else { return };
    let (status, found) = server.get("/.well-known/openid-configuration", &[]);
    let metadata: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((status, metadata["issuer"].as_str()), (200, Some(server.issuer())));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(server.resource("nonsense"), 401);

    let asked =
        server.post("/device/auth", &[("client_id", "native"), ("scope", "openid offline_access email")]).1;
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let fields = [
        ("grant_type", grant),
        ("client_id", "native"),
        ("device_code", asked["device_code"].as_str().unwrap()),
    ];
    assert_eq!(asked["interval"], 1);
    assert_eq!(server.post("/token", &fields).1["error"], "authorization_pending");
    let (uri, code) = (asked["verification_uri"].as_str().unwrap(), asked["user_code"].as_str().unwrap());
    oidc::on_another_device(uri, code, "approve");
    let (status, granted) = server.post("/token", &fields);
    assert_eq!(status, 200, "{granted}");
    assert_eq!(server.account(granted["access_token"].as_str().unwrap()), "alice");

    let refresh = |token: &str| {
        server.post(
            "/token",
            &[("grant_type", "refresh_token"), ("client_id", "native"), ("refresh_token", token)],
        )
    };
    let first = granted["refresh_token"].as_str().unwrap();
    let (status, renewed) = refresh(first);
    assert_eq!(status, 200, "{renewed}");
    let (token, second) =
        (renewed["access_token"].as_str().unwrap(), renewed["refresh_token"].as_str().unwrap());
    assert_eq!(server.resource(token), 200);
    assert_eq!(refresh(first).1["error"], "invalid_grant", "a refresh token is good for one request");
    assert_eq!(refresh(second).1["error"], "invalid_grant", "and its reuse ends the whole family");
    assert_eq!(server.resource(token), 401, "with every access token of it");
    assert_eq!(server.grants("refresh_token"), [200, 400, 400]);
}

#[test]
fn whoever_signs_in_by_browser_has_a_token_that_opens_the_resource() {
    let Some(server) = AuthorizationServer::start(&[]) else { return };
    let sandbox = server.sandbox(ACME);
    let answer = finish(login(&sandbox, &["acme"]), b"");
    assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
    let (events, session) = told(&answer);
    assert_eq!(events[0]["event"], "authorization");
    assert_eq!(events[0]["opened"], true);
    let address = url::Url::parse(events[0]["authorizationUrl"].as_str().unwrap()).unwrap();
    let sent =
        |name: &str| address.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    assert_eq!(sent("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(sent("code_challenge").map(|challenge| challenge.len()), Some(43));
    assert_eq!(sent("redirect_uri").as_deref(), events[0]["redirectUri"].as_str());
    assert!(sent("state").is_some_and(|state| state.len() >= 22), "{address}");
    assert_eq!(
        (&session["service"], &session["account"], &session["storage"], &session["hasRefreshToken"]),
        (&json!(SERVICE), &json!(ALICE), &json!("plaintext"), &json!(true))
    );
    assert_eq!(session["default"], true);

    let reply = sandbox.run("get", &get()).ok();
    assert_eq!(reply["outcome"], "cached");
    assert_eq!(server.account(reply["accessToken"].as_str().unwrap()), "alice");
    let forced = access_token(&sandbox, &json!({ "service": SERVICE, "forceRefresh": true }));
    assert_eq!(server.resource(&forced), 200);
    assert_eq!((server.grants("authorization_code"), server.grants("refresh_token")), (vec![200], vec![200]));

    let mut token = sandbox.command("token");
    token.arg("acme");
    assert_eq!(finish(token, b"").stdout.trim(), forced);
    let mut status = sandbox.command("status");
    status.arg("--json");
    assert!(finish(status, b"").ok().to_string().contains(ALICE));
}

#[test]
fn a_refresh_token_comes_where_it_is_given_for_consent_alone() {
    let Some(server) = AuthorizationServer::start(&[("STRICT_OFFLINE", "1")]) else { return };
    let asking = format!("{ACME}authorization-params = {{ prompt = \"consent\" }}\n");
    assert_eq!(signed_in(&server.sandbox(&asking))["hasRefreshToken"], true);
}

#[test]
fn a_person_who_says_no_leaves_nothing_behind() {
    let Some(server) = AuthorizationServer::start(&[("DENY", "1")]) else { return };
    assert_eq!(refused(&server, &server.sandbox(ACME), Some(3)), "LOGIN_DENIED");
}

#[test]
fn an_answer_in_another_issuers_name_or_in_none_is_no_answer() {
    for iss in ["wrong", "missing"] {
        let Some(server) = AuthorizationServer::start(&[("ISS", iss)]) else { return };
        assert_ne!(refused(&server, &server.sandbox(ACME), None), "INTERNAL", "{iss}");
    }
}

#[test]
fn a_server_that_calls_itself_otherwise_is_not_the_one_that_was_meant() {
    let Some(server) = AuthorizationServer::start(&[]) else { return };
    let sandbox = server.sandbox(&ACME.replace("ISSUER", "ISSUER/"));
    assert_eq!(refused(&server, &sandbox, Some(6)), "CONFIG_INVALID");
}

#[test]
fn the_address_can_be_carried_to_a_browser_elsewhere_and_the_answer_back() {
    let Some(server) = AuthorizationServer::start(&[]) else { return };
    let sandbox = server.sandbox(ACME);
    let mut child = login(&sandbox, &["acme", "--no-browser"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let event = next_event(&mut stdout);
    assert_eq!((&event["event"], &event["opened"]), (&json!("authorization"), &json!(false)));
    let answer = oidc::answer_to(event["authorizationUrl"].as_str().unwrap());
    child.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
    assert_eq!(next_event(&mut stdout)["account"], ALICE);
    assert!(child.wait().unwrap().success());
    assert_eq!(server.resource(&access_token(&sandbox, &get())), 200);
}

fn next_event(stdout: &mut impl std::io::BufRead) -> Value {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"))
}

/// A login with a second device, up to its end: exit status and last line.
fn by_device(sandbox: &Sandbox, decision: &str) -> (Option<i32>, Value) {
    let mut child = login(sandbox, &["acme", "--device"]).spawn().unwrap();
    drop(child.stdin.take());
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let event = next_event(&mut stdout);
    assert_eq!(event["event"], "device");
    let said = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("{key} in {event}")).to_owned();
    oidc::on_another_device(&said("verificationUri"), &said("userCode"), decision);
    let last = stdout.lines().map(Result::unwrap).last().expect("an end");
    (child.wait().unwrap().code(), serde_json::from_str(&last).unwrap())
}

#[test]
fn a_second_device_can_say_yes_or_no() {
    let Some(server) = AuthorizationServer::start(&[("DEVICE_INTERVAL", "1")]) else { return };
    let sandbox = server.sandbox(ACME);
    let (exit, denied) = by_device(&sandbox, "deny");
    assert_eq!((exit, &denied["error"]["code"]), (Some(3), &json!("LOGIN_DENIED")));
    assert_eq!(sandbox.run_bytes("list", b"").ok()["sessions"], json!([]));
    let (exit, session) = by_device(&sandbox, "approve");
    assert_eq!((exit, &session["account"]), (Some(0), &json!(ALICE)), "{session}");
    assert_eq!(server.resource(&access_token(&sandbox, &get())), 200);
}

#[test]
fn forty_callers_of_a_session_that_has_expired_make_one_request() {
    let Some(server) = AuthorizationServer::start(&[("ACCESS_TTL", "1")]) else { return };
    let sandbox = server.sandbox(ACME);
    signed_in(&sandbox);
    let first = access_token(&sandbox, &get());
    until(|| server.resource(&first) == 401);
    server.lifetime(3600);
    let before = server.grants("refresh_token").len();
    // What was obtained a moment ago is not refreshed for its age alone: a server that gives out so little would be asked
    // by every call.
    let request = json!({"service": SERVICE, "forceRefresh": true}).to_string();
    let answers = storm(40, request.as_bytes(), || sandbox.command("get"));
    let tokens: std::collections::BTreeSet<String> =
        answers.iter().map(|answer| answer.ok()["accessToken"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tokens.len(), 1, "all were given the same");
    assert_eq!(server.resource(tokens.first().unwrap()), 200);
    assert_eq!(server.grants("refresh_token")[before..], [200], "one request, and no reuse");
}

#[test]
fn a_refresh_token_that_somebody_else_has_used_ends_the_session_and_the_caller_is_told() {
    let Some(server) = AuthorizationServer::start(&[]) else { return };
    let sandbox = server.sandbox(ACME);
    signed_in(&sandbox);
    let stolen = refresh_token(&sandbox);
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    let token = access_token(&sandbox, &forced);
    let replayed = server.post(
        "/token",
        &[("grant_type", "refresh_token"), ("client_id", "native"), ("refresh_token", &stolen)],
    );
    assert_eq!((replayed.0, &replayed.1["error"]), (400, &json!("invalid_grant")));
    assert_eq!(server.resource(&token), 401);
    assert_eq!(sandbox.run("get", &forced).code(3), "AUTH_REFRESH_EXPIRED");
    let asked = server.grants("refresh_token").len();
    assert_eq!(sandbox.run("get", &forced).code(3), "AUTH_REFRESH_EXPIRED");
    assert_eq!(server.grants("refresh_token").len(), asked, "the dead token is not sent again");
    signed_in(&sandbox);
    assert_eq!(server.resource(&access_token(&sandbox, &get())), 200);
}

#[test]
fn a_logout_ends_the_session_at_the_server_too() {
    let Some(server) = AuthorizationServer::start(&[]) else { return };
    let sandbox = server.sandbox(ACME);
    signed_in(&sandbox);
    let token = access_token(&sandbox, &get());
    assert_eq!(server.resource(&token), 200);
    let mut logout = sandbox.command("logout");
    logout.args(["acme", "--json"]);
    let reply = finish(logout, b"").ok();
    assert_eq!((&reply["erased"], &reply["revocation"]), (&json!(true), &json!("revoked")));
    assert_eq!(server.resource(&token), 401);
    assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND");
    let last = server.log().pop().unwrap();
    assert_eq!((&last["path"], &last["status"]), (&json!("/token/revocation"), &json!(200)));
}

#[test]
fn a_client_that_the_server_does_not_know_yet_makes_itself_known() {
    let Some(server) = AuthorizationServer::start(&[]) else { return };
    let sandbox = server.sandbox(&ACME.replace("client-id = \"native\"\n", ""));
    assert_eq!(signed_in(&sandbox)["account"], ALICE);
    assert_eq!(server.resource(&access_token(&sandbox, &get())), 200);
    let forced = access_token(&sandbox, &json!({ "service": SERVICE, "forceRefresh": true }));
    assert_eq!(server.resource(&forced), 200);
    let registered: Vec<u64> = server
        .log()
        .iter()
        .filter(|asked| asked["path"] == "/reg")
        .map(|asked| asked["status"].as_u64().unwrap())
        .collect();
    assert_eq!(registered, [201]);
}
