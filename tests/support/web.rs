//! A small web server in the test's hand, with a certificate of our own or without: a handler answers, and what was
//! asked is kept. For services that real tools speak to.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::server::Server;
use super::tls::Authority;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// The path, with the query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Request {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The values of a parameter of the query.
    pub fn query(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// User name and password of `Authorization: Basic`.
    pub fn basic(&self) -> Option<(String, String)> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }
}

/// What is answered.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
    }

    pub fn json(body: &serde_json::Value) -> Self {
        Self::new(200, "application/json", body.to_string())
    }

    /// The answer to somebody who shows no credential that counts.
    pub fn unauthorized(challenge: &str) -> Self {
        let mut reply = Self::new(401, "text/plain", "who are you?\n");
        reply.headers.push(("WWW-Authenticate", challenge.to_owned()));
        reply
    }

    pub fn not_found() -> Self {
        Self::new(404, "text/plain", "not found\n")
    }
}

struct Shared {
    handler: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    tls: Option<Arc<rustls::ServerConfig>>,
    asked: Mutex<Vec<Request>>,
    stop: AtomicBool,
}

/// A running server. It ends with the value.
pub struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Web {
    pub fn http(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(handler))
    }

    /// With the certificate that the authority gave.
    pub fn https(authority: &Authority, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let certificate = CertificateDer::from_pem_file(authority.path("leaf.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(authority.path("leaf.key")).expect("its key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key is the certificate's");
        Self::start(Some(Arc::new(config)), Box::new(handler))
    }

    fn start(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let asked = Mutex::default();
        let shared = Arc::new(Shared { handler, tls, asked, stop: AtomicBool::new(false) });
        let server = Self { address, shared: shared.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || {
                    // A client that goes away mid-answer is the client's affair.
                    serve(stream, &shared).unwrap_or_default();
                });
            }
        });
        server
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Where it is, without a slash at the end.
    pub fn address(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// What was asked since this was last asked for.
    pub fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    match &shared.tls {
        None => answer(stream, shared),
        Some(config) => {
            let connection = rustls::ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
            let mut stream = rustls::StreamOwned::new(connection, stream);
            answer(&mut stream, shared)?;
            // Without this a client cannot tell the end from a connection that was cut.
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}

fn answer(stream: impl Read + Write, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: String::new(), bytes: Vec::new() };
    if request.header("expect").is_some() {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.bytes = if request.header("transfer-encoding").is_some() {
        chunks(&mut reader)?
    } else {
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes)?;
        bytes
    };
    request.body = String::from_utf8_lossy(&request.bytes).into_owned();
    let reply = (shared.handler)(&request);
    let bodiless = request.method == "HEAD";
    shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let mut bytes = format!("HTTP/1.1 {} Answer\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", reply.body.len()).bytes());
    if !bodiless {
        bytes.extend(&reply.body);
    }
    let stream = reader.get_mut();
    stream.write_all(&bytes)?;
    stream.flush()
}

/// A body that comes in chunks, each behind its length in hexadecimal digits.
fn chunks(reader: &mut impl std::io::BufRead) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        // With the end of its line.
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return Ok(bytes);
        }
    }
}

/// Who comes in: whoever shows a token that the authorization server gave, or one that a test said is good, unless it
/// has been taken back.
#[derive(Clone)]
pub struct Door {
    server: Arc<Server>,
    known: Arc<Mutex<HashMap<String, bool>>>,
}

impl Door {
    /// The server of a test knows the refresh token `RT1`.
    pub fn new() -> Self {
        Self { server: Arc::new(Server::start("RT1")), known: Arc::default() }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn accept(&self, token: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), true);
    }

    /// The service takes a token back that has not expired; the client is not told.
    pub fn revoke(&self, token: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), false);
    }

    pub fn opens(&self, token: Option<&str>) -> bool {
        let Some(token) = token else { return false };
        let said = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(token).copied();
        said.unwrap_or_else(|| self.server.log(|log| log.granted.iter().any(|granted| granted == token)))
    }

    /// The newest token of the server.
    pub fn newest(&self) -> String {
        self.server.log(|log| log.granted.last().cloned()).expect("a token was given")
    }

    /// A session for a service whose access token is `AT1` and which this server refreshes.
    pub fn session(&self, service: &str, expires: &str) -> serde_json::Value {
        serde_json::json!({
            "service": service, "account": "alice", "accessToken": "AT1", "expiresAt": expires,
            "refreshToken": "RT1", "tokenEndpoint": self.server.token_endpoint(), "clientId": "cli",
        })
    }
}

/// Ends of a session's token: one that is long past, and one that no test lives to see.
pub const PAST: &str = "2020-01-01T00:00:00Z";
pub const FUTURE: &str = "2090-01-01T00:00:00Z";
