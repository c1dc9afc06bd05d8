//! An outcome to bytes: one JSON object and a newline, fields in the order of the specification.

use serde::Serialize;
use zeroize::Zeroizing;

use super::VERSION;
use super::people::{
    ChosenBody, SignedInBody, SignedOutBody, StatusBody, chosen, signed_in, signed_out, status,
};
use super::providers::{AddedBody, ProvidersBody, RemovedBody, added_body, providers_body, removed_body};
use super::setup::{ConfiguredBody, LinkedBody, configured_body, linked_body};
use super::storage::{FindingBody, ShownBody, finding_body, shown_body};
use super::words::{exit, name, outcome_exit, problems, revocation_name, warning_name};
use crate::dialect::Rendered;
use crate::limits;
use crate::message::{
    Capabilities, Code, Erased, Failure, Freshness, Listed, MatchedBy, Outcome, Relocated, Stored, Token,
    Warning,
};
use crate::session::{Profile, Service, Storage};
use crate::time::Timestamp;

/// Writes a reply.
#[must_use]
pub fn render(result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
    let warnings =
        warnings.iter().map(|w| WarningBody { code: warning_name(w.code), message: &w.message }).collect();
    let (body, stderr, exit) = match result {
        Ok(outcome) => (body(outcome), String::new(), outcome_exit(outcome)),
        Err(failure) => (Body::Error { error: error(failure) }, for_people(failure), exit(failure.code)),
    };
    match serialise(&Reply { version: VERSION, body, warnings }) {
        Ok(stdout) => Rendered { stdout, stderr, exit, then: None },
        // Every type here serialises; should one not, an error without a reply is the honest answer.
        Err(_) => Rendered {
            stdout: Zeroizing::default(),
            stderr: "claviger: error: the reply could not be written as JSON\n".to_owned(),
            exit: self::exit(Code::Internal),
            then: None,
        },
    }
}

fn serialise(reply: &Reply<'_>) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    // Room for the token, so that a reply is not copied about while it grows.
    let token = if let Body::Token(token) = &reply.body { token.access_token.len() } else { 0 };
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096 + token * 2));
    serde_json::to_writer(&mut *bytes, reply)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A failure as one line for people.
#[must_use]
pub fn for_people(failure: &Failure) -> String {
    let hint = if failure.hint.is_empty() { String::new() } else { format!("; {}", failure.hint) };
    format!("claviger: error: {}{hint}\n", failure.message)
}

#[derive(Serialize)]
struct Reply<'a> {
    version: i64,
    #[serde(flatten)]
    body: Body<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningBody<'a>>,
}

#[derive(Serialize)]
struct WarningBody<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Nothing {},
    Token(TokenBody<'a>),
    Stored(StoredBody<'a>),
    Erased { erased: bool, revocation: &'static str },
    Listed { sessions: Vec<ListedBody<'a>> },
    Capabilities(CapabilitiesBody<'a>),
    Shown(ShownBody<'a>),
    Relocated { storage: Storage, moved: usize },
    Providers(ProvidersBody<'a>),
    ProviderAdded(AddedBody<'a>),
    ProviderRemoved(RemovedBody<'a>),
    Configured(ConfiguredBody<'a>),
    Linked(LinkedBody<'a>),
    Examined { problems: usize, findings: Vec<FindingBody<'a>> },
    SignedIn(SignedInBody<'a>),
    SignedOut(SignedOutBody<'a>),
    Standing(StatusBody<'a>),
    Chosen(ChosenBody<'a>),
    Error { error: ErrorBody<'a> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenBody<'a> {
    service: &'a Service,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    token_type: &'a str,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    has_refresh_token: Option<bool>,
    storage: &'static str,
    outcome: &'static str,
    matched_by: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredBody<'a> {
    service: &'a Service,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    storage: Storage,
    has_refresh_token: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedBody<'a> {
    service: &'a Service,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    services: &'a [Service],
    storage: Storage,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_refresh_token: Option<bool>,
    default: bool,
}

#[derive(Serialize)]
struct CapabilitiesBody<'a> {
    versions: [i64; 1],
    dialects: &'a [&'static str],
    storages: &'a [&'static str],
    grants: &'a [&'static str],
    limits: Limits,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    request_bytes: usize,
    service_bytes: usize,
    account_bytes: usize,
    profile_bytes: usize,
    token_bytes: usize,
    services: usize,
    scopes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
    hint: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<i64>,
}

fn body(outcome: &Outcome) -> Body<'_> {
    match outcome {
        Outcome::Token(token) => Body::Token(token_body(token)),
        Outcome::Stored(Stored { name, storage, has_refresh_token }) => Body::Stored(StoredBody {
            service: &name.service,
            account: name.account.as_str(),
            profile: name.profile.as_ref().map(Profile::as_str),
            storage: *storage,
            has_refresh_token: *has_refresh_token,
        }),
        Outcome::Erased(Erased { erased, revocation }) => {
            Body::Erased { erased: *erased, revocation: revocation_name(*revocation) }
        }
        Outcome::Listed(sessions) => Body::Listed { sessions: sessions.iter().map(listed_body).collect() },
        // No request of this protocol has these.
        Outcome::Tokens(_) | Outcome::Kept { .. } | Outcome::Registries(_) => Body::Nothing {},
        Outcome::Shown(shown) => Body::Shown(shown_body(shown)),
        Outcome::Relocated(Relocated { to, moved }) => Body::Relocated { storage: *to, moved: *moved },
        Outcome::Providers(providers) => Body::Providers(providers_body(providers)),
        Outcome::ProviderAdded(added) => Body::ProviderAdded(added_body(added)),
        Outcome::ProviderRemoved(removed) => Body::ProviderRemoved(removed_body(removed)),
        Outcome::Configured(configured) => Body::Configured(configured_body(configured)),
        Outcome::Linked(linked) => Body::Linked(linked_body(linked)),
        Outcome::Examined(findings) => Body::Examined {
            problems: problems(findings),
            findings: findings.iter().map(finding_body).collect(),
        },
        Outcome::SignedIn(outcome) => Body::SignedIn(signed_in(outcome)),
        Outcome::SignedOut(sessions) => Body::SignedOut(signed_out(sessions)),
        Outcome::Standing(outcome) => Body::Standing(status(outcome)),
        Outcome::Chosen(outcome) => Body::Chosen(chosen(outcome)),
        Outcome::Capabilities(Capabilities { storages, dialects, grants }) => {
            Body::Capabilities(CapabilitiesBody {
                versions: [VERSION],
                dialects,
                storages,
                grants,
                limits: Limits {
                    request_bytes: limits::REQUEST_BYTES,
                    service_bytes: limits::SERVICE_BYTES,
                    account_bytes: limits::ACCOUNT_BYTES,
                    profile_bytes: limits::PROFILE_BYTES,
                    token_bytes: limits::TOKEN_BYTES,
                    services: limits::SERVICES,
                    scopes: limits::SCOPES,
                },
            })
        }
    }
}

fn token_body(token: &Token) -> TokenBody<'_> {
    TokenBody {
        service: &token.name.service,
        account: token.name.account.as_str(),
        profile: token.name.profile.as_ref().map(Profile::as_str),
        username: token.username.as_deref(),
        token_type: &token.token_type,
        access_token: token.access.expose(),
        expires_at: token.expires_at,
        scopes: &token.scopes,
        has_refresh_token: token.has_refresh_token,
        storage: Storage::word(token.storage),
        outcome: match token.freshness {
            Freshness::Cached => "cached",
            Freshness::Refreshed => "refreshed",
            Freshness::Adopted => "adopted",
            Freshness::Minted => "minted",
            Freshness::Stale => "stale",
        },
        matched_by: match token.matched_by {
            MatchedBy::Origin => "origin",
            MatchedBy::Account => "account",
            MatchedBy::Default => "default",
            MatchedBy::Only => "only",
        },
    }
}

fn listed_body(listed: &Listed) -> ListedBody<'_> {
    ListedBody {
        service: &listed.name.service,
        account: listed.name.account.as_str(),
        profile: listed.name.profile.as_ref().map(Profile::as_str),
        label: listed.label.as_deref(),
        services: &listed.services,
        storage: listed.storage,
        expires_at: listed.expires_at,
        has_refresh_token: listed.has_refresh_token,
        default: listed.default,
    }
}

fn error(failure: &Failure) -> ErrorBody<'_> {
    ErrorBody {
        code: name(failure.code),
        message: &failure.message,
        hint: &failure.hint,
        retryable: exit(failure.code) == 4,
        retry_after: failure.retry_after,
    }
}
