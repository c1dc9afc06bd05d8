//! The lines that git sends: a key, `=`, a value, none of it quoted, up to an empty line or the end.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::message::{Code, Failure};

/// What was sent. No `Debug`: it may hold a password.
#[derive(Default)]
pub(super) struct Attributes<'a> {
    single: Vec<(&'a [u8], Cow<'a, [u8]>)>,
    capabilities: Vec<&'a str>,
    challenges: Vec<&'a [u8]>,
    /// What helpers had git remember.
    pub(super) states: Vec<&'a str>,
}

/// The keys that may come once; a second one is how an attacker's line break looks.
const ONCE: [&[u8]; 9] = [
    b"protocol",
    b"host",
    b"path",
    b"username",
    b"password",
    b"credential",
    b"authtype",
    b"password_expiry_utc",
    b"ephemeral",
];

impl<'a> Attributes<'a> {
    /// Reads them. A carriage return or a NUL in a line is refused, for other readers see the end of a line there.
    pub(super) fn read(input: &'a [u8]) -> Result<Self, &'static str> {
        let mut read = Self::default();
        for line in input.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                break;
            }
            if line.contains(&b'\r') || line.contains(&0) {
                return Err("a line holds a carriage return or a NUL");
            }
            let at = line.iter().position(|byte| *byte == b'=').ok_or("a line is no `key=value`")?;
            let (key, value) = (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default());
            read.take(key, value)?;
        }
        Ok(read)
    }

    fn take(&mut self, key: &'a [u8], value: &'a [u8]) -> Result<(), &'static str> {
        let words = std::str::from_utf8(value);
        match key {
            b"capability[]" => listed(&mut self.capabilities, words.unwrap_or_default()),
            b"state[]" => listed(&mut self.states, words.unwrap_or_default()),
            b"wwwauth[]" if value.is_empty() => self.challenges.clear(),
            b"wwwauth[]" => self.challenges.push(value),
            // What git splits before it asks a helper; other programs hand it on whole.
            b"url" => return self.split(words.map_err(|_| "`url` is not UTF-8")?),
            _ if !ONCE.contains(&key) => {}
            _ if self.single.iter().any(|(known, _)| *known == key) => return Err("a key is given twice"),
            _ => self.single.push((key, Cow::Borrowed(value))),
        }
        Ok(())
    }

    /// `url` stands for the attributes that it is made of, and takes the place of those before it (git-credential(1)).
    fn split(&mut self, url: &'a str) -> Result<(), &'static str> {
        let (protocol, rest) = url.split_once("://").ok_or("`url` is no URL")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (user, host) = match authority.split_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        self.single.clear();
        let mut put = |key: &'static [u8], value: &str| {
            let value =
                decoded(value).ok_or("`url` has percent-encoding that is none, or encodes a line break")?;
            self.single.push((key, Cow::Owned(value)));
            Ok(())
        };
        put(b"protocol", protocol)?;
        put(b"host", host)?;
        if let Some(user) = user {
            let (user, password) =
                user.split_once(':').map_or((user, None), |(user, word)| (user, Some(word)));
            put(b"username", user)?;
            if let Some(password) = password {
                put(b"password", password)?;
            }
        }
        match path.trim_start_matches('/') {
            "" => Ok(()),
            path => put(b"path", path),
        }
    }

    fn value(&self, key: &str) -> Option<&[u8]> {
        self.single.iter().find(|(known, _)| *known == key.as_bytes()).map(|(_, value)| &**value)
    }

    /// One that is text.
    pub(super) fn text(&self, key: &str) -> Result<Option<Cow<'_, str>>, Failure> {
        let text = self.value(key).map(|value| std::str::from_utf8(value).map(Cow::Borrowed)).transpose();
        text.map_err(|_| {
            Failure::new(
                Code::BadRequest,
                format!("bad request from git: `{key}` is not UTF-8"),
                "nothing was looked up or changed",
            )
        })
    }

    /// The password, or the credential in its place.
    pub(super) fn secret(&self) -> Result<Option<&str>, Failure> {
        let secret = self.value("credential").or_else(|| self.value("password"));
        secret
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| Failure::new(Code::BadRequest, "a password from git is not UTF-8", "it is not kept"))
    }

    /// Whether there is a password, as somebody types it.
    pub(super) fn has_password(&self) -> bool {
        self.value("password").is_some() && self.value("credential").is_none()
    }

    /// Whether git says that it understands something.
    pub(super) fn can(&self, what: &str) -> bool {
        self.capabilities.contains(&what)
    }

    /// Whether the server has named its schemes, and Bearer is the only one (RFC 9110 section 11.6.1: one challenge to a
    /// value, as git hands them on; a list of several in one is not taken apart).
    pub(super) fn only_bearer(&self) -> bool {
        let is_bearer = |challenge: &&[u8]| {
            let scheme = challenge.split(|byte| *byte == b' ').next().unwrap_or_default();
            scheme.eq_ignore_ascii_case(b"bearer")
        };
        !self.challenges.is_empty() && self.challenges.iter().all(is_bearer)
    }

    /// Whether it is not to be kept.
    pub(super) fn is_ephemeral(&self) -> bool {
        self.value("ephemeral").is_some_and(|value| value != b"0" && !value.is_empty())
    }

    /// When it ends, in seconds since 1970.
    pub(super) fn expiry(&self) -> Option<i64> {
        std::str::from_utf8(self.value("password_expiry_utc")?).ok()?.parse().ok().filter(|at| *at > 0)
    }
}

impl Drop for Attributes<'_> {
    fn drop(&mut self) {
        // A password out of a URL is a copy of our own.
        for (_, value) in self.single.drain(..) {
            if let Cow::Owned(value) = value {
                drop(Zeroizing::new(value));
            }
        }
    }
}

/// An empty value takes back those before it.
fn listed<'a>(list: &mut Vec<&'a str>, value: &'a str) {
    if value.is_empty() {
        list.clear();
    } else {
        list.push(value);
    }
}

/// Percent-decoding, once (RFC 3986 section 2.1). `None`: it is malformed, or something that ends a line comes out.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digit(bytes.next()?)? * 16 + digit(bytes.next()?)?
        } else {
            byte
        };
        if [b'\n', b'\r', 0].contains(&byte) {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(input: &[u8]) -> bool {
        Attributes::read(input).is_err()
    }

    #[test]
    fn what_could_be_an_attackers_line_is_refused() {
        for hostile in [
            &b"host=a\nhost=b\n"[..],
            b"host=a\r\n",
            b"host=a\0b\n",
            b"host\n",
            b"url=https://a%0ahost=b\n",
            b"url=https://a%0d\n",
            b"url=https://a%00\n",
            b"url=https://a%4\n",
            b"url=a.example\n",
            b"protocol=https\nprotocol=https\n",
        ] {
            assert!(refused(hostile), "{}", String::from_utf8_lossy(hostile));
        }
    }

    #[test]
    fn a_url_stands_for_its_parts() {
        let read =
            Attributes::read(b"host=old\nurl=https://al%40ice:pw@h.example:8443/a/b.git?x\n").ok().unwrap();
        let text = |key| read.text(key).ok().unwrap().map(Cow::into_owned);
        assert_eq!(text("protocol").as_deref(), Some("https"));
        assert_eq!(text("host").as_deref(), Some("h.example:8443"));
        assert_eq!(text("username").as_deref(), Some("al@ice"));
        assert_eq!(text("path").as_deref(), Some("a/b.git?x"));
        assert_eq!(read.secret().ok().unwrap(), Some("pw"));
    }

    #[test]
    fn an_empty_line_ends_it_and_an_empty_item_takes_a_list_back() {
        let read =
            Attributes::read(b"capability[]=a\ncapability[]=\ncapability[]=b\n\nhost=late\n").ok().unwrap();
        assert!(read.can("b") && !read.can("a"));
        assert_eq!(read.text("host").ok().unwrap(), None);
    }

    #[test]
    fn bearer_is_the_only_scheme_where_nothing_else_is_offered() {
        let only = |input: &'static [u8]| Attributes::read(input).ok().unwrap().only_bearer();
        assert!(only(b"wwwauth[]=Bearer realm=\"r\"\nwwwauth[]=bearer\n"));
        assert!(!only(b"wwwauth[]=Bearer\nwwwauth[]=Basic realm=\"r\"\n"));
        assert!(!only(b"host=a\n"));
    }
}
