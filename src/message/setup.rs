//! What is asked and told about the configuration of other tools, and about the names they call this program by.

use std::path::PathBuf;

use crate::session::Service;

/// A tool that can be made to ask claviger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is called what it is called")]
pub enum Configurable {
    Git,
    Docker,
    Cargo,
    Kubernetes,
    Terraform,
    Bazel,
    Goauth,
    Pip,
}

impl Configurable {
    /// Every tool, with its word.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Git, "git"),
        (Self::Docker, "docker"),
        (Self::Cargo, "cargo"),
        (Self::Kubernetes, "kubernetes"),
        (Self::Terraform, "terraform"),
        (Self::Bazel, "bazel"),
        (Self::Goauth, "goauth"),
        (Self::Pip, "pip"),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(tool, _)| *tool == self).map_or("", |(_, word)| word)
    }

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubectl",
            Self::Goauth => "go",
            Self::Git | Self::Docker | Self::Cargo | Self::Terraform | Self::Bazel | Self::Pip => self.word(),
        }
    }

    /// A host as it may be given one.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Self::Docker => "registry.acme.example",
            Self::Cargo => "crates.acme.example",
            Self::Kubernetes => "k8s.acme.example",
            Self::Bazel => "cache.acme.example",
            Self::Goauth => "go.acme.example",
            Self::Git | Self::Terraform | Self::Pip => "git.acme.example",
        }
    }

    /// Whether it can be told to ask for some hosts and not for others.
    #[must_use]
    pub fn knows_hosts(self) -> bool {
        !matches!(self, Self::Terraform | Self::Pip)
    }
}

/// Makes a tool ask claviger, or no longer.
#[derive(Debug)]
pub struct Configure {
    /// The tool.
    pub tool: Configurable,
    /// For which hosts: services without a path. None: those of the configured providers.
    pub hosts: Vec<Service>,
    /// For every host there is (docker).
    pub all: bool,
    /// Take away what was added.
    pub undo: bool,
    /// Show it, and do nothing.
    pub dry_run: bool,
}

/// What became of a tool's configuration.
#[derive(Debug)]
pub struct Configured {
    /// The tool.
    pub tool: Configurable,
    /// The file, as messages have it.
    pub file: String,
    /// Whether it is another now, or would be.
    pub changed: bool,
    /// Nothing was done.
    pub dry_run: bool,
    /// Something was to be taken away.
    pub undo: bool,
    /// Lines that came, or would.
    pub added: Vec<String>,
    /// Lines that went, or would.
    pub removed: Vec<String>,
    /// What else it takes.
    pub notes: Vec<String>,
    /// What people are told instead of that the tool asks claviger, or does not.
    pub standing: Option<String>,
}

/// Makes the names that tools call this program by.
#[derive(Debug)]
pub struct Links {
    /// The folder.
    pub folder: PathBuf,
    /// Accounts that docker and bazel are to have names of their own for.
    pub accounts: Vec<String>,
    /// `keyring` too.
    pub keyring: bool,
    /// Take them away.
    pub undo: bool,
}

/// What became of the names.
#[derive(Debug)]
pub struct Linked {
    /// The folder, as messages have it.
    pub folder: String,
    /// The program they lead to.
    pub program: String,
    /// The names, in order.
    pub links: Vec<(String, LinkState)>,
    /// Whether tools look into that folder.
    pub on_path: bool,
    /// They were to be taken away.
    pub undo: bool,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is new.
    Made,
    /// It led to another claviger.
    Renewed,
    /// It was there already.
    Kept,
    /// It is gone.
    Removed,
    /// It was not there to be taken away.
    Absent,
    /// It is somebody else's, and stays.
    Foreign,
}

impl LinkState {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Renewed => "renewed",
            Self::Kept => "kept",
            Self::Removed => "removed",
            Self::Absent => "absent",
            Self::Foreign => "foreign",
        }
    }
}
