//! A Terraform credentials helper ("Credentials Helpers", Terraform's internals): the host is an argument, one JSON object
//! goes out; what has no credentials is `{}`, and an error needs a line on stderr.

use serde::Serialize;

use super::kubernetes::no_password;
use super::miss::{To, is_a_miss};
use super::{Parsed, Reading, Rendered, Whose, object, place};
use crate::fields::{self, Problem};
use crate::limits::TOKEN_BYTES;
use crate::message::{
    Caller, Code, Expiry, Failure, Get, Keep, Outcome, Request, Scheme, Tool, Warning, Withdraw,
};
use crate::secret::AccessToken;
use crate::text::Escaped;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Call {
    /// `get`, `store`, `forget`.
    pub verb: String,
    /// A host, perhaps with a port.
    pub host: String,
    /// Whose session.
    pub whose: Whose,
}

/// What an answer depends on.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A token.
    Get,
    /// Nothing but success.
    Done,
}

impl Call {
    pub(super) fn reading(&self) -> Reading {
        if self.verb == "store" { Reading::Whole } else { Reading::Nothing }
    }

    pub(super) fn form(&self) -> Form {
        if self.verb == "get" { Form::Get } else { Form::Done }
    }

    pub(super) fn parse(&self, input: &[u8]) -> Parsed {
        Parsed::Ask(self.request(input), super::Form::Terraform(self.form()))
    }

    fn request(&self, input: &[u8]) -> Result<Request, Failure> {
        // Terraform itself knows no other scheme, for whatever host.
        let service = if self.host.contains(['/', '?', '#']) {
            Err(place::Fault::Invalid("is no host"))
        } else {
            place::of_url(&format!("https://{}", self.host))
        };
        let service = service.map_err(|fault| fault.about("the host"))?;
        let Whose { account, profile } = self.whose.clone();
        match self.verb.as_str() {
            "get" => Ok(Request::Get(Get {
                service,
                account,
                profile,
                min_validity: None,
                force_refresh: false,
                caller: Caller::default(),
            })),
            "store" => Ok(Request::Keep(Box::new(Keep {
                service,
                account,
                username: None,
                profile,
                secret: token(input).map_err(|error| {
                    Failure::new(Code::BadRequest, format!("bad request: {error}"), "nothing was kept")
                })?,
                scheme: Scheme::Bearer,
                expiry: Expiry::Unknown,
                tool: Tool::Terraform,
            }))),
            "forget" => {
                let (tool, only_its_own) = (Tool::Terraform, false);
                let withdraw = Withdraw { service, account, username: None, profile, tool, only_its_own };
                Ok(Request::Withdraw(withdraw))
            }
            unknown => Err(Failure::new(
                Code::BadRequest,
                format!("there is no verb `{}`", Escaped(unknown)),
                "it takes get, store and forget, each with a host",
            )),
        }
    }
}

/// Whatever comes beside the token could not be given back, and is refused.
fn token(input: &[u8]) -> Result<AccessToken, fields::Error> {
    let mut fields = object(input)?;
    fields.only(&["token"])?;
    let token = fields.parsed("token", TOKEN_BYTES, AccessToken::new)?;
    token.ok_or_else(|| fields.error("token", Problem::Missing))
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl Form {
    pub(super) fn render(self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        match (self, result) {
            (Self::Get, Ok(Outcome::Token(token))) if token.is_password() => {
                Rendered::failed(&no_password("Terraform"), warnings)
            }
            (Self::Get, Ok(Outcome::Token(token))) => {
                Rendered::json(&Body { token: Some(token.access.expose()) }, warnings)
            }
            (Self::Done, Ok(Outcome::Kept { .. })) => Rendered::nothing(warnings),
            (Self::Done, Ok(Outcome::Erased(_))) => Rendered::ended(warnings),
            (_, Ok(_)) => Rendered::failed(&Failure::internal(), warnings),
            // Terraform asks for every host that it talks to.
            (Self::Get, Err(failure)) if is_a_miss(failure.code, To::Terraform) => {
                Rendered::json(&Body { token: None }, warnings)
            }
            (_, Err(failure)) => Rendered::failed(failure, warnings),
        }
    }
}
