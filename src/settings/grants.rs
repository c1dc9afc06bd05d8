//! What the keys of a provider ask of each other: its grant, how its client proves itself, and what it shows.

use std::path::PathBuf;

use crate::fields::{Error, Fields, Problem};
use crate::limits::{TEXT_BYTES, URL_BYTES};
use crate::provider::{ClientAuth, Grant, IdentitySource, Provider, SecretSource};

/// A key, and what is wrong with it.
type Fault = (&'static str, &'static str);

/// `{ file = "/absolute" }`, `{ env = "NAME" }`, `{ github-actions = true }` or `{ gitlab = true }`.
pub(super) fn identity_source(fields: &mut Fields, key: &str) -> Result<Option<IdentitySource>, Error> {
    let Some(mut source) = fields.object(key)? else { return Ok(None) };
    let file = source.parsed("file", URL_BYTES, absolute)?;
    let env = source.text("env", TEXT_BYTES)?;
    let github = source.truth("github-actions")?.unwrap_or(false);
    let gitlab = source.truth("gitlab")?.unwrap_or(false);
    let found = match (file, env, github, gitlab) {
        (Some(path), None, false, false) => IdentitySource::File(path),
        (None, Some(name), false, false) => IdentitySource::Env(name),
        (None, None, true, false) => IdentitySource::GithubActions,
        (None, None, false, true) => IdentitySource::Gitlab,
        _ => {
            let why = "must name one of `file`, `env`, `github-actions = true`, `gitlab = true`";
            return Err(fields.error(key, Problem::Invalid(why)));
        }
    };
    source.done()?;
    Ok(Some(found))
}

/// A file's place, which must not depend on where we are called.
pub(super) fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("must be an absolute path") }
}

/// What is there and means nothing is an error too: whoever wrote it expects something of it.
pub(super) fn check(provider: &Provider) -> Result<(), Fault> {
    authentication(provider)?;
    match provider.grant {
        Grant::ClientCredentials => {
            if provider.services.is_empty() {
                return Err(("services", "is needed where the grant is client_credentials"));
            }
            client_credentials(provider)?;
        }
        Grant::TokenExchange | Grant::JwtBearer => {
            if provider.services.is_empty() {
                return Err(("services", "is needed where the grant is token_exchange or jwt_bearer"));
            }
            if provider.identity_token.is_none() {
                return Err(("identity-token", "is needed where the grant is token_exchange or jwt_bearer"));
            }
            if matches!(provider.client_auth, ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost)
                && provider.client_secret.is_none()
            {
                return Err(("client-secret", "is needed where a machine's `client-auth` names it"));
            }
        }
        Grant::AuthorizationCode | Grant::DeviceCode => {}
    }
    let shows = matches!(provider.grant, Grant::TokenExchange | Grant::JwtBearer);
    if provider.identity_token.is_some() && !shows {
        return Err(("identity-token", "means nothing unless the grant is token_exchange or jwt_bearer"));
    }
    if provider.subject_token_type.is_some() && provider.grant != Grant::TokenExchange {
        return Err(("subject-token-type", "means nothing unless the grant is token_exchange"));
    }
    let asks = provider.grant == Grant::TokenExchange
        || provider.identity_token == Some(IdentitySource::GithubActions);
    if provider.audience.is_some() && !asks {
        let why = "means nothing unless the grant is token_exchange or the identity token is GitHub's";
        return Err(("audience", why));
    }
    Ok(())
}

fn authentication(provider: &Provider) -> Result<(), Fault> {
    let signs = provider.client_auth == ClientAuth::PrivateKeyJwt;
    if provider.client_secret.is_some() && (signs || provider.client_auth == ClientAuth::None) {
        let why = if signs {
            "means nothing while `client-auth` is private_key_jwt"
        } else {
            "means nothing while `client-auth` is none; say client_secret_basic or client_secret_post"
        };
        return Err(("client-secret", why));
    }
    match &provider.private_key {
        None if signs => Err(("private-key", "is needed where `client-auth` is private_key_jwt")),
        Some(_) if !signs => Err(("private-key", "means nothing unless `client-auth` is private_key_jwt")),
        Some(SecretSource::Keyring) => Err(("private-key", "must name one of `file`, `env`")),
        _ if provider.key_id.is_some() && !signs => {
            Err(("key-id", "means nothing unless `client-auth` is private_key_jwt"))
        }
        _ => Ok(()),
    }
}

/// RFC 6749 section 4.4: this grant is for confidential clients alone.
fn client_credentials(provider: &Provider) -> Result<(), Fault> {
    match provider.client_auth {
        ClientAuth::None => Err((
            "client-auth",
            "must be client_secret_basic, client_secret_post or private_key_jwt where the grant is client_credentials",
        )),
        ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost if provider.client_secret.is_none() => {
            Err(("client-secret", "is needed where the grant is client_credentials"))
        }
        _ => Ok(()),
    }
}
