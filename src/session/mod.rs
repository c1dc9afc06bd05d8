//! What a session is called: a service, an account, perhaps a profile, and the slots named after them.

mod account;
mod service;
mod slot;

pub use account::{Account, Profile};
pub use service::Service;
pub use slot::SlotName;

/// One (service, account, profile). Fixed when the session is made; its slots are named after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionName {
    /// The service that gave the session its name; not necessarily one it is still granted for.
    pub service: Service,
    /// Whose token.
    pub account: Account,
    /// The tool that keeps its session to itself, if one does.
    pub profile: Option<Profile>,
}

impl SessionName {
    /// What messages call it, odd characters escaped.
    #[must_use]
    pub fn words(&self) -> String {
        let profile = self.profile.as_ref();
        let profile = profile.map_or_else(String::new, |profile| format!(" (profile {})", profile.as_str()));
        format!("the session of {} for {}{profile}", self.account, self.service)
    }

    /// The slot of the access token and its record.
    #[must_use]
    pub fn access_slot(&self) -> SlotName {
        SlotName::access(self)
    }

    /// The slot of the refresh token and its destination.
    #[must_use]
    pub fn refresh_slot(&self) -> SlotName {
        SlotName::refresh(self)
    }
}

/// Where a session's secrets lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Storage {
    /// The operating system's keyring.
    Keyring,
    /// Files only the user can read.
    Plaintext,
}

impl Storage {
    /// The word callers and files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Plaintext => "plaintext",
        }
    }

    /// The word for where a session is kept; `None`: nothing keeps it.
    #[must_use]
    pub fn word(kept: Option<Self>) -> &'static str {
        kept.map_or("none", Self::as_str)
    }

    /// What people call it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Keyring => "the keyring",
            Self::Plaintext => "plaintext files",
        }
    }

    /// Reads the word, trimmed, in any case; `none` is for machine grants and no store.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.trim();
        [Self::Keyring, Self::Plaintext]
            .into_iter()
            .find(|storage| word.eq_ignore_ascii_case(storage.as_str()))
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Keyring => Self::Plaintext,
            Self::Plaintext => Self::Keyring,
        }
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Storage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
