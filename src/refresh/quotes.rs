//! What a server quotes of what it was sent is not passed on: its words reach logs and terminals (I1).

use url::form_urlencoded;

use crate::http::Post;
use crate::oauth::token::{Granted, Refused};
use crate::provider::Client;
use crate::secret::{ClientSecret, IdentityToken, RefreshToken};
use crate::store::record::RefreshEntry;

/// Fields whose values are as good as secrets.
const SHOWN: [&str; 6] =
    ["client_assertion", "assertion", "subject_token", "code", "code_verifier", "device_code"];

/// The secrets of one request.
pub struct Sent<'a> {
    token: Option<&'a RefreshToken>,
    client: [Option<&'a ClientSecret>; 2],
    /// What went in `Authorization`, which is easily turned back into the secret.
    credentials: Option<ClientSecret>,
    /// What was shown or signed for this request: whoever has it can use it until it ends.
    shown: Vec<IdentityToken>,
}

impl<'a> Sent<'a> {
    /// Those of a refresh, whose slot is `entry`, or of any other request.
    #[must_use]
    pub fn new(entry: Option<&'a RefreshEntry>, client: &'a Client, post: &Post) -> Self {
        let credentials = post.authorization.as_deref().and_then(|header| header.strip_prefix("Basic "));
        let shown = form_urlencoded::parse(post.body.as_bytes())
            .filter(|(name, _)| SHOWN.contains(&name.as_ref()))
            .filter_map(|(_, value)| IdentityToken::new(&value).ok());
        Self {
            shown: shown.collect(),
            credentials: credentials.and_then(|credentials| ClientSecret::new(credentials).ok()),
            token: entry.map(|entry| &entry.token),
            client: [entry.and_then(|entry| entry.client_secret.as_ref()), client.secret.as_ref()],
        }
    }

    /// A refusal without the texts that quote.
    #[must_use]
    pub fn unquoted(&self, refused: Refused) -> Refused {
        let harmless = |text: Option<String>| text.filter(|text| !self.quoted_in(text));
        match refused {
            Refused::InvalidGrant { description } => {
                Refused::InvalidGrant { description: harmless(description) }
            }
            Refused::Rejected { error, description } => Refused::Rejected {
                error: harmless(Some(error)).unwrap_or_default(),
                description: harmless(description),
            },
            other @ (Refused::NoEndpoint | Refused::ProxyAuth | Refused::Transient { .. }) => other,
        }
    }

    /// Scopes are a server's words too, and every reply passes them on.
    #[must_use]
    pub fn unquoted_scopes(&self, granted: Granted) -> Granted {
        let new = granted.refresh.as_ref();
        let quotes =
            |scope: &String| self.quoted_in(scope) || new.is_some_and(|token| token.appears_in(scope));
        let scopes = granted.scopes.filter(|scopes| !scopes.iter().any(quotes));
        Granted { scopes, ..granted }
    }

    fn quoted_in(&self, text: &str) -> bool {
        self.token.is_some_and(|token| token.appears_in(text))
            || self.shown.iter().any(|token| token.appears_in(text))
            || self
                .client
                .into_iter()
                .flatten()
                .chain(&self.credentials)
                .any(|secret| secret.appears_in(text))
    }
}
