//! Client assertions: a JWT that our client signs about itself, for one request (RFC 7523 section 3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Unsigned;
use crate::provider::Signer;
use crate::secret::hex;
use crate::time::Timestamp;

/// `client_assertion_type`.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Long enough for clocks that are a little apart: it is used at once.
const SECONDS: i64 = 60;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
}

/// An assertion that nobody has seen yet.
pub(super) fn signed(
    signer: &Signer,
    client_id: &str,
    now: Timestamp,
) -> Result<Zeroizing<String>, Unsigned> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Unsigned)?;
    let header = Header { alg: signer.key.algorithm(), typ: "JWT", kid: signer.key_id.as_deref() };
    let (iat, exp) = (now.unix(), now.plus(SECONDS).unix());
    let jti = hex(&random);
    let claims = Claims { iss: client_id, sub: client_id, aud: &signer.audience, exp, iat, jti: &jti };
    let mut text = Zeroizing::new(format!("{}.{}", encoded(&header)?, encoded(&claims)?));
    let signature = signer.key.sign(text.as_bytes()).ok_or(Unsigned)?;
    text.push('.');
    text.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(text)
}

fn encoded(part: &impl Serialize) -> Result<String, Unsigned> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).map_err(|_| Unsigned)?))
}
