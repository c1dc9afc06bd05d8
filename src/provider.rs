//! An authorization server and our client there: what a configuration, a caller or a slot says of them.

mod client;

pub use client::{
    Client, ClientProof, Clients, Identity, Machine, MachineGrant, Misconfigured, Signer, Unread,
};

use crate::address::Endpoint;
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
    /// The provider by whose login it was found. A caller's `store` cannot say so: only here may the secret of a
    /// provider go that names no endpoint of its own.
    pub found_by: Option<String>,
}

/// Where a token came from, and for which client, as far as that is known.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The issuer identifier.
    pub issuer: Option<&'a str>,
    /// The token endpoint.
    pub token_endpoint: &'a Endpoint,
    /// The client identifier; a machine that shows an identity token needs none.
    pub client_id: Option<&'a str>,
    /// The provider by whose login it was found, as a refresh slot knows it and a record does not.
    pub found_by: Option<&'a str>,
}

impl<'a> From<&'a Destination> for Asking<'a> {
    fn from(destination: &'a Destination) -> Self {
        let Destination { issuer, token_endpoint, revocation_endpoint: _, client_id, found_by } = destination;
        Self {
            issuer: issuer.as_deref(),
            token_endpoint,
            client_id: Some(client_id),
            found_by: found_by.as_deref(),
        }
    }
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

/// How a token is to be shown to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// As the password of a user (RFC 7617).
    Basic,
    /// As itself (RFC 6750).
    Bearer,
    /// Without a scheme's name.
    Bare,
}

impl Scheme {
    /// The token type that says so of a session.
    #[must_use]
    pub fn token_type(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Bearer => "Bearer",
            // Not applicable: RFC 8693 section 2.2.1.
            Self::Bare => "N_A",
        }
    }
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

impl Grant {
    /// Whether a machine asks by it for a token of its own: nobody signs in.
    #[must_use]
    pub fn is_a_machines(self) -> bool {
        matches!(self, Self::ClientCredentials | Self::TokenExchange | Self::JwtBearer)
    }
}

/// Where a configured secret comes from; never the configuration file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// This file's content: of all but a key, its one line.
    File(std::path::PathBuf),
    /// This environment variable.
    Env(String),
    /// A slot of the keyring.
    Keyring,
}

/// What a revocation of one token ends at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationEnds {
    /// All that the user granted this client, or nobody knows.
    Grant,
    /// That refresh token and what came of it; others of the same user and client live on.
    Token,
}

/// Where a machine's identity token comes from. It lives for minutes, and is asked for anew with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// The one line of this file.
    File(std::path::PathBuf),
    /// This environment variable.
    Env(String),
    /// The server that a job of GitHub Actions is told of.
    GithubActions,
    /// The variable that a job of GitLab names under `id_tokens`.
    Gitlab,
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
    /// The preset it builds on.
    pub preset: Option<&'static str>,
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
    /// Where a server says who is signed in: that of `OpenID` Connect, or its own.
    pub userinfo_endpoint: Option<Endpoint>,
    /// The client identifier.
    pub client_id: Option<String>,
    /// Where people register a client, where the preset ships none.
    pub client_id_help: Option<&'static str>,
    /// Where the client secret comes from.
    pub client_secret: Option<SecretSource>,
    /// Where the key of `private_key_jwt` comes from.
    pub private_key: Option<SecretSource>,
    /// What the server knows that key by.
    pub key_id: Option<String>,
    /// Where the identity token of a machine grant comes from.
    pub identity_token: Option<IdentitySource>,
    /// Whom an identity token, or the token it is exchanged for, is meant for.
    pub audience: Option<String>,
    /// What kind of token the identity token is (RFC 8693 section 3).
    pub subject_token_type: Option<String>,
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
    /// Resources a token is asked for (RFC 8707).
    pub resource: Vec<String>,
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
    /// How git is to show a token, where it can show it in more than one way.
    pub git_authtype: Option<Scheme>,
    /// What stands before a token that cargo shows.
    pub cargo_scheme: Option<Scheme>,
    /// The claim that names the account, in the ID token or at the userinfo endpoint.
    pub account_claim: Option<String>,
    /// What a revocation of one of its tokens ends.
    pub revocation_ends: RevocationEnds,
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

    /// What to do where a client id is wanted and there is none: the preset's own words, else those of the caller.
    #[must_use]
    pub fn client_id_hint(&self, otherwise: &str) -> String {
        self.client_id_help.unwrap_or(otherwise).to_owned()
    }

    /// The redirect URIs the client is registered with: the loopback address at any port, where none are named
    /// (RFC 8252 section 7.3).
    #[must_use]
    pub fn redirect_uris(&self) -> Vec<String> {
        if self.redirect_uris.is_empty() {
            vec!["http://127.0.0.1".to_owned()]
        } else {
            self.redirect_uris.clone()
        }
    }

    /// Whether its machine grant needs a client id: to show an identity token, a public client need not have one.
    #[must_use]
    pub fn needs_client_id(&self) -> bool {
        self.client_auth != ClientAuth::None || self.grant == Grant::ClientCredentials
    }

    /// Whether a session is one of this provider's: the same client at the same token endpoint, of the same issuer where
    /// both name one. A caller can claim any issuer in a `store`; the endpoint is what a secret would be sent to. Where
    /// the issuer names the endpoint or registers the client, both are what a login of this very provider found.
    #[must_use]
    pub fn is_asked_by(&self, asking: Asking<'_>) -> bool {
        let found_by_us = asking.found_by == Some(self.name.as_str());
        self.resembles(asking)
            && (self.token_endpoint.is_some() || found_by_us)
            && (self.client_id.is_some() || asking.client_id.is_none() || found_by_us)
    }

    /// The same as far as a record tells it: good enough for what is no secret.
    #[must_use]
    pub fn resembles(&self, asking: Asking<'_>) -> bool {
        let same_issuer = match (self.issuer.as_deref(), asking.issuer) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => self.token_endpoint.is_some(),
        };
        same_issuer
            && self.token_endpoint.as_ref().is_none_or(|ours| ours == asking.token_endpoint)
            && self.client_id.as_deref().is_none_or(|ours| asking.client_id == Some(ours))
    }
}
