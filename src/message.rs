//! What may be asked and what may be told, in every dialect alike.

mod failure;
mod people;
mod providers;
mod setup;
mod storage;
mod token;
mod tools;

pub use crate::provider::Scheme;
pub use failure::{Code, Failure, Warning, WarningCode};
pub use people::{
    Chosen, Event, Login, Manner, Shape, SignedIn, SignedOut, Standing, Status, Target, TokenWanted, Way,
};
pub use providers::{
    AddedProvider, ClientIdFrom, ListedProvider, NewProvider, NewSecret, Providers, RemovedProvider,
};
pub use setup::{Configurable, Configure, Configured, LinkState, Linked, Links};
pub use storage::{Finding, Health, Relocated, Shown};
pub use token::{Freshness, MatchedBy, Token};
pub use tools::{Caller, Keep, Registries, Registry, Reject, Tool, Withdraw};

use crate::address::Endpoint;
use crate::secret::{AccessToken, ClientSecret, RefreshToken};
use crate::session::{Profile, Service, SessionName, Storage};
use crate::time::Timestamp;

/// A request, whichever dialect it came in.
#[derive(Debug)]
pub enum Request {
    /// A live access token, please.
    Get(Get),
    /// Keep this token bundle.
    Store(Box<Store>),
    /// End a session, or drop a token that was rejected.
    Erase(Erase),
    /// What is there?
    List(List),
    /// What can you do?
    Capabilities,
    /// Where are sessions kept, and why?
    ShowStorage,
    /// Move every session there.
    MoveStorage(Storage),
    /// What is wrong with where sessions are kept?
    Doctor {
        /// And mend it.
        fix: bool,
    },
    /// Sign in.
    Login(Box<Login>),
    /// Sign out of one session.
    Logout(Target),
    /// Sign out of every session there is.
    LogoutAll,
    /// How do the sessions stand?
    Status {
        /// Read their slots, too.
        check: bool,
    },
    /// A live access token, for a person or a script.
    Token(Box<TokenWanted>),
    /// Make this account the default.
    Use(Target),
    /// Which providers are configured?
    ListProviders,
    /// Write a provider into `config.toml`.
    AddProvider(Box<NewProvider>),
    /// Take the provider of that name out of it.
    RemoveProvider(String),
    /// Several live access tokens; whichever there are.
    GetEach(Vec<Get>),
    /// Keep what somebody typed.
    Keep(Box<Keep>),
    /// Forget what a service refused.
    Reject(Reject),
    /// Take a service off a session.
    Withdraw(Withdraw),
    /// For which registries are there credentials?
    Registries(Registries),
    /// Make another tool ask claviger, or no longer.
    Configure(Configure),
    /// Make the names that tools call this program by.
    Links(Links),
}

/// Asks for a live access token.
#[derive(Clone, Debug)]
pub struct Get {
    /// What it must open.
    pub service: Service,
    /// An account, or the label of a session.
    pub account: Option<String>,
    /// The caller's own profile.
    pub profile: Option<Profile>,
    /// Seconds the token must still live; `None` for the session's own window.
    pub min_validity: Option<i64>,
    /// Refresh whatever the token's age.
    pub force_refresh: bool,
    /// Who asks.
    pub caller: Caller,
}

/// Hands over a token bundle.
#[derive(Debug)]
pub struct Store {
    /// The session's name.
    pub name: SessionName,
    /// The access token.
    pub access: AccessToken,
    /// The user name some tools want beside the token.
    pub username: Option<String>,
    /// The dialect of the tool that brings it, where somebody typed it there.
    pub kept_by: Option<String>,
    /// A word people use for the session.
    pub label: Option<String>,
    /// The refresh token.
    pub refresh: Option<RefreshToken>,
    /// When the access token ends.
    pub expiry: Expiry,
    /// When the refresh token ends, where known.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// `Bearer` unless given.
    pub token_type: Option<String>,
    /// Scopes the token has.
    pub scopes: Vec<String>,
    /// Services it is granted for besides the one that names the session.
    pub services: Vec<Service>,
    /// Whether to become the service's default account; `None`: if none is pinned.
    pub make_default: Option<bool>,
    /// Replace a session of another issuer or client.
    pub replace: bool,
    /// How to refresh it.
    pub origin: Origin,
}

/// When a stored token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nobody said.
    Unknown,
    /// At this time.
    At(Timestamp),
    /// This many seconds from now.
    In(i64),
}

/// How a stored session is refreshed.
#[derive(Debug)]
pub enum Origin {
    /// As the configured provider that serves the service says, if there is one.
    Configured,
    /// As this configured provider says.
    Provider(String),
    /// Not at all: it is what somebody typed.
    Nowhere,
    /// At this endpoint.
    Endpoint(Box<Direct>),
}

/// An authorization server named by the caller.
#[derive(Debug)]
pub struct Direct {
    /// The issuer identifier.
    pub issuer: Option<String>,
    /// The token endpoint.
    pub token_endpoint: Endpoint,
    /// The revocation endpoint.
    pub revocation_endpoint: Option<Endpoint>,
    /// The client identifier.
    pub client_id: String,
    /// The client's secret there; kept in the refresh slot and sent nowhere else.
    pub client_secret: Option<ClientSecret>,
}

/// Ends a session, or drops one access token.
#[derive(Debug)]
pub struct Erase {
    /// The service.
    pub service: Service,
    /// An account, or the label of a session.
    pub account: Option<String>,
    /// The caller's own profile.
    pub profile: Option<Profile>,
    /// The rejected token; without it, the session ends.
    pub access: Option<AccessToken>,
}

/// Asks for the sessions there are.
#[derive(Debug)]
pub struct List {
    /// Only those granted for this service.
    pub service: Option<Service>,
}

/// A reply's good news.
#[derive(Debug)]
pub enum Outcome {
    /// A live token.
    Token(Box<Token>),
    /// The bundle is kept.
    Stored(Stored),
    /// What was erased.
    Erased(Erased),
    /// The sessions.
    Listed(Vec<Listed>),
    /// What this build can do.
    Capabilities(Capabilities),
    /// Where sessions are kept.
    Shown(Box<Shown>),
    /// The sessions were moved.
    Relocated(Relocated),
    /// What was found about where sessions are kept.
    Examined(Vec<Finding>),
    /// Somebody signed in.
    SignedIn(Box<SignedIn>),
    /// Somebody signed out.
    SignedOut(Vec<SignedOut>),
    /// How the sessions stand.
    Standing(Box<Status>),
    /// A default was chosen.
    Chosen(Box<Chosen>),
    /// The configured providers.
    Providers(Providers),
    /// A provider was written.
    ProviderAdded(AddedProvider),
    /// A provider was taken away.
    ProviderRemoved(RemovedProvider),
    /// Several live tokens.
    Tokens(Vec<Token>),
    /// A secret is kept, or need not be: it is ours.
    Kept {
        /// Whether it was new.
        new: bool,
    },
    /// The registries there are credentials for.
    Registries(Vec<Registry>),
    /// A tool was made to ask claviger.
    Configured(Configured),
    /// Names that tools call this program by.
    Linked(Linked),
}

/// A stored bundle.
#[derive(Debug)]
pub struct Stored {
    /// The session's name.
    pub name: SessionName,
    /// Where it lies.
    pub storage: Storage,
    /// Whether it has a refresh token.
    pub has_refresh_token: bool,
}

/// What an erase did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Whether anything was there and is gone.
    pub erased: bool,
    /// What became of the refresh token at the server.
    pub revocation: Revocation,
}

impl Erased {
    /// What both did.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let revocation = match other.revocation {
            Revocation::Skipped => self.revocation,
            told => told,
        };
        Self { erased: self.erased || other.erased, revocation }
    }
}

/// What became of a refresh token at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The server took it.
    Revoked,
    /// The server could not be reached or refused.
    Failed,
    /// The session names no revocation endpoint.
    Unsupported,
    /// There was no refresh token to revoke, or it stays.
    Skipped,
}

/// One session of a list, from the index alone.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: SessionName,
    /// Its label.
    pub label: Option<String>,
    /// Services it is granted for.
    pub services: Vec<Service>,
    /// Where it lies.
    pub storage: Storage,
    /// When its access token ends, as last seen.
    pub expires_at: Option<Timestamp>,
    /// Whether it has a refresh token, as last seen.
    pub has_refresh_token: Option<bool>,
    /// Whether it is the default of a service it is granted for.
    pub default: bool,
}

/// What this build can do.
#[derive(Debug)]
pub struct Capabilities {
    /// Storages this build has.
    pub storages: Vec<&'static str>,
    /// Dialects this build speaks.
    pub dialects: Vec<&'static str>,
    /// Grants this build can use.
    pub grants: Vec<&'static str>,
}
