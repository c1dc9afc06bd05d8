//! The Secret Service over D-Bus: one connection, one encrypted session, calls one after another.
//!
//! Searching never prompts: it lists locked items apart. A locked keyring is asked to open by [`Items::unlock`]
//! alone, and an item is only made in a collection seen to be unlocked.

use std::collections::HashMap;

use dbus_secret_service::{
    Collection, EncryptionType, Error as Refusal, Item, SearchItemsResult, SecretService,
};
use zeroize::Zeroizing;

use super::items::Items;
use super::{Patience, SERVICE};
use crate::session::Storage;
use crate::store::{Error, Piece, Unlock, Value};

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
/// A Secret Service takes values of any size.
pub(super) const VALUE_BYTES: Option<usize> = None;
/// Once unlocked, an item is read without another question.
pub(super) const ASKS_PER_ITEM: bool = false;
/// KeePassXC, as it comes, asks before it deletes.
pub(super) const ASKS_TO_DELETE: bool = true;

pub(super) struct Session {
    service: SecretService,
}

impl Session {
    pub(super) fn open(_access: &Access, patience: Patience) -> Result<Self, Error> {
        // Not zero, with which the library raises no prompt at all: KeePassXC makes and deletes every item
        // through a prompt, most of them without a dialog. A locked keyring is never asked to open by a call
        // that is not `unlock`, so where there is nobody to ask, nobody is asked. And more than our own
        // deadlines, because the library counts messages as well as seconds: the deadline is ours to keep.
        let questions = patience.unlock.unwrap_or_default().max(patience.call).as_secs() + 5;
        let service = SecretService::connect_with_max_prompt_timeout(EncryptionType::Dh, questions);
        service.map(|service| Self { service }).map_err(|refusal| refused(&refusal))
    }
}

impl Items for Session {
    fn read(&mut self, name: &str) -> Result<Option<Value>, Error> {
        let Some(item) = self.items(name)?.pop() else {
            // Some services hide what is locked; then nothing found is not nothing there.
            return if self.is_locked()? { Err(locked()) } else { Ok(None) };
        };
        match item.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(refusal) if has_vanished(&refusal) => Ok(None),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    fn write(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        const KIND: &str = "application/json";
        let mut items = self.items(name)?;
        if let Some(current) = items.pop() {
            match current.set_secret(value, KIND) {
                Err(refusal) if has_vanished(&refusal) => {}
                Err(refusal) => return Err(refused(&refusal)),
                Ok(()) => {
                    for older in items {
                        // The value is safe; what stays is never read, and goes with an erase.
                        let _ = older.delete();
                    }
                    return Ok(());
                }
            }
        }
        let collection = self.unlocked_collection()?;
        let label = format!("claviger: {name}");
        let made = collection.create_item(&label, attributes(name), value, true, KIND);
        made.map(|_| ()).map_err(|refusal| unanswered(&refusal, "a new item"))
    }

    /// The current item last: with it gone and another left, an older value would be the current one.
    fn delete(&mut self, name: &str) -> Result<bool, Error> {
        let found = self.search_all(attributes(name))?;
        if !found.locked.is_empty() {
            return Err(locked());
        }
        let items = by_age(found.unlocked);
        for item in &items {
            match item.delete() {
                Err(refusal) if !has_vanished(&refusal) => return Err(unanswered(&refusal, "a deletion")),
                _ => {}
            }
        }
        Ok(!items.is_empty())
    }

    fn names(&mut self) -> Result<Vec<String>, Error> {
        let found = self.search_all(HashMap::from([("service", SERVICE)]))?;
        // Some of them would not be all of them.
        if !found.locked.is_empty() || (found.unlocked.is_empty() && self.is_locked()?) {
            return Err(locked());
        }
        let mut names = Vec::new();
        for item in found.unlocked {
            match item.get_attributes() {
                Ok(mut attributes) => names.extend(attributes.remove("username")),
                // Erased since the search.
                Err(refusal) if has_vanished(&refusal) => {}
                Err(refusal) => return Err(refused(&refusal)),
            }
        }
        Ok(names)
    }

    /// First the collection; then, where items have a lock each (KeePassXC), ours, with one question for all.
    fn unlock(&mut self) -> Result<(), Error> {
        let answer = |refusal: Refusal| match refusal {
            Refusal::Prompt => Error::Locked(Unlock::Dismissed),
            refusal => refused(&refusal),
        };
        if let Some(collection) = self.default_collection()?
            && collection.is_locked().map_err(|refusal| refused(&refusal))?
        {
            collection.unlock().map_err(answer)?;
        }
        let locked = self.search_all(HashMap::from([("service", SERVICE)]))?.locked;
        if locked.is_empty() {
            return Ok(());
        }
        self.service.unlock_all(&locked.iter().collect::<Vec<_>>()).map_err(answer)
    }
}

impl Session {
    /// Whether there is a default collection, and it is locked.
    fn is_locked(&self) -> Result<bool, Error> {
        match self.default_collection()? {
            Some(collection) => collection.is_locked().map_err(|refusal| refused(&refusal)),
            // Without a collection there is nothing to be locked.
            None => Ok(false),
        }
    }

    /// The items of a slot, the current one last. Two can only stand there when another program made one; the one
    /// last changed is then what a user who looks would call current.
    fn items(&self, name: &str) -> Result<Vec<Item<'_>>, Error> {
        let SearchItemsResult { unlocked, locked: shut } = self.search_all(attributes(name))?;
        // A locked copy is not "nothing there": taking it for that would make a second session over it.
        if unlocked.is_empty() && !shut.is_empty() {
            return Err(locked());
        }
        Ok(by_age(unlocked))
    }

    fn search_all(&self, attributes: HashMap<&str, &str>) -> Result<SearchItemsResult<Item<'_>>, Error> {
        self.service.search_items(attributes).map_err(|refusal| refused(&refusal))
    }

    fn default_collection(&self) -> Result<Option<Collection<'_>>, Error> {
        match self.service.get_default_collection() {
            Ok(collection) => Ok(Some(collection)),
            Err(Refusal::NoResult) => Ok(None),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    fn unlocked_collection(&self) -> Result<Collection<'_>, Error> {
        let Some(collection) = self.default_collection()? else {
            return Err(Error::Unavailable {
                storage: Storage::Keyring,
                why: "it has no default collection; make one in its own settings".to_owned(),
            });
        };
        if collection.is_locked().map_err(|refusal| refused(&refusal))? {
            return Err(locked());
        }
        Ok(collection)
    }
}

/// The one last changed at the end; a single one is not asked when that was.
fn by_age(mut items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    if items.len() > 1 {
        items.sort_by_key(|item| item.get_modified().unwrap_or(0));
    }
    items
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

fn locked() -> Error {
    Error::Locked(Unlock::NotAsked)
}

/// A keyring that asks before it makes or deletes an item, and was answered with no, or not at all.
fn unanswered(refusal: &Refusal, what: &str) -> Error {
    match refusal {
        Refusal::Prompt => Error::Denied { why: format!("it asks before {what}, and nobody agreed") },
        refusal => refused(refusal),
    }
}

/// The library's errors hold names of D-Bus errors, no secrets.
fn refused(refusal: &Refusal) -> Error {
    let unavailable = |why: &str| Error::Unavailable { storage: Storage::Keyring, why: why.to_owned() };
    match refusal {
        Refusal::Locked | Refusal::Prompt => locked(),
        Refusal::Unavailable => unavailable("no Secret Service is running"),
        Refusal::Crypto(_) => Error::Damaged {
            piece: Piece::Answer,
            what: "the keyring's answer".to_owned(),
            why: "it cannot be decrypted".to_owned(),
        },
        Refusal::Dbus(error) => match error.name().unwrap_or_default() {
            "org.freedesktop.Secret.Error.IsLocked" => locked(),
            "org.freedesktop.DBus.Error.AccessDenied" => {
                Error::Denied { why: "D-Bus says access denied".to_owned() }
            }
            // It died over the call: what it has not done by now it never will.
            "org.freedesktop.DBus.Error.NoReply"
                if error.message().is_some_and(|message| message.contains("disconnected")) =>
            {
                Error::Failed { why: "it went away while it was asked".to_owned() }
            }
            "org.freedesktop.DBus.Error.NoReply" | "org.freedesktop.DBus.Error.Timeout" => {
                Error::Timeout { seconds: GIVES_UP_AFTER }
            }
            "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
                unavailable("no Secret Service is running")
            }
            "org.freedesktop.DBus.Error.FileNotFound"
            | "org.freedesktop.DBus.Error.NoServer"
            | "org.freedesktop.DBus.Error.Disconnected" => {
                unavailable("nobody listens where the session bus should be")
            }
            "org.freedesktop.DBus.Error.NotSupported" => unavailable("there is no session bus"),
            name if ["org.freedesktop.DBus.Error.Spawn.", "org.freedesktop.systemd1."]
                .iter()
                .any(|family| name.starts_with(family)) =>
            {
                unavailable("no Secret Service can be started")
            }
            // Whoever answers at all is there: an error that says nothing else is no reason to look elsewhere.
            name => Error::Failed { why: format!("D-Bus says {}", crate::text::Escaped(name)) },
        },
        other => Error::Failed {
            why: format!("the Secret Service answered something unexpected ({})", kind(other)),
        },
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
