//! A URL that is accepted is canonical, and another parser sees the same host and port in it as we do.
#![no_main]

use claviger::address::Endpoint;
use claviger::session::Service;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(endpoint) = Endpoint::parse(text) {
        assert_eq!(Endpoint::parse(endpoint.as_str()).as_ref(), Ok(&endpoint));
        let url = endpoint.url();
        let ours = url.host_str().map(plain).zip(url.port_or_known_default());
        assert!(ours.is_some() && second_reading(endpoint.as_str()) == ours, "{text:?}");
        // As given it may be beyond the other parser, but no other host.
        assert!(second_reading(text).is_none_or(|theirs| Some(theirs) == ours), "{text:?}");
    }
    if let Ok(service) = Service::parse(text) {
        let home = second_reading(service.as_str()).expect("it is a URL to the other parser too");
        for prefix in service.prefixes() {
            assert_eq!(Service::parse(prefix.as_str()).as_ref(), Ok(&prefix));
            assert!(prefix.covers(&service) && (prefix == service || !service.covers(&prefix)));
            let neighbour = Service::parse(&format!("{prefix}0"));
            assert!(!neighbour.is_ok_and(|neighbour| prefix.covers(&neighbour)), "{prefix}");
            assert_eq!(second_reading(prefix.as_str()).as_ref(), Some(&home));
        }
    }
});

fn second_reading(text: &str) -> Option<(String, u16)> {
    let uri: http::Uri = text.parse().ok()?;
    let default = if uri.scheme_str()? == "https" { 443 } else { 80 };
    Some((plain(uri.host()?), uri.port_u16().unwrap_or(default)))
}

/// A host as it is compared: an address by its value, a name in lower case and without its last dot.
fn plain(host: &str) -> String {
    let address = host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>();
    address.map_or(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(), |address| address.to_string())
}
