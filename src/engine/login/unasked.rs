//! A login that a `get` starts: where the provider says so, where somebody can answer, and not again and again.

use super::super::Call;
use crate::message::{Code, Failure, Get, Login, Outcome, Target, Way};
use crate::provider::{Interactive, Provider};
use crate::refresh::backoff::Backoff;
use crate::session::SlotName;
use crate::text::Escaped;

/// After so many failures in a row nobody is asked any more until they sign in of their own accord.
const ENOUGH: i64 = 5;

impl Call<'_> {
    /// Signs somebody in because a caller needs a token, and serves that caller. Where nobody may be asked, the failure
    /// stands.
    pub(in crate::engine) fn signed_in_for(
        &self,
        request: &Get,
        failure: Failure,
    ) -> Result<Outcome, Failure> {
        let wanting = matches!(
            failure.code,
            Code::NotFound | Code::AccountNotFound | Code::AuthRefreshExpired | Code::AuthRefreshUnavailable
        );
        let wanting = wanting && !request.caller.unattended;
        let serving = self.world.settings.providers.serving(&request.service);
        let asks = |provider: &&Provider| {
            provider.interactive == Interactive::Auto && !provider.grant.is_a_machines()
        };
        let place = &self.world.settings.place;
        let (true, Some(provider), true) = (wanting, serving.filter(asks), place.can_be_interrupted()) else {
            return Err(failure);
        };
        let Some(service) = provider.session_service() else { return Err(failure) };
        // Whoever is the default is meant: somebody else who signs in would not be served, and would be asked again.
        let account = if let Some(account) = &request.account {
            Some(account.clone())
        } else {
            let default = self.world.index.default_account(&request.service, request.profile.as_ref())?;
            default.map(|account| account.as_str().to_owned())
        };
        let slot = SlotName::login(service, account.as_deref(), request.profile.as_ref());
        if self.unanswered(&slot).is_some() {
            let message =
                format!("{}; somebody was asked to sign in a moment ago, and did not", failure.message);
            return Err(Failure { message, ..failure });
        }
        (self.world.tell)(&format!(
            "claviger: {} asks for a token for {}",
            Escaped(&place.caller_words()),
            request.service
        ));
        let target = Target { word: Some(provider.name.clone()), account, profile: request.profile.clone() };
        self.login(&Login { target, way: Way::Browser { for_service: request.service.clone() } })?;
        self.get_unasked(&Get { force_refresh: false, ..request.clone() })
            .inspect_err(|failure| self.note_unanswered(&slot, &failure.message))
    }

    /// Why nobody is to be asked just now, if somebody was and did not sign in.
    pub(super) fn unanswered(&self, slot: &SlotName) -> Option<String> {
        let backoff = self.asking_note(slot)?;
        if let Some(pause) = backoff.pause(self.world.clock.now(), true) {
            return Some(pause.why);
        }
        let enough = backoff.last().is_some_and(|(_, failures)| failures >= ENOUGH);
        enough.then(|| format!("{ENOUGH} times in a row"))
    }

    /// Somebody was asked and did not sign in: noted by whoever holds the login's lock.
    pub(super) fn note_unanswered(&self, slot: &SlotName, why: &str) {
        if let Some(backoff) = self.asking_note(slot) {
            backoff.failed(self.world.clock.now(), None, why);
        }
    }

    /// Whoever signs in of their own accord has answered: the next call may ask again.
    pub(super) fn forget_unanswered(&self, slot: &SlotName) {
        if let Some(backoff) = self.asking_note(slot) {
            backoff.clear();
        }
    }

    fn asking_note(&self, slot: &SlotName) -> Option<Backoff> {
        Backoff::beside(self.world.locks, slot, self.mode().ok()?.storage).ok()
    }
}
