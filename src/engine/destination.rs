//! Where a stored session's refresh token would go, and whether that is where the one it replaces goes.

use super::Call;
use super::store::bad_request;
use crate::message::{Code, Direct, Failure, Origin, Store};
use crate::provider::{Destination, Provider};
use crate::secret::ClientSecret;
use crate::session::SessionName;
use crate::store::record::Record;

impl Call<'_> {
    /// Where the session's refresh token would go.
    pub(super) fn destination(
        &self,
        origin: Origin,
        request: &Store,
    ) -> Result<(Option<Destination>, Option<ClientSecret>), Failure> {
        let providers = &self.world.settings.providers;
        match origin {
            Origin::Endpoint(direct) => {
                let Direct { issuer, token_endpoint, revocation_endpoint, client_id, client_secret } =
                    *direct;
                Ok((
                    Some(Destination {
                        issuer,
                        token_endpoint,
                        revocation_endpoint,
                        client_id,
                        found_by: None,
                    }),
                    client_secret,
                ))
            }
            Origin::Nowhere => Ok((None, None)),
            Origin::Provider(name) => {
                let Some(provider) = self.world.settings.provider(&name) else {
                    return Err(bad_request(
                        "`provider`: there is none of that name in config.toml",
                        "see the names there",
                    ));
                };
                if !provider.services.is_empty()
                    && !provider.services.iter().any(|listed| listed.covers(&request.name.service))
                {
                    return Err(bad_request(
                        "`service`: the provider does not list it",
                        "add it to the provider's `services`",
                    ));
                }
                destination_of(provider, request).map(|destination| (destination, None))
            }
            Origin::Configured => match providers.serving(&request.name.service) {
                Some(provider) => destination_of(provider, request).map(|destination| (destination, None)),
                None => Ok((None, None)),
            },
        }
    }
}

const LACKING: &str = "add it to config.toml, or give `tokenEndpoint` and `clientId` in the request";

/// A provider's destination. One that is not fully configured is an error only where a refresh token would
/// have to go there.
fn destination_of(provider: &Provider, request: &Store) -> Result<Option<Destination>, Failure> {
    let lacking = match (&provider.token_endpoint, &provider.client_id) {
        (Some(token_endpoint), Some(client_id)) => {
            return Ok(Some(Destination {
                issuer: provider.issuer.clone(),
                token_endpoint: token_endpoint.clone(),
                revocation_endpoint: provider.revocation_endpoint.clone(),
                client_id: client_id.clone(),
                found_by: None,
            }));
        }
        (None, _) => "token-endpoint",
        (_, None) => "client-id",
    };
    if request.refresh.is_none() {
        return Ok(None);
    }
    let message = format!("provider `{}` has no `{lacking}`", provider.name);
    Err(Failure::new(
        Code::ConfigInvalid,
        message,
        match lacking {
            "client-id" => provider.client_id_hint(LACKING),
            _ => LACKING.to_owned(),
        },
    ))
}

/// Whether a living session would lose its issuer or client to another.
pub(super) fn conflicts(record: &Record, destination: Option<&Destination>) -> bool {
    !record.erased && destination.is_some_and(|destination| is_another(record, destination))
}

pub(super) fn conflict(name: &SessionName) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("{} belongs to another issuer or client", name.words()),
        "say `\"replace\": true` to put the new one in its place, or use another `profile`",
    )
}

/// What somebody typed does not take the place of a session that somebody signed in to.
pub(super) fn typed_over(name: &SessionName) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("{} is a session that refreshes itself, and is not replaced by what was typed", name.words()),
        "end it first with `claviger logout`, or use another user name",
    )
}

/// Another issuer or client; where an issuer is not known on both sides, another token endpoint.
fn is_another(record: &Record, destination: &Destination) -> bool {
    let (Some(endpoint), Some(client)) = (&record.token_endpoint, &record.client_id) else { return false };
    let another_server = match (&record.issuer, &destination.issuer) {
        (Some(ours), Some(theirs)) => ours != theirs,
        _ => *endpoint != destination.token_endpoint,
    };
    another_server || *client != destination.client_id
}
