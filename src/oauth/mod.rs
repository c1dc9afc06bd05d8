//! Requests to an authorization server and its replies, as bytes in and values out: nothing here touches
//! the network, and nothing here can see a reply to a caller.

mod assertion;
pub mod authorization_code;
pub mod claims;
pub mod device;
pub mod discovery;
pub mod identity;
pub mod registration;
pub mod revocation;
pub mod token;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::address::Endpoint;
use crate::http::{Content, Post};
use crate::provider::ClientProof;
use crate::time::Timestamp;

/// A client assertion could not be signed: the system gave no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned;

/// Assembles a POST that carries secrets: in the body or in `Authorization`, never in a query.
/// A machine that shows an identity token may have no client id.
fn post(
    endpoint: &Endpoint,
    client_id: Option<&str>,
    proof: &ClientProof<'_>,
    pairs: &[(&str, &str)],
    now: Timestamp,
) -> Result<Post, Unsigned> {
    let named = client_id.map(|id| ("client_id", id));
    let client_id = client_id.unwrap_or_default();
    let room =
        pairs.iter().map(|(_, value)| value.len() * 3 + 64).sum::<usize>() + client_id.len() * 3 + 16 * 1024;
    let mut form = Serializer::new(String::with_capacity(room));
    form.extend_pairs(pairs);
    let authorization = match proof {
        ClientProof::Public => {
            form.extend_pairs(named);
            None
        }
        ClientProof::Post(secret) => {
            form.extend_pairs(named);
            form.append_pair("client_secret", secret.reveal());
            None
        }
        ClientProof::Assertion(signer) => {
            form.extend_pairs(named);
            form.append_pair("client_assertion_type", assertion::KIND);
            form.append_pair("client_assertion", &assertion::signed(signer, client_id, now)?);
            None
        }
        ClientProof::Basic(secret) => Some(basic(client_id, secret.reveal())),
    };
    Ok(Post {
        endpoint: endpoint.clone(),
        authorization,
        content: Content::Form,
        body: Zeroizing::new(form.finish()),
        within: None,
    })
}

fn is_json(content_type: Option<&str>) -> bool {
    let kind =
        content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// RFC 6749 section 2.3.1: both halves are form-encoded before base64, so that a `:` or `%` in either
/// survives.
fn basic(client_id: &str, secret: &str) -> Zeroizing<String> {
    let mut pair = Zeroizing::new(String::with_capacity((client_id.len() + secret.len()) * 3 + 1));
    pair.extend(byte_serialize(client_id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(secret.as_bytes()));
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    let mut header = Zeroizing::new(String::with_capacity(encoded.len() + 6));
    header.push_str("Basic ");
    header.push_str(&encoded);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    #[test]
    fn basic_authentication_encodes_before_it_joins() {
        let secret = ClientSecret::new("p%:+ &=").unwrap();
        let endpoint = Endpoint::parse("https://id.example/token").unwrap();
        let pairs = [("grant_type", "refresh_token")];
        let now = Timestamp::from_unix(0);
        let sent = post(&endpoint, Some("a:b"), &ClientProof::Basic(&secret), &pairs, now).unwrap();
        let header = sent.authorization.unwrap();
        let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "a%3Ab:p%25%3A%2B+%26%3D");
        assert_eq!(sent.body.as_str(), "grant_type=refresh_token");
    }

    #[test]
    fn the_body_is_form_encoded_to_the_byte() {
        let endpoint = Endpoint::parse("https://id.example/token").unwrap();
        let pairs = [("refresh_token", "a+b%c&d=e \u{fc}")];
        let now = Timestamp::from_unix(0);
        let sent = post(&endpoint, Some("c+d"), &ClientProof::Public, &pairs, now).unwrap();
        assert_eq!(sent.body.as_str(), "refresh_token=a%2Bb%25c%26d%3De+%C3%BC&client_id=c%2Bd");
    }
}
