//! Slot names: users' stored state. A changed literal here orphans every stored session; the tests pin them.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Profile, Service, SessionName};
use crate::secret::hex;

/// The name of one value in a backend: `<service>#<account>[#<profile>]`, and `/refresh` after it for the
/// refresh token. `/id` and `/at/<hash>` are reserved for values to come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotName(String);

const REFRESH: &str = "/refresh";
const PROBE: &str = "probe/";
const CLIENT_SECRET: &str = "client-secret/";

impl SlotName {
    pub(super) fn access(name: &SessionName) -> Self {
        let mut slot = format!("{}#{}", name.service, name.account.encoded());
        if let Some(profile) = &name.profile {
            slot.push('#');
            slot.push_str(profile.as_str());
        }
        Self::of_one_case(slot)
    }

    /// Windows folds case in names: two accounts that differ in case alone must not share a slot.
    fn of_one_case(mut slot: String) -> Self {
        if slot.chars().any(char::is_uppercase) {
            let digest = hex(&Sha256::digest(&slot));
            slot.push('~');
            slot.extend(digest.chars().take(16));
        }
        Self(slot)
    }

    /// The slot of a configured client's secret. It is a provider's and no session's.
    #[must_use]
    pub fn client_secret(provider: &str) -> Self {
        Self::of_one_case(format!("{CLIENT_SECRET}{provider}"))
    }

    /// Whether a name found in a backend is that of a client's secret.
    #[must_use]
    pub fn is_a_client_secret(name: &str) -> bool {
        name.starts_with(CLIENT_SECRET)
    }

    pub(super) fn refresh(name: &SessionName) -> Self {
        Self::access(name).and_refresh()
    }

    /// The name of a passing value that is no session's, to see whether a backend keeps it.
    #[must_use]
    pub fn probe(random: &str) -> Self {
        Self(format!("{PROBE}{random}"))
    }

    /// Whether it is such a passing value's name. No lock goes with it.
    #[must_use]
    pub fn is_a_probe(&self) -> bool {
        self.0.starts_with(PROBE)
    }

    /// The name whose lock a move of all sessions holds. No value has it.
    #[must_use]
    pub fn everything() -> Self {
        Self("everything/".to_owned())
    }

    /// The name whose lock a login holds while it is under way. No value has it: what a service or an account may hold
    /// cannot begin so.
    #[must_use]
    pub fn login(service: &Service, account: Option<&str>, profile: Option<&Profile>) -> Self {
        Self(format!(
            "login/{service}#{}#{}",
            account.unwrap_or_default(),
            profile.map_or("", Profile::as_str)
        ))
    }

    /// The name whose lock a change of `config.toml` holds. No value has it.
    #[must_use]
    pub fn configuration() -> Self {
        Self("configuration/".to_owned())
    }

    /// The refresh slot beside this access slot.
    #[must_use]
    pub fn and_refresh(&self) -> Self {
        Self(format!("{}{REFRESH}", self.0))
    }

    /// The access slot beside a refresh slot's name found in a backend.
    #[must_use]
    pub fn beside_refresh(name: &str) -> Option<Self> {
        name.strip_suffix(REFRESH).and_then(Self::found_access)
    }

    /// The name as the keyring knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name found in a backend, if it is that of an access slot. The part after the last `#` cannot hold
    /// a `/` in an access slot: accounts are percent-encoded there.
    #[must_use]
    pub fn found_access(name: &str) -> Option<Self> {
        let (_, tail) = name.split_once('#')?;
        (!tail.contains('/')).then(|| Self(name.to_owned()))
    }

    /// SHA-256 of the name in hex: the file of a plaintext slot and of an index entry.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(&self.0))
    }

    /// The file name of the lock that guards this slot's session: the first 32 hex digits, `.lock`.
    #[must_use]
    pub fn lock_file(&self) -> String {
        self.digest().chars().take(32).chain(".lock".chars()).collect()
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::text::Escaped(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Account;

    fn name(service: &str, account: &str, profile: Option<&str>) -> SessionName {
        SessionName {
            service: Service::parse(service).unwrap(),
            account: Account::parse(account).unwrap(),
            profile: profile.map(|profile| Profile::parse(profile).unwrap()),
        }
    }

    #[test]
    fn the_literals_are_users_stored_state() {
        for (session, access) in [
            (name("https://api.acme.example", "alice", None), "https://api.acme.example#alice"),
            (name("https://api.acme.example", "alice", Some("ci")), "https://api.acme.example#alice#ci"),
            (
                name("https://api.acme.example/org", "a%/#b", None),
                "https://api.acme.example/org#a%25%2F%23b~aef5f37ade72ffd1",
            ),
            (
                name("https://api.acme.example", "Alice", None),
                "https://api.acme.example#Alice~8113dba23ec0d7c3",
            ),
        ] {
            assert_eq!(session.access_slot().as_str(), access);
            assert_eq!(session.refresh_slot().as_str(), format!("{access}/refresh"));
        }
        let slot = name("https://api.acme.example", "alice", None).access_slot();
        assert_eq!(slot.digest(), "04e03ee8f957327dbd3f2fede44b1113c750cdee2e6b2fe9f6e36fb9421c1e6d");
        assert_eq!(slot.lock_file(), "04e03ee8f957327dbd3f2fede44b1113.lock");
    }

    #[test]
    fn a_client_secret_has_a_slot_of_its_own() {
        for (provider, slot) in [
            ("acme", "client-secret/acme"),
            ("Acme", "client-secret/Acme~8f269ce11fa4a04e"),
            ("refresh", "client-secret/refresh"),
        ] {
            assert_eq!(SlotName::client_secret(provider).as_str(), slot);
            assert!(SlotName::is_a_client_secret(slot));
            assert!(SlotName::beside_refresh(slot).is_none(), "{slot}");
        }
    }

    #[test]
    fn no_two_sessions_share_a_slot() {
        let slots = [
            name("https://a.example", "b#c", None),
            name("https://a.example", "b", Some("c")),
            name("https://a.example", "b%23c", None),
            name("https://a.example", "b/refresh", None),
            name("https://a.example/b", "c", None),
            name("https://a.example", "B", None),
            name("https://a.example", "b", None),
        ]
        .map(|session| session.access_slot().as_str().to_lowercase());
        for (at, slot) in slots.iter().enumerate() {
            assert!(!slots[..at].contains(slot), "{slot}");
        }
    }

    #[test]
    fn access_slots_are_told_from_the_reserved_ones() {
        assert!(SlotName::found_access("https://a.example/org#alice#ci").is_some());
        for other in [
            "https://a.example#alice/refresh",
            "https://a.example#alice/id",
            "https://a.example#alice/at/00",
            "https://a.example#alice/3.0",
            SlotName::probe("00").as_str(),
            SlotName::client_secret("acme").as_str(),
            "x",
        ] {
            assert!(SlotName::found_access(other).is_none(), "{other}");
        }
    }
}
