//! macOS Keychain and Windows Credential Manager, through keyring-core and their store crates.
//!
//! keyring-core's `BadEncoding` and `BadDataFormat` hold the secret's bytes: no error of it is ever
//! formatted, only matched.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error as Refusal};
use zeroize::Zeroizing;

#[cfg(target_os = "macos")]
use apple_native_keyring_store::keychain::Store;
#[cfg(windows)]
use windows_native_keyring_store::Store;

use super::SERVICE;
use crate::session::{SlotName, Storage};
use crate::store::{Error, Value};

/// How the keyring is reached: by being this user.
#[derive(Clone, Debug, Default)]
pub struct Access;

impl Access {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the shape the Secret Service needs")]
    pub(super) fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// These libraries wait for as long as the system does; the deadline is ours alone.
pub(super) const GIVES_UP_AFTER: u64 = u64::MAX;

pub(super) struct Session {
    store: Arc<Store>,
}

impl Session {
    pub(super) fn open(_access: &Access) -> Result<Self, Error> {
        Store::new().map(|store| Self { store }).map_err(|refusal| refused(&refusal))
    }

    pub(super) fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error> {
        match self.entry(slot)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Refusal::NoEntry) => Ok(None),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    pub(super) fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error> {
        self.entry(slot)?.set_secret(value).map_err(|refusal| match refusal {
            Refusal::TooLong(_, limit) => Error::Write {
                what: format!("slot {slot}"),
                why: format!("this keyring takes values of at most {limit} bytes"),
            },
            refusal => refused(&refusal),
        })
    }

    pub(super) fn delete(&self, slot: &SlotName) -> Result<bool, Error> {
        match self.entry(slot)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Refusal::NoEntry) => Ok(false),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    pub(super) fn access_values(&self) -> Result<Vec<Value>, Error> {
        let mut values = Vec::new();
        for entry in self.store.search(&search_for()).map_err(|refusal| refused(&refusal))? {
            let Some((service, user)) = entry.get_specifiers() else { continue };
            if service == SERVICE && SlotName::found_access(&user).is_some() {
                values.push(Zeroizing::new(entry.get_secret().map_err(|refusal| refused(&refusal))?));
            }
        }
        Ok(values)
    }

    fn entry(&self, slot: &SlotName) -> Result<Entry, Error> {
        let modifiers = modifiers();
        self.store.build(SERVICE, slot.as_str(), Some(&modifiers)).map_err(|refusal| refused(&refusal))
    }
}

/// Local, not the default that roams with a domain profile: a roamed copy of a rotated token is a spent one.
fn modifiers() -> HashMap<&'static str, &'static str> {
    if cfg!(windows) { HashMap::from([("persistence", "Local")]) } else { HashMap::new() }
}

fn search_for() -> HashMap<&'static str, &'static str> {
    if cfg!(windows) {
        HashMap::from([("pattern", "\\.claviger$")])
    } else {
        HashMap::from([("service", SERVICE)])
    }
}

fn refused(refusal: &Refusal) -> Error {
    let unavailable = |why: &str| Error::Unavailable { storage: Storage::Keyring, why: why.to_owned() };
    match refusal {
        Refusal::NoStorageAccess(_) => Error::Locked,
        Refusal::PlatformFailure(_) => unavailable("the system reports a failure"),
        Refusal::BadEncoding(_) | Refusal::BadDataFormat(..) => Error::Damaged {
            what: "the keyring's answer".to_owned(),
            why: "it is not what was stored".to_owned(),
        },
        Refusal::Ambiguous(_) => Error::Damaged {
            what: "the keyring".to_owned(),
            why: "it holds two items of one name".to_owned(),
        },
        _ => unavailable("the system's keyring refused the call"),
    }
}
