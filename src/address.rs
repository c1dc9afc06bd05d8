//! URLs: one strict reading for names, endpoints and requests, so that no two places disagree on a host.
//!
//! The `url` crate follows the WHATWG rules, which forgive a great deal: tabs and line breaks vanish, a
//! backslash is a slash, `https:example.com` has a host, `0x7f.1` is an address. Each of those is a way for
//! another parser to see another host, so each is refused here before the `url` crate sees it.

use std::fmt;

use url::{Host, Url};

use crate::limits::URL_BYTES;
use crate::text::steers;

/// Why a text is no URL of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is not an absolute `https` URL in the form asked for; the text says what is wrong.
    Invalid(&'static str),
    /// It is `http` for a host that is no loopback IP literal.
    Insecure,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Error {
    /// The complaint in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Invalid(why) => why,
            Self::Insecure => {
                "must be https; http is only for a loopback address such as http://127.0.0.1:8080"
            }
        }
    }
}

/// Reads an absolute `https` URL, or `http` for a loopback IP literal (`127.0.0.0/8`, `[::1]`), without
/// userinfo or fragment. The host comes out lower-case ASCII without a trailing dot, the default port is gone.
pub fn parse(text: &str) -> Result<Url, Error> {
    if text.len() > URL_BYTES {
        return Err(Error::Invalid("is too long for a URL"));
    }
    let forbidden = |c: char| {
        c.is_whitespace() || steers(c) || matches!(c, '\\' | '"' | '<' | '>' | '`' | '^' | '{' | '}' | '|')
    };
    if text.chars().any(forbidden) {
        return Err(Error::Invalid("holds a character that no URL may hold"));
    }
    let (scheme, rest) =
        text.split_once("://").ok_or(Error::Invalid("must be an absolute URL such as https://host"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Error::Invalid("must not carry a user name or password"));
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(Error::Invalid("has no host"));
    }
    if authority.contains('%') {
        return Err(Error::Invalid("has percent-encoding in its host"));
    }
    let mut url = Url::parse(text).map_err(|_| Error::Invalid("is not a valid URL"))?;
    if url.fragment().is_some() {
        return Err(Error::Invalid("must not have a fragment"));
    }
    if url.as_str().len() > URL_BYTES {
        return Err(Error::Invalid("is too long for a URL once it is canonical"));
    }
    if url.port() == Some(0) {
        return Err(Error::Invalid("has port 0"));
    }
    if let Some(domain) = url.domain().and_then(|domain| domain.strip_suffix('.')).map(str::to_owned) {
        url.set_host(Some(&domain)).map_err(|_| Error::Invalid("is not a valid URL"))?;
    }
    // Full-width forms of punctuation become that punctuation on the way to ASCII, and no other reader of the
    // canonical form would take it for a host.
    let host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if url.domain().is_some_and(|domain| !domain.bytes().all(host_byte)) {
        return Err(Error::Invalid("has a host with a character that no host name may hold"));
    }
    if url.domain().is_some_and(|domain| domain.split('.').any(str::is_empty)) {
        return Err(Error::Invalid("has a host with an empty part"));
    }
    let loopback = match url.host() {
        // `127.1` and `0x7f000001` are addresses to this parser and names to others.
        Some(Host::Ipv4(ip)) if !same_host(authority, &ip.to_string()) => {
            return Err(Error::Invalid("has an address not written as four decimal numbers"));
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) => false,
        None => return Err(Error::Invalid("has no host")),
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(Error::Insecure),
        _ => Err(Error::Invalid("must be an https URL")),
    }
}

fn same_host(authority: &str, host: &str) -> bool {
    authority == host || authority.strip_prefix(host).is_some_and(|port| port.starts_with(':'))
}

/// Whether a URL's host is a loopback IP literal: no proxy is ever asked for it.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// Where a request that carries a secret may go: a token, revocation or other endpoint (RFC 6749 section
/// 3.2: a query is allowed, a fragment is not).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an endpoint.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse(text).map(Self)
    }

    /// As text; reading it again gives the same endpoint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// As a URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_parser_might_read_differently_is_refused() {
        for hostile in [
            "https:example.com",
            "https:/example.com",
            "https:///example.com",
            "https://user@example.com",
            "https://@example.com",
            "https://good.example\\@evil.example",
            "https://good.example%2f@evil.example",
            "https://exa\tmple.com",
            "https://example.com\n",
            " https://example.com",
            "https://ex%61mple.com",
            "https://127.1",
            "https://0x7f.0.0.1",
            "https://2130706433",
            "https://017700000001",
            "https://",
            "https://:443",
            "https://.",
            "https://example.com..",
            "https://example.com:0",
            "https://example.com#f",
            "ftp://example.com",
            "file:///etc/passwd",
            "example.com",
            "",
            "https://[::1",
            "https://exa mple.com",
            "https://a\u{ff5b}b\u{ff02}c\u{ff40}.example",
            "https://a!b.example",
            "https://a$b.example",
        ] {
            assert!(parse(hostile).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn http_is_for_loopback_literals_only() {
        for good in ["http://127.0.0.1", "http://127.8.9.10:8080/x", "http://[::1]:1/"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for insecure in [
            "http://example.com",
            "http://localhost",
            "http://10.0.0.1",
            "http://[::2]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert_eq!(parse(insecure), Err(Error::Insecure), "{insecure}");
        }
    }

    #[test]
    fn the_canonical_form_is_lower_case_without_dot_or_default_port() {
        assert_eq!(parse("HTTPS://Example.COM.:443/A").unwrap().as_str(), "https://example.com/A");
        assert_eq!(parse("https://b\u{fc}cher.example/").unwrap().as_str(), "https://xn--bcher-kva.example/");
    }
}
