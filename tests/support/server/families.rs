//! What a server knows of its sessions: a family is one login and all that was rotated from it.

use std::collections::HashMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a login gives.
#[derive(Clone, Debug)]
pub struct Login {
    /// Which family it began.
    pub family: usize,
    pub access_token: String,
    pub refresh_token: String,
}

/// What happened to a refresh token that was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was good, and is spent.
    Rotated,
    /// It was spent, so lately that the same successor was given again.
    Repeated,
    /// It was spent: the family is dead.
    Reused,
    /// The family was dead already.
    Refused,
}

/// A refresh token presented to the server.
#[derive(Clone, Debug)]
pub struct Event {
    pub what: What,
    /// When the request was there.
    pub begun: Instant,
    /// When the server had decided.
    pub at: Instant,
    /// Which token of the family it was, counted from 1.
    pub number: usize,
    /// The request it came with, counted from 1.
    pub request: usize,
    /// What [`super::Server::witness`] saw when the request had come.
    pub seen: Option<u32>,
    /// Whether the client had gone away before its answer went out.
    pub abandoned: bool,
}

/// One login and all that came of it.
#[derive(Default)]
pub struct Family {
    /// Its refresh tokens in order; the last is good, the others are spent.
    tokens: Vec<String>,
    /// The grant each spent token was answered with.
    grants: Vec<(String, Instant)>,
    revoked: bool,
    /// Requests whose answer has not gone out.
    in_flight: Vec<(usize, TcpStream)>,
    /// How many of its requests were in flight at one moment, at most, with their clients alive.
    pub most_in_flight: usize,
    pub events: Vec<Event>,
}

impl Family {
    pub fn new(refresh_token: String) -> Self {
        Self { tokens: vec![refresh_token], ..Self::default() }
    }

    /// Which token this is, counted from 1; `None`: none of this family.
    pub fn number_of(&self, token: &str) -> Option<usize> {
        self.tokens.iter().position(|known| known == token).map(|at| at + 1)
    }

    pub fn is_revoked(&self) -> bool {
        self.revoked
    }

    pub fn revoke(&mut self) {
        self.revoked = true;
    }

    pub fn count(&self, what: What) -> usize {
        self.events.iter().filter(|event| event.what == what).count()
    }

    /// A request has come. Those whose client has died meanwhile overlap with nothing: nobody reads their answer.
    pub fn enter(&mut self, request: usize, stream: TcpStream) {
        self.in_flight.push((request, stream));
        let alive = self.in_flight.iter().filter(|(_, stream)| is_there(stream)).count();
        self.most_in_flight = self.most_in_flight.max(alive);
    }

    /// Its answer is about to go out: from here on the client may come again.
    pub fn leave(&mut self, request: usize) {
        let abandoned = self.in_flight.iter().any(|(number, stream)| *number == request && !is_there(stream));
        self.in_flight.retain(|(number, _)| *number != request);
        for event in self.events.iter_mut().filter(|event| event.request == request) {
            event.abandoned |= abandoned;
        }
    }

    /// Decides about the token of that number, and gives the access and the refresh token of a grant.
    pub fn present(
        &mut self,
        name: &str,
        number: usize,
        grace: Duration,
        (request, begun, seen): (usize, Instant, Option<u32>),
    ) -> Option<(String, String)> {
        let at = now();
        let spent = self.grants.get(number - 1).cloned();
        let what = match spent {
            _ if self.revoked => What::Refused,
            None => What::Rotated,
            Some((_, then)) if at.duration_since(then) < grace => What::Repeated,
            Some(_) => What::Reused,
        };
        self.events.push(Event { what, begun, at, number, request, seen, abandoned: false });
        match what {
            What::Rotated => {
                let next = number + 1;
                let access = format!("AT{next}-{name}{}", "a".repeat(24));
                self.tokens.push(format!("RT{next}-{name}{}", "r".repeat(24)));
                self.grants.push((access, at));
            }
            What::Repeated => {}
            What::Reused => self.revoked = true,
            What::Refused => return None,
        }
        let (access, _) = self.grants.get(number - 1).filter(|_| !self.revoked)?;
        Some((access.clone(), self.tokens[number].clone()))
    }
}

/// Every family a server knows.
#[derive(Default)]
pub struct Families(pub Vec<Family>);

impl Families {
    /// Whose token this is, and which of its tokens, counted from 1.
    pub fn find(&self, token: &str) -> Option<(usize, usize)> {
        self.0.iter().enumerate().find_map(|(at, family)| Some((at, family.number_of(token)?)))
    }

    /// Begins a family.
    pub fn login(&mut self) -> Login {
        let family = self.0.len();
        let name = name(family);
        let refresh_token = format!("RT1-{name}{}", "r".repeat(24));
        self.0.push(Family::new(refresh_token.clone()));
        Login { family, access_token: format!("AT1-{name}{}", "a".repeat(24)), refresh_token }
    }
}

/// What a family's tokens carry, so that every token says whose it is; the first family's carry nothing.
pub fn name(family: usize) -> String {
    if family == 0 { String::new() } else { format!("f{family}-") }
}

/// The family and the number of an access token that this server granted or gave at a login.
pub fn parse(access_token: &str) -> Option<(usize, usize)> {
    let (number, rest) = access_token.strip_prefix("AT")?.split_once('-')?;
    let family = rest.strip_prefix('f').and_then(|rest| rest.split_once('-')).map_or("0", |(name, _)| name);
    Some((family.parse().ok()?, number.parse().ok()?))
}

/// Form fields of a body.
pub fn form(body: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

#[allow(clippy::disallowed_methods, reason = "when it was, as other processes saw it")]
pub fn now() -> Instant {
    Instant::now()
}

/// Whether a client still waits for its answer. Nobody else uses the stream meanwhile: its request is read, and its
/// answer goes out only after it has left.
fn is_there(stream: &TcpStream) -> bool {
    let closed = stream.set_nonblocking(true).is_err() || stream.peek(&mut [0]).is_ok_and(|bytes| bytes == 0);
    let reset = stream.take_error().is_ok_and(|error| error.is_some());
    stream.set_nonblocking(false).is_ok() && !closed && !reset
}
