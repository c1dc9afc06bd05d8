//! What is asked by a tool that has a protocol of its own.

use crate::secret::AccessToken;
use crate::session::{Profile, Service};

use super::{Expiry, Scheme};

/// The tool that asks, where that makes a difference to what it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// It wants the token and nothing else.
    #[default]
    Any,
    /// git, by a user name and a password, or by a scheme and a credential.
    Git,
    /// A client of a registry, by a user name and a password.
    Docker,
    /// pip or uv, likewise.
    Keyring,
    /// cargo, by the whole value of a header.
    Cargo,
    /// Terraform, by a token.
    Terraform,
    /// A client of a Kubernetes cluster, by a token; which cluster, it may not have said.
    Cluster,
}

impl Tool {
    /// The word of its dialect.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "native",
            Self::Git => "git",
            Self::Docker => "docker",
            Self::Keyring => "keyring",
            Self::Cargo => "cargo",
            Self::Terraform => "terraform",
            Self::Cluster => "kubernetes",
        }
    }

    /// The account of what its user logged in with and named no account for: the user name, or where it brings none a word of
    /// ours. What was brought for an account that somebody named is that account's alone.
    #[must_use]
    pub fn login(self, username: Option<&str>) -> &str {
        // Whoever has none where one is wanted has no account either.
        username.unwrap_or(if self.wants_a_user_name() { "" } else { self.word() })
    }

    /// Whether it shows a token as the password of a user.
    #[must_use]
    pub fn wants_a_user_name(self) -> bool {
        match self {
            Self::Git | Self::Docker | Self::Keyring => true,
            Self::Any | Self::Cargo | Self::Terraform | Self::Cluster => false,
        }
    }
}

/// Who asks for a token, as far as its protocol says.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one caller")]
pub struct Caller {
    /// With which tool.
    pub tool: Tool,
    /// A user name that it has from elsewhere, a URL perhaps. One that is an account selects it, the one that the tool
    /// would be told selects nothing, and any other is not ours to answer.
    pub username: Option<String>,
    /// Nobody may be asked to sign in for it.
    pub unattended: bool,
    /// The account was found by the user name alone: no session is made for it.
    pub found_by_name: bool,
    /// Only a session that was granted for this very place will do.
    pub exactly: bool,
    /// A token of ours was refused, and which is not known: one that came a moment ago is another.
    pub refused: bool,
}

/// A secret that somebody typed, or that a tool got by itself, to be kept as it is.
#[derive(Debug)]
pub struct Keep {
    /// What it opens.
    pub service: Service,
    /// The account; where it is not given, the user name.
    pub account: Option<String>,
    /// The user name it goes with.
    pub username: Option<String>,
    /// The tool's own profile.
    pub profile: Option<Profile>,
    /// The secret.
    pub secret: AccessToken,
    /// How it is shown to the service.
    pub scheme: Scheme,
    /// When it ends.
    pub expiry: Expiry,
    /// The tool that brings it.
    pub tool: Tool,
}

/// A credential that a service has refused, or that somebody wants forgotten.
#[derive(Debug)]
pub struct Reject {
    /// The service.
    pub service: Service,
    /// The account or user name, where it is known.
    pub username: Option<String>,
    /// The tool's own profile.
    pub profile: Option<Profile>,
    /// The secret; without it, whatever there is.
    pub secret: Option<AccessToken>,
}

/// A service that a session is to serve no longer; with the last one it ends.
#[derive(Debug)]
pub struct Withdraw {
    /// The service.
    pub service: Service,
    /// An account or label.
    pub account: Option<String>,
    /// A user name, as in [`Caller`].
    pub username: Option<String>,
    /// The tool's own profile.
    pub profile: Option<Profile>,
    /// The tool: what it brought itself for that place goes first, and alone.
    pub tool: Tool,
    /// And nothing else, where it brought nothing.
    pub only_its_own: bool,
}

/// Asks for the registries there are credentials for.
#[derive(Debug)]
pub struct Registries {
    /// Only those of this account or label.
    pub account: Option<String>,
    /// The tool's own profile.
    pub profile: Option<Profile>,
}

/// A registry there are credentials for, without a look at them.
#[derive(Debug)]
pub struct Registry {
    /// The registry.
    pub service: Service,
    /// The user name that goes with it, as far as it is known without a look.
    pub username: String,
}
