//! A cargo credential provider (RFC 2730, RFC 3139): JSON objects, one to a line, each answered by one; exit 0 whatever
//! becomes of it.

use serde::Serialize;
use zeroize::Zeroizing;

use super::miss::{To, is_a_miss};
use super::{Parsed, Rendered, Whose, place};
use crate::fields::{self, Fields, Problem};
use crate::limits::{SERVICES, TEXT_BYTES, TOKEN_BYTES, URL_BYTES};
use crate::message::{
    Caller, Code, Expiry, Failure, Get, Keep, Outcome, Request, Scheme, Token, Tool, Warning, Withdraw,
};
use crate::secret::AccessToken;
use crate::session::{Profile, Service};
use crate::text::Escaped;
use crate::time::Timestamp;

/// What a provider says before it is asked anything: the versions that it speaks.
pub const HELLO: &[u8] = b"{\"v\":[1]}\n";

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Whose session, where the configured arguments do not say so.
    pub whose: Whose,
}

/// What an answer depends on.
#[derive(Clone, Debug)]
pub enum Form {
    /// A token.
    Get,
    /// Whether somebody is signed in.
    Login {
        /// Where the registry says that tokens are to be had.
        at: Option<String>,
    },
    /// A token was kept.
    Kept,
    /// Nobody is signed in any more.
    Logout,
    /// None of these.
    Other,
}

impl Call {
    pub(super) fn parse(&self, input: &[u8]) -> Parsed {
        let fields = fields::json(input.trim_ascii()).and_then(Fields::of).map_err(|error| bad(&error));
        match fields.and_then(|mut fields| self.request(&mut fields)) {
            Ok(Some((request, form))) => Parsed::Ask(Ok(request), super::Form::Cargo(form)),
            Ok(None) => Parsed::Said(answer(&Answer::<()>::Err(Refusal::OperationNotSupported), &[])),
            Err(failure) => Parsed::Ask(Err(failure), super::Form::Cargo(Form::Other)),
        }
    }

    /// `None`: it is asked for something that we do not know.
    fn request(&self, fields: &mut Fields) -> Result<Option<(Request, Form)>, Failure> {
        match fields.count("v", i64::MAX).map_err(|error| bad(&error))? {
            Some(1) => {}
            Some(_) => {
                return Err(bad(&fields.error("v", Problem::Invalid("only version 1 is spoken here"))));
            }
            None => return Err(bad(&fields.error("v", Problem::Missing))),
        }
        let kind = fields.required_text("kind", TEXT_BYTES).map_err(|error| bad(&error))?;
        let arguments =
            fields.list("args", SERVICES, TEXT_BYTES).map_err(|error| bad(&error))?.unwrap_or_default();
        let Whose { account, profile } = whose(&arguments, self.whose.clone())?;
        let registry = fields.object("registry").map_err(|error| bad(&error))?;
        let mut registry = registry.ok_or_else(|| bad(&fields.error("registry", Problem::Missing)))?;
        let index = registry.required_text("index-url", URL_BYTES).map_err(|error| bad(&error))?;
        let service = service(&index)?;
        let get = |form| {
            let caller = Caller { tool: Tool::Cargo, exactly: true, ..Caller::default() };
            let (service, account, profile) = (service.clone(), account.clone(), profile.clone());
            let get = Get { service, account, profile, min_validity: None, force_refresh: false, caller };
            Some((Request::Get(get), form))
        };
        Ok(match kind.as_str() {
            "get" => get(Form::Get),
            "login" => {
                match fields.text("token", TOKEN_BYTES).map_err(|error| bad(&error))?.map(Zeroizing::new) {
                    None => get(Form::Login {
                        at: fields.text("login-url", URL_BYTES).map_err(|error| bad(&error))?,
                    }),
                    Some(token) => {
                        let (scheme, token) = scheme(&token);
                        let secret = AccessToken::new(token)
                            .map_err(|why| bad(&fields.error("token", Problem::Invalid(why))))?;
                        let keep = Keep {
                            service,
                            account,
                            username: None,
                            profile,
                            secret,
                            scheme,
                            expiry: Expiry::Unknown,
                            tool: Tool::Cargo,
                        };
                        Some((Request::Keep(Box::new(keep)), Form::Kept))
                    }
                }
            }
            "logout" => {
                let (tool, only_its_own) = (Tool::Cargo, false);
                let withdraw = Withdraw { service, account, username: None, profile, tool, only_its_own };
                Some((Request::Withdraw(withdraw), Form::Logout))
            }
            _ => None,
        })
    }
}

/// The service that an index stands for. Where its tokens go, an index says itself: in the `config.json` of a sparse one or
/// of one in git, and that may be any host. So nobody's session for the place where it lies will do, only one for this very
/// index.
fn service(index: &str) -> Result<Service, Failure> {
    let url = index.strip_prefix("sparse+").unwrap_or(index);
    if url.contains(['?', '#']) {
        // Nothing of it is quoted: it may hold a password.
        let why = "the index has a query or a fragment";
        return Err(Failure::new(Code::InsecureUrl, why, "nothing was looked up"));
    }
    let service = place::of_url(url).map_err(|fault| fault.about("the index"));
    // cargo asks the next provider about a place that none of ours can be.
    service.map_err(|failure| Failure { code: Code::InsecureUrl, ..failure })
}

/// cargo puts a token into the header as it is; with a scheme before it, it is kept as one of that scheme.
fn scheme(token: &str) -> (Scheme, &str) {
    match token.split_once(' ') {
        Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => (Scheme::Bearer, rest),
        _ => (Scheme::Bare, token),
    }
}

/// What the arguments say that somebody configured. cargo adds those behind `--` of its own command line.
fn whose(arguments: &[String], otherwise: Whose) -> Result<Whose, Failure> {
    let mut whose = otherwise;
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let value = match name {
            "--account" | "--profile" => value.or_else(|| words.next()),
            "--" => continue,
            _ => None,
        };
        // What is no option may be a token that was put in the wrong place.
        let option = ["--account", "--profile"].into_iter().find(|option| *option == name);
        let misfit = |why: &str| {
            Failure::new(
                Code::BadRequest,
                format!(
                    "an argument configured for cargo{} {why}",
                    option.map(|word| format!(", {word},")).unwrap_or_default()
                ),
                "it takes --account ACCOUNT and --profile PROFILE",
            )
        };
        match (name, value) {
            ("--account", Some(account)) => whose.account = Some(account.to_owned()),
            ("--profile", Some(profile)) => whose.profile = Some(Profile::parse(profile).map_err(misfit)?),
            _ => return Err(misfit("is not understood")),
        }
    }
    Ok(whose)
}

fn bad(error: &fields::Error) -> Failure {
    Failure::new(Code::BadRequest, format!("bad request from cargo: {error}"), "nothing was looked up")
}

#[derive(Serialize)]
enum Answer<T> {
    Ok(T),
    Err(Refusal),
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Refusal {
    UrlNotSupported,
    NotFound,
    OperationNotSupported,
    #[serde(rename_all = "kebab-case")]
    Other {
        message: String,
        caused_by: Vec<String>,
    },
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Success<'a> {
    Get {
        token: &'a str,
        cache: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        expiration: Option<i64>,
        operation_independent: bool,
    },
    Login,
    Logout,
}

impl Form {
    pub(super) fn render(&self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        let done = |success| answer(&Answer::Ok(success), warnings);
        match (self, result) {
            (Self::Get, Ok(Outcome::Token(token))) => given(token, warnings),
            (Self::Login { .. }, Ok(Outcome::Token(_))) | (Self::Kept, Ok(Outcome::Kept { .. })) => {
                done(Success::Login)
            }
            (Self::Logout, Ok(Outcome::Erased(erased))) if erased.erased => done(Success::Logout),
            (Self::Logout, Ok(Outcome::Erased(_))) => answer(&Answer::<()>::Err(Refusal::NotFound), warnings),
            (Self::Login { at }, Err(failure)) if matches!(refusal(failure), Refusal::NotFound) => {
                let or = at
                    .as_ref()
                    .map(|at| format!("or get a token at {} and pass it to `cargo login`", Escaped(at)));
                let caused_by = [Some(failure.hint.clone()), or].into_iter().flatten().collect();
                let other = Refusal::Other { message: failure.message.clone(), caused_by };
                answer(&Answer::<()>::Err(other), warnings)
            }
            (_, Err(failure)) => answer(&Answer::<()>::Err(refusal(failure)), warnings),
            (_, Ok(_)) => answer(&Answer::<()>::Err(refusal(&Failure::internal())), warnings),
        }
    }
}

fn given(token: &Token, warnings: &[Warning]) -> Rendered {
    let authorization = token.authorization();
    let expiration = token.keep_until.map(Timestamp::unix);
    let success = Success::Get {
        token: &authorization,
        cache: if expiration.is_some() { "expires" } else { "session" },
        expiration,
        operation_independent: true,
    };
    answer(&Answer::Ok(success), warnings)
}

fn answer<T: Serialize>(answer: &Answer<T>, warnings: &[Warning]) -> Rendered {
    // What went wrong is in the answer, and the exit status says that there is one.
    Rendered { exit: 0, ..Rendered::json(answer, warnings) }
}

fn refusal(failure: &Failure) -> Refusal {
    if is_a_miss(failure.code, To::Cargo) {
        return Refusal::NotFound;
    }
    if failure.code == Code::InsecureUrl {
        return Refusal::UrlNotSupported;
    }
    let caused_by = Some(failure.hint.clone()).filter(|hint| !hint.is_empty()).into_iter().collect();
    Refusal::Other { message: failure.message.clone(), caused_by }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_the_place_that_it_names() {
        let read = |index: &str| service(index).map(|service| service.to_string()).unwrap();
        assert_eq!(read("sparse+https://crates.example/index/"), "https://crates.example/index");
        assert_eq!(read("https://github.com/acme/index"), "https://github.com/acme/index");
        for index in [
            "sparse+http://crates.example/",
            "ssh://git@crates.example/index",
            "sparse+https://u@crates.example/",
            "x",
            "sparse+https://crates.example/?a",
        ] {
            assert!(service(index).is_err(), "{index}");
        }
    }

    #[test]
    fn an_index_that_is_refused_is_not_quoted() {
        for index in [
            "sparse+https://eve:hunter2@crates.example/?a",
            "https://eve:hunter2@crates.example/#a",
            "hunter2",
        ] {
            let failure = service(index).unwrap_err();
            assert!(!failure.message.contains("hunter2") && !failure.hint.contains("hunter2"), "{failure:?}");
        }
    }

    #[test]
    fn the_arguments_are_ours_or_an_error() {
        let arguments = |words: &[&str]| {
            whose(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), Whose::default())
        };
        let both = arguments(&["--account", "alice", "--profile=work"]).unwrap();
        assert_eq!(
            (both.account.as_deref(), both.profile.as_ref().map(Profile::as_str)),
            (Some("alice"), Some("work"))
        );
        for words in [&["--acount", "a"][..], &["--account"], &["--profile", "UP"], &["x"]] {
            assert!(arguments(words).is_err(), "{words:?}");
        }
    }
}
