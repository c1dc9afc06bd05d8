//! What a token endpoint may answer, and what becomes of the session: one row an answer. The real binary asks a real
//! socket. The table's half that is bytes and expectations is in `token_endpoint/table.rs`.

mod support;
#[path = "token_endpoint/table.rs"]
mod table;

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use claviger::clock::{Clock as _, SystemClock};
use claviger::time::Timestamp;
use serde_json::{Value, json};
use support::{Answer, SERVICE, Sandbox, get};
use table::{Act, Row, Then};

/// The secrets of each row. Each has characters that a form, a URL and JSON write differently.
const REFRESH: &str = "RT1-Zq3v~b7Kp/canary+first=w9";
const ROTATED: &str = "RT2-Hx5n~d2Lm/canary+second=t4";
const SECRET: &str = "CS-Jw8r~f6Ty/canary+secret=u1";
const ACCESS: &str = "AT1-expired";
const EXPIRED: &str = "2020-01-01T00:00:00Z";
const REFRESH_ENDS: &str = "2099-01-01T00:00:00Z";
const SCOPES: [&str; 2] = ["read", "write"];

#[test]
fn each_answer_of_a_token_endpoint_does_to_the_session_what_is_written_and_no_more() {
    const AT_ONCE: usize = 4;
    let rows = table::rows();
    assert!(rows.len() >= 170, "{} rows", rows.len());
    let names: HashSet<String> = rows.iter().map(Row::title).collect();
    assert_eq!(names.len(), rows.len(), "no two rows have one name");
    let acts: HashSet<&Act> = rows.iter().map(|row| &row.act).collect();
    assert_eq!(acts.len(), rows.len(), "no two rows are one answer");

    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                    // Every row is looked at, so that one change shows all it does.
                    if catch_unwind(AssertUnwindSafe(|| look_at(row))).is_err() {
                        failed.lock().unwrap().push(row.title());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} rows: {failed:#?}", failed.len(), rows.len());
}

/// What the server heard: a request, and what came after it on the same connection.
struct Heard {
    request: Vec<u8>,
    more: Vec<u8>,
}

/// A server for one connection, and the listener to see whether there was another.
fn serve(act: &Act) -> (TcpListener, String, Receiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/token?tenant=7", listener.local_addr().unwrap());
    let (accepting, act, (tell, heard)) = (listener.try_clone().unwrap(), act.clone(), channel());
    std::thread::spawn(move || {
        let (stream, _) = accepting.accept().unwrap();
        // A client that is gone is the client's affair; what it had said before counts.
        let mut said = Heard { request: Vec::new(), more: Vec::new() };
        play(stream, &act, &mut said).unwrap_or_default();
        // Nobody listens any more where the row has failed already.
        tell.send(said).unwrap_or_default();
    });
    (listener, endpoint, heard)
}

fn play(mut stream: TcpStream, act: &Act, said: &mut Heard) -> std::io::Result<()> {
    if matches!(act, Act::HangsUp) {
        return Ok(());
    }
    said.request = request(&mut stream)?;
    match act {
        Act::HangsUp => {}
        Act::Says(bytes) => {
            stream.write_all(bytes)?;
            // An end, not a reset: what was said must arrive.
            stream.shutdown(Shutdown::Write)?;
        }
        Act::HoldsOpen(bytes) => stream.write_all(bytes)?,
        Act::Drips(bytes, milliseconds) => {
            for byte in bytes {
                stream.write_all(&[*byte])?;
                pause(*milliseconds);
            }
            stream.shutdown(Shutdown::Write)?;
        }
    }
    stream.read_to_end(&mut said.more).map(|_| ())
}

#[allow(clippy::disallowed_methods, reason = "the drip is real time, seen from another process")]
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// One request with its body, to the byte.
fn request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part)?;
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = header(head, "content-length").and_then(|length| length.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if read == 0 || whole {
            return Ok(bytes);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A session that has expired, with a refresh token and a secret, at this endpoint.
fn bundle(endpoint: &str) -> Value {
    json!({
        "service": SERVICE, "account": "alice", "accessToken": ACCESS, "expiresAt": EXPIRED,
        "refreshToken": REFRESH, "refreshTokenExpiresAt": REFRESH_ENDS, "scopes": SCOPES,
        "tokenEndpoint": endpoint, "clientId": "cli", "clientSecret": SECRET,
    })
}

fn look_at(row: &Row) {
    let (listener, endpoint, heard) = serve(&row.act);
    let sandbox = Sandbox::plaintext();
    // Only what is to run into the deadline has a short one: a busy machine must change nothing.
    let request = if row.act.ends_at_the_deadline() { 1 } else { 30 };
    sandbox.configure(&format!(
        "[timeouts]\nconnect = {request}\nrequest = {request}\nlock = {}\n",
        request + 4
    ));
    sandbox.run("store", &bundle(&endpoint)).ok();

    let clock = SystemClock::start();
    let before = clock.now();
    let answer = sandbox.run("get", &get());
    let when = (before, clock.now());

    let title = row.title();
    let shown = format!("{title}: {} {}", table::cut(&answer.stdout), table::cut(&answer.stderr));
    let heard =
        heard.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("never asked: {shown}"));
    if !matches!(row.act, Act::HangsUp) {
        asked_as_it_should(&heard, &endpoint, &shown);
    }
    listener.set_nonblocking(true).unwrap();
    let second = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(second, Err(std::io::ErrorKind::WouldBlock), "a second connection: {shown}");

    says_what_is_written(&answer, &row.then, when, &shown);
    quotes_no_secret(&answer, &row.then, &shown);
    leaves_what_is_written(sandbox.home(), &row.then, when, &shown);
}

/// One request, to the byte but for the order of its headers.
fn asked_as_it_should(said: &Heard, endpoint: &str, shown: &str) {
    assert!(said.more.is_empty(), "a second request: {shown}");
    let text = String::from_utf8(said.request.clone()).unwrap();
    let (top, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no request: {shown}"));
    let (first, rest) = top.split_once("\r\n").unwrap();
    assert_eq!(first, "POST /token?tenant=7 HTTP/1.1", "{shown}");
    let basic = STANDARD.encode(format!("cli:{}", encoded(SECRET)));
    let host = endpoint.trim_start_matches("http://").split('/').next().unwrap();
    let length = body.len().to_string();
    for (name, value) in [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", &format!("Basic {basic}")),
        ("content-length", &length),
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", host),
        ("user-agent", concat!("claviger/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(header(rest, name), Some(value), "{name}: {shown}");
    }
    assert_eq!(rest.lines().count(), 7, "no header more: {rest} {shown}");
    assert_eq!(body, format!("grant_type=refresh_token&refresh_token={}", encoded(REFRESH)), "{shown}");
}

fn within(text: &Value, seconds: i64, (before, after): (Timestamp, Timestamp)) -> bool {
    let at = text.as_str().and_then(Timestamp::parse);
    at.is_some_and(|at| before.plus(seconds) <= at && at <= after.plus(seconds))
}

fn says_what_is_written(answer: &Answer, then: &Then, when: (Timestamp, Timestamp), shown: &str) {
    assert_eq!(answer.exit, then.exit, "{shown}");
    let reply = answer.json();
    if then.exit == 0 {
        assert_eq!(answer.stderr, "", "{shown}");
        assert_eq!(reply["outcome"], json!(then.said), "{shown}");
        assert_eq!(reply["accessToken"], json!(then.access.as_deref().unwrap_or(ACCESS)), "{shown}");
        assert_eq!(reply["tokenType"], json!("Bearer"), "{shown}");
        assert_eq!(reply["account"], json!("alice"), "{shown}");
        assert_eq!(reply["hasRefreshToken"], json!(true), "{shown}");
        assert_eq!(reply["scopes"], json!(then.scopes), "{shown}");
        match then.lives {
            Some(seconds) => assert!(within(&reply["expiresAt"], seconds, when), "{shown}"),
            None => assert_eq!(reply["expiresAt"], Value::Null, "{shown}"),
        }
        return;
    }
    assert_eq!(answer.stderr.matches('\n').count(), 1, "{shown}");
    assert!(answer.stderr.starts_with("claviger: error: ") && answer.stderr.ends_with('\n'), "{shown}");
    let error = &reply["error"];
    assert_eq!(error["code"], json!(then.said), "{shown}");
    assert_eq!(error["retryable"], json!(then.exit == 4), "{shown}");
    let told = error["message"].as_str().unwrap();
    assert!(!told.chars().any(claviger::text::steers), "{shown}");
    for words in &then.tells {
        assert!(told.contains(words.as_str()), "{words:?} is not told: {shown}");
    }
    for words in &then.hides {
        assert!(
            !answer.stdout.contains(words) && !answer.stderr.contains(words),
            "{words:?} is told: {shown}"
        );
    }
    match &then.retry_after {
        None => assert_eq!(error.get("retryAfter"), None, "{shown}"),
        Some(span) => {
            let seconds = error["retryAfter"].as_i64();
            assert!(seconds.is_some_and(|seconds| span.contains(&seconds)), "{span:?}: {shown}");
        }
    }
}

fn quotes_no_secret(answer: &Answer, then: &Then, shown: &str) {
    let stored = then.refresh.as_deref().filter(|token| token.len() > 8);
    for secret in [REFRESH, ROTATED, SECRET].into_iter().chain(stored) {
        let hex = claviger::secret::hex(secret.as_bytes());
        let base64 = STANDARD.encode(secret);
        for form in [secret, encoded(secret).as_str(), base64.trim_end_matches('='), hex.as_str()] {
            assert!(
                !answer.stdout.contains(form) && !answer.stderr.contains(form),
                "a secret is told: {shown}"
            );
        }
    }
}

fn leaves_what_is_written(home: &Path, then: &Then, when: (Timestamp, Timestamp), shown: &str) {
    let mut slots = Vec::new();
    let mut notes = Vec::new();
    for (path, bytes) in support::files_below(home) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "config.toml" {
            continue;
        }
        only_for_the_user(&path, shown);
        let folder = path.parent().unwrap().file_name().unwrap();
        let ending = path.extension().unwrap_or_default();
        if folder == "slots" || ending == "json" || ending == "failed" {
            let value: Value = serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{name}: {shown}"));
            if folder == "slots" {
                slots.push(value);
            } else if ending == "failed" {
                notes.push(value);
            }
        }
        assert!(ending != "lock", "the lock was let go: {shown}");
    }
    let slot = |kind: &str| {
        let mut found = slots.iter().filter(|slot| slot["slot"] == json!(kind));
        let first = found.next().unwrap_or_else(|| panic!("no {kind} slot: {shown}"));
        assert!(found.next().is_none(), "two {kind} slots: {shown}");
        first
    };
    let (access, refresh) = (slot("access"), slot("refresh"));

    let refresh_token = then.refresh.as_deref().unwrap_or(REFRESH);
    assert!(refresh["refreshToken"] == json!(refresh_token), "another refresh token: {shown}");
    let generation = if then.refresh.is_some() { 2 } else { 1 };
    assert_eq!(refresh["generation"], json!(generation), "{shown}");
    assert_eq!(refresh["clientSecret"], json!(SECRET), "{shown}");

    let access_token = then.access.as_deref().unwrap_or(ACCESS);
    assert!(access["accessToken"] == json!(access_token), "another access token: {shown}");
    assert_eq!(access["scopes"], json!(then.scopes), "{shown}");
    assert_eq!(access["hasRefreshToken"], json!(true), "{shown}");
    let generation = if then.exit == 0 || then.tombstone { 2 } else { 1 };
    assert_eq!(access["generation"], json!(generation), "{shown}");
    match (then.exit, then.lives) {
        (0, Some(seconds)) => assert!(within(&access["expiresAt"], seconds, when), "{access} {shown}"),
        (0, None) => assert_eq!(access.get("expiresAt"), None, "{shown}"),
        _ => assert_eq!(access["expiresAt"], json!(EXPIRED), "{shown}"),
    }
    match then.refresh_lives {
        Some(seconds) => assert!(within(&access["refreshTokenExpiresAt"], seconds, when), "{access} {shown}"),
        // A token that was kept in spite of the rest of its answer is another matter than its record.
        None if then.exit == 0 && then.refresh.is_some() => {
            assert_eq!(access.get("refreshTokenExpiresAt"), None, "{shown}");
        }
        None => assert_eq!(access["refreshTokenExpiresAt"], json!(REFRESH_ENDS), "{shown}"),
    }
    assert_eq!(access.get("pending").is_some(), then.pending, "pending: {shown}");
    assert_eq!(access.get("tombstone").is_some(), then.tombstone, "tombstone: {shown}");
    if then.tombstone {
        let salt = access["tombstone"]["salt"].as_str().unwrap();
        let dead = claviger::secret::RefreshToken::new(REFRESH).unwrap().digest(salt);
        assert_eq!(access["tombstone"]["hash"], json!(dead), "{shown}");
    }
    assert_eq!(notes.len(), usize::from(then.note), "a note of failure: {shown}");
    if let (Some(span), Some(note)) = (&then.retry_after, notes.first()) {
        let seconds = note["retryAfter"].as_i64();
        assert!(seconds.is_some_and(|seconds| span.contains(&seconds)), "{note} {shown}");
    }
}

#[cfg(unix)]
fn only_for_the_user(path: &Path, shown: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "{}: {shown}", path.display());
}

#[cfg(not(unix))]
fn only_for_the_user(_path: &Path, _shown: &str) {}

/// Asks a server that gives one grant, as this configuration and bundle say, and gives what the server heard.
fn asked_for(
    config: impl Fn(&str) -> String,
    bundle: impl Fn(&str) -> Value,
    environment: &[(&str, &str)],
) -> String {
    let grant = table::grant();
    let (_listener, endpoint, heard) = serve(&grant);
    let sandbox = Sandbox::new(&[environment, &[("CLAVIGER_STORAGE", "plaintext")]].concat());
    sandbox.configure(&config(&endpoint));
    sandbox.run("store", &bundle(&endpoint)).ok();
    assert_eq!(sandbox.run("get", &get()).ok()["outcome"], "refreshed");
    String::from_utf8(heard.recv_timeout(Duration::from_secs(20)).unwrap().request).unwrap()
}

#[test]
fn what_is_sent_is_form_encoded_to_the_byte_and_no_secret_is_in_the_address() {
    const ID: &str = "c+d:e %";
    const TOKEN: &str = "r+t%2B&a=b c";
    const PASSWORD: &str = "p:%+ &=w";
    let stored = |endpoint: &str, secret: Option<&str>| {
        let mut bundle = json!({
            "service": SERVICE, "account": "alice", "accessToken": ACCESS, "expiresAt": EXPIRED,
            "refreshToken": TOKEN, "scopes": SCOPES, "tokenEndpoint": endpoint, "clientId": ID,
        });
        if let Some(secret) = secret {
            bundle["clientSecret"] = json!(secret);
        }
        bundle
    };
    let provider = |endpoint: &str, auth: &str| {
        format!(
            "[providers.acme]\ntoken-endpoint = \"{endpoint}\"\nclient-id = \"{ID}\"\nclient-auth = \"{auth}\"\n\
             client-secret = {{ env = \"ACME_SECRET\" }}\n\
             token-params = {{ audience = \"https://x.example/?a=b&c=d\", note = \"\u{fc} +%\" }}\n"
        )
    };
    let environment = [("ACME_SECRET", PASSWORD)];
    let token = "grant_type=refresh_token&refresh_token=r%2Bt%252B%26a%3Db+c";
    let params = "&audience=https%3A%2F%2Fx.example%2F%3Fa%3Db%26c%3Dd&note=%C3%BC+%2B%25";
    let basic = STANDARD.encode("c%2Bd%3Ae+%25:p%3A%25%2B+%26%3Dw");
    for (name, sent, header_value, body) in [
        (
            "a public client",
            asked_for(|_| String::new(), |endpoint| stored(endpoint, None), &[]),
            None,
            format!("{token}&client_id=c%2Bd%3Ae+%25"),
        ),
        (
            "a secret that came with the session",
            asked_for(|_| String::new(), |endpoint| stored(endpoint, Some(PASSWORD)), &[]),
            Some(format!("Basic {basic}")),
            token.to_owned(),
        ),
        (
            "a configured secret, in the header",
            asked_for(|at| provider(at, "client_secret_basic"), |at| stored(at, None), &environment),
            Some(format!("Basic {basic}")),
            format!("{token}{params}"),
        ),
        (
            "a configured secret, in the body",
            asked_for(|at| provider(at, "client_secret_post"), |at| stored(at, None), &environment),
            None,
            format!("{token}{params}&client_id=c%2Bd%3Ae+%25&client_secret=p%3A%25%2B+%26%3Dw"),
        ),
    ] {
        let (top, said) = sent.split_once("\r\n\r\n").unwrap();
        assert_eq!(top.lines().next(), Some("POST /token?tenant=7 HTTP/1.1"), "{name}");
        assert_eq!(header(top, "accept"), Some("application/json"), "{name}");
        assert_eq!(header(top, "content-type"), Some("application/x-www-form-urlencoded"), "{name}");
        assert_eq!(header(top, "authorization").map(str::to_owned), header_value, "{name}");
        assert_eq!(said, body, "{name}");
    }
}

#[test]
fn a_lifetime_counts_from_before_the_request() {
    // Three seconds pass between the question and the end of its answer.
    let (_listener, endpoint, heard) = serve(&table::slow_grant(3600));
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &bundle(&endpoint)).ok();
    let clock = SystemClock::start();
    let before = clock.now();
    let reply = sandbox.run("get", &get()).ok();
    assert!(clock.monotonic() >= Duration::from_secs(3));
    heard.recv_timeout(Duration::from_secs(20)).unwrap();
    let end = Timestamp::parse(reply["expiresAt"].as_str().unwrap()).unwrap();
    assert!(end.since(before) <= 3602, "{end}");
}
