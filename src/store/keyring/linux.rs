//! The Secret Service over D-Bus: one connection, one encrypted session, calls one after another.
//!
//! Searching never prompts: it lists locked items apart. No prompt is ever raised from here, and an item is
//! only made in a collection seen to be unlocked.

use std::collections::HashMap;

use dbus_secret_service::{Collection, EncryptionType, Error as Refusal, Item, SecretService};
use zeroize::Zeroizing;

use super::SERVICE;
use crate::session::{SlotName, Storage};
use crate::store::{Error, Piece, Value};

/// How the session bus is reached, as `settings` read it from the environment. The D-Bus library reads
/// `DBUS_SESSION_BUS_ADDRESS` and `XDG_RUNTIME_DIR` itself and would start a bus of its own where it finds
/// none; so it is only called where these lead to a socket.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `DBUS_SESSION_BUS_ADDRESS`.
    pub address: Option<String>,
    /// `XDG_RUNTIME_DIR/bus`, where that is a socket of ours.
    pub runtime_socket: bool,
}

impl Access {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.address.as_deref().filter(|address| !address.is_empty()) {
            None if self.runtime_socket => Ok(()),
            None => Err("there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)".to_owned()),
            Some(address) if address.split(';').filter(|one| !one.is_empty()).all(is_local) => Ok(()),
            Some(_) => Err("DBUS_SESSION_BUS_ADDRESS is no unix:path or unix:abstract address".to_owned()),
        }
    }
}

/// Other transports can run a program (`unixexec`) or carry the secrets off this machine (`tcp`).
fn is_local(address: &str) -> bool {
    address.starts_with("unix:path=") || address.starts_with("unix:abstract=")
}

/// The D-Bus library waits this long for a reply, in seconds, and cannot be told otherwise.
pub(super) const GIVES_UP_AFTER: u64 = 2;

pub(super) struct Session {
    service: SecretService,
}

impl Session {
    pub(super) fn open(_access: &Access) -> Result<Self, Error> {
        // Zero seconds for prompts: the library then gives up instead of raising one.
        let service = SecretService::connect_with_max_prompt_timeout(EncryptionType::Dh, 0);
        service.map(|service| Self { service }).map_err(|refusal| refused(&refusal))
    }

    pub(super) fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error> {
        let Some(item) = self.find(slot)? else {
            // Some services hide what is locked; then nothing found is not nothing there.
            return if self.is_locked()? { Err(Error::Locked) } else { Ok(None) };
        };
        match item.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(refusal) if has_vanished(&refusal) => Ok(None),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    pub(super) fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error> {
        const KIND: &str = "application/json";
        if let Some(item) = self.find(slot)? {
            match item.set_secret(value, KIND) {
                Err(refusal) if has_vanished(&refusal) => {}
                done => return done.map_err(|refusal| refused(&refusal)),
            }
        }
        let collection = self.default_collection()?;
        let label = format!("claviger: {}", slot.as_str());
        let made = collection.create_item(&label, attributes(slot.as_str()), value, true, KIND);
        made.map(|_| ()).map_err(|refusal| refused(&refusal))
    }

    pub(super) fn delete(&self, slot: &SlotName) -> Result<bool, Error> {
        let items = self.search(attributes(slot.as_str()))?;
        for item in &items {
            match item.delete() {
                Err(refusal) if !has_vanished(&refusal) => return Err(refused(&refusal)),
                _ => {}
            }
        }
        Ok(!items.is_empty())
    }

    pub(super) fn access_values(&self) -> Result<Vec<Value>, Error> {
        let mut values = Vec::new();
        let items = self.search(HashMap::from([("service", SERVICE)]))?;
        if items.is_empty() && self.is_locked()? {
            return Err(Error::Locked);
        }
        for item in items {
            let found = item.get_attributes().and_then(|attributes| {
                let name = attributes.get("username").and_then(|name| SlotName::found_access(name));
                name.map(|_| item.get_secret()).transpose()
            });
            match found {
                Ok(secret) => values.extend(secret.map(Zeroizing::new)),
                // Erased since the search.
                Err(refusal) if has_vanished(&refusal) => {}
                Err(refusal) => return Err(refused(&refusal)),
            }
        }
        Ok(values)
    }

    fn is_locked(&self) -> Result<bool, Error> {
        match self.default_collection() {
            Err(Error::Locked) => Ok(true),
            // Without a collection there is nothing to be locked.
            Ok(_) | Err(Error::Unavailable { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The one item of a slot. Two can only stand there when another program made one; the one last
    /// changed is then what a user who looks would call current.
    fn find(&self, slot: &SlotName) -> Result<Option<Item<'_>>, Error> {
        let mut items = self.search(attributes(slot.as_str()))?;
        if items.len() > 1 {
            items.sort_by_key(|item| item.get_modified().unwrap_or(0));
        }
        Ok(items.pop())
    }

    fn search(&self, attributes: HashMap<&str, &str>) -> Result<Vec<Item<'_>>, Error> {
        let found = self.service.search_items(attributes).map_err(|refusal| refused(&refusal))?;
        // A locked copy is not "nothing there": taking it for that would make a second session over it.
        if found.unlocked.is_empty() && !found.locked.is_empty() {
            Err(Error::Locked)
        } else {
            Ok(found.unlocked)
        }
    }

    fn default_collection(&self) -> Result<Collection<'_>, Error> {
        let collection = match self.service.get_default_collection() {
            Err(Refusal::NoResult) => {
                return Err(Error::Unavailable {
                    storage: Storage::Keyring,
                    why: "it has no default collection".to_owned(),
                });
            }
            other => other.map_err(|refusal| refused(&refusal))?,
        };
        if collection.is_locked().map_err(|refusal| refused(&refusal))? {
            Err(Error::Locked)
        } else {
            Ok(collection)
        }
    }
}

/// Exactly the attributes keyring-core's stores use, so that others find what we stored and we find theirs.
fn attributes(slot: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", SERVICE), ("username", slot)])
}

/// An item that another process deleted between our search and our call.
fn has_vanished(refusal: &Refusal) -> bool {
    let Refusal::Dbus(error) = refusal else { return false };
    matches!(
        error.name(),
        Some(
            "org.freedesktop.DBus.Error.UnknownMethod"
                | "org.freedesktop.DBus.Error.UnknownObject"
                | "org.freedesktop.Secret.Error.NoSuchObject"
        )
    )
}

/// The library's errors hold names of D-Bus errors, no secrets.
fn refused(refusal: &Refusal) -> Error {
    let unavailable = |why: &str| Error::Unavailable { storage: Storage::Keyring, why: why.to_owned() };
    match refusal {
        Refusal::Locked | Refusal::Prompt => Error::Locked,
        Refusal::Unavailable => unavailable("no Secret Service is running"),
        Refusal::Crypto(_) => Error::Damaged {
            piece: Piece::Answer,
            what: "the keyring's answer".to_owned(),
            why: "it cannot be decrypted".to_owned(),
        },
        Refusal::Dbus(error) => match error.name().unwrap_or_default() {
            "org.freedesktop.Secret.Error.IsLocked" => Error::Locked,
            "org.freedesktop.DBus.Error.AccessDenied" => {
                Error::Denied { why: "D-Bus says access denied".to_owned() }
            }
            "org.freedesktop.DBus.Error.NoReply" | "org.freedesktop.DBus.Error.Timeout" => {
                Error::Timeout { seconds: GIVES_UP_AFTER }
            }
            "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
                unavailable("no Secret Service is running")
            }
            name => unavailable(&format!("D-Bus says {}", crate::text::Escaped(name))),
        },
        other => unavailable(&format!("the Secret Service answered something unexpected ({})", kind(other))),
    }
}

fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Path(_) => "a bad path",
        Refusal::Parse => "a malformed value",
        Refusal::NoResult => "no result",
        Refusal::UnsupportedSecretFormat => "an unknown format",
        _ => "an unknown error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_local_socket_is_ever_connected_to() {
        let access =
            |address: &str, runtime_socket| Access { address: Some(address.to_owned()), runtime_socket };
        for good in ["unix:path=/run/user/0/bus", "unix:abstract=/tmp/x,guid=1", "unix:path=/a;unix:path=/b"]
        {
            assert!(access(good, false).check().is_ok(), "{good}");
        }
        for bad in [
            "tcp:host=evil.example",
            "unixexec:path=/bin/sh",
            "autolaunch:",
            "unix:path=/a;tcp:host=b",
            "unix:runtime=yes",
        ] {
            assert!(access(bad, true).check().is_err(), "{bad}");
        }
        assert!(access("", true).check().is_ok());
        assert!(Access::default().check().is_err());
    }
}
