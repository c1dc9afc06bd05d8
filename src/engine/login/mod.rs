//! `login`: somebody signs in, and the session is kept before anything is said of it.
//!
//! ```text
//! which provider ─ can it be kept? ─ one login at a time ─ discovery ─ client ─ browser | paste | device ─ who? ─ store
//! ```
//!
//! Nothing is written before the server has granted something, but for the lock that others wait at: whoever breaks it
//! off leaves nothing behind.

mod browser;
mod client;
mod device;
mod means;
pub(super) mod server;
mod turn;
mod unasked;

use super::Call;
use super::store::Granting;
use crate::error;
use crate::limits::ACCOUNT_BYTES;
use crate::message::{Code, Direct, Event, Expiry, Failure, Login, Origin, Outcome, SignedIn, Store, Way};
use crate::oauth::claims::{self, Expected, Identity};
use crate::oauth::token::Granted;
use crate::provider::{Client, Destination, Provider, RevocationEnds};
use crate::refresh::turn::Turn;
use crate::secret::AccessToken;
use crate::session::{Account, Service, SessionName, SlotName, Storage};
use crate::store::mode::Mode;
use crate::store::probe;
use crate::terminal::Interrupts;
use crate::text::Escaped;
use crate::time::Timestamp;
use means::{Means, somebody_is_named};
use server::Server;

/// What all steps of one login share.
pub(super) struct Signing<'a> {
    pub(super) provider: &'a Provider,
    pub(super) account: Option<&'a str>,
    pub(super) server: &'a Server,
    pub(super) client: &'a Client,
    pub(super) destination: &'a Destination,
    pub(super) interrupts: &'a Interrupts,
    pub(super) until: std::time::Duration,
    /// What the page at the end says of why.
    pub(super) about: String,
    /// Somebody at a terminal may paste the answer. Not where a `get` asks: what is typed there is its caller's.
    pub(super) pastes: bool,
}

/// What the server granted, and to whom.
pub(super) struct Consent {
    granted: Granted,
    identity: Option<Identity>,
    begun: Timestamp,
    page: Option<crate::loopback::Arrived>,
}

impl Call<'_> {
    pub(super) fn login(&self, login: &Login) -> Result<Outcome, Failure> {
        let (service, provider) = self.provider_meant(&login.target)?;
        if provider.grant.is_a_machines() {
            return Err(Failure::new(
                Code::BadRequest,
                format!("provider `{}` gives tokens to a machine: nobody signs in", provider.name),
                "`claviger get` and `claviger token` make its session by themselves",
            ));
        }
        let account = login.target.account.as_deref();
        if let Some(account) = account {
            Account::parse(account).map_err(|why| {
                super::store::bad_request(&format!("--account {why}"), "give the account's name")
            })?;
        }
        let mode = self.can_keep(self.mode()?)?;
        let begun = self.world.clock.now();
        let turn = self.login_turn(&service, login, mode, begun)?;
        let guard = match turn {
            Turn::Mine(guard) => guard,
            Turn::Answered(signed_in) => return Ok(Outcome::SignedIn(Box::new(signed_in))),
            Turn::TimedOut => {
                return Err(Failure::new(
                    Code::LockTimeout,
                    format!("another process is still signing in to `{}`", provider.name),
                    "finish or end that one, and try again",
                ));
            }
        };
        let slot = SlotName::login(&service, account, login.target.profile.as_ref());
        let unasked = matches!(login.way, Way::Browser { .. });
        if let Some(why) = self.unanswered(&slot).filter(|_| unasked) {
            return Err(Failure::new(
                Code::InteractionRequired,
                format!(
                    "somebody was asked to sign in to `{}` meanwhile, and did not: {}",
                    provider.name,
                    Escaped(&why)
                ),
                format!("run `claviger login {}`", provider.name),
            ));
        }
        let outcome = self.signed_in(login, provider, &service, account);
        match &outcome {
            // The note may be that of whoever it turned out to be.
            Ok(signed_in) => {
                let name = &signed_in.name;
                self.forget_unanswered(&slot);
                self.forget_unanswered(&SlotName::login(
                    &name.service,
                    Some(name.account.as_str()),
                    name.profile.as_ref(),
                ));
            }
            Err(failure) if unasked => self.note_unanswered(&slot, &failure.message),
            Err(_) => {}
        }
        drop(guard);
        outcome.map(|signed_in| Outcome::SignedIn(Box::new(signed_in)))
    }

    fn signed_in(
        &self,
        login: &Login,
        provider: &Provider,
        service: &Service,
        account: Option<&str>,
    ) -> Result<SignedIn, Failure> {
        let interrupts = Interrupts::watch();
        let calm = || if interrupts.came() { Err(cancelled()) } else { Ok(()) };
        let server = self.server(provider)?;
        calm()?;
        let means = self.means(&login.way, provider, &server)?;
        let (client_id, client, registered) = self.client(provider, &server, means)?;
        calm()?;
        let destination = Destination {
            issuer: provider.issuer.clone(),
            token_endpoint: server.token_endpoint.clone(),
            revocation_endpoint: server.metadata.revocation_endpoint.clone(),
            client_id,
            found_by: Some(provider.name.clone()),
        };
        somebody_is_named(provider, &server, account)?;
        let about = match &login.way {
            Way::Browser { for_service } => format!(
                "{} asked for a token for {for_service}, at {}.",
                self.world.settings.place.caller_words(),
                provider.name
            ),
            Way::Best | Way::Device | Way::Paste => {
                format!("claviger asked, to sign in to {}.", provider.name)
            }
        };
        let signing = Signing {
            provider,
            account,
            server: &server,
            client: &client,
            destination: &destination,
            interrupts: &interrupts,
            until: self.world.clock.monotonic() + self.world.settings.timeouts.login,
            about,
            pastes: means == Means::Paste
                || (self.world.settings.place.terminal && !matches!(login.way, Way::Browser { .. })),
        };
        let mut consent = match means {
            Means::Browser | Means::Paste => self.by_browser(&signing, registered.as_ref(), means)?,
            Means::Device => self.by_device(&signing, registered.as_ref())?,
        };
        let page = consent.page.take();
        let kept = self.kept(&signing, login, service, consent, registered);
        if let Some(page) = page {
            page.finish(kept.is_ok(), &signing.about);
        }
        kept
    }

    /// "Signed in" is no news if nothing can be kept: asked before anybody is sent anywhere. Gives where it would be.
    fn can_keep(&self, mode: Mode) -> Result<Mode, Failure> {
        let backend = self.backend(mode.storage);
        let kept = self.awake(|| Ok(probe::write_probe(backend, self.world.clock.now())?));
        match kept {
            Ok(()) => Ok(mode),
            Err(failure) if failure.code == Code::StoreUnavailable && mode.source.may_fall_back() => {
                Ok(Mode { storage: Storage::Plaintext, ..mode })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Who signed in, as the server says: by the ID token, else by its userinfo.
    pub(super) fn identity(
        &self,
        signing: &Signing<'_>,
        reply: &crate::http::Reply,
        access: &AccessToken,
        nonce: Option<&str>,
    ) -> Result<Option<Identity>, Failure> {
        let expected = Expected {
            issuer: signing.provider.issuer.as_deref(),
            client_id: &signing.destination.client_id,
            nonce,
        };
        let claim = signing.provider.account_claim.as_deref();
        let found = claims::of_token_reply(reply, expected, claim).map_err(|why| {
            Failure::new(
                Code::ProviderRejected,
                format!("the server's answer is not used: {why}"),
                "sign in again",
            )
        })?;
        if found.as_ref().is_some_and(|identity| identity.account().is_some()) {
            return Ok(found);
        }
        let Some(endpoint) = &signing.server.metadata.userinfo_endpoint else { return Ok(None) };
        let reply = self.world.http.get(&claims::userinfo_request(endpoint, access));
        // Where the account is given, the server need not be able to say it.
        match reply {
            Ok(reply) => Ok(claims::of_userinfo(&reply, claim)),
            Err(_) if signing.account.is_some() => Ok(None),
            Err(error) => Err(error::of_request(&error, "the name of who signed in")),
        }
    }

    /// Keeps what was granted: a store like any other, but that it is ours.
    fn kept(
        &self,
        signing: &Signing<'_>,
        login: &Login,
        service: &Service,
        consent: Consent,
        registered: Option<client::Registration>,
    ) -> Result<SignedIn, Failure> {
        let Consent { granted, identity, begun, .. } = consent;
        let account = account_of(identity.as_ref(), signing.account)
            .inspect_err(|_| self.give_back(signing, &granted, registered.as_ref()))?;
        let Granted { access, token_type, expires_in, refresh, refresh_expires_in, scopes, issued: _ } =
            granted;
        let provider = signing.provider;
        let name = SessionName { service: service.clone(), account, profile: login.target.profile.clone() };
        let Destination { issuer, token_endpoint, revocation_endpoint, client_id, .. } =
            signing.destination.clone();
        let expires_at = expires_in.map(|seconds| begun.plus(seconds));
        let scopes = scopes.unwrap_or_else(|| provider.scopes.clone());
        let store = Store {
            name: name.clone(),
            access,
            username: None,
            kept_by: None,
            label: None,
            refresh,
            expiry: expires_at.map_or(Expiry::Unknown, Expiry::At),
            refresh_token_expires_at: refresh_expires_in.map(|seconds| begun.plus(seconds)),
            token_type: Some(token_type),
            scopes: scopes.clone(),
            services: provider.services.clone(),
            make_default: None,
            // Whoever signs in wants this very session, whatever lies in its place.
            replace: true,
            origin: Origin::Endpoint(Box::new(Direct {
                issuer,
                token_endpoint,
                revocation_endpoint,
                client_id,
                client_secret: registered.and_then(|registered| registered.client_secret),
            })),
        };
        let granting = Granting::Login {
            provider: &provider.name,
            revoke_replaced: provider.revocation_ends == RevocationEnds::Token,
        };
        let (stored, replaced) = self.keep(store, granting)?;
        Ok(SignedIn {
            default: self.is_default(&name)?,
            name,
            provider: provider.name.clone(),
            storage: stored.storage,
            has_refresh_token: stored.has_refresh_token,
            expires_at,
            scopes,
            services: provider.services.clone(),
            shared: false,
            replaced,
        })
    }

    pub(super) fn is_default(&self, name: &SessionName) -> Result<bool, Failure> {
        let pinned = self.world.index.default_account(&name.service, name.profile.as_ref())?;
        Ok(pinned.as_ref() == Some(&name.account))
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        (self.world.event)(event);
    }

    /// Whether a login goes on: a Ctrl-C and the deadline end it.
    pub(super) fn goes_on(&self, signing: &Signing<'_>) -> Result<(), Failure> {
        if signing.interrupts.came() {
            return Err(cancelled());
        }
        if self.world.clock.monotonic() < signing.until {
            return Ok(());
        }
        Err(Failure::new(
            Code::LoginTimeout,
            format!(
                "nobody signed in to `{}` within {} s",
                signing.provider.name,
                self.world.settings.timeouts.login.as_secs()
            ),
            "run it again; `timeouts.login` in config.toml sets the limit",
        ))
    }

    /// A moment until the next look at whether somebody has answered.
    pub(super) fn waits(&self, signing: &Signing<'_>) -> Result<(), Failure> {
        self.goes_on(signing)?;
        self.world.clock.pause(LOOK);
        Ok(())
    }
}

/// Between two looks at whether somebody has answered.
const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

pub(super) fn cancelled() -> Failure {
    Failure::new(
        Code::LoginCancelled,
        "the login was broken off; nothing was kept",
        "run it again to sign in",
    )
}

/// The server's own name for who signed in, where it has one: a session must not be called after somebody else.
fn account_of(identity: Option<&Identity>, given: Option<&str>) -> Result<Account, Failure> {
    let named = match (identity.and_then(Identity::account), given) {
        (Some(_), Some(given)) if identity.is_some_and(|identity| identity.is(given)) => given,
        (Some(named), Some(given)) => {
            return Err(Failure::new(
                Code::Conflict,
                format!("somebody else signed in: {}, not {}", Escaped(named), Escaped(given)),
                "sign out in the browser and try again, or leave --account out; nothing was kept",
            ));
        }
        (Some(named), None) => named,
        (None, Some(given)) => given,
        (None, None) => {
            return Err(super::store::bad_request(
                "the server did not say who signed in",
                "name the account with --account; nothing was kept",
            ));
        }
    };
    Account::parse(named).map_err(|why| {
        Failure::new(
            Code::ProviderRejected,
            format!("the server's name for the account {why}: {}", Escaped(named)),
            format!(
                "name it with --account, or choose another `account-claim`; at most {ACCOUNT_BYTES} bytes"
            ),
        )
    })
}
