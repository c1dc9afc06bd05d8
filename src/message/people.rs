//! What people ask for by a command of theirs, and what they are told.

use super::{Caller, Revocation};
use crate::session::{Profile, Service, SessionName, Storage};
use crate::time::Timestamp;

/// Which session a person means: a provider's name, a service, or nothing where there is but one to mean.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// A provider's name or a service, as typed.
    pub word: Option<String>,
    /// An account, or the label of a session.
    pub account: Option<String>,
    /// A tool's own profile.
    pub profile: Option<Profile>,
}

/// Signs in.
#[derive(Debug)]
pub struct Login {
    /// Where, and as whom.
    pub target: Target,
    /// How.
    pub way: Way,
}

/// How the user's consent reaches us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// As the provider and the place we are called in suggest.
    Best,
    /// By a browser here and not otherwise, for a caller that wants a token.
    Browser {
        /// What it wants one for.
        for_service: Service,
    },
    /// By a code that is entered on another device (RFC 8628).
    Device,
    /// By a browser somewhere else, whose last address is pasted.
    Paste,
}

/// Asks for a token, for a person or a script.
#[derive(Debug)]
pub struct TokenWanted {
    /// Of which session.
    pub target: Target,
    /// Seconds it must still live; `None` for the session's own window.
    pub min_validity: Option<i64>,
    /// Refresh whatever the token's age.
    pub force_refresh: bool,
    /// Who asks.
    pub caller: Caller,
}

/// A session that was signed in to.
#[derive(Debug)]
pub struct SignedIn {
    /// Its name.
    pub name: SessionName,
    /// The provider's name in `config.toml`.
    pub provider: String,
    /// Where it lies.
    pub storage: Storage,
    /// Whether it can be refreshed.
    pub has_refresh_token: bool,
    /// When the access token ends, where known.
    pub expires_at: Option<Timestamp>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// The services it is granted for.
    pub services: Vec<Service>,
    /// Whether it is the default of the service that names it.
    pub default: bool,
    /// Another process signed in while this one waited.
    pub shared: bool,
    /// What became of the session it replaced at the server; `None`: it replaced none, or that one may live on there.
    pub replaced: Option<Revocation>,
}

/// A session that was signed out of.
#[derive(Debug)]
pub struct SignedOut {
    /// Its name.
    pub name: SessionName,
    /// Whether anything was there and is gone.
    pub erased: bool,
    /// What became of it at the server.
    pub revocation: Revocation,
}

/// A session as `status` shows it.
#[derive(Debug)]
pub struct Standing {
    /// Its name.
    pub name: SessionName,
    /// Its label.
    pub label: Option<String>,
    /// The provider that it belongs to, where one is configured.
    pub provider: Option<String>,
    /// Its tokens come by a machine grant.
    pub machine: bool,
    /// The services it is granted for.
    pub services: Vec<Service>,
    /// The services whose default account it is.
    pub default_of: Vec<Service>,
    /// Where it lies.
    pub storage: Storage,
    /// When its access token ends, as last seen or, where the slots were read, as it is.
    pub expires_at: Option<Timestamp>,
    /// Seconds until then; negative once it has ended.
    pub expires_in: Option<i64>,
    /// Whether it can be refreshed; `None`: not known.
    pub has_refresh_token: Option<bool>,
    /// When its token was obtained; only where the slots were read.
    pub obtained_at: Option<Timestamp>,
    /// What stands in the way of its next token, in words.
    pub problems: Vec<String>,
}

/// Every session, and where sessions are kept.
#[derive(Debug)]
pub struct Status {
    /// The sessions.
    pub sessions: Vec<Standing>,
    /// Where new ones go.
    pub storage: Storage,
    /// Who decided that.
    pub decided_by: String,
    /// Whether the slots were read.
    pub checked: bool,
}

/// A default that was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// The session that is the default now.
    pub name: SessionName,
    /// Of these services.
    pub services: Vec<Service>,
}

/// What a login tells a tool while it goes on (`login --json`).
#[derive(Debug)]
pub enum Event<'a> {
    /// A browser is to visit this address.
    Authorization {
        /// The address.
        url: &'a str,
        /// Where the answer is listened for.
        redirect_uri: &'a str,
        /// Whether a browser was started here.
        opened: bool,
    },
    /// A code is to be entered.
    Device {
        /// Where.
        verification_uri: &'a str,
        /// The same with the code in it.
        verification_uri_complete: Option<&'a str>,
        /// The code.
        user_code: &'a str,
        /// Seconds until it means nothing any more.
        expires_in: i64,
        /// Seconds between two questions to the server.
        interval: i64,
    },
}

/// The tool whose output a token is printed like, for programs that read that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `gcloud config config-helper --format=json`.
    Gcloud,
    /// `az account get-access-token --output json`.
    Az,
    /// `databricks auth token`.
    Databricks,
}

/// How a person's command writes its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Words.
    Text,
    /// One JSON object.
    Json,
    /// The token and a newline.
    Plain,
    /// An `Authorization` header's line.
    Header,
    /// The token as another tool's command prints it.
    As(Shape),
    /// Nothing: a program is run with the token in its environment.
    Exec {
        /// The variable.
        variable: String,
        /// The program and its arguments.
        command: Vec<std::ffi::OsString>,
    },
}
