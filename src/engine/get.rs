//! `get`: a live token, refreshed if need be.

use super::Call;
use super::find::Found;
use crate::error;
use crate::message::{Failure, Freshness, Get, MatchedBy, Outcome, Token, WarningCode};
use crate::refresh::policy::{self, Ask, Verdict};
use crate::refresh::{self, Done, Tools, configured_window};
use crate::resolve::Wanted;
use crate::store::Persisted;
use crate::store::record::Bundle;

const SHORT: &str = "the token ends sooner than wanted";
const FRESH: &str =
    "the token ends sooner than wanted, and is so new that the server would only give another like it";

impl Call<'_> {
    pub(super) fn get(&self, request: &Get) -> Result<Outcome, Failure> {
        let mode = self.mode()?;
        let wanted = Wanted {
            service: &request.service,
            account: request.account.as_deref(),
            profile: request.profile.as_ref(),
        };
        let Found { session, matched_by } = self.find(wanted, mode.storage)?;
        let ask = Ask { min_validity: request.min_validity, force: request.force_refresh };
        let window = configured_window(&self.world.settings.providers, session.record());
        match policy::judge(&session, ask, window, self.world.clock.now()) {
            Verdict::Serve => self.hand_out(session, Freshness::Cached, matched_by, ask),
            Verdict::ServeShort => {
                self.warn(WarningCode::ValidityShort, FRESH.to_owned());
                self.hand_out(session, Freshness::Cached, matched_by, ask)
            }
            Verdict::Refresh => self.renewed(session, matched_by, ask),
        }
    }

    fn renewed(&self, session: Persisted, matched_by: MatchedBy, ask: Ask) -> Result<Outcome, Failure> {
        let world = self.world;
        let tools = Tools {
            backend: self.backend(session.storage()),
            index: world.index,
            http: world.http,
            clock: world.clock,
            locks: world.locks,
            clients: &world.settings.providers,
            save_patience: world.settings.save_patience(),
        };
        match refresh::refresh(&tools, &session, ask) {
            Ok(Done::Refreshed(saved)) => self.hand_out(saved, Freshness::Refreshed, matched_by, ask),
            Ok(Done::Adopted(theirs)) => self.hand_out(theirs, Freshness::Adopted, matched_by, ask),
            Ok(Done::NeedNotWait(current)) => self.hand_out(current, Freshness::Cached, matched_by, ask),
            Err(fault) => self.after_failure(fault, session, matched_by, ask),
        }
    }

    /// An unforced caller still gets a token that is valid; whoever forced wants the error.
    fn after_failure(
        &self,
        fault: refresh::Error,
        session: Persisted,
        matched_by: MatchedBy,
        ask: Ask,
    ) -> Result<Outcome, Failure> {
        let ended = matches!(fault, refresh::Error::Gone);
        // The server has rotated and we could not keep it: the old token's remaining life must not hide that.
        let unsaved = matches!(fault, refresh::Error::Unsaved(_));
        let nothing_to_refresh_with = matches!(fault, refresh::Error::NoRefreshToken);
        let name = session.record().name.clone();
        let failure = error::of_refresh(fault, &name, self.login_command(&name.service));
        if ask.force || ended || unsaved || !policy::is_valid(&session, self.world.clock.now()) {
            return Err(failure);
        }
        if nothing_to_refresh_with {
            return self.hand_out(session, Freshness::Cached, matched_by, ask);
        }
        self.warn(WarningCode::Stale, format!("a refresh was due and failed: {}", failure.message));
        self.hand_out(session, Freshness::Stale, matched_by, ask)
    }

    /// The one way a token becomes part of a reply: from what the store loaded or saved (I2).
    fn hand_out(
        &self,
        session: Persisted,
        freshness: Freshness,
        matched_by: MatchedBy,
        ask: Ask,
    ) -> Result<Outcome, Failure> {
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
        Ok(Outcome::Token(Box::new(Token {
            name: record.name,
            username: record.username,
            token_type: record.token_type,
            access,
            expires_at: record.expires_at,
            scopes: record.scopes,
            has_refresh_token: record.has_refresh_token,
            storage,
            freshness,
            matched_by,
        })))
    }
}
