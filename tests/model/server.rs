//! What the token endpoint may answer, and an oracle that knows which refresh token it has taken back.

use std::collections::{BTreeMap, BTreeSet};

use claviger::http::Error;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::support::world::Line;

/// What becomes of the refresh token in a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    New,
    Absent,
    Null,
    Empty,
    Same,
}

/// `expires_in`, as it is written and as it is to be understood.
pub type Lifetime = (&'static str, Option<i64>);
const LONGEST: i64 = 315_576_000;
const LIFETIMES: [Lifetime; 12] = [
    ("3600", Some(3600)),
    ("3600", Some(3600)),
    ("3600", Some(3600)),
    ("600", Some(600)),
    ("40", Some(40)),
    ("\"900\"", Some(900)),
    ("0", Some(0)),
    ("-1", None),
    ("null", None),
    ("315576001", Some(LONGEST)),
    ("99999999999999999999", Some(LONGEST)),
    ("1e300", Some(LONGEST)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Grant {
        rotation: Rotation,
        lifetime: Lifetime,
        scope: Option<&'static str>,
    },
    /// It has rotated, and what it says is no grant all the same.
    OddRotation,
    InvalidGrant {
        status: u16,
    },
    InvalidClient,
    NotThere,
    /// Trouble that may pass: status and `Retry-After`.
    Trouble {
        status: u16,
        retry_after: Option<&'static str>,
    },
    SlowDown {
        retry_after: Option<&'static str>,
    },
    NotJson,
    Unreachable,
    BrokenOff,
    Untrusted,
}

/// As most are.
pub const USUAL: Answer =
    Answer::Grant { rotation: Rotation::New, lifetime: ("3600", Some(3600)), scope: None };

pub fn answers() -> impl Strategy<Value = Answer> {
    let rotation = select(vec![
        Rotation::New,
        Rotation::New,
        Rotation::New,
        Rotation::Absent,
        Rotation::Null,
        Rotation::Empty,
        Rotation::Same,
    ]);
    let scope = select(vec![None, None, Some("api"), Some("")]);
    let wait = select(vec![None, None, Some("0"), Some("5"), Some("299"), Some("400"), Some("99999999999")]);
    prop_oneof![
        8 => (rotation, select(&LIFETIMES[..]), scope)
            .prop_map(|(rotation, lifetime, scope)| Answer::Grant { rotation, lifetime, scope }),
        1 => Just(Answer::OddRotation),
        2 => select(vec![400, 401]).prop_map(|status| Answer::InvalidGrant { status }),
        1 => Just(Answer::InvalidClient),
        1 => Just(Answer::NotThere),
        2 => (select(vec![500, 503, 429, 408, 302]), wait.clone())
            .prop_map(|(status, retry_after)| Answer::Trouble { status, retry_after }),
        1 => wait.prop_map(|retry_after| Answer::SlowDown { retry_after }),
        1 => Just(Answer::NotJson),
        1 => Just(Answer::Unreachable),
        1 => Just(Answer::BrokenOff),
        1 => Just(Answer::Untrusted),
    ]
}

/// The tokens a grant brings: the next access token, and the next refresh token.
pub struct Fresh<'a> {
    pub access: &'a str,
    pub refresh: &'a str,
}

impl Answer {
    /// What the server says to this refresh token.
    pub fn line(self, sent: &str, fresh: &Fresh<'_>) -> Line {
        let reply = |status, body: String, kind: &str, retry_after: Option<&str>| Line::Reply {
            status,
            content_type: Some(kind.to_owned()),
            retry_after: retry_after.map(str::to_owned),
            body,
        };
        let json = |status, body: &Value, wait| reply(status, body.to_string(), "application/json", wait);
        match self {
            Self::Grant { rotation, lifetime: (lifetime, _), scope } => {
                let rotated = match rotation {
                    Rotation::New => format!(r#","refresh_token":"{}""#, fresh.refresh),
                    Rotation::Same => format!(r#","refresh_token":"{sent}""#),
                    Rotation::Empty => r#","refresh_token":"""#.to_owned(),
                    Rotation::Null => r#","refresh_token":null"#.to_owned(),
                    Rotation::Absent => String::new(),
                };
                let scope = scope.map_or_else(String::new, |scope| format!(r#","scope":"{scope}""#));
                let body = format!(
                    r#"{{"access_token":"{}","token_type":"bearer","expires_in":{lifetime}{rotated}{scope}}}"#,
                    fresh.access
                );
                reply(200, body, "application/json", None)
            }
            Self::OddRotation => json(
                200,
                &json!({ "access_token": fresh.access, "token_type": "mac", "refresh_token": fresh.refresh }),
                None,
            ),
            Self::InvalidGrant { status } => json(status, &json!({ "error": "invalid_grant" }), None),
            Self::InvalidClient => json(401, &json!({ "error": "invalid_client" }), None),
            Self::NotThere => json(404, &json!({}), None),
            Self::Trouble { status, retry_after } => json(status, &json!({}), retry_after),
            Self::SlowDown { retry_after } => json(400, &json!({ "error": "slow_down" }), retry_after),
            Self::NotJson => reply(200, "<html>".to_owned(), "text/html", None),
            Self::Unreachable => Line::Fail(|| Error::Unsent("nobody listens".to_owned())),
            Self::BrokenOff => Line::Fail(|| Error::Broken("reset".to_owned())),
            Self::Untrusted => Line::Fail(|| Error::Untrusted("self-signed".to_owned())),
        }
    }

    pub fn is_200(self) -> bool {
        matches!(self, Self::Grant { .. } | Self::OddRotation | Self::NotJson)
    }

    /// Whether the token it was sent is spent now.
    fn spends(self) -> bool {
        matches!(self, Self::Grant { rotation: Rotation::New, .. } | Self::OddRotation)
    }
}

/// Knows of each refresh token whose it is and whether it is spent, from what was stored and sent alone.
#[derive(Default)]
pub struct Oracle {
    /// Where each may go: to its token endpoint, and to its revocation endpoint.
    homes: BTreeMap<String, [Option<String>; 2]>,
    spent: BTreeSet<String>,
}

impl Oracle {
    pub fn gave(&mut self, token: &str, endpoint: &str, revocation: Option<&str>) {
        self.homes.insert(token.to_owned(), [Some(endpoint.to_owned()), revocation.map(str::to_owned)]);
    }

    /// The answer died with the process that it was for: what it still has is all it can send.
    pub fn forgives(&mut self, token: &str) {
        self.spent.remove(token);
    }

    /// Judges a request, and notes what the answer to it does.
    pub fn was_sent(
        &mut self,
        endpoint: &str,
        form: &str,
        answer: Answer,
        fresh: &str,
    ) -> Result<(), String> {
        let field =
            |name: &str| form.split(['&', ' ']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let (token, is_refresh) = match (field("refresh_token"), field("token")) {
            (Some(token), None) => (token, true),
            (None, Some(token)) => (token, false),
            _ => return Err(format!("a request of no known kind: {form}")),
        };
        let Some(homes) = self.homes.get(token).cloned() else {
            return Err(format!("a refresh token that no server ever gave: {form}"));
        };
        if homes[usize::from(!is_refresh)].as_deref() != Some(endpoint) {
            return Err(format!("{token} was sent to {endpoint}, which is none of {homes:?}"));
        }
        if self.spent.contains(token) {
            return Err(format!("{token} was sent again after it was spent"));
        }
        if is_refresh && answer.spends() {
            self.spent.insert(token.to_owned());
            self.homes.insert(fresh.to_owned(), homes);
        }
        Ok(())
    }
}
