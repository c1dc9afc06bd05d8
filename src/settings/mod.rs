//! What the user decided: arguments, environment, `config.toml`. Each is read here, once (I8).

mod arguments;
mod clients;
mod config;
mod dialects;
mod edit;
mod grants;
mod manual;
mod paths;
mod people;
mod provider;
mod provider_arguments;
mod secrets;
mod setup;
mod setup_arguments;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::browser::Desktop;
use crate::http::{Patience, Proxies};
use crate::message::{Code, Failure};
use crate::provider::Provider;
use crate::store::keyring;
use crate::store::mode::{Choice, Choices, Unknown};
use crate::text::Escaped;

pub use arguments::{Command, Invocation, Usage, grammar, invocation};
pub use clients::Configured;
pub use config::{Timeouts, check as check_config, provider_in};
pub use edit::{Edit, edited, with_its_line_ends};
pub use provider::grant_word;
pub use setup::Tools;

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
    pub chosen: Option<Choice>,
    /// What `config.toml` chooses by itself, whatever beats it in this call.
    pub standing: Option<Choice>,
    /// The name of this machine, for the pin.
    pub machine: String,
    /// Where `config.toml` is looked for.
    pub config: PathBuf,
    /// Whether it is there.
    pub config_found: bool,
    /// Index, pin, plaintext slots and their locks.
    pub state: PathBuf,
    /// How the keyring is reached.
    pub keyring: keyring::Access,
    /// Whether somebody sits at a desktop here, who could unlock it.
    pub attended: bool,
    /// The place this process was started in, as far as signing in goes.
    pub place: Place,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// How long whoever called waits for an answer, from the start of this process; `None`: for as long as it takes.
    pub deadline: Option<Duration>,
    /// Proxies.
    pub proxies: Proxies,
    /// The configured providers, and their secrets when asked for.
    pub providers: Configured,
    /// Where other tools keep their configuration.
    pub tools: Tools,
}

/// Where somebody would have to sign in.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one place")]
pub struct Place {
    /// The desktop, as far as a browser goes.
    pub desktop: Desktop,
    /// There is a display (Linux).
    pub display: bool,
    /// It was reached over SSH: a browser here would open where nobody sits.
    pub remote: bool,
    /// The name of the program that called us, where the system tells it (Linux).
    pub caller: Option<String>,
    /// It is a CI job.
    pub ci: bool,
    /// Somebody can be asked for a line.
    pub terminal: bool,
    /// Somebody can be shown a picture made of characters.
    pub shows: bool,
}

impl Place {
    /// Whether somebody may be asked who did not call us: there is a browser, and a desktop or a terminal to see it from.
    #[must_use]
    pub fn can_be_interrupted(&self) -> bool {
        self.has_browser() && (self.display || self.shows || cfg!(any(windows, target_os = "macos")))
    }

    /// The program that called us, as far as the system tells.
    #[must_use]
    pub fn caller_words(&self) -> String {
        self.caller.clone().unwrap_or_else(|| "a program".to_owned())
    }

    /// Whether a browser here is one that the user sees, and that finds its way back to us. On Linux a display says so,
    /// or a `BROWSER` that somebody chose; under WSL the browser is that of Windows, whose way back may be closed.
    #[must_use]
    pub fn has_browser(&self) -> bool {
        if self.ci || !self.desktop.has_program() {
            return false;
        }
        let chosen = self.desktop.browser.is_some();
        if self.desktop.wsl {
            return chosen || !self.remote;
        }
        if cfg!(any(windows, target_os = "macos")) {
            return chosen || !self.remote;
        }
        chosen || (self.display && !self.remote)
    }
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
        let standing = Choices { config: config.storage.clone(), ..Choices::default() };
        let choices = Choices { flag: storage_flag, environment: from_environment, config: config.storage };
        let chosen = |choices: &Choices| {
            choices.explicit().map_err(|Unknown(source)| {
                Failure::new(
                    Code::ConfigInvalid,
                    format!("{source} names no storage there is"),
                    "say keyring, plaintext or none",
                )
            })
        };
        Ok(Self {
            chosen: chosen(&choices)?,
            standing: chosen(&standing)?,
            machine: paths::machine(environment),
            config: paths.config,
            config_found: config.found,
            state: paths.state,
            keyring: paths::keyring(environment),
            attended: paths::attended(environment),
            place: paths::place(environment),
            timeouts: config.timeouts,
            deadline: None,
            proxies: Proxies {
                https: text("https_proxy").or_else(|| text("HTTPS_PROXY")),
                all: text("all_proxy").or_else(|| text("ALL_PROXY")),
                none: text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default(),
            },
            providers: Configured::new(config.providers, environment),
            tools: Tools::read(environment),
        })
    }

    /// The same for a caller who does not wait for longer than this: neither is anything waited for.
    #[must_use]
    pub fn within(mut self, patience: Option<Duration>) -> Self {
        let Some(patience) = patience else { return self };
        let Timeouts { keyring, unlock, connect, request, lock, login } = self.timeouts;
        let at_most = |span: Duration| span.min(patience);
        self.timeouts = Timeouts {
            keyring: at_most(keyring),
            unlock: at_most(unlock),
            connect: at_most(connect),
            request: at_most(request),
            lock: at_most(lock),
            login,
        };
        self.deadline = Some(patience);
        self
    }

    /// The deadlines of one HTTP exchange.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience { connect: self.timeouts.connect, whole: self.timeouts.request }
    }

    /// The path of `config.toml` as messages have it.
    #[must_use]
    pub fn config_words(&self) -> String {
        Escaped(&self.config.display().to_string()).to_string()
    }

    /// The state folder as messages have it.
    #[must_use]
    pub fn state_words(&self) -> String {
        Escaped(&self.state.display().to_string()).to_string()
    }

    /// How long a keyring may take.
    #[must_use]
    pub fn keyring_patience(&self) -> keyring::Patience {
        keyring::Patience { call: self.timeouts.keyring, unlock: self.somebody_to_ask() }
    }

    /// How long somebody who can be asked has to unlock the keyring; `None`: there is nobody.
    #[must_use]
    pub fn somebody_to_ask(&self) -> Option<Duration> {
        self.attended.then_some(self.timeouts.unlock)
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
