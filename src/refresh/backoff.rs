//! After a failure, not every later caller asks the failing server again: a note beside the lock says when
//! the last failure was. It decides nothing else; lost or damaged, the server is simply asked.

use std::path::Path;

use serde::Serialize;

use crate::fields::{self, Fields};
use crate::limits::{INDEX_BYTES, SECONDS, TEXT_BYTES};
use crate::lock;
use crate::session::{SlotName, Storage};
use crate::store::files::{Folder, Writers};
use crate::time::Timestamp;

use super::turn::Locks;

/// The longest wait of our own making, in seconds, while the token at hand is still valid.
const LONGEST: i64 = 300;
/// And while there is none: somebody is waiting, and the network may be back.
const LONGEST_WITHOUT_TOKEN: i64 = 30;

/// The note of one session in one backend.
pub struct Backoff {
    folder: Folder,
    file: String,
}

/// The last failure, and how many came in a row.
struct Note {
    at: Timestamp,
    failures: i64,
    retry_after: Option<i64>,
    why: String,
}

/// How long the server is left alone yet, and because of what.
#[derive(Debug, PartialEq, Eq)]
pub struct Pause {
    /// Seconds.
    pub seconds: i64,
    /// What the last failure was, not yet escaped.
    pub why: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NoteOut<'a> {
    at: Timestamp,
    failures: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<i64>,
    why: &'a str,
}

impl Backoff {
    /// The note beside a session's lock. Nothing is touched yet.
    pub fn beside(locks: &Locks, slot: &SlotName, storage: Storage) -> Result<Self, lock::Error> {
        let folder = locks.folder(storage)?;
        let (root, name) =
            (folder.parent().unwrap_or(Path::new("/")), folder.file_name().unwrap_or_default());
        let file = slot.lock_file().replace(".lock", ".failed");
        Ok(Self { folder: Folder::new(root, &name.to_string_lossy()), file })
    }

    /// How long to leave the server alone yet; `None`: ask it. What the server asked for itself is kept to;
    /// otherwise 2, 4, 8 ... seconds, less patient while no valid token is at hand.
    #[must_use]
    pub fn pause(&self, now: Timestamp, has_valid_token: bool) -> Option<Pause> {
        let note = self.read()?;
        let longest = if has_valid_token { LONGEST } else { LONGEST_WITHOUT_TOKEN };
        let doubled = 1_i64 << note.failures.clamp(1, 9);
        // What any proxy's error page can ask for must not shut a session out for a day.
        let whole = note.retry_after.map_or(doubled.min(longest), |asked| asked.min(LONGEST));
        let left = whole - now.since(note.at);
        // A note from the future was written by a clock that has since been put right.
        (left > 0 && note.at <= now).then_some(Pause { seconds: left, why: note.why })
    }

    /// Which failure was the last: when it was, and how many came in a row.
    #[must_use]
    pub fn last(&self) -> Option<(Timestamp, i64)> {
        self.read().map(|note| (note.at, note.failures))
    }

    /// Notes a failure; called by the holder of the session's lock.
    pub fn failed(&self, now: Timestamp, retry_after: Option<i64>, why: &str) {
        let row = self.read().filter(|note| note.at <= now);
        let failures = row.map_or(1, |note| note.failures.saturating_add(1));
        let why = if why.len() > TEXT_BYTES { "" } else { why };
        if let Ok(bytes) = serde_json::to_vec(&NoteOut { at: now, failures, retry_after, why }) {
            // Without the note the server is asked once more than need be.
            let _ = self.folder.write(&self.file, &bytes, Writers::One);
        }
    }

    /// Forgets the failures: the server answered, or the session is a new one.
    pub fn clear(&self) {
        // A note that stays delays one refresh by its few seconds.
        let _ = self.folder.delete(&self.file);
    }

    fn read(&self) -> Option<Note> {
        let content = self.folder.read(&self.file, INDEX_BYTES).ok().flatten()?;
        let mut fields = fields::json(&content.bytes).and_then(Fields::of).ok()?;
        let at = fields.text("at", TEXT_BYTES).ok()?.and_then(|text| Timestamp::parse(&text))?;
        let failures = fields.count("failures", i64::MAX).ok()?.unwrap_or(1);
        let retry_after = fields.count("retryAfter", SECONDS).ok()?;
        Some(Note {
            at,
            failures,
            retry_after,
            why: fields.text("why", TEXT_BYTES).ok()?.unwrap_or_default(),
        })
    }
}
