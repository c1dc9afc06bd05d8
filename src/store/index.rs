//! What sessions there are, without reading a slot: one small file per session, one per service and profile
//! for its default account. No file is shared by two sessions' writers.
//!
//! The index is a superset of the truth and decides nothing: what it says is checked in the slot. A lost
//! index is rebuilt from the backends; a damaged file is an error that names it.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::files::{Folder, Writers};
use super::record::{FORMAT, Record};
use super::{Error, Piece};
use crate::fields::{self, Fields};
use crate::limits::{INDEX_BYTES, SERVICES, TEXT_BYTES, URL_BYTES};
use crate::secret::hex;
use crate::session::{Account, Profile, Service, SessionName, Storage};
use crate::time::Timestamp;

/// What the index says of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: SessionName,
    /// Its label.
    pub label: Option<String>,
    /// The user name some tools want beside its token.
    pub username: Option<String>,
    /// The dialect of the tool that brought it, where somebody typed it there.
    pub kept_by: Option<String>,
    /// The services it is granted for.
    pub services: Vec<Service>,
    /// Where it was last written.
    pub storage: Storage,
    /// When its access token ended, as last seen.
    pub expires_at: Option<Timestamp>,
    /// Whether it had a refresh token, as last seen.
    pub has_refresh_token: Option<bool>,
    /// Its generation, as last seen.
    pub generation: i64,
    /// When the server refused its refresh token, as last seen.
    pub refused_at: Option<Timestamp>,
}

impl Entry {
    /// What the index should say of a record.
    #[must_use]
    pub fn of(record: &Record, storage: Storage) -> Self {
        Self {
            name: record.name.clone(),
            label: record.label.clone(),
            username: record.username.clone(),
            kept_by: record.kept_by.clone(),
            services: record.services.clone(),
            storage,
            expires_at: record.expires_at,
            has_refresh_token: record.has_refresh_token,
            generation: record.generation,
            refused_at: record.tombstone.as_ref().map(|tombstone| tombstone.at),
        }
    }
}

/// Everything in the index, and what could not be read of it.
#[derive(Debug, Default)]
pub struct Listing {
    /// The entries, sorted by name.
    pub entries: Vec<Entry>,
    /// The files that could not be read, each with the error that names it.
    pub damaged: Vec<Damaged>,
}

impl Listing {
    /// The entries, and the first error about a file that could not be read.
    #[must_use]
    pub fn or_damage(self) -> (Vec<Entry>, Option<Error>) {
        (self.entries, self.damaged.into_iter().next().map(|damaged| damaged.error))
    }
}

/// A file that could not be read.
#[derive(Debug)]
pub struct Damaged {
    /// Its name in its folder.
    pub file: String,
    /// What is wrong with it.
    pub error: Error,
}

/// A service's default account, and the profile it is for.
pub type Pinned = (Service, Option<Profile>, Account);

/// Every default, and what could not be read of them.
#[derive(Debug, Default)]
pub struct Defaults {
    /// The defaults.
    pub entries: Vec<Pinned>,
    /// The files that could not be read.
    pub damaged: Vec<Damaged>,
}

/// The index of a state folder.
pub struct Index {
    sessions: Shelf,
    defaults: Shelf,
    seldom_written: [Folder; 3],
}

/// A folder of one kind of file.
struct Shelf {
    folder: Folder,
    piece: Piece,
}

impl Shelf {
    /// The files that are ours. A stray one, as desktops leave them, is nobody's entry.
    fn files(&self) -> Result<Vec<String>, Error> {
        let ours = |file: &String| {
            let digest = file.strip_suffix(".json").unwrap_or_default();
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        Ok(self.folder.names()?.into_iter().filter(ours).collect())
    }

    fn damaged(&self, file: &str, why: &str) -> Error {
        let path = self.folder.path_of(file);
        let what = format!("index file {}", crate::text::Escaped(&path.display().to_string()));
        Error::Damaged { piece: self.piece, what, why: why.to_owned() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryOut<'a> {
    format: i64,
    service: &'a Service,
    account: &'a Account,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_by: Option<&'a str>,
    services: &'a [Service],
    storage: Storage,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_refresh_token: Option<bool>,
    generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct DefaultOut<'a> {
    format: i64,
    service: &'a Service,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a Profile>,
    account: &'a Account,
}

impl Index {
    /// The index of a state folder. Nothing is touched yet.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self {
            sessions: Shelf { folder: Folder::new(state, "index"), piece: Piece::Index },
            defaults: Shelf { folder: Folder::new(state, "defaults"), piece: Piece::Default },
            // Of the last, what is no session's is meant: probes.
            seldom_written: ["defaults", "pin", "slots"].map(|name| Folder::new(state, name)),
        }
    }

    /// Reads every entry.
    pub fn all(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        for file in self.sessions.files()? {
            match read(&self.sessions, &file, entry) {
                Ok(Some(entry)) if file_of(&entry.name) == file => listing.entries.push(entry),
                Ok(Some(_)) => {
                    let error = self.sessions.damaged(&file, "it describes another session");
                    listing.damaged.push(Damaged { file, error });
                }
                // Erased by another process since the names were read.
                Ok(None) => {}
                Err(error) => listing.damaged.push(Damaged { file, error }),
            }
        }
        listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    /// Whether it can be written at all: a file of no meaning is made and removed.
    pub fn write_probe(&self) -> Result<(), Error> {
        const FILE: &str = "probe";
        self.sessions.folder.write(FILE, &[], Writers::Many)?;
        self.sessions.folder.delete(FILE).map(|_| ())
    }

    /// Reads one session's entry.
    pub fn entry(&self, name: &SessionName) -> Result<Option<Entry>, Error> {
        read(&self.sessions, &file_of(name), entry)
    }

    /// Writes one session's entry.
    pub fn put(&self, entry: &Entry) -> Result<(), Error> {
        let Entry { name, label, username, kept_by, services, storage, .. } = entry;
        let Entry { expires_at, has_refresh_token, generation, refused_at, .. } = entry;
        let out = EntryOut {
            format: FORMAT,
            service: &name.service,
            account: &name.account,
            profile: name.profile.as_ref(),
            label: label.as_deref(),
            username: username.as_deref(),
            kept_by: kept_by.as_deref(),
            services,
            storage: *storage,
            expires_at: *expires_at,
            has_refresh_token: *has_refresh_token,
            generation: *generation,
            refused_at: *refused_at,
        };
        self.sweep_elsewhere();
        write(&self.sessions, &file_of(name), &out)
    }

    /// Reads every default.
    pub fn defaults(&self) -> Result<Defaults, Error> {
        let mut defaults = Defaults::default();
        for file in self.defaults.files()? {
            match read(&self.defaults, &file, default) {
                Ok(Some(entry)) if default_file(&entry.0, entry.1.as_ref()) == file => {
                    defaults.entries.push(entry);
                }
                Ok(Some(_)) => {
                    let error = self.defaults.damaged(&file, "it describes another service");
                    defaults.damaged.push(Damaged { file, error });
                }
                Ok(None) => {}
                Err(error) => defaults.damaged.push(Damaged { file, error }),
            }
        }
        Ok(defaults)
    }

    /// Removes a file that could not be read.
    pub fn remove_damaged(&self, damaged: &Damaged) -> Result<(), Error> {
        let kept_in = match &damaged.error {
            Error::Damaged { piece: Piece::Default, .. } => &self.defaults,
            _ => &self.sessions,
        };
        kept_in.folder.delete(&damaged.file).map(|_| ())
    }

    /// Their own next write may be long in coming: what a killed writer left there is looked for with every entry.
    fn sweep_elsewhere(&self) {
        self.seldom_written.iter().for_each(Folder::sweep);
    }

    /// Removes one session's entry.
    pub fn remove(&self, name: &SessionName) -> Result<(), Error> {
        self.sessions.folder.sweep();
        self.sweep_elsewhere();
        self.sessions.folder.delete(&file_of(name)).map(|_| ())
    }

    /// The default account of a service, for sessions of one profile or of none.
    pub fn default_account(
        &self,
        service: &Service,
        profile: Option<&Profile>,
    ) -> Result<Option<Account>, Error> {
        let file = default_file(service, profile);
        let found = read(&self.defaults, &file, default)?;
        match found {
            None => Ok(None),
            Some((named, of, account)) if named == *service && of.as_ref() == profile => Ok(Some(account)),
            Some(_) => Err(self.defaults.damaged(&file, "it describes another service")),
        }
    }

    /// Pins the default account of a service.
    pub fn pin_default(
        &self,
        service: &Service,
        profile: Option<&Profile>,
        account: &Account,
    ) -> Result<(), Error> {
        write(
            &self.defaults,
            &default_file(service, profile),
            &DefaultOut { format: FORMAT, service, profile, account },
        )
    }

    /// Unpins the default account of a service.
    pub fn unpin_default(&self, service: &Service, profile: Option<&Profile>) -> Result<(), Error> {
        self.defaults.folder.delete(&default_file(service, profile)).map(|_| ())
    }
}

fn file_of(name: &SessionName) -> String {
    format!("{}.json", name.access_slot().digest())
}

fn default_file(service: &Service, profile: Option<&Profile>) -> String {
    let name =
        profile.map_or_else(|| service.to_string(), |profile| format!("{service}#{}", profile.as_str()));
    format!("{}.json", hex(&Sha256::digest(name)))
}

fn write(shelf: &Shelf, file: &str, out: &impl Serialize) -> Result<(), Error> {
    let bytes = serde_json::to_vec(out).map_err(|_| shelf.damaged(file, "it cannot be written as JSON"))?;
    shelf.folder.write(file, &bytes, Writers::Many)
}

fn read<T>(
    shelf: &Shelf,
    file: &str,
    decode: impl FnOnce(&mut Fields) -> Result<T, fields::Error>,
) -> Result<Option<T>, Error> {
    let Some(content) = shelf.folder.read(file, INDEX_BYTES)? else { return Ok(None) };
    let decoded = fields::json(&content.bytes).and_then(Fields::of).and_then(|mut fields| {
        if fields.count("format", i64::MAX)? > Some(FORMAT) {
            return Ok(None);
        }
        let value = decode(&mut fields)?;
        fields.done()?;
        Ok(Some(value))
    });
    match decoded {
        Ok(Some(value)) => Ok(Some(value)),
        Ok(None) => {
            let path = shelf.folder.path_of(file).display().to_string();
            Err(Error::Newer { what: format!("index file {}", crate::text::Escaped(&path)) })
        }
        Err(error) => Err(shelf.damaged(file, &error.to_string())),
    }
}

fn entry(fields: &mut Fields) -> Result<Entry, fields::Error> {
    let name =
        SessionName { service: service(fields)?, account: account(fields)?, profile: profile(fields)? };
    let services = fields.list("services", SERVICES, URL_BYTES)?.unwrap_or_default();
    let services: Result<Vec<_>, _> = services.iter().map(|text| Service::parse(text)).collect();
    Ok(Entry {
        name,
        label: fields.text("label", TEXT_BYTES)?,
        username: fields.text("username", TEXT_BYTES)?,
        kept_by: fields.text("keptBy", TEXT_BYTES)?,
        services: services
            .map_err(|_| fields.error("services", fields::Problem::Wanted("a list of services")))?,
        storage: required(fields, "storage", |text| Storage::parse(text).ok_or("is no storage"))?,
        expires_at: fields
            .parsed("expiresAt", TEXT_BYTES, |text| Timestamp::parse(text).ok_or("is no time"))?,
        has_refresh_token: fields.truth("hasRefreshToken")?,
        generation: fields.count("generation", i64::MAX)?.unwrap_or(0),
        refused_at: fields
            .parsed("refusedAt", TEXT_BYTES, |text| Timestamp::parse(text).ok_or("is no time"))?,
    })
}

fn default(fields: &mut Fields) -> Result<Pinned, fields::Error> {
    Ok((service(fields)?, profile(fields)?, account(fields)?))
}

fn service(fields: &mut Fields) -> Result<Service, fields::Error> {
    required(fields, "service", |text| Service::parse(text).map_err(crate::address::Error::words))
}

fn account(fields: &mut Fields) -> Result<Account, fields::Error> {
    required(fields, "account", Account::parse)
}

fn profile(fields: &mut Fields) -> Result<Option<Profile>, fields::Error> {
    fields.parsed("profile", TEXT_BYTES, Profile::parse)
}

fn required<T>(
    fields: &mut Fields,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, fields::Error> {
    fields.parsed(key, URL_BYTES, parse)?.ok_or_else(|| fields.error(key, fields::Problem::Missing))
}
