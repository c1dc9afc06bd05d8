//! A git credential helper (gitcredentials(7), git-credential(1)): lines of `key=value` in and out, silence for "not mine".
//!
//! git takes whatever was printed, whatever the exit status: so everything is printed at once, after all went well.

mod attributes;

use std::borrow::Cow;

use zeroize::Zeroizing;

use self::attributes::Attributes;
use super::miss::{To, is_a_miss};
use super::{Parsed, Reading, Rendered, Whose, place};
use crate::message::{
    Caller, Code, Expiry, Failure, Get, Keep, Outcome, Reject, Request, Scheme, Token, Tool, Warning,
};
use crate::secret::AccessToken;
use crate::time::Timestamp;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Call {
    /// `get`, `store`, `erase`, `capability`, or what git may think of next.
    pub operation: String,
    /// Whose session.
    pub whose: Whose,
    /// Have git come back within the same command when a token is refused.
    pub retry: bool,
}

/// What an answer depends on.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// git understands a scheme and a credential (2.46).
    authtype: bool,
    /// Every challenge the server made is for a bearer token.
    only_bearer: bool,
    /// git is to come back with what it is told here.
    come_back: bool,
}

/// What this helper tells git of itself (git-credential(1), "CAPABILITY INPUT/OUTPUT FORMAT").
const CAPABILITIES: &[u8] = b"version 0\ncapability authtype\ncapability state\n";
/// What git hands back when a token it was given was refused, and it asks once more.
const STATE: &str = "claviger:retry";

impl Call {
    pub(super) fn reading(&self) -> Reading {
        match self.operation.as_str() {
            "get" | "store" | "erase" => Reading::Lines,
            _ => Reading::Nothing,
        }
    }

    pub(super) fn parse(&self, input: &[u8]) -> Parsed {
        match self.operation.as_str() {
            "capability" => {
                return Parsed::Said(Rendered::said(Zeroizing::new(CAPABILITIES.to_vec()), &[]));
            }
            "get" | "store" | "erase" => {}
            // git will learn more of them; a helper ignores what it does not know.
            _ => return Parsed::Said(Rendered::nothing(&[])),
        }
        let attributes = match Attributes::read(input) {
            Ok(attributes) => attributes,
            Err(why) => {
                let failure = Failure::new(Code::BadRequest, format!("bad request from git: {why}"), IGNORED);
                return Parsed::Ask(Err(failure), super::Form::Git(Form::default()));
            }
        };
        let returned = attributes.states.contains(&STATE);
        let form = Form {
            authtype: attributes.can("authtype"),
            only_bearer: attributes.only_bearer(),
            come_back: self.retry && attributes.can("state") && !returned,
        };
        match self.request(&attributes, returned) {
            Ok(Some(request)) => Parsed::Ask(Ok(request), super::Form::Git(form)),
            Ok(None) => Parsed::Said(Rendered::nothing(&[])),
            Err(failure) => Parsed::Ask(Err(failure), super::Form::Git(form)),
        }
    }

    /// `None`: there is nothing to be done.
    fn request(&self, attributes: &Attributes<'_>, returned: bool) -> Result<Option<Request>, Failure> {
        let (protocol, host) = (attributes.text("protocol"), attributes.text("host"));
        let (protocol, host) = (protocol?.unwrap_or_default(), host?.unwrap_or_default());
        let path = attributes.text("path")?;
        let service = place::of_parts(&protocol, &host, path.as_deref())
            .map_err(|fault| fault.about("the place git asks for"))?;
        let username = attributes.text("username")?.map(Cow::into_owned);
        let Whose { account, profile } = self.whose.clone();
        // An empty password is how a login without one looks, and nothing that could be kept or be ours.
        if self.operation != "get" && attributes.secret()? == Some("") {
            return Ok(None);
        }
        let secret = || match attributes.secret()? {
            None => Ok(None),
            Some(secret) => AccessToken::new(secret).map(Some).map_err(|why| {
                Failure::new(Code::BadRequest, format!("a password from git {why}"), "it is not kept")
            }),
        };
        Ok(match self.operation.as_str() {
            "get" => Some(Request::Get(Get {
                service,
                account,
                profile,
                min_validity: None,
                force_refresh: returned,
                caller: Caller { tool: Tool::Git, username, ..Caller::default() },
            })),
            "erase" => Some(Request::Reject(Reject {
                service,
                username: account.or(username),
                profile,
                secret: secret()?,
            })),
            // Whoever made it says that it is not to be kept; and a credential with a scheme was never typed.
            _ if attributes.is_ephemeral() || !attributes.has_password() => None,
            _ => secret()?.map(|secret| {
                let expiry =
                    attributes.expiry().map_or(Expiry::Unknown, |at| Expiry::At(Timestamp::from_unix(at)));
                let (scheme, tool) = (Scheme::Basic, Tool::Git);
                Request::Keep(Box::new(Keep {
                    service,
                    account,
                    username,
                    profile,
                    secret,
                    scheme,
                    expiry,
                    tool,
                }))
            }),
        })
    }
}

const IGNORED: &str = "nothing was looked up or changed";

impl Form {
    pub(super) fn render(&self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        match result {
            Ok(Outcome::Token(token)) => Rendered::said(self.token(token), warnings),
            Ok(Outcome::Kept { .. }) => Rendered::nothing(warnings),
            Ok(Outcome::Erased(_)) => Rendered::ended(warnings),
            Ok(_) => Rendered::failed(&Failure::internal(), warnings),
            Err(failure) if is_a_miss(failure.code, To::Git) => Rendered::nothing(warnings),
            Err(failure) => Rendered::failed(failure, warnings),
        }
    }

    fn token(&self, token: &Token) -> Zeroizing<Vec<u8>> {
        let access = token.access.expose();
        let mut text = Zeroizing::new(String::with_capacity(access.len() + 512));
        let mut line = |key: &str, value: &str| {
            for part in [key, "=", value, "\n"] {
                text.push_str(part);
            }
        };
        // git hands what worked to every helper there is: one that listens keeps no token of ours, to serve it when it is stale.
        let ephemeral = self.authtype && !token.is_password();
        if ephemeral {
            line("capability[]", "authtype");
        }
        if self.as_bearer(token) {
            line("authtype", &token.token_type);
            line("credential", access);
        } else {
            line("username", token.username.as_deref().unwrap_or_default());
            line("password", access);
        }
        if ephemeral {
            line("ephemeral", "1");
        }
        if let Some(until) = token.keep_until {
            line("password_expiry_utc", &until.unix().to_string());
        }
        if self.come_back && can_be_another(token) {
            line("capability[]", "state");
            line("state[]", STATE);
            line("continue", "1");
        }
        Zeroizing::new(text.as_bytes().to_vec())
    }

    /// Basic is what every server and every git understands; and up to 2.54 git loses a bearer token before a large push.
    fn as_bearer(&self, token: &Token) -> bool {
        self.authtype
            && !token.is_password()
            && match token.scheme {
                Some(Scheme::Bearer) => true,
                Some(Scheme::Basic | Scheme::Bare) => false,
                None => self.only_bearer,
            }
    }
}

/// Whether there may be another token than this one; if not, git is to say that it was refused, and then the user is asked.
fn can_be_another(token: &Token) -> bool {
    !token.is_password() && (token.has_refresh_token != Some(false) || token.expires_at.is_some())
}
