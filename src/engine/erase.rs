//! `erase`: end a session, or drop one access token that was rejected.

use super::{Call, Damage, readable};
use crate::harden::Uninterrupted;
use crate::lock::Guard;
use crate::message::{Erase, Erased, Failure, Outcome, Revocation, WarningCode};
use crate::oauth::revocation;
use crate::provider::Clients as _;
use crate::refresh::backoff::Backoff;
use crate::resolve::Wanted;
use crate::secret::AccessToken;
use crate::session::{Account, Service, SessionName, Storage};
use crate::store::index::Entry;
use crate::store::record::{Bundle, Record, RefreshEntry};
use crate::store::{self, Backend};

const NOTHING: Erased = Erased { erased: false, revocation: Revocation::Skipped };

impl Call<'_> {
    pub(super) fn erase(&self, request: &Erase) -> Result<Outcome, Failure> {
        let mode = self.mode()?;
        let wanted = Wanted {
            service: &request.service,
            account: request.account.as_deref(),
            profile: request.profile.as_ref(),
        };
        let erased = match &request.access {
            Some(rejected) => self.drop_token(wanted, rejected, mode.storage)?,
            None => self.end(wanted, mode.storage)?,
        };
        Ok(Outcome::Erased(erased))
    }

    /// Drops an access token only where it is the stored one: the refresh token stays, the next `get`
    /// refreshes. A static session that matches has nothing left and ends.
    fn drop_token(
        &self,
        wanted: Wanted<'_>,
        rejected: &AccessToken,
        storage: Storage,
    ) -> Result<Erased, Failure> {
        let backend = self.backend(storage);
        let is_it = |bundle: Option<&AccessToken>| bundle.is_some_and(|access| access.same_as(rejected));
        for name in self.find_all(wanted, storage)? {
            let seen = match store::load(backend, &name) {
                Ok(seen) => seen,
                // Another account's damaged slot must not keep this one's token alive.
                Err(store::Error::Damaged { .. } | store::Error::Newer { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(seen) = seen.filter(|seen| is_it(seen.access())) else { continue };
            if seen.record().is_static() {
                return self.end_session(&name, Some(rejected), storage);
            }
            let guard = self.lock(&name, storage)?;
            let current = store::load(backend, &name)?.filter(|current| is_it(current.access()));
            let Some(current) = current else { return Ok(NOTHING) };
            let Bundle { record, .. } = current.into_bundle();
            let record = Record { generation: record.generation.saturating_add(1), ..record };
            store::save(backend, &guard, Bundle { record, access: None })?;
            return Ok(Erased { erased: true, revocation: Revocation::Skipped });
        }
        Ok(NOTHING)
    }

    /// Ends the session meant. Unlike a `get`, it never falls back to a shorter path: ending the session of
    /// a whole host because one path of it was named would be a surprise.
    fn end(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Erased, Failure> {
        let direct = wanted.account.and_then(|text| Account::parse(text).ok()).map(|account| SessionName {
            service: wanted.service.clone(),
            account,
            profile: wanted.profile.cloned(),
        });
        if let Some(name) = direct {
            let erased = self.end_session(&name, None, storage)?;
            if erased.erased {
                return Ok(erased);
            }
        }
        match self.choose_to_end(wanted, storage)? {
            Some(name) => self.end_session(&name, None, storage),
            None => Ok(NOTHING),
        }
    }

    /// Ends one session in every backend that can be reached, the keyring's lock first. The one this call
    /// works with must be.
    fn end_session(
        &self,
        name: &SessionName,
        only_if: Option<&AccessToken>,
        in_use: Storage,
    ) -> Result<Erased, Failure> {
        let mut reachable = Vec::new();
        for storage in [Storage::Keyring, Storage::Plaintext] {
            let backend = self.backend(storage);
            match backend.reach().and_then(|()| backend.read(&name.access_slot())) {
                Ok(_) | Err(store::Error::Damaged { .. }) => {
                    reachable.push((storage, self.lock(name, storage)?));
                }
                Err(error) if storage != in_use && error.is_out_of_reach() => {
                    self.warn(WarningCode::BackendUnreachable, format!("not looked into: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        // What a newer version wrote, in either, is found before anything is changed in the other.
        for (storage, guard) in &reachable {
            readable(store::load(self.backend(*storage), name), Damage::Passes)?;
            readable(store::load_refresh(self.backend(*storage), guard, name), Damage::Passes)?;
        }
        let _calm = Uninterrupted::begin();
        let mut outcome = NOTHING;
        let mut services = Vec::new();
        for (storage, guard) in &reachable {
            let ended = self.end_in(self.backend(*storage), guard, name, only_if, &mut services)?;
            outcome.erased |= ended.erased;
            if ended.revocation != Revocation::Skipped {
                outcome.revocation = ended.revocation;
            }
        }
        for (storage, _) in &reachable {
            if let Ok(backoff) = Backoff::beside(self.world.locks, &name.access_slot(), *storage) {
                backoff.clear();
            }
        }
        // Only a rejected token's session ended, and the other backend has another: that is the session now.
        let left = reachable
            .iter()
            .find_map(|(storage, _)| store::load(self.backend(*storage), name).ok().flatten());
        if let Some(left) = left.filter(|left| !left.record().erased) {
            self.world.index.put(&Entry::of(left.record(), left.storage()))?;
            return Ok(outcome);
        }
        // Also where only an index entry or a default was left of it, in a backend that was looked into.
        let entry = self.world.index.entry(name).unwrap_or_default();
        let known_gone =
            entry.is_none_or(|entry| reachable.iter().any(|(storage, _)| *storage == entry.storage));
        if outcome.erased || (known_gone && only_if.is_none()) {
            self.forget(name, services)?;
        }
        Ok(outcome)
    }

    /// Mark, revoke, refresh slot, access slot: a crash in between leaves a session that reads as gone and
    /// that the next writer finishes.
    fn end_in(
        &self,
        backend: &dyn Backend,
        guard: &Guard,
        name: &SessionName,
        only_if: Option<&AccessToken>,
        services: &mut Vec<Service>,
    ) -> Result<Erased, Failure> {
        let damage = if only_if.is_none() { Damage::Passes } else { Damage::Stops };
        let loaded = readable(store::load(backend, name), damage)?;
        if let Some(only_if) = only_if
            && !loaded
                .as_ref()
                .and_then(store::Persisted::access)
                .is_some_and(|access| access.same_as(only_if))
        {
            return Ok(NOTHING);
        }
        // What is damaged cannot be revoked; erasing it is still owed.
        let entry = readable(store::load_refresh(backend, guard, name), Damage::Passes)?;
        if let Some(session) = loaded {
            let Bundle { record, .. } = session.into_bundle();
            services.extend(record.services.iter().cloned());
            let record = Record {
                erased: true,
                pending: None,
                generation: record.generation.saturating_add(1),
                ..record
            };
            store::save(backend, guard, Bundle { record, access: None })?;
        }
        let revocation = entry.map_or(Revocation::Skipped, |entry| self.revoke(&entry));
        let refresh = store::delete(backend, guard, name, &name.refresh_slot())?;
        let access = store::delete(backend, guard, name, &name.access_slot())?;
        Ok(Erased { erased: refresh || access, revocation })
    }

    fn revoke(&self, entry: &RefreshEntry) -> Revocation {
        if entry.destination.revocation_endpoint.is_none() {
            return Revocation::Unsupported;
        }
        // A configuration that cannot be acted on must not keep a session from ending here.
        let client = self.world.settings.providers.client_for(&entry.grant.services, &entry.destination).ok();
        let proof = client
            .as_ref()
            .and_then(|client| client.revocation_proof(&entry.destination, entry.client_secret.as_ref()));
        let Some(proof) = proof else { return Revocation::Failed };
        match revocation::revoke(self.world.http, &entry.destination, &proof, &entry.token) {
            revocation::Outcome::Revoked => Revocation::Revoked,
            revocation::Outcome::Failed => Revocation::Failed,
        }
    }

    /// The index last: a default that names an ended session is unpinned with it. Where the record could not
    /// be read, the index still knows what it was granted for.
    fn forget(&self, name: &SessionName, mut services: Vec<Service>) -> Result<(), Failure> {
        let profile = name.profile.as_ref();
        services.push(name.service.clone());
        services.extend(
            self.world.index.entry(name).unwrap_or_default().map(|entry| entry.services).unwrap_or_default(),
        );
        for service in &services {
            match self.world.index.default_account(service, profile) {
                Ok(default) if default.as_ref() != Some(&name.account) => {}
                // A default that cannot be read selects nobody; it goes with the session that was last here.
                Ok(_) | Err(store::Error::Damaged { .. }) => {
                    self.world.index.unpin_default(service, profile)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.world.index.remove(name)?)
    }
}
