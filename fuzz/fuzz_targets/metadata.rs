//! Whatever an issuer says of itself, its endpoints are https (or this machine), and it says it in its own name.
#![no_main]

use claviger::address;
use claviger::http::Reply;
use claviger::oauth::{device, discovery};
use claviger::time::Timestamp;
use claviger_fuzz::assert_plain_line;
use libfuzzer_sys::fuzz_target;

const ISSUER: &str = "https://id.example";

fuzz_target!(|input: &[u8]| {
    let reply = Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: input.to_vec().into(),
    };
    match discovery::read(&reply, ISSUER) {
        Ok(metadata) => {
            assert!(String::from_utf8_lossy(input).contains("issuer"));
            let endpoints = [
                metadata.authorization_endpoint,
                metadata.token_endpoint,
                metadata.device_authorization_endpoint,
                metadata.revocation_endpoint,
                metadata.registration_endpoint,
                metadata.userinfo_endpoint,
            ];
            for endpoint in endpoints.into_iter().flatten() {
                assert!(claviger::browser::safe(endpoint.url()).is_some(), "{}", endpoint.as_str());
            }
        }
        Err(discovery::Refused::Unusable(why) | discovery::Refused::Transient(why)) => {
            assert_plain_line(&why)
        }
        Err(discovery::Refused::Absent) => {}
    }
    if let Ok(given) = device::read(&reply, Timestamp::from_unix(0)) {
        for shown in [Some(given.verification_uri), given.verification_uri_complete].into_iter().flatten() {
            assert!(address::parse(&shown).is_ok(), "{shown}");
        }
        assert!((1..=120).contains(&given.interval) && (1..=3600).contains(&given.expires_in));
    }
});
