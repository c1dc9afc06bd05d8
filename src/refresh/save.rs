//! What becomes of the session once the server has answered. Nothing that was granted is ever put back, and
//! nothing but a proven `invalid_grant` marks the refresh token dead (I10).

use std::time::Duration;

use super::{Error, Tools};
use crate::http;
use crate::lock::Guard;
use crate::oauth::token::{Granted, Refused};
use crate::secret::{RefreshToken, hex};
use crate::store::index::Entry;
use crate::store::record::{Bundle, ObtainedBy, Record, RefreshEntry, Tombstone};
use crate::store::{self, Persisted};
use crate::time::Timestamp;

/// Makes a grant durable, refresh slot first. From here on nothing is ever put back.
pub(super) fn keep(
    tools: &Tools<'_>,
    guard: &Guard,
    current: Bundle,
    entry: RefreshEntry,
    granted: Granted,
    begun: Timestamp,
) -> Result<Persisted, Error> {
    let Granted { access, token_type, expires_in, refresh, refresh_expires_in, scopes, issued: _ } = granted;
    let old = current.record;
    let generation = old.generation.saturating_add(1);
    let deadline = tools.clock.monotonic() + tools.save_patience;
    let rotated = refresh.filter(|new| !new.same_as(&entry.token));
    let refresh_token_expires_at = match (&rotated, refresh_expires_in) {
        (_, Some(seconds)) => Some(begun.plus(seconds)),
        (Some(_), None) => None,
        (None, None) => old.refresh_token_expires_at,
    };
    if let Some(token) = rotated {
        let next =
            RefreshEntry { token, generation, obtained_by: ObtainedBy::Refresh, grant: old.grant(), ..entry };
        while let Err(error) = store::save_refresh(tools.backend, guard, &next) {
            insist(tools, deadline, error)?;
        }
    }
    let record = Record {
        token_type,
        scopes: scopes.unwrap_or(old.scopes),
        obtained_at: begun,
        obtained_by: ObtainedBy::Refresh,
        expires_at: expires_in.map(|seconds| begun.plus(seconds)),
        refresh_token_expires_at,
        has_refresh_token: Some(true),
        generation,
        tombstone: None,
        pending: None,
        ..old
    };
    keep_access(tools, guard, Bundle { record, access: Some(access) }, deadline)
}

/// Makes an access token durable, with its record, and tells the index.
pub(super) fn keep_access(
    tools: &Tools<'_>,
    guard: &Guard,
    mut bundle: Bundle,
    deadline: Duration,
) -> Result<Persisted, Error> {
    let saved = loop {
        match store::save_checked(tools.backend, guard, bundle) {
            Ok(saved) => break saved,
            Err(rejected) => {
                insist(tools, deadline, rejected.error)?;
                bundle = *rejected.bundle;
            }
        }
    };
    // Hints only: a lost one is put right by the next write.
    let _ = tools.index.put(&Entry::of(saved.record(), saved.storage()));
    Ok(saved)
}

/// Waits before a failed write is tried again, until our patience ends: the server has already rotated, so
/// giving up early is what costs the session. A keyring call that is still out cannot be followed by another.
fn insist(tools: &Tools<'_>, deadline: Duration, error: store::Error) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_millis(100);
    if matches!(error, store::Error::Timeout { .. }) || tools.clock.monotonic() >= deadline {
        return Err(Error::Unsaved(error));
    }
    tools.clock.pause(PAUSE);
    Ok(())
}

/// A reply that is no usable grant may still have rotated the refresh token: the new one is kept, for the old
/// one is spent. The mark stays, as after a crash.
pub(super) fn rescue(
    tools: &Tools<'_>,
    guard: &Guard,
    entry: RefreshEntry,
    token: RefreshToken,
) -> Result<(), Error> {
    if token.same_as(&entry.token) {
        return Ok(());
    }
    let deadline = tools.clock.monotonic() + tools.save_patience;
    let generation = entry.generation.saturating_add(1);
    let next = RefreshEntry { token, generation, obtained_by: ObtainedBy::Refresh, ..entry };
    while let Err(error) = store::save_refresh(tools.backend, guard, &next) {
        insist(tools, deadline, error)?;
    }
    Ok(())
}

/// Records that the server has declared this refresh token dead, once it is certain that it was this one.
pub(super) fn bury(
    tools: &Tools<'_>,
    guard: &Guard,
    current: Bundle,
    sent: &RefreshEntry,
) -> Result<(), Error> {
    let stored = store::load_refresh(tools.backend, guard, &sent.name)?;
    if stored.is_some_and(|stored| !stored.token.same_as(&sent.token)) {
        // Somebody wrote without the lock; the token there may be good, and the next call will try it.
        let why = "the stored refresh token changed while the old one was refused".to_owned();
        return Err(Error::Refused(Refused::Transient { why, retry_after: None }));
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| store::Error::Write {
        what: format!("slot {}", sent.name.access_slot()),
        why: "the system gave no random numbers".to_owned(),
    })?;
    let salt = hex(&random);
    let tombstone = Tombstone { hash: sent.token.digest(&salt), salt, at: tools.clock.now() };
    let record = Record {
        tombstone: Some(tombstone),
        pending: None,
        generation: current.record.generation.saturating_add(1),
        ..current.record
    };
    let saved = store::save(tools.backend, guard, Bundle { record, access: current.access })?;
    // The slot is what counts; the index says it to whoever only looks.
    let _ = tools.index.put(&Entry::of(saved.record(), tools.backend.storage()));
    Ok(())
}

/// Takes the mark back where the server has certainly not rotated. Where the exchange broke off it stays:
/// that is what it is for.
pub(super) fn unmark(tools: &Tools<'_>, guard: &Guard, current: Bundle, error: &Error) {
    let uncertain = matches!(
        error,
        Error::Http(http::Error::Broken(_) | http::Error::TooLarge)
            | Error::Refused(Refused::Transient { .. })
    );
    if !uncertain {
        let record = Record { pending: None, ..current.record };
        // The refusal is what the caller must hear of; the next refresh overwrites the mark.
        let _ = store::save(tools.backend, guard, Bundle { record, access: current.access });
    }
}
