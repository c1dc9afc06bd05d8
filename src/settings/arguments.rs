//! The command line: its grammar, and what it asks for.

use std::ffi::OsString;
use std::time::Duration;

use super::dialects;
use super::manual;
use super::people;
use super::provider_arguments;
use super::setup_arguments;
use crate::dialect::{self, Call, Rendered, Verb};
use crate::message::{Manner, Request};
use crate::session::Storage;
use crate::text::Escaped;
use crate::worker;

/// What the command line asks for.
#[derive(Debug)]
pub struct Invocation {
    /// What is to be done.
    pub command: Command,
    /// `--storage`.
    pub storage: Option<String>,
}

impl Invocation {
    /// Whether another program is to take this one's place.
    #[must_use]
    pub fn gives_way(&self) -> bool {
        matches!(self.command, Command::People { manner: Manner::Exec { .. }, .. })
    }
}

/// Who is asking, a program or a person.
#[derive(Debug)]
pub enum Command {
    /// A program, in whichever dialect it speaks.
    Protocol(Call),
    /// A person, or a script of theirs: the request is the command line itself.
    People {
        /// What they want.
        request: Request,
        /// How the reply is written.
        manner: Manner,
    },
    /// Another process of this program: the order comes on stdin, a lock in standard error's place.
    Worker,
}

impl Command {
    /// How long whoever calls waits for an answer, less a little.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        match self {
            Self::Protocol(call) => call.patience(),
            // A program that a tool runs for a token, as a script does.
            Self::People { request: Request::Token(_), .. } => Some(dialect::ANY_TOOL),
            Self::People { .. } | Self::Worker => None,
        }
    }
}

/// A command line that needs no session: help, version, a manual page, or a complaint about the arguments.
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
        Rendered { stdout: stdout.into_bytes().into(), stderr, exit: self.exit, then: None }
    }
}

/// The command line's grammar, in one place.
#[must_use]
pub fn grammar() -> clap::Command {
    shown().subcommand(clap::Command::new(worker::COMMAND).hide(true))
}

/// What of it is for callers and people.
pub(super) fn shown() -> clap::Command {
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
        .subcommand(
            clap::Command::new("storage")
                .about("Show where sessions are kept and why, or move them all")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(clap::Command::new("show").about("Where sessions are kept on this machine, and who decided it").arg(json()))
                .subcommand(
                    clap::Command::new("move")
                        .about("Move every session there, and keep new ones there")
                        .arg(clap::Arg::new("to").value_name("STORAGE").value_parser(["keyring", "plaintext"]).required(true))
                        .arg(json()),
                ),
        )
        .subcommand(
            clap::Command::new("doctor")
                .about("Try the keyring, the files and the locks, look into every session, and say what is wrong")
                .arg(clap::Arg::new("fix").long("fix").action(clap::ArgAction::SetTrue).help("Mend what can be mended"))
                .arg(json()),
        )
        .subcommands(people::commands())
        .subcommands(dialects::commands())
        .subcommand(provider_arguments::grammar())
        .subcommands(setup_arguments::commands())
        .subcommands(manual::commands())
        .arg(
            clap::Arg::new("storage").long("storage").global(true).value_name("keyring|plaintext|none").help(
                "Where sessions are, for this call only; CLAVIGER_STORAGE and config.toml come after it",
            ),
        )
}

/// Reads the command line.
pub fn invocation(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Usage> {
    let matches =
        grammar().try_get_matches_from(dialects::by_its_own_name(arguments)).map_err(|error| Usage {
            text: escaped(&error.render().to_string()),
            exit: u8::try_from(error.exit_code()).unwrap_or(2),
        })?;
    Ok(Invocation { command: asked(&matches)?, storage: matches.get_one::<String>("storage").cloned() })
}

fn asked(matches: &clap::ArgMatches) -> Result<Command, Usage> {
    let usage = |text: &str| Usage { text: format!("claviger: error: {text}\n"), exit: 2 };
    let Some((word, matches)) = matches.subcommand() else { return Err(usage("no command is given")) };
    if let Some((verb, _)) = Verb::ALL.into_iter().find(|(_, known)| *known == word) {
        return Ok(Command::Protocol(Call::Native(verb)));
    }
    if let Some(call) = dialects::asked(word, matches) {
        return Ok(Command::Protocol(call.map_err(|text| usage(&text))?));
    }
    if word == worker::COMMAND {
        return Ok(Command::Worker);
    }
    if let Some(printed) = manual::printed(word, matches) {
        return Err(printed.map_or_else(|text| usage(&text), |text| Usage { text, exit: 0 }));
    }
    if let Some(asked) = people::asked(word, matches).or_else(|| setup_arguments::asked(word, matches)) {
        let (request, manner) = asked.map_err(|text| usage(&text))?;
        return Ok(Command::People { request, manner });
    }
    let (request, matches) = match (word, matches.subcommand()) {
        ("providers", _) => provider_arguments::asked(matches).ok_or_else(|| usage("no such command"))?,
        ("doctor", _) => (Request::Doctor { fix: matches.get_flag("fix") }, matches),
        ("storage", Some(("show", matches))) => (Request::ShowStorage, matches),
        ("storage", Some(("move", matches))) => {
            let to = matches.get_one::<String>("to").and_then(|word| Storage::parse(word));
            let to = to.ok_or_else(|| usage("sessions can be moved to `keyring` or `plaintext`"))?;
            (Request::MoveStorage(to), matches)
        }
        _ => return Err(usage("no such command")),
    };
    Ok(Command::People { request, manner: manner(matches) })
}

/// Words, or JSON where it is asked for.
pub(super) fn manner(matches: &clap::ArgMatches) -> Manner {
    if matches.get_flag("json") { Manner::Json } else { Manner::Text }
}

pub(super) fn json() -> clap::Arg {
    clap::Arg::new("json").long("json").action(clap::ArgAction::SetTrue).help("Reply with one JSON object")
}

/// A complaint quotes what was typed, which may come from anywhere.
fn escaped(text: &str) -> String {
    text.lines().fold(String::new(), |shown, line| shown + &Escaped(line).to_string() + "\n")
}
