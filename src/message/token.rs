//! A live token, as it is handed out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Scheme;
use crate::secret::AccessToken;
use crate::session::{Service, SessionName, Storage};
use crate::time::Timestamp;

/// A live token and how it came about. Made from what the store returned, never from a server's reply, but where nothing
/// is to be kept (I2).
#[derive(Debug)]
pub struct Token {
    /// The session it belongs to.
    pub name: SessionName,
    /// The service it was granted for by which it opens the one that was asked for.
    pub opens: Service,
    /// The place below which it may be shown: that service, or what the configuration leaves of it.
    pub within: Service,
    /// The user name some tools want beside it.
    pub username: Option<String>,
    /// `Bearer`, mostly.
    pub token_type: String,
    /// How the provider wants it shown by the tool that asks, where it says so.
    pub scheme: Option<Scheme>,
    /// The token.
    pub access: AccessToken,
    /// When it ends, where known.
    pub expires_at: Option<Timestamp>,
    /// Until when a caller may keep it, where its end is known: a little less.
    pub keep_until: Option<Timestamp>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Whether there is a refresh token; `None`: not known.
    pub has_refresh_token: Option<bool>,
    /// Where the session lies; `None`: nothing keeps it.
    pub storage: Option<Storage>,
    /// How it came about.
    pub freshness: Freshness,
    /// How the session was chosen.
    pub matched_by: MatchedBy,
}

impl Token {
    /// The value of the `Authorization` header that shows it to the service: a typed password with its user name
    /// (RFC 7617), a token that stands for itself as it is (RFC 8693 section 2.2.1), any other behind its type.
    #[must_use]
    pub fn authorization(&self) -> Zeroizing<String> {
        let access = self.access.expose();
        if self.is_password() {
            let pair = Zeroizing::new([self.username.as_deref().unwrap_or_default(), ":", access].concat());
            let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            return Zeroizing::new(["Basic ", &encoded].concat());
        }
        match self.scheme {
            Some(Scheme::Bare) => Zeroizing::new(access.to_owned()),
            _ if self.token_type == Scheme::Bare.token_type() => Zeroizing::new(access.to_owned()),
            _ => Zeroizing::new([&self.token_type, " ", access].concat()),
        }
    }

    /// Whether it is a password, which opens nothing without its user name.
    #[must_use]
    pub fn is_password(&self) -> bool {
        self.token_type.eq_ignore_ascii_case(Scheme::Basic.token_type())
    }
}

/// How a token came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// It was there.
    Cached,
    /// It was refreshed just now, by us.
    Refreshed,
    /// Another process refreshed it while we waited.
    Adopted,
    /// A refresh was due and failed; it is still valid.
    Stale,
    /// There was no session, and a machine grant made one.
    Minted,
}

/// How a session was chosen, the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// The service's path was cut back until a session was found.
    Origin,
    /// The account was given.
    Account,
    /// It is the service's default.
    Default,
    /// It is the only one.
    Only,
}
