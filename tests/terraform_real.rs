//! The terraform dialect and the real Terraform, against a registry of modules with a certificate of our own.

#![cfg(target_os = "linux")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::Answer;
use support::tls::Authority;
use support::tools::{Bench, every, fail, succeed};
use support::web::{Door, FUTURE, PAST, Reply, Request, Web};

const VERSIONS: &str = "/v1/modules/acme/hello/local/versions";

/// A registry, and a Terraform with claviger for its credentials helper.
struct Registry {
    terraform: PathBuf,
    authority: Authority,
    door: Door,
    web: Web,
    bench: Bench,
}

fn answer(door: &Door, archive: &[u8], request: &Request) -> Reply {
    let here = request.header("host").unwrap_or_default();
    match request.target.split('?').next().unwrap_or_default() {
        "/.well-known/terraform.json" => {
            Reply::json(&json!({ "modules.v1": "/v1/modules/", "tfe.v2": "/api/v2/" }))
        }
        // What a download's address says is for whoever has it.
        "/hello.tar.gz" => Reply::new(200, "application/gzip", archive),
        _ if !door.opens(request.bearer()) => Reply::unauthorized("Bearer"),
        VERSIONS => Reply::json(&json!({ "modules": [{ "versions": [{ "version": "1.0.0" }] }] })),
        "/v1/modules/acme/hello/local/1.0.0/download" => {
            let mut reply = Reply::new(204, "text/plain", "");
            reply.headers.push(("X-Terraform-Get", format!("https://{here}/hello.tar.gz")));
            reply
        }
        // Terraform looks a new token over before it hands it to a helper.
        "/api/v2/account/details" => {
            let mut reply = Reply::json(
                &json!({ "data": { "id": "user-1", "type": "users", "attributes": { "username": "alice" } } }),
            );
            reply.headers = vec![("Content-Type", "application/vnd.api+json".to_owned())];
            reply
        }
        _ => Reply::not_found(),
    }
}

/// A module of one file, packed.
fn archive(folder: &Path) -> Vec<u8> {
    std::fs::write(folder.join("main.tf"), "output \"hello\" {\n  value = 1\n}\n")
        .expect("a module is written");
    let packed = Command::new("tar").args(["-C"]).arg(folder).args(["-czf", "-", "main.tf"]).output();
    packed.expect("tar runs").stdout
}

/// One for each Terraform that there is; `arguments` are what the user configured for the helper.
fn registries(arguments: &[&str]) -> Vec<Registry> {
    every("terraform", &["version"])
        .into_iter()
        .filter_map(|terraform| {
            let authority = Authority::certifying("IP:127.0.0.1")?;
            let (door, bench) = (Door::new(), Bench::new());
            bench.link("home/.terraform.d/plugins/terraform-credentials-claviger");
            let arguments = Value::from(arguments);
            bench.write(
                "home/.terraformrc",
                &format!("credentials_helper \"claviger\" {{\n  args = {arguments}\n}}\n"),
            );
            let (handler, archive) = (door.clone(), archive(&bench.path("tmp")));
            let web = Web::https(&authority, move |request| answer(&handler, &archive, request));
            // At a desktop `terraform login` opens a browser.
            symlink("/bin/true", bench.path("bin/xdg-open")).expect("a link is made");
            Some(Registry { terraform, authority, door, web, bench })
        })
        .collect()
}

impl Registry {
    fn store(&self, account: &str, session: &Value) {
        let mut session = session.clone();
        session["account"] = account.into();
        self.bench.sandbox.run("store", &session).ok();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(&self.terraform);
        command.args(arguments).env("SSL_CERT_FILE", self.authority.path("ca.pem"));
        command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1");
        command
    }

    /// Fetches the module, with nothing remembered.
    fn get(&self) -> Command {
        let source =
            format!("module \"hello\" {{\n  source = \"{}/acme/hello/local\"\n}}\n", self.web.authority());
        let folder = tempfile::tempdir_in(self.bench.path("tmp")).expect("a folder").keep();
        std::fs::write(folder.join("main.tf"), source).expect("a configuration is written");
        let mut command = self.command(&["get", "-no-color"]);
        command.current_dir(folder);
        command
    }

    /// The tokens that were shown to the registry of modules since this was last asked for; `-` for none.
    fn shown(&self) -> Vec<String> {
        let asked = self.web.asked();
        let listed = asked.iter().filter(|one| one.target == VERSIONS);
        listed.map(|one| one.bearer().unwrap_or("-").to_owned()).collect()
    }

    /// `terraform login` as somebody does it who types yes, and then a token.
    fn login(&self, token: &str) -> Answer {
        let mut command = self.command(&["login", "-no-color", &self.web.authority()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("terraform starts");
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        stdin.write_all(b"yes\n").unwrap();
        // What comes before its question is lost to it.
        let mut said = String::new();
        while !said.contains("Token for") {
            let mut buffer = [0; 256];
            let read = stdout.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        // It may have ended instead.
        let _ = stdin.write_all(format!("{token}\n").as_bytes());
        drop(stdin);
        stdout.read_to_string(&mut said).unwrap();
        let mut answer = Answer::of(child.wait_with_output().unwrap());
        answer.stdout = said;
        answer
    }
}

#[test]
fn a_registry_of_modules_is_shown_the_token_of_its_host() {
    for registry in registries(&[]) {
        registry.door.accept("AT1");
        registry.store("alice", &registry.door.session(&registry.web.address(), FUTURE));
        succeed(&mut registry.get());
        assert_eq!(registry.shown(), ["AT1"]);
    }
}

#[test]
fn arguments_that_somebody_configured_select_the_account() {
    for registry in registries(&["--account", "bob"]) {
        for (account, token) in [("alice", "AT-alice"), ("bob", "AT-bob")] {
            registry.door.accept(token);
            let session = json!({ "service": registry.web.address(), "accessToken": token });
            registry.store(account, &session);
        }
        succeed(&mut registry.get());
        assert_eq!(registry.shown(), ["AT-bob"]);
    }
}

#[test]
fn an_expired_token_makes_one_token_request() {
    for registry in registries(&[]) {
        registry.store("alice", &registry.door.session(&registry.web.address(), PAST));
        for _ in 0..2 {
            succeed(&mut registry.get());
        }
        let newest = registry.door.newest();
        assert_eq!(registry.shown(), [newest.clone(), newest]);
        assert_eq!(registry.door.server().token_requests(), 1);
    }
}

/// What Terraform writes down, and shows nobody, where a helper failed.
const FAILED: &str = "Failed to get credentials";

#[test]
fn a_host_without_a_session_is_asked_without_a_token_and_without_an_error() {
    for registry in registries(&[]) {
        let answer = fail(registry.get().env("TF_LOG", "WARN"));
        assert_eq!(registry.shown(), ["-"]);
        assert!(!answer.stderr.contains(FAILED), "{}", answer.stderr);
    }
}

#[test]
fn a_session_that_has_ended_is_told_where_terraform_writes_down_such_things() {
    for registry in registries(&[]) {
        registry.store("alice", &registry.door.session(&registry.web.address(), PAST));
        let refused = r#"{"error":"invalid_grant"}"#.to_owned();
        registry.door.server().behave(|behaviour| behaviour.instead = Some((400, String::new(), refused)));
        let answer = fail(registry.get().env("TF_LOG", "WARN"));
        for text in [FAILED, "terraform-credentials-claviger: claviger: "] {
            assert!(answer.stderr.contains(text), "{text:?} is not in {}", answer.stderr);
        }
        assert_eq!(registry.shown(), ["-"]);
    }
}

#[test]
fn a_login_keeps_the_token_and_a_logout_ends_it() {
    for registry in registries(&[]) {
        registry.door.accept("AT-typed");
        let answer = registry.login("AT-typed");
        assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
        let request = json!({ "service": registry.web.address() });
        assert_eq!(registry.bench.sandbox.run("get", &request).ok()["accessToken"], "AT-typed");
        succeed(&mut registry.get());
        assert_eq!(registry.shown(), ["AT-typed"]);
        let files = registry.bench.path("home/.terraform.d/credentials.tfrc.json");
        assert!(!files.exists(), "terraform kept a copy of its own");

        succeed(&mut registry.command(&["logout", &registry.web.authority()]));
        assert_eq!(registry.bench.sandbox.run("get", &request).code(1), "NOT_FOUND");
        fail(&mut registry.get());
        assert_eq!(registry.shown(), ["-"]);
    }
}

#[test]
fn a_token_that_the_host_refuses_is_not_kept() {
    for registry in registries(&[]) {
        let answer = registry.login("AT-wrong");
        assert_ne!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
        let request = json!({ "service": registry.web.address() });
        assert_eq!(registry.bench.sandbox.run("get", &request).code(1), "NOT_FOUND");
    }
}

#[test]
fn a_logout_takes_its_own_host_off_a_session_that_opens_others() {
    for registry in registries(&[]) {
        let mut session = registry.door.session("https://api.acme.example", FUTURE);
        session["services"] = json!([registry.web.address()]);
        registry.door.accept("AT1");
        registry.store("alice", &session);
        succeed(&mut registry.get());
        assert_eq!(registry.shown(), ["AT1"]);
        succeed(&mut registry.command(&["logout", &registry.web.authority()]));
        fail(&mut registry.get());
        assert_eq!(registry.shown(), ["-"]);
        let request = json!({ "service": "https://api.acme.example" });
        assert_eq!(registry.bench.sandbox.run("get", &request).ok()["accessToken"], "AT1");
    }
}
