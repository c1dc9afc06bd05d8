//! The refresh: wait for the lock, read again, ask the server once, save, let go. [`wait`] is done by the process that
//! was called, [`transact`] by a worker, out of reach of whatever ends its caller.
//!
//! The order of the writes is what keeps a session alive through a crash. The refresh slot comes first:
//! between the server's rotation and that write becoming durable the session can be lost, and no client can
//! close that window. After it, every crash leaves a session that refreshes once more.
//!
//! ```text
//! lock ─ read again ─ mark pending ─ POST ─ refresh slot, read back ─ access slot ─ index ─ unlock
//! ```

mod ask;
pub mod backoff;
mod mint;
pub mod policy;
pub mod quotes;
mod save;
pub mod turn;
mod waiting;

use std::time::Duration;

use crate::clock::Clock;
use crate::harden::Uninterrupted;
use crate::http::{self, Http};
use crate::lock::{self, Guard};
use crate::oauth::Unsigned;
use crate::oauth::token::{self, Refused};
use crate::provider::{Client, Clients, Misconfigured, Unread};
use crate::session::SessionName;
use crate::store::index::Index;
use crate::store::record::{Bundle, ObtainedBy, Record, RefreshEntry};
use crate::store::{self, Backend, Persisted};
use crate::time::Timestamp;
use backoff::{Backoff, Pause};
use policy::Ask;
use quotes::Sent;
use turn::Locks;

pub use ask::{Unkept, unkept};
pub use mint::make;
pub use waiting::{Waited, wait};

/// What a refresh works with.
pub struct Tools<'a> {
    /// Where the session was read, and where it is written: there and nowhere else.
    pub backend: &'a dyn Backend,
    /// The index beside it.
    pub index: &'a Index,
    /// The network.
    pub http: &'a dyn Http,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The locks.
    pub locks: &'a Locks,
    /// The configured clients.
    pub clients: &'a dyn Clients,
    /// Where a client's secret may lie, wherever the session does.
    pub keyring: &'a dyn Backend,
    /// Whether a record may serve the caller: asked of every record read, for it may have changed while we waited.
    pub serves: &'a dyn Fn(&Record) -> bool,
    /// How long a write is tried again after the server has answered.
    pub save_patience: Duration,
}

/// A session with a token to hand out that cost us no refresh.
#[derive(Debug)]
pub enum Done {
    /// Another process did while we waited.
    Adopted(Persisted),
    /// Another process is at it, and this token is good enough not to wait.
    NeedNotWait(Persisted),
}

/// Why there is no new token. In none of these cases was a session's token deleted.
#[derive(Debug)]
pub enum Error {
    /// The session ended while we waited: a logout is never undone.
    Gone,
    /// The session changed while we waited, and no longer serves the caller (I11).
    NotGranted,
    /// The session is on its way to the other backend: its refresh token lies in both, and is spent in neither
    /// until it has arrived.
    Moving,
    /// There is no refresh token.
    NoRefreshToken,
    /// There is one, but the server has declared it dead, now or before.
    Dead {
        /// What the server said, not yet escaped.
        description: Option<String>,
        /// A refresh was begun at this time and never ended: its answer may have been the rotation that
        /// this token did not survive.
        interrupted: Option<Timestamp>,
    },
    /// The server refused, or what it said is no token reply.
    Refused(Refused),
    /// The server could not be asked.
    Http(http::Error),
    /// The configuration stands in the way.
    Misconfigured(Misconfigured),
    /// It failed a moment ago, and the server is left alone for these seconds yet.
    BackingOff(Pause),
    /// Another process held the lock for as long as we could wait.
    LockTimeout,
    /// There is no usable lock, and without one there is no request.
    Lock(lock::Error),
    /// The store failed before the server was asked: nothing is lost.
    Store(store::Error),
    /// The server has rotated the token and the new one could not be saved.
    Unsaved(store::Error),
}

impl From<lock::Error> for Error {
    fn from(error: lock::Error) -> Self {
        Self::Lock(error)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Unsigned> for Error {
    fn from(Unsigned: Unsigned) -> Self {
        Self::Misconfigured(Misconfigured {
            message: "the client's assertion could not be signed: the system gave no random numbers"
                .to_owned(),
            hint: "see to the system".to_owned(),
        })
    }
}

impl From<store::Rejected> for Error {
    fn from(rejected: store::Rejected) -> Self {
        Self::Store(rejected.error)
    }
}

/// Refreshes a session under its lock, whatever its age: whoever waited for the lock has judged that.
pub fn transact(tools: &Tools<'_>, guard: &Guard, name: &SessionName, ask: Ask) -> Result<Persisted, Error> {
    let backoff = Backoff::beside(tools.locks, &name.access_slot(), tools.backend.storage())?;
    let _calm = Uninterrupted::begin();
    let current = present(tools, name)?;
    if current.record().moved_to.is_some() {
        return Err(Error::Moving);
    }
    if is_a_machines(tools.clients, current.record()) {
        return mint::renew(tools, guard, &backoff, current.into_bundle());
    }
    let (current, entry) = refreshable(tools, guard, current, ask)?;
    let client = tools
        .clients
        .client_for(&current.record.services, &entry.destination)
        .map_err(Error::Misconfigured)?;
    let client = ready(tools.keyring, client)?;
    let interrupted = current.record.pending;

    // Proves that saving works before the old token is spent, and is a trace for whoever comes after a crash.
    let begun = tools.clock.now();
    let marked = Record { pending: Some(begun), has_refresh_token: Some(true), ..current.record };
    let current =
        store::save_checked(tools.backend, guard, Bundle { record: marked, access: current.access })?
            .into_bundle();
    if !guard.still_held() {
        return Err(Error::LockTimeout);
    }

    let post = token::refresh_request(
        &entry.destination,
        &client.proof(entry.client_secret.as_ref()),
        &entry.token,
        &client.token_params,
        tools.clock.now(),
    )?;
    let mut rotated = None;
    let sent = Sent::new(Some(&entry), &client, &post);
    let answer = match tools.http.post(&post) {
        Ok(reply) => match token::read(&reply, tools.clock.now()) {
            Ok(granted) => Ok(sent.unquoted_scopes(granted)),
            Err(refused) => {
                rotated = token::rotated(&reply);
                Err(Error::Refused(sent.unquoted(refused)))
            }
        },
        Err(error) => Err(Error::Http(error)),
    };
    match answer {
        Ok(granted) => {
            let saved = save::keep(tools, guard, current, entry, granted, begun)?;
            backoff.clear();
            Ok(saved)
        }
        Err(Error::Refused(Refused::InvalidGrant { description })) => {
            save::bury(tools, guard, current, &entry).map_err(after_the_answer)?;
            // The tombstone speaks from now on; a failure before it must not.
            backoff.clear();
            Err(Error::Dead { description, interrupted })
        }
        Err(error) => {
            if let Some(token) = rotated {
                save::rescue(tools, guard, entry, token)?;
            }
            note(&backoff, tools.clock.now(), &error);
            save::unmark(tools, guard, current, &error);
            Err(error)
        }
    }
}

/// A keyring that is locked once the server has answered is not taken for one that was before it was asked: nobody
/// may ask again.
fn after_the_answer(error: Error) -> Error {
    match error {
        Error::Store(error @ store::Error::Locked(_)) => {
            let why = format!("the server refused the refresh token, and that could not be noted: {error}");
            Error::Refused(Refused::Transient { why, retry_after: None })
        }
        other => other,
    }
}

/// What may pass by itself is noted, so that not every later caller asks at once.
fn note(backoff: &Backoff, now: Timestamp, error: &Error) {
    match error {
        Error::Refused(Refused::Transient { why, retry_after }) => backoff.failed(now, *retry_after, why),
        Error::Http(why @ (http::Error::Unsent(_) | http::Error::Broken(_) | http::Error::TooLarge)) => {
            backoff.failed(now, None, &why.to_string());
        }
        _ => {}
    }
}

/// The session as it stands, if it is there and may serve.
pub fn present(tools: &Tools<'_>, name: &SessionName) -> Result<Persisted, Error> {
    let current =
        store::load(tools.backend, name)?.filter(|current| !current.record().erased).ok_or(Error::Gone)?;
    if (tools.serves)(current.record()) { Ok(current) } else { Err(Error::NotGranted) }
}

/// The provider's own window for a session, where the configuration sets one.
#[must_use]
pub fn configured_window(clients: &dyn Clients, record: &Record) -> Option<i64> {
    clients.min_validity(&record.services, record.asking()?)
}

/// A client with its secret, from the keyring where it is kept there.
pub fn ready(keyring: &dyn Backend, client: Unread) -> Result<Client, Error> {
    client.read(|provider| {
        let kept = store::load_client_secret(keyring, provider)?;
        kept.ok_or_else(|| {
            Error::Misconfigured(Misconfigured {
                message: format!("the client secret of provider `{provider}`: there is none in the keyring"),
                hint: "keep it there, or name another source in config.toml".to_owned(),
            })
        })
    })
}

/// Whether a session's tokens come by a machine grant, which can be asked for another at any time.
#[must_use]
pub fn is_a_machines(clients: &dyn Clients, record: &Record) -> bool {
    record.obtained_by == ObtainedBy::Mint && clients.mints(&record.name.service, &record.services)
}

fn window(tools: &Tools<'_>, record: &Record) -> Option<i64> {
    configured_window(tools.clients, record)
}

/// The refresh token, read now and not before: what was read without the lock may be spent.
fn refreshable(
    tools: &Tools<'_>,
    guard: &Guard,
    current: Persisted,
    ask: Ask,
) -> Result<(Bundle, RefreshEntry), Error> {
    let promised = current.record().has_refresh_token;
    if promised == Some(false) {
        return Err(Error::NoRefreshToken);
    }
    let name = current.record().name.clone();
    let bundle = current.into_bundle();
    let Some(entry) = store::load_refresh(tools.backend, guard, &name)? else {
        if promised == Some(true) {
            return Err(Error::Store(store::broken_promise(&name)));
        }
        // Unknown is resolved once, so that no later call pays for it again.
        let record = Record { has_refresh_token: Some(false), ..bundle.record };
        store::save(tools.backend, guard, Bundle { record, access: bundle.access })?;
        return Err(Error::NoRefreshToken);
    };
    let bundle = if entry.outruns(&bundle.record) {
        let record = entry.completed(bundle.record);
        if !(tools.serves)(&record) {
            return Err(Error::NotGranted);
        }
        Bundle { record, access: None }
    } else {
        bundle
    };
    match &bundle.record.tombstone {
        Some(dead)
            if dead.names(&entry.token) && !policy::tombstone_is_over(dead.at, ask, tools.clock.now()) =>
        {
            Err(Error::Dead { description: None, interrupted: None })
        }
        _ => Ok((bundle, entry)),
    }
}
