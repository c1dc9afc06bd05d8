//! Token revocation (RFC 7009).

use std::time::Duration;

use crate::http::{Error, Http, Post};
use crate::provider::{ClientProof, Destination};
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;

/// What became of a revocation; local erasure never depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered 200, as it also does for a token it does not know.
    Revoked,
    /// It could not be reached or refused.
    Failed,
}

/// Nobody waits longer than this to be signed out.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the server to end the grant of a refresh token. Sent to the endpoint stored beside the token; the
/// caller has already established that there is one.
pub fn revoke(
    http: &dyn Http,
    destination: &Destination,
    proof: &ClientProof<'_>,
    token: &RefreshToken,
    now: Timestamp,
) -> Outcome {
    ask(http, destination, proof, [("token", token.reveal()), ("token_type_hint", "refresh_token")], now)
}

/// The same for an access token (RFC 7009 section 2.1), after its refresh token. What it says is worth a try and no
/// more: the token ends by itself.
pub fn revoke_access(
    http: &dyn Http,
    destination: &Destination,
    proof: &ClientProof<'_>,
    token: &AccessToken,
    now: Timestamp,
) -> Outcome {
    ask(http, destination, proof, [("token", token.expose()), ("token_type_hint", "access_token")], now)
}

fn ask(
    http: &dyn Http,
    destination: &Destination,
    proof: &ClientProof<'_>,
    pairs: [(&str, &str); 2],
    now: Timestamp,
) -> Outcome {
    let Some(endpoint) = &destination.revocation_endpoint else { return Outcome::Failed };
    let Ok(post) = super::post(endpoint, Some(&destination.client_id), proof, &pairs, now) else {
        return Outcome::Failed;
    };
    let post = Post { within: Some(PATIENCE), ..post };
    match http.post(&post) {
        Ok(reply) if reply.status == 200 => Outcome::Revoked,
        Ok(_)
        | Err(
            Error::Unsent(_)
            | Error::Untrusted(_)
            | Error::ProxyAuth
            | Error::BadProxy
            | Error::Broken(_)
            | Error::TooLarge,
        ) => Outcome::Failed,
    }
}
