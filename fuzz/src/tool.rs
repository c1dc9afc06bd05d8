//! What holds for every tool's call: what is accepted is canonical, what is refused is refused in plain lines that quote
//! no secret, and a token is read again from what was written, with no line and no field beside it.

use claviger::dialect::{Call, Form, Parsed, Rendered, Verb, Whose, native};
use claviger::message::{
    Code, Expiry, Failure, Freshness, MatchedBy, Outcome, Request, Scheme, Store, Token,
};
use claviger::session::Profile;
use claviger::text::Escaped;

use crate::canary;
use crate::shapes::{self, Shape, Taken};
use crate::{assert_canonical, assert_plain_line};

/// A byte that selects, then what is on stdin, a bundle as it is stored, and words, each behind a byte that no text holds.
pub struct Input<'a> {
    pub selector: usize,
    pub stdin: &'a [u8],
    bundle: &'a [u8],
    words: Vec<&'a str>,
}

impl<'a> Input<'a> {
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&selector, rest) = bytes.split_first()?;
        let mut parts = rest.split(|byte| *byte == 0xff);
        let (stdin, bundle) = (parts.next()?, parts.next().unwrap_or_default());
        let words = parts.map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
        Some(Self { selector: usize::from(selector), stdin, bundle, words })
    }

    /// One of the operations.
    pub fn operation(&self, known: [&str; 4]) -> String {
        known[self.selector % 4].to_owned()
    }

    /// A number that has nothing to do with the operation.
    pub fn choice(&self) -> usize {
        self.selector / 4
    }

    pub fn word(&self, nth: usize) -> Option<String> {
        self.words.get(nth).map(|word| (*word).to_owned())
    }

    pub fn words(&self) -> impl Iterator<Item = String> + '_ {
        self.words.iter().map(|word| (*word).to_owned())
    }

    pub fn whose(&self) -> Whose {
        let profile = Profile::parse("ci").ok().filter(|_| self.choice() % 8 == 7);
        Whose { account: Some("alice".to_owned()).filter(|_| self.choice() % 8 == 6), profile }
    }

    /// A token as a session that was stored has it.
    fn token(&self) -> Option<Token> {
        let Ok(Request::Store(store)) = native::parse(Verb::Store, self.bundle) else { return None };
        let Store { name, access, username, token_type, expiry, scopes, services, .. } = *store;
        let schemes = [None, Some(Scheme::Bearer), Some(Scheme::Basic), Some(Scheme::Bare)];
        let keep_until = if let Expiry::At(end) = expiry { Some(end) } else { None };
        let opens = services.into_iter().next().unwrap_or_else(|| name.service.clone());
        Some(Token {
            within: opens.clone(),
            opens,
            name,
            username: Some(username.unwrap_or_else(|| "oauth2".to_owned())),
            token_type: token_type.unwrap_or_else(|| "Bearer".to_owned()),
            scheme: schemes[self.choice() % 4],
            access,
            expires_at: keep_until,
            keep_until,
            scopes,
            has_refresh_token: None,
            storage: None,
            freshness: Freshness::Cached,
            matched_by: MatchedBy::Only,
        })
    }
}

/// Puts a call, and looks at whatever comes of it.
pub fn put(call: &Call, input: &Input<'_>, stdin: &[u8], shape: Shape) {
    match parsed(call, stdin) {
        Parsed::Said(rendered) => assert!(taken(&rendered, shape).is_empty()),
        Parsed::Ask(Ok(request), form) => {
            assert_canonical(&request);
            written(&form, input, stdin, shape);
        }
        Parsed::Ask(Err(failure), form) => {
            assert!(
                matches!(failure.code, Code::BadRequest | Code::InsecureUrl | Code::NotFound),
                "{failure:?}"
            );
            assert_plain_line(&failure.message);
            assert_plain_line(&failure.hint);
            assert!(failure.message.len() < 9 * Escaped::SHOWN + 200, "{failure:?}");
            refused(&form, failure, shape);
        }
    }
}

/// Puts a call that holds a secret: nothing that comes of it quotes that.
pub fn quotes_nothing(call: &Call, stdin: &[u8]) {
    match parsed(call, stdin) {
        Parsed::Ask(Err(failure), _) => {
            assert!(!canary::is_in(&failure.message) && !canary::is_in(&failure.hint), "{failure:?}");
        }
        Parsed::Said(said) => {
            assert!(!canary::is_in(&String::from_utf8_lossy(&said.stdout)) && !canary::is_in(&said.stderr));
        }
        Parsed::Ask(Ok(_), _) => {}
    }
}

fn parsed(call: &Call, stdin: &[u8]) -> Parsed {
    // To Kubernetes what is asked comes in a variable.
    call.parse(stdin, std::str::from_utf8(stdin).ok())
}

fn written(form: &Form, input: &Input<'_>, stdin: &[u8], shape: Shape) {
    let text = String::from_utf8_lossy(input.bundle);
    let failure =
        Failure::new(Code::LockTimeout, Escaped(&text).to_string() + "x", Escaped(&text).to_string());
    refused(form, failure, shape);
    let Some(token) = input.token() else { return };
    let (access, username) = (token.access.expose().to_owned(), token.username.clone());
    let (header, place) = (token.authorization().to_string(), token.opens.to_string());
    let (scheme, until) = (token.token_type.clone(), token.keep_until);
    let rendered = form.render(&Ok(Outcome::Token(Box::new(token))), &[]);
    let seconds = until.map(|until| until.unix().to_string());
    let date = until.map(|until| until.to_string());
    let asked = || String::from_utf8_lossy(stdin).trim().to_owned();
    for one in taken(&rendered, shape) {
        let none = Taken::default();
        let expected = match shape {
            Shape::Git if one.scheme.is_some() => {
                Taken { scheme: Some(scheme.clone()), secret: access.clone(), until: seconds.clone(), ..none }
            }
            Shape::Git => {
                Taken { username: username.clone(), secret: access.clone(), until: seconds.clone(), ..none }
            }
            Shape::Docker => {
                Taken { place: Some(asked()), username: username.clone(), secret: access.clone(), ..none }
            }
            Shape::Cargo => Taken { secret: header.clone(), until: seconds.clone(), ..none },
            Shape::Kubernetes => Taken { secret: access.clone(), until: date.clone(), ..none },
            Shape::Bazel => Taken { secret: header.clone(), until: date.clone(), ..none },
            Shape::Goauth => Taken { place: Some(place.clone()), secret: header.clone(), ..none },
            Shape::Terraform | Shape::Password | Shape::Native => Taken { secret: access.clone(), ..none },
            Shape::Pair | Shape::PairJson => {
                Taken { username: username.clone(), secret: access.clone(), ..none }
            }
        };
        assert_eq!(one, expected);
    }
}

fn refused(form: &Form, failure: Failure, shape: Shape) {
    let rendered = form.render(&Err(failure), &[]);
    assert!(taken(&rendered, shape).is_empty());
    // One line of a refusal, and none of anything else.
    assert!(rendered.stderr.lines().count() <= 1, "{:?}", rendered.stderr);
    rendered.stderr.lines().for_each(assert_plain_line);
}

fn taken(rendered: &Rendered, shape: Shape) -> Vec<Taken> {
    let stdout = std::str::from_utf8(&rendered.stdout).expect("stdout is UTF-8");
    let taken = shapes::read(shape, rendered.exit, stdout).unwrap_or_else(|why| panic!("{why}"));
    assert!(taken.len() <= 1);
    taken
}
