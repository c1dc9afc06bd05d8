//! `erase`: end a session, or drop one access token that was rejected.

use super::typed::{is_named, is_typed};
use super::{Call, Damage, readable};
use crate::harden::Uninterrupted;
use crate::lock::Guard;
use crate::message::{Code, Erase, Erased, Failure, Outcome, Revocation, WarningCode};
use crate::oauth::revocation;
use crate::provider::Clients as _;
use crate::refresh;
use crate::refresh::backoff::Backoff;
use crate::resolve::Wanted;
use crate::secret::AccessToken;
use crate::session::{Account, Service, SessionName, Storage};
use crate::store::index::Entry;
use crate::store::mode::Mode;
use crate::store::record::{Bundle, Record, RefreshEntry};
use crate::store::{self, Backend, probe};

/// Why a session ends.
#[derive(Clone, Copy)]
pub(super) enum Ending<'a> {
    /// Somebody wants it ended.
    Wanted,
    /// Somebody signs out: its access token, too, is told to the server.
    SignedOut,
    /// This token was rejected, and there is nothing else to it.
    If(&'a AccessToken),
    /// What was typed ends; not what has taken its place meanwhile.
    IfTyped,
    /// This is the last place that it serves; not where another was granted meanwhile.
    ItsLast(&'a Service),
}

impl Ending<'_> {
    /// Whether the session that is there, now that it is locked, is the one that was to end.
    fn is_of(self, session: Option<&store::Persisted>) -> bool {
        match self {
            Self::Wanted | Self::SignedOut => true,
            Self::If(only) => session.is_some_and(|session| {
                is_typed(session.record()) && session.access().is_some_and(|access| access.same_as(only))
            }),
            Self::IfTyped => session.is_some_and(|session| is_typed(session.record())),
            Self::ItsLast(service) => {
                session.is_some_and(|session| session.record().services == std::slice::from_ref(service))
            }
        }
    }
}

pub(super) const NOTHING: Erased = Erased { erased: false, revocation: Revocation::Skipped };

impl Call<'_> {
    pub(super) fn erase(&self, request: &Erase) -> Result<Outcome, Failure> {
        self.erase_of(request, None)
    }

    /// A password was refused to the one of this name, where one is given: another's may be the same.
    pub(super) fn erase_of(&self, request: &Erase, username: Option<&str>) -> Result<Outcome, Failure> {
        let erased = self.where_they_are(
            |mode| self.awake(|| self.erase_in(mode, request, username)),
            |result| matches!(result, Ok(NOTHING)),
        )?;
        Ok(Outcome::Erased(erased))
    }

    fn erase_in(&self, mode: Mode, request: &Erase, username: Option<&str>) -> Result<Erased, Failure> {
        let wanted = Wanted {
            service: &request.service,
            account: request.account.as_deref(),
            profile: request.profile.as_ref(),
        };
        let storage = self.reading(mode, wanted, |storage| self.looked_at(wanted, storage))?;
        match &request.access {
            Some(rejected) => match self.drop_token(wanted, rejected, username, storage)? {
                // What has not arrived yet is looked at where it still is.
                NOTHING if self.still_moving_to(storage)? => {
                    self.drop_token(wanted, rejected, username, storage.other())
                }
                erased => Ok(erased),
            },
            None => self.end(wanted, storage),
        }
    }

    /// Whether the backend can be read, and whatever may be meant in it: some keyrings have a lock for each item. What
    /// else is wrong with it is found out later, by whoever it concerns.
    pub(super) fn looked_at(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Storage, Failure> {
        let backend = self.backend(storage);
        probe::read_probe(backend)?;
        let mut names = match self.find_all(wanted, storage) {
            Err(failure) if failure.code == Code::StoreLocked => return Err(failure),
            names => names.unwrap_or_default(),
        };
        names.extend(directly_named(wanted));
        for name in names {
            if let Err(locked @ store::Error::Locked(_)) = backend.read(&name.access_slot()) {
                return Err(locked.into());
            }
        }
        Ok(storage)
    }

    /// Drops an access token wherever it is the stored one, and only there: the refresh token stays, the next `get`
    /// refreshes. A static session that matches has nothing left and ends.
    pub(super) fn drop_token(
        &self,
        wanted: Wanted<'_>,
        rejected: &AccessToken,
        username: Option<&str>,
        storage: Storage,
    ) -> Result<Erased, Failure> {
        let backend = self.backend(storage);
        let is_it = |bundle: Option<&AccessToken>| bundle.is_some_and(|access| access.same_as(rejected));
        let mut outcome = NOTHING;
        for name in self.find_all(wanted, storage)? {
            let seen = match store::load(backend, &name) {
                Ok(seen) => seen,
                // Another account's damaged slot must not keep this one's token alive.
                Err(store::Error::Damaged { .. } | store::Error::Newer { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(seen) = seen.filter(|seen| is_it(seen.access())) else { continue };
            let typed = is_typed(seen.record());
            if typed && username.is_some_and(|name| !is_named(seen.record(), name)) {
                continue;
            }
            if typed {
                let ended = self.end_session(&name, Ending::If(rejected), storage)?;
                outcome.erased |= ended.erased;
                if ended.revocation != Revocation::Skipped {
                    outcome.revocation = ended.revocation;
                }
                continue;
            }
            let guard = self.lock(&name, storage)?;
            let current = store::load(backend, &name)?.filter(|current| is_it(current.access()));
            let Some(current) = current else { continue };
            let Bundle { record, .. } = current.into_bundle();
            let entry = match record.has_refresh_token {
                Some(false) => None,
                _ => readable(store::load_refresh(backend, &guard, &name), Damage::Passes)?,
            };
            let record = match entry {
                // A store that was cut short: with a newer generation its refresh token would pass for the older session's.
                Some(entry) if entry.outruns(&record) => entry.completed(record),
                _ => Record { generation: record.generation.saturating_add(1), ..record },
            };
            store::save_checked(backend, &guard, Bundle { record, access: None }).map_err(|rejected| {
                let failure = Failure::from(rejected);
                let message = format!("{}; the token may have been dropped all the same", failure.message);
                Failure { message, hint: "erase it once more, or force a refresh".to_owned(), ..failure }
            })?;
            outcome.erased = true;
        }
        Ok(outcome)
    }

    /// Ends the session meant. Unlike a `get`, it never falls back to a shorter path: ending the session of
    /// a whole host because one path of it was named would be a surprise.
    fn end(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Erased, Failure> {
        if let Some(name) = directly_named(wanted) {
            let erased = self.end_session(&name, Ending::Wanted, storage)?;
            if erased.erased {
                return Ok(erased);
            }
        }
        match self.choose_to_end(wanted, storage)? {
            Some(name) => self.end_session(&name, Ending::Wanted, storage),
            None => Ok(NOTHING),
        }
    }

    /// Ends one session in every backend that can be reached, the keyring's lock first. The one this call
    /// works with must be.
    pub(super) fn end_session(
        &self,
        name: &SessionName,
        ending: Ending<'_>,
        in_use: Storage,
    ) -> Result<Erased, Failure> {
        // While all are being moved, it may be in either, and is ended in both or not at all.
        let moving = self.still_moving_to(in_use)?;
        let mut reachable = Vec::new();
        for storage in [Storage::Keyring, Storage::Plaintext] {
            let backend = self.backend(storage);
            match backend.reach().and_then(|()| backend.read(&name.access_slot())) {
                Ok(_) | Err(store::Error::Damaged { .. }) => reachable.push(storage),
                Err(error) if storage != in_use && error.is_out_of_reach() && !moving => {
                    self.warn(WarningCode::BackendUnreachable, format!("not looked into: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let locks = self.lock_in(name, &reachable)?;
        if matches!(ending, Ending::IfTyped | Ending::ItsLast(_)) {
            let there = readable(store::load(self.backend(in_use), name), Damage::Stops)?;
            if !ending.is_of(there.as_ref()) {
                return Ok(NOTHING);
            }
        }
        // What a newer version wrote, in either, is found before anything is changed in the other.
        for storage in &reachable {
            let (backend, guard) = (self.backend(*storage), locks.of(*storage));
            readable(store::load(backend, name), Damage::Passes)?;
            readable(store::load_refresh(backend, guard, name), Damage::Passes)?;
        }
        let _calm = Uninterrupted::begin();
        let mut outcome = NOTHING;
        let mut services = Vec::new();
        for storage in &reachable {
            let ended = self.end_in(self.backend(*storage), locks.of(*storage), name, ending, &mut services);
            // What ended in the first backend must not be told as if nothing had.
            let ended =
                ended.map_err(|failure| if outcome.erased { half_ended(failure) } else { failure })?;
            outcome.erased |= ended.erased;
            if ended.revocation != Revocation::Skipped {
                outcome.revocation = ended.revocation;
            }
        }
        for storage in &reachable {
            if let Ok(backoff) = Backoff::beside(self.world.locks, &name.access_slot(), *storage) {
                backoff.clear();
            }
        }
        // Only a rejected token's session ended, and the other backend has another: that is the session now.
        let left =
            reachable.iter().find_map(|storage| store::load(self.backend(*storage), name).ok().flatten());
        if let Some(left) = left.filter(|left| !left.record().erased) {
            self.world.index.put(&Entry::of(left.record(), left.storage()))?;
            return Ok(outcome);
        }
        // Also where only an index entry or a default was left of it, in a backend that was looked into.
        let entry = self.world.index.entry(name).unwrap_or_default();
        let known_gone = entry.is_none_or(|entry| reachable.contains(&entry.storage));
        if outcome.erased || (known_gone && !matches!(ending, Ending::If(_))) {
            self.forget(name, services)?;
        }
        Ok(outcome)
    }

    /// Goes on with an end that was cut short, if it is one still once the lock is ours: its refresh token is yet to be
    /// revoked.
    pub(super) fn finish_an_end(&self, name: &SessionName, storage: Storage) -> Result<(), Failure> {
        let backend = self.backend(storage);
        let is_cut_short =
            || Ok::<_, Failure>(store::load(backend, name)?.is_some_and(|it| it.record().erased));
        if !is_cut_short()? {
            return Ok(());
        }
        let guard = self.lock(name, storage)?;
        let _calm = Uninterrupted::begin();
        if is_cut_short()? {
            self.end_in(backend, &guard, name, Ending::Wanted, &mut Vec::new())?;
        }
        Ok(())
    }

    /// Mark, revoke, refresh slot, access slot: a crash in between leaves a session that reads as gone and
    /// that the next writer finishes.
    fn end_in(
        &self,
        backend: &dyn Backend,
        guard: &Guard,
        name: &SessionName,
        ending: Ending<'_>,
        services: &mut Vec<Service>,
    ) -> Result<Erased, Failure> {
        let damage = if matches!(ending, Ending::If(_)) { Damage::Stops } else { Damage::Passes };
        let loaded = readable(store::load(backend, name), damage)?;
        if matches!(ending, Ending::If(_)) && !ending.is_of(loaded.as_ref()) {
            return Ok(NOTHING);
        }
        // What is damaged cannot be revoked; erasing it is still owed.
        let entry = readable(store::load_refresh(backend, guard, name), Damage::Passes)?;
        let mut access = None;
        if let Some(session) = loaded {
            let Bundle { record, access: held } = session.into_bundle();
            access = held.filter(|_| matches!(ending, Ending::SignedOut));
            services.extend(record.services.iter().cloned());
            let record = Record {
                erased: true,
                pending: None,
                generation: record.generation.saturating_add(1),
                ..record
            };
            store::save(backend, guard, Bundle { record, access: None })?;
        }
        let revocation = entry.map_or(Revocation::Skipped, |entry| self.revoke(&entry, access.as_ref()));
        let refresh = store::delete(backend, guard, name, &name.refresh_slot());
        let access = refresh.and_then(|refresh| {
            store::delete(backend, guard, name, &name.access_slot()).map(|access| refresh || access)
        });
        let erased = access.map_err(|error| half_ended(error.into()))?;
        Ok(Erased { erased, revocation })
    }

    /// Ends what is left of a session in one backend: an end that was begun, or a refresh token without its record.
    /// Where the other backend has the session, it may be the same token, and is only deleted; so it is where that
    /// cannot be known, unless somebody wanted the session ended.
    pub(super) fn end_leftover(&self, name: &SessionName, storage: Storage) -> Result<(), Failure> {
        let locks = self.lock_both(name)?;
        let (backend, guard) = (self.backend(storage), locks.of(storage));
        let _calm = Uninterrupted::begin();
        let wanted = match store::load(backend, name)? {
            Some(session) if !session.record().erased => return Ok(()),
            marked => marked.is_some(),
        };
        let lives_elsewhere = match store::load(self.backend(storage.other()), name) {
            Ok(other) => other.is_some_and(|other| !other.record().erased),
            Err(error) if error.is_out_of_reach() => !wanted,
            Err(error) => return Err(error.into()),
        };
        if lives_elsewhere {
            store::delete(backend, guard, name, &name.refresh_slot())?;
            store::delete(backend, guard, name, &name.access_slot())?;
            return Ok(());
        }
        let mut services = Vec::new();
        self.end_in(backend, guard, name, Ending::Wanted, &mut services)?;
        self.forget(name, services)
    }

    /// Tells the server that a session has ended: its refresh token and then, where it is wanted, its access token. Where
    /// the first was taken, a server that refuses the second has no use for it any more.
    pub(super) fn revoke(&self, entry: &RefreshEntry, access: Option<&AccessToken>) -> Revocation {
        if entry.destination.revocation_endpoint.is_none() {
            return Revocation::Unsupported;
        }
        // A configuration that cannot be acted on must not keep a session from ending here.
        let client = self.world.settings.providers.client_for(&entry.grant.services, &entry.destination).ok();
        let client = client.and_then(|client| refresh::ready(self.world.keyring, client).ok());
        let proof = client
            .as_ref()
            .and_then(|client| client.revocation_proof(&entry.destination, entry.client_secret.as_ref()));
        let Some(proof) = proof else { return Revocation::Failed };
        let now = self.world.clock.now();
        match revocation::revoke(self.world.http, &entry.destination, &proof, &entry.token, now) {
            revocation::Outcome::Revoked => {
                if let Some(access) = access {
                    revocation::revoke_access(self.world.http, &entry.destination, &proof, access, now);
                }
                Revocation::Revoked
            }
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

/// With the account given, the session's name is usually just what was asked for.
fn directly_named(wanted: Wanted<'_>) -> Option<SessionName> {
    let account = Account::parse(wanted.account?).ok()?;
    Some(SessionName { service: wanted.service.clone(), account, profile: wanted.profile.cloned() })
}

fn half_ended(mut failure: Failure) -> Failure {
    failure.message.insert_str(0, "the session is ended, but not all of it could be deleted: ");
    "erase it again, or run `claviger doctor --fix`".clone_into(&mut failure.hint);
    failure
}
