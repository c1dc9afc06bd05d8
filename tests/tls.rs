//! Whom the network client trusts: certificates that this machine vouches for, for the name asked for, and nothing
//! that an environment or a configuration can say against it. Each server here is `openssl s_server`.

#![cfg(target_os = "linux")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use claviger::clock::{Clock as _, SystemClock};
use serde_json::json;
use support::tls::Authority;
use support::{Answer, SERVICE, Sandbox, finish, get};

/// A `get` of an expired session at that port, with these variables.
fn ask(port: u16, variables: &[(&str, &Path)], config: &str) -> (Answer, Sandbox) {
    let sandbox = Sandbox::plaintext();
    sandbox.configure(config);
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresAt": "2020-01-01T00:00:00Z",
        "refreshToken": "RT1-kept", "tokenEndpoint": format!("https://127.0.0.1:{port}/token"), "clientId": "cli",
    });
    sandbox.run("store", &bundle).ok();
    let mut command = sandbox.command("get");
    command.envs(variables.iter().copied());
    (finish(command, get().to_string().as_bytes()), sandbox)
}

#[test]
fn a_root_that_the_documented_variable_names_is_trusted() {
    let Some(authority) = Authority::certifying("IP:127.0.0.1") else { return };
    for options in [&["-tls1_2"], &["-tls1_3"]] {
        let server = authority.serve(options);
        let (answer, _sandbox) = ask(server.port, &[("SSL_CERT_FILE", &authority.path("ca.pem"))], "");
        assert_eq!(answer.ok()["accessToken"], "AT2", "{options:?}");
        assert!(server.heard().contains("refresh_token=RT1-kept"), "{options:?}");
    }
}

#[test]
fn nothing_said_in_the_environment_or_the_configuration_turns_verification_off() {
    let Some(authority) = Authority::certifying("IP:127.0.0.1") else { return };
    let (no, ca) = (Path::new("0"), authority.path("ca.pem"));
    let server = authority.serve(&[]);
    // What other clients read: switches, and roots under names that are not ours.
    let variables = [
        ("NODE_TLS_REJECT_UNAUTHORIZED", no),
        ("PYTHONHTTPSVERIFY", no),
        ("GIT_SSL_NO_VERIFY", Path::new("1")),
        ("SSL_VERIFY", no),
        ("CURL_INSECURE", Path::new("1")),
        ("CLAVIGER_INSECURE", Path::new("1")),
        ("CURL_CA_BUNDLE", ca.as_path()),
        ("REQUESTS_CA_BUNDLE", ca.as_path()),
        ("NODE_EXTRA_CA_CERTS", ca.as_path()),
        ("GIT_SSL_CAINFO", ca.as_path()),
        ("CARGO_HTTP_CAINFO", ca.as_path()),
        ("SSLKEYLOGFILE", &authority.path("keys")),
    ];
    let (answer, _sandbox) = ask(server.port, &variables, "");
    assert_eq!(answer.code(6), "TLS_UNTRUSTED");
    let heard = server.heard();
    assert!(!heard.contains("RT1-kept") && !heard.contains("POST"), "{heard}");
    assert!(!authority.path("keys").exists(), "the keys of a connection are written for nobody");

    for key in ["insecure", "verify", "tls-verify", "accept-invalid-certs", "danger"] {
        let sandbox = Sandbox::plaintext();
        sandbox.configure(&format!("[providers.acme]\nissuer = \"https://id.acme.example\"\n{key} = true\n"));
        assert_eq!(sandbox.run("get", &get()).code(6), "CONFIG_INVALID", "{key}");
    }
}

#[test]
fn a_certificate_for_another_name_is_refused_before_anything_is_sent() {
    for name in ["DNS:id.acme.example", "IP:127.0.0.2", "DNS:127.0.0.1"] {
        let Some(authority) = Authority::certifying(name) else { return };
        let server = authority.serve(&[]);
        let (answer, sandbox) = ask(server.port, &[("SSL_CERT_FILE", &authority.path("ca.pem"))], "");
        assert_eq!(answer.code(6), "TLS_UNTRUSTED", "{name}");
        let heard = server.heard();
        assert!(!heard.contains("RT1-kept") && !heard.contains("POST"), "{name}: {heard}");
        let slots = support::files_below(&sandbox.home().join("slots"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(slots.iter().any(|(_, bytes)| text(bytes).contains("RT1-kept")), "{name}");
        assert!(
            !slots.iter().any(|(_, bytes)| text(bytes).contains("\"pending\"")),
            "{name}: nothing was sent"
        );
    }
}

#[test]
fn an_old_tls_is_not_spoken() {
    let Some(authority) = Authority::certifying("IP:127.0.0.1") else { return };
    for version in ["-tls1", "-tls1_1"] {
        // Without this the server itself would refuse to speak it.
        let server = authority.serve(&[version, "-cipher", "DEFAULT:@SECLEVEL=0"]);
        let (answer, _sandbox) = ask(server.port, &[("SSL_CERT_FILE", &authority.path("ca.pem"))], "");
        assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT", "{version}");
        let heard = server.heard();
        assert!(!heard.contains("RT1-kept") && !heard.contains("POST"), "{version}: {heard}");
    }
}

#[test]
fn a_handshake_that_never_ends_is_given_up_and_nothing_was_sent() {
    // Accepted by the kernel, never read: the connection stands, and no hello is answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let clock = SystemClock::start();
    let config = "[timeouts]\nconnect = 1\nrequest = 60\nlock = 70\n";
    let (answer, sandbox) = ask(silent.local_addr().unwrap().port(), &[], config);
    assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT");
    assert!(clock.monotonic() < Duration::from_secs(30), "the connection's own deadline ended it");
    let slots = support::files_below(&sandbox.home().join("slots"));
    assert!(!slots.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("\"pending\"")));
}
