//! The bazel dialect and the real Bazel, against a server that it downloads from.

#![cfg(target_os = "linux")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use support::tools::{Bench, every, fail, succeed};
use support::web::{Door, FUTURE, PAST, Reply, Request, Web};

const CONTENT: &str = "hello\n";

/// A server with files, and a Bazel that fetches them.
struct Downloads {
    bazel: PathBuf,
    door: Door,
    web: Web,
    bench: Bench,
}

fn answer(door: &Door, request: &Request) -> Reply {
    let public = request.target.starts_with("/public/");
    if !public && !door.opens(request.bearer()) {
        return Reply::unauthorized("Bearer");
    }
    // The cache keeps nothing.
    if request.target.starts_with("/cache/") && request.method == "GET" {
        return Reply::not_found();
    }
    Reply::new(200, "text/plain", CONTENT)
}

/// One for each Bazel that there is.
fn downloads() -> Vec<Downloads> {
    every("bazel", &["--version"])
        .into_iter()
        .map(|bazel| {
            let (door, bench) = (Door::new(), Bench::new());
            let handler = door.clone();
            let web = Web::http(move |request| answer(&handler, request));
            Downloads { bazel, door, web, bench }
        })
        .collect()
}

impl Downloads {
    fn store(&self, expires: &str) {
        self.bench.sandbox.run("store", &self.door.session(&self.web.address(), expires)).ok();
    }

    /// Does that with nothing remembered, and that link for its credential helper.
    fn command(&self, helper: &str, verb: &str) -> Command {
        let link = self.bench.path(helper);
        if !link.exists() {
            self.bench.link(helper);
        }
        let nothing = tempfile::tempdir_in(self.bench.path("tmp")).expect("a folder").keep();
        let mut command = self.bench.command(&self.bazel);
        // Alone, so that no server of Bazel's outlives the test.
        command.args(["--batch", "--nohome_rc"]).arg(format!("--output_user_root={}", nothing.display()));
        command.args([verb, "--noenable_bzlmod", "--enable_workspace", "--repository_cache="]);
        command.arg(format!("--credential_helper={}", link.display())).env("USER", "alice");
        command
    }

    /// Fetches these files.
    fn fetch(&self, helper: &str, files: &[&str]) -> Command {
        let sum = claviger::secret::hex(&<sha2::Sha256 as sha2::Digest>::digest(CONTENT));
        let load = "load(\"@bazel_tools//tools/build_defs/repo:http.bzl\", \"http_file\")".to_owned();
        let rule = |(number, file): (usize, &&str)| {
            let url = format!("{}/{file}", self.web.address());
            format!("http_file(name = \"f{number}\", urls = [\"{url}\"], sha256 = \"{sum}\")")
        };
        let lines: Vec<_> = std::iter::once(load).chain(files.iter().enumerate().map(rule)).collect();
        self.bench.write("work/WORKSPACE", &(lines.join("\n") + "\n"));
        let mut command = self.command(helper, "fetch");
        command.args((0..files.len()).map(|number| format!("@f{number}//file")));
        command
    }

    /// Builds something, with the server for a cache.
    fn build(&self) -> Command {
        self.bench.write("work/WORKSPACE", "");
        self.bench.write("work/BUILD", "genrule(name = \"g\", outs = [\"o\"], cmd = \"echo > $@\")\n");
        let mut command = self.command("bazel-credential-claviger", "build");
        command.arg(format!("--remote_cache={}/cache", self.web.address()));
        command.args(["--spawn_strategy=local", "//:g"]);
        command
    }

    /// The tokens of the requests since this was last asked for; `-` for none.
    fn shown(&self) -> Vec<String> {
        let asked = self.web.asked();
        asked.iter().map(|one| one.bearer().unwrap_or("-").to_owned()).collect()
    }
}

#[test]
fn every_download_goes_with_the_token_of_its_host() {
    for downloads in downloads() {
        downloads.door.accept("AT1");
        downloads.store(FUTURE);
        succeed(&mut downloads.fetch("bazel-credential-claviger", &["a", "b?x=1"]));
        assert_eq!(downloads.shown(), ["AT1", "AT1"]);
    }
}

#[test]
fn downloads_at_once_with_an_expired_token_make_one_token_request() {
    for downloads in downloads() {
        downloads.store(PAST);
        succeed(&mut downloads.fetch("bazel-credential-claviger", &["a", "b", "c", "d"]));
        assert_eq!(downloads.shown(), vec![downloads.door.newest(); 4]);
        assert_eq!(downloads.door.server().token_requests(), 1);
    }
}

#[test]
fn the_name_of_the_link_selects_the_account() {
    for downloads in downloads() {
        for (account, token) in [("alice", "AT-alice"), ("bob", "AT-bob")] {
            downloads.door.accept(token);
            let session =
                json!({ "service": downloads.web.address(), "account": account, "accessToken": token });
            downloads.bench.sandbox.run("store", &session).ok();
        }
        succeed(&mut downloads.fetch("bazel-credential-claviger-bob", &["a"]));
        assert_eq!(downloads.shown(), ["AT-bob"]);
    }
}

#[test]
fn a_host_without_a_session_is_asked_without_a_token_and_without_an_error() {
    for downloads in downloads() {
        let answer = succeed(&mut downloads.fetch("bazel-credential-claviger", &["public/a"]));
        assert!(!answer.stderr.contains("get credentials"), "{}", answer.stderr);
        assert_eq!(downloads.shown(), ["-"]);
    }
}

#[test]
fn a_cache_is_shown_the_token_too_and_without_one_the_build_fails_in_claviger_s_words() {
    for downloads in downloads() {
        downloads.door.accept("AT1");
        downloads.store(FUTURE);
        succeed(&mut downloads.build());
        let asked = downloads.web.asked();
        assert!(asked.iter().any(|one| one.method == "PUT"), "{asked:?}");
        assert!(asked.iter().all(|one| one.bearer() == Some("AT1")), "{asked:?}");

        downloads.store(PAST);
        let refused = r#"{"error":"invalid_grant"}"#.to_owned();
        downloads.door.server().behave(|behaviour| behaviour.instead = Some((400, String::new(), refused)));
        let answer = fail(&mut downloads.build());
        for text in ["Failed to get credentials", "exited with code 3. stderr: claviger: "] {
            assert!(answer.stderr.contains(text), "{text:?} is not in {}", answer.stderr);
        }
        assert_eq!(downloads.shown(), [""; 0]);
    }
}
