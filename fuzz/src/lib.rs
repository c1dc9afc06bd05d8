//! What the targets have in common: what a line, a token, a grant and an accepted request must be.

pub mod canary;
mod request;
#[path = "../../tests/support/shapes.rs"]
pub mod shapes;
pub mod tool;

pub use request::assert_canonical;

use claviger::fields::{Fields, json};
use claviger::limits::{SCOPES, SECONDS, TEXT_BYTES, TOKEN_BYTES};
use claviger::oauth::token::Granted;
use claviger::secret::RefreshToken;
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

/// Within what a slot takes, so that what is kept of it can be read back.
pub fn assert_keepable(granted: &Granted) {
    assert_token(granted.access.expose());
    granted.refresh.as_ref().map(RefreshToken::reveal).into_iter().for_each(assert_token);
    for seconds in [granted.expires_in, granted.refresh_expires_in].into_iter().flatten() {
        assert!((0..=SECONDS).contains(&seconds), "{seconds}");
    }
    let scopes = granted.scopes.as_deref().unwrap_or_default();
    assert!(scopes.len() <= SCOPES && scopes.iter().all(|scope| scope.len() <= TEXT_BYTES), "{scopes:?}");
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
