//! What a token opens.

use std::fmt;

use crate::address::{self, Error};
use crate::limits::SERVICE_BYTES;

/// An absolute `https` URL in canonical form, at most 240 bytes: lower-case ASCII host without trailing
/// dot, default port dropped, no trailing `/`, no userinfo, query or fragment. `http` only for a loopback
/// IP literal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Service(String);

impl Service {
    /// Reads a service. What comes out, read again, is itself.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut url = address::parse(text)?;
        if url.query().is_some() {
            return Err(Error::Invalid("must not have a query"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let canonical = url.as_str().trim_end_matches('/');
        if canonical.len() > SERVICE_BYTES {
            return Err(Error::Invalid("is over 240 bytes as a canonical URL"));
        }
        Ok(Self(canonical.to_owned()))
    }

    /// The service itself or, where its path makes it too long for one, its longest prefix that is not: no session can
    /// be granted for more.
    pub fn deepest(text: &str) -> Result<Self, Error> {
        let mut url = address::parse(text)?;
        while url.as_str().trim_end_matches('/').len() > SERVICE_BYTES {
            let shorter =
                url.path().trim_end_matches('/').rsplit_once('/').map_or("", |(shorter, _)| shorter);
            if shorter.is_empty() && url.path() == "/" {
                break;
            }
            let shorter = shorter.to_owned();
            url.set_path(&shorter);
        }
        Self::parse(url.as_str())
    }

    /// The canonical URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This service, then each one a path segment shorter, down to the origin.
    pub fn prefixes(&self) -> impl Iterator<Item = Service> {
        let origin = self.0.find("://").map_or(0, |at| at + 3);
        std::iter::successors(Some(self.0.clone()), move |longer| {
            let cut = longer.rfind('/').filter(|cut| *cut > origin)?;
            longer.get(..cut).map(|shorter| shorter.trim_end_matches('/').to_owned())
        })
        .map(Service)
    }

    /// Whether a token granted for this service opens `other`: the same URL, or one below it on a
    /// segment border.
    #[must_use]
    pub fn covers(&self, other: &Service) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(text: &str) -> Service {
        Service::parse(text).unwrap()
    }

    #[test]
    fn a_service_read_again_is_itself() {
        for (text, canonical) in [
            ("https://API.acme.example:443/", "https://api.acme.example"),
            ("https://acme.example/org//", "https://acme.example/org"),
            ("https://acme.example./a/../b", "https://acme.example/b"),
            ("https://acme.example:8443", "https://acme.example:8443"),
            ("http://127.0.0.1:80/x/", "http://127.0.0.1/x"),
            ("https://acme.example//", "https://acme.example"),
        ] {
            assert_eq!(service(text).as_str(), canonical);
            assert_eq!(service(canonical).as_str(), canonical);
        }
    }

    #[test]
    fn a_query_and_an_overlong_url_are_refused() {
        assert!(Service::parse("https://acme.example/?").is_err());
        assert!(Service::parse("https://acme.example/?a=b").is_err());
        let longest = format!("https://acme.example/{}", "x".repeat(SERVICE_BYTES - 21));
        assert_eq!(service(&longest).as_str().len(), SERVICE_BYTES);
        assert!(Service::parse(&format!("{longest}x")).is_err());
    }

    #[test]
    fn prefixes_end_at_the_origin() {
        let all: Vec<_> = service("https://acme.example:1/a/b").prefixes().map(|s| s.to_string()).collect();
        assert_eq!(all, ["https://acme.example:1/a/b", "https://acme.example:1/a", "https://acme.example:1"]);
        assert_eq!(service("https://acme.example").prefixes().count(), 1);
    }

    #[test]
    fn a_prefix_covers_on_segment_borders_only() {
        let org = service("https://acme.example/org");
        assert!(org.covers(&service("https://acme.example/org/repo")));
        assert!(!org.covers(&service("https://acme.example/organisation")));
        assert!(!org.covers(&service("https://acme.example")));
        assert!(!service("https://acme.example").covers(&service("https://acme.example.evil")));
        assert!(!service("https://acme.example").covers(&service("https://acme.example:8443")));
    }
}
