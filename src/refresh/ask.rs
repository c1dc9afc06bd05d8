//! What a machine asks for a token: its identity token first, where a server gives that out, and then the token itself.

use super::quotes::Sent;
use super::{Error, mint, ready};
use crate::clock::Clock;
use crate::http::{self, Http};
use crate::oauth::discovery::{self, Failed};
use crate::oauth::identity::{self, Withheld};
use crate::oauth::token::{self, Granted, Refused};
use crate::provider::{Client, Clients, Identity, Machine, MachineGrant, Misconfigured};
use crate::secret::IdentityToken;
use crate::session::SessionName;
use crate::store::Backend;
use crate::store::mode::Nothing;
use crate::store::record::Bundle;

/// The machine with a token endpoint: where the configuration names none, its issuer is asked. That costs a request for
/// each token, and keeps nobody's word for longer than that.
pub(super) fn located(http: &dyn Http, machine: Machine) -> Result<Machine, Error> {
    let (None, Some(issuer)) = (&machine.token_endpoint, &machine.issuer) else { return Ok(machine) };
    let metadata = discovery::ask(http, issuer).map_err(|failed| match failed {
        Failed::Http(error) => Error::Http(error),
        Failed::Transient(why) => Error::Refused(Refused::Transient { why, retry_after: None }),
        Failed::Unusable(why) => Error::Misconfigured(Misconfigured {
            message: format!("the issuer's metadata is not used: {why}"),
            hint: SEE_TO_IT.to_owned(),
        }),
        Failed::Nowhere => Error::Refused(Refused::NoEndpoint),
    })?;
    Ok(Machine { token_endpoint: metadata.token_endpoint, ..machine })
}

const SEE_TO_IT: &str = "see to `issuer` of the provider in config.toml, or name its `token-endpoint` there";

/// One request, or one for the identity token and one with it.
pub(super) fn for_a_token(
    http: &dyn Http,
    clock: &dyn Clock,
    machine: &Machine,
    client: &Client,
) -> Result<Granted, Error> {
    let given;
    let shown = match &machine.grant {
        MachineGrant::ClientCredentials => None,
        MachineGrant::TokenExchange { identity, .. } | MachineGrant::JwtBearer(identity) => {
            Some(match identity {
                Identity::Token(token) => token,
                Identity::Given { endpoint, bearer } => {
                    given = given_out(http, &identity::request(endpoint, bearer))?;
                    &given
                }
            })
        }
    };
    let Some(endpoint) = &machine.token_endpoint else { return Err(Error::Refused(Refused::NoEndpoint)) };
    let post = token::machine_request((machine, endpoint), client, shown, clock.now())?;
    let sent = Sent::new(None, client, &post);
    let reply = http.post(&post).map_err(Error::Http)?;
    let granted = token::read(&reply, clock.now()).and_then(|granted| match &machine.grant {
        MachineGrant::TokenExchange { .. } => token::exchanged(granted),
        MachineGrant::ClientCredentials | MachineGrant::JwtBearer(_) => Ok(granted),
    });
    match granted {
        Ok(granted) => Ok(sent.unquoted_scopes(granted)),
        // There is no refresh token that could be dead: it is the client, or what it showed, that was refused.
        Err(refused) => Err(Error::Refused(match sent.unquoted(refused) {
            Refused::InvalidGrant { description } => {
                Refused::Rejected { error: "invalid_grant".to_owned(), description }
            }
            refused => refused,
        })),
    }
}

fn given_out(http: &dyn Http, get: &http::Get) -> Result<IdentityToken, Error> {
    let later = |why: String| Error::Refused(Refused::Transient { why, retry_after: None });
    let reply = http.get(get).map_err(|error| match error {
        http::Error::Unsent(_) | http::Error::Broken(_) | http::Error::TooLarge => {
            later(format!("no identity token was given out: {error}"))
        }
        other => Error::Http(other),
    })?;
    identity::read(&reply).map_err(|withheld| match withheld {
        Withheld::Transient(why) => later(why),
        Withheld::Refused(status) => Error::Misconfigured(Misconfigured {
            message: format!("the server of identity tokens gives none to this job: it answered {status}"),
            hint: "give the job `permissions: id-token: write`".to_owned(),
        }),
    })
}

/// A token that nothing keeps, with its session's record. Made by [`unkept`] and by nothing else.
#[derive(Debug)]
pub struct Unkept(Bundle);

impl Unkept {
    /// Takes it apart, to hand its token out.
    #[must_use]
    pub fn into_bundle(self) -> Bundle {
        self.0
    }
}

/// Asks for a machine's token where nothing is kept: no lock, no mark, no note of a failure.
pub fn unkept(
    _: Nothing,
    (http, clock): (&dyn Http, &dyn Clock),
    clients: &dyn Clients,
    keyring: &dyn Backend,
    name: &SessionName,
) -> Result<Unkept, Error> {
    let found = clients.machine(&name.service, &[]).map_err(Error::Misconfigured)?;
    let (machine, client) = found.ok_or(Error::NoRefreshToken)?;
    let (machine, client) = (located(http, machine)?, ready(keyring, client)?);
    let begun = clock.now();
    let granted = for_a_token(http, clock, &machine, &client)?;
    Ok(Unkept(mint::filled(&machine, mint::empty(name, &machine, 0, begun).record, granted, begun)))
}
