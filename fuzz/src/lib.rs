//! What the targets have in common: what a line, a token and an accepted request must be.

pub mod canary;
mod request;

pub use request::assert_canonical;

use claviger::fields::{Fields, json};
use claviger::limits::{TEXT_BYTES, TOKEN_BYTES};
use claviger::session::{Account, Profile, Service, SessionName};
use claviger::text::steers;

/// One line that steers no terminal. Control characters are looked for beside the project's own rule, which
/// is under test with the rest.
pub fn assert_plain_line(text: &str) {
    assert!(!text.is_empty() && !text.contains(char::is_control) && !text.contains(steers), "{text:?}");
}

/// Printable ASCII, not blank, within the limit.
pub fn assert_token(text: &str) {
    assert!(!text.trim().is_empty() && text.len() <= TOKEN_BYTES);
    assert!(text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
}

/// The session that a slot's value says it belongs to.
pub fn session_named_in(value: &[u8]) -> Option<SessionName> {
    let mut fields = json(value).and_then(Fields::of).ok()?;
    let mut text = |key| fields.text(key, TEXT_BYTES).ok().flatten();
    Some(SessionName {
        service: Service::parse(&text("service")?).ok()?,
        account: Account::parse(&text("account")?).ok()?,
        profile: text("profile").and_then(|word| Profile::parse(&word).ok()),
    })
}
