//! An authorization server of our own, on loopback: rotates refresh tokens, notices reuse, counts what it is
//! asked. The quickstart uses it too, so it needs nothing but the standard library.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How the server behaves; change it while it runs.
#[derive(Clone)]
pub struct Behaviour {
    /// How long each answer takes.
    pub latency: Duration,
    /// Lifetime of the access tokens it grants, in seconds.
    pub expires_in: i64,
    /// An answer to give instead of a grant: status, extra headers, body.
    pub instead: Option<(u16, String, String)>,
}

/// What the server has seen and granted.
#[derive(Default)]
pub struct Log {
    /// Token requests, as form fields.
    pub tokens: Vec<HashMap<String, String>>,
    /// Revocation requests, as form fields.
    pub revocations: Vec<HashMap<String, String>>,
    /// Refresh tokens presented a second time: each would have cost the session.
    pub reused: usize,
    /// Every access token granted, in order.
    pub granted: Vec<String>,
}

struct State {
    behaviour: Behaviour,
    log: Log,
    /// The refresh token that is good now, and all that were.
    current: String,
    spent: Vec<String>,
    revoked: bool,
}

/// A running server. It ends with the value.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server that knows one refresh token.
    pub fn start(first_refresh_token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let behaviour = Behaviour { latency: Duration::ZERO, expires_in: 3600, instead: None };
        let state = Arc::new(Mutex::new(State {
            behaviour,
            log: Log::default(),
            current: first_refresh_token.to_owned(),
            spent: Vec::new(),
            revoked: false,
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let server = Self { address, state: state.clone(), stop: stop.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let state = state.clone();
                if let Ok(stream) = stream {
                    std::thread::spawn(move || {
                        // A client that goes away mid-answer is the client's affair.
                        let _ = answer(stream, &state);
                    });
                }
            }
        });
        server
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The revocation endpoint.
    pub fn revocation_endpoint(&self) -> String {
        format!("http://{}/revoke", self.address)
    }

    /// Changes how the server behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.lock().behaviour);
    }

    /// Looks at the log.
    pub fn log<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.lock().log)
    }

    /// How many token requests came.
    pub fn token_requests(&self) -> usize {
        self.log(|log| log.tokens.len())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request_line = String::new();
    reader.read_line(&mut request_line)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let path = request_line.split(' ').nth(1).unwrap_or_default().to_owned();
    let latency = state.lock().unwrap_or_else(PoisonError::into_inner).behaviour.latency;
    let (status, headers, body) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match path.as_str() {
            "/token" => token(&mut state, form),
            "/revoke" => revoke(&mut state, form),
            _ => (404, String::new(), String::new()),
        }
    };
    pause(latency);
    let kind = if headers.to_ascii_lowercase().contains("content-type") {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {status} Answer\r\n{kind}{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[allow(clippy::disallowed_methods, reason = "the server's latency is real time, seen from another process")]
fn pause(latency: Duration) {
    if !latency.is_zero() {
        std::thread::sleep(latency);
    }
}

fn token(state: &mut State, form: HashMap<String, String>) -> (u16, String, String) {
    let presented = form.get("refresh_token").cloned().unwrap_or_default();
    state.log.tokens.push(form);
    if let Some(instead) = &state.behaviour.instead {
        return instead.clone();
    }
    if state.spent.contains(&presented) {
        // Reuse detection: the whole family dies, as strict servers do it.
        state.log.reused += 1;
        state.revoked = true;
    }
    if state.revoked || presented != state.current {
        let body = r#"{"error":"invalid_grant","error_description":"the refresh token is not valid"}"#;
        return (400, String::new(), body.to_owned());
    }
    let generation = state.spent.len() + 2;
    state.spent.push(std::mem::replace(&mut state.current, format!("RT{generation}-{}", "r".repeat(24))));
    let access = format!("AT{generation}-{}", "a".repeat(24));
    state.log.granted.push(access.clone());
    let (refresh, expires_in) = (&state.current, state.behaviour.expires_in);
    let body = format!(
        r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{expires_in},"refresh_token":"{refresh}"}}"#
    );
    (200, String::new(), body)
}

fn revoke(state: &mut State, form: HashMap<String, String>) -> (u16, String, String) {
    if form.get("token") == Some(&state.current) {
        state.revoked = true;
    }
    state.log.revocations.push(form);
    (200, String::new(), String::new())
}
