//! Whose token may come out, by a reading of its own: RFC 3986 and what each tool's documents say of a place, with no
//! library and nothing of the program.

use super::places::{VICTIMS, Who};

/// How a tool names a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A protocol, a host and a path, apart.
    Parts,
    /// A URL that git takes apart, with a user name before the host perhaps.
    GitUrl,
    /// A registry's address, with a scheme or without.
    Registry,
    /// A URL.
    Url,
    /// A URL, or one that says that it is of a sparse index.
    Index,
    /// A URL, or one of gRPC over TLS.
    Grpc,
    /// A URL or a host.
    Either,
    /// A URL or a host, and a host where it is reached by https.
    Bare,
    /// A host, reached by https.
    Host,
    /// A URL or a host reached by https.
    Word,
}

struct Read {
    scheme: String,
    authority: String,
    path: String,
}

pub fn may(reads: Reads, text: &str) -> Vec<Who> {
    let Some(read) = take_apart(reads, text) else { return Vec::new() };
    let Some((host, port)) = host_and_port(&read) else { return Vec::new() };
    let origin = |service: &str| {
        let known = of_url(service).unwrap();
        (known.scheme.as_str(), host_and_port(&known).unwrap())
            == (read.scheme.as_str(), (host.clone(), port))
    };
    let at_origin = VICTIMS.iter().filter(|(_, service, _)| origin(service)).map(|(who, _, _)| *who);
    let (below, beside) = below_org(&read.path);
    at_origin.filter(|who| if *who == Who::Org { below } else { *who != Who::Good || beside }).collect()
}

fn of_url(text: &str) -> Option<Read> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(Read { scheme: scheme.to_ascii_lowercase(), authority: authority.to_owned(), path: path.to_owned() })
}

fn of_host(text: &str) -> Option<Read> {
    let read = of_url(&format!("https://{text}"))?;
    let scheme = if read.authority.starts_with("127.") { "http" } else { "https" };
    Some(Read { scheme: scheme.to_owned(), ..read })
}

fn take_apart(reads: Reads, text: &str) -> Option<Read> {
    // What git reads is lines: whatever stands behind the end of one is not this value.
    let line = text.trim_end_matches('\n');
    match reads {
        Reads::Parts | Reads::GitUrl if line.contains('\n') => None,
        Reads::Parts => {
            let (scheme, rest) = line.split_once("://")?;
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            Some(Read { scheme: scheme.to_owned(), authority: authority.to_owned(), path: path.to_owned() })
        }
        Reads::GitUrl => {
            let read = of_url(line)?;
            let host = read.authority.split_once('@').map_or(read.authority.as_str(), |(_, host)| host);
            // What follows `?` is a part of the path to git.
            let path =
                line.splitn(4, '/').nth(3).map_or_else(String::new, |path| decoded(&format!("/{path}")));
            Some(Read { authority: decoded(host), path, ..read })
        }
        Reads::Registry => {
            let text = text.trim();
            let scheme = |scheme: &str| {
                text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            };
            let start = ["https://", "http://"].into_iter().find(|start| scheme(start)).unwrap_or_default();
            of_host(&text[start.len()..])
        }
        Reads::Url => of_url(text),
        Reads::Index => of_url(text.strip_prefix("sparse+").unwrap_or(text)),
        Reads::Grpc => {
            let read = of_url(text)?;
            let scheme = if read.scheme == "grpcs" { "https".to_owned() } else { read.scheme };
            Some(Read { scheme, ..read })
        }
        Reads::Bare => take_apart(Reads::Either, text.strip_prefix("https://").unwrap_or(text)),
        Reads::Either | Reads::Word if text.contains("://") => of_url(text),
        Reads::Either => of_host(text),
        Reads::Host => {
            let text = text.strip_prefix("https://").unwrap_or(text);
            of_url(&format!("https://{text}")).filter(|read| read.path.is_empty())
        }
        Reads::Word => of_url(&format!("https://{text}")),
    }
}

fn host_and_port(read: &Read) -> Option<(String, u32)> {
    let (host, port) = read.authority.split_once(':').unwrap_or((&read.authority, ""));
    let port = match port.trim_start_matches('0') {
        _ if !port.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        "" if port.is_empty() => {
            if read.scheme == "https" {
                443
            } else {
                80
            }
        }
        digits => digits.parse().ok().filter(|port| (1..=65_535).contains(port))?,
    };
    let host = name(host)?;
    Some((host.strip_suffix('.').unwrap_or(&host).to_owned(), port))
}

/// A name as it is compared. Of what is beyond ASCII, only the forms that the table holds.
fn name(host: &str) -> Option<String> {
    let plain = |c: char| match c {
        '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' => {
            char::from_u32(u32::from(c) - 0xff00 + 0x20).unwrap_or(c).to_ascii_lowercase()
        }
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => '.',
        '\u{24d4}' => 'e',
        '\u{1d41d}' => 'd',
        '\u{dc}' => '\u{fc}',
        c => c.to_ascii_lowercase(),
    };
    let host: String = host.chars().map(plain).collect();
    let host = host.replace("u\u{308}", "\u{fc}").replace("b\u{fc}cher", "xn--bcher-kva");
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)).then_some(host)
}

/// Whether the path can be read as one below `/org`, and whether as one that is not.
fn below_org(path: &str) -> (bool, bool) {
    let readings = [path.to_owned(), decoded(path), without_dots(path), without_dots(&decoded(path))];
    let below: Vec<bool> = readings
        .iter()
        .map(|path| path.split('/').find(|segment| !segment.is_empty() && *segment != ".") == Some("org"))
        .collect();
    let plain = !path.contains("//") && !path.contains(['%', '\\']) && readings[0] == readings[2];
    (below.contains(&true), !plain || below.contains(&false))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    kept.join("/")
}

fn decoded(text: &str) -> String {
    let mut bytes = text.as_bytes();
    let mut decoded = Vec::new();
    while let Some((byte, rest)) = bytes.split_first() {
        let digits = rest.get(..2).filter(|_| *byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(value.unwrap_or(*byte));
        bytes = if value.is_some() { &rest[2..] } else { rest };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
