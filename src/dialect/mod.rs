//! Wire formats: bytes to a request, an outcome to bytes. Pure: nothing here can see the store or the network.
//!
//! The exit status and the stream of an error belong to the dialect: docker wants errors on stdout, git takes
//! silence for an answer, cargo wants exit 0.

#![deny(clippy::wildcard_enum_match_arm)] // a new failure must not compile until each dialect has answered it

pub mod native;

use std::ffi::OsString;

use zeroize::Zeroizing;

use crate::message::{Failure, Outcome, Request, Warning};
use crate::secret::AccessToken;

/// What a caller asks for by name, before its bytes are read.
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

/// The dialects this build speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// One JSON object in, one out.
    Native,
}

impl Dialect {
    /// Every dialect, with its word.
    pub const ALL: [(Dialect, &'static str); 1] = [(Dialect::Native, "native")];

    /// Reads a request.
    pub fn parse(self, verb: Verb, input: &[u8]) -> Result<Request, Failure> {
        match self {
            Self::Native => native::parse(verb, input),
        }
    }

    /// Writes a reply: both streams and the exit status.
    #[must_use]
    pub fn render(self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        match self {
            Self::Native => native::render(result, warnings),
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

/// A program to be run with a token in its environment. No `Debug`: see there.
pub struct HandOver {
    /// The variable the token goes into.
    pub variable: String,
    /// The token.
    pub token: AccessToken,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}
