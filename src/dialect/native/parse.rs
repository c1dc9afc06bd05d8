//! Bytes to a request. Every complaint names the field; nothing of a value is ever quoted.

use super::VERSION;
use crate::address::{self, Endpoint};
use crate::dialect::Verb;
use crate::fields::{self, Error, Fields, Problem};
use crate::limits::{
    REQUEST_BYTES, SCOPES, SECONDS, SECRET_BYTES, SERVICES, TEXT_BYTES, TOKEN_BYTES, URL_BYTES,
};
use crate::message::{Caller, Code, Direct, Erase, Expiry, Failure, Get, List, Origin, Request, Store};
use crate::secret::{AccessToken, ClientSecret, RefreshToken};
use crate::session::{Account, Profile, Service, SessionName};
use crate::time::Timestamp;

/// The keys each request takes, `version` apart; hints list them.
fn keys(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Get => &["service", "account", "profile", "minValidity", "forceRefresh"],
        Verb::Erase => &["service", "account", "profile", "accessToken"],
        Verb::Store => &[
            "service",
            "account",
            "accessToken",
            "profile",
            "username",
            "label",
            "refreshToken",
            "expiresAt",
            "expiresIn",
            "refreshTokenExpiresAt",
            "tokenType",
            "scopes",
            "services",
            "makeDefault",
            "replace",
            "provider",
            "tokenEndpoint",
            "clientId",
            "issuer",
            "revocationEndpoint",
            "clientSecret",
        ],
        Verb::List => &["service"],
        Verb::Capabilities => &[],
    }
}

/// Reads the request of a verb.
pub fn parse(verb: Verb, input: &[u8]) -> Result<Request, Failure> {
    let bad = |error: &Error| bad(verb, error);
    if input.len() > REQUEST_BYTES {
        return Err(bad(&Error::new("", Problem::Over(REQUEST_BYTES))));
    }
    let input = match input.trim_ascii() {
        b"" if verb.input_is_optional() => b"{}",
        b"" => {
            return Err(bad(&Error::new(
                "",
                Problem::Invalid("stdin was empty; one JSON object is expected"),
            )));
        }
        _ => input,
    };
    let mut fields = fields::json(input).and_then(Fields::of).map_err(|error| bad(&error))?;
    let known: Vec<&str> = keys(verb).iter().copied().chain(["version"]).collect();
    fields.only(&known).map_err(|error| bad(&error))?;
    let request = request(verb, &mut fields).map_err(|fault| match fault {
        Fault::Field(error) => bad(&error),
        Fault::Insecure(field) => insecure(&field),
    })?;
    fields.done().map_err(|error| bad(&error))?;
    Ok(request)
}

fn bad(verb: Verb, error: &Error) -> Failure {
    let hint = match (&error.problem, keys(verb)) {
        (Problem::Unknown | Problem::Missing, []) => "it takes no keys".to_owned(),
        (Problem::Unknown | Problem::Missing, keys) => format!("it takes {}", keys.join(", ")),
        _ => "mend the request; nothing was changed".to_owned(),
    };
    Failure::new(Code::BadRequest, format!("bad request: {error}"), hint)
}

fn insecure(field: &str) -> Failure {
    let why = address::Error::Insecure.words();
    Failure::new(Code::InsecureUrl, format!("bad request: `{field}`: {why}"), "use its https URL")
}

enum Fault {
    Field(Error),
    Insecure(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Field(error)
    }
}

fn request(verb: Verb, fields: &mut Fields) -> Result<Request, Fault> {
    version(fields)?;
    Ok(match verb {
        Verb::Get => Request::Get(get(fields)?),
        Verb::Store => Request::Store(Box::new(store(fields)?)),
        Verb::Erase => Request::Erase(erase(fields)?),
        Verb::List => Request::List(List { service: optional_service(fields)? }),
        Verb::Capabilities => Request::Capabilities,
    })
}

fn version(fields: &mut Fields) -> Result<(), Error> {
    match fields.count("version", i64::MAX)? {
        None | Some(VERSION) => Ok(()),
        Some(_) => Err(fields.error("version", Problem::Invalid("only version 1 is spoken here"))),
    }
}

fn get(fields: &mut Fields) -> Result<Get, Fault> {
    Ok(Get {
        service: service(fields)?,
        account: account_or_label(fields)?,
        profile: profile(fields)?,
        min_validity: fields.count("minValidity", SECONDS)?,
        force_refresh: fields.truth("forceRefresh")?.unwrap_or(false),
        caller: Caller::default(),
    })
}

fn erase(fields: &mut Fields) -> Result<Erase, Fault> {
    Ok(Erase {
        service: service(fields)?,
        account: account_or_label(fields)?,
        profile: profile(fields)?,
        access: fields.parsed("accessToken", TOKEN_BYTES, AccessToken::new)?,
    })
}

fn store(fields: &mut Fields) -> Result<Store, Fault> {
    let name = SessionName {
        service: service(fields)?,
        account: required(fields, "account", TEXT_BYTES, Account::parse)?,
        profile: profile(fields)?,
    };
    let access = required(fields, "accessToken", TOKEN_BYTES, AccessToken::new)?;
    let refresh = fields.parsed("refreshToken", TOKEN_BYTES, RefreshToken::new)?;
    let refresh_token_expires_at = timestamp(fields, "refreshTokenExpiresAt")?;
    if refresh.is_none() && refresh_token_expires_at.is_some() {
        return Err(only_with(fields, "refreshTokenExpiresAt", "means nothing without `refreshToken`"));
    }
    Ok(Store {
        name,
        access,
        refresh,
        refresh_token_expires_at,
        username: fields.parsed("username", TEXT_BYTES, words)?,
        kept_by: None,
        label: fields.parsed("label", TEXT_BYTES, words)?,
        expiry: expiry(fields)?,
        token_type: fields.parsed("tokenType", TEXT_BYTES, token_type)?,
        scopes: scopes(fields)?,
        services: services(fields)?,
        make_default: fields.truth("makeDefault")?,
        replace: fields.truth("replace")?.unwrap_or(false),
        origin: origin(fields)?,
    })
}

fn expiry(fields: &mut Fields) -> Result<Expiry, Error> {
    match (timestamp(fields, "expiresAt")?, fields.count("expiresIn", SECONDS)?) {
        (None, None) => Ok(Expiry::Unknown),
        (Some(at), None) => Ok(Expiry::At(at)),
        (None, Some(seconds)) => Ok(Expiry::In(seconds)),
        (Some(_), Some(_)) => {
            Err(fields.error("expiresIn", Problem::Invalid("stands in the way of `expiresAt`; give one")))
        }
    }
}

fn origin(fields: &mut Fields) -> Result<Origin, Fault> {
    let provider = fields.parsed("provider", TEXT_BYTES, words)?;
    let token_endpoint = endpoint(fields, "tokenEndpoint")?;
    let client_id = fields.parsed("clientId", TEXT_BYTES, printable)?;
    let issuer = issuer(fields)?;
    let revocation_endpoint = endpoint(fields, "revocationEndpoint")?;
    let client_secret = fields.parsed("clientSecret", SECRET_BYTES, ClientSecret::new)?;
    match (provider, token_endpoint, client_id) {
        (Some(_), Some(_), _) => {
            Err(only_with(fields, "tokenEndpoint", "stands in the way of `provider`; give one"))
        }
        (_, Some(token_endpoint), Some(client_id)) => Ok(Origin::Endpoint(Box::new(Direct {
            issuer,
            token_endpoint,
            revocation_endpoint,
            client_id,
            client_secret,
        }))),
        (_, Some(_), None) => Err(only_with(fields, "clientId", "must go with `tokenEndpoint`")),
        (_, None, Some(_)) => Err(only_with(fields, "tokenEndpoint", "must go with `clientId`")),
        (_, None, None) if issuer.is_some() => {
            Err(only_with(fields, "issuer", "means nothing without `tokenEndpoint`"))
        }
        (_, None, None) if revocation_endpoint.is_some() => {
            Err(only_with(fields, "revocationEndpoint", "means nothing without `tokenEndpoint`"))
        }
        (_, None, None) if client_secret.is_some() => {
            Err(only_with(fields, "clientSecret", "means nothing without `tokenEndpoint`"))
        }
        (Some(provider), None, None) => Ok(Origin::Provider(provider)),
        (None, None, None) => Ok(Origin::Configured),
    }
}

fn only_with(fields: &Fields, key: &str, why: &'static str) -> Fault {
    Fault::Field(fields.error(key, Problem::Invalid(why)))
}

fn service(fields: &mut Fields) -> Result<Service, Fault> {
    optional_service(fields)?.ok_or_else(|| Fault::Field(fields.error("service", Problem::Missing)))
}

fn optional_service(fields: &mut Fields) -> Result<Option<Service>, Fault> {
    let text = fields.text("service", URL_BYTES)?;
    text.map(|text| Service::parse(&text).map_err(|error| url_fault(fields, "service", error))).transpose()
}

fn services(fields: &mut Fields) -> Result<Vec<Service>, Fault> {
    let texts = fields.list("services", SERVICES, URL_BYTES)?.unwrap_or_default();
    texts
        .iter()
        .map(|text| Service::parse(text).map_err(|error| url_fault(fields, "services", error)))
        .collect()
}

fn endpoint(fields: &mut Fields, key: &str) -> Result<Option<Endpoint>, Fault> {
    let text = fields.text(key, URL_BYTES)?;
    text.map(|text| Endpoint::parse(&text).map_err(|error| url_fault(fields, key, error))).transpose()
}

/// Kept as it was written: issuers are compared byte for byte (RFC 8414 section 2).
fn issuer(fields: &mut Fields) -> Result<Option<String>, Fault> {
    let Some(text) = fields.text("issuer", URL_BYTES)? else { return Ok(None) };
    match address::parse(&text) {
        Ok(url) if url.query().is_none() => Ok(Some(text)),
        Ok(_) => Err(only_with(fields, "issuer", "must not have a query")),
        Err(error) => Err(url_fault(fields, "issuer", error)),
    }
}

fn url_fault(fields: &Fields, key: &str, error: address::Error) -> Fault {
    match error {
        address::Error::Invalid(why) => Fault::Field(fields.error(key, Problem::Invalid(why))),
        address::Error::Insecure => Fault::Insecure(fields.name(key)),
    }
}

fn required<T>(
    fields: &mut Fields,
    key: &str,
    limit: usize,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, Error> {
    fields.parsed(key, limit, parse)?.ok_or_else(|| fields.error(key, Problem::Missing))
}

fn account_or_label(fields: &mut Fields) -> Result<Option<String>, Error> {
    fields.parsed("account", TEXT_BYTES, |text| {
        if text.is_empty() || text.chars().any(char::is_control) {
            Err("must not be empty or hold control characters")
        } else {
            Ok(text.to_owned())
        }
    })
}

fn profile(fields: &mut Fields) -> Result<Option<Profile>, Error> {
    fields.parsed("profile", TEXT_BYTES, Profile::parse)
}

fn timestamp(fields: &mut Fields, key: &str) -> Result<Option<Timestamp>, Error> {
    fields.parsed(key, TEXT_BYTES, |text| {
        Timestamp::parse(text).ok_or("must be a time such as 2026-01-02T03:04:05Z")
    })
}

/// RFC 6749 section 3.3: scope tokens are printable ASCII without space, `"` and `\`.
fn scopes(fields: &mut Fields) -> Result<Vec<String>, Error> {
    let scopes = fields.list("scopes", SCOPES, TEXT_BYTES)?.unwrap_or_default();
    let allowed = |scope: &String| {
        !scope.is_empty()
            && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    if scopes.iter().all(allowed) {
        Ok(scopes)
    } else {
        Err(fields.error("scopes", Problem::Invalid("holds what is no scope (RFC 6749 section 3.3)")))
    }
}

/// RFC 6749 appendix A.13: a name of letters, digits, `.`, `_`, `-`; it becomes the scheme of a header.
fn token_type(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("must be a word such as Bearer")
    }
}

fn words(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        Err("must not be empty or blank")
    } else if text.chars().any(char::is_control) {
        Err("must not hold control characters")
    } else {
        Ok(text.to_owned())
    }
}

/// RFC 6749 appendix A.1.
fn printable(text: &str) -> Result<String, &'static str> {
    if !text.is_empty() && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err("must be printable ASCII, not empty")
    }
}
