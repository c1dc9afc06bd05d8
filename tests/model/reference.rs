//! What the program should do, written from `protocol/README.md` and from nothing else: maps and plain rules.
//!
//! A step gives every outcome that the specification leaves open; there are two of them where the share that is taken
//! off a token's window (R2) is not known yet.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::server::Answer;
use super::steps::{Client, Erase, Expiry, LABEL, PROFILE, Store};

/// Service, account, profile.
pub type Name = (String, String, Option<String>);

/// The client a session belongs to, and the refresh token that goes to it.
#[derive(Clone, Debug)]
pub struct Session {
    pub label: Option<&'static str>,
    pub services: Vec<String>,
    pub scopes: Vec<String>,
    pub access: Option<String>,
    pub obtained: i64,
    /// By a refresh, not by a store.
    pub ours: bool,
    pub expires: Option<i64>,
    pub client: Option<Client>,
    pub refresh: Option<String>,
    /// The refresh token that was declared dead, and when.
    pub dead: Option<(String, i64)>,
    pub generation: i64,
    /// Between these two lies the window of its access token.
    pub window: (i64, i64),
}

/// What the index says of a session.
#[derive(Clone, Debug)]
pub struct Entry {
    label: Option<&'static str>,
    services: Vec<String>,
    in_files: bool,
    expires: Option<i64>,
    has_refresh: bool,
}

/// A failure that may pass: when, how many in a row, what the server asked for.
#[derive(Clone, Debug)]
pub struct Failure {
    pub at: i64,
    pub row: u32,
    pub retry_after: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct Reference {
    pub now: i64,
    pub in_files: bool,
    pub sessions: BTreeMap<Name, Session>,
    pub index: BTreeMap<Name, Entry>,
    pub defaults: BTreeMap<(String, Option<String>), String>,
    pub failures: BTreeMap<Name, Failure>,
}

/// What a step should come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub after: Reference,
    pub exit: u8,
    /// The reply without its words for people; of a warning, the code.
    pub reply: Value,
    /// Endpoint, and what is posted there.
    pub sent: Option<(String, String)>,
}

/// The code of an error, its exit status, and whether it is retryable.
pub fn error(code: &str, retry_after: Option<i64>) -> (u8, Value) {
    let exit = match code {
        "NOT_FOUND" | "ACCOUNT_NOT_FOUND" => 1,
        "BAD_REQUEST" | "CONFLICT" => 2,
        "AUTH_REFRESH_EXPIRED" | "AUTH_REFRESH_UNAVAILABLE" => 3,
        "AUTH_REFRESH_TRANSIENT" => 4,
        "PROVIDER_REJECTED" | "ENDPOINT_NOT_FOUND" | "TLS_UNTRUSTED" => 6,
        "NO_ACCOUNT_SELECTED" => 7,
        "INTERNAL" => 70,
        _ => unreachable!("{code}"),
    };
    let mut error = json!({ "code": code, "retryable": exit == 4 });
    if let Some(seconds) = retry_after {
        error["retryAfter"] = json!(seconds);
    }
    (exit, json!({ "version": 1, "error": error }))
}

pub fn profile(named: bool) -> Option<String> {
    named.then(|| PROFILE.to_owned())
}

/// The least and the greatest window of a token with this lifetime (R2).
pub fn window(lifetime: i64) -> (i64, i64) {
    let widest = 300.min(lifetime.max(0) / 2);
    (widest - widest / 10, widest)
}

pub fn time(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).expect("a time").to_string()
}

impl Reference {
    pub fn storage(&self) -> &'static str {
        if self.in_files { "plaintext" } else { "keyring" }
    }

    fn comes_to(self, exit: u8, reply: Value) -> Outcome {
        Outcome { after: self, exit, reply, sent: None }
    }

    pub fn fails(&self, code: &str) -> Outcome {
        let (exit, reply) = error(code, None);
        self.clone().comes_to(exit, reply)
    }

    /// The index follows what was last written.
    pub fn note_in_index(&mut self, name: &Name) {
        let session = &self.sessions[name];
        let entry = Entry {
            label: session.label,
            services: session.services.clone(),
            in_files: self.in_files,
            expires: session.expires,
            has_refresh: session.refresh.is_some(),
        };
        self.index.insert(name.clone(), entry);
    }

    /// Whoever finds no session by the index has searched the backend, and the index knows what is there (A8).
    pub fn searched(mut self) -> Self {
        for name in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.note_in_index(&name);
        }
        self
    }

    pub fn store(&self, request: &Store, access: &str, refresh: &str) -> Outcome {
        if request.refresh && request.client.is_none() {
            return self.fails("BAD_REQUEST");
        }
        let profile = profile(request.profile);
        let name = (request.service.to_owned(), request.account.to_owned(), profile.clone());
        let before = self.sessions.get(&name);
        if !request.replace && before.is_some_and(|before| conflicts(before.client, request.client)) {
            return self.fails("CONFLICT");
        }
        let mut services = vec![request.service.to_owned()];
        for service in &request.services {
            if !services.iter().any(|known| known == service) {
                services.push((*service).to_owned());
            }
        }
        let expires = match request.expiry {
            Expiry::Unknown => None,
            Expiry::In(seconds) | Expiry::At(seconds) => Some(self.now + seconds),
        };
        let mut after = self.clone();
        let session = Session {
            label: request.label.then_some(LABEL),
            services: services.clone(),
            scopes: vec!["api".to_owned(), "write".to_owned()],
            access: Some(access.to_owned()),
            obtained: self.now,
            ours: false,
            expires,
            client: request.client,
            refresh: request.refresh.then(|| refresh.to_owned()),
            dead: None,
            generation: before.map_or(0, |before| before.generation) + 1,
            window: window(expires.map_or(0, |end| end - self.now)),
        };
        after.sessions.insert(name.clone(), session);
        after.failures.remove(&name);
        after.note_in_index(&name);
        for service in services {
            let pinned = after.defaults.entry((service, profile.clone()));
            match request.make_default {
                Some(false) => {}
                Some(true) => request.account.clone_into(pinned.or_default()),
                None => drop(pinned.or_insert_with(|| request.account.to_owned())),
            }
        }
        let mut reply = json!({
            "version": 1, "service": name.0, "account": name.1, "storage": self.storage(), "hasRefreshToken": request.refresh,
        });
        if let Some(profile) = profile {
            reply["profile"] = json!(profile);
        }
        after.comes_to(0, reply)
    }

    pub fn erase(&self, request: &Erase, token: Option<&str>, answer: Answer) -> Outcome {
        let profile = profile(request.profile);
        match token {
            Some(token) => self.drop_token(request, token, profile.as_ref()),
            None => self.end(request, profile, answer),
        }
    }

    /// E8: only where it is the stored one, and the refresh token stays.
    fn drop_token(&self, request: &Erase, token: &str, profile: Option<&String>) -> Outcome {
        let opens =
            |session: &Session| session.services.iter().any(|granted| covers(granted, request.service));
        let meant: Vec<_> = (self.sessions.iter())
            .filter(|(name, session)| name.2.as_ref() == profile && opens(session))
            .map(|(name, session)| (name.clone(), session.label, session.access.clone()))
            .collect();
        let named = meant.iter().any(|(name, ..)| Some(name.1.as_str()) == request.account);
        let fits = |name: &Name, label: Option<&str>| match request.account {
            None => true,
            Some(account) if named => name.1 == account,
            account => label == account,
        };
        let none = !meant.iter().any(|(name, label, _)| fits(name, *label));
        let mut after = if none { self.clone().searched() } else { self.clone() };
        let mut erased = false;
        for (name, label, access) in meant {
            if access.as_deref() != Some(token) || !fits(&name, label) {
                continue;
            }
            erased = true;
            let session = after.sessions.get_mut(&name).expect("it is there");
            if session.refresh.is_none() && session.expires.is_none() {
                after.forget(&name);
            } else {
                session.access = None;
                session.generation += 1;
            }
        }
        after.comes_to(0, json!({ "version": 1, "erased": erased, "revocation": "skipped" }))
    }

    /// E3: chosen among those granted for the very service.
    fn end(&self, request: &Erase, profile: Option<String>, answer: Answer) -> Outcome {
        let nothing = json!({ "version": 1, "erased": false, "revocation": "skipped" });
        let mut after = self.clone();
        let service = request.service.to_owned();
        if let Some(account) = request.account {
            let name = (service.clone(), account.to_owned(), profile.clone());
            if self.sessions.contains_key(&name) {
                return self.ends(&name, answer);
            }
            // What is left of it goes: its place as default (E2).
            after.unpin(&service, &name);
        }
        let mut granted = self.granted_exactly(&service, profile.as_ref());
        if let Some(account) = request.account {
            granted = of_account(granted, account);
        }
        let granted = one_per_account(&service, granted);
        let default = self.defaults.get(&(service.clone(), profile.clone()));
        match (request.account, default, granted.as_slice()) {
            (_, _, []) => after.searched().comes_to(0, nothing),
            (None, Some(default), granted) => {
                if let Some((name, _)) = granted.iter().find(|(name, _)| name.1 == *default) {
                    return self.ends(name, answer);
                }
                after.unpin(&service, &(service.clone(), default.clone(), profile));
                after.searched().comes_to(0, nothing)
            }
            (_, _, [(name, _)]) => self.ends(name, answer),
            _ => after.fails("NO_ACCOUNT_SELECTED"),
        }
    }

    fn ends(&self, name: &Name, answer: Answer) -> Outcome {
        let mut after = self.clone();
        let session = &self.sessions[name];
        after.forget(name);
        let mut sent = None;
        let mut revocation = "skipped";
        if let (Some(token), Some(client)) = (&session.refresh, session.client) {
            revocation = "unsupported";
            if let Some(endpoint) = client.revocation {
                let form = format!("token={token}&token_type_hint=refresh_token{}", proof(client));
                sent = Some((endpoint.to_owned(), authorized(client, &form)));
                revocation = if answer.is_200() { "revoked" } else { "failed" };
            }
        }
        let reply = json!({ "version": 1, "erased": true, "revocation": revocation });
        Outcome { after, exit: 0, reply, sent }
    }

    /// The session is gone, and so is its place as default of all it served (E10).
    fn forget(&mut self, name: &Name) {
        let mut services = vec![name.0.clone()];
        services.extend(self.sessions.remove(name).expect("it is there").services);
        services.extend(self.index.remove(name).map(|entry| entry.services).unwrap_or_default());
        self.failures.remove(name);
        for service in services {
            self.unpin(&service, name);
        }
    }

    fn unpin(&mut self, service: &str, name: &Name) {
        let key = (service.to_owned(), name.2.clone());
        if self.defaults.get(&key) == Some(&name.1) {
            self.defaults.remove(&key);
        }
    }

    pub fn list(&self, service: Option<&str>) -> Outcome {
        let opens = |entry: &Entry| {
            service.is_none_or(|service| entry.services.iter().any(|granted| covers(granted, service)))
        };
        let listed = self.index.iter().filter(|(_, entry)| opens(entry)).map(|(name, entry)| {
            let pinned = |service: &String| self.defaults.get(&(service.clone(), name.2.clone()));
            let mut listed = json!({
                "service": name.0, "account": name.1, "services": entry.services,
                "storage": if entry.in_files { "plaintext" } else { "keyring" },
                "hasRefreshToken": entry.has_refresh,
                "default": entry.services.iter().any(|service| pinned(service) == Some(&name.1)),
            });
            if let Some(profile) = &name.2 {
                listed["profile"] = json!(profile);
            }
            if let Some(label) = entry.label {
                listed["label"] = json!(label);
            }
            if let Some(end) = entry.expires {
                listed["expiresAt"] = json!(time(end));
            }
            listed
        });
        let sessions: Vec<Value> = listed.collect();
        self.clone().comes_to(0, json!({ "version": 1, "sessions": sessions }))
    }

    pub fn moves(&self, to_files: bool) -> Outcome {
        let mut after = self.clone();
        let moved = if self.in_files == to_files { 0 } else { self.sessions.len() };
        after.in_files = to_files;
        if moved > 0 {
            after.failures.clear();
        }
        let after = after.searched();
        let storage = after.storage();
        after.comes_to(0, json!({ "version": 1, "storage": storage, "moved": moved }))
    }
}

/// S9.
fn conflicts(ours: Option<Client>, theirs: Option<Client>) -> bool {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return false };
    let another_server = match (ours.issuer, theirs.issuer) {
        (Some(ours), Some(theirs)) => ours != theirs,
        _ => ours.endpoint != theirs.endpoint,
    };
    another_server || ours.id != theirs.id
}

/// How a client is named in a form (R8), and how a secret goes (R9).
pub fn proof(client: Client) -> String {
    if client.secret.is_some() { String::new() } else { format!("&client_id={}", client.id) }
}

pub fn authorized(client: Client, form: &str) -> String {
    // `cli:cs3cret`
    client.secret.map_or_else(|| form.to_owned(), |_| format!("Basic Y2xpOmNzM2NyZXQ= {form}"))
}

pub use super::choice::{covers, of_account, one_per_account};
