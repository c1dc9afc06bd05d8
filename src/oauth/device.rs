//! The device authorization grant (RFC 8628): a code for the user, and asking until they have entered it elsewhere.

use super::Unsigned;
use crate::address::{self, Endpoint};
use crate::fields::{self, Fields, Value};
use crate::http::{Post, Reply};
use crate::limits::{SECONDS, TEXT_BYTES, TOKEN_BYTES, URL_BYTES};
use crate::oauth::token::{self, Granted, Refused};
use crate::provider::{Client, ClientProof, Destination};
use crate::time::Timestamp;
use zeroize::Zeroizing;

/// What the server gave out (RFC 8628 section 3.2).
pub struct Authorization {
    device_code: Zeroizing<String>,
    /// What the user enters, not yet escaped.
    pub user_code: String,
    /// Where they enter it: an `https` URL.
    pub verification_uri: String,
    /// The same with the code in it, for those who would rather scan than type.
    pub verification_uri_complete: Option<String>,
    /// Seconds until the code means nothing any more.
    pub expires_in: i64,
    /// Seconds between two questions.
    pub interval: i64,
}

/// What the server says on being asked whether the user is done (RFC 8628 section 3.5).
pub enum Poll {
    /// They are.
    Granted(Granted),
    /// They are not.
    Pending,
    /// They are not, and we ask too often: five seconds more from now on.
    SlowDown,
    /// They refused.
    Denied,
    /// They took too long.
    Expired,
    /// Something else is wrong.
    Refused(Refused),
}

/// Five, where the server names none (RFC 8628 section 3.2).
const INTERVAL: i64 = 5;
/// A server that asks for more has made a slip: nobody waits for it.
const LONGEST_INTERVAL: i64 = 120;
const LONGEST_LIFE: i64 = 3600;

/// The device authorization request (RFC 8628 section 3.1).
pub fn request(
    endpoint: &Endpoint,
    client_id: &str,
    client: &Client,
    proof: &ClientProof<'_>,
    (scopes, resource): (&[String], &[String]),
    now: Timestamp,
) -> Result<Post, Unsigned> {
    let scope = scopes.join(" ");
    let mut pairs = Vec::new();
    pairs.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
    pairs.extend(resource.iter().map(|resource| ("resource", resource.as_str())));
    pairs.extend(client.token_params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    super::post(endpoint, Some(client_id), proof, &pairs, now)
}

/// Reads the reply. The addresses are shown to a person who will open them: they must be `https`.
pub fn read(reply: &Reply, now: Timestamp) -> Result<Authorization, Refused> {
    let broken = |why: &str| Refused::Transient { why: why.to_owned(), retry_after: None };
    if reply.status != 200 {
        // The refusals of the token endpoint (RFC 8628 section 3.2), and a 2xx here is nothing we know.
        return Err(match token::read(reply, now) {
            Err(refused) => refused,
            Ok(_) => broken("the server answered with something that is no device authorization"),
        });
    }
    let mut fields = (super::is_json(reply.content_type.as_deref()))
        .then(|| fields::json(&reply.body).and_then(Fields::of).ok())
        .flatten()
        .ok_or_else(|| broken("the server answered with something that is no device authorization"))?;
    if let Some(Value::Text(error)) = fields.any("error")
        && !error.is_empty()
    {
        // Servers that answer 200 with an error.
        return Err(Refused::Rejected { error, description: None });
    }
    let mut text = |key: &str, limit: usize| match fields.any(key) {
        Some(Value::Text(text)) if !text.is_empty() && text.len() <= limit => Some(text),
        _ => None,
    };
    let unusable = |key: &str| broken(&format!("the server's reply has no usable `{key}`"));
    let device_code = text("device_code", TOKEN_BYTES).ok_or_else(|| unusable("device_code"))?;
    let user_code = text("user_code", TEXT_BYTES).ok_or_else(|| unusable("user_code"))?;
    // Some servers still use the name of the draft.
    let shown = text("verification_uri", URL_BYTES).or_else(|| text("verification_url", URL_BYTES));
    let complete = text("verification_uri_complete", URL_BYTES);
    let verification_uri =
        shown.and_then(|shown| address::parse(&shown).ok()).ok_or_else(|| unusable("verification_uri"))?;
    let verification_uri_complete = match complete {
        None => None,
        Some(complete) => Some(
            address::parse(&complete).map_err(|_| unusable("verification_uri_complete"))?.as_str().to_owned(),
        ),
    };
    let mut seconds = |key: &str| match fields.any(key) {
        Some(Value::Int(seconds)) if (1..=SECONDS).contains(&seconds) => Some(seconds),
        _ => None,
    };
    Ok(Authorization {
        device_code: device_code.into(),
        user_code,
        verification_uri: verification_uri.as_str().to_owned(),
        verification_uri_complete,
        expires_in: seconds("expires_in").unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE),
        interval: seconds("interval").unwrap_or(INTERVAL).min(LONGEST_INTERVAL),
    })
}

/// The question (RFC 8628 section 3.4).
pub fn token_request(
    destination: &Destination,
    client: &Client,
    proof: &ClientProof<'_>,
    authorization: &Authorization,
    now: Timestamp,
) -> Result<Post, Unsigned> {
    let mut pairs = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", authorization.device_code.as_str()),
    ];
    if matches!(proof, ClientProof::Basic(_)) {
        // RFC 8628 section 3.4 wants it beside the code whatever else names the client.
        pairs.push(("client_id", destination.client_id.as_str()));
    }
    pairs.extend(client.token_params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    super::post(&destination.token_endpoint, Some(&destination.client_id), proof, &pairs, now)
}

/// Reads the answer. The words of this grant come with any status: some servers answer 200 with an error.
#[must_use]
pub fn poll(reply: &Reply, now: Timestamp) -> Poll {
    let word = fields::json(&reply.body).and_then(Fields::of).ok().and_then(|mut fields| fields.any("error"));
    if let Some(Value::Text(word)) = word {
        match word.as_str() {
            "authorization_pending" => return Poll::Pending,
            "slow_down" => return Poll::SlowDown,
            "access_denied" => return Poll::Denied,
            "expired_token" => return Poll::Expired,
            _ => {}
        }
    }
    match token::read(reply, now) {
        Ok(granted) => Poll::Granted(granted),
        Err(refused) => Poll::Refused(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            content_type: Some("application/json".to_owned()),
            retry_after: None,
            body: body.as_bytes().to_vec().into(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_unix(0)
    }

    #[test]
    fn what_the_server_leaves_out_is_the_specifications() {
        let body =
            r#"{"device_code":"D","user_code":"WDJB-MJHT","verification_uri":"https://id.example/device"}"#;
        let read = read(&reply(200, body), now()).ok().unwrap();
        assert_eq!((read.interval, read.expires_in), (5, 3600));
        assert_eq!(read.verification_uri, "https://id.example/device");
        assert_eq!(read.verification_uri_complete, None);
    }

    #[test]
    fn an_address_that_is_no_https_url_is_not_shown_to_anybody() {
        for hostile in [
            "http://id.example/",
            "javascript:alert(1)",
            "file:///x",
            "-x",
            "https://a b/",
            "https://u@id.example/",
        ] {
            let body = |plain: &str, complete: &str| {
                format!(
                    r#"{{"device_code":"D","user_code":"U","verification_uri":"{plain}","verification_uri_complete":"{complete}"}}"#
                )
            };
            assert!(read(&reply(200, &body(hostile, "https://id.example/")), now()).is_err(), "{hostile}");
            assert!(read(&reply(200, &body("https://id.example/", hostile)), now()).is_err(), "{hostile}");
        }
    }

    #[test]
    fn pending_is_never_an_error_whatever_the_status() {
        for status in [200, 400, 401, 428, 429] {
            assert!(matches!(
                poll(&reply(status, r#"{"error":"authorization_pending"}"#), now()),
                Poll::Pending
            ));
            assert!(matches!(poll(&reply(status, r#"{"error":"slow_down"}"#), now()), Poll::SlowDown));
        }
        assert!(matches!(poll(&reply(400, r#"{"error":"access_denied"}"#), now()), Poll::Denied));
        assert!(matches!(poll(&reply(400, r#"{"error":"expired_token"}"#), now()), Poll::Expired));
        assert!(matches!(poll(&reply(503, ""), now()), Poll::Refused(Refused::Transient { .. })));
        let granted = r#"{"access_token":"AT","token_type":"bearer"}"#;
        assert!(matches!(poll(&reply(200, granted), now()), Poll::Granted(_)));
    }

    #[test]
    fn a_refusal_of_the_request_itself_is_the_servers_own_word() {
        let refused = read(&reply(401, r#"{"error":"invalid_client"}"#), now()).err().unwrap();
        assert!(matches!(refused, Refused::Rejected { error, .. } if error == "invalid_client"));
        let refused = read(&reply(200, r#"{"error":"device_flow_disabled"}"#), now()).err().unwrap();
        assert!(matches!(refused, Refused::Rejected { error, .. } if error == "device_flow_disabled"));
    }
}
