//! One request at a time, to an [`Endpoint`]: no redirects, no compression, no cookies, bounded in time and size.

mod deadline;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use zeroize::Zeroizing;

use crate::address::{Endpoint, is_loopback};
use crate::limits::{HTTP_BODY_BYTES, HTTP_HEADER_BYTES};
use deadline::{Progress, Within};

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
}

impl Content {
    fn media_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

/// A POST. No `Debug`: header and body carry secrets.
pub struct Post {
    /// Where to.
    pub endpoint: Endpoint,
    /// `Authorization`, where the client authenticates by HTTP Basic.
    pub authorization: Option<Zeroizing<String>>,
    /// What the body is.
    pub content: Content,
    /// The body.
    pub body: Zeroizing<String>,
    /// A deadline shorter than the usual, for what a user waits on only out of courtesy to the server.
    pub within: Option<Duration>,
}

/// A GET. No `Debug`: the header may carry a token.
pub struct Get {
    /// Where to.
    pub endpoint: Endpoint,
    /// `Authorization`, where the answer is for the bearer of a token alone.
    pub authorization: Option<Zeroizing<String>>,
    /// A deadline shorter than the usual.
    pub within: Option<Duration>,
    /// The largest body that is read, in bytes.
    pub limit: usize,
}

/// What came back. No `Debug`: the body may carry tokens.
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// `Content-Type`, where given as text.
    pub content_type: Option<String>,
    /// `Retry-After`, where given as text.
    pub retry_after: Option<String>,
    /// The whole body.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why nothing came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// The host was not found, the connection not made: provably nothing was sent.
    Unsent(String),
    /// The server's certificate is not one this machine trusts for that name: provably nothing was sent.
    Untrusted(String),
    /// The proxy wants credentials (status 407): provably nothing was sent.
    ProxyAuth,
    /// The configured proxy is no `http` or `https` URL.
    BadProxy,
    /// The exchange broke off or ran out of time: the server may have seen the request.
    Broken(String),
    /// Header or body are over the limit; the server did see the request.
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(why) => write!(f, "no connection: {why}"),
            Self::Untrusted(why) => write!(f, "certificate refused: {why}"),
            Self::ProxyAuth => f.write_str("the proxy asks for credentials"),
            Self::BadProxy => f.write_str("the configured proxy is no http or https URL"),
            Self::Broken(why) => write!(f, "the exchange broke off: {why}"),
            Self::TooLarge => f.write_str("the reply is too large"),
        }
    }
}

/// The network, as the policy sees it.
pub trait Http {
    /// Sends one POST and reads the reply whole.
    fn post(&self, post: &Post) -> Result<Reply, Error>;
    /// Sends one GET and reads the reply whole.
    fn get(&self, get: &Get) -> Result<Reply, Error>;
}

/// Which proxy serves which URL, from the environment as `settings` read it.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// `HTTPS_PROXY`.
    pub https: Option<String>,
    /// `ALL_PROXY`.
    pub all: Option<String>,
    /// `NO_PROXY`: hosts, comma-separated; each also stands for its subdomains; `*` for every host.
    pub none: String,
}

impl Proxies {
    /// The proxy for an endpoint; never one for a loopback address.
    #[must_use]
    pub fn serving(&self, endpoint: &Endpoint) -> Option<&str> {
        if is_loopback(endpoint.url()) {
            return None;
        }
        let host = endpoint.url().host_str().unwrap_or_default();
        let port = endpoint.url().port_or_known_default();
        if self.none.split(',').any(|entry| exempts(entry.trim(), host, port)) {
            return None;
        }
        self.https.as_deref().or(self.all.as_deref())
    }
}

fn exempts(entry: &str, host: &str, port: Option<u16>) -> bool {
    let entry = entry.to_ascii_lowercase();
    if entry == "*" {
        return true;
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => match digits.parse() {
            Ok(wanted) => (name, Some(wanted)),
            Err(_) => return false,
        },
        _ => (entry.as_str(), None),
    };
    if wanted.is_some() && wanted != port {
        return false;
    }
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    !name.is_empty() && (host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
}

/// How long one exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To a finished TLS handshake.
    pub connect: Duration,
    /// The whole exchange.
    pub whole: Duration,
}

/// The real network: ureq over rustls, trusting what this platform trusts.
pub struct Network {
    /// Deadlines.
    pub patience: Patience,
    /// Proxies.
    pub proxies: Proxies,
}

impl Network {
    fn agent(&self, endpoint: &Endpoint, within: Option<Duration>) -> Result<(ureq::Agent, Progress), Error> {
        let whole = within.map_or(self.patience.whole, |within| within.min(self.patience.whole));
        let patience = Patience { whole, ..self.patience };
        let proxy = match self.proxies.serving(endpoint) {
            Some(text) => Some(http_proxy(text)?),
            None => None,
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls)
            // No timeout_global: the connection keeps the deadline, see there.
            .timeout_resolve(Some(whole))
            .timeout_connect(Some(self.patience.connect))
            .max_response_header_size(HTTP_HEADER_BYTES)
            .max_idle_connections(0)
            .user_agent(concat!("claviger/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .accept_encoding("identity")
            .build();
        let connector = Within::new(DefaultConnector::new(), patience);
        let progress = connector.progress();
        Ok((ureq::Agent::with_parts(config, connector, Names(DefaultResolver::default())), progress))
    }
}

/// The system's resolver, whose failures say what they are: on their own they arrive as some I/O error, and
/// would be taken for an exchange that broke off. It needs a thread, whose absence it panics over: whether there can be
/// one is tried first.
#[derive(Debug)]
struct Names(DefaultResolver);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if let (Ok(address), Some(port)) = (host.parse(), port_of(uri)) {
            let mut found = self.0.empty();
            found.push(std::net::SocketAddr::new(address, port));
            return Ok(found);
        }
        let tried = std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join);
        tried.map_err(|_| ureq::Error::ConnectionFailed)?.ok();
        self.0.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        })
    }
}

fn port_of(uri: &ureq::http::Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })
}

fn http_proxy(text: &str) -> Result<ureq::Proxy, Error> {
    let proxy = ureq::Proxy::new(text).map_err(|_| Error::BadProxy)?;
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
        _ => Err(Error::BadProxy),
    }
}

impl Http for Network {
    fn post(&self, post: &Post) -> Result<Reply, Error> {
        let (agent, progress) = self.agent(&post.endpoint, post.within)?;
        let mut request = agent.post(post.endpoint.as_str()).content_type(post.content.media_type());
        if let Some(authorization) = &post.authorization {
            request = request.header("Authorization", authorization.as_str());
        }
        whole(request.send(post.body.as_bytes()), HTTP_BODY_BYTES, &progress)
    }

    fn get(&self, get: &Get) -> Result<Reply, Error> {
        let (agent, progress) = self.agent(&get.endpoint, get.within)?;
        let mut request = agent.get(get.endpoint.as_str());
        if let Some(authorization) = &get.authorization {
            request = request.header("Authorization", authorization.as_str());
        }
        whole(request.call(), get.limit, &progress)
    }
}

fn whole(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    limit: usize,
    progress: &Progress,
) -> Result<Reply, Error> {
    let classify = |error: ureq::Error| classify(&error, progress.is_connected());
    let mut response = answer.map_err(classify)?;
    let text =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, retry_after) = (text("content-type"), text("retry-after"));
    let status = response.status().as_u16();
    // The library calls a body too large that ends just at its limit.
    let limit = u64::try_from(limit.saturating_add(1)).unwrap_or(u64::MAX);
    let body = response.body_mut().with_config().limit(limit).read_to_vec().map_err(classify)?;
    Ok(Reply { status, content_type, retry_after, body: Zeroizing::new(body) })
}

/// ureq's errors carry no header and no body of ours; what they quote is a host, a status, a system's words.
fn classify(error: &ureq::Error, connected: bool) -> Error {
    match error {
        ureq::Error::LargeResponseHeader(..) | ureq::Error::BodyExceedsLimit(_) => Error::TooLarge,
        // Whatever its name: a route that is gone is told where an answer was waited for, too.
        other if connected => Error::Broken(other.to_string()),
        ureq::Error::HostNotFound => Error::Unsent("host not found".to_owned()),
        ureq::Error::ConnectionFailed => Error::Unsent("connection failed".to_owned()),
        ureq::Error::Timeout(ureq::Timeout::Resolve) => {
            Error::Unsent("the host name was not resolved in time".to_owned())
        }
        ureq::Error::Timeout(ureq::Timeout::Connect) => Error::Unsent("not connected in time".to_owned()),
        ureq::Error::ConnectProxyFailed(reason) if reason.contains("407") => Error::ProxyAuth,
        ureq::Error::ConnectProxyFailed(reason) => Error::Unsent(reason.clone()),
        ureq::Error::InvalidProxyUrl => Error::BadProxy,
        ureq::Error::Rustls(tls) => certificate(tls).unwrap_or_else(|| Error::Broken(error.to_string())),
        ureq::Error::Io(io) => classify_io(io),
        other => Error::Broken(other.to_string()),
    }
}

fn classify_io(io: &std::io::Error) -> Error {
    use std::io::ErrorKind as Kind;
    let tls = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(refused) = tls.and_then(certificate) {
        return refused;
    }
    match io.kind() {
        Kind::ConnectionRefused
        | Kind::AddrNotAvailable
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable => Error::Unsent(io.to_string()),
        _ => Error::Broken(io.to_string()),
    }
}

fn certificate(tls: &rustls::Error) -> Option<Error> {
    match tls {
        rustls::Error::InvalidCertificate(why) => Some(Error::Untrusted(why.to_string())),
        rustls::Error::NoCertificatesPresented => Some(Error::Untrusted("none was presented".to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    #[test]
    fn the_proxy_is_chosen_by_url() {
        let proxies = Proxies {
            https: Some("http://p1:3128".to_owned()),
            all: Some("http://p2:3128".to_owned()),
            none: "internal.example, .corp.example,api.example:8443 ,192.0.2.7".to_owned(),
        };
        assert_eq!(proxies.serving(&endpoint("https://id.example/token")), Some("http://p1:3128"));
        for direct in [
            "http://127.0.0.1:9/token",
            "https://127.0.0.1/token",
            "https://[::1]/token",
            "https://internal.example/",
            "https://a.internal.example/",
            "https://corp.example/",
            "https://x.corp.example/",
            "https://api.example:8443/",
            "https://192.0.2.7/",
        ] {
            assert_eq!(proxies.serving(&endpoint(direct)), None, "{direct}");
        }
        for proxied in
            ["https://notinternal.example/", "https://api.example/", "https://internal.example.evil/"]
        {
            assert!(proxies.serving(&endpoint(proxied)).is_some(), "{proxied}");
        }
        let all = Proxies { https: None, ..proxies.clone() };
        assert_eq!(all.serving(&endpoint("https://id.example/token")), Some("http://p2:3128"));
        assert_eq!(
            Proxies { none: "*".to_owned(), ..proxies }.serving(&endpoint("https://id.example")),
            None
        );
    }

    #[test]
    fn a_socks_proxy_is_refused_rather_than_bypassed() {
        assert_eq!(http_proxy("socks5://127.0.0.1:1080").err(), Some(Error::BadProxy));
    }
}
