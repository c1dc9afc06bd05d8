//! The values in slots: format 1, JSON, each naming the slot it belongs to.
//!
//! This is users' stored state. A field is never renamed, and a new one raises [`FORMAT`]: an older version
//! must leave what it does not understand alone instead of writing it back without.

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Bundle, FORMAT, Fault, Grant, Kind, ObtainedBy, Record, RefreshEntry, Tombstone};
use crate::address::Endpoint;
use crate::fields::{self, Fields, Problem};
use crate::limits::{SCOPES, SECRET_BYTES, SERVICES, SLOT_BYTES, TEXT_BYTES, TOKEN_BYTES, URL_BYTES};
use crate::provider::Destination;
use crate::secret::{AccessToken, ClientSecret, RefreshToken};
use crate::session::{Account, Profile, Service, SessionName, Storage};
use crate::store::Value;
use crate::time::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessOut<'a> {
    format: i64,
    slot: &'static str,
    #[serde(flatten)]
    name: NameOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_by: Option<&'a str>,
    services: &'a [Service],
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    scopes: &'a [String],
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
    obtained_at: Timestamp,
    obtained_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_refresh_token: Option<bool>,
    generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tombstone: Option<TombstoneOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<Storage>,
}

#[derive(Serialize)]
struct NameOut<'a> {
    service: &'a str,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

impl<'a> NameOut<'a> {
    fn of(name: &'a SessionName) -> Self {
        Self {
            service: name.service.as_str(),
            account: name.account.as_str(),
            profile: name.profile.as_ref().map(Profile::as_str),
        }
    }
}

#[derive(Serialize)]
struct TombstoneOut<'a> {
    salt: &'a str,
    hash: &'a str,
    at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefreshOut<'a> {
    format: i64,
    slot: &'static str,
    #[serde(flatten)]
    name: NameOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    token_endpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_endpoint: Option<&'a str>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    refresh_token: &'a str,
    generation: i64,
    obtained_by: &'static str,
    services: &'a [Service],
    scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
}

/// Serialising into memory fails for no type here; an empty value would be refused on the next load. The
/// room is for the token, so that the value is not copied about while it grows.
fn encode(value: &impl Serialize, token: &str) -> Value {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096 + token.len() * 2));
    if serde_json::to_writer(&mut *bytes, value).is_err() {
        bytes.clear();
    }
    bytes
}

impl Bundle {
    /// The bytes for the access slot.
    #[must_use]
    pub fn encode(&self) -> Value {
        let Record {
            name,
            label,
            username,
            kept_by,
            services,
            issuer,
            token_endpoint,
            client_id,
            scopes,
            token_type,
            obtained_at,
            obtained_by,
            expires_at,
            refresh_token_expires_at,
            has_refresh_token,
            generation,
            tombstone,
            pending,
            erased,
            moved_to,
        } = &self.record;
        let token = self.access.as_ref().map_or("", AccessToken::expose);
        let out = AccessOut {
            format: FORMAT,
            slot: "access",
            name: NameOut::of(name),
            label: label.as_deref(),
            username: username.as_deref(),
            kept_by: kept_by.as_deref(),
            services,
            issuer: issuer.as_deref(),
            token_endpoint: token_endpoint.as_ref().map(Endpoint::as_str),
            client_id: client_id.as_deref(),
            scopes,
            token_type,
            access_token: self.access.as_ref().map(|_| token),
            obtained_at: *obtained_at,
            obtained_by: obtained_by.as_str(),
            expires_at: *expires_at,
            refresh_token_expires_at: *refresh_token_expires_at,
            has_refresh_token: *has_refresh_token,
            generation: *generation,
            tombstone: tombstone.as_ref().map(|Tombstone { salt, hash, at }| TombstoneOut {
                salt,
                hash,
                at: *at,
            }),
            pending: *pending,
            erased: *erased,
            moved_to: *moved_to,
        };
        encode(&out, token)
    }

    /// Reads an access slot's bytes; `expected` is whose slot it was found in, where that is known.
    pub fn decode(bytes: &[u8], expected: Option<&SessionName>) -> Result<Self, Fault> {
        let (mut fields, name) = expect(bytes, Kind::Access, expected)?;
        let obtained_by = obtained_by(&mut fields)?;
        let tombstone = match fields.object("tombstone")? {
            None => None,
            Some(mut inner) => {
                let tombstone = Tombstone {
                    salt: inner.required_text("salt", TEXT_BYTES)?,
                    hash: inner.required_text("hash", TEXT_BYTES)?,
                    at: required_time(&mut inner, "at")?,
                };
                inner.done()?;
                Some(tombstone)
            }
        };
        let Grant { services, scopes, label, username } = grant(&mut fields)?;
        let record = Record {
            name,
            label,
            username,
            kept_by: fields.text("keptBy", TEXT_BYTES)?,
            services,
            issuer: fields.text("issuer", URL_BYTES)?,
            token_endpoint: endpoint(&mut fields, "tokenEndpoint")?,
            client_id: fields.text("clientId", TEXT_BYTES)?,
            scopes,
            token_type: fields.required_text("tokenType", TEXT_BYTES)?,
            obtained_at: required_time(&mut fields, "obtainedAt")?,
            obtained_by,
            expires_at: time(&mut fields, "expiresAt")?,
            refresh_token_expires_at: time(&mut fields, "refreshTokenExpiresAt")?,
            has_refresh_token: fields.truth("hasRefreshToken")?,
            generation: generation(&mut fields)?,
            tombstone,
            pending: time(&mut fields, "pending")?,
            erased: fields.truth("erased")?.unwrap_or(false),
            moved_to: fields
                .parsed("movedTo", TEXT_BYTES, |text| Storage::parse(text).ok_or("is no storage"))?,
        };
        let access = fields.parsed("accessToken", TOKEN_BYTES, AccessToken::new)?;
        fields.done()?;
        Ok(Self { record, access })
    }
}

impl RefreshEntry {
    /// The bytes for the refresh slot.
    #[must_use]
    pub fn encode(&self) -> Value {
        let Self { name, token, destination, client_secret, generation, obtained_by, grant } = self;
        let Grant { services, scopes, label, username } = grant;
        let Destination { issuer, token_endpoint, revocation_endpoint, client_id, found_by } = destination;
        let out = RefreshOut {
            format: FORMAT,
            slot: "refresh",
            name: NameOut::of(name),
            issuer: issuer.as_deref(),
            token_endpoint: token_endpoint.as_str(),
            revocation_endpoint: revocation_endpoint.as_ref().map(Endpoint::as_str),
            client_id,
            provider: found_by.as_deref(),
            client_secret: client_secret.as_ref().map(ClientSecret::reveal),
            refresh_token: token.reveal(),
            generation: *generation,
            obtained_by: obtained_by.as_str(),
            services,
            scopes,
            label: label.as_deref(),
            username: username.as_deref(),
        };
        encode(&out, out.refresh_token)
    }

    /// Reads a refresh slot's bytes.
    pub fn decode(bytes: &[u8], expected: &SessionName) -> Result<Self, Fault> {
        let (mut fields, name) = expect(bytes, Kind::Refresh, Some(expected))?;
        let missing = |fields: &Fields, key: &str| Fault::from(fields.error(key, Problem::Missing));
        let token = fields.parsed("refreshToken", TOKEN_BYTES, RefreshToken::new)?;
        let token_endpoint = endpoint(&mut fields, "tokenEndpoint")?;
        let entry = Self {
            name,
            token: token.ok_or_else(|| missing(&fields, "refreshToken"))?,
            destination: Destination {
                issuer: fields.text("issuer", URL_BYTES)?,
                token_endpoint: token_endpoint.ok_or_else(|| missing(&fields, "tokenEndpoint"))?,
                revocation_endpoint: endpoint(&mut fields, "revocationEndpoint")?,
                client_id: fields.required_text("clientId", TEXT_BYTES)?,
                found_by: fields.text("provider", TEXT_BYTES)?,
            },
            client_secret: fields.parsed("clientSecret", SECRET_BYTES, ClientSecret::new)?,
            generation: generation(&mut fields)?,
            obtained_by: obtained_by(&mut fields)?,
            grant: grant(&mut fields)?,
        };
        fields.done()?;
        Ok(entry)
    }
}

/// Which slot a value belongs in, and whose it is, whatever else is in it.
pub fn whose(bytes: &[u8]) -> Result<(Kind, SessionName), Fault> {
    open(bytes).map(|(_, kind, name)| (kind, name))
}

/// The fields of a value that must be of that kind, and of that session where it is known.
fn expect(
    bytes: &[u8],
    wanted: Kind,
    expected: Option<&SessionName>,
) -> Result<(Fields, SessionName), Fault> {
    let (fields, kind, name) = open(bytes)?;
    if kind != wanted {
        return Err(Fault::Damaged("it is another kind of slot".to_owned()));
    }
    if expected.is_some_and(|expected| *expected != name) {
        return Err(Fault::Damaged("it belongs to another session".to_owned()));
    }
    Ok((fields, name))
}

/// Reads what every value begins with: its format, which slot it is, and whose.
fn open(bytes: &[u8]) -> Result<(Fields, Kind, SessionName), Fault> {
    if bytes.len() > SLOT_BYTES {
        return Err(Fault::Damaged(format!("it is over {SLOT_BYTES} bytes")));
    }
    let mut fields = fields::json(bytes).and_then(Fields::of)?;
    match fields.count("format", i64::MAX)? {
        Some(FORMAT) => {}
        Some(newer) if newer > FORMAT => return Err(Fault::Newer),
        _ => return Err(Fault::Damaged("it has no format number".to_owned())),
    }
    let slot = fields.required_text("slot", TEXT_BYTES)?;
    let kind = Kind::ALL.into_iter().find(|(_, word)| *word == slot).map(|(kind, _)| kind);
    let kind = kind.ok_or_else(|| Fault::Damaged("it is another kind of slot".to_owned()))?;
    let invalid =
        |fields: &Fields, key: &str| Fault::from(fields.error(key, Problem::Invalid("is not one of ours")));
    let service = fields.required_text("service", URL_BYTES)?;
    let account = fields.required_text("account", TEXT_BYTES)?;
    let name = SessionName {
        // Byte for byte: what is not in canonical form was not written by us.
        service: Service::parse(&service)
            .ok()
            .filter(|canonical| canonical.as_str() == service)
            .ok_or_else(|| invalid(&fields, "service"))?,
        account: Account::parse(&account).map_err(|_| invalid(&fields, "account"))?,
        profile: fields.parsed("profile", TEXT_BYTES, Profile::parse)?,
    };
    Ok((fields, kind, name))
}

fn obtained_by(fields: &mut Fields) -> Result<ObtainedBy, fields::Error> {
    let by = fields.parsed("obtainedBy", TEXT_BYTES, ObtainedBy::parse)?;
    by.ok_or_else(|| fields.error("obtainedBy", Problem::Missing))
}

fn grant(fields: &mut Fields) -> Result<Grant, fields::Error> {
    let services = fields.list("services", SERVICES, URL_BYTES)?;
    let services = services.ok_or_else(|| fields.error("services", Problem::Missing))?;
    let services: Option<Vec<Service>> = services.iter().map(|text| Service::parse(text).ok()).collect();
    Ok(Grant {
        services: services.ok_or_else(|| fields.error("services", Problem::Wanted("a list of services")))?,
        scopes: fields.list("scopes", SCOPES, TEXT_BYTES)?.unwrap_or_default(),
        label: fields.text("label", TEXT_BYTES)?,
        username: fields.text("username", TEXT_BYTES)?,
    })
}

fn endpoint(fields: &mut Fields, key: &str) -> Result<Option<Endpoint>, fields::Error> {
    fields.parsed(key, URL_BYTES, |text| Endpoint::parse(text).map_err(crate::address::Error::words))
}

fn time(fields: &mut Fields, key: &str) -> Result<Option<Timestamp>, fields::Error> {
    fields.parsed(key, TEXT_BYTES, |text| Timestamp::parse(text).ok_or("is no time"))
}

fn required_time(fields: &mut Fields, key: &str) -> Result<Timestamp, fields::Error> {
    time(fields, key)?.ok_or_else(|| fields.error(key, Problem::Missing))
}

fn generation(fields: &mut Fields) -> Result<i64, fields::Error> {
    fields.count("generation", i64::MAX)?.ok_or_else(|| fields.error("generation", Problem::Missing))
}
