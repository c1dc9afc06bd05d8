//! An authorization server of our own, on loopback: rotates refresh tokens, notices reuse, counts what it is
//! asked. The quickstart uses it too, so it needs nothing but the standard library.

#[path = "server/families.rs"]
pub mod families;
#[path = "server/gate.rs"]
mod gate;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use families::{Families, Family, Login, What};
use gate::Gate;

/// How the server behaves; change it while it runs.
#[derive(Clone)]
pub struct Behaviour {
    /// How long each answer takes.
    pub latency: Duration,
    /// Lifetime of the access tokens it grants, in seconds.
    pub expires_in: i64,
    /// An answer to give instead of a grant: status, extra headers, body.
    pub instead: Option<(u16, String, String)>,
    /// How long a spent refresh token is answered with the same successor again, as servers with a grace period do.
    pub grace: Duration,
    /// How many blanks follow the body of each answer.
    pub padding: usize,
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
    /// Requests for an identity token, as paths.
    pub identities: Vec<String>,
    /// Every access token granted, in order.
    pub granted: Vec<String>,
}

/// The identity token of every job.
pub const IDENTITY: &str = "eyJhbGciOiJub25lIn0.identity-canary";

/// Looks at the world when a refresh token of that family arrives.
type Witness = Arc<dyn Fn(usize) -> Option<u32> + Send + Sync>;

struct State {
    behaviour: Behaviour,
    log: Log,
    families: Families,
    witness: Option<Witness>,
}

struct Shared {
    state: Mutex<State>,
    gate: Gate,
    stop: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server. It ends with the value.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Starts a server that knows one refresh token, which begins family 0.
    pub fn start(first_refresh_token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let behaviour = Behaviour {
            latency: Duration::ZERO,
            expires_in: 3600,
            instead: None,
            grace: Duration::ZERO,
            padding: 0,
        };
        let families = Families(vec![Family::new(first_refresh_token.to_owned())]);
        let state = State { behaviour, log: Log::default(), families, witness: None };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            gate: Gate::default(),
            stop: AtomicBool::new(false),
        });
        let server = Self { address, shared: shared.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                if let Ok(stream) = stream {
                    std::thread::spawn(move || {
                        // A client that goes away mid-answer is the client's affair.
                        let _ = answer(stream, &shared);
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

    /// Where identity tokens are given out.
    pub fn identity_url(&self) -> String {
        format!("http://{}/identity?api-version=2.0", self.address)
    }

    /// The revocation endpoint.
    pub fn revocation_endpoint(&self) -> String {
        format!("http://{}/revoke", self.address)
    }

    /// Changes how the server behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.lock().behaviour);
    }

    /// Looks at the log.
    pub fn log<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.shared.lock().log)
    }

    /// How many token requests came.
    pub fn token_requests(&self) -> usize {
        self.log(|log| log.tokens.len())
    }

    /// Somebody signs in: a new family, which dies of its own reuse alone.
    pub fn login(&self) -> Login {
        self.shared.lock().families.login()
    }

    /// Looks at every family, in the order of their logins.
    pub fn families<T>(&self, look: impl FnOnce(&[Family]) -> T) -> T {
        look(&self.shared.lock().families.0)
    }

    /// From now on this looks at the world whenever a refresh token arrives, and what it sees is kept with the event.
    pub fn witness(&self, look: impl Fn(usize) -> Option<u32> + Send + Sync + 'static) {
        self.shared.lock().witness = Some(Arc::new(look));
    }

    /// From now on every answer is decided, and held: whoever asked waits.
    pub fn hold(&self) {
        self.shared.gate.close();
    }

    /// Waits until so many answers are held.
    pub fn wait_held(&self, answers: usize) {
        self.shared.gate.wait_for(answers);
    }

    /// Lets every held answer go, and holds no more.
    pub fn release(&self) {
        self.shared.gate.open();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.gate.open();
        // Wakes the listener, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
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
    let mut stream = reader.into_inner();
    let padding = " ".repeat(shared.lock().behaviour.padding);
    let form = families::form(&body);
    let (status, headers, body) = match request_line.split(' ').nth(1).unwrap_or_default() {
        "/token" => token(shared, form, &stream)?,
        // Where a job of GitHub Actions gets its identity token.
        path if path.starts_with("/identity?") => {
            shared.lock().log.identities.push(path.to_owned());
            (200, String::new(), format!(r#"{{"count":1,"value":"{IDENTITY}"}}"#))
        }
        "/revoke" => {
            let latency = shared.lock().behaviour.latency;
            revoke(&mut shared.lock(), form);
            pause(latency);
            shared.gate.pass();
            (200, String::new(), String::new())
        }
        _ => (404, String::new(), String::new()),
    };
    let kind = if headers.to_ascii_lowercase().contains("content-type") {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    // In one piece: a client that is stopped meanwhile has all of it waiting.
    let answer = format!(
        "HTTP/1.1 {status} Answer\r\n{kind}{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}{padding}",
        body.len() + padding.len()
    );
    stream.write_all(answer.as_bytes())
}

#[allow(clippy::disallowed_methods, reason = "the server's latency is real time, seen from another process")]
fn pause(latency: Duration) {
    if !latency.is_zero() {
        std::thread::sleep(latency);
    }
}

/// Status, headers and body.
type Answer = (u16, String, String);

fn token(shared: &Shared, form: HashMap<String, String>, stream: &TcpStream) -> std::io::Result<Answer> {
    let begun = families::now();
    let presented = form.get("refresh_token").cloned().unwrap_or_default();
    let of_a_machine = form.get("grant_type").is_some_and(|grant| grant != "refresh_token");
    let (request, found, latency, witness) = {
        let mut state = shared.lock();
        state.log.tokens.push(form);
        let (request, found) = (state.log.tokens.len(), state.families.find(&presented));
        if let Some((family, _)) = found {
            state.families.0[family].enter(request, stream.try_clone()?);
        }
        (request, found, state.behaviour.latency, state.witness.clone())
    };
    // What it looks at may wait for us: the state is free meanwhile.
    let seen = found.and_then(|(family, _)| witness.and_then(|look| look(family)));
    let answer = if of_a_machine {
        for_a_machine(&mut shared.lock(), request)
    } else {
        decide(&mut shared.lock(), found, (request, begun, seen))
    };
    pause(latency);
    shared.gate.pass();
    if let Some((family, _)) = found {
        shared.lock().families.0[family].leave(request);
    }
    Ok(answer)
}

fn decide(state: &mut State, found: Option<(usize, usize)>, how: (usize, Instant, Option<u32>)) -> Answer {
    if let Some(instead) = &state.behaviour.instead {
        return instead.clone();
    }
    let grace = state.behaviour.grace;
    let granted = found.and_then(|(at, number)| {
        let family = &mut state.families.0[at];
        let granted = family.present(&families::name(at), number, grace, how);
        let what = family.events.last().map(|event| event.what);
        state.log.reused += usize::from(what == Some(What::Reused));
        granted
    });
    let Some((access, refresh)) = granted else {
        let body = r#"{"error":"invalid_grant","error_description":"the refresh token is not valid"}"#;
        return (400, String::new(), body.to_owned());
    };
    state.log.granted.push(access.clone());
    let expires_in = state.behaviour.expires_in;
    let body = format!(
        r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{expires_in},"refresh_token":"{refresh}"}}"#
    );
    (200, String::new(), body)
}

/// A client in its own name is given a token whenever it asks, and no refresh token.
fn for_a_machine(state: &mut State, request: usize) -> Answer {
    if let Some(instead) = &state.behaviour.instead {
        return instead.clone();
    }
    let access = format!("AT-machine-{request}");
    state.log.granted.push(access.clone());
    let expires_in = state.behaviour.expires_in;
    let issued = "urn:ietf:params:oauth:token-type:access_token";
    let body = format!(
        r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{expires_in},"issued_token_type":"{issued}"}}"#
    );
    (200, String::new(), body)
}

fn revoke(state: &mut State, form: HashMap<String, String>) {
    if let Some((family, _)) = form.get("token").and_then(|token| state.families.find(token)) {
        state.families.0[family].revoke();
    }
    state.log.revocations.push(form);
}
