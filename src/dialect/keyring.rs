//! A stand-in for the command of Python's keyring, as pip and uv call it: arguments in, a password or a pair out, and exit 1
//! with no word where there is none.

use serde::Serialize;
use zeroize::Zeroizing;

use super::miss::{To, is_a_miss};
use super::{Parsed, Reading, Rendered, Whose, place};
use crate::message::{
    Caller, Code, Expiry, Failure, Get, Keep, Outcome, Request, Scheme, Token, Tool, Warning, Withdraw,
};
use crate::secret::AccessToken;
use crate::text::Escaped;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Call {
    /// `get`, `set`, `del`.
    pub operation: String,
    /// The URL of an index, or its host.
    pub service: String,
    /// A user name.
    pub username: Option<String>,
    /// How the answer is to look.
    pub form: Form,
    /// Whose session.
    pub whose: Whose,
}

/// What an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The password alone.
    Password,
    /// The user name and the password, a line each.
    Pair,
    /// The two as JSON.
    Json,
}

impl Call {
    pub(super) fn reading(&self) -> Reading {
        if self.operation == "set" { Reading::Line } else { Reading::Nothing }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn parse(&self, input: &[u8]) -> Parsed {
        Parsed::Ask(self.request(input), super::Form::Keyring(self.form))
    }

    fn request(&self, input: &[u8]) -> Result<Request, Failure> {
        let service = place::of_either(&self.service).map_err(|fault| fault.about("the service"))?;
        let username = self.username.clone();
        let Whose { account, profile } = self.whose.clone();
        match self.operation.as_str() {
            "get" if username.is_none() && self.form == Form::Password => Err(Failure::new(
                Code::BadRequest,
                "a password is asked for without a user name",
                "name the user, or ask for both with --mode creds",
            )),
            "get" => Ok(Request::Get(Get {
                service,
                account,
                profile,
                min_validity: None,
                force_refresh: false,
                caller: Caller { tool: Tool::Keyring, username, ..Caller::default() },
            })),
            "set" => Ok(Request::Keep(Box::new(Keep {
                service,
                account,
                username: Some(username.ok_or_else(no_username)?),
                profile,
                secret: password(input)?,
                scheme: Scheme::Basic,
                expiry: Expiry::Unknown,
                tool: Tool::Keyring,
            }))),
            "del" => {
                let username = Some(username.ok_or_else(no_username)?);
                let (tool, only_its_own) = (Tool::Keyring, false);
                Ok(Request::Withdraw(Withdraw { service, account, username, profile, tool, only_its_own }))
            }
            unknown => Err(Failure::new(
                Code::BadRequest,
                format!("there is no operation `{}`", Escaped(unknown)),
                "it takes get, set and del; the rest is for the keyring command of Python",
            )),
        }
    }
}

fn no_username() -> Failure {
    Failure::new(Code::BadRequest, "no user name is given", "it comes behind the service")
}

fn password(line: &[u8]) -> Result<AccessToken, Failure> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8");
    text.and_then(AccessToken::new)
        .map_err(|why| Failure::new(Code::BadRequest, format!("the password {why}"), "nothing was kept"))
}

#[derive(Serialize)]
struct Body<'a> {
    username: &'a str,
    password: &'a str,
}

impl Form {
    pub(super) fn render(self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        match result {
            Ok(Outcome::Token(token)) => self.token(token, warnings),
            Ok(Outcome::Kept { .. }) => Rendered::nothing(warnings),
            Ok(Outcome::Erased(erased)) => {
                Rendered { exit: u8::from(!erased.erased), ..Rendered::ended(warnings) }
            }
            Ok(_) => Rendered::failed(&Failure::internal(), warnings),
            Err(failure) if is_a_miss(failure.code, To::Keyring) => {
                Rendered { exit: 1, ..Rendered::nothing(warnings) }
            }
            // pip takes 2 for an outdated keyring.
            Err(failure) => Rendered { exit: 1, ..Rendered::failed(failure, warnings) },
        }
    }

    fn token(self, token: &Token, warnings: &[Warning]) -> Rendered {
        let (username, password) = (token.username.as_deref().unwrap_or_default(), token.access.expose());
        let text = match self {
            Self::Json => return Rendered::json(&Body { username, password }, warnings),
            Self::Password => [password, "\n"].concat(),
            Self::Pair => [username, "\n", password, "\n"].concat(),
        };
        Rendered::said(Zeroizing::new(text.into_bytes()), warnings)
    }
}
