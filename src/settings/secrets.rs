//! Secrets where the configuration says they are: files read when a request needs them, variables read with the rest of
//! the environment, and nothing else.

use std::path::Path;

use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::Environment;
use crate::address::Endpoint;
use crate::limits::{KEY_BYTES, SECRET_BYTES, TOKEN_BYTES};
use crate::provider::{
    Client, Identity, IdentitySource, Misconfigured, Provider, SecretSource, Signer, Unread,
};
use crate::secret::{ClientSecret, IdentityToken};
use crate::signing::SigningKey;
use crate::store::files;
use crate::text::Escaped;

/// What a job of GitHub Actions that may have identity tokens is told.
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const GITHUB_BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
/// The name that GitLab's own pages give to such a variable.
const GITLAB: &str = "GITLAB_OIDC_TOKEN";

/// The variables that hold secrets. No `Debug` of a value.
pub(super) struct Variables(Vec<(String, Option<Zeroizing<String>>)>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Where a secret is, and the words of its faults.
struct Wanted<'a> {
    /// What it is: "the client secret of provider `x`".
    what: String,
    limit: usize,
    /// What to do about a variable that is not set.
    unset: &'a str,
    /// What to set a variable to that is wrong.
    set: &'a str,
    /// What to do about a file.
    make: &'a str,
}

impl Wanted<'_> {
    fn fault(&self, why: &str, hint: &str) -> Misconfigured {
        Misconfigured { message: format!("{}: {why}", self.what), hint: hint.to_owned() }
    }
}

impl Variables {
    /// Reads every variable that a provider names, by itself or by where its jobs run.
    pub(super) fn read(providers: &[Provider], environment: Environment<'_>) -> Self {
        let named = providers.iter().flat_map(names);
        Self(
            named
                .filter_map(|name| {
                    let value = environment(name)?;
                    Some((name.to_owned(), value.into_string().ok().map(Zeroizing::new)))
                })
                .collect(),
        )
    }

    /// A provider's client, with its secret or key but where the keyring has it.
    pub(super) fn client(&self, provider: &Provider) -> Result<Unread, Misconfigured> {
        let mut client = Client {
            auth: provider.client_auth,
            secret: None,
            signer: self.signer(provider)?,
            token_params: provider.token_params.clone(),
            revocation_endpoint: provider.revocation_endpoint.clone(),
        };
        let wanted = Wanted {
            what: format!("the client secret of provider `{}`", provider.name),
            limit: SECRET_BYTES,
            unset: "set it, or name another source in config.toml",
            set: "set it to the secret alone",
            make: "make it, with the secret alone on its one line, or name another source in config.toml",
        };
        client.secret = match &provider.client_secret {
            Some(SecretSource::Keyring) => return Ok(Unread::kept_for(client, &provider.name)),
            Some(SecretSource::Env(name)) => Some(self.variable(name, &wanted, ClientSecret::new)?),
            Some(SecretSource::File(path)) => Some(file(path, &wanted, ClientSecret::new)?),
            None => None,
        };
        Ok(Unread::whole(client))
    }

    fn signer(&self, provider: &Provider) -> Result<Option<Signer>, Misconfigured> {
        let wanted = Wanted {
            what: format!("the private key of provider `{}`", provider.name),
            limit: KEY_BYTES,
            unset: "set it, or name another source in config.toml",
            set: "set it to the key in PEM",
            make: "make it, with the key in PEM, or name another source in config.toml",
        };
        let key = match &provider.private_key {
            Some(SecretSource::Env(name)) => self.variable(name, &wanted, SigningKey::parse)?,
            Some(SecretSource::File(path)) => file(path, &wanted, SigningKey::parse)?,
            Some(SecretSource::Keyring) | None => return Ok(None),
        };
        let endpoint = provider.token_endpoint.as_ref().map(Endpoint::as_str);
        let audience = provider.issuer.as_deref().or(endpoint).unwrap_or_default().to_owned();
        Ok(Some(Signer { key, key_id: provider.key_id.clone(), audience }))
    }

    /// The identity token of a provider's machine, or where it is to be asked for; `None`: no source is named.
    pub(super) fn identity(&self, provider: &Provider) -> Result<Option<Identity>, Misconfigured> {
        let mut wanted = Wanted {
            what: format!("the identity token of provider `{}`", provider.name),
            limit: TOKEN_BYTES,
            unset: "set it, or name another source in config.toml",
            set: "set it to the token alone",
            make: "have it made, with the token alone on its one line, or name another source in config.toml",
        };
        let Some(source) = &provider.identity_token else { return Ok(None) };
        let token = match source {
            IdentitySource::File(path) => file(path, &wanted, IdentityToken::new)?,
            IdentitySource::Env(name) => self.variable(name, &wanted, IdentityToken::new)?,
            IdentitySource::Gitlab => {
                wanted.unset =
                    "name it under `id_tokens` in the job, or another variable with `{ env = ... }`";
                self.variable(GITLAB, &wanted, IdentityToken::new)?
            }
            IdentitySource::GithubActions => {
                wanted.unset = "give the job `permissions: id-token: write`";
                let audience = provider.audience.as_deref();
                let endpoint = |text: &str| {
                    Endpoint::parse(&for_audience(text, audience)).map_err(crate::address::Error::words)
                };
                let endpoint = self.variable(GITHUB_URL, &wanted, endpoint)?;
                let bearer = self.variable(GITHUB_BEARER, &wanted, IdentityToken::new)?;
                return Ok(Some(Identity::Given { endpoint, bearer }));
            }
        };
        Ok(Some(Identity::Token(token)))
    }

    fn variable<T>(
        &self,
        name: &str,
        wanted: &Wanted<'_>,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Result<T, Misconfigured> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let shown = Escaped(name);
        let Some(value) = found else {
            return Err(wanted.fault(&format!("variable {shown} is not set"), wanted.unset));
        };
        let parsed = match value {
            Some(value) if value.len() > wanted.limit => Err("is too long"),
            Some(value) => parse(value),
            None => Err("is not UTF-8"),
        };
        parsed.map_err(|why| wanted.fault(&format!("variable {shown} {why}"), wanted.set))
    }
}

fn names(provider: &Provider) -> Vec<&str> {
    let secrets = [&provider.client_secret, &provider.private_key].into_iter().flatten();
    let mut names: Vec<&str> = secrets
        .filter_map(|source| match source {
            SecretSource::Env(name) => Some(name.as_str()),
            SecretSource::File(_) | SecretSource::Keyring => None,
        })
        .collect();
    match &provider.identity_token {
        Some(IdentitySource::Env(name)) => names.push(name),
        Some(IdentitySource::Gitlab) => names.push(GITLAB),
        Some(IdentitySource::GithubActions) => names.extend([GITHUB_URL, GITHUB_BEARER]),
        Some(IdentitySource::File(_)) | None => {}
    }
    names
}

fn for_audience(url: &str, audience: Option<&str>) -> String {
    let Some(audience) = audience else { return url.to_owned() };
    let joint = if url.contains('?') { '&' } else { '?' };
    let audience = byte_serialize(audience.as_bytes()).collect::<String>();
    format!("{url}{joint}audience={audience}")
}

/// A file's content without the end of its last line.
fn file<T>(
    path: &Path,
    wanted: &Wanted<'_>,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, Misconfigured> {
    let shown = path.display().to_string();
    let shown = Escaped(&shown);
    let fault = |why: String| wanted.fault(&why, wanted.make);
    let bytes = files::read_foreign(path, wanted.limit).map_err(|error| fault(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| fault(format!("file {shown} is not there")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| fault(format!("file {shown} is not UTF-8")))?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    parse(line).map_err(|why| fault(format!("file {shown}: it {why}")))
}
