//! Where a login's code goes, and where it does not: certificates, proxies and the two together.

#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use support::signing::{Endpoints, Login};
use support::tls::Authority;
use support::{Answer, SERVICE, Sandbox};

/// Signs in by a pasted address, with a token endpoint there and these variables.
fn sign_in(token_endpoint: &str, variables: &[(&str, &str)]) -> (Answer, Sandbox) {
    let mut sandbox = Sandbox::plaintext();
    sandbox.configure(&format!(
        "[timeouts]\nconnect = 5\nrequest = 5\n[providers.acme]\n\
         authorization-endpoint = \"https://id.acme.example/authorize\"\ntoken-endpoint = \"{token_endpoint}\"\n\
         client-id = \"cli\"\nservices = [\"{SERVICE}\"]\n"
    ));
    for (name, value) in variables {
        sandbox.set(name, value);
    }
    let mut command = sandbox.command("login");
    command.args(["acme", "--account", "alice", "--no-browser", "--json"]);
    let mut login = Login::of(command);
    let answer = format!("{}/?code=THE-CODE&state={}\n", login.redirect_uri(), login.state());
    login.say(&answer);
    (login.end(), sandbox)
}

fn code_of(answer: &Answer) -> String {
    let last: Value = serde_json::from_str(answer.stdout.lines().last().unwrap()).unwrap();
    last["error"]["code"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn a_code_goes_to_a_server_of_a_trusted_certificate_for_its_name_and_of_today() {
    for (name, days, trusted, code) in [
        ("IP:127.0.0.1", "2", true, "none"),
        ("IP:127.0.0.1", "2", false, "TLS_UNTRUSTED"),
        ("DNS:id.acme.example", "2", true, "TLS_UNTRUSTED"),
        ("IP:127.0.0.1", "-1", true, "TLS_UNTRUSTED"),
    ] {
        let Some(authority) = Authority::certifying_for(name, days) else { return };
        let server = authority.serve(&[]);
        let roots = authority.path("ca.pem");
        let variables = [("SSL_CERT_FILE", roots.to_str().unwrap())];
        let endpoint = format!("https://127.0.0.1:{}/token", server.port);
        let (answer, sandbox) = sign_in(&endpoint, if trusted { &variables } else { &[] });
        assert_eq!(code_of(&answer), code, "{name} {days}: {}", answer.stderr);
        let heard = server.heard();
        assert_eq!(heard.contains("THE-CODE"), code == "none", "{name} {days}: {heard}");
        let kept = sandbox.run_bytes("list", b"").ok()["sessions"].as_array().unwrap().len();
        assert_eq!(kept, usize::from(code == "none"), "{name} {days}");
    }
}

/// A proxy that answers each request line with these bytes, or leads it to a port of this machine.
fn proxy(answer: &'static str, to: Option<u16>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).unwrap_or(0) > 2 {}
            kept.lock().unwrap().push(head);
            // Whoever is gone is gone.
            let _ = stream.write_all(answer.as_bytes());
            let Some(server) = to.and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok()) else {
                continue;
            };
            let (mut there, mut back) = (server.try_clone().unwrap(), server);
            let mut from = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut there);
                there.shutdown(std::net::Shutdown::Write)
            });
            std::thread::spawn(move || std::io::copy(&mut back, &mut stream));
        }
    });
    (address, seen)
}

#[test]
fn a_proxy_leads_to_the_server_and_learns_its_name_and_no_more() {
    let Some(authority) = Authority::certifying("DNS:id.acme.example") else { return };
    let server = authority.serve(&[]);
    let (address, seen) = proxy("HTTP/1.1 200 Connection established\r\n\r\n", Some(server.port));
    let roots = authority.path("ca.pem");
    let variables = [("SSL_CERT_FILE", roots.to_str().unwrap()), ("HTTPS_PROXY", address.as_str())];
    let (answer, _sandbox) = sign_in("https://id.acme.example/token", &variables);
    assert_eq!(code_of(&answer), "none", "{}", answer.stderr);
    assert!(server.heard_to_the_end().contains("code=THE-CODE"));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("CONNECT id.acme.example:443 ") && !seen[0].contains("THE-CODE"), "{seen:?}");
}

#[test]
fn a_proxy_that_wants_credentials_is_told_apart_and_one_that_is_not_meant_is_not_asked() {
    let (address, seen) =
        proxy("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", None);
    let (answer, _sandbox) = sign_in("https://id.acme.invalid/token", &[("HTTPS_PROXY", &address)]);
    assert_eq!(code_of(&answer), "PROXY_AUTH_REQUIRED");
    assert_eq!(seen.lock().unwrap().len(), 1);

    let excepted = [("HTTPS_PROXY", address.as_str()), ("NO_PROXY", "acme.invalid")];
    let (answer, _sandbox) = sign_in("https://id.acme.invalid/token", &excepted);
    assert_eq!(code_of(&answer), "AUTH_REFRESH_TRANSIENT");

    let server = Endpoints::granting();
    let every = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let (answer, _sandbox) =
        sign_in(&format!("{}/token", server.address()), &every.map(|name| (name, address.as_str())));
    assert_eq!(code_of(&answer), "none", "{}", answer.stderr);
    assert_eq!(seen.lock().unwrap().len(), 1, "neither of the two asked the proxy");
}
