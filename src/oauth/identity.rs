//! Identity tokens that a server gives out to a job that it runs itself: the way of GitHub Actions.

use crate::address::Endpoint;
use crate::fields::{self, Fields, Value};
use crate::http::{Get, Reply};
use crate::limits::TOKEN_BYTES;
use crate::secret::IdentityToken;
use zeroize::Zeroizing;

/// Why none was given.
#[derive(Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The server will not, with this status: the job lacks the right.
    Refused(u16),
    /// It may work later.
    Transient(String),
}

/// The request for one. The bearer token is the job's own, and goes to the server that the job was told of.
#[must_use]
pub fn request(endpoint: &Endpoint, bearer: &IdentityToken) -> Get {
    // Beside the token there is a count of nothing much.
    const ROOM: usize = 4096;
    let bearer = bearer.reveal();
    let mut authorization = Zeroizing::new(String::with_capacity("bearer ".len() + bearer.len()));
    authorization.push_str("bearer ");
    authorization.push_str(bearer);
    Get {
        endpoint: endpoint.clone(),
        authorization: Some(authorization),
        within: None,
        limit: TOKEN_BYTES + ROOM,
    }
}

/// The token of a reply: `{"value": ...}`.
pub fn read(reply: &Reply) -> Result<IdentityToken, Withheld> {
    match reply.status {
        200 => {}
        status @ 400..=499 if !matches!(status, 407 | 408 | 429) => return Err(Withheld::Refused(status)),
        status => {
            return Err(Withheld::Transient(format!("the server of identity tokens answered {status}")));
        }
    }
    let value =
        fields::json(&reply.body).and_then(Fields::of).ok().and_then(|mut fields| fields.any("value"));
    let token = match value {
        Some(Value::Text(text)) => IdentityToken::new(&text).ok(),
        _ => None,
    };
    token.ok_or_else(|| Withheld::Transient("the server of identity tokens answered without one".to_owned()))
}
