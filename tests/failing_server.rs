//! A server in trouble is not asked by everyone in turn.

mod support;

use std::time::Duration;

use support::server::Server;
use support::{Sandbox, expired, get, storm};

#[test]
fn a_failure_that_happened_while_a_caller_waited_is_that_callers_too() {
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    server.behave(|behaviour| {
        behaviour.latency = Duration::from_millis(300);
        behaviour.instead = Some((503, String::new(), String::new()));
    });
    for answer in storm(20, get().to_string().as_bytes(), || sandbox.command("get")) {
        assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT");
        let reply = answer.json();
        assert!(reply["error"]["message"].as_str().unwrap().contains("503"), "it says why: {reply}");
    }
    assert_eq!(server.token_requests(), 1, "nobody asked again what had just failed");
    // It has passed: the session is as it was.
    server.behave(|behaviour| behaviour.instead = None);
    let forced = serde_json::json!({ "service": support::SERVICE, "forceRefresh": true });
    assert_eq!(sandbox.run("get", &forced).ok()["outcome"], "refreshed");
    assert_eq!((server.token_requests(), server.log(|log| log.reused)), (2, 0));
}
