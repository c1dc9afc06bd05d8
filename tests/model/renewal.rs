//! A `get` as the reference has it: good enough, or refreshed, or what came of trying (sections G and R).

use serde_json::{Value, json};

use super::reference::{Failure, Name, Outcome, Reference, Session, authorized, error, proof, time, window};
use super::server::{Answer, Rotation};
use super::steps::Get;

/// What is to be done about a token.
enum Verdict {
    Good,
    /// Only its youth keeps it from being refreshed (R3).
    Young,
    Due,
    /// Whether the window has begun is not known yet: so much is left.
    Unknown(i64),
}

impl Session {
    fn left(&self, now: i64) -> Option<i64> {
        self.expires.map(|end| end - now)
    }

    fn is_valid(&self, now: i64) -> bool {
        self.access.is_some() && self.left(now).is_none_or(|left| left > 0)
    }

    fn verdict(&self, get: &Get, now: i64) -> Verdict {
        if get.force || self.access.is_none() {
            return Verdict::Due;
        }
        let Some(left) = self.left(now) else { return Verdict::Good };
        if self.obtained - now > 300 {
            return Verdict::Due;
        }
        let (least, most) = get.min_validity.map_or(self.window, |seconds| (seconds, seconds));
        if left > 0 && left >= most {
            Verdict::Good
        } else if self.ours && (0..30).contains(&(now - self.obtained)) && (left <= 0 || left < least) {
            Verdict::Young
        } else if left <= 0 || left < least {
            Verdict::Due
        } else {
            Verdict::Unknown(left)
        }
    }
}

impl Reference {
    pub fn get(&self, get: &Get, answer: Answer, access: &str, refresh: &str) -> Vec<Outcome> {
        let (name, matched) = match self.meant(get) {
            Ok(meant) => meant,
            Err(code @ "NO_ACCOUNT_SELECTED") => return vec![self.fails(code)],
            Err(code) => return vec![self.clone().searched().fails(code)],
        };
        let session = &self.sessions[&name];
        let asked = Asked { get, name: &name, matched };
        let known_from = |least: Option<i64>, most: Option<i64>| {
            let mut known = self.clone();
            let window = &mut known.sessions.get_mut(&name).expect("it is there").window;
            *window = (least.unwrap_or(window.0), most.unwrap_or(window.1));
            known
        };
        match session.verdict(get, self.now) {
            Verdict::Good => vec![self.serves(&asked, "cached", &[])],
            Verdict::Young => vec![self.serves(&asked, "cached", &["VALIDITY_SHORT"])],
            Verdict::Due => vec![self.renews(&asked, answer, access, refresh)],
            Verdict::Unknown(left) => {
                let (good, due) = (known_from(None, Some(left)), known_from(Some(left + 1), None));
                let young = session.ours && (0..30).contains(&(self.now - session.obtained));
                let due = if young {
                    due.serves(&asked, "cached", &["VALIDITY_SHORT"])
                } else {
                    due.renews(&asked, answer, access, refresh)
                };
                vec![good.serves(&asked, "cached", &[]), due]
            }
        }
    }

    /// What may be there when the process dies in one of these refreshes: all as it was, the new refresh token beside the
    /// old access token (R14), or both; what comes behind them is not done yet.
    pub fn dies(&self, whole: &[Outcome]) -> Vec<Outcome> {
        let (exit, reply) = error("INTERNAL", None);
        let dead = |after, sent| Outcome { after, exit, reply: reply.clone(), sent };
        let mut outcomes = vec![dead(self.clone(), None)];
        for done in whole.iter().filter(|done| done.sent.is_some()) {
            let mut half = self.clone();
            for (name, session) in &mut half.sessions {
                session.refresh.clone_from(&done.after.sessions[name].refresh);
            }
            let full = Self { sessions: done.after.sessions.clone(), ..self.clone() };
            outcomes.extend([self.clone(), half, full].map(|after| dead(after, done.sent.clone())));
        }
        outcomes
    }

    fn serves(&self, asked: &Asked<'_>, outcome: &str, warnings: &[&str]) -> Outcome {
        let session = &self.sessions[asked.name];
        let mut reply = json!({
            "version": 1, "service": asked.name.0, "account": asked.name.1, "tokenType": "Bearer",
            "accessToken": session.access, "scopes": session.scopes, "storage": self.storage(),
            "hasRefreshToken": session.refresh.is_some(), "outcome": outcome, "matchedBy": asked.matched,
        });
        if let Some(profile) = &asked.name.2 {
            reply["profile"] = json!(profile);
        }
        if let Some(end) = session.expires {
            reply["expiresAt"] = json!(time(end));
        }
        let mut warnings: Vec<Value> = warnings.iter().map(|code| json!(code)).collect();
        let wanted = asked.get.min_validity.unwrap_or(0);
        if session.left(self.now).is_some_and(|left| left <= 0 || left < wanted)
            && !warnings.contains(&json!("VALIDITY_SHORT"))
        {
            warnings.push(json!("VALIDITY_SHORT"));
        }
        if !warnings.is_empty() {
            reply["warnings"] = json!(warnings);
        }
        Outcome { after: self.clone(), exit: 0, reply, sent: None }
    }

    /// It was due and there is no new token: a valid one is served, but to whoever insisted (G5 to G7).
    fn fails_to_renew(&self, asked: &Asked<'_>, code: &str, retry_after: Option<i64>) -> Outcome {
        if !asked.get.force && self.sessions[asked.name].is_valid(self.now) {
            return match code {
                "AUTH_REFRESH_UNAVAILABLE" => self.serves(asked, "cached", &[]),
                _ => self.serves(asked, "stale", &["STALE"]),
            };
        }
        let (exit, reply) = error(code, retry_after);
        Outcome { after: self.clone(), exit, reply, sent: None }
    }

    fn renews(&self, asked: &Asked<'_>, answer: Answer, access: &str, fresh: &str) -> Outcome {
        let (now, session) = (self.now, &self.sessions[asked.name]);
        let (Some(token), Some(client)) = (&session.refresh, session.client) else {
            return self.fails_to_renew(asked, "AUTH_REFRESH_UNAVAILABLE", None);
        };
        if let Some(seconds) = self.left_alone(asked.name).filter(|_| !asked.get.force) {
            return self.fails_to_renew(asked, "AUTH_REFRESH_TRANSIENT", Some(seconds));
        }
        if let Some((dead, at)) = &session.dead {
            let age = now - at;
            let over = !(-300..86_400).contains(&age) || (asked.get.force && age >= 600);
            if dead == token && !over {
                return self.fails_to_renew(asked, "AUTH_REFRESH_EXPIRED", None);
            }
        }
        let mut after = self.clone();
        let mut outcome = after.answered(asked, answer, access, fresh);
        let form = format!("grant_type=refresh_token&refresh_token={token}{}", proof(client));
        outcome.sent = Some((client.endpoint.to_owned(), authorized(client, &form)));
        outcome
    }

    /// What the server's answer does (R10 to R20).
    fn answered(&mut self, asked: &Asked<'_>, answer: Answer, access: &str, fresh: &str) -> Outcome {
        let now = self.now;
        let session = self.sessions.get_mut(asked.name).expect("it is there");
        match answer {
            Answer::Grant { rotation, lifetime: (_, lifetime), scope } => {
                session.access = Some(access.to_owned());
                session.obtained = now;
                session.ours = true;
                session.expires = lifetime.map(|seconds| now + seconds);
                session.window = window(lifetime.unwrap_or(0));
                session.dead = None;
                session.generation += 1;
                if rotation == Rotation::New {
                    session.refresh = Some(fresh.to_owned());
                }
                if let Some(scope) = scope.filter(|scope| !scope.is_empty()) {
                    session.scopes = vec![scope.to_owned()];
                }
                self.failures.remove(asked.name);
                self.note_in_index(asked.name);
                self.serves(asked, "refreshed", &[])
            }
            Answer::InvalidGrant { .. } => {
                session.dead = session.refresh.clone().map(|token| (token, now));
                session.generation += 1;
                self.failures.remove(asked.name);
                self.fails_to_renew(asked, "AUTH_REFRESH_EXPIRED", None)
            }
            Answer::InvalidClient => self.fails_to_renew(asked, "PROVIDER_REJECTED", None),
            Answer::NotThere => self.fails_to_renew(asked, "ENDPOINT_NOT_FOUND", None),
            Answer::Untrusted => self.fails_to_renew(asked, "TLS_UNTRUSTED", None),
            Answer::OddRotation => {
                session.refresh = Some(fresh.to_owned());
                self.fails_for_now(asked, None)
            }
            Answer::Trouble { retry_after, .. } | Answer::SlowDown { retry_after } => {
                let seconds = retry_after.map(|text| text.parse::<i64>().expect("a number").min(86_400));
                self.fails_for_now(asked, seconds)
            }
            Answer::NotJson | Answer::Unreachable | Answer::BrokenOff => self.fails_for_now(asked, None),
        }
    }

    fn fails_for_now(&mut self, asked: &Asked<'_>, retry_after: Option<i64>) -> Outcome {
        let before = self.failures.get(asked.name).filter(|before| before.at <= self.now);
        let row = before.map_or(1, |before| before.row + 1);
        self.failures.insert(asked.name.clone(), Failure { at: self.now, row, retry_after });
        self.fails_to_renew(asked, "AUTH_REFRESH_TRANSIENT", retry_after)
    }

    /// For how many seconds the server is left alone yet (R19).
    fn left_alone(&self, name: &Name) -> Option<i64> {
        let failure = self.failures.get(name)?;
        let longest = if self.sessions[name].is_valid(self.now) { 300 } else { 30 };
        let whole = match failure.retry_after {
            Some(asked) => asked.min(300),
            None => 2_i64.saturating_pow(failure.row).min(longest),
        };
        let age = self.now - failure.at;
        (age >= 0 && age < whole).then_some(whole - age)
    }
}

/// A `get`, the session it means, and what matched.
struct Asked<'a> {
    get: &'a Get,
    name: &'a Name,
    matched: &'static str,
}
