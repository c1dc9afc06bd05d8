//! What can be thrown at the listener of a login, by any program here and by any page in a browser: the login goes on,
//! and ends well when the true answer comes.

#![cfg(target_os = "linux")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::signing::{Endpoints, Login};

/// Requests that are no answer, with the status each is refused with; none: the connection is closed without a word.
fn attacks(authority: &str, state: &str) -> Vec<(String, &'static str)> {
    let get =
        |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n{headers}\r\n");
    let good = format!("/?code=EVIL&state={state}");
    let method = |word: &str| get(&good, "").replacen("GET", word, 1);
    let host = |host: &str| get(&good, "").replacen(&format!("Host: {authority}"), host, 1);
    let wrong_last = format!("{}{}", &state[..state.len() - 1], if state.ends_with('0') { '1' } else { '0' });
    let mut attacks: Vec<(String, &'static str)> = Vec::new();
    for word in ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "PATCH", "get", "CONNECT"] {
        attacks.push((method(word), "405"));
    }
    for other in [
        "Host: evil.example",
        "Host: localhost",
        "Host: 127.0.0.1",
        "Host: 127.0.0.1:1",
        "Host: 127.0.0.2:80",
        "Host: [::1]",
        "Host: 0.0.0.0",
        "Host: ",
        "X-Host: none",
    ] {
        attacks.push((host(other), "403"));
    }
    attacks.push((host(&format!("Host: {authority}\r\nHost: {authority}")), "403"));
    attacks.push((host(&format!("Host: {authority}.evil.example")), "403"));
    attacks.push((host(&format!("Host: user@{authority}")), "403"));
    for origin in ["https://evil.example", "null", &format!("http://{authority}"), ""] {
        attacks.push((get(&good, &format!("Origin: {origin}\r\n")), "403"));
    }
    for path in [
        "/callback",
        "//",
        "/..",
        "/%2e",
        "/index.html",
        "/favicon.ico",
        "/.well-known/x",
        "*",
        "http://evil.example/",
        &format!("http://{authority}/"),
    ] {
        attacks.push((get(&format!("{path}?code=EVIL&state={state}"), ""), "404"));
    }
    for query in [
        String::new(),
        "?".to_owned(),
        "?code=EVIL".to_owned(),
        "?code=EVIL&state=".to_owned(),
        "?code=EVIL&state=wrong".to_owned(),
        format!("?code=EVIL&state={wrong_last}"),
        format!("?code=EVIL&state={state}0"),
        format!("?code=EVIL&state={}", state.to_ascii_uppercase() + "x"),
        format!("?code=EVIL&state={state}&state={state}"),
        format!("?code=EVIL&state={state}&state=wrong"),
        format!("?code=EVIL&code=EVIL&state={state}"),
        format!("?code=&state={state}"),
        format!("?state={state}"),
        format!("?code=EVIL&error=access_denied&state={state}"),
        "?error=access_denied".to_owned(),
        "?error=access_denied&state=wrong".to_owned(),
        format!("?error=access_denied&error=x&state={state}"),
        format!("?error=&state={state}"),
        format!("?code=EVIL&State={state}"),
        format!("?code=EVIL;state={state}"),
        format!("?code=EVIL%26state={state}"),
        "?%00".to_owned(),
    ] {
        attacks.push((get(&format!("/{query}"), ""), "400"));
    }
    attacks.push((get(&good, "Content-Length: 9\r\n"), "400"));
    attacks.push((get(&good, "Transfer-Encoding: chunked\r\n"), "400"));
    attacks.push((get(&good, &format!("X: {}\r\n", "a".repeat(9000))), "431"));
    attacks.push((get(&format!("/?x={}", "a".repeat(9000)), ""), "431"));
    attacks.push((get(&good, &"A: b\r\n".repeat(80)), "400"));
    attacks.push(("\u{16}\u{3}\u{1} this is TLS\r\n\r\n".to_owned(), "400"));
    attacks.push(("GET\r\n\r\n".to_owned(), "400"));
    attacks.push((format!("GET / HTTP/2.0\r\nHost: {authority}\r\n\r\n"), "400"));
    attacks.push((format!("GET {good}\r\n\r\n"), "400"));
    attacks.push(("\r\n\r\n".to_owned(), ""));
    attacks.push((String::new(), ""));
    attacks
}

#[test]
fn a_login_survives_whatever_is_thrown_at_its_listener_until_the_true_answer_comes() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    let attacks = attacks(&login.authority(), &login.state());
    assert!(attacks.len() >= 60, "{}", attacks.len());
    for (request, status) in &attacks {
        let answer = login.ask(request.as_bytes());
        let said = answer.split(' ').nth(1).unwrap_or_default();
        if !status.is_empty() {
            assert_eq!(said, *status, "{request:?}: {answer:?}");
        }
        assert!(
            !answer.contains("EVIL") && !answer.contains("evil.example"),
            "nothing is repeated: {answer}"
        );
    }
    assert!(server.asked().is_empty(), "no code was spent: {:?}", server.asked());
    let page = login.come_back("TRUE");
    for header in ["200 OK", "Cache-Control: no-store", "Referrer-Policy: no-referrer", "default-src 'none'"]
    {
        assert!(page.contains(header), "{page}");
    }
    assert!(page.contains("You are signed in"), "{page}");
    let answer = login.end();
    assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("code=TRUE") && asked[0].contains("code_verifier="), "{asked:?}");
}

#[test]
fn idle_slow_and_half_open_connections_are_in_nobodys_way() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    let authority = login.authority();
    let mut idle = Vec::new();
    for number in 0..400 {
        let Ok(mut stream) = TcpStream::connect(&authority) else {
            panic!("connection {number} was refused")
        };
        // Some say nothing, some begin and do not go on.
        if number % 2 == 0 {
            stream.write_all(b"GET /?code=EVIL HTTP/1.1\r\nHost:").unwrap();
        }
        idle.push(stream);
    }
    // One byte at a time arrives all the same.
    let mut slow = TcpStream::connect(&authority).unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in format!("GET /nothing HTTP/1.1\r\nHost: {authority}\r\n\r\n").bytes() {
        slow.write_all(&[byte]).unwrap();
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 404 "), "{answer}");
    assert!(login.come_back("TRUE").contains("You are signed in"));
    let answer = login.end();
    assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
    drop(idle);
}

/// Where a port is listened on, as the kernel has it: the addresses in hex.
fn listening(port: u16) -> Vec<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let words = rows.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let open = words.filter(|words| words[3] == "0A").map(|words| words[1].to_owned());
    open.filter_map(|socket| socket.strip_suffix(&format!(":{port:04X}")).map(str::to_owned)).collect()
}

#[test]
fn the_listener_is_on_loopback_alone_and_nothing_in_the_environment_moves_it() {
    let server = Endpoints::granting();
    for (uris, hosts) in [
        ("[\"http://127.0.0.1\"]", vec!["0100007F"]),
        ("[\"http://localhost\"]", vec!["0100007F", "00000000000000000000000001000000"]),
    ] {
        let mut sandbox = server.sandbox(&format!("redirect-uris = {uris}"));
        for name in ["HOST", "HOSTNAME", "BIND", "LISTEN", "CLAVIGER_HOST", "CLAVIGER_LISTEN"] {
            sandbox.set(name, "0.0.0.0");
        }
        let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
        let port = login.authority().rsplit(':').next().unwrap().parse().unwrap();
        let found = listening(port);
        assert!(!found.is_empty() && found.iter().all(|host| hosts.contains(&host.as_str())), "{found:?}");
        login.come_back("TRUE");
        assert_eq!(login.end().exit, 0);
    }
}

#[test]
fn a_port_that_somebody_else_has_is_not_shared() {
    let server = Endpoints::granting();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let sandbox = server.sandbox(&format!("redirect-uris = [\"http://127.0.0.1:{port}\"]"));
    let mut command = sandbox.command("login");
    command.args(["acme", "--account", "alice", "--json"]);
    let answer = support::finish(command, b"");
    assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT");
    assert!(answer.stderr.contains("--no-browser"), "{}", answer.stderr);
    drop(taken);
    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    assert_eq!(login.redirect_uri(), format!("http://127.0.0.1:{port}"));
    login.come_back("TRUE");
    assert_eq!(login.end().exit, 0);
}

#[test]
fn a_flood_of_well_formed_requests_does_not_keep_a_login_from_ending() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let config = std::fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    sandbox.configure(&config.replace("login = 60", "login = 2"));
    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    let (authority, over) = (login.authority(), std::sync::atomic::AtomicBool::new(false));
    let answer = std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::SeqCst) {
                    let Ok(mut stream) = TcpStream::connect(&authority) else { return };
                    let request = format!("GET /?x HTTP/1.1\r\nHost: {authority}\r\n\r\n");
                    // The login may end while it is being asked.
                    let _ = stream
                        .write_all(request.as_bytes())
                        .and_then(|()| stream.read_to_end(&mut Vec::new()));
                }
            });
        }
        let answer = login.end();
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        answer
    });
    assert_eq!(answer.exit, 3, "{} {}", answer.stdout, answer.stderr);
    assert!(answer.stdout.contains("LOGIN_TIMEOUT"), "{}", answer.stdout);
}

/// The browser's arguments can be read by others of this machine, and with them the state.
#[test]
fn another_user_of_this_machine_who_knows_the_state_is_not_heard() {
    if !rustix::process::geteuid().is_root() || !support::has_program("curl") {
        eprintln!("skipped: only root can ask as somebody else, and by curl");
        return;
    }
    let server = Endpoints::granting();
    for host in ["127.0.0.1", "[::1]"] {
        let sandbox = server.sandbox(&format!("redirect-uris = [\"http://{host}\"]"));
        let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
        let address = format!("{}/?code=EVIL&state={}", login.redirect_uri(), login.state());
        let mut curl = std::process::Command::new("curl");
        std::os::unix::process::CommandExt::uid(&mut curl, 65534);
        let told = curl.args(["--silent", "--globoff", "--include", &address]).env_clear().output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.contains(" 403 "), "{told}");
        assert!(server.asked().iter().all(|asked| !asked.contains("EVIL")));
        login.come_back("TRUE");
        assert_eq!(login.end().exit, 0);
    }
}
