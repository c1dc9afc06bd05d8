//! Values that must not leak: redacted, wiped, never cloned, shown only by a named act (I1, I6).
//!
//! Access tokens are what callers ask for, so they have `expose`. Refresh tokens, client secrets and identity
//! tokens have `reveal`, and a test counts the places that call it.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::limits::{SECRET_BYTES, TOKEN_BYTES};

/// What every secret here is made of.
struct Sealed(Zeroizing<Box<str>>);

impl Sealed {
    /// RFC 6749 appendix A allows tokens and secrets the characters 0x20 to 0x7e. That also keeps a
    /// server's token from adding a line or a field to anything we print.
    fn new(text: &str, limit: usize) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            Err("must not be empty or blank")
        } else if text.len() > limit {
            Err("is too long")
        } else if !text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            Err("may hold printable ASCII only")
        } else {
            Ok(Self(Zeroizing::new(text.into())))
        }
    }

    fn same_as(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// Whether a text quotes the secret, or sixteen characters of it in a row, as it is or form-encoded.
    fn appears_in(&self, text: &str) -> bool {
        const TELLING: usize = 16;
        let encoded = url::form_urlencoded::byte_serialize(self.0.as_bytes()).collect::<String>();
        let encoded = Zeroizing::new(encoded);
        [&**self.0, encoded.as_str()].into_iter().any(|secret| {
            let part_of = |part: &[u8]| std::str::from_utf8(part).is_ok_and(|part| secret.contains(part));
            text.contains(secret) || text.as_bytes().windows(TELLING).any(part_of)
        })
    }
}

macro_rules! redacted {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

/// What a caller asks for: a bearer token (RFC 6750) or a static key.
pub struct AccessToken(Sealed);
redacted!(AccessToken);

impl AccessToken {
    /// A token of 1 to [`TOKEN_BYTES`] printable ASCII characters, not blank.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        Sealed::new(text, TOKEN_BYTES).map(Self)
    }

    /// The token itself, for a reply or for its slot.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0.0
    }

    /// Whether two tokens are equal, in constant time.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.same_as(&other.0)
    }
}

/// What is exchanged for access tokens (RFC 6749 section 1.5). It leaves the process to the token endpoint
/// in its own slot and into that slot, and to nothing else. No `Serialize`, `Display`, `Clone`.
pub struct RefreshToken(Sealed);
redacted!(RefreshToken);

impl RefreshToken {
    /// A token of 1 to [`TOKEN_BYTES`] printable ASCII characters, not blank.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        Sealed::new(text, TOKEN_BYTES).map(Self)
    }

    /// The raw token. Every caller is counted in `tests/house.rs`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0.0
    }

    /// Whether two tokens are equal, in constant time.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.same_as(&other.0)
    }

    /// Whether a text quotes the token, as it is or form-encoded: a server's error may.
    #[must_use]
    pub fn appears_in(&self, text: &str) -> bool {
        self.0.appears_in(text)
    }

    /// A salted SHA-256 of the token, to recognise a dead one without keeping it.
    #[must_use]
    pub fn digest(&self, salt: &str) -> String {
        hex(&Sha256::new().chain_update(salt).chain_update([0]).chain_update(self.0.0.as_bytes()).finalize())
    }
}

/// A confidential client's password (RFC 6749 section 2.3.1).
pub struct ClientSecret(Sealed);
redacted!(ClientSecret);

impl ClientSecret {
    /// A secret of 1 to [`SECRET_BYTES`] printable ASCII characters, not blank.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        Sealed::new(text, SECRET_BYTES).map(Self)
    }

    /// The raw secret. Every caller is counted in `tests/house.rs`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0.0
    }

    /// Whether a text quotes the secret, as it is or form-encoded: a server's error may.
    #[must_use]
    pub fn appears_in(&self, text: &str) -> bool {
        self.0.appears_in(text)
    }
}

/// What somebody else says of this machine, for a moment (RFC 7519): shown for a token, or for another of its kind.
pub struct IdentityToken(Sealed);
redacted!(IdentityToken);

impl IdentityToken {
    /// A token of 1 to [`TOKEN_BYTES`] printable ASCII characters, not blank.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        Sealed::new(text, TOKEN_BYTES).map(Self)
    }

    /// The raw token. Every caller is counted in `tests/house.rs`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0.0
    }

    /// Whether a text quotes the token, as it is or form-encoded: a server's error may.
    #[must_use]
    pub fn appears_in(&self, text: &str) -> bool {
        self.0.appears_in(text)
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(RefreshToken: serde::Serialize, std::fmt::Display, Clone);
    static_assertions::assert_not_impl_any!(ClientSecret: serde::Serialize, std::fmt::Display, Clone);
    static_assertions::assert_not_impl_any!(IdentityToken: serde::Serialize, std::fmt::Display, Clone);
    static_assertions::assert_not_impl_any!(AccessToken: serde::Serialize, std::fmt::Display, Clone);

    #[test]
    fn a_debug_print_shows_no_secret() {
        let shown = format!("{:?} {:?}", AccessToken::new("AT-canary"), RefreshToken::new("RT-canary"));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn blank_broken_and_oversize_tokens_are_refused() {
        for bad in ["", " ", "\t", "a\nb", "a\r", "a\0b", "t\u{f6}ken", "\u{1b}[0m"] {
            assert!(AccessToken::new(bad).is_err(), "{bad:?}");
        }
        assert!(AccessToken::new(&"x".repeat(TOKEN_BYTES)).is_ok());
        assert!(AccessToken::new(&"x".repeat(TOKEN_BYTES + 1)).is_err());
    }

    #[test]
    fn a_digest_depends_on_salt_and_token() {
        let token = RefreshToken::new("RT1").unwrap();
        assert_eq!(token.digest("s"), RefreshToken::new("RT1").unwrap().digest("s"));
        assert_ne!(token.digest("s"), token.digest("t"));
        assert_ne!(token.digest("s"), RefreshToken::new("RT2").unwrap().digest("s"));
    }
}
