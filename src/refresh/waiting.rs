//! Waiting for the right to refresh a session, and finding out meanwhile that somebody else has done it, or has tried
//! and failed: what happened while we waited is our answer too.

use super::backoff::Backoff;
use super::policy::{self, Ask, Verdict, judge};
use super::turn::{Moment, Turn};
use super::{Done, Error, Tools, is_a_machines, present, window};
use crate::lock::Guard;
use crate::session::SessionName;
use crate::store::{self, Persisted};

/// What waiting came to.
pub enum Waited {
    /// Somebody else's work will do.
    Done(Box<Done>),
    /// It is ours to refresh, under this lock.
    Ours(Guard),
}

/// Waits until a session that was judged due when it was read as `seen` is ours to refresh, or need not be any more.
/// `None`: there was none that serves, and one is to be made.
pub fn wait(
    tools: &Tools<'_>,
    name: &SessionName,
    seen: Option<&Persisted>,
    ask: Ask,
) -> Result<Waited, Error> {
    let backoff = Backoff::beside(tools.locks, &name.access_slot(), tools.backend.storage())?;
    let known = backoff.last();
    let valid = || seen.is_some_and(|seen| policy::is_valid(seen, tools.clock.now()));
    let left_alone = || match backoff.pause(tools.clock.now(), valid()) {
        // Whoever insists is told only of a failure that came while they waited.
        Some(pause) if !ask.force || backoff.last() != known => Err(Error::BackingOff(pause)),
        _ => Ok(()),
    };
    left_alone()?;
    let look = |moment| match moment {
        Moment::Busy => need_not_wait(tools, name, ask),
        Moment::Released | Moment::Deadline => {
            let adopted = adopt(tools, name, seen, ask)?;
            if adopted.is_none() {
                left_alone()?;
            }
            Ok(adopted)
        }
    };
    match tools.locks.take(&name.access_slot(), tools.backend.storage(), tools.clock, look)? {
        Turn::Answered(done) => Ok(Waited::Done(Box::new(done))),
        Turn::TimedOut => Err(Error::LockTimeout),
        Turn::Mine(guard) => {
            if let Some(current) = there(tools, name, seen)? {
                if is_to_be_adopted(tools, seen, &current, ask) {
                    return Ok(Waited::Done(Box::new(Done::Adopted(current))));
                }
                let record = current.record();
                if record.has_refresh_token == Some(false) && !is_a_machines(tools.clients, record) {
                    return Err(Error::NoRefreshToken);
                }
            }
            left_alone().map(|()| Waited::Ours(guard))
        }
    }
}

/// While another process is at it, an unforced caller whose token has some life left takes it and goes.
fn need_not_wait(tools: &Tools<'_>, name: &SessionName, ask: Ask) -> Result<Option<Done>, Error> {
    if ask.force {
        return Ok(None);
    }
    let now = tools.clock.now();
    let current = store::load(tools.backend, name)?;
    Ok(current
        .filter(|current| {
            !current.record().erased && current.access().is_some() && (tools.serves)(current.record())
        })
        .filter(|current| {
            policy::seconds_left(current.record(), now).is_none_or(|left| left >= policy::NEED_NOT_WAIT)
        })
        .map(Done::NeedNotWait))
}

fn adopt(
    tools: &Tools<'_>,
    name: &SessionName,
    seen: Option<&Persisted>,
    ask: Ask,
) -> Result<Option<Done>, Error> {
    let current = there(tools, name, seen)?;
    Ok(current.filter(|current| is_to_be_adopted(tools, seen, current, ask)).map(Done::Adopted))
}

/// The session as it is now. One that was seen and is gone is an error; one that is to be made may not be there yet.
fn there(
    tools: &Tools<'_>,
    name: &SessionName,
    seen: Option<&Persisted>,
) -> Result<Option<Persisted>, Error> {
    match (seen, present(tools, name)) {
        (None, Err(Error::Gone | Error::NotGranted)) => Ok(None),
        (_, current) => current.map(Some),
    }
}

/// A changed session is judged anew, and a good token in it is adopted even by a forced caller, where it is
/// another one than that caller wanted to be rid of.
fn is_to_be_adopted(tools: &Tools<'_>, seen: Option<&Persisted>, current: &Persisted, ask: Ask) -> bool {
    let changed = seen.is_none_or(|seen| current.record().generation != seen.record().generation);
    let unforced = Ask { force: false, ..ask };
    let good =
        judge(current, unforced, window(tools, current.record()), tools.clock.now()) != Verdict::Refresh;
    let another = match (seen.and_then(Persisted::access), current.access()) {
        (Some(seen), Some(current)) => !seen.same_as(current),
        (None, Some(_)) | (_, None) => true,
    };
    changed && good && (another || !ask.force)
}
