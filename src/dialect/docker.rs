//! A docker credential helper (docker-credential-helpers): a server's address or one JSON object in, one out, and errors on
//! standard output with exit 1.

use std::collections::BTreeMap;

use serde::Serialize;
use zeroize::Zeroizing;

use super::miss::{To, is_a_miss};
use super::{Parsed, Reading, Rendered, Whose, native, object, place, warned};
use crate::fields;
use crate::limits::{TEXT_BYTES, TOKEN_BYTES, URL_BYTES};
use crate::message::{
    Caller, Code, Expiry, Failure, Get, Keep, Outcome, Registries, Registry, Request, Scheme, Tool, Warning,
    Withdraw,
};
use crate::secret::AccessToken;
use crate::session::Service;
use crate::text::Escaped;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Call {
    /// `get`, `store`, `erase`, `list`, `version`.
    pub action: String,
    /// Whose session.
    pub whose: Whose,
}

/// What an answer depends on.
#[derive(Clone, Debug)]
pub enum Form {
    /// Credentials for this address, as it was given.
    Get {
        /// The address.
        address: String,
    },
    /// Every address there is.
    List,
    /// Nothing but success.
    Done,
}

/// The texts by which docker's clients know a case; they are compared to the byte.
const NOT_FOUND: &str = "credentials not found in native keychain";
const NO_ADDRESS: &str = "no credentials server URL";
const NO_USERNAME: &str = "no credentials username";

/// Docker Hub, as docker's own files call it, and as a service of ours.
const HUB: &str = "https://index.docker.io/v1/";
const HUB_SERVICE: &str = "https://index.docker.io";
const HUB_HOSTS: [&str; 3] = ["index.docker.io", "docker.io", "registry-1.docker.io"];

impl Call {
    pub(super) fn reading(&self) -> Reading {
        match self.action.as_str() {
            "get" | "store" | "erase" => Reading::Whole,
            // What comes with `list` means nothing.
            _ => Reading::Nothing,
        }
    }

    pub(super) fn form(&self) -> Form {
        match self.action.as_str() {
            "list" => Form::List,
            "get" => Form::Get { address: String::new() },
            _ => Form::Done,
        }
    }

    pub(super) fn parse(&self, input: &[u8]) -> Parsed {
        let asked = match self.action.as_str() {
            "get" => self.get(input),
            "store" => self.store(input).map(|request| (request, Form::Done)),
            "erase" => self.erase(input).map(|request| (request, Form::Done)),
            "list" => {
                let Whose { account, profile } = self.whose.clone();
                Ok((Request::Registries(Registries { account, profile }), Form::List))
            }
            "version" => {
                let version =
                    concat!("docker-credential-claviger (claviger) ", env!("CARGO_PKG_VERSION"), "\n");
                return Parsed::Said(Rendered::said(Zeroizing::new(version.into()), &[]));
            }
            unknown => {
                let text = format!("docker-credential-claviger: unknown action: {}", Escaped(unknown));
                return Parsed::Said(complaint(&text, &[]));
            }
        };
        match asked {
            Ok((request, form)) => Parsed::Ask(Ok(request), super::Form::Docker(form)),
            Err(Fault::Said(text)) => Parsed::Said(complaint(text, &[])),
            Err(Fault::Bad(failure)) => Parsed::Ask(Err(failure), super::Form::Docker(self.form())),
        }
    }

    fn get(&self, input: &[u8]) -> Result<(Request, Form), Fault> {
        let address = address(input)?;
        let (service, exactly) = registry(&address)?;
        let form = Form::Get { address };
        let Whose { account, profile } = self.whose.clone();
        let request = Request::Get(Get {
            service,
            account,
            profile,
            min_validity: None,
            force_refresh: false,
            caller: Caller { tool: Tool::Docker, exactly, ..Caller::default() },
        });
        Ok((request, form))
    }

    fn store(&self, input: &[u8]) -> Result<Request, Fault> {
        let bad = |error: fields::Error| {
            Fault::Bad(Failure::new(Code::BadRequest, format!("bad request: {error}"), "nothing was kept"))
        };
        let mut fields = object(input).map_err(bad)?;
        let address = fields.text("ServerURL", URL_BYTES).map_err(bad)?.unwrap_or_default();
        let username = fields.text("Username", TEXT_BYTES).map_err(bad)?.unwrap_or_default();
        if address.trim().is_empty() {
            return Err(Fault::Said(NO_ADDRESS));
        }
        if username.is_empty() {
            return Err(Fault::Said(NO_USERNAME));
        }
        let secret = fields.parsed("Secret", TOKEN_BYTES, AccessToken::new).map_err(bad)?;
        let secret = secret.ok_or_else(|| bad(fields.error("Secret", fields::Problem::Missing)))?;
        let Whose { account, profile } = self.whose.clone();
        Ok(Request::Keep(Box::new(Keep {
            service: registry(address.trim())?.0,
            account,
            username: Some(username),
            profile,
            secret,
            scheme: Scheme::Basic,
            expiry: Expiry::Unknown,
            tool: Tool::Docker,
        })))
    }

    fn erase(&self, input: &[u8]) -> Result<Request, Fault> {
        let Whose { account, profile } = self.whose.clone();
        // One logout erases the registry under several addresses: those with a scheme are of docker's own making, but for the
        // one name of its Hub, and must not take more than the first one did.
        let address = address(input)?;
        let only_its_own = address.contains("://") && address != HUB;
        Ok(Request::Withdraw(Withdraw {
            service: registry(&address)?.0,
            account,
            username: None,
            profile,
            tool: Tool::Docker,
            only_its_own,
        }))
    }
}

enum Fault {
    Said(&'static str),
    Bad(Failure),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Bad(failure)
    }
}

fn address(input: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(input).map_err(|_| {
        Fault::Bad(Failure::new(
            Code::BadRequest,
            "bad request: the address is not UTF-8",
            "nothing was looked up",
        ))
    })?;
    match text.trim() {
        "" => Err(Fault::Said(NO_ADDRESS)),
        text => Ok(text.to_owned()),
    }
}

/// The registry that an address means. docker and its relatives write one and the same with a scheme and without, with the
/// API's version and without. What lies under the version is no part of the registry but another secret of docker's own:
/// only it will do.
fn registry(address: &str) -> Result<(Service, bool), Failure> {
    let bare = ["https://", "http://"].into_iter().find_map(|scheme| {
        let start = address.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| address.get(scheme.len()..)).flatten()
    });
    let bare = bare.unwrap_or(address).trim_end_matches('/');
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = if is_hub(host) { "index.docker.io" } else { host };
    let (text, exactly) = match path {
        "" | "v1" | "v2" => (host.to_owned(), false),
        path => (format!("{host}/{path}"), path.starts_with("v1/") || path.starts_with("v2/")),
    };
    match place::of_host(&text) {
        Ok(service) => Ok((service, exactly)),
        Err(fault) => Err(fault.about("the registry")),
    }
}

fn is_hub(host: &str) -> bool {
    HUB_HOSTS.iter().any(|hub| host.eq_ignore_ascii_case(hub))
}

/// A registry's host as docker's own configuration calls it: Docker Hub has one name there, and several elsewhere.
#[must_use]
pub fn configured_name(host: &str) -> &str {
    if is_hub(host) { HUB } else { host }
}

/// A registry as docker's files call it.
fn key(service: &Service) -> String {
    match service.as_str() {
        HUB_SERVICE => HUB.to_owned(),
        url if url.starts_with(HUB) => url.to_owned(),
        url => url.split_once("://").map_or(url, |(_, rest)| rest).to_owned(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

impl Form {
    pub(super) fn render(&self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        match (self, result) {
            (Self::Get { address }, Ok(Outcome::Token(token))) => {
                let username = token.username.as_deref().unwrap_or_default();
                Rendered::json(
                    &Credentials { server_url: address, username, secret: token.access.expose() },
                    warnings,
                )
            }
            (Self::List, Ok(Outcome::Registries(registries))) => {
                Rendered::json(&listed(registries), warnings)
            }
            // A list that fails would fail every build, of whatever registry.
            (Self::List, Err(failure)) => {
                let rendered = Rendered::json(&listed(&[]), warnings);
                Rendered { stderr: rendered.stderr.clone() + &native::for_people(failure), ..rendered }
            }
            (Self::Done, Ok(Outcome::Kept { .. })) => Rendered::nothing(warnings),
            (Self::Done, Ok(Outcome::Erased(_))) => Rendered::ended(warnings),
            (_, Err(failure)) if is_a_miss(failure.code, To::Docker) => complaint(NOT_FOUND, warnings),
            (_, Err(failure)) => complaint(native::for_people(failure).trim_end(), warnings),
            (_, Ok(_)) => complaint(native::for_people(&Failure::internal()).trim_end(), warnings),
        }
    }
}

fn listed(registries: &[Registry]) -> BTreeMap<String, &str> {
    registries.iter().map(|registry| (key(&registry.service), registry.username.as_str())).collect()
}

fn complaint(text: &str, warnings: &[Warning]) -> Rendered {
    let stdout = Zeroizing::new([text, "\n"].concat().into_bytes());
    Rendered { stdout, stderr: warned(warnings), exit: 1, then: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> String {
        registry(address)
            .map_or_else(|failure| failure.message, |(service, exactly)| format!("{service} {exactly}"))
    }

    #[test]
    fn one_registry_has_many_addresses() {
        for address in [
            "registry.example",
            "https://registry.example",
            "http://registry.example/",
            "https://Registry.Example/v2/",
            "registry.example:443",
        ] {
            assert_eq!(read(address), "https://registry.example false", "{address}");
        }
        for address in
            ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io/v2"]
        {
            assert_eq!(read(address), "https://index.docker.io false", "{address}");
        }
        assert_eq!(read("127.0.0.1:5000"), "http://127.0.0.1:5000 false");
        assert_eq!(read("localhost:5000"), "https://localhost:5000 false");
        assert_eq!(read("registry.example/team/app"), "https://registry.example/team/app false");
        assert_eq!(
            read("https://index.docker.io/v1/refresh-token"),
            "https://index.docker.io/v1/refresh-token true"
        );
    }

    #[test]
    fn what_docker_calls_a_registry_is_read_back_as_the_same() {
        for address in [
            "registry.example:5000",
            "https://index.docker.io/v1/",
            "https://index.docker.io/v1/access-token",
            "127.0.0.1:5000",
            "registry.example/team",
        ] {
            let (service, _) = registry(address).unwrap();
            assert_eq!(registry(&key(&service)).unwrap().0, service, "{address}");
        }
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        for address in [
            "https://",
            "user@registry.example",
            "registry.example\\@evil.example",
            "regi stry",
            "https://https://x",
            "registry.example?x",
            "[::1",
            "a:b:c",
        ] {
            assert!(registry(address).is_err(), "{address}");
        }
    }
}
