//! `config.toml`: strict, every complaint with the key's name. No line of it is ever quoted: somebody may
//! have written a secret there, where none belongs.

use std::path::Path;
use std::time::Duration;

use toml_edit::{DocumentMut, Item, Value as Toml};

use super::provider::provider;
use crate::fields::{Error, Fields, Problem, Value};
use crate::limits::{CONFIG_BYTES, TEXT_BYTES};
use crate::message::{Code, Failure};
use crate::provider::Provider;
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
    /// Somebody signing in.
    pub login: Duration,
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
            login: seconds(300),
        }
    }
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) storage: Option<String>,
    pub(super) timeouts: Timeouts,
    pub(super) providers: Vec<Provider>,
    /// Whether there is a file.
    pub(super) found: bool,
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
        let config = parse(&bytes).map_err(|complaint| {
            let message = format!("{}: {complaint}", Escaped(&shown));
            Failure::new(Code::ConfigInvalid, message, "mend the file; nothing of it is used until then")
        })?;
        Ok(Self { found: true, ..config })
    }
}

/// Reads configuration bytes. Public for fuzzing.
pub fn check(bytes: &[u8]) -> Result<usize, String> {
    parse(bytes).map(|config| config.providers.len())
}

/// The provider of that name in a configuration's bytes.
#[must_use]
pub fn provider_in(bytes: &[u8], name: &str) -> Option<Provider> {
    parse(bytes).ok()?.providers.into_iter().find(|provider| provider.name == name)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Config, String> {
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
    Ok(Config { storage, timeouts, providers, found: false })
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
        login: seconds("login", default.login)?,
    };
    if timeouts.lock <= timeouts.request {
        let why = "must be more than `request`: whoever waits must outlast whoever asks";
        return Err(fields.error("lock", Problem::Invalid(why)));
    }
    fields.done()?;
    Ok(timeouts)
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
    use crate::provider::ClientAuth;

    fn complaint(text: &str) -> String {
        parse(text.as_bytes()).err().unwrap()
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        let text = include_str!("../../protocol/config-example.toml");
        // What an absolute path looks like differs.
        let text = &if cfg!(windows) { text.replace("\"/", "\"C:/") } else { text.to_owned() };
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
