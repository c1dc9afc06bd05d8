//! A canary planted in one value of a document, to see whether a complaint quotes values.
//!
//! One value at a time: the rest of the document stays as it was, so that every later check is reached, and
//! what two places must have in common to be named (a service of two providers) is never the canary.

use serde_json::Value;
use toml_edit::visit_mut::VisitMut;
use toml_edit::{DocumentMut, Formatted};

const CANARY: &str = "zq7zq7zq7zq7zq7zq7";

/// Part of any eight bytes of the canary, so that a quotation cut short is found too.
const FRAGMENT: &str = "zq7zq7";

/// Whether a text quotes the canary.
pub fn is_in(text: &str) -> bool {
    text.contains(FRAGMENT)
}

/// A place with a password before its host.
pub fn planted_in_place(place: &str) -> String {
    let mut text = place.to_owned();
    text.insert_str(place.find("://").map_or(0, |at| at + 3), &format!("eve:{CANARY}@"));
    text
}

/// What a tool sends, with a line behind it that holds a password.
pub fn planted_in_lines(lines: &[u8]) -> Vec<u8> {
    [lines.trim_ascii_end(), b"\npassword=", CANARY.as_bytes(), b"\n"].concat()
}

/// A secret as the whole of what is sent.
pub fn planted_before(rest: &[u8]) -> Vec<u8> {
    [CANARY.as_bytes(), rest].concat()
}

/// The document with a canary in its `nth` text value, counted around; `None` where there is nothing to plant
/// it in, or where the document has it already, perhaps as a key.
pub fn planted_in_json(input: &[u8], nth: usize) -> Option<String> {
    let mut document: Value = serde_json::from_slice(input).ok()?;
    if is_in(&document.to_string()) {
        return None;
    }
    let mut texts = Vec::new();
    texts_of(&mut document, &mut texts);
    let at = nth.checked_rem(texts.len())?;
    plant(texts[at]);
    Some(document.to_string())
}

fn texts_of<'a>(value: &'a mut Value, found: &mut Vec<&'a mut String>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts_of(item, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| texts_of(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Likewise in TOML.
pub fn planted_in_toml(input: &[u8], nth: usize) -> Option<String> {
    let mut document: DocumentMut = std::str::from_utf8(input).ok()?.parse().ok()?;
    if is_in(&document.to_string()) {
        return None;
    }
    let mut counter = Planter { at: None, seen: 0 };
    counter.visit_document_mut(&mut document);
    let at = nth.checked_rem(counter.seen)?;
    Planter { at: Some(at), seen: 0 }.visit_document_mut(&mut document);
    Some(document.to_string())
}

struct Planter {
    at: Option<usize>,
    seen: usize,
}

impl VisitMut for Planter {
    fn visit_string_mut(&mut self, value: &mut Formatted<String>) {
        if self.at == Some(self.seen) {
            let mut text = value.value().clone();
            plant(&mut text);
            *value = Formatted::new(text);
        }
        self.seen += 1;
    }
}

/// The planted document with one byte less, shortly before the canary: a parser stumbles right beside it.
pub fn broken(planted: &str, nth: usize) -> Vec<u8> {
    let at = planted.find(CANARY).unwrap_or_default().saturating_sub(1 + nth % 16);
    [&planted.as_bytes()[..at], &planted.as_bytes()[at + 1..]].concat()
}

/// Where a quotation would begin, but behind a scheme: a URL stays one. On one line: at the start of a line a
/// broken document might have the canary for a key, and keys may be quoted.
fn plant(text: &mut String) {
    text.retain(|c| c != '\n');
    let at = text.find("://").map_or(0, |at| at + 3);
    text.insert_str(at, CANARY);
}
