//! Which client signs somebody in: the configured one, or one that the server has made for us.

use super::super::Call;
use super::server::Server;
use super::{Means, Signing};
use crate::error;
use crate::message::{Code, Failure};
use crate::oauth::token::Granted;
use crate::oauth::{registration, revocation};
use crate::provider::{Client, Provider, RevocationEnds};
use crate::refresh;
use crate::secret::ClientSecret;
use crate::session::Service;

/// A client that was registered for this login. Its secret, if the server insists on one, goes into the session's own
/// refresh slot.
pub(super) struct Registration {
    pub(super) client_secret: Option<ClientSecret>,
}

impl Call<'_> {
    /// The client's identifier, what the configuration knows of it, and what a registration added.
    pub(super) fn client(
        &self,
        provider: &Provider,
        server: &Server,
        means: Means,
    ) -> Result<(String, Client, Option<Registration>), Failure> {
        let client = self.world.settings.providers.client(provider).map_err(error::of_configuration)?;
        let client = client.revoking_at(server.metadata.revocation_endpoint.clone());
        let client = refresh::ready(self.world.keyring, client)
            .map_err(|error| error::of_unready(error, &provider.name))?;
        if let Some(client_id) = &provider.client_id {
            return Ok((client_id.clone(), client, None));
        }
        let Some(endpoint) = &server.metadata.registration_endpoint else {
            let help = provider
                .client_id_hint("register a native application at the server, and add its id to config.toml");
            return Err(Failure::new(
                Code::ConfigInvalid,
                format!(
                    "provider `{}` has no `client-id`, and its server registers none by itself",
                    provider.name
                ),
                help,
            ));
        };
        let redirect_uris = match means {
            Means::Device => Vec::new(),
            Means::Browser | Means::Paste => provider.redirect_uris(),
        };
        let post = registration::request(endpoint, &redirect_uris, &provider.scopes).ok_or_else(|| {
            Failure::new(Code::Internal, "the registration could not be written", "please report it")
        })?;
        let reply = self
            .world
            .http
            .post(&post)
            .map_err(|error| error::of_request(&error, "a registration of this client"))?;
        let made = registration::read(&reply)
            .map_err(|refused| error::of_login_refusal(refused, &provider.name, "register this client"))?;
        Ok((made.client_id, client, Some(Registration { client_secret: made.client_secret })))
    }

    /// Gives back what was granted and will not be kept: nobody could revoke it later. Where that would end the user's
    /// other sessions too, it is left to end by itself.
    pub(super) fn give_back(
        &self,
        signing: &Signing<'_>,
        granted: &Granted,
        registered: Option<&Registration>,
    ) {
        let provider = signing.provider;
        let alone = provider.revocation_ends == RevocationEnds::Token
            || self.world.index.all().is_ok_and(|listing| {
                let of_provider = |service: &Service| provider.services.contains(service);
                !listing.entries.iter().any(|entry| entry.services.iter().any(of_provider))
            });
        let secret = registered.and_then(|registered| registered.client_secret.as_ref());
        let proof = signing.client.revocation_proof(signing.destination, secret);
        if let (true, Some(token), Some(proof)) = (alone, &granted.refresh, proof) {
            // The failure that led here is what must be heard.
            let now = self.world.clock.now();
            let _ = revocation::revoke(self.world.http, signing.destination, &proof, token, now);
        }
    }
}
