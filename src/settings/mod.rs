//! What the user decided: arguments, environment, `config.toml`. Each is read here, once (I8).

mod clients;
mod config;
mod paths;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::dialect::{Dialect, Rendered, Verb};
use crate::http::{Patience, Proxies};
use crate::message::{Code, Failure};
use crate::provider::Provider;
use crate::store::keyring;
use crate::store::mode::{Choices, Mode, Unknown};
use crate::text::Escaped;

pub use clients::Configured;
pub use config::{Timeouts, check as check_config};

/// What the command line asks for.
#[derive(Debug)]
pub struct Invocation {
    /// The wire format.
    pub dialect: Dialect,
    /// The verb.
    pub verb: Verb,
    /// `--storage`.
    pub storage: Option<String>,
}

/// A command line that needs no session: help and version texts, or a complaint about the arguments.
#[derive(Debug)]
pub struct Usage {
    /// For standard output or, where it is a complaint, for standard error.
    pub text: String,
    /// The exit status.
    pub exit: u8,
}

impl Usage {
    /// As a reply: help goes to standard output, a complaint to standard error.
    #[must_use]
    pub fn rendered(self) -> Rendered {
        let (stdout, stderr) =
            if self.exit == 0 { (self.text, String::new()) } else { (String::new(), self.text) };
        Rendered { stdout: stdout.into_bytes().into(), stderr, exit: self.exit }
    }
}

/// The command line's grammar, in one place.
#[must_use]
pub fn command() -> clap::Command {
    let about = [
        "Hand out a live access token: one JSON request on stdin, one JSON reply on stdout",
        "Keep a token bundle",
        "End a session, or drop one rejected access token",
        "List sessions, from the index alone",
        "Say what this build can do",
    ];
    let verbs = Verb::ALL.iter().zip(about).map(|((_, word), about)| clap::Command::new(*word).about(about));
    clap::Command::new("claviger")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Hands any tool a live OAuth access token, and never loses the session behind it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(verbs)
        .arg(
            clap::Arg::new("storage").long("storage").global(true).value_name("keyring|plaintext").help(
                "Where sessions are, for this call only; CLAVIGER_STORAGE and config.toml come after it",
            ),
        )
}

/// Reads the command line.
pub fn invocation(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Usage> {
    let matches = command().try_get_matches_from(arguments).map_err(|error| Usage {
        text: escaped(&error.render().to_string()),
        exit: u8::try_from(error.exit_code()).unwrap_or(2),
    })?;
    let named = |word: &str| Verb::ALL.into_iter().find(|(_, known)| *known == word).map(|(verb, _)| verb);
    let verb = matches.subcommand_name().and_then(named);
    let verb =
        verb.ok_or_else(|| Usage { text: "claviger: error: no such command\n".to_owned(), exit: 2 })?;
    Ok(Invocation { dialect: Dialect::Native, verb, storage: matches.get_one::<String>("storage").cloned() })
}

/// A complaint quotes what was typed, which may come from anywhere.
fn escaped(text: &str) -> String {
    text.lines().fold(String::new(), |shown, line| shown + &Escaped(line).to_string() + "\n")
}

/// An environment, so that tests can hand in their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The process's own environment.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read (I8)")]
#[must_use]
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Everything decided, each with its source where that matters.
#[derive(Debug)]
pub struct Settings {
    /// The storage that flag, environment or configuration choose, if one does.
    pub chosen: Option<Mode>,
    /// The name of this machine, for the pin.
    pub machine: String,
    /// Index, pin, plaintext slots and their locks.
    pub state: PathBuf,
    /// How the keyring is reached.
    pub keyring: keyring::Access,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Proxies.
    pub proxies: Proxies,
    /// The configured providers, and their secrets when asked for.
    pub providers: Configured,
}

impl Settings {
    /// Reads environment and configuration.
    pub fn read(storage_flag: Option<String>, environment: Environment<'_>) -> Result<Self, Failure> {
        let text = |name: &str| {
            environment(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
        };
        let paths = paths::Paths::find(environment)?;
        let config = config::Config::read(&paths.config)?;
        // What is not UTF-8 is no storage we know; the resolver says so and names the source.
        let from_environment =
            environment("CLAVIGER_STORAGE").map(|value| value.to_string_lossy().into_owned());
        let choices = Choices { flag: storage_flag, environment: from_environment, config: config.storage };
        Ok(Self {
            chosen: choices.explicit().map_err(|Unknown(source)| {
                Failure::new(
                    Code::ConfigInvalid,
                    format!("{source} names no storage there is"),
                    "say keyring or plaintext",
                )
            })?,
            machine: paths::machine(environment),
            state: paths.state,
            keyring: paths::keyring(environment),
            timeouts: config.timeouts,
            proxies: Proxies {
                https: text("https_proxy").or_else(|| text("HTTPS_PROXY")),
                all: text("all_proxy").or_else(|| text("ALL_PROXY")),
                none: text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default(),
            },
            providers: Configured::new(config.providers, environment),
        })
    }

    /// The deadlines of one HTTP exchange.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience { connect: self.timeouts.connect, whole: self.timeouts.request }
    }

    /// How long a write is tried again after the server has answered.
    #[must_use]
    pub fn save_patience(&self) -> Duration {
        self.timeouts.request
    }

    /// The provider of that name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.all().iter().find(|provider| provider.name == name)
    }
}
