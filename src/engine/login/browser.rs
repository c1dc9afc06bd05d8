//! Signing in by a browser: this machine's own, whose answer is listened for, or one anywhere, whose last address is
//! pasted. Where somebody sits at a terminal, pasting helps the first way too: a redirect may not find its way back.

use super::client::Registration;
use super::{Call, Consent, Means, Signing, cancelled};
use crate::browser::Opened;
use crate::error;
use crate::limits::URL_BYTES;
use crate::loopback::{Arrived, Listener, Loopback};
use crate::message::{Code, Event, Failure};
use crate::oauth::authorization_code::{
    self, Answering, Asking, Attempt, Callback, Code as AuthorizationCode,
};
use crate::oauth::token;
use crate::refresh::quotes::Sent;
use crate::terminal::{Line, Lines};
use crate::text::Escaped;

impl Call<'_> {
    pub(super) fn by_browser(
        &self,
        signing: &Signing<'_>,
        registered: Option<&Registration>,
        means: Means,
    ) -> Result<Consent, Failure> {
        let metadata = &signing.server.metadata;
        let provider = signing.provider;
        let Some(endpoint) = &metadata.authorization_endpoint else {
            return Err(super::server::lacking(provider, "authorization-endpoint"));
        };
        if !metadata.s256 {
            return Err(Failure::new(
                Code::ProviderRejected,
                format!("the server of `{}` does not take PKCE with S256", provider.name),
                "sign in with --device, if it offers that; nothing less is used",
            ));
        }
        let attempt = Attempt::new()
            .map_err(|_| Failure::new(Code::Internal, "the system gave no random numbers", "try again"))?;
        let (mut listener, redirect_uri) = redirect(signing, means)?;
        let asking = Asking {
            endpoint,
            client_id: &signing.destination.client_id,
            redirect_uri: &redirect_uri,
            scopes: &provider.scopes,
            resource: &provider.resource,
            login_hint: signing.account.filter(|_| provider.scopes.iter().any(|scope| scope == "openid")),
            extra: &provider.authorization_params,
        };
        let url = authorization_code::address(&asking, &attempt);
        let mut opened = self.announced(signing, means, &url, &redirect_uri)?;
        let answering = Answering { issuer: provider.issuer.as_deref(), names_itself: metadata.names_itself };
        let (code, page) =
            self.answered(signing, &attempt, answering, listener.as_mut(), &mut opened, means)?;
        match self.spent(signing, registered, (code, &attempt), &redirect_uri) {
            Ok(consent) => Ok(Consent { page, ..consent }),
            Err(failure) => {
                if let Some(page) = page {
                    page.finish(false, &signing.about);
                }
                Err(failure)
            }
        }
    }

    /// The code for tokens, once.
    fn spent(
        &self,
        signing: &Signing<'_>,
        registered: Option<&Registration>,
        (code, attempt): (AuthorizationCode, &Attempt),
        redirect_uri: &str,
    ) -> Result<Consent, Failure> {
        let provider = signing.provider;
        let begun = self.world.clock.now();
        let proof = signing.client.proof(registered.and_then(|it| it.client_secret.as_ref()));
        let post = authorization_code::token_request(
            signing.destination,
            signing.client,
            &proof,
            (code, attempt),
            redirect_uri,
            &provider.resource,
            begun,
        )
        .map_err(|_| Failure::internal())?;
        let reply = self.world.http.post(&post).map_err(|error| error::of_request(&error, "the token"))?;
        let sent = Sent::new(None, signing.client, &post);
        let granted = token::read(&reply, self.world.clock.now()).map_err(|refused| {
            error::of_login_refusal(sent.unquoted(refused), &provider.name, "exchange the code for a token")
        })?;
        let nonce = provider.scopes.iter().any(|scope| scope == "openid").then(|| attempt.nonce());
        let identity = self
            .identity(signing, &reply, &granted.access, nonce)
            .inspect_err(|_| self.give_back(signing, &granted, registered))?;
        Ok(Consent { granted: sent.unquoted_scopes(granted), identity, begun, page: None })
    }

    fn announced(
        &self,
        signing: &Signing<'_>,
        means: Means,
        url: &url::Url,
        redirect_uri: &str,
    ) -> Result<Option<Opened>, Failure> {
        self.goes_on(signing)?;
        let Some(address) = crate::browser::safe(url) else {
            return Err(super::server::lacking(signing.provider, "authorization-endpoint"));
        };
        let opened = match means {
            Means::Browser => self.world.settings.place.desktop.open(url).ok(),
            Means::Paste | Means::Device => None,
        };
        self.event(&Event::Authorization { url: &address, redirect_uri, opened: opened.is_some() });
        let name = &signing.provider.name;
        let patience = self.world.settings.timeouts.login.as_secs();
        let invitation = match (means, opened.is_some()) {
            (Means::Browser, true) => format!(
                "claviger: sign in to `{name}` in the browser that opens; if none does, visit\n\n  {address}\n\n\
                 claviger: waiting up to {patience} s; Ctrl-C breaks it off"
            ),
            (Means::Browser, false) => format!(
                "claviger: no browser could be started; sign in to `{name}` at\n\n  {address}\n\n\
                 claviger: waiting up to {patience} s; Ctrl-C breaks it off"
            ),
            (Means::Paste | Means::Device, _) => format!(
                "claviger: sign in to `{name}` in a browser anywhere, at\n\n  {address}\n\n\
                 claviger: then paste the address it ends at, which may be shown as an error, and press Enter:"
            ),
        };
        (self.world.tell)(&invitation);
        Ok(opened)
    }

    /// Waits for the true answer, whatever else comes.
    fn answered(
        &self,
        signing: &Signing<'_>,
        attempt: &Attempt,
        answering: Answering<'_>,
        mut listener: Option<&mut Listener>,
        opened: &mut Option<Opened>,
        means: Means,
    ) -> Result<(AuthorizationCode, Option<Arrived>), Failure> {
        // Where no thread can be had, nothing can be pasted; the listener goes on.
        let lines = if signing.pastes { Lines::start(PASTED_BYTES).ok() } else { None };
        let mut ended = false;
        loop {
            self.goes_on(signing)?;
            if let Some(arrived) =
                listener.as_mut().and_then(|listener| listener.look(self.world.clock.monotonic()))
            {
                match authorization_code::callback(&arrived.query, attempt, answering) {
                    Callback::NotOurs => arrived.refuse(),
                    callback => {
                        let code = code_of(signing, callback);
                        return match code {
                            Ok(code) => Ok((code, Some(arrived))),
                            Err(failure) => {
                                arrived.finish(false, &signing.about);
                                Err(failure)
                            }
                        };
                    }
                }
                continue;
            }
            match lines.as_ref().filter(|_| !ended).and_then(Lines::next) {
                None => {}
                Some(Line::End) if means == Means::Paste => {
                    let message = "the input ended before an address was pasted; nothing was kept";
                    return Err(Failure { message: message.to_owned(), ..cancelled() });
                }
                Some(Line::End) => ended = true,
                Some(Line::Text(line)) if line.is_empty() => {}
                Some(Line::Text(line)) => {
                    let query = line.split_once('?').map_or("", |(_, query)| query);
                    let query = query.split('#').next().unwrap_or_default();
                    match authorization_code::callback(query, attempt, answering) {
                        Callback::NotOurs => (self.world.tell)(NOT_THE_ADDRESS),
                        callback => return code_of(signing, callback).map(|code| (code, None)),
                    }
                }
                Some(Line::Unreadable) => (self.world.tell)(NOT_THE_ADDRESS),
            }
            if opened.as_mut().is_some_and(Opened::has_failed) {
                *opened = None;
                (self.world.tell)("claviger: the browser ended with an error; open the address yourself");
            }
            self.waits(signing)?;
        }
    }
}

/// Where the answer goes. The listener is there before any browser is: nobody else can have the port.
fn redirect(signing: &Signing<'_>, means: Means) -> Result<(Option<Listener>, String), Failure> {
    let uris = signing.provider.redirect_uris();
    let loopback: Vec<Loopback> = uris.iter().filter_map(|uri| Loopback::parse(uri)).collect();
    let elsewhere = || uris.first().cloned().unwrap_or_default();
    match (means, loopback.as_slice()) {
        // Nobody listens for it, but the port belongs to a registered URI; any will do where it is left open.
        (Means::Paste, []) => return Ok((None, elsewhere())),
        (_, []) => {
            return Err(Failure::new(
                Code::ConfigInvalid,
                format!("no redirect URI of provider `{}` leads to this machine", signing.provider.name),
                "add http://127.0.0.1 to `redirect-uris`, or sign in with --no-browser",
            ));
        }
        _ => {}
    }
    let listener = Listener::bind(&loopback).map_err(|error| {
        Failure::new(
            Code::AuthRefreshTransient,
            format!("no redirect URI of provider `{}` can be listened on: {error}", signing.provider.name),
            "see which program has the port, and try again; or sign in with --no-browser or --device",
        )
    })?;
    let redirect_uri = listener.redirect_uri().to_owned();
    Ok((Some(listener), redirect_uri))
}

fn code_of(signing: &Signing<'_>, callback: Callback) -> Result<AuthorizationCode, Failure> {
    match callback {
        Callback::Code(code) => Ok(code),
        Callback::Refused { error, description } => {
            Err(error::of_denial(&error, description.as_deref(), &signing.provider.name))
        }
        Callback::OtherIssuer | Callback::NotOurs => Err(Failure::new(
            Code::ProviderRejected,
            format!(
                "the answer came from another issuer than {}",
                Escaped(signing.provider.issuer.as_deref().unwrap_or_default())
            ),
            "see to `issuer` of the provider in config.toml; nothing was kept",
        )),
    }
}

const PASTED_BYTES: usize = 4 * URL_BYTES;
const NOT_THE_ADDRESS: &str =
    "claviger: that is not the address the browser ended at for this login; paste it whole:";
