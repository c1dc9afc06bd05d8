//! The configured providers as clients: whose session is whose, and secrets read when they are needed.

use std::path::Path;

use super::Environment;
use crate::limits::SECRET_BYTES;
use crate::provider::{
    Client, ClientAuth, Clients, Destination, Grant, Machine, Misconfigured, Provider, SecretSource,
};
use crate::secret::ClientSecret;
use crate::session::Service;
use crate::store::files;
use crate::text::Escaped;

/// The providers of `config.toml`.
#[derive(Debug)]
pub struct Configured {
    providers: Vec<Provider>,
    /// The variables that hold secrets, read with the rest of the environment.
    secrets: Vec<(String, Result<ClientSecret, &'static str>)>,
}

impl Configured {
    pub(super) fn new(providers: Vec<Provider>, environment: Environment<'_>) -> Self {
        let named = providers.iter().filter_map(|provider| match &provider.client_secret {
            Some(SecretSource::Env(name)) => Some(name.clone()),
            Some(SecretSource::File(_) | SecretSource::Keyring) | None => None,
        });
        let secrets = named.filter_map(|name| {
            let value = environment(&name)?;
            let secret = value.to_str().ok_or("is not UTF-8").and_then(ClientSecret::new);
            Some((name, secret))
        });
        let secrets = secrets.collect();
        Self { providers, secrets }
    }

    /// Every provider.
    #[must_use]
    pub fn all(&self) -> &[Provider] {
        &self.providers
    }

    /// The provider that lists a service, or the longest prefix of it.
    #[must_use]
    pub fn serving(&self, service: &Service) -> Option<&Provider> {
        let lists =
            |prefix: &Service| self.providers.iter().find(|provider| provider.services.contains(prefix));
        service.prefixes().find_map(|prefix| lists(&prefix))
    }

    /// The provider a session belongs to: of several with the same client at the same endpoint, the one that
    /// lists a service of the session.
    #[must_use]
    pub fn owning(&self, services: &[Service], destination: &Destination) -> Option<&Provider> {
        let owners = || self.providers.iter().filter(|provider| provider.owns(destination));
        let lists = |provider: &&Provider| provider.services.iter().any(|listed| services.contains(listed));
        owners().find(lists).or_else(|| owners().next())
    }

    /// The provider whose machine grant gives a session its tokens: the one that names its sessions so, else one that
    /// lists what the session is named after or granted for.
    #[must_use]
    pub fn minting(&self, session: &Service, granted: &[Service]) -> Option<&Provider> {
        let machines = || self.providers.iter().filter(|provider| provider.grant == Grant::ClientCredentials);
        let listing = |service: &Service| machines().find(|provider| provider.services.contains(service));
        machines()
            .find(|provider| provider.session_service() == Some(session))
            .or_else(|| std::iter::once(session).chain(granted).find_map(listing))
    }

    fn client(&self, provider: &Provider) -> Result<Client, Misconfigured> {
        if provider.client_auth == ClientAuth::PrivateKeyJwt {
            return Err(Misconfigured {
                message: format!(
                    "provider `{}` wants private_key_jwt, which this version does not speak",
                    provider.name
                ),
                hint: "use client_secret_basic or client_secret_post".to_owned(),
            });
        }
        Ok(Client {
            auth: provider.client_auth,
            secret: self.secret(provider)?,
            token_params: provider.token_params.clone(),
            revocation_endpoint: provider.revocation_endpoint.clone(),
        })
    }

    fn secret(&self, provider: &Provider) -> Result<Option<ClientSecret>, Misconfigured> {
        let fault = |what: String, hint: &str| Misconfigured {
            message: format!("the client secret of provider `{}`: {what}", provider.name),
            hint: hint.to_owned(),
        };
        match &provider.client_secret {
            None => Ok(None),
            Some(SecretSource::Env(name)) => {
                let found = self.secrets.iter().find(|(known, _)| known == name).map(|(_, secret)| secret);
                let shown = Escaped(name);
                match found {
                    Some(Ok(secret)) => {
                        ClientSecret::new(secret.reveal()).map(Some).map_err(|why| fault(why.to_owned(), ""))
                    }
                    Some(Err(why)) => {
                        Err(fault(format!("variable {shown} {why}"), "set it to the secret alone"))
                    }
                    None => Err(fault(
                        format!("variable {shown} is not set"),
                        "set it, or name another source in config.toml",
                    )),
                }
            }
            Some(SecretSource::File(path)) => read_secret(path).map(Some).map_err(|what| {
                fault(
                    what,
                    "make it, with the secret alone on its one line, or name another source in config.toml",
                )
            }),
            Some(SecretSource::Keyring) => Err(fault(
                "this version cannot read it from the keyring".to_owned(),
                "name a file or an environment variable in config.toml",
            )),
        }
    }
}

/// The one line of a secret's file, at most 4 KiB.
fn read_secret(path: &Path) -> Result<ClientSecret, String> {
    let shown = path.display().to_string();
    let bytes = files::read_foreign(path, SECRET_BYTES).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or_else(|| format!("file {} is not there", Escaped(&shown)))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("file {} is not UTF-8", Escaped(&shown)))?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    ClientSecret::new(line).map_err(|why| format!("file {}: it {why}", Escaped(&shown)))
}

impl Clients for Configured {
    fn client_for(&self, services: &[Service], destination: &Destination) -> Result<Client, Misconfigured> {
        if let Some(provider) = self.owning(services, destination) {
            return self.client(provider);
        }
        let moved = services.iter().filter_map(|service| self.serving(service)).find(|provider| {
            provider.client_secret.is_some()
                && provider.client_id.as_deref() == Some(destination.client_id.as_str())
        });
        match moved {
            Some(provider) => Err(Misconfigured {
                message: format!(
                    "provider `{}` no longer has the issuer and endpoint this session was made with",
                    provider.name
                ),
                hint: "put them back in config.toml, or store the session anew with replace".to_owned(),
            }),
            None => Ok(Client::public()),
        }
    }

    fn min_validity(&self, services: &[Service], destination: &Destination) -> Option<i64> {
        self.owning(services, destination).and_then(|provider| provider.min_validity)
    }

    fn mints(&self, session: &Service, granted: &[Service]) -> bool {
        self.minting(session, granted).is_some()
    }

    fn machine(&self, session: &Service, granted: &[Service]) -> Result<Option<Machine>, Misconfigured> {
        let Some(provider) = self.minting(session, granted) else { return Ok(None) };
        let lacks = |key: &str| Misconfigured {
            message: format!("provider `{}` has no `{key}`", provider.name),
            hint: "add it to config.toml".to_owned(),
        };
        let token_endpoint = provider.token_endpoint.clone().ok_or_else(|| lacks("token-endpoint"))?;
        let client_id = provider.client_id.clone().ok_or_else(|| lacks("client-id"))?;
        Ok(Some(Machine {
            destination: Destination {
                issuer: provider.issuer.clone(),
                token_endpoint,
                revocation_endpoint: provider.revocation_endpoint.clone(),
                client_id,
            },
            client: self.client(provider)?,
            scopes: provider.scopes.clone(),
            services: provider.services.clone(),
        }))
    }
}
