//! Plays a sequence against the program and the reference at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use claviger::dialect::{Rendered, Verb};
use claviger::message::Request;
use claviger::session::Storage;
use serde_json::{Value, json};

use super::reference::{Outcome, Reference, Session};
use super::server::{Answer, Fresh, Oracle, USUAL};
use super::steps::{Clock, Erase, Expiry, Get, LABEL, PROFILE, Sequence, Step, Store, Token};
use crate::support::faults::{Fault, Plan};
use crate::support::world::Machine;

const START: &str = "2026-01-01T00:00:00Z";
/// Every refresh token begins like this, and nothing else does.
const SECRET: &str = "rtok";

/// A machine, what the reference makes of it, and what has been given out.
struct Stage<'a> {
    tally: &'a Tally,
    machine: Machine,
    reference: Reference,
    oracle: Oracle,
    given: Vec<String>,
    count: usize,
}

/// What a step really came to.
struct Seen {
    exit: u8,
    reply: Value,
    sent: Vec<(String, String)>,
}

/// How often each outcome, code and warning has been seen.
pub type Tally = RefCell<BTreeMap<String, usize>>;

/// Plays it to the end, or says at which step program and reference part, and how.
pub fn play(sequence: &Sequence, tally: &Tally) -> Result<(), String> {
    let machine = Machine::in_memory(START);
    machine.one_folder.set(sequence.one_folder);
    let reference = Reference { now: machine.clock.now.get(), ..Reference::default() };
    let mut stage =
        Stage { tally, machine, reference, oracle: Oracle::default(), given: Vec::new(), count: 0 };
    for (number, step) in sequence.steps.iter().enumerate() {
        stage.step(step).map_err(|why| format!("at step {}: {why}", number + 1))?;
    }
    Ok(())
}

/// A sequence, one step to a line.
pub fn legible(sequence: &Sequence) -> String {
    let mut text = format!("locks of both backends in one folder: {}\n", sequence.one_folder);
    for (number, step) in sequence.steps.iter().enumerate() {
        let _ = writeln!(text, "{:3}. {step:?}", number + 1);
    }
    text
}

impl Stage<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.count += 1;
        let (access, refresh) = (format!("at{}", self.count), format!("{SECRET}{}", self.count));
        let quiet = Answer::Untrusted;
        match step {
            Step::Clock(clock) => {
                let now = self.reads(*clock);
                self.machine.clock.now.set(now);
                self.reference.now = now;
                Ok(())
            }
            Step::Store(store) => {
                if let Some(client) = store.client {
                    self.oracle.gave(&refresh, client.endpoint, client.revocation);
                }
                let access = self.given.last().filter(|_| store.again).cloned().unwrap_or(access);
                let request = store_request(store, &access, &refresh, self.reference.now);
                let outcomes = vec![self.reference.store(store, &access, &refresh)];
                self.given.push(access.clone());
                self.call(Verb::Store, &request, quiet, (&access, &refresh), outcomes)
            }
            Step::Get(get, answer) => {
                let outcomes = self.reference.get(get, *answer, &access, &refresh);
                self.given.push(access.clone());
                self.call(Verb::Get, &get_request(get), *answer, (&access, &refresh), outcomes)
            }
            Step::Dies { get, at, after } => {
                let mut outcomes = self.reference.get(get, USUAL, &access, &refresh);
                outcomes.extend(self.reference.dies(&outcomes));
                self.given.push(access.clone());
                let fault = if *after { Fault::DiesAfter } else { Fault::DiesBefore };
                // Who dies in a search has filled some of the index, and no reply says which.
                let plan = self.reference.meant(get).is_ok().then(|| Rc::new(Plan::new(fault, *at)));
                *self.machine.plan.borrow_mut() = plan;
                let went = self.call(Verb::Get, &get_request(get), USUAL, (&access, &refresh), outcomes);
                *self.machine.plan.borrow_mut() = None;
                for session in self.reference.sessions.values() {
                    self.oracle.forgives(session.refresh.as_deref().unwrap_or_default());
                }
                went
            }
            Step::Erase(erase, answer) => {
                let token = erase.token.map(|token| self.names(token));
                let outcomes = vec![self.reference.erase(erase, token.as_deref(), *answer)];
                let request = erase_request(erase, token.as_deref());
                self.call(Verb::Erase, &request, *answer, (&access, &refresh), outcomes)
            }
            Step::List(service) => {
                let request = service.map_or_else(|| json!({}), |service| json!({ "service": service }));
                let outcomes = vec![self.reference.list(*service)];
                self.call(Verb::List, &request, quiet, (&access, &refresh), outcomes)
            }
            Step::Move { to_files } => {
                let to = if *to_files { Storage::Plaintext } else { Storage::Keyring };
                let outcomes = vec![self.reference.moves(*to_files)];
                let rendered = self.machine.people(Request::MoveStorage(to));
                let seen = self.seen(&rendered)?;
                self.settle(&seen, outcomes)
            }
        }
    }

    fn call(
        &mut self,
        verb: Verb,
        request: &Value,
        answer: Answer,
        (access, refresh): (&str, &str),
        outcomes: Vec<Outcome>,
    ) -> Result<(), String> {
        // What the server gives back as the same token must be known before it is asked.
        let posted = outcomes.iter().find_map(|outcome| outcome.sent.as_ref());
        let same = posted.and_then(|(_, form)| {
            form.split(['&', ' ']).find_map(|pair| pair.strip_prefix("refresh_token="))
        });
        let line = answer.line(same.unwrap_or_default(), &Fresh { access, refresh });
        *self.machine.server.lines.borrow_mut() = [line].into();
        self.machine.server.sent.borrow_mut().clear();
        let rendered = self.machine.call(verb, None, request.to_string().as_bytes());
        let seen = self.seen(&rendered)?;
        for (endpoint, form) in &seen.sent {
            self.oracle.was_sent(endpoint, form, answer, refresh)?;
        }
        self.settle(&seen, outcomes)
    }

    fn seen(&self, rendered: &Rendered) -> Result<Seen, String> {
        let stdout = String::from_utf8_lossy(&rendered.stdout);
        for said in [&*stdout, &rendered.stderr, &self.machine.told.take().concat()] {
            if said.contains(SECRET) || said.contains("cs3cret") {
                return Err(format!("a secret is told: {said}"));
            }
        }
        let mut reply: Value = serde_json::from_str(&stdout).map_err(|_| format!("no reply: {stdout}"))?;
        if let Some(error) = reply.get_mut("error").and_then(Value::as_object_mut) {
            for words in ["message", "hint"] {
                error.remove(words).ok_or_else(|| format!("an error without {words}: {stdout}"))?;
            }
        }
        if let Some(warnings) = reply.get_mut("warnings").and_then(Value::as_array_mut) {
            for warning in warnings {
                *warning = warning["code"].take();
            }
        }
        let sent = self.machine.server.sent.take();
        Ok(Seen { exit: rendered.exit, reply, sent })
    }

    /// Goes on with the outcome that fits what was seen, and what is stored.
    fn settle(&mut self, seen: &Seen, outcomes: Vec<Outcome>) -> Result<(), String> {
        let stored = self.stored();
        let mut expected = Vec::new();
        for outcome in outcomes {
            let sent: Vec<_> = outcome.sent.iter().cloned().collect();
            let kept = outcome.after.kept();
            if outcome.exit == seen.exit && outcome.reply == seen.reply && sent == seen.sent && kept == stored
            {
                self.reference = outcome.after;
                self.count_in(&seen.reply);
                return Ok(());
            }
            expected.push(format!(
                "expected: exit {}, {}\n          sent {sent:?}\n          kept {}",
                outcome.exit,
                outcome.reply,
                shown(&kept)
            ));
        }
        let (now, expected) = (super::reference::time(self.reference.now), expected.join("\n      or "));
        Err(format!(
            "at {now}\nexpected: {}\n\nseen:     exit {}, {}\n          sent {:?}\n          kept {}",
            expected.trim_start_matches("expected: "),
            seen.exit,
            seen.reply,
            seen.sent,
            shown(&stored)
        ))
    }

    fn count_in(&self, reply: &Value) {
        let warnings = reply["warnings"].as_array().into_iter().flatten();
        let words = [&reply["outcome"], &reply["matchedBy"], &reply["error"]["code"], &reply["revocation"]];
        for word in words.into_iter().chain(warnings).filter_map(Value::as_str) {
            *self.tally.borrow_mut().entry(word.to_owned()).or_default() += 1;
        }
    }

    /// Everything in both backends, by slot name; of each value what the reference knows of.
    fn stored(&self) -> BTreeMap<String, Value> {
        let mut values: Vec<Value> = Vec::new();
        for bytes in self.machine.keyring.slots.borrow().values() {
            values.push(serde_json::from_slice(bytes).expect("a slot holds JSON"));
        }
        for value in &mut values {
            value["in"] = json!("keyring");
        }
        for entry in std::fs::read_dir(self.machine.home().join("slots")).into_iter().flatten() {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a slot");
            let mut value: Value = serde_json::from_slice(&bytes).expect("a slot holds JSON");
            value["in"] = json!("plaintext");
            values.push(value);
        }
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let slot = |value: &Value| {
            let name = ["service", "account", "profile", "slot"].map(|key| text(value, key));
            format!("{} {}", text(value, "in"), name.join(" "))
        };
        let known = |value: &Value| match value["slot"].as_str() {
            Some("refresh") => json!([value["refreshToken"], value["tokenEndpoint"]]),
            _ => json!([
                value["accessToken"],
                value["generation"],
                value["expiresAt"],
                value["hasRefreshToken"],
                value["tombstone"].is_object(),
            ]),
        };
        values.iter().map(|value| (slot(value), known(value))).collect()
    }

    fn reads(&self, clock: Clock) -> i64 {
        let now = self.reference.now;
        match clock {
            Clock::By(seconds) => now + seconds,
            Clock::To(time) => time,
            Clock::Expiry(nth, by) => {
                let ends: Vec<i64> =
                    self.reference.sessions.values().filter_map(|session| session.expires).collect();
                if ends.is_empty() { now } else { ends[nth % ends.len()] + by }
            }
        }
    }

    fn names(&self, token: Token) -> String {
        let living: Vec<&String> =
            self.reference.sessions.values().filter_map(|session| session.access.as_ref()).collect();
        let (nth, among) = match token {
            Token::Of(nth) => (nth, living),
            Token::Past(nth) => (nth, self.given.iter().rev().collect()),
        };
        if among.is_empty() { "at-never".to_owned() } else { among[nth % among.len()].clone() }
    }
}

impl Reference {
    /// What should lie in the slots.
    fn kept(&self) -> BTreeMap<String, Value> {
        let mut kept = BTreeMap::new();
        for ((service, account, profile), session) in &self.sessions {
            let Session { access, generation, expires, refresh, dead, client, .. } = session;
            let profile = profile.as_deref().unwrap_or_default();
            let slot = |kind: &str| format!("{} {service} {account} {profile} {kind}", self.storage());
            let end = expires.map(super::reference::time);
            kept.insert(slot("access"), json!([access, generation, end, refresh.is_some(), dead.is_some()]));
            if let (Some(token), Some(client)) = (refresh, client) {
                kept.insert(slot("refresh"), json!([token, client.endpoint]));
            }
        }
        kept
    }
}

fn shown(slots: &BTreeMap<String, Value>) -> String {
    let lines: Vec<String> = slots.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.join("\n               ")
}

fn store_request(store: &Store, access: &str, refresh: &str, now: i64) -> Value {
    let mut request = json!({
        "service": store.service, "account": store.account, "accessToken": access,
        "services": store.services, "scopes": ["api", "write"], "replace": store.replace,
    });
    let mut give = |key: &str, value: Value| request[key] = value;
    if store.profile {
        give("profile", json!(PROFILE));
    }
    if store.label {
        give("label", json!(LABEL));
    }
    if store.refresh {
        give("refreshToken", json!(refresh));
    }
    if let Some(client) = store.client {
        give("tokenEndpoint", json!(client.endpoint));
        give("clientId", json!(client.id));
        for (key, value) in [
            ("issuer", client.issuer),
            ("revocationEndpoint", client.revocation),
            ("clientSecret", client.secret),
        ] {
            if let Some(value) = value {
                give(key, json!(value));
            }
        }
    }
    match store.expiry {
        Expiry::Unknown => {}
        Expiry::In(seconds) => give("expiresIn", json!(seconds)),
        Expiry::At(seconds) => give("expiresAt", json!(super::reference::time(now + seconds))),
    }
    if let Some(make_default) = store.make_default {
        give("makeDefault", json!(make_default));
    }
    request
}

fn who(service: &str, account: Option<&str>, profile: bool) -> Value {
    let mut request = json!({ "service": service });
    if let Some(account) = account {
        request["account"] = json!(account);
    }
    if profile {
        request["profile"] = json!(PROFILE);
    }
    request
}

fn get_request(get: &Get) -> Value {
    let mut request = who(get.service, get.account, get.profile);
    if let Some(seconds) = get.min_validity {
        request["minValidity"] = json!(seconds);
    }
    if get.force {
        request["forceRefresh"] = json!(true);
    }
    request
}

fn erase_request(erase: &Erase, token: Option<&str>) -> Value {
    let mut request = who(erase.service, erase.account, erase.profile);
    if let Some(token) = token {
        request["accessToken"] = json!(token);
    }
    request
}
