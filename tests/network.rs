//! The real network client against a server that misbehaves: nothing leaks, nothing hangs, nothing is lost.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::json;
use support::server::Server;
use support::{SERVICE, Sandbox, expired, finish, get};

/// A server that reads each request's header, answers it with the same bytes, and says no more.
fn raw(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let (Ok(stream), answer) = (stream, answer.clone()) else { continue };
            // A client that is gone is the client's affair.
            std::thread::spawn(move || say(stream, &answer).unwrap_or_default());
        }
    });
    (endpoint, connections)
}

fn say(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut header = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while header.read_line(&mut line)? > 2 {
        line.clear();
    }
    stream.write_all(answer)?;
    // An end, not a reset: what was said must arrive.
    stream.shutdown(Shutdown::Write)?;
    std::io::copy(&mut header, &mut std::io::sink()).map(|_| ())
}

fn sandbox_for(endpoint: &str) -> Sandbox {
    let sandbox = Sandbox::plaintext();
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresAt": "2020-01-01T00:00:00Z",
        "refreshToken": "RT1-kept", "tokenEndpoint": endpoint, "clientId": "cli",
    });
    sandbox.run("store", &bundle).ok();
    sandbox
}

fn holds_its_refresh_token(sandbox: &Sandbox) -> bool {
    let slots = support::files_below(&sandbox.home().join("slots"));
    slots.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("RT1-kept"))
}

#[test]
fn a_redirect_is_never_followed() {
    let (elsewhere, connections) = raw(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    for status in [301, 302, 303, 307, 308] {
        let headers = format!("Location: {elsewhere}\r\n");
        server.behave(|behaviour| behaviour.instead = Some((status, headers, String::new())));
        let forced = json!({ "service": SERVICE, "forceRefresh": true });
        assert_eq!(sandbox.run("get", &forced).code(4), "AUTH_REFRESH_TRANSIENT", "{status}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn a_broken_answer_costs_nothing() {
    let big = |size: usize| "x".repeat(size);
    let json_head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let token = r#"{"access_token":"AT2","token_type":"Bearer","refresh_token":"RT2"}"#;
    let answers = [
        String::new(),
        "HTTP/1.1".to_owned(),
        "not http at all\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\n".to_owned(),
        format!("{json_head}Content-Length: 500\r\n\r\n{token}"),
        format!("{json_head}Content-Length: 2000000\r\n\r\n{}", big(2_000_000)),
        format!("{json_head}\r\n{}", big(2_000_000)),
        format!("{json_head}X-Filler: {}\r\n\r\n{token}", big(100_000)),
        format!("{json_head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{token}"),
        format!("{json_head}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n{}", big(9).len(), big(9)),
    ];
    for answer in answers {
        let shown: String = answer.chars().take(60).collect();
        let (endpoint, connections) = raw(answer.into_bytes());
        let sandbox = sandbox_for(&endpoint);
        assert_eq!(sandbox.run("get", &get()).code(4), "AUTH_REFRESH_TRANSIENT", "{shown:?}");
        assert!(holds_its_refresh_token(&sandbox), "{shown:?}");
        assert_eq!(connections.load(Ordering::SeqCst), 1, "asked once: {shown:?}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    // Accepted by the kernel, never read: the connection stands and nothing comes.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = sandbox_for(&format!("http://{}/token", silent.local_addr().unwrap()));
    sandbox.configure("[timeouts]\nconnect = 1\nrequest = 1\nlock = 5\n");
    assert_eq!(sandbox.run("get", &get()).code(4), "AUTH_REFRESH_TRANSIENT");
    assert!(holds_its_refresh_token(&sandbox));
}

/// Says `head` to the first that comes, and then a byte each `pace` ms until it goes away. The number of bytes, `most` at most.
#[allow(clippy::disallowed_methods, reason = "the server's pace is real time, seen from another process")]
fn dripping(listener: TcpListener, head: &'static [u8], pace: u64, most: usize) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(head).unwrap();
        (0..most)
            .take_while(|_| {
                std::thread::sleep(std::time::Duration::from_millis(pace));
                stream.write_all(b" ").is_ok()
            })
            .count()
    })
}

#[test]
fn a_server_that_drips_for_ever_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = sandbox_for(&format!("http://{}/token", listener.local_addr().unwrap()));
    sandbox.configure("[timeouts]\nconnect = 1\nrequest = 1\nlock = 5\n");
    // Each drop would be in time for one more look.
    let drops = dripping(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", 2, 20_000);
    assert_eq!(sandbox.run("get", &get()).code(4), "AUTH_REFRESH_TRANSIENT");
    assert!(drops.join().unwrap() < 20_000, "it did not wait for the end");
}

#[test]
fn a_proxy_that_drips_is_given_up_when_connecting_has_taken_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let sandbox = sandbox_for("https://id.acme.invalid/token");
    sandbox.configure("[timeouts]\nconnect = 1\nrequest = 40\nlock = 50\n");
    let drops = dripping(listener, b"HTTP/1.1 200 OK\r\nFiller: ", 8, 2_000);
    let mut command = sandbox.command("get");
    command.env("HTTPS_PROXY", &proxy);
    let answer = finish(command, get().to_string().as_bytes());
    assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT");
    assert!(answer.stderr.contains("no connection"), "{}", answer.stderr);
    assert!(drops.join().unwrap() < 2_000, "it did not wait for the end");
}

#[test]
#[cfg(target_os = "linux")]
fn what_was_sent_is_never_called_unsent_whatever_the_system_says_after_it() {
    for error in ["EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL", "ECONNRESET"] {
        let server = Server::start("RT1-first");
        let sandbox = Sandbox::plaintext();
        sandbox.run("store", &expired(&server, "RT1-first")).ok();
        let injected = format!("inject=recvfrom:error={error}");
        let Some((answer, _)) = sandbox.traced("get", &get(), &["-e", &injected]) else { return };
        assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT", "{error}");
        assert_eq!(server.token_requests(), 1, "{error}: it was sent");
        assert!(answer.stderr.contains("broke off"), "{error}: {}", answer.stderr);
        let slots = support::files_below(&sandbox.home().join("slots"));
        assert!(
            slots.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("\"pending\"")),
            "{error}: the trace of it is kept"
        );
    }
}

#[test]
fn an_identity_token_is_asked_for_as_carefully_as_a_token() {
    let (elsewhere, followed) = raw(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let server = Server::start("RT1-first");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let moved = format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
    // A reply of 69,632 bytes is read, and one of a byte more is not.
    let filled = |room: usize| {
        let (start, end) = (r#"{"value":"ID","filler":""#, r#""}"#);
        format!("{head}\r\n{start}{}{end}", "x".repeat(room - start.len() - end.len()))
    };
    let broken = format!("{head}Content-Length: 500\r\n\r\n{{\"value\":\"ID\"}}");
    for (answer, exit) in
        [(moved, 4), (broken, 4), (String::new(), 4), (filled(69_633), 4), (filled(69_632), 0)]
    {
        let (url, connections) = raw(answer.into_bytes());
        let mut sandbox = Sandbox::plaintext();
        sandbox.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
        sandbox.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "RQ");
        sandbox.configure(&format!(
            "[providers.ci]\ntoken-endpoint = \"{}\"\ngrant = \"jwt_bearer\"\nservices = [\"{SERVICE}\"]\n\
             identity-token = {{ github-actions = true }}\n",
            server.token_endpoint()
        ));
        let before = server.token_requests();
        let reply = sandbox.run("get", &get());
        assert_eq!((reply.exit, connections.load(Ordering::SeqCst)), (exit, 1), "{}", reply.stderr);
        assert_eq!(server.token_requests() - before, usize::from(exit == 0));
    }
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[test]
fn nobody_listening_is_told_from_a_broken_exchange() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sandbox = sandbox_for(&format!("http://{closed}/token"));
    let answer = sandbox.run("get", &get());
    assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT");
    assert!(answer.stderr.contains("no connection"), "{}", answer.stderr);
    let pending = support::files_below(&sandbox.home().join("slots"));
    assert!(
        !pending.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("\"pending\"")),
        "nothing was sent"
    );
}

#[test]
fn a_loopback_endpoint_is_reached_past_every_proxy() {
    let (proxy, connections) = raw(b"HTTP/1.1 403 No\r\n\r\n".to_vec());
    let server = Server::start("RT1-first");
    let sandbox = Sandbox::plaintext();
    sandbox.run("store", &expired(&server, "RT1-first")).ok();
    let mut command = sandbox.command("get");
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy);
    }
    assert_eq!(finish(command, get().to_string().as_bytes()).ok()["outcome"], "refreshed");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn https_goes_through_the_proxy_and_a_407_is_told_apart() {
    for (answer, code, exit) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "PROXY_AUTH_REQUIRED", 6),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "AUTH_REFRESH_TRANSIENT", 4),
    ] {
        let (proxy, connections) = raw(answer.as_bytes().to_vec());
        let sandbox = sandbox_for("https://id.acme.invalid/token");
        let mut command = sandbox.command("get");
        command.env("HTTPS_PROXY", proxy.trim_end_matches("/token"));
        assert_eq!(finish(command, get().to_string().as_bytes()).code(exit), code);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
        assert!(holds_its_refresh_token(&sandbox));
    }
}

#[test]
fn a_certificate_nobody_vouches_for_stops_before_anything_is_sent() {
    if !support::has_program("openssl") {
        support::skipped("openssl", "openssl is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(made.status.success());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = std::process::Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-key",
            "key.pem",
            "-cert",
            "cert.pem",
        ])
        .current_dir(&folder)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::yield_now();
    }
    let sandbox = sandbox_for(&format!("https://127.0.0.1:{port}/token"));
    let answer = sandbox.run("get", &get());
    server.kill().unwrap();
    let seen = server.wait_with_output().unwrap();
    assert_eq!(answer.code(6), "TLS_UNTRUSTED");
    assert!(seen.stdout.is_empty(), "the server saw no request");
    assert!(holds_its_refresh_token(&sandbox));
}
