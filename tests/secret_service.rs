//! Against a real Secret Service: the slots are exactly the specification's, and erased is erased.

mod support;

use serde_json::json;
use support::bus::Bus;
use support::server::Server;
use support::{SERVICE, Sandbox, expired, finish, get};

fn sandbox(bus: &Bus) -> Sandbox {
    Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)])
}

#[test]
fn a_session_lives_in_two_slots_and_leaves_none() {
    let Some(bus) = Bus::with_keyring() else { return };
    let server = Server::start("RT1-first");
    let sandbox = sandbox(&bus);
    let stored = sandbox.run("store", &expired(&server, "RT1-first")).ok();
    assert_eq!(stored["storage"], "keyring");
    let (slots, text) = bus.slots();
    assert_eq!(slots, [format!("{SERVICE}#alice"), format!("{SERVICE}#alice/refresh")]);
    // Exactly two attributes of ours; the keyring may add its own schema attribute.
    let ours = |line: &&str| line.starts_with("attribute.") && !line.starts_with("attribute.xdg:schema");
    assert_eq!(text.lines().filter(ours).count(), 4, "{text}");

    let refreshed = sandbox.run("get", &get()).ok();
    assert_eq!((&refreshed["outcome"], &refreshed["storage"]), (&json!("refreshed"), &json!("keyring")));
    assert_eq!(sandbox.run("get", &get()).ok()["outcome"], "cached");
    assert_eq!(bus.slots().0.len(), 2, "a refresh overwrites in place");
    assert!(bus.slots().1.contains("RT2-"), "the rotated token is kept");

    let dropped = json!({ "service": SERVICE, "accessToken": refreshed["accessToken"] });
    assert_eq!(sandbox.run("erase", &dropped).ok()["erased"], true);
    assert_eq!(sandbox.run("get", &get()).ok()["outcome"], "refreshed");

    let erased = sandbox.run("erase", &get()).ok();
    assert_eq!((&erased["erased"], &erased["revocation"]), (&json!(true), &json!("revoked")));
    assert_eq!(bus.slots().0, Vec::<String>::new());
    assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND");
    let files: Vec<_> = sandbox
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.to_string_lossy().contains("/slots/"))
        .collect();
    assert!(files.is_empty(), "no token landed in a file: {files:?}");
}

#[test]
fn a_lost_index_is_rebuilt_from_the_keyring() {
    let Some(bus) = Bus::with_keyring() else { return };
    let sandbox = sandbox(&bus);
    sandbox.run("store", &json!({ "service": SERVICE, "account": "Alice/x", "accessToken": "AT1" })).ok();
    std::fs::remove_dir_all(sandbox.home().join("index")).unwrap();
    std::fs::remove_dir_all(sandbox.home().join("defaults")).unwrap();
    let reply = sandbox.run("get", &get()).ok();
    assert_eq!((&reply["account"], &reply["matchedBy"]), (&json!("Alice/x"), &json!("only")));
    assert_eq!(sandbox.run_bytes("list", b"{}").ok()["sessions"][0]["account"], "Alice/x");
}

#[test]
fn a_locked_keyring_is_not_an_empty_one() {
    let Some(bus) = Bus::with_keyring() else { return };
    let sandbox = sandbox(&bus);
    sandbox.run("store", &json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" })).ok();
    bus.lock();
    assert_eq!(sandbox.run("get", &get()).code(5), "STORE_LOCKED");
    let again = json!({ "service": SERVICE, "account": "bob", "accessToken": "AT2" });
    assert_eq!(sandbox.run("store", &again).code(5), "STORE_LOCKED");
}

#[test]
fn a_large_token_survives_the_round_trip() {
    let Some(bus) = Bus::with_keyring() else { return };
    let sandbox = sandbox(&bus);
    support::every_size_comes_back(&sandbox);
}

#[test]
fn a_keyring_that_restarts_in_mid_refresh_does_not_cost_the_session() {
    let Some(mut bus) = Bus::with_keyring() else { return };
    let server = Server::start("RT1-first");
    let sandbox = sandbox(&bus);
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    // Time enough for another keyring to come up between the request and its answer.
    server.behave(|behaviour| behaviour.latency = std::time::Duration::from_secs(3));
    let mut child = sandbox.command("get").spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), get().to_string().as_bytes()).unwrap();
    let (_never, tick) = std::sync::mpsc::channel::<()>();
    while server.token_requests() == 0 {
        let _ = tick.recv_timeout(std::time::Duration::from_millis(10));
    }
    bus.restart_keyring();
    let answer = support::Answer::of(child.wait_with_output().unwrap());
    assert_eq!(answer.ok()["outcome"], "refreshed");
    server.behave(|behaviour| behaviour.latency = std::time::Duration::ZERO);
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    assert_eq!(sandbox.run("get", &forced).ok()["outcome"], "refreshed");
    assert_eq!(server.log(|log| log.reused), 0);
}

#[test]
fn a_client_secret_comes_from_a_pipe_into_the_keyring_and_goes_with_its_provider() {
    let Some(bus) = Bus::with_keyring() else { return };
    let server = Server::start("RT1-first");
    let sandbox = sandbox(&bus);
    let add = |secret: &str, more: &[&str]| {
        let mut command = sandbox.command("providers");
        let endpoint = server.token_endpoint();
        command.args(["add", "ci", "--token-endpoint", &endpoint, "--client-id", "runner", "--grant"]);
        command.args(["client_credentials", "--client-auth", "client_secret_basic", "--service", SERVICE]);
        command.arg("--client-secret-stdin").args(more);
        finish(command, secret.as_bytes())
    };
    let added = add("CS:% 1\n", &[]);
    assert_eq!(added.exit, 0, "{}", added.stderr);
    assert_eq!(bus.slots().0, ["client-secret/ci"]);
    let config = std::fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    assert!(config.contains("client-secret = { keyring = true }") && !config.contains("CS:%"), "{config}");
    assert_eq!(sandbox.run("get", &get()).ok()["outcome"], "minted");

    // What is refused changes neither the file nor the keyring.
    for (secret, more) in
        [("other\n", &["--grant", "nonsense", "--replace"][..]), ("other\n", &[]), ("\n", &["--replace"])]
    {
        assert_eq!(add(secret, more).exit, 2, "{secret:?} {more:?}");
    }
    assert!(bus.slots().1.contains("CS:% 1"), "{}", bus.slots().1);
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    assert_eq!(sandbox.run("get", &forced).ok()["outcome"], "refreshed");

    let mut remove = sandbox.command("providers");
    remove.args(["remove", "ci"]);
    assert_eq!(finish(remove, b"").exit, 0);
    assert!(!bus.slots().0.contains(&"client-secret/ci".to_owned()), "{:?}", bus.slots().0);
}
