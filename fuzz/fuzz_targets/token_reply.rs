//! A reply is a grant that can be kept and read back, or a refusal that ends a refresh token only if it may.
//! The input: status, `Content-Type` and `Retry-After`, each a line and perhaps empty, then the body.
#![no_main]

use claviger::http::Reply;
use claviger::limits::SERVER_TEXT_BYTES;
use claviger::oauth::token::{Refused, read};
use claviger::time::Timestamp;
use claviger_fuzz::{assert_keepable, assert_plain_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || parts.next().map(|line| String::from_utf8_lossy(line).into_owned());
    let given = line().and_then(|digits| digits.parse().ok()).unwrap_or(200);
    let (content_type, retry_after) = (line(), line());
    let body = parts.next().unwrap_or_default().to_vec().into();
    let mut reply = Reply { status: given, content_type, retry_after, body };
    // A body means another thing under each of these, and mutation seldom finds the right one.
    for status in [given, 200, 400, 401, 403] {
        reply.status = status;
        match read(&reply, Timestamp::from_unix(1_767_225_600)) {
            Ok(granted) => {
                assert_eq!(status, 200);
                assert_keepable(&granted);
            }
            Err(Refused::Transient { why, retry_after }) => {
                assert_plain_line(&why);
                assert!((0..=86_400).contains(&retry_after.unwrap_or(0)), "{retry_after:?}");
            }
            Err(Refused::InvalidGrant { .. }) => assert!(matches!(status, 400 | 401), "{status}"),
            Err(Refused::Rejected { error, .. }) => assert!(error.len() <= SERVER_TEXT_BYTES),
            Err(Refused::NoEndpoint | Refused::ProxyAuth) => assert!(matches!(status, 404 | 407 | 410)),
        }
    }
});
