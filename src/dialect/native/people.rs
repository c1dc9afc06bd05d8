//! What people's commands reply with `--json`, and what a login tells a tool while it goes on.

use serde::Serialize;
use zeroize::Zeroizing;

use super::words::revocation_name;
use crate::message::{Chosen, Event, Revocation, SignedIn, SignedOut, Standing, Status};
use crate::session::{Profile, Service, Storage};
use crate::time::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedInBody<'a> {
    service: &'a Service,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    provider: &'a str,
    storage: Storage,
    has_refresh_token: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    scopes: &'a [String],
    services: &'a [Service],
    default: bool,
    shared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<&'static str>,
}

pub(super) fn signed_in(signed_in: &SignedIn) -> SignedInBody<'_> {
    SignedInBody {
        service: &signed_in.name.service,
        account: signed_in.name.account.as_str(),
        profile: signed_in.name.profile.as_ref().map(Profile::as_str),
        provider: &signed_in.provider,
        storage: signed_in.storage,
        has_refresh_token: signed_in.has_refresh_token,
        expires_at: signed_in.expires_at,
        scopes: &signed_in.scopes,
        services: &signed_in.services,
        default: signed_in.default,
        shared: signed_in.shared,
        replaced: signed_in.replaced.map(revocation_name),
    }
}

#[derive(Serialize)]
pub(super) struct SignedOutBody<'a> {
    erased: bool,
    revocation: &'static str,
    sessions: Vec<EndedBody<'a>>,
}

#[derive(Serialize)]
struct EndedBody<'a> {
    service: &'a Service,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    erased: bool,
    revocation: &'static str,
}

/// Of several sessions, what went worst is what the whole reply says.
pub(super) fn signed_out(sessions: &[SignedOut]) -> SignedOutBody<'_> {
    let worst = [Revocation::Failed, Revocation::Unsupported, Revocation::Revoked]
        .into_iter()
        .find(|worst| sessions.iter().any(|session| session.revocation == *worst));
    SignedOutBody {
        erased: sessions.iter().any(|session| session.erased),
        revocation: revocation_name(worst.unwrap_or(Revocation::Skipped)),
        sessions: sessions
            .iter()
            .map(|session| EndedBody {
                service: &session.name.service,
                account: session.name.account.as_str(),
                profile: session.name.profile.as_ref().map(Profile::as_str),
                erased: session.erased,
                revocation: revocation_name(session.revocation),
            })
            .collect(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusBody<'a> {
    storage: Storage,
    decided_by: &'a str,
    checked: bool,
    sessions: Vec<StandingBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StandingBody<'a> {
    service: &'a Service,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    services: &'a [Service],
    default_of: &'a [Service],
    storage: Storage,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_refresh_token: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obtained_at: Option<Timestamp>,
    problems: &'a [String],
}

pub(super) fn status(status: &Status) -> StatusBody<'_> {
    StatusBody {
        storage: status.storage,
        decided_by: &status.decided_by,
        checked: status.checked,
        sessions: status.sessions.iter().map(standing).collect(),
    }
}

fn standing(standing: &Standing) -> StandingBody<'_> {
    StandingBody {
        service: &standing.name.service,
        account: standing.name.account.as_str(),
        profile: standing.name.profile.as_ref().map(Profile::as_str),
        label: standing.label.as_deref(),
        provider: standing.provider.as_deref(),
        services: &standing.services,
        default_of: &standing.default_of,
        storage: standing.storage,
        expires_at: standing.expires_at,
        has_refresh_token: standing.has_refresh_token,
        obtained_at: standing.obtained_at,
        problems: &standing.problems,
    }
}

#[derive(Serialize)]
pub(super) struct ChosenBody<'a> {
    service: &'a Service,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    services: &'a [Service],
}

pub(super) fn chosen(chosen: &Chosen) -> ChosenBody<'_> {
    ChosenBody {
        service: &chosen.name.service,
        account: chosen.name.account.as_str(),
        profile: chosen.name.profile.as_ref().map(Profile::as_str),
        services: &chosen.services,
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum EventBody<'a> {
    Authorization {
        authorization_url: &'a str,
        redirect_uri: &'a str,
        opened: bool,
    },
    Device {
        verification_uri: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        verification_uri_complete: Option<&'a str>,
        user_code: &'a str,
        expires_in: i64,
        interval: i64,
    },
}

/// An event as one line.
#[must_use]
pub fn event(event: &Event<'_>) -> Zeroizing<Vec<u8>> {
    let body = match *event {
        Event::Authorization { url, redirect_uri, opened } => {
            EventBody::Authorization { authorization_url: url, redirect_uri, opened }
        }
        Event::Device { verification_uri, verification_uri_complete, user_code, expires_in, interval } => {
            EventBody::Device { verification_uri, verification_uri_complete, user_code, expires_in, interval }
        }
    };
    // Every type here serialises; a line that does not come is missed by nobody who reads the last one.
    let mut bytes = Zeroizing::new(serde_json::to_vec(&body).unwrap_or_default());
    bytes.push(b'\n');
    bytes
}
