//! Whatever arrives at the redirect URI, only a plain GET of that path and host with the attempt's own state is an
//! answer.
#![no_main]

use claviger::loopback::query_of;
use claviger::oauth::authorization_code::{Answering, Attempt, Callback, callback};
use libfuzzer_sys::fuzz_target;

const HOST: &str = "127.0.0.1:4711";
const KNOWN: Answering<'_> = Answering { issuer: Some("https://id.example"), names_itself: true };

fuzz_target!(|input: &[u8]| {
    let Ok(attempt) = Attempt::new() else { return };
    let state = attempt.state();
    let text = String::from_utf8_lossy(input);
    // A real state where the input has the word for one: mutation does not guess 128 bits.
    for (request, knows) in
        [(text.clone().into_owned(), false), (text.replace("STATE", state), text.contains("STATE"))]
    {
        let Ok(query) = query_of(request.as_bytes(), HOST, "/cb") else { continue };
        // Empty lines before a request are nothing (RFC 9112 section 2.2).
        assert!(request.trim_start_matches(['\r', '\n']).starts_with("GET /cb"), "{request}");
        assert!(request.contains(HOST), "{request}");
        match callback(&query, &attempt, KNOWN) {
            Callback::NotOurs => {}
            Callback::Code(_) | Callback::OtherIssuer | Callback::Refused { .. } => {
                assert!(knows, "{request}")
            }
        }
    }
});
