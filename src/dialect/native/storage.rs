//! The bodies of replies about where sessions are kept.

use serde::Serialize;

use super::words::{health_name, name};
use crate::message::{Finding, Shown};
use crate::session::Storage;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownBody<'a> {
    storage: &'static str,
    decided_by: &'a str,
    in_use: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<Storage>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    moving: bool,
    keyring: KeyringBody<'a>,
    state_folder: &'a str,
    sessions: SessionsBody,
}

#[derive(Serialize)]
struct KeyringBody<'a> {
    readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct SessionsBody {
    keyring: usize,
    plaintext: usize,
}

#[derive(Serialize)]
pub(super) struct FindingBody<'a> {
    check: &'static str,
    state: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'a str,
}

pub(super) fn shown_body(shown: &Shown) -> ShownBody<'_> {
    let failure = shown.keyring.as_ref();
    let count =
        |wanted| shown.sessions.iter().filter(|(storage, _)| *storage == wanted).map(|(_, n)| n).sum();
    ShownBody {
        storage: Storage::word(shown.storage),
        decided_by: &shown.decided_by,
        in_use: Storage::word(shown.in_use),
        pin: shown.pin,
        moving: shown.moving,
        keyring: KeyringBody {
            readable: failure.is_none(),
            code: failure.map(|failure| name(failure.code)),
            message: failure.map(|failure| failure.message.as_str()),
            hint: failure.map(|failure| failure.hint.as_str()),
        },
        state_folder: &shown.state,
        sessions: SessionsBody { keyring: count(Storage::Keyring), plaintext: count(Storage::Plaintext) },
    }
}

pub(super) fn finding_body(finding: &Finding) -> FindingBody<'_> {
    FindingBody {
        check: finding.check,
        state: health_name(finding.health),
        message: &finding.message,
        hint: &finding.hint,
    }
}
