//! What is accepted is canonical; what is refused is refused in one harmless line that quotes no value.
//! The first byte selects the verb.
#![no_main]

use claviger::dialect::{Verb, native};
use claviger::message::Code;
use claviger::text::Escaped;
use claviger_fuzz::{assert_canonical, assert_plain_line, canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&selector, request)) = input.split_first() else { return };
    let selector = usize::from(selector);
    let (verb, _) = Verb::ALL[selector % Verb::ALL.len()];
    match native::parse(verb, request) {
        Ok(request) => assert_canonical(&request),
        Err(failure) => {
            assert!(matches!(failure.code, Code::BadRequest | Code::InsecureUrl), "{failure:?}");
            assert_plain_line(&failure.message);
            assert_plain_line(&failure.hint);
            // The longest key that is shown, all of it escaped, and words of ours.
            assert!(failure.message.len() < 9 * Escaped::SHOWN + 200, "{failure:?}");
        }
    }
    let Some(planted) = canary::planted_in_json(request, selector / Verb::ALL.len()) else { return };
    for document in [canary::broken(&planted, input.len()), planted.into_bytes()] {
        if let Err(failure) = native::parse(verb, &document) {
            assert!(!canary::is_in(&failure.message) && !canary::is_in(&failure.hint), "{failure:?}");
        }
    }
});
