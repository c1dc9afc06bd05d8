//! The terminal session in `README.md` is one that took place: it is played again, and must come out the same. With
//! `CLAVIGER_BLESS=1` it is written anew.

#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Command;

use support::signing::Endpoints;
use support::{Answer, Sandbox, finish};

const BEGIN: &str = "replaced -->\n```console\n";

struct Session {
    text: String,
    server: Endpoints,
    sandbox: Sandbox,
}

impl Session {
    fn command(&self, line: &str) -> Command {
        let line = line.replace("https://id.acme.example", self.server.address());
        let mut words = line.split_whitespace().skip(1);
        let mut command = self.sandbox.command(words.next().expect("a command"));
        command.args(words);
        command
    }

    fn type_in(&mut self, line: &str) -> Answer {
        let answer = finish(self.command(line), b"");
        self.note(line, &(answer.stderr.clone() + &answer.stdout));
        answer
    }

    /// A login whose browser is this test.
    fn sign_in(&mut self, line: &str) {
        let mut child = self.command(line).spawn().expect("the binary starts");
        let mut told = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        while !told.contains("waiting up to") {
            assert_ne!(stderr.read_line(&mut told).expect("it says something"), 0, "{told}");
        }
        let address = told.split_whitespace().find(|word| word.contains("/authorize?")).expect("an address");
        let address = url::Url::parse(address).expect("a URL");
        let sent = |name: &str| {
            address.query_pairs().find(|(key, _)| key == name).expect("it is sent").1.into_owned()
        };
        let authority = sent("redirect_uri").replace("http://", "");
        let mut browser = std::net::TcpStream::connect(&authority).expect("it listens");
        let request = format!("GET /?code=C&state={} HTTP/1.0\r\nHost: {authority}\r\n\r\n", sent("state"));
        std::io::Write::write_all(&mut browser, request.as_bytes()).expect("it is asked");
        browser.read_to_end(&mut Vec::new()).expect("it answers");
        stderr.read_to_string(&mut told).expect("it ends");
        let answer = Answer::of(child.wait_with_output().expect("it ends"));
        assert_eq!(answer.exit, 0, "{told}");
        let shown = told.replace(
            address.as_str(),
            &format!("{}/authorize?response_type=code&...", self.server.address()),
        );
        self.note(line, &(shown + &answer.stdout));
    }

    fn note(&mut self, line: &str, output: &str) {
        let output = output.replace(self.server.address(), "https://id.acme.example");
        let output =
            output.replace(&self.sandbox.home().display().to_string(), "/home/alice/.config/claviger");
        self.text.extend(["$ ", line, "\n", &output]);
    }
}

fn played() -> String {
    let granted = r#"{"access_token":"AT1","token_type":"Bearer","expires_in":43200,"refresh_token":"RT1"}"#;
    let metadata = r#"{"issuer":"BASE","authorization_endpoint":"BASE/authorize","token_endpoint":"BASE/token","revocation_endpoint":"BASE/revoke","userinfo_endpoint":"BASE/userinfo","code_challenge_methods_supported":["S256"]}"#;
    let server = Endpoints::answering(vec![
        ("/.well-known/oauth-authorization-server", 200, metadata.to_owned()),
        ("/token", 200, granted.to_owned()),
        ("/revoke", 200, "{}".to_owned()),
        ("/userinfo", 200, r#"{"preferred_username":"alice"}"#.to_owned()),
    ]);
    let mut sandbox = Sandbox::plaintext();
    sandbox.set("BROWSER", "/bin/true");
    let mut session = Session { text: String::new(), server, sandbox };
    session.type_in(
        "claviger providers add acme --issuer https://id.acme.example --client-id claviger --service https://api.acme.example --service https://git.acme.example",
    );
    session.sign_in("claviger login acme");
    // Whole hours, however long the machine took.
    let status = session.type_in("claviger status");
    assert!(
        status.stdout.contains("in 11 hours") || status.stdout.contains("in 12 hours"),
        "{}",
        status.stdout
    );
    session.type_in("claviger token acme --format header");
    session.type_in("claviger logout acme");
    session.text.replace("in 12 hours", "in 11 hours")
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the tests' own switch")]
fn the_session_in_the_readme_is_one_that_took_place() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README has a session");
    let (written, after) = rest.split_once("```\n").expect("it ends");
    let played = played();
    if std::env::var_os("CLAVIGER_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{played}```\n{after}")).unwrap();
        panic!("the session was written anew; read the difference before it is committed");
    }
    assert_eq!(written, played);
}
