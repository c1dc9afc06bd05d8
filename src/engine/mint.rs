//! `get` where there is no session, and the configuration names a machine grant: the session is made.

use super::Call;
use super::get::Asked;
use crate::error;
use crate::message::{Failure, Get, MatchedBy, Outcome, WarningCode};
use crate::provider::{Clients as _, Provider};
use crate::refresh::policy::Ask;
use crate::refresh::{self, is_a_machines};
use crate::resolve::{Candidate, Wanted};
use crate::session::{Account, Service, SessionName, Storage};
use crate::store::{self, Persisted};

impl Call<'_> {
    /// A token of a session that is made for it; what was missing stays missing where no machine grant serves.
    pub(super) fn minted(&self, request: &Get, missing: Failure) -> Result<Outcome, Failure> {
        let Some((name, matched_by)) = self.machine_session(request)? else { return Err(missing) };
        let ask = Ask { min_validity: request.min_validity, force: request.force_refresh };
        // What the configuration lacks is told before anything is looked for or said of a storage.
        self.awake(|| self.is_configured(&name))?;
        let mode = self.writing(self.mode()?, &name)?;
        self.finish_an_end(&name, mode.storage)?;
        let other = self.other_reachable(&name, mode)?;
        let outcome = self.made(&name, mode.storage, &request.service, ask);
        let (session, freshness) = outcome.map_err(|fault| {
            // Nothing was kept anywhere.
            self.warnings.borrow_mut().retain(|warning| warning.code != WarningCode::StoredPlaintext);
            fault.failure
        })?;
        if let Some(other) = other {
            // The session is kept already: what is left of an older one is worth a warning, not a failure.
            if let Err(failure) = self.leave_a_machines(other, &name) {
                let message = format!("{} may keep an older copy: {}", other.words(), failure.message);
                self.warn(WarningCode::OtherCopy, message);
            }
        }
        self.pin(mode);
        let now = self.follow(&name, mode)?;
        let session = if now == session.storage() {
            session
        } else {
            store::load(self.backend(now), &name)?.ok_or(missing)?
        };
        self.hand_out(
            session,
            freshness,
            Asked { service: &request.service, ask, matched_by, caller: &request.caller },
        )
    }

    /// Whether all that a request for a token needs can be read, its client's secret in the keyring too.
    pub(super) fn is_configured(&self, name: &SessionName) -> Result<(), Failure> {
        let machine = self.world.settings.providers.machine(&name.service, &[]);
        if let Some((_, client)) = machine.map_err(error::of_configuration)? {
            refresh::ready(self.world.keyring, client).map_err(|error| error::of_mint(error, name))?;
        }
        Ok(())
    }

    /// The session a machine grant makes for a request: named by the provider that serves the service, and by the
    /// provider's name where no account is given.
    fn machine_session(&self, request: &Get) -> Result<Option<(SessionName, MatchedBy)>, Failure> {
        let provider = self.world.settings.providers.serving(&request.service);
        let Some(provider) = provider.filter(|provider| provider.grant.is_a_machines()) else {
            return Ok(None);
        };
        // A name in a URL may be anybody's; what the index had of it may be gone.
        if request.caller.found_by_name && request.account.as_deref() != Some(provider.name.as_str()) {
            return Ok(None);
        }
        let Some(service) = provider.session_service() else { return Ok(None) };
        let account = match &request.account {
            Some(account) => Account::parse(account).ok().map(|account| (account, MatchedBy::Account)),
            None => self.machine_account(provider, request)?,
        };
        let account = account.map(|(account, by)| {
            (account, if provider.services.contains(&request.service) { by } else { MatchedBy::Origin })
        });
        Ok(account.map(|(account, matched_by)| {
            let name = SessionName { service: service.clone(), account, profile: request.profile.clone() };
            (name, matched_by)
        }))
    }

    /// Of several accounts of which none is the default, the one that a machine grant's sessions have where nobody names
    /// another: a `get` that named one must not stand in the way of those that name none.
    pub(super) fn machines_own(
        &self,
        service: &Service,
        wanted: Wanted<'_>,
        candidates: &[Candidate],
    ) -> Option<Account> {
        let provider = self.world.settings.providers.serving(wanted.service);
        let provider = provider.filter(|provider| provider.grant.is_a_machines())?;
        let own = Account::parse(&provider.name).ok()?;
        let (ours, others): (Vec<_>, Vec<_>) = candidates
            .iter()
            .filter(|one| one.name.profile.as_ref() == wanted.profile && one.services.contains(service))
            .partition(|one| one.name.account == own);
        (!ours.is_empty() && !others.is_empty()).then_some(own)
    }

    /// `None`: the service has a default account, which is another and is gone. Nobody is served in its place.
    fn machine_account(
        &self,
        provider: &Provider,
        request: &Get,
    ) -> Result<Option<(Account, MatchedBy)>, Failure> {
        let Ok(own) = Account::parse(&provider.name) else { return Ok(None) };
        for service in request.service.prefixes() {
            let pinned = self.world.index.default_account(&service, request.profile.as_ref())?;
            if let Some(account) = pinned {
                return Ok((account == own).then_some((own, MatchedBy::Default)));
            }
        }
        Ok(Some((own, MatchedBy::Only)))
    }

    /// Two backends never both claim a session. An older one of a machine's goes; one that somebody stored stays theirs.
    fn leave_a_machines(&self, other: Storage, name: &SessionName) -> Result<(), Failure> {
        if store::load(self.backend(other), name)?.is_none() {
            return Ok(());
        }
        let locks = self.lock_both(name)?;
        let Some(copy) = store::load(self.backend(other), name)? else { return Ok(()) };
        if copy.record().erased || is_a_machines(&self.world.settings.providers, copy.record()) {
            self.leave(other, locks.of(other), name);
        } else {
            self.warn(
                WarningCode::OtherCopy,
                format!("{} keeps another session of that name", other.words()),
            );
        }
        Ok(())
    }

    /// Whether a machine's token came from an endpoint or for a client that the configuration names no more.
    pub(super) fn is_of_another_client(&self, session: &Persisted) -> bool {
        let record = session.record();
        let minting = self.world.settings.providers.minting(&record.name.service, &record.services);
        let owned = |provider: &Provider| record.asking().is_some_and(|asking| provider.resembles(asking));
        is_a_machines(&self.world.settings.providers, record) && !minting.is_some_and(owned)
    }
}
