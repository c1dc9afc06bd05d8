//! The GOAUTH dialect and the real go, against a module proxy with a certificate of our own.

#![cfg(target_os = "linux")]

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use support::storm;
use support::tls::Authority;
use support::tools::{Bench, every, fail, succeed};
use support::web::{Door, FUTURE, PAST, Reply, Request, Web};

/// A module that the proxy has, and one that it has not.
const THERE: &str = "example.test/there@v1.0.0";
const MISSING: &str = "example.test/missing@v1.0.0";

/// A proxy, and a go with claviger for its GOAUTH.
struct Modules {
    go: PathBuf,
    authority: Authority,
    door: Door,
    proxy: Web,
    bench: Bench,
}

fn answer(door: &Door, request: &Request) -> Reply {
    let by_netrc = request.basic().is_some_and(|(user, _)| user == "netrc");
    if !by_netrc && !door.opens(request.bearer()) {
        return Reply::unauthorized("Bearer realm=\"modules\"");
    }
    let Some((module, file)) = request.target[1..].split_once("/@v/v1.0.0.") else {
        return Reply::not_found();
    };
    match file {
        _ if MISSING.starts_with(module) => Reply::not_found(),
        "info" => Reply::json(&json!({ "Version": "v1.0.0", "Time": "2026-01-01T00:00:00Z" })),
        "mod" => Reply::new(200, "text/plain", format!("module {module}\n")),
        _ => Reply::not_found(),
    }
}

/// One for each go that knows GOAUTH.
fn modules() -> Vec<Modules> {
    let knowing = |go: &PathBuf| {
        let answer = succeed(Bench::new().command(go).env("GOENV", "off").args(["env", "GOAUTH"]));
        let knows = !answer.stdout.trim().is_empty();
        if !knows {
            eprintln!("passed over: {} does not know GOAUTH", go.display());
        }
        knows
    };
    every("go", &["version"])
        .into_iter()
        .filter(knowing)
        .filter_map(|go| {
            let authority = Authority::certifying("IP:127.0.0.1")?;
            let (door, bench) = (Door::new(), Bench::new());
            bench.link("bin/claviger");
            let handler = door.clone();
            let proxy = Web::https(&authority, move |request| answer(&handler, request));
            Some(Modules { go, authority, door, proxy, bench })
        })
        .collect()
}

impl Modules {
    fn store(&self, expires: &str) {
        self.bench.sandbox.run("store", &self.door.session(&self.proxy.address(), expires)).ok();
    }

    /// Looks a module up with nothing remembered.
    fn list(&self, goauth: &str, module: &str) -> Command {
        let nothing = tempfile::tempdir_in(self.bench.path("tmp")).expect("a folder").keep();
        let mut command = self.bench.command(&self.go);
        command.args(["list", "-m", module]).env("SSL_CERT_FILE", self.authority.path("ca.pem"));
        command.env("GOPATH", &nothing).env("GOCACHE", self.bench.path("tmp/cache"));
        command.env("GOAUTH", goauth).env("GOPROXY", self.proxy.address());
        for (name, value) in
            [("GOENV", "off"), ("GOFLAGS", "-modcacherw"), ("GOSUMDB", "off"), ("GOTOOLCHAIN", "local")]
        {
            command.env(name, value);
        }
        command
    }

    /// GOAUTH that has the proxy's token before it is asked for.
    fn knowing(&self) -> String {
        format!("claviger goauth --service {}", self.proxy.address())
    }

    /// The tokens of the requests since this was last asked for; `-` for none.
    fn shown(&self) -> Vec<String> {
        let bearer = |one: &Request| one.bearer().unwrap_or("-").to_owned();
        let mut shown: Vec<_> = self.proxy.asked().iter().map(bearer).collect();
        shown.dedup();
        shown
    }
}

#[test]
fn a_service_that_is_named_has_its_token_from_the_first_request_on() {
    for modules in modules() {
        modules.door.accept("AT1");
        modules.store(FUTURE);
        succeed(&mut modules.list(&modules.knowing(), THERE));
        assert_eq!(modules.shown(), ["AT1"]);
    }
}

#[test]
fn a_service_that_is_not_named_has_it_after_its_401() {
    for modules in modules() {
        modules.door.accept("AT1");
        modules.store(FUTURE);
        succeed(&mut modules.list("claviger goauth", THERE));
        assert_eq!(modules.shown(), ["-", "AT1"]);
        assert_eq!(modules.door.server().token_requests(), 0, "nothing was said against AT1");
    }
}

#[test]
fn a_404_says_nothing_against_the_token() {
    for modules in modules() {
        modules.door.accept("AT1");
        modules.store(FUTURE);
        for goauth in [&modules.knowing(), "claviger goauth"] {
            let answer = fail(&mut modules.list(goauth, MISSING));
            assert!(answer.stderr.contains("404"), "{}", answer.stderr);
            succeed(&mut modules.list(goauth, THERE));
            assert_eq!(modules.shown().last().map(String::as_str), Some("AT1"));
        }
        assert_eq!(modules.door.server().token_requests(), 0);
    }
}

#[test]
fn a_401_for_a_token_of_ours_makes_a_new_one_and_the_request_is_repeated_with_it() {
    for modules in modules() {
        modules.store(FUTURE);
        succeed(&mut modules.list(&modules.knowing(), THERE));
        let second = modules.door.newest();
        assert_eq!(modules.shown(), ["AT1", &second]);
        succeed(&mut modules.list(&modules.knowing(), THERE));
        assert_eq!(modules.shown(), [second]);
        assert_eq!(modules.door.server().token_requests(), 1);
    }
}

#[test]
fn eight_401s_at_once_spend_no_refresh_token_twice() {
    for modules in modules() {
        modules.store(FUTURE);
        let needed: Vec<_> = (0..8).map(|number| format!("example.test/m{number} v1.0.0")).collect();
        let needed = needed.join("\n");
        modules
            .bench
            .write("work/go.mod", &format!("module example.test/main\ngo 1.24\nrequire (\n{needed}\n)\n"));
        let mut command = modules.list(&modules.knowing(), "all");
        succeed(command.env("GOFLAGS", "-modcacherw -mod=mod").env("GOMAXPROCS", "8"));
        let refused = modules.proxy.asked().iter().filter(|one| one.bearer() == Some("AT1")).count();
        assert!(refused > 1, "go asked for one module after another");
        // go does not say which token was refused: who is asked late may refresh once more than there was need.
        let (requests, twice) = modules.door.server().log(|log| (log.tokens.len(), log.reused));
        assert_eq!(twice, 0, "of {requests}");
        assert!((1..=refused).contains(&requests), "{requests} for {refused}");
    }
}

#[test]
fn commands_at_once_with_an_expired_token_make_one_token_request() {
    for modules in modules() {
        modules.store(PAST);
        let command = || {
            let mut command = modules.list(&modules.knowing(), THERE);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        for answer in storm(4, b"", command) {
            assert_eq!(answer.exit, 0, "{}", answer.stderr);
        }
        assert_eq!(modules.door.server().token_requests(), 1);
        assert_eq!(modules.shown(), [modules.door.newest()]);
    }
}

#[test]
fn where_there_is_no_session_go_goes_on_to_what_it_is_told_to_try_next() {
    for modules in modules() {
        let machine = format!("machine {} login netrc password secret\n", modules.proxy.authority());
        let netrc = modules.bench.write("netrc", &machine);
        for goauth in [&modules.knowing(), "claviger goauth"] {
            fail(&mut modules.list(goauth, THERE));
            assert_eq!(modules.shown(), ["-"]);
            let both = format!("{goauth}; netrc");
            succeed(modules.list(&both, THERE).env("NETRC", &netrc));
            modules.proxy.asked();
        }
    }
}
