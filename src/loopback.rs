//! The redirect URI's listener (RFC 8252 section 7.3): on a loopback address and nowhere else, open from before the
//! browser starts until the true answer has come, whatever else is thrown at it.
//!
//! Anything on this machine can connect, and any page in a browser can make it: a request must be a plain GET for the
//! very path and `Host`, small and soon, from a program of this user's (Linux), and what it says is judged by whoever waits. Nothing of it is repeated in a
//! reply.

mod peer;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::limits::CALLBACK_BYTES;

/// How long a connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that are heard at a time. One more, and the oldest is closed.
const CONNECTIONS: usize = 256;

/// A redirect URI of the loopback kind, as it is registered: the port may be left open (RFC 8252 section 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loopback {
    host: String,
    port: Option<u16>,
    path: String,
}

impl Loopback {
    /// Reads `http://127.0.0.1`, `http://[::1]:8020/callback` or `http://localhost`. `None`: it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at)?,
            None => (rest, ""),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        if !path.chars().all(plain) {
            return None;
        }
        let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|host| {
            authority.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })?;
        let port = match authority.strip_prefix(host)? {
            "" => None,
            digits => Some(digits.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?),
        };
        Some(Self { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// The literal addresses it is listened to on: `localhost` may be either to a browser.
    fn addresses(&self) -> Vec<SocketAddr> {
        let port = self.port.unwrap_or(0);
        let (v4, v6) =
            (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        match self.host.as_str() {
            "127.0.0.1" => vec![v4],
            "[::1]" => vec![v6],
            _ => vec![v4, v6],
        }
    }
}

/// The listener.
pub struct Listener {
    sockets: Vec<TcpListener>,
    authority: String,
    path: String,
    redirect_uri: String,
    open: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    read: Zeroizing<Vec<u8>>,
    since: Duration,
}

/// A request that might be the answer: its query, and the browser that waits to hear how it went.
pub struct Arrived {
    /// The query of the request, as it was sent.
    pub query: Zeroizing<String>,
    stream: TcpStream,
}

impl Listener {
    /// Binds the first of these redirect URIs that can be had.
    pub fn bind(candidates: &[Loopback]) -> std::io::Result<Self> {
        let mut last = std::io::Error::from(ErrorKind::AddrNotAvailable);
        for candidate in candidates {
            match Self::bind_one(candidate) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn bind_one(wanted: &Loopback) -> std::io::Result<Self> {
        let mut sockets = Vec::new();
        let mut port = wanted.port;
        for mut address in wanted.addresses() {
            address.set_port(port.unwrap_or(0));
            match TcpListener::bind(address) {
                Ok(socket) => {
                    socket.set_nonblocking(true)?;
                    port = Some(socket.local_addr()?.port());
                    sockets.push(socket);
                }
                // A machine without IPv6 has `localhost` all the same; a port that somebody else has is theirs.
                Err(error) if sockets.is_empty() || error.kind() == ErrorKind::AddrInUse => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let authority = format!("{}:{}", wanted.host, port.unwrap_or_default());
        let redirect_uri = format!("http://{authority}{}", wanted.path);
        let path = if wanted.path.is_empty() { "/".to_owned() } else { wanted.path.clone() };
        Ok(Self { sockets, authority, path, redirect_uri, open: Vec::new() })
    }

    /// The redirect URI with the port that is listened on.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Looks once, without waiting, for a request that might be the answer. `now` is monotonic.
    pub fn look(&mut self, now: Duration) -> Option<Arrived> {
        for socket in &self.sockets {
            // So many at a look: a flood must not keep its listener from ever looking up.
            for (stream, from) in (0..CONNECTIONS).map_while(|_| socket.accept().ok()) {
                if !from.ip().is_loopback() || stream.set_nonblocking(true).is_err() {
                    continue;
                }
                if self.open.len() >= CONNECTIONS {
                    self.open.remove(0);
                }
                self.open.push(Connection { stream, read: Zeroizing::default(), since: now });
            }
        }
        let mut at = 0;
        while let Some(connection) = self.open.get_mut(at) {
            let heard = connection.hear();
            match heard {
                Heard::Waiting if now.saturating_sub(connection.since) < PATIENCE => at += 1,
                Heard::Waiting | Heard::Gone => drop(self.open.remove(at)),
                Heard::Request => {
                    let connection = self.open.remove(at);
                    match query_of(&connection.read, &self.authority, &self.path) {
                        Ok(_) if peer::is_another_users(&connection.stream) => {
                            answer(connection.stream, "403 Forbidden", "not this one", NOTHING_HERE);
                        }
                        Ok(query) => return Some(Arrived { query, stream: connection.stream }),
                        Err(status) => answer(connection.stream, status, "not found", NOTHING_HERE),
                    }
                }
                Heard::TooLarge => {
                    let connection = self.open.remove(at);
                    answer(
                        connection.stream,
                        "431 Request Header Fields Too Large",
                        "too large",
                        NOTHING_HERE,
                    );
                }
            }
        }
        None
    }
}

impl Arrived {
    /// Tells the browser that this is not what is waited for.
    pub fn refuse(self) {
        answer(self.stream, "400 Bad Request", "not this one", NOT_THIS_ONE);
    }

    /// Tells the user how it went, and who asked, in words that may hold names from outside.
    pub fn finish(self, signed_in: bool, about: &str) {
        let (title, words) =
            if signed_in { ("Signed in", SIGNED_IN) } else { ("Not signed in", NOT_SIGNED_IN) };
        let escaped =
            about.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        answer(self.stream, "200 OK", title, &format!("{words}</p><p>{escaped}"));
    }
}

const NOTHING_HERE: &str = "There is nothing here.";
const NOT_THIS_ONE: &str = "This is not the answer that claviger waits for. It is still waiting.";
const SIGNED_IN: &str = "You are signed in. This page may be closed.";
const NOT_SIGNED_IN: &str = "You are not signed in. The terminal says why; this page may be closed.";

enum Heard {
    Waiting,
    Request,
    TooLarge,
    Gone,
}

impl Connection {
    fn hear(&mut self) -> Heard {
        let mut buffer = Zeroizing::new([0; 2048]);
        loop {
            match self.stream.read(&mut *buffer) {
                Ok(0) => return Heard::Gone,
                Ok(read) => {
                    self.read.extend_from_slice(buffer.get(..read).unwrap_or_default());
                    if self.read.len() > CALLBACK_BYTES {
                        return Heard::TooLarge;
                    }
                    if self.read.windows(4).any(|end| end == b"\r\n\r\n") {
                        return Heard::Request;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Waiting,
                Err(_) => return Heard::Gone,
            }
        }
    }
}

/// The query of a request that is one of ours by its form, or the status it is answered with.
pub fn query_of(bytes: &[u8], authority: &str, path: &str) -> Result<Zeroizing<String>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    if !matches!(request.parse(bytes), Ok(httparse::Status::Complete(_))) {
        return Err("400 Bad Request");
    }
    if request.method != Some("GET") {
        return Err("405 Method Not Allowed");
    }
    let target = request.path.unwrap_or_default();
    let (asked, query) = target.split_once('?').unwrap_or((target, ""));
    let of = |name: &str| -> Vec<&[u8]> {
        let named = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value).collect()
    };
    // Another name for this address is how a page elsewhere gets in (DNS rebinding). A script of a page says where it
    // is from; a user's browser that follows a link does not.
    if of("host") != [authority.as_bytes()] || !of("origin").is_empty() {
        return Err("403 Forbidden");
    }
    if of("content-length").iter().any(|length| *length != b"0") || !of("transfer-encoding").is_empty() {
        return Err("400 Bad Request");
    }
    if asked != path {
        return Err("404 Not Found");
    }
    Ok(Zeroizing::new(query.to_owned()))
}

fn answer(mut stream: TcpStream, status: &str, title: &str, words: &str) {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <body style=\"font: 1.2em sans-serif; margin: 4em\"><h1>{title}</h1><p>{words}</p></body></html>\n"
    );
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\r\n{page}",
        page.len()
    );
    // A page that nobody gets to see changes nothing: the reply fits any socket's buffer, and is not waited for.
    let _ = stream.write_all(reply.as_bytes());
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_is_loopback_or_nothing_to_listen_on() {
        for (text, port, path) in [
            ("http://127.0.0.1", None, ""),
            ("http://127.0.0.1/", None, "/"),
            ("http://[::1]:8020/cb", Some(8020), "/cb"),
            ("http://localhost:8020", Some(8020), ""),
        ] {
            let parsed = Loopback::parse(text).unwrap();
            assert_eq!((parsed.port, parsed.path.as_str()), (port, path), "{text}");
        }
        for other in [
            "https://127.0.0.1",
            "http://127.0.0.1:0",
            "http://127.0.0.1:99999",
            "http://0.0.0.0:80",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "http://localhostile",
            "http://127.0.0.1/a?b",
            "http://127.0.0.1/a#b",
            "http://127.0.0.1/a\r\nb",
            "http://example.com",
            "urn:ietf:wg:oauth:2.0:oob",
        ] {
            assert_eq!(Loopback::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_plain_request_for_the_very_path_and_host_is_read() {
        let judged = |request: &str| {
            query_of(request.as_bytes(), "127.0.0.1:4711", "/cb").map(|query| query.as_str().to_owned())
        };
        let good = "GET /cb?code=C HTTP/1.1\r\nHost: 127.0.0.1:4711\r\nSec-Fetch-Site: cross-site\r\n\r\n";
        assert_eq!(judged(good).as_deref(), Ok("code=C"));
        for (request, status) in [
            (good.replace("GET", "POST"), "405"),
            (good.replace("GET", "HEAD"), "405"),
            (good.replace("/cb?", "/cb/?"), "404"),
            (good.replace("/cb?", "/?"), "404"),
            (good.replace("/cb?", "http://127.0.0.1:4711/cb?"), "404"),
            (good.replace("Host: 127.0.0.1:4711", "Host: localhost:4711"), "403"),
            (good.replace("Host: 127.0.0.1:4711", "Host: evil.example"), "403"),
            (good.replace("Host: 127.0.0.1:4711\r\n", ""), "403"),
            (
                good.replace("Host: 127.0.0.1:4711\r\n", "Host: 127.0.0.1:4711\r\nHost: 127.0.0.1:4711\r\n"),
                "403",
            ),
            (good.replace("Sec-Fetch-Site: cross-site", "Origin: null"), "403"),
            (good.replace("Sec-Fetch-Site: cross-site", "Origin: http://127.0.0.1:4711"), "403"),
            (good.replace("Sec-Fetch-Site: cross-site", "Content-Length: 5"), "400"),
            (good.replace("Sec-Fetch-Site: cross-site", "Transfer-Encoding: chunked"), "400"),
            (good.replace("HTTP/1.1", "HTTP/9"), "400"),
        ] {
            let refused = judged(&request).unwrap_err();
            assert!(refused.starts_with(status), "{request}: {refused}");
        }
    }
}
