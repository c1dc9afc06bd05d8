//! A machine's own token, under the same lock and mark and with the same back-off as a refresh:
//! one cache for all callers. No refresh token is spent, so a crash costs a request and nothing else.
//!
//! ```text
//! lock ─ read again ─ (of a new one: index) ─ mark pending ─ (GET of an identity token) ─ POST ─ access slot ─ index ─ unlock
//! ```

use super::backoff::Backoff;
use super::{Error, Tools, ask, policy::Ask, save};
use crate::harden::Uninterrupted;
use crate::lock::Guard;
use crate::oauth::token::Granted;
use crate::provider::{Client, Machine};
use crate::session::{Service, SessionName};
use crate::store::index::Entry;
use crate::store::record::{Bundle, ObtainedBy, Record};
use crate::store::{self, Persisted};
use crate::time::Timestamp;

/// Makes a session that was not there, under its lock. One that is there by now is renewed, but for one that somebody
/// stored and that does not serve the caller: that is not ours to replace.
pub fn make(tools: &Tools<'_>, guard: &Guard, name: &SessionName, ask: Ask) -> Result<Persisted, Error> {
    let current = store::load(tools.backend, name)?;
    let ended_at = match current {
        Some(current) if !current.record().erased => {
            if (tools.serves)(current.record()) || current.record().moved_to.is_some() {
                return super::transact(tools, guard, name, ask);
            }
            if !super::is_a_machines(tools.clients, current.record()) {
                return Err(Error::NotGranted);
            }
            let backoff = Backoff::beside(tools.locks, &name.access_slot(), tools.backend.storage())?;
            let _calm = Uninterrupted::begin();
            return renew(tools, guard, &backoff, current.into_bundle());
        }
        ended => ended.map_or(0, |ended| ended.record().generation),
    };
    let backoff = Backoff::beside(tools.locks, &name.access_slot(), tools.backend.storage())?;
    let _calm = Uninterrupted::begin();
    let (machine, client) = machine(tools, name, &[])?;
    let begun = tools.clock.now();
    let empty = empty(name, &machine, ended_at, begun);
    let listed = tools.index.entry(name).unwrap_or_default();
    tools.index.put(&Entry::of(&empty.record, tools.backend.storage()))?;
    let made = mark(tools, guard, empty, begun).and_then(|marked| {
        // Of a session that was ended, and that whoever ended it did not get to clear away.
        store::delete(tools.backend, guard, name, &name.refresh_slot())?;
        asked(tools, guard, &backoff, &machine, &client)
            .and_then(|granted| keep(tools, guard, &machine, marked.record, granted, begun))
    });
    if matches!(&made, Err(error) if !matches!(error, Error::LockTimeout)) {
        // The failure is what the caller must hear of. What cannot be taken back, or must not for the lock is lost, is a
        // session without a token: the next call gets it one.
        let _ = store::delete(tools.backend, guard, name, &name.access_slot());
        let _ = match &listed {
            Some(entry) => tools.index.put(entry),
            None => tools.index.remove(name),
        };
    }
    if made.is_ok() {
        backoff.clear();
    }
    made
}

/// Gives a machine's session another token. Its grant is the configuration's of today, not that of the session: what
/// was changed there since counts.
pub(super) fn renew(
    tools: &Tools<'_>,
    guard: &Guard,
    backoff: &Backoff,
    current: Bundle,
) -> Result<Persisted, Error> {
    let (machine, client) = machine(tools, &current.record.name, &current.record.services)?;
    let begun = tools.clock.now();
    let marked = mark(tools, guard, current, begun)?;
    match asked(tools, guard, backoff, &machine, &client) {
        Ok(granted) => {
            let saved = keep(tools, guard, &machine, marked.record, granted, begun)?;
            backoff.clear();
            Ok(saved)
        }
        Err(error) => {
            save::unmark(tools, guard, marked, &error);
            Err(error)
        }
    }
}

fn machine(tools: &Tools<'_>, name: &SessionName, granted: &[Service]) -> Result<(Machine, Client), Error> {
    let found = tools.clients.machine(&name.service, granted).map_err(Error::Misconfigured)?;
    let (machine, client) = found.ok_or(Error::NoRefreshToken)?;
    Ok((ask::located(tools.http, machine)?, super::ready(tools.keyring, client)?))
}

/// A session that has no token yet.
pub(super) fn empty(name: &SessionName, machine: &Machine, generation: i64, begun: Timestamp) -> Bundle {
    let record = Record {
        name: name.clone(),
        label: None,
        username: None,
        kept_by: None,
        services: machine.services.clone(),
        issuer: machine.issuer.clone(),
        token_endpoint: machine.token_endpoint.clone(),
        client_id: machine.client_id.clone(),
        scopes: machine.scopes.clone(),
        token_type: "Bearer".to_owned(),
        obtained_at: begun,
        obtained_by: ObtainedBy::Mint,
        expires_at: None,
        refresh_token_expires_at: None,
        has_refresh_token: Some(false),
        generation,
        tombstone: None,
        pending: None,
        erased: false,
        moved_to: None,
    };
    Bundle { record, access: None }
}

/// Proves that saving works before the server is asked: a full disk must not make every call a request.
fn mark(tools: &Tools<'_>, guard: &Guard, current: Bundle, begun: Timestamp) -> Result<Bundle, Error> {
    let record = Record { pending: Some(begun), ..current.record };
    let marked = store::save_checked(tools.backend, guard, Bundle { record, access: current.access })?;
    Ok(marked.into_bundle())
}

fn asked(
    tools: &Tools<'_>,
    guard: &Guard,
    backoff: &Backoff,
    machine: &Machine,
    client: &Client,
) -> Result<Granted, Error> {
    if !guard.still_held() {
        return Err(Error::LockTimeout);
    }
    let answer = ask::for_a_token(tools.http, tools.clock, machine, client);
    if let Err(error) = &answer {
        super::note(backoff, tools.clock.now(), error);
    }
    answer
}

/// A refresh token that comes with it is not kept (RFC 6749 section 4.4.3): the grant itself can be asked again.
fn keep(
    tools: &Tools<'_>,
    guard: &Guard,
    machine: &Machine,
    old: Record,
    granted: Granted,
    begun: Timestamp,
) -> Result<Persisted, Error> {
    let bundle = filled(machine, old, granted, begun);
    let deadline = tools.clock.monotonic() + tools.save_patience;
    save::keep_access(tools, guard, bundle, deadline)
}

/// A session with what was granted to its machine.
pub(super) fn filled(machine: &Machine, old: Record, granted: Granted, begun: Timestamp) -> Bundle {
    let Granted { access, token_type, expires_in, refresh: _, refresh_expires_in: _, scopes, issued: _ } =
        granted;
    let record = Record {
        services: machine.services.clone(),
        issuer: machine.issuer.clone(),
        token_endpoint: machine.token_endpoint.clone(),
        client_id: machine.client_id.clone(),
        scopes: scopes.unwrap_or_else(|| machine.scopes.clone()),
        token_type,
        obtained_at: begun,
        obtained_by: ObtainedBy::Mint,
        expires_at: expires_in.map(|seconds| begun.plus(seconds)),
        generation: old.generation.saturating_add(1),
        pending: None,
        ..old
    };
    Bundle { record, access: Some(access) }
}
