//! A Bazel credential helper (EngFlow's credential-helper specification): one JSON object in, one out, with whole header
//! values; `{}` sends none.

use std::collections::BTreeMap;

use serde::Serialize;

use super::miss::{To, is_a_miss};
use super::{Parsed, Rendered, Whose, object, place};
use crate::fields;
use crate::limits::REQUEST_BYTES;
use crate::message::{Caller, Code, Failure, Get, Outcome, Request, Warning};
use crate::text::Escaped;
use crate::time::Timestamp;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Call {
    /// `get`.
    pub command: String,
    /// Whose session.
    pub whose: Whose,
}

impl Call {
    pub(super) fn parse(&self, input: &[u8]) -> Parsed {
        Parsed::Ask(self.request(input), super::Form::Bazel)
    }

    fn request(&self, input: &[u8]) -> Result<Request, Failure> {
        if self.command != "get" {
            let message = format!("there is no command `{}`", Escaped(&self.command));
            return Err(Failure::new(Code::BadRequest, message, "it takes get"));
        }
        let bad = |error: fields::Error| {
            Failure::new(Code::BadRequest, format!("bad request: {error}"), "nothing was looked up")
        };
        let mut fields = object(input).map_err(bad)?;
        let uri = fields.required_text("uri", REQUEST_BYTES).map_err(bad)?;
        // gRPC over TLS is reached at the same host by the same token.
        let url = uri.strip_prefix("grpcs://").map_or_else(|| uri.clone(), |rest| format!("https://{rest}"));
        let service = place::of_url(&url).map_err(|fault| fault.about("the URI"))?;
        let Whose { account, profile } = self.whose.clone();
        Ok(Request::Get(Get {
            service,
            account,
            profile,
            min_validity: None,
            force_refresh: false,
            // It is killed long before anybody has signed in.
            caller: Caller { unattended: true, ..Caller::default() },
        }))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, [&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

pub(super) fn render(result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
    match result {
        Ok(Outcome::Token(token)) => {
            let authorization = token.authorization();
            let headers = BTreeMap::from([("Authorization", [authorization.as_str()])]);
            Rendered::json(&Body { headers, expires: token.keep_until }, warnings)
        }
        Ok(_) => Rendered::failed(&Failure::internal(), warnings),
        Err(failure) if is_a_miss(failure.code, To::Bazel) => {
            Rendered::json(&Body { headers: BTreeMap::new(), expires: None }, warnings)
        }
        Err(failure) => Rendered::failed(failure, warnings),
    }
}
