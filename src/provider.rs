//! An authorization server and our client there: what a configuration, a caller or a slot says of them.

use crate::address::Endpoint;
use crate::secret::ClientSecret;
use crate::session::Service;

/// Where a refresh token may be sent, and as which client. Stored beside the token; the token goes there
/// and nowhere else, whatever a record or a configuration says later (I1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The issuer identifier, compared byte for byte (RFC 8414 section 2).
    pub issuer: Option<String>,
    /// The token endpoint (RFC 6749 section 3.2).
    pub token_endpoint: Endpoint,
    /// The revocation endpoint (RFC 7009), where the server has one.
    pub revocation_endpoint: Option<Endpoint>,
    /// The client identifier (RFC 6749 section 2.2).
    pub client_id: String,
}

/// How our client proves itself to the token endpoint (RFC 6749 section 2.3, RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// A public client: its id in the body and nothing else.
    None,
    /// HTTP Basic with the id and secret form-encoded first.
    ClientSecretBasic,
    /// Id and secret in the body.
    ClientSecretPost,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
}

/// The grant a provider's sessions begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// RFC 6749 section 4.1.
    AuthorizationCode,
    /// RFC 8628.
    DeviceCode,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 8693.
    TokenExchange,
    /// RFC 7523.
    JwtBearer,
}

/// Where a configured secret comes from; never the configuration file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The one line of this file.
    File(std::path::PathBuf),
    /// This environment variable.
    Env(String),
    /// A slot of the keyring.
    Keyring,
}

/// Whether a `get` may start a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interactive {
    /// It may not.
    Never,
    /// One browser login, where somebody can answer it.
    Auto,
}

/// A `[providers.NAME]` table of `config.toml`.
#[derive(Debug)]
pub struct Provider {
    /// The table's name.
    pub name: String,
    /// The issuer identifier.
    pub issuer: Option<String>,
    /// RFC 6749 section 3.1.
    pub authorization_endpoint: Option<Endpoint>,
    /// RFC 6749 section 3.2.
    pub token_endpoint: Option<Endpoint>,
    /// RFC 8628 section 3.1.
    pub device_authorization_endpoint: Option<Endpoint>,
    /// RFC 7009.
    pub revocation_endpoint: Option<Endpoint>,
    /// RFC 7591.
    pub registration_endpoint: Option<Endpoint>,
    /// The client identifier.
    pub client_id: Option<String>,
    /// Where the client secret comes from.
    pub client_secret: Option<SecretSource>,
    /// Where the key of `private_key_jwt` comes from.
    pub private_key: Option<SecretSource>,
    /// How the client authenticates.
    pub client_auth: ClientAuth,
    /// The grant its sessions begin with.
    pub grant: Grant,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Services its tokens are meant for.
    pub services: Vec<Service>,
    /// The service that names new sessions; the first of `services` where not given.
    pub session: Option<Service>,
    /// Exact redirect URIs, where a server wants them.
    pub redirect_uris: Vec<String>,
    /// Extra parameters of the authorization request.
    pub authorization_params: Vec<(String, String)>,
    /// Extra parameters of the token request.
    pub token_params: Vec<(String, String)>,
    /// Seconds a token must still live to be handed out without a refresh.
    pub min_validity: Option<i64>,
    /// The user name git is told.
    pub git_username: Option<String>,
    /// The user name docker is told.
    pub docker_username: Option<String>,
    /// What hints tell people to run.
    pub login_command: Option<String>,
    /// Whether a `get` may start a login.
    pub interactive: Interactive,
}

impl Provider {
    /// The service that names this provider's new sessions.
    #[must_use]
    pub fn session_service(&self) -> Option<&Service> {
        self.session.as_ref().or_else(|| self.services.first())
    }

    /// Whether a session that goes to `destination` is one of this provider's: the same client at the same
    /// token endpoint, of the same issuer where both name one. A caller can claim any issuer in a `store`;
    /// the endpoint is what a secret would be sent to.
    #[must_use]
    pub fn owns(&self, destination: &Destination) -> bool {
        let same_issuer = match (&self.issuer, &destination.issuer) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        same_issuer
            && self.token_endpoint.as_ref() == Some(&destination.token_endpoint)
            && self.client_id.as_deref() == Some(destination.client_id.as_str())
    }
}

/// The client's proof for one request, made ready by whoever read the secret.
#[derive(Debug)]
pub enum ClientProof<'a> {
    /// A public client.
    Public,
    /// HTTP Basic.
    Basic(&'a ClientSecret),
    /// In the body.
    Post(&'a ClientSecret),
}

/// What the configuration adds to a request to one destination.
#[derive(Debug)]
pub struct Client {
    /// How it authenticates.
    pub auth: ClientAuth,
    /// Its secret, read just now.
    pub secret: Option<ClientSecret>,
    /// Extra parameters of the token request.
    pub token_params: Vec<(String, String)>,
    /// The provider's own revocation endpoint: the only one its secret may go to.
    pub revocation_endpoint: Option<Endpoint>,
}

impl Client {
    /// A client of which the configuration says nothing.
    #[must_use]
    pub fn public() -> Self {
        Self { auth: ClientAuth::None, secret: None, token_params: Vec::new(), revocation_endpoint: None }
    }

    /// The proof for a request. A secret that came with the token by `store` goes by HTTP Basic, which
    /// every server that gives out passwords must take (RFC 6749 section 2.3.1).
    #[must_use]
    pub fn proof<'a>(&'a self, stored: Option<&'a ClientSecret>) -> ClientProof<'a> {
        match (stored, &self.secret, self.auth) {
            (None, Some(secret), ClientAuth::ClientSecretPost) => ClientProof::Post(secret),
            (Some(secret), _, _) | (None, Some(secret), _) => ClientProof::Basic(secret),
            (None, None, _) => ClientProof::Public,
        }
    }
}

impl Client {
    /// The proof for a revocation; `None` where the configured secret would leave its provider's endpoints.
    #[must_use]
    pub fn revocation_proof<'a>(
        &'a self,
        entry: &Destination,
        stored: Option<&'a ClientSecret>,
    ) -> Option<ClientProof<'a>> {
        let at_home = self.revocation_endpoint == entry.revocation_endpoint;
        (stored.is_some() || self.secret.is_none() || at_home).then(|| self.proof(stored))
    }
}

/// What a machine asks for a token with: no session, no refresh token, nobody who signs in.
#[derive(Debug)]
pub struct Machine {
    /// Where, and as which client.
    pub destination: Destination,
    /// Its proof. The secret has been read just now.
    pub client: Client,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Services the session is granted for.
    pub services: Vec<Service>,
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
    fn client_for(&self, services: &[Service], destination: &Destination) -> Result<Client, Misconfigured>;
    /// The window of the provider that owns a destination, in seconds, where it sets one.
    fn min_validity(&self, services: &[Service], destination: &Destination) -> Option<i64>;
    /// Whether the configuration names a machine grant for a session: for the service that names it, else for one that
    /// it is granted for, as where the provider's list of services has changed.
    fn mints(&self, session: &Service, granted: &[Service]) -> bool;
    /// That grant. A secret that cannot be read and an endpoint that is not named are errors.
    fn machine(&self, session: &Service, granted: &[Service]) -> Result<Option<Machine>, Misconfigured>;
}
