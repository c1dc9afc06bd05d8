//! A `[providers.NAME]` table, read as strictly as the rest; a preset's keys stand in where the table has none.

use super::grants;
use crate::address::{self, Endpoint};
use crate::fields::{Error, Fields, Problem};
use crate::limits::{SCOPES, SECONDS, SERVICES, TEXT_BYTES, URL_BYTES};
use crate::presets::{self, Preset};
use crate::provider::{ClientAuth, Grant, Interactive, Provider, RevocationEnds, Scheme, SecretSource};
use crate::session::Service;
use crate::text::steers;

pub(super) fn provider(name: String, mut fields: Fields) -> Result<Provider, Error> {
    let well_named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(well_named) {
        return Err(
            fields.error("", Problem::Invalid("a provider's name is 1 to 64 letters, digits, `.`, `_`, `-`"))
        );
    }
    let preset = preset(&mut fields)?;
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
        preset: preset.map(|preset| preset.name),
        issuer,
        authorization_endpoint: endpoint(&mut fields, "authorization-endpoint")?,
        token_endpoint: endpoint(&mut fields, "token-endpoint")?,
        device_authorization_endpoint: endpoint(&mut fields, "device-authorization-endpoint")?,
        revocation_endpoint: endpoint(&mut fields, "revocation-endpoint")?,
        registration_endpoint: endpoint(&mut fields, "registration-endpoint")?,
        userinfo_endpoint: endpoint(&mut fields, "userinfo-endpoint")?,
        client_id: fields.parsed("client-id", TEXT_BYTES, |text| {
            if text.trim().is_empty() { Err("must not be empty") } else { without_controls(text) }
        })?,
        client_id_help: preset.and_then(|preset| preset.client_id_help),
        client_secret: secret_source(&mut fields, "client-secret")?,
        private_key: secret_source(&mut fields, "private-key")?,
        key_id: fields.text("key-id", TEXT_BYTES)?,
        identity_token: grants::identity_source(&mut fields, "identity-token")?,
        audience: fields.text("audience", URL_BYTES)?,
        subject_token_type: fields.text("subject-token-type", TEXT_BYTES)?,
        client_auth: word(
            &mut fields,
            "client-auth",
            CLIENT_AUTH,
            "must be none, client_secret_basic, client_secret_post or private_key_jwt",
        )?
        .unwrap_or(ClientAuth::None),
        grant: word(
            &mut fields,
            "grant",
            GRANT,
            "must be authorization_code, device_code, client_credentials, token_exchange or jwt_bearer",
        )?
        .unwrap_or(Grant::AuthorizationCode),
        scopes: fields.list("scopes", SCOPES, TEXT_BYTES)?.unwrap_or_default(),
        services,
        session: fields
            .parsed("session", URL_BYTES, |text| Service::parse(text).map_err(address::Error::words))?,
        resource: resources(&mut fields)?,
        redirect_uris: fields.list("redirect-uris", SERVICES, URL_BYTES)?.unwrap_or_default(),
        authorization_params: parameters(&mut fields, "authorization-params")?,
        token_params: parameters(&mut fields, "token-params")?,
        min_validity: fields.count("min-validity", SECONDS)?,
        git_username: fields.parsed("git-username", TEXT_BYTES, without_controls)?,
        docker_username: fields.parsed("docker-username", TEXT_BYTES, without_controls)?,
        git_authtype: word(&mut fields, "git-authtype", GIT_AUTHTYPE, "must be basic or bearer")?,
        cargo_scheme: word(&mut fields, "cargo-scheme", CARGO_SCHEME, "must be bearer or none")?,
        account_claim: fields.parsed("account-claim", TEXT_BYTES, |text| {
            if text.is_empty() { Err("must not be empty") } else { without_controls(text) }
        })?,
        revocation_ends: word(&mut fields, "revocation-ends", REVOCATION_ENDS, "must be grant or token")?
            .unwrap_or(RevocationEnds::Grant),
        login_command: fields.parsed("login-command", TEXT_BYTES, without_controls)?,
        interactive: word(&mut fields, "interactive", INTERACTIVE, "must be never or auto")?
            .unwrap_or(Interactive::Never),
    };
    fields.done()?;
    if provider.issuer.is_none() && provider.token_endpoint.is_none() {
        return Err(fields.error(
            "issuer",
            Problem::Invalid("a provider needs `issuer` or `token-endpoint`, or a `preset` that has them"),
        ));
    }
    if provider.session.as_ref().is_some_and(|session| !provider.services.contains(session)) {
        return Err(fields.error("session", Problem::Invalid("must be one of `services`")));
    }
    grants::check(&provider).map_err(|(key, why)| fields.error(key, Problem::Invalid(why)))?;
    Ok(provider)
}

/// The preset a table names, whose keys it has from then on where it has none of its own.
fn preset(fields: &mut Fields) -> Result<Option<&'static Preset>, Error> {
    let preset = fields.parsed("preset", TEXT_BYTES, |name| presets::find(name).ok_or(presets::UNKNOWN))?;
    let host = fields.text("host", TEXT_BYTES)?;
    let tenant = fields.text("tenant", TEXT_BYTES)?;
    let Some(preset) = preset else {
        let idle = [("host", &host), ("tenant", &tenant)].into_iter().find(|(_, given)| given.is_some());
        return match idle {
            Some((key, _)) => Err(fields.error(key, Problem::Invalid("means nothing without `preset`"))),
            None => Ok(None),
        };
    };
    let keys = preset.keys(host.as_deref(), tenant.as_deref());
    for (key, value) in keys.map_err(|misfit| fields.error(misfit.key, Problem::Invalid(misfit.why)))? {
        fields.stand_in(key, value);
    }
    Ok(Some(preset))
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
const REVOCATION_ENDS: &[(&str, RevocationEnds)] =
    &[("grant", RevocationEnds::Grant), ("token", RevocationEnds::Token)];
const GIT_AUTHTYPE: &[(&str, Scheme)] = &[("basic", Scheme::Basic), ("bearer", Scheme::Bearer)];
const CARGO_SCHEME: &[(&str, Scheme)] = &[("bearer", Scheme::Bearer), ("none", Scheme::Bare)];
const INTERACTIVE: &[(&str, Interactive)] = &[("never", Interactive::Never), ("auto", Interactive::Auto)];

fn word<T: Copy>(
    fields: &mut Fields,
    key: &str,
    words: &[(&str, T)],
    otherwise: &'static str,
) -> Result<Option<T>, Error> {
    fields.parsed(key, TEXT_BYTES, |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or(otherwise)
    })
}

/// The word of the configuration for a grant.
#[must_use]
pub fn grant_word(grant: Grant) -> &'static str {
    GRANT.iter().find(|(_, known)| *known == grant).map_or("", |(word, _)| word)
}

fn without_controls(text: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_control) {
        Err("must not hold control characters")
    } else {
        Ok(text.to_owned())
    }
}

/// RFC 8707 section 2: absolute URIs, of whatever scheme, without a fragment.
fn resources(fields: &mut Fields) -> Result<Vec<String>, Error> {
    let resources = fields.list("resource", SERVICES, URL_BYTES)?.unwrap_or_default();
    let absolute = |text: &String| {
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
            && !rest.chars().any(|c| c == '#' || c.is_whitespace() || steers(c))
    };
    if resources.iter().all(absolute) {
        Ok(resources)
    } else {
        let why = "must be absolute URIs without a fragment";
        Err(fields.error("resource", Problem::Invalid(why)))
    }
}

fn endpoint(fields: &mut Fields, key: &str) -> Result<Option<Endpoint>, Error> {
    fields.parsed(key, URL_BYTES, |text| Endpoint::parse(text).map_err(address::Error::words))
}

/// `{ file = "/absolute" }`, `{ env = "NAME" }` or `{ keyring = true }`; never the secret itself.
fn secret_source(fields: &mut Fields, key: &str) -> Result<Option<SecretSource>, Error> {
    let Some(mut source) = fields.object(key)? else { return Ok(None) };
    let file = source.parsed("file", URL_BYTES, grants::absolute)?;
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

#[cfg(test)]
mod tests {
    use super::super::config::parse;
    use super::*;

    fn read(text: &str) -> Provider {
        let mut config = parse(text.as_bytes()).unwrap_or_else(|complaint| panic!("{complaint}: {text}"));
        config.providers.remove(0)
    }

    fn complaint(text: &str) -> String {
        parse(format!("[providers.a]\n{text}").as_bytes()).err().unwrap()
    }

    #[test]
    fn every_preset_is_read_by_the_strict_reader_with_what_a_login_needs() {
        for name in presets::names() {
            let host =
                if ["forgejo", "databricks"].contains(&name) { "host = 'git.acme.example'\n" } else { "" };
            let provider = read(&format!("[providers.a]\npreset = '{name}'\n{host}"));
            assert_eq!(provider.preset, Some(name));
            assert!(provider.token_endpoint.is_some() && !provider.services.is_empty(), "{name}");
            assert!(provider.userinfo_endpoint.is_some() && provider.account_claim.is_some(), "{name}");
            match provider.grant {
                Grant::AuthorizationCode => {
                    assert!(provider.authorization_endpoint.is_some(), "{name}");
                    assert!(!provider.redirect_uris.is_empty(), "{name}");
                }
                Grant::DeviceCode => assert!(provider.device_authorization_endpoint.is_some(), "{name}"),
                other => panic!("{name}: {other:?}"),
            }
            assert_ne!(provider.client_id.is_some(), provider.client_id_help.is_some(), "{name}");
            assert!(provider.client_secret.is_none(), "{name}");
        }
    }

    #[test]
    fn all_presets_can_stand_side_by_side() {
        let tables = presets::names().map(|name| {
            let named = ["forgejo", "databricks"].contains(&name);
            let host = if named { format!("host = '{name}.example'\n") } else { String::new() };
            format!("[providers.{name}]\npreset = '{name}'\n{host}")
        });
        let text: String = tables.collect();
        assert_eq!(parse(text.as_bytes()).unwrap().providers.len(), presets::names().count());
    }

    #[test]
    fn what_the_table_says_wins() {
        let provider = read(
            "[providers.work]\npreset = 'gitlab'\nhost = 'git.acme.example'\nclient-id = 'mine'\nscopes = ['read_api']\n\
             revocation-ends = 'grant'\ngrant = 'device_code'\n",
        );
        assert_eq!(provider.client_id.as_deref(), Some("mine"));
        assert_eq!(provider.scopes, ["read_api"]);
        assert_eq!(provider.revocation_ends, RevocationEnds::Grant);
        assert_eq!(provider.grant, Grant::DeviceCode);
        assert_eq!(provider.issuer.as_deref(), Some("https://git.acme.example"));
        assert_eq!(read("[providers.g]\npreset = 'gitlab'").revocation_ends, RevocationEnds::Token);
        let google =
            read("[providers.g]\npreset = 'google'\nauthorization-params = { access_type = 'online' }");
        assert_eq!(google.authorization_params, [("access_type".to_owned(), "online".to_owned())]);
    }

    #[test]
    fn a_preset_that_does_not_fit_is_refused_by_the_name_of_its_key() {
        for (text, begins) in [
            ("preset = 'acme'", "`providers.a.preset`: is no preset; there are github"),
            ("preset = 'forgejo'", "`providers.a.host`: is needed"),
            ("preset = 'gitlab'\nhost = 'a.example/b'", "`providers.a.host`: must be a host"),
            ("preset = 'gitlab'\ntenant = 'acme'", "`providers.a.tenant`: means nothing"),
            ("preset = 'entra'\ntenant = 'a/b'", "`providers.a.tenant`: must be"),
            (
                "issuer = 'https://a.example'\nhost = 'b.example'",
                "`providers.a.host`: means nothing without `preset`",
            ),
            ("preset = 1", "`providers.a.preset`: must be a string"),
        ] {
            assert!(complaint(text).starts_with(begins), "{}", complaint(text));
        }
    }

    #[test]
    fn what_a_login_needs_besides_is_read_and_checked() {
        let provider = read(
            "[providers.a]\nissuer = 'https://a.example'\nuserinfo-endpoint = 'https://a.example/me'\n\
             account-claim = 'login'\nresource = ['https://api.a.example/v1?x', 'urn:a:b']\n",
        );
        assert_eq!(provider.userinfo_endpoint.unwrap().as_str(), "https://a.example/me");
        assert_eq!(provider.account_claim.as_deref(), Some("login"));
        assert_eq!(provider.resource, ["https://api.a.example/v1?x", "urn:a:b"]);
        for (key, value) in [
            ("userinfo-endpoint", "'http://a.example/me'"),
            ("account-claim", "''"),
            ("account-claim", r#""a\u0007""#),
            ("revocation-ends", "'all'"),
            ("resource", "['https://a.example#b']"),
            ("resource", "['a.example']"),
            ("resource", "['/a']"),
            ("resource", "['https:']"),
            ("resource", "'https://a.example'"),
        ] {
            let found = complaint(&format!("issuer = 'https://a.example'\n{key} = {value}"));
            assert!(found.starts_with(&format!("`providers.a.{key}`: ")), "{found}");
        }
    }
}
