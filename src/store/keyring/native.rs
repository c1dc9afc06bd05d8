//! macOS Keychain and Windows Credential Manager, through keyring-core and their store crates.
//!
//! keyring-core's `BadEncoding` and `BadDataFormat` hold the secret's bytes: no error of it is ever
//! formatted, only matched. In the Credential Manager a slot is called `<slot>.claviger`.

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
use crate::store::{Error, Piece, Value};

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
        let store = Store::new_with_configuration(&naming());
        store.map(|store| Self { store }).map_err(|refusal| refused(&refusal))
    }

    pub(super) fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error> {
        value_of(&self.entry(slot)?)
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
                // One that has gone since the search is no session and no error.
                values.extend(value_of(&entry)?);
            }
        }
        Ok(values)
    }

    fn entry(&self, slot: &SlotName) -> Result<Entry, Error> {
        let modifiers = modifiers();
        self.store.build(SERVICE, slot.as_str(), Some(&modifiers)).map_err(|refusal| refused(&refusal))
    }
}

fn value_of(entry: &Entry) -> Result<Option<Value>, Error> {
    match entry.get_secret() {
        Ok(secret) => Ok(Some(Zeroizing::new(secret))),
        Err(Refusal::NoEntry) => Ok(None),
        Err(refusal) => Err(refused(&refusal)),
    }
}

/// The Credential Manager knows an item by one name, made of service and slot. Its form is users' stored
/// state, so it is spelled out here and not left to a default. A service without the divider, which the
/// store then insists on, makes it unambiguous: the last divider ends the slot's name.
fn naming() -> HashMap<&'static str, &'static str> {
    if cfg!(windows) {
        HashMap::from([("prefix", ""), ("divider", "."), ("suffix", ""), ("service_no_divider", "true")])
    } else {
        HashMap::new()
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
    match refusal {
        Refusal::NoStorageAccess(_) | Refusal::PlatformFailure(_) => system_refused(refusal),
        Refusal::BadEncoding(_) | Refusal::BadDataFormat(..) => Error::Damaged {
            piece: Piece::Answer,
            what: "the keyring's answer".to_owned(),
            why: "it is not what was stored".to_owned(),
        },
        Refusal::Ambiguous(_) => Error::Damaged {
            piece: Piece::Answer,
            what: "the keyring".to_owned(),
            why: "it holds two items of one name".to_owned(),
        },
        _ => unavailable("the system's keyring refused the call"),
    }
}

fn unavailable(why: &str) -> Error {
    Error::Unavailable { storage: Storage::Keyring, why: why.to_owned() }
}

/// No access means one thing here, error 1312, and nothing can be unlocked about it.
#[cfg(windows)]
fn system_refused(refusal: &Refusal) -> Error {
    unavailable(match refusal {
        Refusal::NoStorageAccess(_) => "this logon session has no credentials, as over SSH with a key",
        _ => "the system reports a failure",
    })
}

/// By the Keychain's own number: the store crate calls a locked keychain a failure like any other, and a
/// missing one no access.
#[cfg(target_os = "macos")]
fn system_refused(refusal: &Refusal) -> Error {
    use apple_native_keyring_store::keychain::decode_error;

    const INTERACTION_NOT_ALLOWED: i32 = -25308;
    const INTERACTION_REQUIRED: i32 = -25315;
    const AUTH_FAILED: i32 = -25293;
    const USER_CANCELED: i32 = -128;
    const NO_WRITE_PERMISSION: i32 = -61;
    const READ_ONLY: i32 = -25292;

    let denied = |why: &str| Error::Denied { why: why.to_owned() };
    let Some(failure) = cause(refusal, decode_error) else {
        return unavailable("the system reports a failure");
    };
    match failure.code() {
        INTERACTION_NOT_ALLOWED | INTERACTION_REQUIRED => Error::Locked,
        AUTH_FAILED => denied("the Keychain's authentication failed"),
        USER_CANCELED => denied("the Keychain's question was answered with no"),
        NO_WRITE_PERMISSION | READ_ONLY => denied("the keychain cannot be written"),
        status => unavailable(&format!("the Keychain reports error {status}")),
    }
}

/// The system's own error inside. Its type is the one `decode` takes, so that it is named without depending
/// on the crate it comes from, whose version could then differ from the store's.
#[cfg(target_os = "macos")]
fn cause<E: std::error::Error + Copy + 'static>(refusal: &Refusal, _decode: fn(E) -> Refusal) -> Option<E> {
    match refusal {
        Refusal::NoStorageAccess(failure) | Refusal::PlatformFailure(failure) => {
            failure.downcast_ref().copied()
        }
        _ => None,
    }
}
