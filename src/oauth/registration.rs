//! Dynamic client registration (RFC 7591): where a server lets anybody's program introduce itself.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::address::Endpoint;
use crate::fields::{self, Fields, Value};
use crate::http::{Content, Post, Reply};
use crate::limits::{SERVER_TEXT_BYTES, TEXT_BYTES};
use crate::oauth::token::Refused;
use crate::secret::ClientSecret;

/// A client the server has just made for us.
#[derive(Debug)]
pub struct Registered {
    /// Its identifier.
    pub client_id: String,
    /// Its secret, where the server insists on one.
    pub client_secret: Option<ClientSecret>,
}

#[derive(Serialize)]
struct Introduction<'a> {
    client_name: &'static str,
    application_type: &'static str,
    redirect_uris: &'a [String],
    grant_types: &'a [&'static str],
    response_types: &'a [&'static str],
    token_endpoint_auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Asks for a public client of a native application. Without redirect URIs: one for the device grant.
#[must_use]
pub fn request(endpoint: &Endpoint, redirect_uris: &[String], scopes: &[String]) -> Option<Post> {
    const CODE: [&str; 2] = ["authorization_code", "refresh_token"];
    const DEVICE: [&str; 2] = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"];
    let by_device = redirect_uris.is_empty();
    let introduction = Introduction {
        client_name: "claviger",
        application_type: "native",
        redirect_uris,
        grant_types: if by_device { &DEVICE } else { &CODE },
        response_types: if by_device { &[] } else { &["code"] },
        token_endpoint_auth_method: "none",
        scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
    };
    let body = serde_json::to_string(&introduction).ok()?;
    Some(Post {
        endpoint: endpoint.clone(),
        authorization: None,
        content: Content::Json,
        body: Zeroizing::new(body),
        within: None,
    })
}

/// Reads the reply (RFC 7591 section 3.2).
pub fn read(reply: &Reply) -> Result<Registered, Refused> {
    let broken = |why: String| Refused::Transient { why, retry_after: None };
    match reply.status {
        200 | 201 | 400..=403 => {}
        404 | 410 => return Err(Refused::NoEndpoint),
        407 => return Err(Refused::ProxyAuth),
        status => return Err(broken(format!("the server answered the registration with {status}"))),
    }
    let mut fields = (super::is_json(reply.content_type.as_deref()))
        .then(|| fields::json(&reply.body).and_then(Fields::of).ok())
        .flatten()
        .ok_or_else(|| {
            broken(format!("the server answered the registration with {} and no JSON", reply.status))
        })?;
    let mut text = |key: &str, limit: usize| match fields.any(key) {
        Some(Value::Text(text)) if !text.is_empty() && text.len() <= limit => Some(text),
        _ => None,
    };
    if let Some(error) = text("error", SERVER_TEXT_BYTES) {
        return Err(Refused::Rejected { error, description: text("error_description", SERVER_TEXT_BYTES) });
    }
    if reply.status >= 400 {
        return Err(Refused::Rejected { error: format!("status {}", reply.status), description: None });
    }
    let Some(client_id) = text("client_id", TEXT_BYTES) else {
        return Err(broken("the server's registration has no usable `client_id`".to_owned()));
    };
    let client_secret = match text("client_secret", usize::MAX) {
        None => None,
        Some(secret) => Some(
            ClientSecret::new(&secret)
                .map_err(|_| broken("the server's registration has no usable `client_secret`".to_owned()))?,
        ),
    };
    Ok(Registered { client_id, client_secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Result<Registered, Refused> {
        read(&Reply {
            status,
            content_type: Some("application/json".to_owned()),
            retry_after: None,
            body: body.as_bytes().to_vec().into(),
        })
    }

    #[test]
    fn a_public_native_client_is_asked_for() {
        let endpoint = Endpoint::parse("https://id.example/register").unwrap();
        let post = request(&endpoint, &["http://127.0.0.1/".to_owned()], &["api".to_owned()]).unwrap();
        assert_eq!(
            post.body.as_str(),
            r#"{"client_name":"claviger","application_type":"native","redirect_uris":["http://127.0.0.1/"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none","scope":"api"}"#
        );
    }

    #[test]
    fn what_comes_back_is_a_client_or_a_refusal() {
        let made = reply(201, r#"{"client_id":"abc","client_secret":""}"#).unwrap();
        assert!(made.client_id == "abc" && made.client_secret.is_none());
        assert!(reply(201, r#"{"client_id":"abc","client_secret":"s"}"#).unwrap().client_secret.is_some());
        assert!(matches!(reply(400, r#"{"error":"invalid_redirect_uri"}"#), Err(Refused::Rejected { .. })));
        assert!(matches!(reply(403, "{}"), Err(Refused::Rejected { .. })));
        assert!(matches!(reply(201, "{}"), Err(Refused::Transient { .. })));
        assert!(matches!(reply(404, "{}"), Err(Refused::NoEndpoint)));
    }
}
