//! What goes wrong while somebody signs in.

use super::{of_configuration, of_http, of_store, proxy_auth};
use crate::http;
use crate::message::{Code, Failure};
use crate::oauth::discovery::Failed;
use crate::oauth::token::Refused;
use crate::refresh;
use crate::text::Escaped;

/// The server could not be asked for something that a login needs.
#[must_use]
pub fn of_request(error: &http::Error, what: &str) -> Failure {
    let failure = of_http(error, what);
    match failure.code {
        Code::AuthRefreshTransient | Code::TlsUntrusted => {
            let words = error.to_string();
            let hint = if failure.code == Code::TlsUntrusted {
                failure.hint
            } else {
                "see to the network and try again".to_owned()
            };
            Failure::new(failure.code, format!("{what} could not be had: {}", Escaped(&words)), hint)
        }
        _ => failure,
    }
}

/// A client's secret is not to be had.
#[must_use]
pub fn of_unready(error: refresh::Error, provider: &str) -> Failure {
    match error {
        refresh::Error::Misconfigured(fault) => of_configuration(fault),
        refresh::Error::Store(error) => of_store(&error),
        _ => Failure::new(
            Code::Internal,
            format!("the client of `{provider}` is not ready"),
            "please report it",
        ),
    }
}

/// An issuer's metadata is not to be had.
#[must_use]
pub fn of_discovery(failed: Failed, issuer: &str, provider: &str) -> Failure {
    let shown = Escaped(issuer);
    let hint =
        || format!("see to `issuer` of provider `{provider}` in config.toml, or name its endpoints there");
    match failed {
        Failed::Http(error) => of_request(&error, &format!("what {shown} says of itself")),
        Failed::Transient(why) => Failure::new(
            Code::AuthRefreshTransient,
            format!("the server {shown} does not say where its endpoints are: {why}"),
            "try again later",
        ),
        Failed::Unusable(why) => Failure::new(
            Code::ConfigInvalid,
            format!("the metadata of {shown} is not used: {}", Escaped(&why)),
            hint(),
        ),
        Failed::Nowhere => Failure::new(
            Code::EndpointNotFound,
            format!("{shown} has no metadata at any of its well-known addresses"),
            hint(),
        ),
    }
}

/// The server would not do something that a login needs.
#[must_use]
pub fn of_login_refusal(refused: Refused, provider: &str, what: &str) -> Failure {
    let said =
        |text: Option<String>| text.map_or_else(String::new, |text| format!(" (\"{}\")", Escaped(&text)));
    match refused {
        Refused::InvalidGrant { description } => Failure::new(
            Code::ProviderRejected,
            format!("the server of `{provider}` would not {what}: `invalid_grant`{}", said(description)),
            "sign in again; nothing was kept",
        ),
        Refused::Rejected { error, description } => Failure::new(
            Code::ProviderRejected,
            format!(
                "the server of `{provider}` would not {what}: `{}`{}",
                Escaped(&error),
                said(description)
            ),
            "see to the client id, its secret, its redirect URIs and its scopes at the server; nothing was kept",
        ),
        Refused::NoEndpoint => Failure::new(
            Code::EndpointNotFound,
            format!("the server of `{provider}` has nothing at the address that would {what}"),
            "see to the endpoints of the provider in config.toml",
        ),
        Refused::ProxyAuth => proxy_auth(),
        Refused::Transient { why, retry_after } => Failure {
            retry_after,
            ..Failure::new(
                Code::AuthRefreshTransient,
                format!("the server of `{provider}` did not {what}: {}", Escaped(&why)),
                "sign in again; nothing was kept",
            )
        },
    }
}

/// What came back instead of a code (RFC 6749 section 4.1.2.1, RFC 8628 section 3.5).
#[must_use]
pub fn of_denial(error: &str, description: Option<&str>, provider: &str) -> Failure {
    let said = description.map_or_else(String::new, |text| format!(" (\"{}\")", Escaped(text)));
    match error {
        "access_denied" => Failure::new(
            Code::LoginDenied,
            format!("the login to `{provider}` was refused at the server{said}"),
            "run it again if that was not meant; nothing was kept, and what was there before still is",
        ),
        "temporarily_unavailable" | "server_error" => Failure::new(
            Code::AuthRefreshTransient,
            format!("the server of `{provider}` answered `{error}`{said}"),
            "try again later; nothing was kept",
        ),
        other => Failure::new(
            Code::ProviderRejected,
            format!("the server of `{provider}` answered `{}`{said}", Escaped(other)),
            "see to the client id, its redirect URIs and its scopes at the server; nothing was kept",
        ),
    }
}
