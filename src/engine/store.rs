//! `store`: keep a bundle, whole or not at all.

use super::destination::{conflict, conflicts, typed_over};
use super::typed::is_typed;
use super::undo::Left;
use super::{Call, Damage, readable};
use crate::harden::Uninterrupted;
use crate::limits::SERVICES;
use crate::lock::Guard;
use crate::message::{Code, Expiry, Failure, Origin, Outcome, Revocation, Store, Stored, WarningCode};
use crate::provider::Destination;
use crate::refresh::backoff::Backoff;
use crate::secret::ClientSecret;
use crate::session::{Service, SessionName, Storage};
use crate::store::index::Entry;
use crate::store::mode::{Mode, Source};
use crate::store::record::{Bundle, ObtainedBy, Record, RefreshEntry};
use crate::store::{self, Backend};

/// Where a bundle comes from.
#[derive(Clone, Copy)]
pub(super) enum Granting<'a> {
    /// A caller had it.
    Store,
    /// Somebody typed it.
    Typed,
    /// Somebody has just signed in.
    Login {
        /// To this provider.
        provider: &'a str,
        /// The session that is replaced is revoked: its server ends that one alone.
        revoke_replaced: bool,
    },
}

impl Granting<'_> {
    fn by(self) -> ObtainedBy {
        match self {
            Self::Store | Self::Typed => ObtainedBy::Store,
            Self::Login { .. } => ObtainedBy::Login,
        }
    }

    /// Whether what is there must not be written over.
    fn is_barred_by(self, there: &Record) -> bool {
        // What a login or a machine grant brought has perhaps neither refresh token nor end, and was not typed either.
        let typed = is_typed(there) && there.obtained_by == ObtainedBy::Store;
        matches!(self, Self::Typed) && !there.erased && !typed
    }
}

impl Call<'_> {
    pub(super) fn store(&self, request: Store) -> Result<Outcome, Failure> {
        self.keep(request, Granting::Store).map(|(stored, _)| Outcome::Stored(stored))
    }

    /// Keeps a bundle, and says what became of the one it replaced at the server, where that was told.
    pub(super) fn keep(
        &self,
        mut request: Store,
        granting: Granting<'_>,
    ) -> Result<(Stored, Option<Revocation>), Failure> {
        let (destination, client_secret) =
            self.destination(std::mem::replace(&mut request.origin, Origin::Configured), &request)?;
        let destination = match (destination, granting) {
            (Some(destination), Granting::Login { provider, .. }) => {
                Some(Destination { found_by: Some(provider.to_owned()), ..destination })
            }
            (destination, _) => destination,
        };
        if request.refresh.is_some() && destination.is_none() {
            return Err(bad_request(
                "`refreshToken`: nothing could ever use it: no provider serves this service and no `tokenEndpoint` is given",
                "give `tokenEndpoint` and `clientId`, or configure a provider",
            ));
        }
        if granted_for(&request).len() > SERVICES {
            return Err(bad_request(
                &format!("`services`: over the limit of {SERVICES} with `service` itself"),
                "name fewer",
            ));
        }
        let name = request.name.clone();
        let mode = self.writing(self.mode()?, &name)?;
        let other = self.other_reachable(&name, mode)?;
        let locks =
            self.lock_in(&name, &[Some(mode.storage), other].into_iter().flatten().collect::<Vec<_>>())?;
        let _calm = Uninterrupted::begin();
        if let Some(other) = other {
            self.may_be_left(other, locks.of(other), &request, destination.as_ref(), granting)?;
        }
        let make_default = request.make_default;
        let guard = locks.of(mode.storage);
        let (stored, replaced) =
            self.write(request, (destination, client_secret), mode.storage, guard, granting)?;
        if let Ok(backoff) = Backoff::beside(self.world.locks, &name.access_slot(), mode.storage) {
            backoff.clear();
        }
        if let Some(other) = other {
            self.leave(other, locks.of(other), &name);
        }
        // The session is kept already; that it is nobody's default is worth a warning, not a failure.
        if let Err(error) = self.default_account(&stored, &name, make_default) {
            self.warn(WarningCode::PinFailed, format!("not made the default: {error}"));
        }
        self.pin(mode);
        drop(locks);
        let stored = Stored {
            storage: self.follow(&name, mode)?,
            name,
            has_refresh_token: stored.has_refresh_token == Some(true),
        };
        Ok((stored, replaced.map(|entry| self.revoke(&entry, None))))
    }

    /// A move of all sessions that began while this one was written may have looked before it was there: it is sent
    /// after them. Gives where the session is.
    pub(super) fn follow(&self, name: &SessionName, mode: Mode) -> Result<Storage, Failure> {
        let now = self.mode()?;
        let steered = !matches!(mode.source, Source::Pin | Source::Default);
        if !steered && now.source == Source::Pin && now.storage != mode.storage {
            self.relocate(name, now.storage)?;
            return Ok(now.storage);
        }
        Ok(mode.storage)
    }

    /// The other backend, where it can be reached: it may have a copy of this session, to be left. A choice for
    /// this call only never touches it.
    pub(super) fn other_reachable(&self, name: &SessionName, mode: Mode) -> Result<Option<Storage>, Failure> {
        let other = mode.storage.other();
        if mode.source.is_ephemeral() {
            // The index decides nothing here; a damaged entry is replaced by the write to come.
            let entry = self.world.index.entry(name).unwrap_or_default();
            if entry.is_some_and(|entry| entry.storage == other) {
                self.warn(
                    WarningCode::OtherCopy,
                    format!("{} keeps a copy: {} was for this call only", other.words(), mode.source),
                );
            }
            return Ok(None);
        }
        let backend = self.backend(other);
        let there = backend.reach().and_then(|()| backend.read(&name.access_slot()));
        match there {
            Ok(_) | Err(store::Error::Damaged { .. }) => Ok(Some(other)),
            Err(error) if error.is_out_of_reach() => {
                let known = self
                    .world
                    .index
                    .entry(name)
                    .unwrap_or_default()
                    .is_some_and(|entry| entry.storage == other);
                if known {
                    self.warn(
                        WarningCode::BackendUnreachable,
                        format!("an older copy may be left behind: {error}"),
                    );
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The other backend's copy will go: not where a newer version wrote it, nor where it is another client's.
    fn may_be_left(
        &self,
        other: Storage,
        guard: &Guard,
        request: &Store,
        destination: Option<&Destination>,
        granting: Granting<'_>,
    ) -> Result<(), Failure> {
        let backend = self.backend(other);
        let copy = readable(store::load(backend, &request.name), Damage::Passes)?;
        readable(store::load_refresh(backend, guard, &request.name), Damage::Passes)?;
        if copy.as_ref().is_some_and(|copy| granting.is_barred_by(copy.record())) {
            return Err(typed_over(&request.name));
        }
        if !request.replace && copy.is_some_and(|copy| conflicts(copy.record(), destination)) {
            return Err(conflict(&request.name));
        }
        Ok(())
    }

    fn write(
        &self,
        request: Store,
        (destination, client_secret): (Option<Destination>, Option<ClientSecret>),
        storage: Storage,
        guard: &Guard,
        granting: Granting<'_>,
    ) -> Result<(Record, Option<RefreshEntry>), Failure> {
        let backend = self.backend(storage);
        let replace = request.replace;
        // Whoever says `replace` wants what is there gone, readable or not.
        let damage = if replace { Damage::Passes } else { Damage::Stops };
        let existing = readable(store::load(backend, &request.name), damage)?;
        let replaced = readable(store::load_refresh(backend, guard, &request.name), damage)?;
        if existing.as_ref().is_some_and(|existing| granting.is_barred_by(existing.record())) {
            return Err(typed_over(&request.name));
        }
        let conflicts = |existing: &store::Persisted| conflicts(existing.record(), destination.as_ref());
        if !replace && existing.as_ref().is_some_and(conflicts) {
            return Err(conflict(&request.name));
        }
        let generation =
            existing.as_ref().map_or(0, |existing| existing.record().generation).saturating_add(1);
        let bundle = Bundle {
            record: self.record(&request, destination.as_ref(), generation, granting),
            access: Some(request.access),
        };
        let bundle = match (granting, &existing) {
            // Signing in again changes neither what people call the session nor what tools are told beside its token.
            (Granting::Login { .. }, Some(existing)) if !existing.record().erased => {
                let (label, username) = (existing.record().label.clone(), existing.record().username.clone());
                Bundle { record: Record { label, username, ..bundle.record }, ..bundle }
            }
            _ => bundle,
        };
        let grant = bundle.record.grant();
        let entry = request.refresh.zip(destination).map(|(token, destination)| RefreshEntry {
            name: request.name,
            token,
            destination,
            client_secret,
            generation,
            obtained_by: granting.by(),
            grant,
        });
        let record = self.put(backend, guard, bundle, entry.as_ref())?;
        let alone = matches!(granting, Granting::Login { revoke_replaced: true, .. });
        Ok((record, replaced.filter(|_| alone)))
    }

    fn record(
        &self,
        request: &Store,
        destination: Option<&Destination>,
        generation: i64,
        granting: Granting<'_>,
    ) -> Record {
        let now = self.world.clock.now();
        Record {
            name: request.name.clone(),
            label: request.label.clone(),
            username: request.username.clone(),
            kept_by: request.kept_by.clone(),
            services: granted_for(request),
            issuer: destination.and_then(|destination| destination.issuer.clone()),
            token_endpoint: destination.map(|destination| destination.token_endpoint.clone()),
            client_id: destination.map(|destination| destination.client_id.clone()),
            scopes: request.scopes.clone(),
            token_type: request.token_type.clone().unwrap_or_else(|| "Bearer".to_owned()),
            obtained_at: now,
            obtained_by: granting.by(),
            expires_at: match request.expiry {
                Expiry::Unknown => None,
                Expiry::At(at) => Some(at),
                Expiry::In(seconds) => Some(now.plus(seconds)),
            },
            refresh_token_expires_at: request.refresh_token_expires_at,
            has_refresh_token: Some(request.refresh.is_some()),
            generation,
            tombstone: None,
            pending: None,
            erased: false,
            moved_to: None,
        }
    }

    /// Index, then slots; on failure what was there is put back.
    fn put(
        &self,
        backend: &dyn Backend,
        guard: &Guard,
        bundle: Bundle,
        entry: Option<&RefreshEntry>,
    ) -> Result<Record, Failure> {
        let name = bundle.record.name.clone();
        let before = self.before(&name, backend.storage())?;
        let index_before = self.world.index.entry(&name).unwrap_or_default();
        self.world.index.put(&Entry::of(&bundle.record, backend.storage()))?;
        let written = match entry {
            Some(entry) => store::save_refresh(backend, guard, entry)
                .and_then(|()| store::save_checked(backend, guard, bundle).map_err(Into::into)),
            None => match store::save_checked(backend, guard, bundle) {
                Ok(saved) => store::delete(backend, guard, &name, &name.refresh_slot()).map(|_| saved),
                Err(rejected) => Err(rejected.into()),
            },
        };
        written.map(|saved| saved.record().clone()).map_err(|error| {
            let left = self.put_back(&before, guard, &error);
            let index = match &index_before {
                Some(entry) => self.world.index.put(entry),
                None => self.world.index.remove(&name),
            };
            let mut failure = Failure::from(error);
            match left {
                Left::AsBefore if index.is_ok() => {}
                Left::AsBefore | Left::Torn => {
                    failure.message.push_str("; and what was there before could not all be put back");
                    "`claviger doctor` shows what is there now".clone_into(&mut failure.hint);
                }
                Left::Unknown => {
                    failure.message.push_str("; what was being written may still land, whole or in part");
                    "see to the keyring, then store it once more".clone_into(&mut failure.hint);
                }
            }
            failure
        })
    }

    /// A write moves the session: two backends never both claim it. The new copy is safe already, so a
    /// failure here is a warning.
    pub(super) fn leave(&self, other: Storage, guard: &Guard, name: &SessionName) {
        let backend = self.backend(other);
        let deleted = store::delete(backend, guard, name, &name.refresh_slot())
            .and_then(|_| store::delete(backend, guard, name, &name.access_slot()));
        if let Err(error) = deleted {
            self.warn(
                WarningCode::OtherCopy,
                format!("{} keeps an older copy: {error}; `claviger doctor --fix` removes it", other.words()),
            );
        }
    }

    fn default_account(
        &self,
        record: &Record,
        name: &SessionName,
        make_default: Option<bool>,
    ) -> Result<(), store::Error> {
        if make_default == Some(false) {
            return Ok(());
        }
        for service in &record.services {
            let pinned = match self.world.index.default_account(service, name.profile.as_ref()) {
                // Taking the default replaces what is there, readable or not.
                Err(store::Error::Damaged { .. }) if make_default == Some(true) => None,
                other => other?,
            };
            if pinned.is_none() || make_default == Some(true) {
                self.world.index.pin_default(service, name.profile.as_ref(), &name.account)?;
            }
        }
        Ok(())
    }

    /// The first store that nobody steered decides where this machine keeps its sessions.
    pub(super) fn pin(&self, mode: Mode) {
        if mode.source != Source::Default {
            return;
        }
        let machine = &self.world.settings.machine;
        // Somebody may have decided meanwhile, and have begun to move what there is.
        let written = match self.world.pin.read(machine) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.world.pin.write(machine, mode.storage),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            self.warn(
                WarningCode::PinFailed,
                format!("{error}; set CLAVIGER_STORAGE={} to decide it yourself", mode.storage),
            );
        }
    }
}

/// The service that names the session, and the others given, each once.
fn granted_for(request: &Store) -> Vec<Service> {
    let mut services = vec![request.name.service.clone()];
    for service in &request.services {
        if !services.contains(service) {
            services.push(service.clone());
        }
    }
    services
}

pub(super) fn bad_request(message: &str, hint: &str) -> Failure {
    Failure::new(Code::BadRequest, format!("bad request: {message}"), hint)
}
