//! The token endpoint: a refresh request out, a grant or a refusal in (RFC 6749 sections 5 and 6).

use crate::address::Endpoint;
use crate::fields::{self, Fields, Value};
use crate::http::{Post, Reply};
use crate::limits::{SCOPES, SECONDS, SERVER_TEXT_BYTES, TEXT_BYTES};
use crate::provider::{Client, ClientProof, Destination, Machine, MachineGrant};
use crate::secret::{AccessToken, IdentityToken, RefreshToken};
use crate::time::Timestamp;

use super::Unsigned;

/// What a server granted. It has no getters for callers' replies: it goes through the store first (I2).
#[derive(Debug)]
pub struct Granted {
    /// The new access token.
    pub access: AccessToken,
    /// `Bearer`, however the server spelt it: it is the scheme of a header (RFC 6750 section 2.1).
    pub token_type: String,
    /// Lifetime in seconds from when the request was sent; `None` where the server names none that makes sense.
    pub expires_in: Option<i64>,
    /// The rotated refresh token, if the server sent one.
    pub refresh: Option<RefreshToken>,
    /// Lifetime of the refresh token in seconds, where the server names one.
    pub refresh_expires_in: Option<i64>,
    /// Scopes, where the server names them; absent means as asked for.
    pub scopes: Option<Vec<String>>,
    /// What kind of token it is, where the server says so (RFC 8693 section 2.2.1).
    pub issued: Option<String>,
}

/// Why there is no grant.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// `invalid_grant` with status 400 or 401: this refresh token is dead.
    InvalidGrant {
        /// The server's `error_description`, not yet escaped.
        description: Option<String>,
    },
    /// Any other OAuth error: client or configuration are wrong, the refresh token is not.
    Rejected {
        /// The server's `error`, not yet escaped.
        error: String,
        /// The server's `error_description`, not yet escaped.
        description: Option<String>,
    },
    /// 404 or 410: there is no such endpoint.
    NoEndpoint,
    /// 407, from a proxy in between.
    ProxyAuth,
    /// It may work later: 408, 429, 5xx, or anything that is no OAuth reply at all.
    Transient {
        /// What came, in words of ours.
        why: String,
        /// `Retry-After` in seconds.
        retry_after: Option<i64>,
    },
}

/// A refresh request to the token's own destination. No `scope`: a refresh never asks for more than the
/// grant has, and without the parameter it asks for exactly that.
pub fn refresh_request(
    destination: &Destination,
    proof: &ClientProof<'_>,
    token: &RefreshToken,
    extra: &[(String, String)],
    now: Timestamp,
) -> Result<Post, Unsigned> {
    let mut pairs = vec![("grant_type", "refresh_token"), ("refresh_token", token.reveal())];
    pairs.extend(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    super::post(&destination.token_endpoint, Some(&destination.client_id), proof, &pairs, now)
}

/// A machine's request for a token in its own name: with its client's credentials alone (RFC 6749 section 4.4.2), or
/// with an identity token, to be exchanged (RFC 8693 section 2.1) or as an authorization (RFC 7523 section 2.1).
pub fn machine_request(
    (machine, token_endpoint): (&Machine, &Endpoint),
    client: &Client,
    identity: Option<&IdentityToken>,
    now: Timestamp,
) -> Result<Post, Unsigned> {
    let Machine { issuer: _, token_endpoint: _, client_id, grant, scopes, services: _ } = machine;
    let scope = scopes.join(" ");
    let shown = identity.map_or("", IdentityToken::reveal);
    let extra = &client.token_params;
    let mut pairs = match grant {
        MachineGrant::ClientCredentials => vec![("grant_type", "client_credentials")],
        MachineGrant::JwtBearer(_) => vec![("grant_type", JWT_BEARER), ("assertion", shown)],
        MachineGrant::TokenExchange { identity: _, kind, audience } => {
            let mut pairs = vec![
                ("grant_type", TOKEN_EXCHANGE),
                ("subject_token", shown),
                ("subject_token_type", kind.as_str()),
            ];
            let own = extra.iter().any(|(name, _)| name == "audience");
            pairs.extend(audience.as_deref().filter(|_| !own).map(|audience| ("audience", audience)));
            pairs
        }
    };
    pairs.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
    pairs.extend(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    super::post(token_endpoint, client_id.as_deref(), &client.proof(None), &pairs, now)
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What an exchange gives must say what it is, and be a token to call a service with: another identity token is none.
pub fn exchanged(granted: Granted) -> Result<Granted, Refused> {
    const USABLE: [&str; 2] =
        ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];
    if granted.issued.as_deref().is_some_and(|issued| USABLE.contains(&issued)) {
        return Ok(granted);
    }
    Err(Refused::Transient {
        why: "the server's reply has no usable `issued_token_type`".to_owned(),
        retry_after: None,
    })
}

/// Reads a reply. Whatever it says, nothing here touches the stored token.
pub fn read(reply: &Reply, now: Timestamp) -> Result<Granted, Refused> {
    let retry_after = reply.retry_after.as_deref().and_then(|text| retry_after(text, now));
    let transient = |why: &str| Refused::Transient { why: why.to_owned(), retry_after };
    match reply.status {
        404 | 410 => return Err(Refused::NoEndpoint),
        407 => return Err(Refused::ProxyAuth),
        status @ (408 | 429 | 500..=599) => return Err(transient(&format!("the server answered {status}"))),
        status @ 300..=399 => {
            return Err(transient(&format!(
                "the server answered with a redirect ({status}), which is never followed"
            )));
        }
        200 | 400..=499 => {}
        status => return Err(transient(&format!("the server answered {status}"))),
    }
    if !super::is_json(reply.content_type.as_deref()) {
        return Err(transient(&format!(
            "the server answered {} with something that is not JSON",
            reply.status
        )));
    }
    let broken = |_: fields::Error| {
        transient(&format!("the server answered {} with JSON that is no token reply", reply.status))
    };
    let mut fields = fields::json(&reply.body).and_then(Fields::of).map_err(broken)?;
    match error_of(&mut fields) {
        Some(Value::Text(error)) => return Err(refusal(reply.status, &error, &mut fields, retry_after)),
        Some(_) => return Err(transient("the server answered with an `error` that is no text")),
        None if reply.status != 200 => {
            return Err(transient(&format!("the server answered {} without saying why", reply.status)));
        }
        None => {}
    }
    granted(&mut fields).map_err(|why| transient(&why))
}

/// The refresh token of a reply that [`read`] could not use for another reason: a server that answers 2xx has
/// rotated, however odd the rest of its answer.
#[must_use]
pub fn rotated(reply: &Reply) -> Option<RefreshToken> {
    let success = (200..300).contains(&reply.status);
    let mut fields = fields::json(&reply.body).and_then(Fields::of).ok().filter(|_| success)?;
    match (error_of(&mut fields), fields.any("refresh_token")) {
        (None, Some(Value::Text(text))) => RefreshToken::new(&text).ok(),
        _ => None,
    }
}

/// The `error` of a reply. Servers that write every key they know leave it `null` or empty in a grant.
fn error_of(fields: &mut Fields) -> Option<Value> {
    fields.any("error").filter(|error| *error != Value::Null && *error != Value::Text(String::new()))
}

fn refusal(status: u16, error: &str, fields: &mut Fields, retry_after: Option<i64>) -> Refused {
    let description = match fields.any("error_description") {
        Some(Value::Text(text)) if text.len() <= SERVER_TEXT_BYTES => Some(text),
        _ => None,
    };
    match (error, status) {
        ("invalid_grant", 400 | 401) => Refused::InvalidGrant { description },
        ("temporarily_unavailable" | "server_error" | "slow_down", _) => {
            Refused::Transient { why: format!("the server answered `{error}`"), retry_after }
        }
        _ if error.len() > SERVER_TEXT_BYTES => Refused::Rejected { error: String::new(), description },
        _ => Refused::Rejected { error: error.to_owned(), description },
    }
}

fn granted(fields: &mut Fields) -> Result<Granted, String> {
    let wrong = |name: &str| format!("the server's reply has no usable `{name}`");
    let Some(Value::Text(access)) = fields.any("access_token") else { return Err(wrong("access_token")) };
    let access = AccessToken::new(&access).map_err(|_| wrong("access_token"))?;
    let Some(Value::Text(token_type)) = fields.any("token_type") else { return Err(wrong("token_type")) };
    // RFC 6749 section 7.1: a type we do not understand must not be used. DPoP needs a key we do not have.
    if !token_type.eq_ignore_ascii_case("bearer") {
        return Err(wrong("token_type"));
    }
    let refresh = match fields.any("refresh_token") {
        None | Some(Value::Null) => None,
        Some(Value::Text(text)) if text.is_empty() => None,
        Some(Value::Text(text)) => Some(RefreshToken::new(&text).map_err(|_| wrong("refresh_token"))?),
        Some(_) => return Err(wrong("refresh_token")),
    };
    let scopes = match fields.any("scope") {
        Some(Value::Text(text)) => scope_list(&text),
        _ => None,
    };
    let issued = match fields.any("issued_token_type") {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    Ok(Granted {
        access,
        token_type: "Bearer".to_owned(),
        expires_in: fields.any("expires_in").and_then(|value| lifetime(&value)),
        refresh,
        refresh_expires_in: (fields
            .any("refresh_token_expires_in")
            .or_else(|| fields.any("refresh_expires_in")))
        .and_then(|value| lifetime(&value))
        .filter(|seconds| *seconds > 0),
        scopes,
        issued,
    })
}

/// RFC 6749 section 3.3. A list that is no list of scopes, or over our limits, is not worth losing a rotated
/// token over: the session then keeps the scopes it had.
fn scope_list(text: &str) -> Option<Vec<String>> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let scopes: Vec<String> = text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let well_formed = !scopes.is_empty()
        && scopes.iter().all(|scope| scope.len() <= TEXT_BYTES && scope.bytes().all(allowed));
    (well_formed && scopes.len() <= SCOPES).then_some(scopes)
}

/// A lifetime in seconds. Servers also send `"3600"` and `3600.0`; what makes no sense is no known lifetime,
/// and what is over ten years is ten years.
fn lifetime(value: &Value) -> Option<i64> {
    let seconds = match value {
        Value::Int(seconds) => *seconds,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cast saturates, and the cap below is far under it"
        )]
        Value::Float(seconds) if seconds.is_finite() && *seconds >= 0.0 => *seconds as i64,
        Value::Text(text) => digits(text)?,
        _ => return None,
    };
    (seconds >= 0).then(|| seconds.min(SECONDS))
}

/// A number written in digits alone. What is over any number is still a number.
fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().unwrap_or(i64::MAX))
}

/// `Retry-After` as seconds or HTTP date (RFC 9110 section 10.2.3), held to a day: a server's slip must not
/// lock anyone out for longer.
fn retry_after(text: &str, now: Timestamp) -> Option<i64> {
    const DAY: i64 = 86_400;
    let text = text.trim();
    let seconds = match digits(text) {
        Some(seconds) => seconds,
        None => Timestamp::parse_http_date(text)?.since(now),
    };
    (seconds >= 0).then(|| seconds.min(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, content_type: &str, body: &str) -> Reply {
        Reply {
            status,
            content_type: Some(content_type.to_owned()),
            retry_after: None,
            body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn json(status: u16, body: &str) -> Result<Granted, Refused> {
        read(&reply(status, "application/json;charset=UTF-8", body), Timestamp::from_unix(0))
    }

    #[test]
    fn a_grant_is_read_whatever_shape_its_lifetime_has() {
        for (written, seconds) in [
            ("3600", Some(3600)),
            ("\"3600\"", Some(3600)),
            ("3600.0", Some(3600)),
            ("0", Some(0)),
            ("-1", None),
            ("true", None),
            ("null", None),
            ("\"soon\"", None),
            ("99999999999999999999", Some(SECONDS)),
            ("1e300", Some(SECONDS)),
        ] {
            let body = format!(r#"{{"access_token":"AT","token_type":"bearer","expires_in":{written}}}"#);
            assert_eq!(json(200, &body).unwrap().expires_in, seconds, "{written}");
        }
    }

    #[test]
    fn an_empty_or_absent_refresh_token_means_keep_the_old_one() {
        for part in ["", r#","refresh_token":"""#, r#","refresh_token":null"#] {
            let body = format!(r#"{{"access_token":"AT","token_type":"Bearer"{part}}}"#);
            assert!(json(200, &body).unwrap().refresh.is_none(), "{part}");
        }
    }

    #[test]
    fn a_success_that_is_no_token_may_work_later() {
        for body in [
            "",
            "[]",
            "null",
            "{}",
            "<html>",
            "\u{feff}{}",
            r#"{"access_token":"AT"}"#,
            r#"{"token_type":"bearer"}"#,
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"a\nb","token_type":"bearer"}"#,
            r#"{"access_token":"AT","token_type":"mac"}"#,
            r#"{"access_token":"AT","access_token":"B","token_type":"bearer"}"#,
            r#"{"access_token":"AT","token_type":"bearer","refresh_token":" "}"#,
        ] {
            assert!(matches!(json(200, body), Err(Refused::Transient { .. })), "{body}");
        }
        let html = read(
            &reply(200, "text/html", r#"{"access_token":"AT","token_type":"bearer"}"#),
            Timestamp::from_unix(0),
        );
        assert!(matches!(html, Err(Refused::Transient { .. })));
    }

    #[test]
    fn only_invalid_grant_with_400_or_401_is_the_end_of_a_token() {
        let body = r#"{"error":"invalid_grant","error_description":"gone"}"#;
        for status in [400, 401] {
            assert_eq!(
                json(status, body).unwrap_err(),
                Refused::InvalidGrant { description: Some("gone".to_owned()) }
            );
        }
        assert!(matches!(json(200, body), Err(Refused::Rejected { .. })));
        assert!(matches!(json(403, body), Err(Refused::Rejected { .. })));
        assert!(matches!(json(500, body), Err(Refused::Transient { .. })));
        assert!(matches!(json(401, r#"{"error":"invalid_client"}"#), Err(Refused::Rejected { .. })));
        assert!(matches!(json(400, r#"{"error":"server_error"}"#), Err(Refused::Transient { .. })));
        assert!(matches!(json(404, "{}"), Err(Refused::NoEndpoint)));
        for status in [302, 403, 408, 418, 429, 503] {
            assert!(matches!(json(status, "{}"), Err(Refused::Transient { .. })), "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_a_day() {
        let now = Timestamp::parse("2026-10-21T07:27:00Z").unwrap();
        assert_eq!(retry_after("120", now), Some(120));
        assert_eq!(retry_after("Wed, 21 Oct 2026 07:28:00 GMT", now), Some(60));
        assert_eq!(retry_after("999999999", now), Some(86_400));
        for nonsense in ["-5", "soon", "", "Wed, 21 Oct 2020 07:28:00 GMT"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }
}
