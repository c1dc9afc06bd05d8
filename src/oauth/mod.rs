//! Requests to an authorization server and its replies, as bytes in and values out: nothing here touches
//! the network, and nothing here can see a reply to a caller.

pub mod revocation;
pub mod token;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::address::Endpoint;
use crate::http::Post;
use crate::provider::ClientProof;

/// Assembles a POST that carries secrets: in the body or in `Authorization`, never in a query.
fn post(endpoint: &Endpoint, client_id: &str, proof: &ClientProof<'_>, pairs: &[(&str, &str)]) -> Post {
    let room =
        pairs.iter().map(|(_, value)| value.len() * 3 + 64).sum::<usize>() + client_id.len() * 3 + 16 * 1024;
    let mut form = Serializer::new(String::with_capacity(room));
    form.extend_pairs(pairs);
    let authorization = match proof {
        ClientProof::Public => {
            form.append_pair("client_id", client_id);
            None
        }
        ClientProof::Post(secret) => {
            form.append_pair("client_id", client_id);
            form.append_pair("client_secret", secret.reveal());
            None
        }
        ClientProof::Basic(secret) => Some(basic(client_id, secret.reveal())),
    };
    Post { endpoint: endpoint.clone(), authorization, form: Zeroizing::new(form.finish()), within: None }
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
        let sent = post(&endpoint, "a:b", &ClientProof::Basic(&secret), &[("grant_type", "refresh_token")]);
        let header = sent.authorization.unwrap();
        let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "a%3Ab:p%25%3A%2B+%26%3D");
        assert_eq!(sent.form.as_str(), "grant_type=refresh_token");
    }

    #[test]
    fn the_body_is_form_encoded_to_the_byte() {
        let endpoint = Endpoint::parse("https://id.example/token").unwrap();
        let sent = post(&endpoint, "c+d", &ClientProof::Public, &[("refresh_token", "a+b%c&d=e \u{fc}")]);
        assert_eq!(sent.form.as_str(), "refresh_token=a%2Bb%25c%26d%3De+%C3%BC&client_id=c%2Bd");
    }
}
