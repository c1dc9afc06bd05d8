//! `config.toml`: strict, every complaint with the key's name. No line of it is ever quoted: somebody may
//! have written a secret there, where none belongs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml_edit::{DocumentMut, Item, Value as Toml};

use crate::address::{self, Endpoint};
use crate::fields::{Error, Fields, Problem, Value};
use crate::limits::{CONFIG_BYTES, SCOPES, SECONDS, SERVICES, TEXT_BYTES, URL_BYTES};
use crate::message::{Code, Failure};
use crate::provider::{ClientAuth, Grant, Interactive, Provider, SecretSource};
use crate::session::Service;
use crate::store::files;
use crate::text::Escaped;

/// `[timeouts]`, in seconds there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One call to the keyring.
    pub keyring: Duration,
    /// Somebody answering the keyring's prompt.
    pub unlock: Duration,
    /// To a finished TLS handshake.
    pub connect: Duration,
    /// One HTTP exchange.
    pub request: Duration,
    /// Another process holding a lock.
    pub lock: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            keyring: seconds(3),
            unlock: seconds(60),
            connect: seconds(10),
            request: seconds(30),
            lock: seconds(60),
        }
    }
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) storage: Option<String>,
    pub(super) timeouts: Timeouts,
    pub(super) providers: Vec<Provider>,
}

impl Config {
    /// Reads the file; one that is not there is an empty one.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let bytes = files::read_foreign(path, CONFIG_BYTES).map_err(|error| {
            Failure::new(
                Code::ConfigInvalid,
                error.to_string(),
                "mend or remove the file; it must be yours and writable by nobody else",
            )
        })?;
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        parse(&bytes).map_err(|complaint| {
            let message = format!("{}: {complaint}", Escaped(&shown));
            Failure::new(Code::ConfigInvalid, message, "mend the file; nothing of it is used until then")
        })
    }
}

/// Reads configuration bytes. Public for fuzzing.
pub fn check(bytes: &[u8]) -> Result<usize, String> {
    parse(bytes).map(|config| config.providers.len())
}

fn parse(bytes: &[u8]) -> Result<Config, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("it is not valid TOML at line {}", before.matches('\n').count() + 1)
    })?;
    let tree = table(document.iter())
        .map_err(|key| format!("`{}`: has a value of a type that no key takes", Escaped(&key)))?;
    let config = Fields::of(tree).and_then(config).map_err(|error| error.to_string())?;
    one_provider_each(&config.providers)?;
    Ok(config)
}

/// TOML to the tree the strict reader knows; the error is the offending key.
fn table<'a>(entries: impl Iterator<Item = (&'a str, &'a Item)>) -> Result<Value, String> {
    entries
        .map(|(key, item)| Ok((key.to_owned(), item_value(item).ok_or(key)?)))
        .collect::<Result<_, &str>>()
        .map(Value::Map)
        .map_err(str::to_owned)
}

fn item_value(item: &Item) -> Option<Value> {
    match item {
        Item::Value(value) => toml_value(value),
        Item::Table(inner) => table(inner.iter()).ok(),
        Item::None | Item::ArrayOfTables(_) => None,
    }
}

fn toml_value(value: &Toml) -> Option<Value> {
    Some(match value {
        Toml::String(text) => Value::Text(text.value().clone()),
        Toml::Integer(number) => Value::Int(*number.value()),
        Toml::Float(number) => Value::Float(*number.value()),
        Toml::Boolean(truth) => Value::Bool(*truth.value()),
        Toml::Array(items) => Value::List(items.iter().map(toml_value).collect::<Option<_>>()?),
        Toml::InlineTable(inner) => Value::Map(
            inner
                .iter()
                .map(|(key, value)| Some((key.to_owned(), toml_value(value)?)))
                .collect::<Option<_>>()?,
        ),
        Toml::Datetime(_) => return None,
    })
}

fn config(mut fields: Fields) -> Result<Config, Error> {
    let storage = fields.text("storage", TEXT_BYTES)?;
    let timeouts = fields.object("timeouts")?.map(timeouts).transpose()?.unwrap_or_default();
    let mut providers = Vec::new();
    if let Some(mut tables) = fields.object("providers")? {
        for (name, table) in tables.objects()? {
            providers.push(provider(name, table)?);
        }
    }
    fields.done()?;
    Ok(Config { storage, timeouts, providers })
}

fn timeouts(mut fields: Fields) -> Result<Timeouts, Error> {
    let mut seconds = |key: &str, otherwise: Duration| -> Result<Duration, Error> {
        match fields.count(key, 3600)? {
            None => Ok(otherwise),
            Some(0) => Err(fields.error(key, Problem::Invalid("must be at least 1 second"))),
            Some(number) => Ok(Duration::from_secs(number.unsigned_abs())),
        }
    };
    let default = Timeouts::default();
    let timeouts = Timeouts {
        keyring: seconds("keyring", default.keyring)?,
        unlock: seconds("unlock", default.unlock)?,
        connect: seconds("connect", default.connect)?,
        request: seconds("request", default.request)?,
        lock: seconds("lock", default.lock)?,
    };
    if timeouts.lock <= timeouts.request {
        let why = "must be more than `request`: whoever waits must outlast whoever asks";
        return Err(fields.error("lock", Problem::Invalid(why)));
    }
    fields.done()?;
    Ok(timeouts)
}

fn provider(name: String, mut fields: Fields) -> Result<Provider, Error> {
    let well_named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(well_named) {
        return Err(
            fields.error("", Problem::Invalid("a provider's name is 1 to 64 letters, digits, `.`, `_`, `-`"))
        );
    }
    let issuer = fields.parsed("issuer", URL_BYTES, |text| match address::parse(text) {
        Ok(url) if url.query().is_none() => Ok(text.to_owned()),
        Ok(_) => Err("must not have a query"),
        Err(error) => Err(error.words()),
    })?;
    let services = fields.list("services", SERVICES, URL_BYTES)?.unwrap_or_default();
    let services: Result<Vec<Service>, _> = services.iter().map(|text| Service::parse(text)).collect();
    let services = services.map_err(|error| fields.error("services", Problem::Invalid(error.words())))?;
    let provider = Provider {
        name,
        issuer,
        authorization_endpoint: endpoint(&mut fields, "authorization-endpoint")?,
        token_endpoint: endpoint(&mut fields, "token-endpoint")?,
        device_authorization_endpoint: endpoint(&mut fields, "device-authorization-endpoint")?,
        revocation_endpoint: endpoint(&mut fields, "revocation-endpoint")?,
        registration_endpoint: endpoint(&mut fields, "registration-endpoint")?,
        client_id: fields.text("client-id", TEXT_BYTES)?,
        client_secret: secret_source(&mut fields, "client-secret")?,
        private_key: secret_source(&mut fields, "private-key")?,
        client_auth: word(&mut fields, "client-auth", CLIENT_AUTH)?.unwrap_or(ClientAuth::None),
        grant: word(&mut fields, "grant", GRANT)?.unwrap_or(Grant::AuthorizationCode),
        scopes: fields.list("scopes", SCOPES, TEXT_BYTES)?.unwrap_or_default(),
        services,
        session: fields
            .parsed("session", URL_BYTES, |text| Service::parse(text).map_err(address::Error::words))?,
        redirect_uris: fields.list("redirect-uris", SERVICES, URL_BYTES)?.unwrap_or_default(),
        authorization_params: parameters(&mut fields, "authorization-params")?,
        token_params: parameters(&mut fields, "token-params")?,
        min_validity: fields.count("min-validity", SECONDS)?,
        git_username: fields.text("git-username", TEXT_BYTES)?,
        docker_username: fields.text("docker-username", TEXT_BYTES)?,
        login_command: fields.parsed("login-command", TEXT_BYTES, |text| {
            if text.chars().any(char::is_control) {
                Err("must not hold control characters")
            } else {
                Ok(text.to_owned())
            }
        })?,
        interactive: word(&mut fields, "interactive", INTERACTIVE)?.unwrap_or(Interactive::Never),
    };
    fields.done()?;
    if provider.issuer.is_none() && provider.token_endpoint.is_none() {
        return Err(fields.error("issuer", Problem::Invalid("a provider needs `issuer` or `token-endpoint`")));
    }
    if provider.client_secret.is_some() && provider.client_auth == ClientAuth::None {
        let why = "means nothing while `client-auth` is none; say client_secret_basic or client_secret_post";
        return Err(fields.error("client-secret", Problem::Invalid(why)));
    }
    if provider.session.as_ref().is_some_and(|session| !provider.services.contains(session)) {
        return Err(fields.error("session", Problem::Invalid("must be one of `services`")));
    }
    if provider.grant == Grant::ClientCredentials && provider.services.is_empty() {
        return Err(
            fields.error("services", Problem::Invalid("is needed where the grant is client_credentials"))
        );
    }
    if provider.grant == Grant::ClientCredentials {
        can_mint(&provider).map_err(|(key, why)| fields.error(key, Problem::Invalid(why)))?;
    }
    Ok(provider)
}

/// RFC 6749 section 4.4: this grant is for confidential clients alone.
fn can_mint(provider: &Provider) -> Result<(), (&'static str, &'static str)> {
    match provider.client_auth {
        ClientAuth::None => Err((
            "client-auth",
            "must be client_secret_basic or client_secret_post where the grant is client_credentials",
        )),
        ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost if provider.client_secret.is_none() => {
            Err(("client-secret", "is needed where the grant is client_credentials"))
        }
        _ => Ok(()),
    }
}

const CLIENT_AUTH: &[(&str, ClientAuth)] = &[
    ("none", ClientAuth::None),
    ("client_secret_basic", ClientAuth::ClientSecretBasic),
    ("client_secret_post", ClientAuth::ClientSecretPost),
    ("private_key_jwt", ClientAuth::PrivateKeyJwt),
];
const GRANT: &[(&str, Grant)] = &[
    ("authorization_code", Grant::AuthorizationCode),
    ("device_code", Grant::DeviceCode),
    ("client_credentials", Grant::ClientCredentials),
    ("token_exchange", Grant::TokenExchange),
    ("jwt_bearer", Grant::JwtBearer),
];
const INTERACTIVE: &[(&str, Interactive)] = &[("never", Interactive::Never), ("auto", Interactive::Auto)];

fn word<T: Copy>(fields: &mut Fields, key: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
    fields.parsed(key, TEXT_BYTES, |text| {
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or("is not one of the words this key takes")
    })
}

fn endpoint(fields: &mut Fields, key: &str) -> Result<Option<Endpoint>, Error> {
    fields.parsed(key, URL_BYTES, |text| Endpoint::parse(text).map_err(address::Error::words))
}

/// `{ file = "/absolute" }`, `{ env = "NAME" }` or `{ keyring = true }`; never the secret itself.
fn secret_source(fields: &mut Fields, key: &str) -> Result<Option<SecretSource>, Error> {
    let Some(mut source) = fields.object(key)? else { return Ok(None) };
    let file = source.parsed("file", URL_BYTES, |text| {
        let path = PathBuf::from(text);
        if path.is_absolute() { Ok(path) } else { Err("must be an absolute path") }
    })?;
    let env = source.text("env", TEXT_BYTES)?;
    let keyring = source.truth("keyring")?.unwrap_or(false);
    let found = match (file, env, keyring) {
        (Some(path), None, false) => SecretSource::File(path),
        (None, Some(name), false) => SecretSource::Env(name),
        (None, None, true) => SecretSource::Keyring,
        _ => {
            return Err(
                fields.error(key, Problem::Invalid("must name one of `file`, `env`, `keyring = true`"))
            );
        }
    };
    source.done()?;
    Ok(Some(found))
}

/// What we set ourselves cannot be set from outside: a second `grant_type` or `refresh_token` in a request
/// would be read differently by different servers.
const RESERVED: &[&str] = &[
    "grant_type",
    "refresh_token",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "scope",
    "assertion",
    "subject_token",
    "subject_token_type",
    "device_code",
    "username",
    "password",
    "request",
    "request_uri",
];

fn parameters(fields: &mut Fields, key: &str) -> Result<Vec<(String, String)>, Error> {
    let Some(mut inner) = fields.object(key)? else { return Ok(Vec::new()) };
    let pairs = inner.texts(URL_BYTES)?;
    match pairs.iter().find(|(name, _)| RESERVED.contains(&name.as_str())) {
        Some((name, _)) => Err(inner.error(name, Problem::Invalid("is set by claviger itself"))),
        None => Ok(pairs),
    }
}

/// Two providers for one service would make it a matter of order which one a token goes to.
fn one_provider_each(providers: &[Provider]) -> Result<(), String> {
    for (at, provider) in providers.iter().enumerate() {
        for other in providers.iter().skip(at + 1) {
            if let Some(shared) = provider.services.iter().find(|service| other.services.contains(service)) {
                return Err(format!(
                    "providers `{}` and `{}` both list {shared}; one service has one provider",
                    provider.name, other.name
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        parse(text.as_bytes()).err().unwrap()
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        let text = include_str!("../../protocol/config-example.toml");
        let config = parse(text.as_bytes()).unwrap();
        assert_eq!(config.storage.as_deref(), Some("keyring"));
        let acme = &config.providers[0];
        assert_eq!(acme.services.len(), 3);
        assert_eq!(acme.client_auth, ClientAuth::ClientSecretBasic);
        assert_eq!(acme.min_validity, Some(300));
    }

    #[test]
    fn a_misspelt_key_is_named_and_no_value_is_quoted() {
        let text = "[providers.acme]\nissuer = \"https://id.example\"\nclient_secret = \"s3cret\"\n";
        assert_eq!(complaint(text), "`providers.acme.client_secret`: not a known key");
        let text = "[providers.acme]\nissuer = \"https://id.example\"\nclient-secret = \"s3cret\"\n";
        assert_eq!(complaint(text), "`providers.acme.client-secret`: must be an object");
        assert_eq!(complaint("storage = s3cret"), "it is not valid TOML at line 1");
        assert_eq!(complaint("storage = \"a\"\nstorage = \"s3cret\""), "it is not valid TOML at line 2");
    }

    #[test]
    fn one_service_has_one_provider() {
        let text = "[providers.a]\nissuer='https://a.example'\nservices=['https://s.example']\n\
                    [providers.b]\nissuer='https://b.example'\nservices=['https://S.example/']\n";
        assert!(complaint(text).contains("both list https://s.example"));
    }

    #[test]
    fn reserved_parameters_and_impossible_timeouts_are_refused() {
        let text =
            "[providers.a]\nissuer='https://a.example'\n[providers.a.token-params]\nrefresh_token='x'\n";
        assert_eq!(complaint(text), "`providers.a.token-params.refresh_token`: is set by claviger itself");
        assert!(complaint("[timeouts]\nlock = 20").starts_with("`timeouts.lock`"));
        assert!(complaint("[timeouts]\nkeyring = 0").starts_with("`timeouts.keyring`"));
    }
}
