//! One place in the words of each tool.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use claviger::dialect::{Call, goauth, keyring, kubernetes, terraform};

use super::oracle::Reads;
use super::places::{VICTIMS, Who};
use super::support::shapes::Shape;

/// What a tool says, and by which of three ways.
#[derive(Default)]
pub struct Asked {
    pub words: Vec<OsString>,
    pub stdin: Vec<u8>,
    pub variable: Option<String>,
    /// What stands for [`PLACE`] on the command line.
    pub place: Option<OsString>,
}

pub struct Form {
    pub name: &'static str,
    pub shape: Shape,
    pub reads: Reads,
    /// It keeps something at the place that it names.
    pub keeps: bool,
    /// `None`: no tool could say it.
    pub ask: fn(&[u8]) -> Option<Asked>,
}

impl Form {
    /// Whether this token is one for the tool, where the place is plain.
    pub fn gives(&self, who: Who, text: &[u8]) -> bool {
        // go takes tokens for https only; an index is no place for the token of a shorter path.
        match self.name {
            "goauth" | "goauth, service" => who != Who::Loop,
            // A sparse one may say so itself.
            "cargo, index in git" | "cargo, sparse index" => {
                VICTIMS.iter().any(|(_, service, _)| service.as_bytes() == text)
            }
            _ => true,
        }
    }
}

const fn asking(name: &'static str, shape: Shape, reads: Reads, ask: fn(&[u8]) -> Option<Asked>) -> Form {
    Form { name, shape, reads, keeps: false, ask }
}

const fn keeping(name: &'static str, shape: Shape, ask: fn(&[u8]) -> Option<Asked>) -> Form {
    Form { name, shape, reads: Reads::Url, keeps: true, ask }
}

#[rustfmt::skip]
pub const ASKING: &[Form] = &[
    asking("native", Shape::Native, Reads::Url, |text| Some(with("get", object("{\"service\":", text, "}")))),
    asking("git", Shape::Git, Reads::Parts, |text| Some(with("git get", parts(text, "")))),
    asking("git, url", Shape::Git, Reads::GitUrl, |text| Some(with("git get", object_free("url=", text, "\n")))),
    asking("docker", Shape::Docker, Reads::Registry, |text| Some(with("docker get", text.to_vec()))),
    asking("docker, bare", Shape::Docker, Reads::Registry, |text| Some(with("docker get", bare(text).to_vec()))),
    asking("cargo, sparse index", Shape::Cargo, Reads::Url, |text| Some(with("cargo", index("get", "sparse+", text)))),
    asking("cargo, index in git", Shape::Cargo, Reads::Index, |text| Some(with("cargo", index("get", "", text)))),
    asking("kubernetes, server", Shape::Kubernetes, Reads::Url, cluster),
    asking("kubernetes, argument", Shape::Kubernetes, Reads::Word, |text| Some(words("kubernetes", text, &[]))),
    asking("terraform", Shape::Terraform, Reads::Host, |text| Some(words("terraform get", bare(text), &[]))),
    asking("bazel", Shape::Bazel, Reads::Grpc, |text| Some(with("bazel get", object("{\"uri\":", text, "}")))),
    asking("goauth", Shape::Goauth, Reads::Url, |text| Some(words("goauth", text, &[]))),
    asking("goauth, service", Shape::Goauth, Reads::Either, |text| Some(words("goauth --service", text, &[]))),
    asking("keyring", Shape::Password, Reads::Either, |text| Some(words("keyring get", text, &["oauth2"]))),
    asking("keyring, host", Shape::Pair, Reads::Bare, |text| Some(words("keyring --mode creds get", bare(text), &[]))),
    asking("keyring, JSON", Shape::PairJson, Reads::Either, |text| Some(words("keyring --mode creds --output json get", text, &[]))),
];

#[rustfmt::skip]
pub const CHANGING: &[Form] = &[
    asking("native erase", Shape::Native, Reads::Url, |text| Some(with("erase", object("{\"service\":", text, "}")))),
    asking("git erase", Shape::Git, Reads::Parts, |text| Some(with("git erase", parts(text, "")))),
    asking("git erase, url", Shape::Git, Reads::GitUrl, |text| Some(with("git erase", object_free("url=", text, "\n")))),
    asking("docker erase", Shape::Docker, Reads::Registry, |text| Some(with("docker erase", text.to_vec()))),
    asking("cargo logout", Shape::Cargo, Reads::Url, |text| Some(with("cargo", index("logout", "sparse+", text)))),
    asking("terraform forget", Shape::Terraform, Reads::Host, |text| Some(words("terraform forget", bare(text), &[]))),
    asking("keyring del", Shape::Password, Reads::Either, |text| Some(words("keyring del", text, &["alice"]))),
    keeping("native store", Shape::Native, |text| {
        Some(with("store", object("{\"account\":\"eve\",\"accessToken\":\"x\",\"service\":", text, "}")))
    }),
    keeping("git store", Shape::Git, |text| Some(with("git store", parts(text, "username=eve\npassword=x\n")))),
    keeping("docker store", Shape::Docker, |text| {
        Some(with("docker store", object("{\"Username\":\"eve\",\"Secret\":\"x\",\"ServerURL\":", text, "}")))
    }),
    keeping("cargo login", Shape::Cargo, |text| Some(with("cargo", index("login\",\"token\":\"x", "sparse+", text)))),
    keeping("terraform store", Shape::Terraform, |text| {
        let Asked { words, place, .. } = words("terraform store", bare(text), &[]);
        Some(Asked { words, place, stdin: b"{\"token\":\"x\"}".to_vec(), ..Asked::default() })
    }),
    keeping("keyring set", Shape::Password, |text| {
        let Asked { words, place, .. } = words("keyring set", text, &["eve"]);
        Some(Asked { words, place, stdin: b"x\n".to_vec(), ..Asked::default() })
    }),
];

pub fn with(command: &str, stdin: Vec<u8>) -> Asked {
    Asked {
        words: ["claviger"].into_iter().chain(command.split(' ')).map(OsString::from).collect(),
        stdin,
        ..Asked::default()
    }
}

/// The same with the place in it that a command line was read without: thousands of them take long to read.
pub fn filled(call: Call, place: &str) -> Call {
    let place = place.to_owned();
    match call {
        Call::Kubernetes(call) => Call::Kubernetes(kubernetes::Call { target: Some(place), ..call }),
        Call::Terraform(call) => Call::Terraform(terraform::Call { host: place, ..call }),
        Call::Goauth(call) if call.url.is_some() => Call::Goauth(goauth::Call { url: Some(place), ..call }),
        Call::Goauth(call) => Call::Goauth(goauth::Call { services: vec![place], ..call }),
        Call::Keyring(call) => Call::Keyring(keyring::Call { service: place, ..call }),
        other => other,
    }
}

/// Where the place goes.
pub const PLACE: &str = "PLACE";

fn words(command: &str, place: &[u8], more: &[&str]) -> Asked {
    let mut asked = with(command, Vec::new());
    asked.words.push(OsString::from(PLACE));
    asked.place = Some(OsString::from_vec(place.to_vec()));
    asked.words.extend(more.iter().map(OsString::from));
    asked
}

fn object_free(start: &str, text: &[u8], end: &str) -> Vec<u8> {
    [start.as_bytes(), text, end.as_bytes()].concat()
}

/// As JSON; what is not UTF-8 as it is, between quotation marks.
fn object(start: &str, text: &[u8], end: &str) -> Vec<u8> {
    let quoted = match std::str::from_utf8(text) {
        Ok(text) => serde_json::Value::from(text).to_string().into_bytes(),
        Err(_) => [b"\"", text, b"\""].concat(),
    };
    object_free(start, &quoted, end)
}

fn index(kind: &str, start: &str, text: &[u8]) -> Vec<u8> {
    let url = [start.as_bytes(), text].concat();
    object("{\"v\":1,\"registry\":{\"index-url\":", &url, &format!("}},\"kind\":\"{kind}\",\"args\":[]}}\n"))
}

/// The place without the scheme that a host has none of.
fn bare(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"https://").unwrap_or(text)
}

/// As git takes a URL apart.
fn parts(text: &[u8], more: &str) -> Vec<u8> {
    let at = text.windows(3).position(|three| three == b"://");
    let (protocol, rest) = at.map_or((&b""[..], text), |at| (&text[..at], &text[at + 3..]));
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = if path.is_empty() { Vec::new() } else { object_free("path=", path, "\n") };
    [b"protocol=", protocol, b"\nhost=", host, b"\n", path.as_slice(), more.as_bytes()].concat()
}

fn cluster(text: &[u8]) -> Option<Asked> {
    let server = serde_json::Value::from(std::str::from_utf8(text).ok()?);
    let info = format!(
        "{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
         \"spec\":{{\"interactive\":false,\"cluster\":{{\"server\":{server}}}}}}}"
    );
    Some(Asked { variable: Some(info), ..with("kubernetes", Vec::new()) })
}
