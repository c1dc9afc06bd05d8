//! Where a provider's endpoints are: as the configuration has them, and as its issuer says where it has none.

use super::super::Call;
use crate::address::Endpoint;
use crate::error;
use crate::message::{Code, Failure};
use crate::oauth::discovery::{self, Metadata};
use crate::provider::Provider;

/// An authorization server, ready to be asked.
pub(in crate::engine) struct Server {
    pub(super) metadata: Metadata,
    pub(super) token_endpoint: Endpoint,
}

impl Call<'_> {
    /// The endpoints of a provider. What the configuration names counts; an issuer is asked for the rest.
    pub(in crate::engine) fn server(&self, provider: &Provider) -> Result<Server, Failure> {
        let own = Metadata {
            authorization_endpoint: provider.authorization_endpoint.clone(),
            token_endpoint: provider.token_endpoint.clone(),
            device_authorization_endpoint: provider.device_authorization_endpoint.clone(),
            revocation_endpoint: provider.revocation_endpoint.clone(),
            registration_endpoint: provider.registration_endpoint.clone(),
            userinfo_endpoint: provider.userinfo_endpoint.clone(),
            names_itself: false,
            s256: true,
        };
        let found = match &provider.issuer {
            // A provider whose grant has all it needs asks nobody.
            Some(issuer) if own.token_endpoint.is_none() || own.authorization_endpoint.is_none() => Some(
                discovery::ask(self.world.http, issuer)
                    .map_err(|failed| error::of_discovery(failed, issuer, &provider.name))?,
            ),
            _ => None,
        };
        let metadata = match found {
            None => own,
            Some(found) => Metadata {
                authorization_endpoint: own.authorization_endpoint.or(found.authorization_endpoint),
                token_endpoint: own.token_endpoint.or(found.token_endpoint),
                device_authorization_endpoint: own
                    .device_authorization_endpoint
                    .or(found.device_authorization_endpoint),
                revocation_endpoint: own.revocation_endpoint.or(found.revocation_endpoint),
                registration_endpoint: own.registration_endpoint.or(found.registration_endpoint),
                userinfo_endpoint: own.userinfo_endpoint.or(found.userinfo_endpoint),
                names_itself: found.names_itself,
                s256: found.s256,
            },
        };
        let token_endpoint =
            metadata.token_endpoint.clone().ok_or_else(|| lacking(provider, "token-endpoint"))?;
        Ok(Server { metadata, token_endpoint })
    }
}

pub(super) fn lacking(provider: &Provider, key: &str) -> Failure {
    let nor = if provider.issuer.is_some() { ", and its issuer names none" } else { "" };
    Failure::new(
        Code::ConfigInvalid,
        format!("provider `{}` has no `{key}`{nor}", provider.name),
        "add it to config.toml",
    )
}
