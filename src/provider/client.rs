//! What goes with a request: who asks, how that is proved, and what a machine shows.

use super::{Asking, ClientAuth, Destination};
use crate::address::Endpoint;
use crate::secret::{ClientSecret, IdentityToken};
use crate::session::Service;
use crate::signing::SigningKey;

/// The client's proof for one request, made ready by whoever read the secret.
#[derive(Debug)]
pub enum ClientProof<'a> {
    /// A public client.
    Public,
    /// HTTP Basic.
    Basic(&'a ClientSecret),
    /// In the body.
    Post(&'a ClientSecret),
    /// A signed assertion in the body, made for this one request.
    Assertion(&'a Signer),
}

/// What client assertions are made with (RFC 7523 section 3).
#[derive(Debug)]
pub struct Signer {
    /// The key.
    pub key: SigningKey,
    /// What the server knows it by.
    pub key_id: Option<String>,
    /// Whom they are meant for.
    pub audience: String,
}

/// What the configuration adds to a request to one destination.
#[derive(Debug)]
pub struct Client {
    /// How it authenticates.
    pub auth: ClientAuth,
    /// Its secret, read just now.
    pub secret: Option<ClientSecret>,
    /// Its key, read just now.
    pub signer: Option<Signer>,
    /// Extra parameters of the token request.
    pub token_params: Vec<(String, String)>,
    /// The provider's own revocation endpoint: the only one its secret may go to.
    pub revocation_endpoint: Option<Endpoint>,
}

impl Client {
    /// A client of which the configuration says nothing.
    #[must_use]
    pub fn public() -> Self {
        Self {
            auth: ClientAuth::None,
            secret: None,
            signer: None,
            token_params: Vec::new(),
            revocation_endpoint: None,
        }
    }

    /// The proof for a request. A secret that came with the token by `store` goes by HTTP Basic, which
    /// every server that gives out passwords must take (RFC 6749 section 2.3.1).
    #[must_use]
    pub fn proof<'a>(&'a self, stored: Option<&'a ClientSecret>) -> ClientProof<'a> {
        match (stored, &self.secret, &self.signer) {
            (None, _, Some(signer)) => ClientProof::Assertion(signer),
            (None, Some(secret), None) if self.auth == ClientAuth::ClientSecretPost => {
                ClientProof::Post(secret)
            }
            (Some(secret), _, _) | (None, Some(secret), None) => ClientProof::Basic(secret),
            (None, None, None) => ClientProof::Public,
        }
    }

    /// The proof for a revocation; `None` where the configured secret, or what its key signs, would leave its
    /// provider's endpoints.
    #[must_use]
    pub fn revocation_proof<'a>(
        &'a self,
        entry: &Destination,
        stored: Option<&'a ClientSecret>,
    ) -> Option<ClientProof<'a>> {
        let at_home = self.revocation_endpoint == entry.revocation_endpoint;
        let public = self.secret.is_none() && self.signer.is_none();
        (stored.is_some() || public || at_home).then(|| self.proof(stored))
    }
}

/// A client as configured, whose secret may have yet to be read from the keyring: the configuration reaches none.
#[derive(Debug)]
pub struct Unread {
    client: Client,
    kept_for: Option<String>,
}

impl Unread {
    /// One that lacks nothing.
    #[must_use]
    pub fn whole(client: Client) -> Self {
        Self { client, kept_for: None }
    }

    /// One whose secret the keyring keeps for this provider.
    #[must_use]
    pub fn kept_for(client: Client, provider: &str) -> Self {
        Self { client, kept_for: Some(provider.to_owned()) }
    }

    /// The same, revoking at an endpoint that was found where the configuration names none.
    #[must_use]
    pub fn revoking_at(self, found: Option<Endpoint>) -> Self {
        let Self { client, kept_for } = self;
        let revocation_endpoint = client.revocation_endpoint.or(found);
        Self { client: Client { revocation_endpoint, ..client }, kept_for }
    }

    /// The client, once `keyring` has given its secret where one is kept there. There is no way around it: a client
    /// without its secret would be taken for a public one.
    pub fn read<E>(self, keyring: impl FnOnce(&str) -> Result<ClientSecret, E>) -> Result<Client, E> {
        let Self { client, kept_for } = self;
        match kept_for {
            None => Ok(client),
            Some(provider) => Ok(Client { secret: Some(keyring(&provider)?), ..client }),
        }
    }
}

/// What a machine asks for a token with: no session, no refresh token, nobody who signs in.
#[derive(Debug)]
pub struct Machine {
    /// The issuer identifier.
    pub issuer: Option<String>,
    /// Where; `None` until the issuer has been asked.
    pub token_endpoint: Option<Endpoint>,
    /// As which client; one that shows an identity token needs no id.
    pub client_id: Option<String>,
    /// What it shows.
    pub grant: MachineGrant,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Services the session is granted for.
    pub services: Vec<Service>,
}

/// What a machine shows for a token.
#[derive(Debug)]
pub enum MachineGrant {
    /// Its client's own credentials (RFC 6749 section 4.4).
    ClientCredentials,
    /// An identity token, to be exchanged (RFC 8693).
    TokenExchange {
        /// Which.
        identity: Identity,
        /// What kind of token it is.
        kind: String,
        /// Whom the new one is meant for.
        audience: Option<String>,
    },
    /// An identity token as an authorization (RFC 7523 section 2.1).
    JwtBearer(Identity),
}

/// A machine's identity token, or where one is given out.
#[derive(Debug)]
pub enum Identity {
    /// Read just now.
    Token(IdentityToken),
    /// Asked for with a GET.
    Given {
        /// Where.
        endpoint: Endpoint,
        /// What opens that.
        bearer: IdentityToken,
    },
}

/// A configuration that cannot be acted on, in words for people.
#[derive(Debug)]
pub struct Misconfigured {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The configured clients, asked when a request is about to be made and not before: their secrets are
/// read only then.
pub trait Clients {
    /// The client for a session's destination. A configured secret whose provider no longer has this very
    /// destination is an error, never sent and never silently left out.
    fn client_for(&self, services: &[Service], destination: &Destination) -> Result<Unread, Misconfigured>;
    /// The window of the provider that a token came from, in seconds, where it sets one.
    fn min_validity(&self, services: &[Service], asking: Asking<'_>) -> Option<i64>;
    /// Whether the configuration names a machine grant for a session: for the service that names it, else for one that
    /// it is granted for, as where the provider's list of services has changed.
    fn mints(&self, session: &Service, granted: &[Service]) -> bool;
    /// That grant, and the client that asks by it. A secret that cannot be read and an endpoint that is not named are
    /// errors.
    fn machine(
        &self,
        session: &Service,
        granted: &[Service],
    ) -> Result<Option<(Machine, Unread)>, Misconfigured>;
}
