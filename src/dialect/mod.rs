//! Wire formats: bytes to a request, an outcome to bytes. Pure: nothing here can see the store or the network.
//!
//! One file to a dialect, each with its parse and its render over the same [`Request`] and [`Outcome`]. The exit status and
//! the stream of an error belong to the dialect: docker wants errors on stdout, git takes silence for an answer, cargo wants
//! exit 0.

#![deny(clippy::wildcard_enum_match_arm)] // a new failure must not compile until each dialect has answered it

pub mod bazel;
pub mod cargo;
pub mod docker;
pub mod git;
pub mod goauth;
pub mod keyring;
pub mod kubernetes;
mod miss;
pub mod native;
mod place;
pub mod terraform;

use std::ffi::OsString;
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::fields::{self, Fields, Problem};
use crate::message::{Failure, Outcome, Request, Warning, WarningCode};
use crate::secret::AccessToken;
use crate::session::Profile;

/// What a caller of the native protocol asks for by name, before its bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A token.
    Get,
    /// Keep a bundle.
    Store,
    /// End a session or drop a token.
    Erase,
    /// What is there.
    List,
    /// What can be done.
    Capabilities,
}

impl Verb {
    /// Every verb, with its word.
    pub const ALL: [(Verb, &'static str); 5] = [
        (Verb::Get, "get"),
        (Verb::Store, "store"),
        (Verb::Erase, "erase"),
        (Verb::List, "list"),
        (Verb::Capabilities, "capabilities"),
    ];

    /// Whether an empty input stands for an empty request, so that a terminal is never waited on.
    #[must_use]
    pub fn input_is_optional(self) -> bool {
        matches!(self, Self::List | Self::Capabilities)
    }
}

/// The words of the dialects this build speaks.
pub const WORDS: [&str; 9] =
    ["native", "git", "docker", "cargo", "kubernetes", "terraform", "bazel", "goauth", "keyring"];

/// What the command line says of whose session a tool is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// An account, or the label of a session.
    pub account: Option<String>,
    /// A tool's own profile.
    pub profile: Option<Profile>,
}

/// One call in one dialect, as far as the command line says it.
#[derive(Clone, Debug)]
pub enum Call {
    /// One JSON object in, one out.
    Native(Verb),
    /// A git credential helper.
    Git(git::Call),
    /// A docker credential helper.
    Docker(docker::Call),
    /// A cargo credential provider.
    Cargo(cargo::Call),
    /// A Kubernetes exec credential plugin.
    Kubernetes(kubernetes::Call),
    /// A Terraform credentials helper.
    Terraform(terraform::Call),
    /// A Bazel credential helper.
    Bazel(bazel::Call),
    /// A GOAUTH command.
    Goauth(goauth::Call),
    /// A stand-in for Python's keyring command.
    Keyring(keyring::Call),
}

/// What of standard input a call is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: it may be a terminal that nobody types at.
    Nothing,
    /// All of it, up to the end of file.
    Whole,
    /// All of it, where it is no terminal.
    WholeOrNothing,
    /// Lines up to an empty one.
    Lines,
    /// One line.
    Line,
}

/// What a call comes to before anything is looked up.
pub enum Parsed {
    /// A request, or what is wrong with it, and how its answer is to look.
    Ask(Result<Request, Failure>, Form),
    /// The answer itself.
    Said(Rendered),
}

/// How an answer is to look.
#[derive(Clone, Debug)]
pub enum Form {
    /// As the native protocol has it.
    Native,
    /// As git has it.
    Git(git::Form),
    /// As docker has it.
    Docker(docker::Form),
    /// As cargo has it.
    Cargo(cargo::Form),
    /// As Kubernetes has it.
    Kubernetes(kubernetes::Form),
    /// As Terraform has it.
    Terraform(terraform::Form),
    /// As Bazel has it.
    Bazel,
    /// As Go has it.
    Goauth,
    /// As Python's keyring command has it.
    Keyring(keyring::Form),
}

impl Call {
    /// What of standard input it wants.
    #[must_use]
    pub fn reading(&self) -> Reading {
        match self {
            Self::Native(verb) if verb.input_is_optional() => Reading::WholeOrNothing,
            Self::Native(_) | Self::Bazel(_) => Reading::Whole,
            Self::Git(call) => call.reading(),
            Self::Docker(call) => call.reading(),
            Self::Cargo(_) => Reading::Line,
            Self::Kubernetes(_) => Reading::Nothing,
            Self::Terraform(call) => call.reading(),
            Self::Goauth(call) => call.reading(),
            Self::Keyring(call) => call.reading(),
        }
    }

    /// How long whoever calls in this dialect waits for an answer, less a little: nothing is waited for longer. What was
    /// begun by then is carried to its end all the same, by a process that nobody waits for.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        match self {
            Self::Native(_) => None,
            Self::Bazel(_) => Some(BAZEL),
            Self::Git(_)
            | Self::Docker(_)
            | Self::Cargo(_)
            | Self::Kubernetes(_)
            | Self::Terraform(_)
            | Self::Goauth(_)
            | Self::Keyring(_) => Some(ANY_TOOL),
        }
    }

    /// Reads a request. `exec_info` is the variable by which Kubernetes says what it wants.
    #[must_use]
    pub fn parse(&self, input: &[u8], exec_info: Option<&str>) -> Parsed {
        match self {
            Self::Native(verb) => Parsed::Ask(native::parse(*verb, input), Form::Native),
            Self::Git(call) => call.parse(input),
            Self::Docker(call) => call.parse(input),
            Self::Cargo(call) => call.parse(input),
            Self::Kubernetes(call) => call.parse(exec_info),
            Self::Terraform(call) => call.parse(input),
            Self::Bazel(call) => call.parse(input),
            Self::Goauth(call) => call.parse(input),
            Self::Keyring(call) => call.parse(input),
        }
    }

    /// An answer for a request that could not even be read.
    #[must_use]
    pub fn unread(&self, failure: Failure) -> Parsed {
        match self {
            Self::Native(_) => Parsed::Ask(Err(failure), Form::Native),
            Self::Git(_) => Parsed::Ask(Err(failure), Form::Git(git::Form::default())),
            Self::Docker(call) => Parsed::Ask(Err(failure), Form::Docker(call.form())),
            Self::Cargo(_) => Parsed::Ask(Err(failure), Form::Cargo(cargo::Form::Other)),
            Self::Kubernetes(_) => Parsed::Ask(Err(failure), Form::Kubernetes(kubernetes::Form::default())),
            Self::Terraform(call) => Parsed::Ask(Err(failure), Form::Terraform(call.form())),
            Self::Bazel(_) => Parsed::Ask(Err(failure), Form::Bazel),
            Self::Goauth(_) => Parsed::Ask(Err(failure), Form::Goauth),
            Self::Keyring(call) => Parsed::Ask(Err(failure), Form::Keyring(call.form())),
        }
    }
}

/// Bazel kills a helper after ten seconds, and fails the build.
const BAZEL: Duration = Duration::from_secs(8);
/// The shortest patience known of the others is a minute.
pub const ANY_TOOL: Duration = Duration::from_secs(55);

impl Form {
    /// Writes an answer: both streams and the exit status.
    #[must_use]
    pub fn render(&self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        match self {
            Self::Native => native::render(result, warnings),
            Self::Git(form) => form.render(result, warnings),
            Self::Docker(form) => form.render(result, warnings),
            Self::Cargo(form) => form.render(result, warnings),
            Self::Kubernetes(form) => form.render(result, warnings),
            Self::Terraform(form) => form.render(result, warnings),
            Self::Bazel => bazel::render(result, warnings),
            Self::Goauth => goauth::render(result, warnings),
            Self::Keyring(form) => form.render(result, warnings),
        }
    }
}

/// A reply, ready to be written. No `Debug`: it may hold a token.
pub struct Rendered {
    /// The whole of standard output.
    pub stdout: Zeroizing<Vec<u8>>,
    /// Lines for people.
    pub stderr: String,
    /// The exit status.
    pub exit: u8,
    /// A program that takes this one's place once the rest is written.
    pub then: Option<HandOver>,
}

impl Rendered {
    /// An answer on standard output.
    fn said(stdout: Zeroizing<Vec<u8>>, warnings: &[Warning]) -> Self {
        Self { stdout, stderr: warned(warnings), exit: 0, then: None }
    }

    /// One JSON object and a newline.
    fn json(body: &impl Serialize, warnings: &[Warning]) -> Self {
        let mut stdout = Zeroizing::new(Vec::with_capacity(8192));
        match serde_json::to_writer(&mut *stdout, body) {
            Ok(()) => {
                stdout.push(b'\n');
                Self::said(stdout, warnings)
            }
            // Every type here serialises; should one not, an error without a reply is the honest answer.
            Err(_) => Self::failed(&Failure::internal(), warnings),
        }
    }

    /// Nothing at all, and no complaint: what is asked for is not ours.
    fn nothing(warnings: &[Warning]) -> Self {
        Self::said(Zeroizing::default(), warnings)
    }

    /// Nothing at all after something was ended. That a keyring which nobody uses could not be looked into is no news each
    /// time a tool logs out.
    fn ended(warnings: &[Warning]) -> Self {
        let mut warnings = warnings.to_vec();
        warnings.retain(|warning| warning.code != WarningCode::BackendUnreachable);
        Self::nothing(&warnings)
    }

    /// Nothing on standard output, a line for people, and the exit status of the native protocol.
    fn failed(failure: &Failure, warnings: &[Warning]) -> Self {
        let stderr = warned(warnings) + &native::for_people(failure);
        Self { stdout: Zeroizing::default(), stderr, exit: native::exit(failure.code), then: None }
    }
}

/// One JSON object, which a tool sends whole.
fn object(input: &[u8]) -> Result<Fields, fields::Error> {
    match input.trim_ascii() {
        [] => Err(fields::Error::new("", Problem::Invalid("stdin was empty; one JSON object is expected"))),
        input => fields::json(input).and_then(Fields::of),
    }
}

/// Warnings as lines for people.
#[must_use]
pub fn warned(warnings: &[Warning]) -> String {
    // A token in a file was told of already, before it lay there.
    let untold = warnings.iter().filter(|warning| warning.code != WarningCode::StoredPlaintext);
    untold.flat_map(|warning| ["claviger: warning: ", &warning.message, "\n"]).collect()
}

/// A program to be run with a token in its environment. No `Debug`: see there.
pub struct HandOver {
    /// The variable the token goes into.
    pub variable: String,
    /// The token.
    pub token: AccessToken,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}
