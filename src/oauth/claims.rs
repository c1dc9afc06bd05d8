//! Who signed in: the claims of an ID token, or the server's userinfo (OpenID Connect Core sections 2 and 5.3).
//!
//! The ID token comes straight from the token endpoint over TLS, which stands in for its signature (section 3.1.3.7,
//! point 6). What it says names a session and decides nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::address::Endpoint;
use crate::fields::{self, Fields, Value};
use crate::http::{Get, Reply};
use crate::limits::{ACCOUNT_BYTES, DOCUMENT_BYTES, TOKEN_BYTES};
use crate::secret::AccessToken;
use zeroize::Zeroizing;

/// The claims that may name an account, the first there is, where the configuration names none.
pub const USUAL_CLAIMS: [&str; 3] = ["preferred_username", "email", "sub"];

/// Names a user has at the server, not yet escaped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Identity {
    names: Vec<String>,
}

impl Identity {
    /// The name that an account gets: the first of the claims that was there.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    /// Whether the user has this name there, by whichever of the claims.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

/// What an ID token must have been made for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer, where one is configured.
    pub issuer: Option<&'a str>,
    /// The client.
    pub client_id: &'a str,
    /// The attempt's nonce, where one was sent.
    pub nonce: Option<&'a str>,
}

/// The identity in a token reply's `id_token`; `None`: there is none in it.
pub fn of_token_reply(
    reply: &Reply,
    expected: Expected<'_>,
    claim: Option<&str>,
) -> Result<Option<Identity>, &'static str> {
    let fields = fields::json(&reply.body).and_then(Fields::of).ok();
    let token = match fields.and_then(|mut fields| fields.any("id_token")) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Text(token)) if token.len() <= TOKEN_BYTES => Zeroizing::new(token),
        Some(_) => return Err("the ID token cannot be read"),
    };
    let mut claims = payload(&token).ok_or("the ID token cannot be read")?;
    let text = |claims: &mut Fields, key: &str| match claims.any(key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let issuer = text(&mut claims, "iss");
    if expected.issuer.is_some_and(|expected| issuer.as_deref() != Some(expected)) {
        return Err("the ID token is another issuer's");
    }
    let ours = match claims.any("aud") {
        Some(Value::Text(audience)) => audience == expected.client_id,
        Some(Value::List(audiences)) => audiences.contains(&Value::Text(expected.client_id.to_owned())),
        _ => false,
    };
    if !ours {
        return Err("the ID token is for another client");
    }
    if expected.nonce.is_some_and(|nonce| text(&mut claims, "nonce").as_deref() != Some(nonce)) {
        return Err("the ID token belongs to another attempt to sign in");
    }
    Ok(Some(named(&mut claims, claim)))
}

/// Asks who the bearer of a token is.
#[must_use]
pub fn userinfo_request(endpoint: &Endpoint, token: &AccessToken) -> Get {
    let bearer = ["Bearer ", token.expose()].concat();
    Get {
        endpoint: endpoint.clone(),
        authorization: Some(Zeroizing::new(bearer)),
        within: None,
        limit: DOCUMENT_BYTES,
    }
}

/// Reads the answer: any JSON object with the claim in it.
#[must_use]
pub fn of_userinfo(reply: &Reply, claim: Option<&str>) -> Option<Identity> {
    let readable = reply.status == 200 && super::is_json(reply.content_type.as_deref());
    let mut fields = readable.then(|| fields::json(&reply.body).and_then(Fields::of).ok()).flatten()?;
    let identity = named(&mut fields, claim);
    (!identity.names.is_empty()).then_some(identity)
}

fn payload(token: &str) -> Option<Fields> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    fields::json(&bytes).and_then(Fields::of).ok()
}

fn named(claims: &mut Fields, claim: Option<&str>) -> Identity {
    let usable = |text: &String| !text.trim().is_empty() && text.len() <= ACCOUNT_BYTES;
    let mut names = Vec::new();
    for key in claim.into_iter().chain(USUAL_CLAIMS) {
        match claims.any(key) {
            Some(Value::Text(text)) if usable(&text) => names.push(text),
            // Some servers number their users.
            Some(Value::Int(number)) => names.push(number.to_string()),
            _ => {}
        }
    }
    Identity { names }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(claims: &str) -> Reply {
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        Reply {
            status: 200,
            content_type: Some("application/json".to_owned()),
            retry_after: None,
            body: format!(r#"{{"access_token":"AT","id_token":"{token}"}}"#).into_bytes().into(),
        }
    }

    const EXPECTED: Expected<'_> =
        Expected { issuer: Some("https://id.example"), client_id: "c", nonce: Some("n") };

    #[test]
    fn the_account_is_the_first_claim_there_is() {
        let claims =
            r#"{"iss":"https://id.example","aud":["c"],"nonce":"n","sub":"17","email":"a@b.example"}"#;
        let identity = of_token_reply(&reply(claims), EXPECTED, None).unwrap().unwrap();
        assert_eq!(identity.account(), Some("a@b.example"));
        assert!(identity.is("17") && !identity.is("18"));
        let chosen = of_token_reply(&reply(claims), EXPECTED, Some("sub")).unwrap().unwrap();
        assert_eq!(chosen.account(), Some("17"));
    }

    #[test]
    fn an_id_token_for_somebody_else_is_refused() {
        for other in [
            r#"{"iss":"https://evil.example","aud":"c","nonce":"n","sub":"1"}"#,
            r#"{"iss":"https://id.example","aud":"d","nonce":"n","sub":"1"}"#,
            r#"{"iss":"https://id.example","aud":["d"],"nonce":"n","sub":"1"}"#,
            r#"{"iss":"https://id.example","aud":"c","nonce":"m","sub":"1"}"#,
            r#"{"iss":"https://id.example","aud":"c","sub":"1"}"#,
            r#"{"aud":"c","nonce":"n","sub":"1"}"#,
            "not json",
        ] {
            assert!(of_token_reply(&reply(other), EXPECTED, None).is_err(), "{other}");
        }
        let none = Reply { body: br#"{"access_token":"AT"}"#.to_vec().into(), ..reply("{}") };
        assert_eq!(of_token_reply(&none, EXPECTED, None), Ok(None));
    }

    #[test]
    fn userinfo_may_number_its_users() {
        let body = |body: &str| Reply { body: body.as_bytes().to_vec().into(), ..reply("{}") };
        let github = body(r#"{"login":"octocat","id":1}"#);
        assert_eq!(of_userinfo(&github, Some("login")).unwrap().account(), Some("octocat"));
        assert_eq!(of_userinfo(&github, Some("id")).unwrap().account(), Some("1"));
        assert_eq!(of_userinfo(&github, None), None);
    }
}
