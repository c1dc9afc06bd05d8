//! Against a certified authorization server: machines that nobody signs in on get their tokens by each of the ways
//! there are to prove who they are.

#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::oidc::{AuthorizationServer, SECRET};
use support::{SERVICE, finish, get};

/// A provider `ci` for a client, with these lines besides. The secret is in a file.
fn machine(client: &str, method: &str, more: &str) -> String {
    format!(
        "[providers.ci]\nissuer = \"ISSUER\"\ntoken-endpoint = \"ISSUER/token\"\nclient-id = \"{client}\"\n\
         client-auth = \"{method}\"\n{more}\ngrant = \"client_credentials\"\nscopes = [\"read\"]\n\
         services = [\"{SERVICE}\"]\n"
    )
}

#[test]
fn a_secret_full_of_special_characters_arrives_by_header_and_by_body() {
    let Some(server) = AuthorizationServer::start(&[]) else { return };
    for (client, method) in [("svc", "client_secret_basic"), ("poster", "client_secret_post")] {
        let sandbox = server.sandbox(&machine(client, method, "client-secret = { file = 'HOME/secret' }"));
        std::fs::write(sandbox.home().join("secret"), format!("{SECRET}\n")).unwrap();
        let reply = sandbox.run("get", &get()).ok();
        assert_eq!((&reply["outcome"], &reply["scopes"]), (&json!("minted"), &json!(["read"])), "{method}");
        assert_eq!(server.account(reply["accessToken"].as_str().unwrap()), client);

        std::fs::write(sandbox.home().join("secret"), "another\n").unwrap();
        let forced = json!({ "service": SERVICE, "forceRefresh": true });
        assert_eq!(sandbox.run("get", &forced).code(6), "PROVIDER_REJECTED", "{method}");
    }
    assert_eq!(server.grants("client_credentials"), [200, 401, 200, 401]);
}

/// Makes a key pair: a private key that its owner alone can read, and its public half.
fn key_pair(folder: &Path, name: &str, options: &[&str]) -> String {
    let openssl = |arguments: &[&str]| {
        let made = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
    openssl(&[&["genpkey", "-out", &private, "-algorithm"], options].concat());
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    folder.join(public).display().to_string()
}

#[test]
fn a_signature_by_a_key_of_each_kind_is_a_proof() {
    if !support::has_program("openssl") {
        support::skipped("openssl", "openssl is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kinds: [(&str, &[&str]); 3] = [
        ("RS256", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("ES256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        ("EdDSA", &["ED25519"]),
    ];
    let public = kinds.map(|(name, options)| key_pair(folder.path(), name, options)).join(",");
    let Some(server) = AuthorizationServer::start(&[("CLIENT_KEYS", &public)]) else { return };
    for (name, _) in kinds {
        let client = format!("signer-{name}");
        let key =
            format!("private-key = {{ file = '{}' }}", folder.path().join(format!("{name}.pem")).display());
        let sandbox = server.sandbox(&machine(&client, "private_key_jwt", &key));
        let reply = sandbox.run("get", &get()).ok();
        assert_eq!(server.account(reply["accessToken"].as_str().unwrap()), client);
        let forced = sandbox.run("get", &json!({ "service": SERVICE, "forceRefresh": true })).ok();
        assert_eq!(server.resource(forced["accessToken"].as_str().unwrap()), 200, "each proof is a new one");
    }
    assert_eq!(server.grants("client_credentials"), [200; 6]);
}

/// A build's own token for one of the server's, kept nowhere.
const RUNNER: &str = r#"
storage = "none"
[providers.runner]
issuer = "ISSUER"
client-id = "runner"
grant = "GRANT"
identity-token = { env = "BUILD_TOKEN" }
services = ["https://api.acme.example"]
"#;

#[test]
fn a_builds_token_is_exchanged_for_one_that_a_command_is_given_and_no_file_holds() {
    let build = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJidWlsZCJ9.c2ln";
    for (grant, urn) in [
        ("token_exchange", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("jwt_bearer", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
    ] {
        let Some(server) = AuthorizationServer::start(&[("SUBJECT_TOKEN", build)]) else { return };
        let mut sandbox = server.sandbox(&RUNNER.replace("GRANT", grant));
        sandbox.unset("CLAVIGER_STORAGE");
        sandbox.set("BUILD_TOKEN", build);
        let mut exec = sandbox.command("exec");
        exec.args(["--env", "TOKEN", "runner", "--", "sh", "-c", "printf %s \"$TOKEN\""]);
        let answer = finish(exec, b"");
        assert_eq!(answer.exit, 0, "{grant}: {}", answer.stderr);
        assert_eq!(server.account(&answer.stdout), "runner");
        assert_eq!(server.grants(urn), [200]);
        for (path, bytes) in sandbox.files() {
            let held = String::from_utf8_lossy(&bytes);
            assert!(!held.contains(&answer.stdout) && !held.contains(build), "{}", path.display());
        }
    }
}
