//! The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 8252): the address a browser is sent
//! to, what comes back to the redirect URI, and the request that spends the code.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::Unsigned;
use crate::address::Endpoint;
use crate::http::Post;
use crate::limits::{SERVER_TEXT_BYTES, TOKEN_BYTES};
use crate::provider::{Client, ClientProof, Destination};
use crate::secret::hex;
use crate::time::Timestamp;

/// What makes one attempt to sign in unlike any other: used once, kept nowhere.
pub struct Attempt {
    verifier: Zeroizing<String>,
    state: String,
    nonce: String,
}

impl Attempt {
    /// Random enough that nobody guesses it: 256 bits of verifier, 128 of state and of nonce each.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut verifier = Zeroizing::new([0; 32]);
        let (mut state, mut nonce) = ([0; 16], [0; 16]);
        getrandom::fill(&mut *verifier)?;
        getrandom::fill(&mut state)?;
        getrandom::fill(&mut nonce)?;
        let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(*verifier));
        Ok(Self { verifier, state: hex(&state), nonce: hex(&nonce) })
    }

    /// What an ID token must repeat (OpenID Connect Core section 3.1.2.1).
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// What the answer must repeat (RFC 6749 section 10.12).
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// `code_challenge` by S256 (RFC 7636 section 4.2).
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }
}

/// What the authorization request says beside the attempt's own values.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The authorization endpoint.
    pub endpoint: &'a Endpoint,
    /// The client identifier.
    pub client_id: &'a str,
    /// Where the answer goes, with the port that is listened on.
    pub redirect_uri: &'a str,
    /// Scopes.
    pub scopes: &'a [String],
    /// What the token is for (RFC 8707).
    pub resource: &'a [String],
    /// Whom the user said to be, for the server's form (`login_hint`).
    pub login_hint: Option<&'a str>,
    /// Parameters of the configuration.
    pub extra: &'a [(String, String)],
}

/// The address the user's browser is sent to. A query of the endpoint's own stays (RFC 6749 section 3.1).
#[must_use]
pub fn address(asking: &Asking<'_>, attempt: &Attempt) -> url::Url {
    let mut url = asking.endpoint.url().clone();
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", asking.client_id)
            .append_pair("redirect_uri", asking.redirect_uri)
            .append_pair("state", attempt.state())
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        if !asking.scopes.is_empty() {
            query.append_pair("scope", &asking.scopes.join(" "));
        }
        if asking.scopes.iter().any(|scope| scope == "openid") {
            query.append_pair("nonce", &attempt.nonce);
        }
        for resource in asking.resource {
            query.append_pair("resource", resource);
        }
        if let Some(hint) = asking.login_hint {
            query.append_pair("login_hint", hint);
        }
        for (name, value) in asking.extra {
            query.append_pair(name, value);
        }
    }
    url
}

/// What a request to the redirect URI carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Callback {
    /// The code, to be spent once.
    Code(Code),
    /// The server's refusal, not yet escaped.
    Refused {
        /// `error` (RFC 6749 section 4.1.2.1).
        error: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// The answer names another issuer than the one that was asked, or none where it always does (RFC 9207).
    OtherIssuer,
    /// Not the answer to this attempt: whoever sent it does not know the state, or sent nothing that can be read.
    NotOurs,
}

/// An authorization code. No `Debug` of its content: until it is spent it is as good as a token.
#[derive(PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code([redacted])")
    }
}

/// Who answers, as far as it is known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    /// The issuer, where one is configured.
    pub issuer: Option<&'a str>,
    /// Whether it said that it always names itself.
    pub names_itself: bool,
}

/// Reads the query of a request to the redirect URI. A parameter that is there twice makes it nobody's (RFC 6749
/// section 3.1); without the right `state` it is not looked at any further.
#[must_use]
pub fn callback(query: &str, attempt: &Attempt, answering: Answering<'_>) -> Callback {
    const NAMES: [&str; 5] = ["state", "code", "error", "error_description", "iss"];
    let mut known: [Option<Zeroizing<String>>; 5] = Default::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(at) = NAMES.iter().position(|known| *known == name) else { continue };
        let Some(place) = known.get_mut(at) else { continue };
        if place.replace(Zeroizing::new(value.into_owned())).is_some() {
            return Callback::NotOurs;
        }
    }
    let [state, code, error, description, iss] = known;
    let ours = state.is_some_and(|state| state.as_bytes().ct_eq(attempt.state.as_bytes()).into());
    if !ours {
        return Callback::NotOurs;
    }
    match (answering.issuer, &iss) {
        (Some(expected), Some(named)) if expected != named.as_str() => return Callback::OtherIssuer,
        (Some(_), None) if answering.names_itself => return Callback::OtherIssuer,
        _ => {}
    }
    let sensible = |text: &str, limit: usize| !text.is_empty() && text.len() <= limit;
    match (code, error) {
        (None, Some(error)) if sensible(&error, SERVER_TEXT_BYTES) => Callback::Refused {
            error: error.to_string(),
            description: description
                .filter(|text| text.len() <= SERVER_TEXT_BYTES)
                .map(|text| text.to_string()),
        },
        (Some(code), None) if sensible(&code, TOKEN_BYTES) => Callback::Code(Code(code)),
        _ => Callback::NotOurs,
    }
}

/// The token request of RFC 6749 section 4.1.3, with the very redirect URI of the authorization request.
pub fn token_request(
    destination: &Destination,
    client: &Client,
    proof: &ClientProof<'_>,
    (code, attempt): (Code, &Attempt),
    redirect_uri: &str,
    resource: &[String],
    now: Timestamp,
) -> Result<Post, Unsigned> {
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code.0.as_str()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", attempt.verifier.as_str()),
    ];
    pairs.extend(resource.iter().map(|resource| ("resource", resource.as_str())));
    pairs.extend(client.token_params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    super::post(&destination.token_endpoint, Some(&destination.client_id), proof, &pairs, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned().into(),
            state: "5af5".to_owned(),
            nonce: "0ce5".to_owned(),
        }
    }

    const KNOWN: Answering<'_> = Answering { issuer: Some("https://id.example"), names_itself: true };

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(attempt().challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn no_two_attempts_are_alike_and_each_verifier_is_long_enough() {
        let (one, other) = (Attempt::new().unwrap(), Attempt::new().unwrap());
        assert!(one.state != other.state && one.nonce != other.nonce && *one.verifier != *other.verifier);
        assert_eq!(one.verifier.len(), 43);
        assert_eq!(one.state.len(), 32);
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        assert!(one.verifier.bytes().all(unreserved));
    }

    #[test]
    fn the_address_keeps_the_endpoints_own_query() {
        let endpoint = Endpoint::parse("https://id.example/authorize?tenant=a%26b").unwrap();
        let asking = Asking {
            endpoint: &endpoint,
            client_id: "c&d",
            redirect_uri: "http://127.0.0.1:4711/cb",
            scopes: &["openid".to_owned(), "api".to_owned()],
            resource: &["https://api.example".to_owned()],
            login_hint: None,
            extra: &[("prompt".to_owned(), "consent".to_owned())],
        };
        assert_eq!(
            address(&asking, &attempt()).as_str(),
            "https://id.example/authorize?tenant=a%26b&response_type=code&client_id=c%26d\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2Fcb&state=5af5\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
             &scope=openid+api&nonce=0ce5&resource=https%3A%2F%2Fapi.example&prompt=consent"
        );
    }

    #[test]
    fn only_the_answer_to_this_attempt_is_looked_at() {
        let read = |query: &str| callback(query, &attempt(), KNOWN);
        let iss = "iss=https%3A%2F%2Fid.example";
        assert!(matches!(read(&format!("code=C&state=5af5&{iss}")), Callback::Code(_)));
        assert!(matches!(read(&format!("x=1&code=C&state=5af5&{iss}&x=2")), Callback::Code(_)));
        for forged in [
            "",
            "code=C",
            "code=C&state=",
            "code=C&state=5af",
            "code=C&state=5af55",
            "code=C&state=5AF5",
            "code=C&state=5af5&state=5af5",
            "code=C&code=D&state=5af5",
            "error=access_denied",
            "error=access_denied&state=wrong",
            "error=access_denied&error=x&state=5af5",
            "code=C&error=access_denied&state=5af5&iss=https%3A%2F%2Fid.example",
            "code=&state=5af5&iss=https%3A%2F%2Fid.example",
            "state=5af5&iss=https%3A%2F%2Fid.example",
        ] {
            assert_eq!(read(forged), Callback::NotOurs, "{forged}");
        }
        for elsewhere in ["code=C&state=5af5", "code=C&state=5af5&iss=https%3A%2F%2Fid.example%2F"] {
            assert_eq!(read(elsewhere), Callback::OtherIssuer, "{elsewhere}");
        }
        let refused = read(&format!("error=access_denied&error_description=no&state=5af5&{iss}"));
        assert_eq!(
            refused,
            Callback::Refused { error: "access_denied".to_owned(), description: Some("no".to_owned()) }
        );
    }

    #[test]
    fn an_issuer_that_is_not_known_cannot_be_compared() {
        let unknown = Answering { issuer: None, names_itself: false };
        assert!(matches!(
            callback("code=C&state=5af5&iss=https%3A%2F%2Fother.example", &attempt(), unknown),
            Callback::Code(_)
        ));
    }
}
