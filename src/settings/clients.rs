//! The configured providers as clients: whose session is whose, and secrets read when they are needed.

use super::Environment;
use super::secrets::Variables;
use crate::provider::{
    Asking, Client, Clients, Destination, Grant, Machine, MachineGrant, Misconfigured, Provider, Unread,
};
use crate::session::Service;

/// The providers of `config.toml`.
#[derive(Debug)]
pub struct Configured {
    providers: Vec<Provider>,
    /// The variables that hold secrets, read with the rest of the environment.
    secrets: Variables,
}

impl Configured {
    pub(super) fn new(providers: Vec<Provider>, environment: Environment<'_>) -> Self {
        let secrets = Variables::read(&providers, environment);
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
    pub fn owning(&self, services: &[Service], asking: Asking<'_>) -> Option<&Provider> {
        let owners = || self.providers.iter().filter(|provider| provider.is_asked_by(asking));
        let lists = |provider: &&Provider| provider.services.iter().any(|listed| services.contains(listed));
        owners().find(lists).or_else(|| owners().next())
    }

    /// The same as far as a record tells it: for what takes away and for what is no secret.
    #[must_use]
    pub fn resembling(&self, services: &[Service], asking: Asking<'_>) -> Option<&Provider> {
        let alike = || self.providers.iter().filter(|provider| provider.resembles(asking));
        let lists = |provider: &&Provider| provider.services.iter().any(|listed| services.contains(listed));
        alike().find(lists).or_else(|| alike().next())
    }

    /// The provider whose machine grant gives a session its tokens: the one that names its sessions so, else one that
    /// lists what the session is named after or granted for.
    #[must_use]
    pub fn minting(&self, session: &Service, granted: &[Service]) -> Option<&Provider> {
        let machines = || self.providers.iter().filter(|provider| provider.grant.is_a_machines());
        let listing = |service: &Service| machines().find(|provider| provider.services.contains(service));
        machines()
            .find(|provider| provider.session_service() == Some(session))
            .or_else(|| std::iter::once(session).chain(granted).find_map(listing))
    }

    /// A provider's client; what the keyring keeps of it has yet to be read.
    pub fn client(&self, provider: &Provider) -> Result<Unread, Misconfigured> {
        self.secrets.client(provider)
    }

    fn grant(&self, provider: &Provider) -> Result<MachineGrant, Misconfigured> {
        const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
        let shown = || self.secrets.identity(provider)?.ok_or_else(|| lacks(provider, "identity-token"));
        Ok(match provider.grant {
            Grant::TokenExchange => MachineGrant::TokenExchange {
                identity: shown()?,
                kind: provider.subject_token_type.clone().unwrap_or_else(|| JWT.to_owned()),
                audience: provider.audience.clone(),
            },
            Grant::JwtBearer => MachineGrant::JwtBearer(shown()?),
            Grant::ClientCredentials | Grant::AuthorizationCode | Grant::DeviceCode => {
                MachineGrant::ClientCredentials
            }
        })
    }
}

fn lacks(provider: &Provider, key: &str) -> Misconfigured {
    Misconfigured {
        message: format!("provider `{}` has no `{key}`", provider.name),
        hint: "add it to config.toml".to_owned(),
    }
}

impl Clients for Configured {
    fn client_for(&self, services: &[Service], destination: &Destination) -> Result<Unread, Misconfigured> {
        if let Some(provider) = self.owning(services, destination.into()) {
            let client = self.secrets.client(provider)?;
            let found = destination.found_by.as_deref() == Some(provider.name.as_str());
            // Found with the token endpoint, by the same issuer's word.
            return Ok(client.revoking_at(destination.revocation_endpoint.clone().filter(|_| found)));
        }
        let moved = services.iter().filter_map(|service| self.serving(service)).find(|provider| {
            (provider.client_secret.is_some() || provider.private_key.is_some())
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
            None => Ok(Unread::whole(Client::public())),
        }
    }

    fn min_validity(&self, services: &[Service], asking: Asking<'_>) -> Option<i64> {
        self.resembling(services, asking).and_then(|provider| provider.min_validity)
    }

    fn mints(&self, session: &Service, granted: &[Service]) -> bool {
        self.minting(session, granted).is_some()
    }

    fn machine(
        &self,
        session: &Service,
        granted: &[Service],
    ) -> Result<Option<(Machine, Unread)>, Misconfigured> {
        let Some(provider) = self.minting(session, granted) else { return Ok(None) };
        let machine = Machine {
            issuer: provider.issuer.clone(),
            token_endpoint: provider.token_endpoint.clone(),
            client_id: provider.client_id.clone(),
            grant: self.grant(provider)?,
            scopes: provider.scopes.clone(),
            services: provider.services.clone(),
        };
        if machine.client_id.is_none() && provider.needs_client_id() {
            return Err(lacks(provider, "client-id"));
        }
        Ok(Some((machine, self.secrets.client(provider)?)))
    }
}
