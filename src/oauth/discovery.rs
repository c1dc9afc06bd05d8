//! Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0): where an issuer's endpoints are, as it
//! says itself.

use url::Url;

use crate::address::{self, Endpoint};
use crate::fields::{self, Fields, Value};
use crate::http::{self, Get, Http, Reply};
use crate::limits::{DOCUMENT_BYTES, URL_BYTES};

/// What an issuer says of itself, as far as this client has a use for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// RFC 6749 section 3.1.
    pub authorization_endpoint: Option<Endpoint>,
    /// RFC 6749 section 3.2.
    pub token_endpoint: Option<Endpoint>,
    /// RFC 8628 section 3.1.
    pub device_authorization_endpoint: Option<Endpoint>,
    /// RFC 7009.
    pub revocation_endpoint: Option<Endpoint>,
    /// RFC 7591.
    pub registration_endpoint: Option<Endpoint>,
    /// OpenID Connect Core section 5.3.
    pub userinfo_endpoint: Option<Endpoint>,
    /// Whether every authorization response carries `iss` (RFC 9207 section 3).
    pub names_itself: bool,
    /// Whether PKCE by S256 may be used: it is listed, or nothing is said of methods at all.
    pub s256: bool,
}

/// Why a document is not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is none at this address: the next one may have it.
    Absent,
    /// It may be there later: the server is overloaded or broken.
    Transient(String),
    /// It is there and cannot be used.
    Unusable(String),
}

/// Why an issuer's metadata is not to be had.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// It could not be asked.
    Http(http::Error),
    /// It may answer later.
    Transient(String),
    /// What it says of itself cannot be used.
    Unusable(String),
    /// It says nothing of itself at any of its well-known addresses.
    Nowhere,
}

/// Asks an issuer where its endpoints are.
pub fn ask(http: &dyn Http, issuer: &str) -> Result<Metadata, Failed> {
    for endpoint in addresses(issuer) {
        let get = Get { endpoint, authorization: None, within: None, limit: DOCUMENT_BYTES };
        let reply = http.get(&get).map_err(Failed::Http)?;
        match read(&reply, issuer) {
            Ok(metadata) => return Ok(metadata),
            Err(Refused::Absent) => {}
            Err(Refused::Transient(why)) => return Err(Failed::Transient(why)),
            Err(Refused::Unusable(why)) => return Err(Failed::Unusable(why)),
        }
    }
    Err(Failed::Nowhere)
}

/// Where an issuer's metadata may lie, in the order they are asked: RFC 8414 section 3.1 puts the well-known part
/// between host and path, OpenID Connect Discovery section 4 after the path.
#[must_use]
pub fn addresses(issuer: &str) -> Vec<Endpoint> {
    let Ok(url) = address::parse(issuer) else { return Vec::new() };
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: String| -> Option<Endpoint> {
        let mut url: Url = url.clone();
        url.set_path(&path);
        Endpoint::parse(url.as_str()).ok()
    };
    let mut found: Vec<Endpoint> = [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ]
    .into_iter()
    .filter_map(at)
    .collect();
    found.dedup();
    found
}

/// Reads a document. It must name the very issuer that was asked, byte for byte (RFC 8414 section 3.3): another's
/// endpoints would be another's to choose.
pub fn read(reply: &Reply, issuer: &str) -> Result<Metadata, Refused> {
    match reply.status {
        200 => {}
        status @ (408 | 429 | 500..=599) => {
            return Err(Refused::Transient(format!("the server answered {status}")));
        }
        _ => return Err(Refused::Absent),
    }
    let unusable = |why: &str| Refused::Unusable(why.to_owned());
    // Some servers answer every path with a page.
    if !super::is_json(reply.content_type.as_deref()) {
        return Err(Refused::Absent);
    }
    let mut fields = fields::json(&reply.body)
        .and_then(Fields::of)
        .map_err(|_| unusable("it is not a JSON object that can be read"))?;
    match fields.any("issuer") {
        Some(Value::Text(named)) if named == issuer => {}
        Some(Value::Text(named)) if named.trim_end_matches('/') == issuer.trim_end_matches('/') => {
            return Err(unusable("its `issuer` differs in the slash at the end"));
        }
        _ => return Err(unusable("its `issuer` is another")),
    }
    let methods = match fields.any("code_challenge_methods_supported") {
        Some(Value::List(methods)) => Some(methods),
        _ => None,
    };
    let s256 = methods.is_none_or(|methods| methods.contains(&Value::Text("S256".to_owned())));
    let names_itself =
        fields.any("authorization_response_iss_parameter_supported") == Some(Value::Bool(true));
    // An issuer elsewhere has no business with what listens on this machine.
    let at_home = address::parse(issuer).is_ok_and(|url| address::is_loopback(&url));
    let astray = |endpoint: &Endpoint| !at_home && address::is_loopback(endpoint.url());
    let mut endpoint = |key: &str| match fields.any(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) if text.len() <= URL_BYTES => {
            let parsed = Endpoint::parse(&text)
                .map_err(|error| Refused::Unusable(format!("its `{key}` {}", error.words())))?;
            if astray(&parsed) {
                return Err(Refused::Unusable(format!("its `{key}` is on this machine")));
            }
            Ok(Some(parsed))
        }
        Some(_) => Err(Refused::Unusable(format!("its `{key}` is no URL"))),
    };
    Ok(Metadata {
        authorization_endpoint: endpoint("authorization_endpoint")?,
        token_endpoint: endpoint("token_endpoint")?,
        device_authorization_endpoint: endpoint("device_authorization_endpoint")?,
        revocation_endpoint: endpoint("revocation_endpoint")?,
        registration_endpoint: endpoint("registration_endpoint")?,
        userinfo_endpoint: endpoint("userinfo_endpoint")?,
        names_itself,
        s256,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(issuer: &str) -> Vec<String> {
        addresses(issuer).iter().map(|endpoint| endpoint.as_str().to_owned()).collect()
    }

    fn document(body: &str) -> Result<Metadata, Refused> {
        let reply = Reply {
            status: 200,
            content_type: Some("application/json; charset=utf-8".to_owned()),
            retry_after: None,
            body: body.as_bytes().to_vec().into(),
        };
        read(&reply, "https://id.example")
    }

    #[test]
    fn the_well_known_part_stands_before_the_path_and_then_after_it() {
        assert_eq!(
            texts("https://id.example/tenant/"),
            [
                "https://id.example/.well-known/oauth-authorization-server/tenant",
                "https://id.example/.well-known/openid-configuration/tenant",
                "https://id.example/tenant/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            texts("https://id.example"),
            [
                "https://id.example/.well-known/oauth-authorization-server",
                "https://id.example/.well-known/openid-configuration",
            ]
        );
    }

    #[test]
    fn another_issuers_document_is_refused_to_the_byte() {
        let ok = r#"{"issuer":"https://id.example","token_endpoint":"https://id.example/token"}"#;
        let read = document(ok).unwrap();
        assert_eq!(read.token_endpoint.unwrap().as_str(), "https://id.example/token");
        assert!(read.s256 && !read.names_itself);
        for other in [
            r#"{"issuer":"https://id.example/"}"#,
            r#"{"issuer":"https://ID.example"}"#,
            r#"{"issuer":"https://id.example:443"}"#,
            r#"{"issuer":"https://evil.example"}"#,
            r#"{"issuer":["https://id.example"]}"#,
            r#"{"issuer":null}"#,
            r"{}",
            r"[]",
            r#"{"issuer":"https://id.example","issuer":"https://id.example"}"#,
        ] {
            assert!(matches!(document(other), Err(Refused::Unusable(_))), "{other}");
        }
    }

    #[test]
    fn an_endpoint_that_is_no_https_url_spoils_the_whole_document() {
        for hostile in [
            "http://id.example/token",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://id.example/#f",
            "https://user@id.example/",
            "-flag",
            "",
            "http://127.0.0.1:8080/token",
            "https://[::1]/token",
        ] {
            let body = format!(r#"{{"issuer":"https://id.example","authorization_endpoint":"{hostile}"}}"#);
            assert!(matches!(document(&body), Err(Refused::Unusable(_))), "{hostile}");
        }
    }

    #[test]
    fn methods_that_leave_s256_out_are_noticed() {
        let with = |methods: &str| {
            let body =
                format!(r#"{{"issuer":"https://id.example","code_challenge_methods_supported":{methods}}}"#);
            document(&body).unwrap().s256
        };
        assert!(with(r#"["plain","S256"]"#));
        assert!(!with(r#"["plain"]"#));
        assert!(!with("[]"));
    }

    #[test]
    fn a_page_or_a_404_is_no_document_and_a_503_may_become_one() {
        let reply = |status, content_type: &str| Reply {
            status,
            content_type: Some(content_type.to_owned()),
            retry_after: None,
            body: b"{}".to_vec().into(),
        };
        let read = |status, content_type| read(&reply(status, content_type), "https://id.example");
        assert_eq!(read(404, "application/json"), Err(Refused::Absent));
        assert_eq!(read(200, "text/html"), Err(Refused::Absent));
        assert_eq!(read(302, "text/html"), Err(Refused::Absent));
        assert!(matches!(read(503, "text/html"), Err(Refused::Transient(_))));
    }
}
