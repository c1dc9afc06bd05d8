//! What may be asked and what may be told, in every dialect alike.

mod people;
mod providers;
mod storage;

use serde::{Deserialize, Serialize};

pub use people::{
    Chosen, Event, Login, Manner, SignedIn, SignedOut, Standing, Status, Target, TokenWanted, Way,
};
pub use providers::{
    AddedProvider, ClientIdFrom, ListedProvider, NewProvider, NewSecret, Providers, RemovedProvider,
};
pub use storage::{Finding, Health, Relocated, Shown};

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
}

/// A live token and how it came about. Made from what the store returned, never from a server's reply, but where nothing
/// is to be kept (I2).
#[derive(Debug)]
pub struct Token {
    /// The session it belongs to.
    pub name: SessionName,
    /// The user name some tools want beside it.
    pub username: Option<String>,
    /// `Bearer`, mostly.
    pub token_type: String,
    /// The token.
    pub access: AccessToken,
    /// When it ends, where known.
    pub expires_at: Option<Timestamp>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Whether there is a refresh token; `None`: not known.
    pub has_refresh_token: Option<bool>,
    /// Where the session lies; `None`: nothing keeps it.
    pub storage: Option<Storage>,
    /// How it came about.
    pub freshness: Freshness,
    /// How the session was chosen.
    pub matched_by: MatchedBy,
}

/// How a token came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// It was there.
    Cached,
    /// It was refreshed just now, by us.
    Refreshed,
    /// Another process refreshed it while we waited.
    Adopted,
    /// A refresh was due and failed; it is still valid.
    Stale,
    /// There was no session, and a machine grant made one.
    Minted,
}

/// How a session was chosen, the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// The service's path was cut back until a session was found.
    Origin,
    /// The account was given.
    Account,
    /// It is the service's default.
    Default,
    /// It is the only one.
    Only,
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

/// Everything that can go wrong, closed: a new code does not compile until each dialect has answered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the protocol's own codes; protocol/README.md says what each means")]
pub enum Code {
    NotFound,
    AccountNotFound,
    BadRequest,
    Conflict,
    AuthRefreshExpired,
    AuthRefreshUnavailable,
    LoginCancelled,
    LoginDenied,
    LoginTimeout,
    InteractionRequired,
    AuthRefreshTransient,
    LockTimeout,
    StoreUnavailable,
    StoreLocked,
    StoreDenied,
    StoreTimeout,
    StoreNewer,
    LockUnsupported,
    AuthStoreReadFailed,
    AuthStoreWriteFailed,
    ConfigInvalid,
    InsecureUrl,
    ProviderRejected,
    EndpointNotFound,
    TlsUntrusted,
    ProxyAuthRequired,
    NoAccountSelected,
    Internal,
}

/// A reply's bad news: what happened, and what to do. Neither text can hold a secret, and foreign text in
/// them is already escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub code: Code,
    /// What happened, on one line.
    pub message: String,
    /// What to do, on one line; empty where nothing is to be done.
    pub hint: String,
    /// Seconds after which to try again, where the server said so.
    pub retry_after: Option<i64>,
}

impl Failure {
    /// A failure without a time to wait.
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into(), retry_after: None }
    }
}

/// Something worth knowing in a reply that succeeded, or failed for another reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What kind.
    pub code: WarningCode,
    /// What, on one line.
    pub message: String,
}

/// The kinds of warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the protocol's own codes; protocol/README.md says what each means")]
pub enum WarningCode {
    Stale,
    ValidityShort,
    StoredPlaintext,
    OtherCopy,
    PinFailed,
    BackendUnreachable,
    PermissionsRepaired,
}
