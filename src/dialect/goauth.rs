//! A GOAUTH command (`go help goauth`): asked once without a URL, and again with one, and the server's response on stdin, when
//! a request was answered by 4xx. Out goes a prefix, an empty line, a header, an empty line.

use zeroize::Zeroizing;

use super::miss::{To, is_a_miss};
use super::{Parsed, Reading, Rendered, Whose, place};
use crate::message::{Caller, Failure, Get, Outcome, Request, Token, Warning};
use crate::session::Service;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Call {
    /// The services whose tokens go has before it asks for one; somebody configured them.
    pub services: Vec<String>,
    /// The URL that was answered by 4xx.
    pub url: Option<String>,
    /// Whose session.
    pub whose: Whose,
}

impl Call {
    pub(super) fn reading(&self) -> Reading {
        if self.url.is_some() { Reading::WholeOrNothing } else { Reading::Nothing }
    }

    pub(super) fn parse(&self, input: &[u8]) -> Parsed {
        Parsed::Ask(self.request(input), super::Form::Goauth)
    }

    fn request(&self, input: &[u8]) -> Result<Request, Failure> {
        let named = self
            .services
            .iter()
            .map(|text| place::of_either(text).map_err(|fault| fault.about("the service")));
        let named = named.collect::<Result<Vec<Service>, Failure>>()?;
        let get = |service, force_refresh| {
            let Whose { account, profile } = self.whose.clone();
            let caller = Caller { refused: force_refresh, ..Caller::default() };
            Get { service, account, profile, min_validity: None, force_refresh, caller }
        };
        let Some(url) = &self.url else {
            return Ok(Request::GetEach(named.into_iter().map(|service| get(service, false)).collect()));
        };
        let service = place::of_url(url).map_err(|fault| fault.about("the URL"))?;
        let had_one = named.iter().any(|named| named.covers(&service));
        Ok(Request::Get(get(service, was_rejected(input, had_one))))
    }
}

/// Whether the server has refused a token of ours: it says so itself (RFC 6750 section 3.1), or go had one before it asked.
/// Any other answer, 404 above all, says nothing against the token.
fn was_rejected(response: &[u8], had_one: bool) -> bool {
    let text = String::from_utf8_lossy(response);
    let mut lines = text.lines();
    let unauthorized = lines.next().and_then(|status| status.split(' ').nth(1)) == Some("401");
    let mut says_so = || {
        lines.any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("www-authenticate") && value.contains("invalid_token")
            })
        })
    };
    unauthorized && (had_one || says_so())
}

pub(super) fn render(result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
    match result {
        Ok(Outcome::Token(token)) => Rendered::said(sets(std::slice::from_ref(&**token)), warnings),
        Ok(Outcome::Tokens(tokens)) => Rendered::said(sets(tokens), warnings),
        Ok(_) => Rendered::failed(&Failure::internal(), warnings),
        Err(failure) if is_a_miss(failure.code, To::Goauth) => Rendered::nothing(warnings),
        Err(failure) => Rendered::failed(failure, warnings),
    }
}

fn sets(tokens: &[Token]) -> Zeroizing<Vec<u8>> {
    // go takes no other scheme.
    let tokens = tokens.iter().filter(|token| token.within.as_str().starts_with("https://"));
    let mut text = Zeroizing::new(Vec::with_capacity(8192));
    for token in tokens {
        let authorization = token.authorization();
        for part in [token.within.as_str(), "\n\nAuthorization: ", &authorization, "\n\n"] {
            text.extend_from_slice(part.as_bytes());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::was_rejected;

    #[test]
    fn only_a_401_about_a_token_is_a_rejection() {
        let unauthorized = b"HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer realm=\"r\"\n\n";
        let invalid = b"HTTP/2.0 401 \nwww-authenticate: Bearer error=\"invalid_token\"\n\n";
        let missing = b"HTTP/1.1 404 Not Found\nWWW-Authenticate: Bearer error=\"invalid_token\"\n\n";
        assert!(!was_rejected(unauthorized, false) && was_rejected(unauthorized, true));
        assert!(was_rejected(invalid, false));
        assert!(
            !was_rejected(missing, true) && !was_rejected(b"", true) && !was_rejected(b"\xff\xfe 401", false)
        );
    }
}
