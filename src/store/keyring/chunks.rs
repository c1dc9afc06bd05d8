//! Values larger than a keyring's items: cut into chunks, with a head in the slot that says which.
//!
//! The chunks of a value lie at `<slot>/<generation>.<n>` and are written before the head, which makes them
//! valid in one step. The generation before stays until the next write, for a reader that has its head in
//! hand; a reader that misses a chunk reads the head again. Clauses V7 and V8 of `protocol/README.md`.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::items::{Items, words};
use crate::fields::{self, Fields};
use crate::limits::{SLOT_BYTES, TEXT_BYTES};
use crate::secret::hex;
use crate::session::SlotName;
use crate::store::record::FORMAT;
use crate::store::{Error, Piece, Value};

/// What the slot of a chunked value holds (`protocol/schemas/slot-chunks.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Head {
    format: i64,
    slot: &'static str,
    /// Which chunks: a number of the chunks' own, not the session's.
    generation: i64,
    /// How many.
    count: usize,
    /// Of the whole value, in bytes.
    length: usize,
    /// Of the whole value, in hex.
    sha256: String,
}

const KIND: &str = "chunks";

impl Head {
    fn over(value: &Value, generation: i64, limit: usize) -> Self {
        let count = value.len().div_ceil(limit);
        let sha256 = hex(&Sha256::digest(value));
        Self { format: FORMAT, slot: KIND, generation, count, length: value.len(), sha256 }
    }

    /// The head in a slot's bytes; `None` where they are the value itself.
    fn find(name: &str, bytes: &[u8]) -> Result<Option<Self>, Error> {
        // Only what looks like a head is parsed for one: a value is parsed once, by whoever asked for it.
        let Some(mut fields) = fields::json(bytes).and_then(Fields::of).ok() else { return Ok(None) };
        if fields.text("slot", TEXT_BYTES).ok().flatten().as_deref() != Some(KIND) {
            return Ok(None);
        }
        Self::read(&mut fields).map_err(|fault| match fault {
            Some(fault) => damaged(name, &fault.to_string()),
            None => Error::Newer { what: words(name) },
        })
    }

    /// `None` as the error: a newer version's.
    fn read(fields: &mut Fields) -> Result<Option<Self>, Option<fields::Error>> {
        let count = |fields: &mut Fields, key: &str, limit: i64| {
            fields.count(key, limit)?.ok_or_else(|| fields.error(key, fields::Problem::Missing))
        };
        if count(fields, "format", i64::MAX)? > FORMAT {
            return Err(None);
        }
        let bytes = i64::try_from(SLOT_BYTES).unwrap_or(i64::MAX);
        let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        let head = Self {
            format: FORMAT,
            slot: KIND,
            generation: count(fields, "generation", i64::MAX)?,
            count: size(count(fields, "count", bytes)?),
            length: size(count(fields, "length", bytes)?),
            sha256: fields.required_text("sha256", TEXT_BYTES)?,
        };
        fields.done()?;
        Ok(Some(head))
    }

    fn encode(&self) -> Value {
        // Numbers and hex: serialising them fails for nothing.
        Zeroizing::new(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A keyring whose items may have a limit, as slots that have none.
pub struct Chunked {
    items: Box<dyn Items>,
    limit: Option<usize>,
}

impl Chunked {
    /// Over a keyring that takes values of at most `limit` bytes, if it has such a limit.
    pub fn new(items: impl Items + 'static, limit: Option<usize>) -> Self {
        Self { items: Box::new(items), limit }
    }

    /// The keyring itself.
    pub fn items(&mut self) -> &mut dyn Items {
        &mut *self.items
    }

    /// Reads a slot, put together from its chunks where it has any.
    pub fn read(&mut self, slot: &str) -> Result<Option<Value>, Error> {
        // As often as a writer could come between head and chunks twice over, and no more.
        const LOOKS: usize = 32;
        let mut last = None;
        for _ in 0..LOOKS {
            let Some(value) = self.items.read(slot)? else { return Ok(None) };
            if self.limit.is_none() {
                return Ok(Some(value));
            }
            let Some(head) = Head::find(slot, &value)? else { return Ok(Some(value)) };
            if let Some(whole) = self.assemble(slot, &head)? {
                return Ok(Some(whole));
            }
            // The same head twice, and its chunks not there: nobody is writing, they are lost.
            if last.as_ref() == Some(&head) {
                return Err(damaged(slot, "a part of it is missing or changed"));
            }
            last = Some(head);
        }
        Err(Error::Read {
            what: words(slot),
            why: "it was rewritten faster than it could be read".to_owned(),
        })
    }

    fn assemble(&mut self, slot: &str, head: &Head) -> Result<Option<Value>, Error> {
        if head.length > SLOT_BYTES {
            return Err(damaged(slot, "it is too large"));
        }
        let mut whole = Zeroizing::new(Vec::with_capacity(head.length));
        for number in 0..head.count {
            let Some(chunk) = self.items.read(&chunk_name(slot, head.generation, number))? else {
                return Ok(None);
            };
            if whole.len() + chunk.len() > head.length {
                return Ok(None);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((whole.len() == head.length && hex(&Sha256::digest(&whole)) == head.sha256).then_some(whole))
    }

    /// Writes a slot: chunks, then the head that makes them valid, then what is older than the value before
    /// is swept away.
    pub fn write(&mut self, slot: &str, value: &Value) -> Result<(), Error> {
        let Some(limit) = self.limit else { return self.items.write(slot, value) };
        let before = match self.items.read(slot)? {
            // What is no head, damaged or not, is replaced like any value.
            Some(value) => Head::find(slot, &value).ok().flatten(),
            None => None,
        };
        let old = self.chunks_of(slot)?;
        let keep = before.map(|head| head.generation);
        if value.len() <= limit {
            self.items.write(slot, value)?;
        } else {
            let generation = unused(&old.iter().map(|chunk| chunk.generation).chain(keep).collect());
            let head = Head::over(value, generation, limit);
            let written = self.write_chunks(slot, value, &head, limit);
            written.inspect_err(|_| {
                for number in 0..head.count {
                    // The write has failed already; what stays is swept by the next one.
                    let _ = self.items.delete(&chunk_name(slot, generation, number));
                }
            })?;
        }
        for chunk in old.iter().filter(|chunk| Some(chunk.generation) != keep) {
            // The value is safe; what stays is swept by the next write, and found by `claviger doctor`.
            let _ = self.items.delete(&chunk.name);
        }
        Ok(())
    }

    fn write_chunks(&mut self, slot: &str, value: &Value, head: &Head, limit: usize) -> Result<(), Error> {
        for (number, part) in value.chunks(limit).enumerate() {
            let part = Zeroizing::new(part.to_vec());
            self.items.write(&chunk_name(slot, head.generation, number), &part)?;
        }
        self.items.write(slot, &head.encode())
    }

    /// Deletes a slot: the chunks first, so that no part of a secret outlives the head that leads to it.
    pub fn delete(&mut self, slot: &str) -> Result<bool, Error> {
        let mut there = false;
        if self.limit.is_some() {
            for chunk in self.chunks_of(slot)? {
                there |= self.items.delete(&chunk.name)?;
            }
        }
        Ok(self.items.delete(slot)? || there)
    }

    /// Every name, without the chunks.
    pub fn slots(&mut self) -> Result<Vec<String>, Error> {
        let mut names = self.items.names()?;
        names.retain(|name| self.limit.is_none() || Chunk::of(name).is_none());
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Chunks that belong to no value: of a write that was cut short, or older than the one kept for readers.
    pub fn strays(&mut self) -> Result<Vec<String>, Error> {
        let mut strays = Vec::new();
        if self.limit.is_none() {
            return Ok(strays);
        }
        let mut chunks: Vec<Chunk> = self.items.names()?.iter().filter_map(|name| Chunk::of(name)).collect();
        chunks.sort_by(|a, b| a.slot.cmp(&b.slot));
        for of_one in chunks.chunk_by(|a, b| a.slot == b.slot) {
            let Some(slot) = of_one.first().map(|chunk| chunk.slot.clone()) else { continue };
            let value = self.items.read(&slot)?;
            // A head that cannot be read says nothing of its chunks: they are left alone.
            let Ok(head) = value.as_ref().map_or(Ok(None), |value| Head::find(&slot, value)) else {
                continue;
            };
            let current = head.map(|head| head.generation);
            let below = |chunk: &&Chunk| current.is_none_or(|current| chunk.generation < current);
            let before = of_one.iter().filter(below).map(|chunk| chunk.generation).max();
            let kept = |chunk: &Chunk| {
                value.is_some() && (Some(chunk.generation) == current || Some(chunk.generation) == before)
            };
            strays.extend(of_one.iter().filter(|chunk| !kept(chunk)).map(|chunk| chunk.name.clone()));
        }
        Ok(strays)
    }

    fn chunks_of(&mut self, slot: &str) -> Result<Vec<Chunk>, Error> {
        let chunks = self.items.names()?.into_iter().filter_map(|name| Chunk::of(&name));
        Ok(chunks.filter(|chunk| chunk.slot == slot).collect())
    }
}

/// A generation for new chunks: above everything that lies there, as one that was written is never written
/// over. Above the highest number there is none; there, the lowest that is free.
fn unused(taken: &BTreeSet<i64>) -> i64 {
    match taken.last() {
        Some(&i64::MAX) => (1..i64::MAX).find(|number| !taken.contains(number)).unwrap_or(1),
        highest => highest.map_or(1, |highest| highest + 1),
    }
}

/// A chunk's name, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Chunk {
    name: String,
    slot: String,
    generation: i64,
}

impl Chunk {
    /// `<slot>/<generation>.<n>`, where the slot itself has a `#` or is a client's secret: the path of a service may end in
    /// such a part too, and so may a provider's name be such a part.
    fn of(name: &str) -> Option<Self> {
        let (slot, tail) = name.rsplit_once('/')?;
        let (generation, number) = tail.split_once('.')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_one = slot.contains('#') || SlotName::is_a_client_secret(slot);
        if !is_one || !digits(generation) || !digits(number) {
            return None;
        }
        Some(Self { name: name.to_owned(), slot: slot.to_owned(), generation: generation.parse().ok()? })
    }
}

fn chunk_name(slot: &str, generation: i64, number: usize) -> String {
    format!("{slot}/{generation}.{number}")
}

fn damaged(slot: &str, why: &str) -> Error {
    Error::Damaged { piece: Piece::Slot, what: words(slot), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunks_name_is_users_stored_state() {
        let name = chunk_name("https://a.example#alice/refresh", 3, 12);
        assert_eq!(name, "https://a.example#alice/refresh/3.12");
        let chunk = Chunk::of(&name).unwrap();
        assert_eq!((chunk.slot.as_str(), chunk.generation), ("https://a.example#alice/refresh", 3));
        assert_eq!(Chunk::of("client-secret/acme/1.0").unwrap().slot, "client-secret/acme");
        for other in [
            "client-secret/3.0",
            "https://a.example#alice",
            "https://a.example/3.12",
            "https://a.example#alice/refresh",
            "x#y/1.",
            "x#y/a.1",
        ] {
            assert_eq!(Chunk::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_head_is_told_from_a_value_and_a_newer_one_is_left_alone() {
        let head = Head::over(&Zeroizing::new(vec![b'x'; 5000]), 1, 2560);
        assert_eq!(Head::find("s", &head.encode()).unwrap(), Some(head));
        assert_eq!(Head::find("s", br#"{"format":1,"slot":"access"}"#).unwrap(), None);
        assert_eq!(Head::find("s", b"no JSON").unwrap(), None);
        assert!(matches!(
            Head::find("s", br#"{"format":2,"slot":"chunks","new":1}"#),
            Err(Error::Newer { .. })
        ));
        assert!(matches!(Head::find("s", br#"{"format":1,"slot":"chunks"}"#), Err(Error::Damaged { .. })));
    }
}
