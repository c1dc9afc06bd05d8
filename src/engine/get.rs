//! `get`: a live token, refreshed if need be.

use super::Call;
use super::exactly::exactly;
use super::find::Found;
use super::renewal::Fault;
use super::typed::is_typed;
use super::user_name::keep_until;
use crate::error;
use crate::message::{Caller, Code, Failure, Freshness, Get, MatchedBy, Outcome, Token, WarningCode};
use crate::refresh::policy::{self, Ask, Verdict};
use crate::refresh::{self, configured_window};
use crate::resolve::Wanted;
use crate::session::Service;
use crate::store::mode::Mode;
use crate::store::record::Bundle;
use crate::store::{self, Persisted};

pub(super) const SHORT: &str = "the token ends sooner than wanted";
const FRESH: &str =
    "the token ends sooner than wanted, and is so new that the server would only give another like it";

/// What a `get` carries from the choice of its session to its reply.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) service: &'a Service,
    pub(super) ask: Ask,
    pub(super) matched_by: MatchedBy,
    pub(super) caller: &'a Caller,
}

impl Call<'_> {
    pub(super) fn get(&self, request: &Get) -> Result<Outcome, Failure> {
        let request = &self.as_called(request)?;
        self.if_exactly(request)?;
        let given = self.get_unasked(request).or_else(|failure| self.signed_in_for(request, failure))?;
        exactly(request, given)
    }

    /// A `get` for which nobody is asked to sign in.
    pub(super) fn get_unasked(&self, request: &Get) -> Result<Outcome, Failure> {
        let result = self.where_they_are(
            |mode| self.awake(|| self.get_in(mode, request)),
            |result| result.as_ref().is_err_and(is_missing),
        );
        match result {
            Err(missing) if is_missing(&missing) => self.minted(request, missing),
            result => result,
        }
    }

    fn get_in(&self, mode: Mode, request: &Get) -> Result<Outcome, Failure> {
        let wanted = Wanted {
            service: &request.service,
            account: request.account.as_deref(),
            profile: request.profile.as_ref(),
        };
        let found = match self.reading(mode, wanted, |storage| self.find(wanted, storage)) {
            Err(failure) if is_missing(&failure) => self.on_its_way(wanted, mode)?.ok_or(failure)?,
            found => found?,
        };
        let Found { session, matched_by } = self.settled(found, mode)?;
        let another = request.caller.refused && policy::is_fresh(&session, self.world.clock.now());
        let ask = Ask { min_validity: request.min_validity, force: request.force_refresh && !another };
        let asked = Asked { service: &request.service, ask, matched_by, caller: &request.caller };
        let window = configured_window(&self.world.settings.providers, session.record());
        if self.is_of_another_client(&session) {
            return self.refreshed(&session, asked);
        }
        match policy::judge(&session, ask, window, self.world.clock.now()) {
            Verdict::Serve => self.hand_out(session, Freshness::Cached, asked),
            Verdict::ServeShort => {
                self.warn(WarningCode::ValidityShort, FRESH.to_owned());
                self.hand_out(session, Freshness::Cached, asked)
            }
            Verdict::Refresh => self.refreshed(&session, asked),
        }
    }

    fn refreshed(&self, session: &Persisted, asked: Asked<'_>) -> Result<Outcome, Failure> {
        match self.renewed(session, asked.service, asked.ask) {
            Ok((renewed, freshness)) => self.hand_out(renewed, freshness, asked),
            Err(fault) => self.after_failure(fault, session, asked),
        }
    }

    /// An unforced caller still gets a token that is valid; whoever forced wants the error. What is handed out
    /// is what the store holds now, not what it held before we waited: that may be erased since.
    fn after_failure(
        &self,
        Fault { failure, instead }: Fault,
        session: &Persisted,
        asked: Asked<'_>,
    ) -> Result<Outcome, Failure> {
        let name = session.record().name.clone();
        let Some(freshness) = instead.filter(|_| !asked.ask.force) else { return Err(failure) };
        let current = store::load(self.backend(session.storage()), &name)?;
        let Some(current) = current.filter(|current| !current.record().erased) else {
            return Err(error::of_refresh(
                refresh::Error::Gone,
                &name,
                self.login_command(&name.service).as_deref(),
            ));
        };
        if !policy::is_valid(&current, self.world.clock.now()) {
            return Err(failure);
        }
        let window = configured_window(&self.world.settings.providers, current.record());
        let renewed = current.record().generation != session.record().generation
            && policy::judge(&current, asked.ask, window, self.world.clock.now()) == Verdict::Serve;
        if renewed {
            return self.hand_out(current, Freshness::Adopted, asked);
        }
        if freshness == Freshness::Stale {
            self.warn(WarningCode::Stale, format!("a refresh was due and failed: {}", failure.message));
        }
        self.hand_out(current, freshness, asked)
    }

    /// Several tokens, of whichever can be had; what stands in the way of another is said, and keeps none of these.
    pub(super) fn each(
        &self,
        requests: &[Get],
        get: impl Fn(&Get) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        let mut tokens = Vec::new();
        for request in requests {
            match get(request) {
                Ok(Outcome::Token(token)) => tokens.push(*token),
                Ok(_) => return Err(Failure::internal()),
                Err(failure) => {
                    (self.world.tell)(&format!("claviger: error: {}; {}", failure.message, failure.hint));
                }
            }
        }
        Ok(Outcome::Tokens(tokens))
    }

    /// The one way a token becomes part of a reply: from what the store loaded or saved (I2), and only for a
    /// service it was granted for (I11).
    pub(super) fn hand_out(
        &self,
        session: Persisted,
        freshness: Freshness,
        asked: Asked<'_>,
    ) -> Result<Outcome, Failure> {
        let Asked { service, ask, matched_by, caller } = asked;
        if !self.may_serve(session.record(), service) {
            let name = &session.record().name;
            return Err(error::of_refresh(
                refresh::Error::NotGranted,
                name,
                self.login_command(service).as_deref(),
            ));
        }
        let within = self.within(session.record(), service);
        let storage = session.storage();
        let left = policy::seconds_left(session.record(), self.world.clock.now());
        let short =
            left.is_some_and(|left| left <= 0 || ask.min_validity.is_some_and(|wanted| left < wanted));
        let told = self.warnings.borrow().iter().any(|warning| warning.code == WarningCode::ValidityShort);
        if short && !told {
            self.warn(WarningCode::ValidityShort, SHORT.to_owned());
        }
        let Bundle { record, access } = session.into_bundle();
        let access = access.ok_or_else(|| self.not_found(&record.name.service))?;
        // Whoever comes back early would get no other password.
        let early = |end| if is_typed(&record) { end } else { keep_until(end, self.world.clock.now()) };
        let keep_until = record.expires_at.map(early);
        let (username, scheme) = self.told(caller, service, record.username);
        Ok(Outcome::Token(Box::new(Token {
            name: record.name,
            opens: deepest(&record.services, service),
            within,
            username,
            scheme,
            keep_until,
            token_type: record.token_type,
            access,
            expires_at: record.expires_at,
            scopes: record.scopes,
            has_refresh_token: record.has_refresh_token,
            storage: Some(storage),
            freshness,
            matched_by,
        })))
    }
}

/// The longest of some services that covers the one asked for.
pub(super) fn deepest(services: &[Service], asked: &Service) -> Service {
    let covering = services.iter().filter(|service| service.covers(asked));
    covering.max_by_key(|service| service.as_str().len()).unwrap_or(asked).clone()
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure.code, Code::NotFound | Code::AccountNotFound)
}
