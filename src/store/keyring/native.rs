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
#[cfg(target_os = "macos")]
use security_framework::os::macos::keychain::{
    KeychainUserInteractionLock, SecKeychain, SecPreferencesDomain,
};
#[cfg(windows)]
use windows_native_keyring_store::Store;

use super::items::{Items, words};
use super::{Patience, SERVICE};
use crate::session::Storage;
#[cfg(target_os = "macos")]
use crate::store::Unlock;
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
/// What `CRED_MAX_CREDENTIAL_BLOB_SIZE` allows (Windows, wincred.h); the Keychain has no limit of its own.
pub(super) const VALUE_BYTES: Option<usize> = if cfg!(windows) { Some(2560) } else { None };
/// The Keychain may ask for every item whose access list does not name this very binary.
pub(super) const ASKS_PER_ITEM: bool = cfg!(target_os = "macos");
/// Deleting is never a question of its own.
pub(super) const ASKS_TO_DELETE: bool = false;

pub(super) struct Session {
    store: Arc<Store>,
    #[cfg(target_os = "macos")]
    silence: Option<KeychainUserInteractionLock>,
}

impl Session {
    pub(super) fn open(_access: &Access, _patience: Patience) -> Result<Self, Error> {
        let store = Store::new_with_configuration(&naming()).map_err(|refusal| refused(&refusal))?;
        Ok(Self {
            store,
            // Until somebody is asked on purpose, the Keychain answers -25308 where it would raise a window.
            #[cfg(target_os = "macos")]
            silence: Some(
                SecKeychain::disable_user_interaction()
                    .map_err(|_| unavailable("the Keychain does not say whether it would ask somebody"))?,
            ),
        })
    }

    fn entry(&self, name: &str) -> Result<Entry, Error> {
        let modifiers = modifiers();
        self.store.build(SERVICE, name, Some(&modifiers)).map_err(|refusal| refused(&refusal))
    }
}

impl Items for Session {
    fn read(&mut self, name: &str) -> Result<Option<Value>, Error> {
        value_of(&self.entry(name)?)
    }

    fn write(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        self.entry(name)?.set_secret(value).map_err(|refusal| match refusal {
            Refusal::TooLong(_, limit) => Error::Write {
                what: words(name),
                why: format!("this keyring takes values of at most {limit} bytes"),
            },
            refusal => refused(&refusal),
        })
    }

    fn delete(&mut self, name: &str) -> Result<bool, Error> {
        match self.entry(name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Refusal::NoEntry) => Ok(false),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    fn names(&mut self) -> Result<Vec<String>, Error> {
        let found = self.store.search(&search_for()).map_err(|refusal| refused(&refusal))?;
        let names = found.iter().filter_map(Entry::get_specifiers).filter(|(service, _)| service == SERVICE);
        Ok(names.map(|(_, name)| name).collect())
    }

    /// From now on the system may ask: for the keychain here, for an item when it is next touched.
    #[cfg(target_os = "macos")]
    fn unlock(&mut self) -> Result<(), Error> {
        self.silence = None;
        let unlocked = SecKeychain::default_for_domain(SecPreferencesDomain::User)
            .and_then(|mut keychain| keychain.unlock(None));
        unlocked.map_err(|failure| of_status(failure.code()))
    }

    /// The Credential Manager is open as long as its user is signed in.
    #[cfg(windows)]
    fn unlock(&mut self) -> Result<(), Error> {
        Ok(())
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
        _ => failed("the system's keyring refused the call"),
    }
}

fn failed(why: &str) -> Error {
    Error::Failed { why: why.to_owned() }
}

fn unavailable(why: &str) -> Error {
    Error::Unavailable { storage: Storage::Keyring, why: why.to_owned() }
}

/// No access means one thing here, error 1312, and nothing can be unlocked about it.
#[cfg(windows)]
fn system_refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::NoStorageAccess(_) => {
            unavailable("this logon session has no credentials, as over SSH with a key")
        }
        _ => failed("the system reports a failure"),
    }
}

/// By the Keychain's own number: the store crate calls a locked keychain a failure like any other, and a
/// missing one no access.
#[cfg(target_os = "macos")]
fn system_refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::NoStorageAccess(failure) | Refusal::PlatformFailure(failure) => {
            match failure.downcast_ref::<security_framework::base::Error>() {
                Some(failure) => of_status(failure.code()),
                None => failed("the system reports a failure"),
            }
        }
        _ => failed("the system reports a failure"),
    }
}

#[cfg(target_os = "macos")]
fn of_status(status: i32) -> Error {
    const INTERACTION_NOT_ALLOWED: i32 = -25308;
    const INTERACTION_REQUIRED: i32 = -25315;
    const AUTH_FAILED: i32 = -25293;
    const USER_CANCELED: i32 = -128;
    const NO_WRITE_PERMISSION: i32 = -61;
    const READ_ONLY: i32 = -25292;
    const INVALID_OWNER_EDIT: i32 = -25244;
    const NOT_AVAILABLE: i32 = -25291;
    const NO_SUCH_KEYCHAIN: i32 = -25294;
    const INVALID_KEYCHAIN: i32 = -25295;
    const NO_DEFAULT_KEYCHAIN: i32 = -25307;

    let denied = |why: &str| Error::Denied { why: why.to_owned() };
    match status {
        INTERACTION_NOT_ALLOWED | INTERACTION_REQUIRED => Error::Locked(Unlock::NotAsked),
        USER_CANCELED => Error::Locked(Unlock::Dismissed),
        AUTH_FAILED => denied("the Keychain's authentication failed"),
        INVALID_OWNER_EDIT => denied("the item is another program's"),
        NO_WRITE_PERMISSION | READ_ONLY => denied("the keychain cannot be written"),
        NOT_AVAILABLE | NO_SUCH_KEYCHAIN | INVALID_KEYCHAIN | NO_DEFAULT_KEYCHAIN => {
            unavailable("there is no keychain for this user")
        }
        status => failed(&format!("the Keychain reports error {status}")),
    }
}
