//! The kubernetes dialect and the real kubectl, against an API server with a certificate of our own.

#![cfg(target_os = "linux")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use support::tls::Authority;
use support::tools::{Bench, every, fail, succeed};
use support::web::{Door, FUTURE, PAST, Reply, Request, Web};
use support::{binary, storm};

const V1: &str = "client.authentication.k8s.io/v1";
const VERSIONS: [&str; 2] = [V1, "client.authentication.k8s.io/v1beta1"];

/// A cluster, whoever may enter it, and a user of kubectl who has claviger for a plugin.
struct Cluster {
    kubectl: PathBuf,
    authority: Authority,
    door: Door,
    api: Web,
    bench: Bench,
}

/// What the API server says to whoever may enter, whatever the path.
fn answer(door: &Door, request: &Request) -> Reply {
    if door.opens(request.bearer()) {
        return Reply::json(&json!({ "kind": "Hello", "apiVersion": "v1" }));
    }
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized",
        "message": "Unauthorized", "code": 401 });
    Reply { status: 401, ..Reply::json(&status) }
}

/// One for each kubectl that there is.
fn clusters() -> Vec<Cluster> {
    every("kubectl", &["version", "--client"])
        .into_iter()
        .filter_map(|kubectl| {
            let authority = Authority::certifying("IP:127.0.0.1")?;
            let (door, bench) = (Door::new(), Bench::new());
            let handler = door.clone();
            let api = Web::https(&authority, move |request| answer(&handler, request));
            Some(Cluster { kubectl, authority, door, api, bench })
        })
        .collect()
}

impl Cluster {
    fn store(&self, session: &serde_json::Value) {
        self.bench.sandbox.run("store", session).ok();
    }

    /// The kubeconfig: which version of the plugin's protocol, with which arguments, and whether it is told of the cluster.
    fn configure(&self, version: &str, arguments: &[&str], told: bool, path: &str) {
        let user = json!({ "exec": {
            "apiVersion": version, "command": binary(), "args": arguments, "interactiveMode": "IfAvailable",
            "provideClusterInfo": told, "env": [{ "name": "CLAVIGER_STORAGE", "value": "plaintext" }],
        }});
        let server = format!("{}{path}", self.api.address());
        let cluster = json!({ "server": server, "certificate-authority": self.authority.path("ca.pem") });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": cluster }],
            "users": [{ "name": "u", "user": user }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        });
        self.bench.write("kubeconfig", &config.to_string());
    }

    /// One request to the API server.
    fn ask(&self) -> Command {
        let mut command = self.bench.command(&self.kubectl);
        command.args(["get", "--raw", "/hello", "--kubeconfig"]).arg(self.bench.path("kubeconfig"));
        command
    }

    /// The tokens that were shown since this was last asked for, each once.
    fn shown(&self) -> Vec<String> {
        let mut shown: Vec<_> =
            self.api.asked().iter().filter_map(|one| one.bearer().map(str::to_owned)).collect();
        shown.dedup();
        shown
    }
}

#[test]
fn the_cluster_that_kubectl_tells_of_selects_the_session_in_both_versions() {
    for cluster in clusters() {
        cluster.door.accept("AT1");
        cluster.store(&cluster.door.session(&cluster.api.address(), FUTURE));
        cluster.store(&cluster.door.session("https://api.other.example", FUTURE));
        for version in VERSIONS {
            // A server with a path, as where one front serves many clusters, is the origin's.
            for path in ["", "/k8s/clusters/c-1"] {
                cluster.configure(version, &["kubernetes"], true, path);
                let answer = succeed(&mut cluster.ask());
                assert!(answer.stdout.contains("Hello"), "{}", answer.stdout);
                assert_eq!(answer.stderr, "", "{version}");
                assert_eq!(cluster.shown(), ["AT1"], "{version}");
            }
        }
    }
}

#[test]
fn an_argument_names_the_provider_or_the_service_where_kubectl_tells_of_no_cluster() {
    for cluster in clusters() {
        let service = cluster.api.address();
        cluster.door.accept("AT1");
        cluster.store(&cluster.door.session(&service, FUTURE));
        // The only session there is could be anybody's: it is not sent to a cluster for that alone.
        cluster.configure(V1, &["kubernetes"], false, "");
        let answer = fail(&mut cluster.ask());
        assert!(answer.stderr.contains("provideClusterInfo"), "{}", answer.stderr);
        assert_eq!(cluster.shown(), [""; 0]);
        cluster.bench.sandbox.configure(&format!(
            "[providers.acme]\nissuer = \"https://id.acme.example\"\nclient-id = \"cli\"\nservices = [\"{service}\"]\n\
             [providers.other]\nissuer = \"https://id.other.example\"\nclient-id = \"cli\"\nservices = [\"https://other.example\"]\n"
        ));
        for version in VERSIONS {
            for argument in ["acme", &service] {
                cluster.configure(version, &["kubernetes", argument], false, "");
                succeed(&mut cluster.ask());
                assert_eq!(cluster.shown(), ["AT1"], "{version} {argument}");
            }
        }
        // With neither there is nothing to go by: two providers are configured.
        cluster.configure(V1, &["kubernetes"], false, "");
        let answer = fail(&mut cluster.ask());
        assert!(answer.stderr.contains("claviger"), "{}", answer.stderr);
        assert_eq!(cluster.shown(), [""; 0]);
    }
}

#[test]
fn the_account_is_an_argument_too() {
    for cluster in clusters() {
        let service = cluster.api.address();
        for (account, token) in [("alice", "AT-alice"), ("bob", "AT-bob")] {
            cluster.door.accept(token);
            cluster.store(&json!({ "service": service, "account": account, "accessToken": token }));
        }
        for (account, token) in [("bob", "AT-bob"), ("alice", "AT-alice")] {
            cluster.configure(V1, &["kubernetes", "--account", account], true, "");
            succeed(&mut cluster.ask());
            assert_eq!(cluster.shown(), [token]);
        }
    }
}

#[test]
fn commands_at_once_with_an_expired_token_make_one_token_request() {
    for cluster in clusters() {
        cluster.store(&cluster.door.session(&cluster.api.address(), PAST));
        cluster.configure(V1, &["kubernetes"], true, "");
        let commands = || {
            let mut command = cluster.ask();
            command.stdin(std::process::Stdio::piped());
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command
        };
        for answer in storm(6, b"", commands) {
            assert_eq!(answer.exit, 0, "{}", answer.stderr);
        }
        succeed(&mut cluster.ask());
        assert_eq!(cluster.door.server().token_requests(), 1);
        assert_eq!(cluster.shown(), [cluster.door.newest()]);
    }
}

#[test]
fn a_token_that_the_cluster_took_back_is_replaced_once_somebody_says_so() {
    for cluster in clusters() {
        let service = cluster.api.address();
        cluster.door.accept("AT1");
        cluster.store(&cluster.door.session(&service, FUTURE));
        cluster.configure(V1, &["kubernetes"], true, "");
        succeed(&mut cluster.ask());
        cluster.door.revoke("AT1");
        // Nothing in the protocol tells a plugin why it is run again, so the token is not replaced for that alone.
        for _ in 0..2 {
            let answer = fail(&mut cluster.ask());
            assert!(
                answer.stderr.contains("Unauthorized") || answer.stderr.contains("logged in"),
                "{}",
                answer.stderr
            );
        }
        assert_eq!(cluster.shown(), ["AT1"]);
        assert_eq!(cluster.door.server().token_requests(), 0);

        let refused = json!({ "service": service, "accessToken": "AT1" });
        assert_eq!(cluster.bench.sandbox.run("erase", &refused).ok()["erased"], true);
        succeed(&mut cluster.ask());
        let second = cluster.door.newest();
        assert_eq!(cluster.shown(), [second.as_str()]);

        cluster.door.revoke(&second);
        fail(&mut cluster.ask());
        cluster.bench.sandbox.run("get", &json!({ "service": service, "forceRefresh": true })).ok();
        cluster.api.asked();
        succeed(&mut cluster.ask());
        assert_eq!(cluster.shown(), [cluster.door.newest()]);
        assert_eq!(cluster.door.server().token_requests(), 2);
    }
}

#[test]
fn what_claviger_says_of_a_failure_is_what_kubectl_shows() {
    for cluster in clusters() {
        cluster.configure(V1, &["kubernetes"], true, "");
        let answer = fail(&mut cluster.ask());
        let executable = Path::new(binary()).file_name().unwrap().to_str().unwrap();
        for text in ["claviger: ", &cluster.api.address(), &format!("{executable} failed with exit code 1")] {
            assert!(answer.stderr.contains(text), "{text:?} is not in {}", answer.stderr);
        }
        // The session is there and its end is the server's word: another exit status, and what to do about it.
        cluster.store(&cluster.door.session(&cluster.api.address(), PAST));
        let refused = r#"{"error":"invalid_grant"}"#.to_owned();
        cluster.door.server().behave(|behaviour| behaviour.instead = Some((400, String::new(), refused)));
        let answer = fail(&mut cluster.ask());
        for text in ["claviger: ", &format!("{executable} failed with exit code 3")] {
            assert!(answer.stderr.contains(text), "{text:?} is not in {}", answer.stderr);
        }
        assert_eq!(cluster.shown(), [""; 0], "nobody asks the cluster without a token");
    }
}
