//! Whether a backend really keeps what it is given: asked before a machine's sessions are entrusted to it.

use zeroize::Zeroizing;

use super::{Backend, Error, Value};
use crate::secret::hex;
use crate::session::SlotName;
use crate::time::Timestamp;

/// A probe older than this, in seconds, belongs to a process that was killed.
const LEFT_OVER: i64 = 3600;
const WORDS: &str = "claviger probe of ";

/// Writes a value under a random name, reads it back, deletes it. That a backend can be read proves nothing: a
/// locked one may answer reads and refuse writes, and one that forgets says yes to everything.
pub fn write_probe(backend: &dyn Backend, now: Timestamp) -> Result<(), Error> {
    let slot = random_slot()?;
    let value = Zeroizing::new(format!("{WORDS}{now}").into_bytes());
    let read = backend.write(&slot, &value).and_then(|()| backend.read(&slot));
    // Deleted whatever was read; what cannot be deleted now is found by `claviger doctor`.
    let deleted = backend.delete(&slot);
    match read? {
        Some(read) if read == value => deleted.map(|_| ()),
        _ => Err(Error::Unavailable {
            storage: backend.storage(),
            why: "it does not give back what it was given".to_owned(),
        }),
    }
}

/// Reads a random name: an answer, even that there is no such thing, proves that it can be read. Writes nothing.
pub fn read_probe(backend: &dyn Backend) -> Result<(), Error> {
    backend.read(&random_slot()?).map(|_| ())
}

/// When a probe was written, where a value is one.
#[must_use]
pub fn written_at(value: &Value) -> Option<Timestamp> {
    std::str::from_utf8(value).ok()?.strip_prefix(WORDS).and_then(Timestamp::parse)
}

/// Whether nobody will delete it any more.
#[must_use]
pub fn is_left_over(written: Timestamp, now: Timestamp) -> bool {
    !(-LEFT_OVER..LEFT_OVER).contains(&now.since(written))
}

/// Random, so that two probes never meet, and no session is ever called so.
pub fn random_slot() -> Result<SlotName, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Error::Write {
        what: "a probe".to_owned(),
        why: "the system gave no random numbers".to_owned(),
    })?;
    Ok(SlotName::probe(&hex(&random)))
}
