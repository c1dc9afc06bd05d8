//! When a token is good enough to hand out. Pure: a record, a question and a time in, a verdict out.

use crate::secret::AccessToken;
use crate::store::Persisted;
use crate::store::record::Record;
use crate::time::Timestamp;

/// What the caller asks of a token.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Seconds it must still live; `None` for the session's own window.
    pub min_validity: Option<i64>,
    /// Refresh whatever its age.
    pub force: bool,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it out.
    Serve,
    /// Hand it out, though it lives shorter than asked: it is as new as can be had.
    ServeShort,
    /// Refresh first.
    Refresh,
}

/// A token of ours younger than this, in seconds, is never refreshed for its validity's sake: the server
/// would only give another like it, and a server that hands out dead tokens would be asked for ever.
pub const FRESH: i64 = 30;
/// With this much left, in seconds, an unforced caller does not wait for somebody else's refresh.
pub const NEED_NOT_WAIT: i64 = 30;
/// The widest default window, in seconds.
const WINDOW: i64 = 300;
/// Clocks may differ by this much, in seconds, before a time in the future is taken for a wrong one.
const SKEW: i64 = 300;
/// A tombstone is tried again after this long, in seconds, when forced.
const TOMBSTONE_FORCED: i64 = 600;
/// And after this long in any case: some servers bring the dead back.
const TOMBSTONE: i64 = 86_400;

/// Judges a token.
#[must_use]
pub fn judge(session: &Persisted, ask: Ask, configured: Option<i64>, now: Timestamp) -> Verdict {
    let record = session.record();
    let Some(access) = session.access().filter(|_| !ask.force) else { return Verdict::Refresh };
    let Some(expires_at) = record.expires_at else { return Verdict::Serve };
    if record.obtained_at.since(now) > SKEW {
        // Written by a clock that has since been put right: its expiry says nothing.
        return Verdict::Refresh;
    }
    let left = expires_at.since(now);
    let needed = ask.min_validity.or(configured).unwrap_or_else(|| window(record, access, expires_at));
    if left > 0 && left >= needed {
        Verdict::Serve
    } else if is_fresh(session, now) {
        Verdict::ServeShort
    } else {
        Verdict::Refresh
    }
}

/// Whether a token came to us a moment ago: whoever was refused one before that has another here.
#[must_use]
pub fn is_fresh(session: &Persisted, now: Timestamp) -> bool {
    let record = session.record();
    session.access().is_some()
        && record.obtained_by.is_ours()
        && (0..FRESH).contains(&now.since(record.obtained_at))
}

/// Whether a token can still be used at all; one of unknown lifetime can.
#[must_use]
pub fn is_valid(session: &Persisted, now: Timestamp) -> bool {
    session.access().is_some() && seconds_left(session.record(), now).is_none_or(|left| left > 0)
}

/// Seconds until the access token ends, where known.
#[must_use]
pub fn seconds_left(record: &Record, now: Timestamp) -> Option<i64> {
    record.expires_at.map(|end| end.since(now))
}

/// Whether a refresh token declared dead at `at` may be tried once more.
#[must_use]
pub fn tombstone_is_over(at: Timestamp, ask: Ask, now: Timestamp) -> bool {
    let age = now.since(at);
    !(-SKEW..TOMBSTONE).contains(&age) || (ask.force && age >= TOMBSTONE_FORCED)
}

/// The smaller of 300 s and half the lifetime, less up to a tenth. The share taken off follows from the
/// token, so that every process on a machine agrees on it and a fleet of machines does not move in step.
fn window(record: &Record, access: &AccessToken, expires_at: Timestamp) -> i64 {
    let lifetime = expires_at.since(record.obtained_at).max(0);
    let widest = WINDOW.min(lifetime / 2);
    // Any even spread will do; a hash library would leave a copy of the token in its buffer.
    let share = access.expose().bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    widest - widest * i64::from(share) / (255 * 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Account, Service, SessionName, Storage};
    use crate::store::record::{Bundle, ObtainedBy};

    fn session(by: ObtainedBy, obtained_at: i64, expires_at: Option<i64>) -> Persisted {
        let service = Service::parse("https://api.example").unwrap();
        let record = Record {
            name: SessionName {
                service: service.clone(),
                account: Account::parse("a").unwrap(),
                profile: None,
            },
            label: None,
            username: None,
            kept_by: None,
            services: vec![service],
            issuer: None,
            token_endpoint: None,
            client_id: None,
            scopes: Vec::new(),
            token_type: "Bearer".to_owned(),
            obtained_at: Timestamp::from_unix(obtained_at),
            obtained_by: by,
            expires_at: expires_at.map(Timestamp::from_unix),
            refresh_token_expires_at: None,
            has_refresh_token: Some(true),
            generation: 1,
            tombstone: None,
            pending: None,
            erased: false,
            moved_to: None,
        };
        Persisted::for_test(Bundle { record, access: AccessToken::new("AT").ok() }, Storage::Plaintext)
    }

    fn verdict(session: &Persisted, min_validity: Option<i64>, force: bool, now: i64) -> Verdict {
        judge(session, Ask { min_validity, force }, None, Timestamp::from_unix(now))
    }

    #[test]
    fn the_window_is_the_smaller_of_five_minutes_and_half_the_lifetime_less_a_tenth() {
        for (lifetime, widest) in [(3600, 300), (600, 300), (100, 50), (20, 10)] {
            let session = session(ObtainedBy::Store, 0, Some(lifetime));
            let first =
                (0..lifetime).find(|now| verdict(&session, None, false, *now) == Verdict::Refresh).unwrap();
            let window = lifetime - first + 1;
            assert!((widest * 9 / 10..=widest + 1).contains(&window), "lifetime {lifetime}: window {window}");
        }
    }

    #[test]
    fn an_unknown_lifetime_is_never_refreshed_unasked() {
        let session = session(ObtainedBy::Store, 0, None);
        assert_eq!(verdict(&session, Some(1_000_000), false, i64::MAX), Verdict::Serve);
        assert_eq!(verdict(&session, None, true, 0), Verdict::Refresh);
    }

    #[test]
    fn a_token_just_obtained_is_not_refreshed_again_however_short_it_lives() {
        let dead_on_arrival = session(ObtainedBy::Refresh, 1000, Some(1000));
        assert_eq!(verdict(&dead_on_arrival, None, false, 1000), Verdict::ServeShort);
        assert_eq!(verdict(&dead_on_arrival, None, false, 1029), Verdict::ServeShort);
        assert_eq!(verdict(&dead_on_arrival, None, false, 1030), Verdict::Refresh);
        let stored = session(ObtainedBy::Store, 1000, Some(1000));
        assert_eq!(verdict(&stored, None, false, 1000), Verdict::Refresh);
        let short = session(ObtainedBy::Refresh, 1000, Some(4600));
        assert_eq!(verdict(&short, Some(9999), false, 1010), Verdict::ServeShort);
        assert_eq!(verdict(&short, Some(9999), false, 1040), Verdict::Refresh);
    }

    #[test]
    fn a_clock_far_off_never_panics() {
        let session = session(ObtainedBy::Refresh, 1_700_000_000, Some(1_700_003_600));
        for now in [i64::MIN, -315_576_000, 0, 2_147_483_648, 4_294_967_296, i64::MAX] {
            let _ = verdict(&session, None, false, now);
            let _ = verdict(&session, Some(300), false, now);
        }
        assert_eq!(verdict(&session, None, false, 0), Verdict::Refresh, "a token from the future");
        assert_eq!(verdict(&session, None, false, 1_699_999_900), Verdict::Serve, "clocks differ a little");
        assert_eq!(verdict(&session, None, false, i64::MAX), Verdict::Refresh);
    }
}
