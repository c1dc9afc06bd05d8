//! What is accepted is canonical; what is refused is refused in one harmless line that quotes no value.
#![no_main]

use claviger::dialect::{Dialect, Verb};
use claviger::message::Code;
use claviger::text::Escaped;
use claviger_fuzz::{assert_plain_line, holds_canary, plant, request::assert_canonical};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let Some((&selector, request)) = input.split_first() else { return };
    let (verb, _) = Verb::ALL[usize::from(selector) % Verb::ALL.len()];
    match Dialect::Native.parse(verb, request) {
        Ok(request) => assert_canonical(&request),
        Err(failure) => {
            assert!(matches!(failure.code, Code::BadRequest | Code::InsecureUrl), "{failure:?}");
            assert_plain_line(&failure.message);
            assert_plain_line(&failure.hint);
            // The longest key shown, every character of it escaped, and words of ours.
            assert!(failure.message.len() < 9 * Escaped::SHOWN + 200, "{failure:?}");
        }
    }
    let Ok(mut json) = serde_json::from_slice::<Value>(request) else { return };
    if holds_canary(&json.to_string()) {
        return;
    }
    let mut values = Vec::new();
    texts(&mut json, &mut values);
    let Some(at) = usize::from(selector).checked_rem(values.len()) else { return };
    plant(values[at]);
    let planted = json.to_string();
    for end in [planted.len(), planted.len() * usize::from(selector) / 256] {
        if let Err(failure) = Dialect::Native.parse(verb, &planted.as_bytes()[..end]) {
            assert!(!holds_canary(&failure.message) && !holds_canary(&failure.hint), "{failure:?}");
        }
    }
});

fn texts<'a>(json: &'a mut Value, found: &mut Vec<&'a mut String>) {
    match json {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| texts(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
