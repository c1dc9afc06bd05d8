//! From what each tool calls a place to the one type by which hosts are compared: [`Service`].
//!
//! A tool's own parser has read the text already, and may have read another host in it. So nothing is repaired here: what
//! two readers could see differently is no place at all.

use crate::address;
use crate::message::{Code, Failure};
use crate::session::Service;

/// Why a text names no place that a session could be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no host.
    Missing,
    /// It is some other protocol's: nothing of ours.
    Foreign,
    /// It is `http`, and not of this machine.
    Insecure,
    /// It breaks a rule, said in words of ours.
    Invalid(&'static str),
}

impl Fault {
    /// As an error about the thing called `what`. Nothing of it is quoted: it may hold a password.
    pub(super) fn about(self, what: &str) -> Failure {
        let (code, why) = match self {
            Self::Missing => (Code::BadRequest, "names no host"),
            // A place of another kind has no session: the tool asks elsewhere.
            Self::Foreign => (Code::NotFound, "is of no protocol that takes such a token"),
            Self::Insecure => (Code::InsecureUrl, address::Error::Insecure.words()),
            Self::Invalid(why) => (Code::BadRequest, why),
        };
        Failure::new(code, format!("{what} {why}"), "nothing was looked up or changed")
    }
}

impl From<address::Error> for Fault {
    fn from(error: address::Error) -> Self {
        match error {
            address::Error::Invalid(why) => Self::Invalid(why),
            address::Error::Insecure => Self::Insecure,
        }
    }
}

/// A protocol, a host with perhaps a port, and perhaps a path, each as it is and not percent-encoded: as git has them.
pub(super) fn of_parts(protocol: &str, host: &str, path: Option<&str>) -> Result<Service, Fault> {
    if protocol.is_empty() || host.trim().is_empty() {
        return Err(Fault::Missing);
    }
    if !["https", "http"].contains(&protocol) {
        return Err(Fault::Foreign);
    }
    if host.contains(['/', '?', '#', '@', '%', '\\']) {
        return Err(Fault::Invalid("has a host with a character that no host name may hold"));
    }
    let path = path.unwrap_or_default();
    if path.split('/').any(|segment| [".", ".."].contains(&segment)) {
        return Err(Fault::Invalid("has a path that leads elsewhere"));
    }
    Ok(Service::deepest(&format!("{protocol}://{host}/{}", encoded(path)))?)
}

/// A URL; what follows `?` or `#` opens nothing of its own.
pub(super) fn of_url(text: &str) -> Result<Service, Fault> {
    let place = text.split(['?', '#']).next().unwrap_or_default();
    match place.split_once("://") {
        None | Some((_, "")) => Err(Fault::Missing),
        Some((scheme, _)) if !is_of_the_web(scheme) => Err(Fault::Foreign),
        Some(_) => Ok(Service::deepest(place)?),
    }
}

/// A host, perhaps with a port and a path. It is reached by https; an address of this machine is not, for who serves there
/// has no certificate as a rule.
pub(super) fn of_host(text: &str) -> Result<Service, Fault> {
    let host = text.split('/').next().unwrap_or_default();
    if host.trim().is_empty() {
        return Err(Fault::Missing);
    }
    if text.contains(['?', '#']) || text.contains("//") {
        return Err(Fault::Invalid("is no host"));
    }
    match Service::deepest(&format!("http://{text}")) {
        Ok(this_machine) => Ok(this_machine),
        Err(_) => Ok(Service::deepest(&format!("https://{text}"))?),
    }
}

/// A URL or a host.
pub(super) fn of_either(text: &str) -> Result<Service, Fault> {
    if text.contains("://") { of_url(text) } else { of_host(text) }
}

fn is_of_the_web(scheme: &str) -> bool {
    ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// A path as a URL has it.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte);
    path.bytes().fold(String::new(), |text, byte| {
        if plain(byte) { text + &char::from(byte).to_string() } else { text + &format!("%{byte:02X}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(read: Result<Service, Fault>) -> Result<String, Fault> {
        read.map(|service| service.to_string())
    }

    #[test]
    fn parts_make_the_service_that_their_url_would() {
        for (protocol, host, path, service) in [
            ("https", "Example.COM", None, "https://example.com"),
            ("https", "example.com:443", Some("a/b.git"), "https://example.com/a/b.git"),
            ("https", "example.com", Some("a b?c#d%2f"), "https://example.com/a%20b%3Fc%23d%252f"),
            ("http", "127.0.0.1:8080", None, "http://127.0.0.1:8080"),
        ] {
            assert_eq!(read(of_parts(protocol, host, path)), Ok(service.to_owned()));
        }
    }

    #[test]
    fn what_has_no_host_or_two_is_no_place() {
        for (protocol, host) in [("", "example.com"), ("https", ""), ("https", " "), ("https", "\t")] {
            assert_eq!(of_parts(protocol, host, None), Err(Fault::Missing), "{protocol} {host}");
        }
        for host in [
            "a@example.com",
            "example.com/x",
            "example.com%2f.evil",
            "a\\b",
            "example.com\n",
            "a:b:c",
            ":443",
        ] {
            assert!(of_parts("https", host, None).is_err(), "{host:?}");
        }
        assert_eq!(of_parts("ssh", "example.com", None), Err(Fault::Foreign));
        assert_eq!(of_parts("http", "example.com", None), Err(Fault::Insecure));
        assert!(of_parts("https", "example.com", Some("a/../b")).is_err());
    }

    #[test]
    fn a_bare_host_is_reached_by_https_unless_it_is_this_machine() {
        assert_eq!(
            read(of_host("registry.example:5000/team")),
            Ok("https://registry.example:5000/team".to_owned())
        );
        assert_eq!(read(of_host("127.0.0.1:5000")), Ok("http://127.0.0.1:5000".to_owned()));
        assert_eq!(read(of_host("localhost:5000")), Ok("https://localhost:5000".to_owned()));
        for bare in ["", " ", "/x", "user@host", "host?x", "host#x"] {
            assert!(of_host(bare).is_err(), "{bare:?}");
        }
    }

    #[test]
    fn a_long_url_is_cut_to_what_a_service_can_be() {
        let long = format!("https://example.com/team/{}?{}", "x/".repeat(400), "q".repeat(5000));
        let service = of_url(&long).unwrap();
        assert!(Service::parse("https://example.com/team").unwrap().covers(&service));
        assert_eq!(read(of_url("https://example.com/a?b#c")), Ok("https://example.com/a".to_owned()));
        assert_eq!(of_url("grpc://example.com"), Err(Fault::Foreign));
        assert_eq!(of_url("https://"), Err(Fault::Missing));
    }
}
