//! A reply is a grant that can be kept and read back, or a refusal that ends a refresh token only when it may.
//! The input is a status, a `Content-Type` and a `Retry-After`, each a line and perhaps empty, then the body.
#![no_main]

use claviger::http::Reply;
use claviger::limits::{SCOPES, SECONDS, SERVER_TEXT_BYTES, TEXT_BYTES, TOKEN_BYTES};
use claviger::oauth::token::{Refused, read};
use claviger::secret::RefreshToken;
use claviger::time::Timestamp;
use claviger_fuzz::assert_plain_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || parts.next().map(|line| String::from_utf8_lossy(line).into_owned());
    let status = line().and_then(|digits| digits.parse().ok()).unwrap_or(200);
    let (content_type, retry_after) = (line().filter(|text| !text.is_empty()), line());
    let body = parts.next().unwrap_or_default().to_vec().into();
    match read(&Reply { status, content_type, retry_after, body }, Timestamp::from_unix(1_767_225_600)) {
        Ok(granted) => {
            assert!(status == 200 && is_token(granted.access.expose()));
            assert!(granted.refresh.as_ref().map(RefreshToken::reveal).is_none_or(is_token));
            for lifetime in [granted.expires_in, granted.refresh_expires_in].into_iter().flatten() {
                assert!((0..=SECONDS).contains(&lifetime), "{lifetime}");
            }
            let scopes = granted.scopes.unwrap_or_default();
            assert!(
                scopes.len() <= SCOPES && scopes.iter().all(|scope| scope.len() <= TEXT_BYTES),
                "{scopes:?}"
            );
        }
        Err(Refused::InvalidGrant { description }) => {
            assert!(matches!(status, 400 | 401) && fits(description))
        }
        Err(Refused::Rejected { error, description }) => {
            assert!(error.chars().count() <= 64 && fits(description))
        }
        Err(Refused::Transient { why, retry_after }) => {
            assert_plain_line(&why);
            assert!((0..=86_400).contains(&retry_after.unwrap_or(0)), "{retry_after:?}");
        }
        Err(Refused::NoEndpoint | Refused::ProxyAuth) => {}
    }
});

fn is_token(text: &str) -> bool {
    !text.trim().is_empty()
        && text.len() <= TOKEN_BYTES
        && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

fn fits(description: Option<String>) -> bool {
    description.is_none_or(|text| text.len() <= SERVER_TEXT_BYTES)
}
