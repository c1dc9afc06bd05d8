//! Whose token, and for which tool alone.

use std::fmt;

use crate::limits::{ACCOUNT_BYTES, PROFILE_BYTES};

/// Whose token: 1 to 200 bytes of UTF-8, counted percent-encoded, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Account(String);

impl Account {
    /// Reads an account; any text but an empty, overlong or control-bearing one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("must not be empty");
        }
        if text.chars().any(char::is_control) {
            return Err("must not hold control characters");
        }
        let account = Self(text.to_owned());
        if account.encoded().len() > ACCOUNT_BYTES {
            return Err("is over 200 bytes, counted percent-encoded");
        }
        Ok(account)
    }

    /// As given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in slot names: `%`, `/` and `#` percent-encoded, so that none of them is a separator.
    #[must_use]
    pub fn encoded(&self) -> String {
        self.0.replace('%', "%25").replace('/', "%2F").replace('#', "%23")
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::text::Escaped(&self.0))
    }
}

/// A name a tool gives itself so as not to share its session: `[a-z0-9._-]{1,32}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Profile(String);

impl Profile {
    /// Reads a profile.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if text.is_empty() || text.len() > PROFILE_BYTES || !text.bytes().all(allowed) {
            return Err("must be 1 to 32 of a-z, 0-9, `.`, `_`, `-`");
        }
        Ok(Self(text.to_owned()))
    }

    /// As given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_counted_as_it_is_stored() {
        assert!(Account::parse(&"a".repeat(200)).is_ok());
        assert!(Account::parse(&"a".repeat(201)).is_err());
        assert!(Account::parse(&"/".repeat(66)).is_ok());
        assert!(Account::parse(&"/".repeat(67)).is_err());
        for bad in ["", "a\nb", "a\0", "\u{85}", "\u{7f}"] {
            assert!(Account::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_profile_is_a_short_lower_case_word() {
        assert!(Profile::parse("ci.runner_2-x").is_ok());
        for bad in ["", "A", "a/b", "a#b", "\u{e4}", &"a".repeat(33)] {
            assert!(Profile::parse(bad).is_err(), "{bad:?}");
        }
    }
}
