//! What `login`, `logout` and `use` say.

use crate::message::{Chosen, Revocation, SignedIn, SignedOut};
use crate::session::{Service, SessionName};
use crate::text::Escaped;

pub(super) fn signed_in(signed_in: &SignedIn) -> String {
    let SignedIn { name, provider, storage, has_refresh_token, services, default, shared, replaced, .. } =
        signed_in;
    let by = if *shared { ", by another process" } else { "" };
    let account = Escaped(name.account.as_str());
    let mut lines = vec![
        format!("Signed in to {provider} as {account}{by}; the session is kept in {}.", storage.words()),
        format!("It opens {}.", list(services)),
    ];
    if !has_refresh_token {
        lines.push("The server gave no refresh token: sign in again when it ends.".to_owned());
    }
    if !default {
        let word = if is_a_plain_word(name.account.as_str()) { name.account.as_str() } else { "ACCOUNT" };
        lines.push(format!("Another account is the default there; `claviger use {word}` makes this one it."));
    }
    if *replaced == Some(Revocation::Failed) {
        lines.push("The session before it could not be revoked at the server.".to_owned());
    }
    lines.join("\n") + "\n"
}

/// Whether a shell would take it for itself: the server chose it, and people copy what is shown as a command.
fn is_a_plain_word(account: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    !account.starts_with('-') && account.chars().all(plain)
}

pub(super) fn signed_out(sessions: &[SignedOut]) -> String {
    if sessions.is_empty() {
        return "There is no session to end.\n".to_owned();
    }
    sessions.iter().map(one_out).collect()
}

fn one_out(signed_out: &SignedOut) -> String {
    let SignedOut { name, erased, revocation } = signed_out;
    if !erased {
        return format!("There was nothing left of {}.\n", named(name));
    }
    let server = match revocation {
        Revocation::Revoked => "revoked at the server",
        Revocation::Failed => {
            "not revoked: the server could not be reached or refused; its tokens end by themselves"
        }
        Revocation::Unsupported => {
            "not revoked: the server has no revocation endpoint; its tokens end by themselves"
        }
        Revocation::Skipped => "with no refresh token to revoke",
    };
    format!("Signed out of {}: erased here, {server}.\n", named(name))
}

pub(super) fn chosen(chosen: &Chosen) -> String {
    format!("{} is the default of {} now.\n", Escaped(chosen.name.account.as_str()), list(&chosen.services))
}

fn named(name: &SessionName) -> String {
    let profile = name.profile.as_ref().map(|profile| format!(", profile {}", profile.as_str()));
    format!("{} as {}{}", name.service, Escaped(name.account.as_str()), profile.unwrap_or_default())
}

fn list(services: &[Service]) -> String {
    services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
