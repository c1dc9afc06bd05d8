//! From a request to the one session it means, by the index, and by the backend where the index knows none.

use super::Call;
use super::get::deepest;
use crate::message::{Code, Failure, MatchedBy, WarningCode};
use crate::resolve::{self, Candidate, Choice, Refusal, Wanted};
use crate::session::{Account, Service, SessionName, Storage};
use crate::store::index::Entry;
use crate::store::record::{Bundle, Record};
use crate::store::{self, Persisted};

/// A session that was chosen and is really there.
pub(super) struct Found {
    pub(super) session: Persisted,
    pub(super) matched_by: MatchedBy,
}

impl Call<'_> {
    /// The session a token is asked of. What the index says is checked in the slot.
    pub(super) fn find(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Found, Failure> {
        if let Some(found) = self.named_exactly(wanted, storage)? {
            return Ok(found);
        }
        let choice = self.choose(wanted, storage)?;
        if let Some(found) = self.checked(&choice, wanted, storage)? {
            return Ok(found);
        }
        if choice.by == MatchedBy::Default {
            // Nobody else is served in the place of a default that is gone.
            return Err(self.missing(&choice.name, wanted, storage));
        }
        let choice = match self.choose_from_backend(wanted, storage)? {
            Ok(choice) => choice,
            Err(Refusal::Nothing | Refusal::NoSuchAccount) => {
                return Err(self.missing(&choice.name, wanted, storage));
            }
            Err(refusal) => return Err(self.refused(wanted, refusal, storage)),
        };
        self.checked(&choice, wanted, storage)?.ok_or_else(|| self.missing(&choice.name, wanted, storage))
    }

    /// With the account given, the session's name is usually just what was asked for: one slot, no index.
    fn named_exactly(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Option<Found>, Failure> {
        let Some(account) = wanted.account.and_then(|text| Account::parse(text).ok()) else {
            return Ok(None);
        };
        let name = SessionName { service: wanted.service.clone(), account, profile: wanted.profile.cloned() };
        self.checked(&Choice { name, by: MatchedBy::Account, exact: true }, wanted, storage)
    }

    /// The chosen session, if it is really there and was really granted for the service.
    fn checked(
        &self,
        choice: &Choice,
        wanted: Wanted<'_>,
        storage: Storage,
    ) -> Result<Option<Found>, Failure> {
        let session = store::load(self.backend(storage), &choice.name)?;
        let serves = |session: &Persisted| {
            !session.record().erased && self.may_serve(session.record(), wanted.service)
        };
        Ok(session.filter(serves).map(|session| Found { session, matched_by: choice.matched_by() }))
    }

    fn choose(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Choice, Failure> {
        let (entries, damaged) = self.world.index.all()?.or_damage();
        let mut chosen = self.choose_from(wanted, &candidates(&entries))?;
        if matches!(chosen, Err(Refusal::Ambiguous(_))) {
            let there = self.really_there(wanted, entries, storage)?;
            chosen = self.choose_from(wanted, &candidates(&there))?;
        }
        match (chosen, damaged) {
            (Ok(choice), None) => Ok(choice),
            // The damaged file may hide another account.
            (Ok(choice), Some(_)) if choice.is_certain() => Ok(choice),
            (Err(refusal @ Refusal::Ambiguous(_)), _) => Err(self.refused(wanted, refusal, storage)),
            (_, Some(damaged)) => Err(damaged.into()),
            (Err(Refusal::Nothing | Refusal::NoSuchAccount | Refusal::DefaultGone(_)), None) => self
                .choose_from_backend(wanted, storage)?
                .map_err(|refusal| self.refused(wanted, refusal, storage)),
        }
    }

    /// Asks the backend itself, where the index knows no session or knows wrong.
    fn choose_from_backend(
        &self,
        wanted: Wanted<'_>,
        storage: Storage,
    ) -> Result<Result<Choice, Refusal>, Failure> {
        let entries = self.search_backend(storage)?;
        self.choose_from(wanted, &candidates(&entries))
    }

    /// The entries that might be meant and whose slot is there: the index is a superset of the truth.
    fn really_there(
        &self,
        wanted: Wanted<'_>,
        entries: Vec<Entry>,
        storage: Storage,
    ) -> Result<Vec<Entry>, Failure> {
        let mut there = Vec::new();
        for entry in entries {
            let granted = entry.services.iter().any(|granted| granted.covers(wanted.service));
            let choice = Choice { name: entry.name.clone(), by: MatchedBy::Only, exact: true };
            if granted
                && entry.name.profile.as_ref() == wanted.profile
                && self.checked(&choice, wanted, storage)?.is_some()
            {
                there.push(entry);
            }
        }
        Ok(there)
    }

    pub(super) fn choose_from(
        &self,
        wanted: Wanted<'_>,
        candidates: &[Candidate],
    ) -> Result<Result<Choice, Refusal>, Failure> {
        let default = |service: &Service| -> Result<Option<Account>, store::Error> {
            let pinned = self.world.index.default_account(service, wanted.profile)?;
            Ok(pinned.or_else(|| self.machines_own(service, wanted, candidates)))
        };
        Ok(resolve::choose(wanted, candidates, default)?)
    }

    /// Every session that might be meant, of any account: for an erase that compares.
    pub(super) fn find_all(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Vec<SessionName>, Failure> {
        let names = |entries: &[Entry]| -> Vec<SessionName> {
            resolve::all(wanted, &candidates(entries))
                .into_iter()
                .map(|candidate| candidate.name.clone())
                .collect()
        };
        let (entries, damaged) = self.world.index.all()?.or_damage();
        let known = names(&entries);
        match (known.is_empty(), damaged) {
            (false, _) => Ok(known),
            (true, Some(damaged)) => Err(damaged.into()),
            (true, None) => Ok(names(&self.search_backend(storage)?)),
        }
    }

    /// The session an erase means: one granted for this very service, never for a shorter path.
    pub(super) fn choose_to_end(
        &self,
        wanted: Wanted<'_>,
        in_use: Storage,
    ) -> Result<Option<SessionName>, Failure> {
        let choose = |entries: &[Entry]| {
            let mut exact = candidates(entries);
            exact.retain(|candidate| candidate.services.contains(wanted.service));
            self.choose_from(wanted, &exact)
        };
        let (mut entries, damaged) = self.world.index.all()?.or_damage();
        let mut chosen = choose(&entries)?;
        if matches!(chosen, Err(Refusal::Ambiguous(_))) {
            entries.retain(|entry| !self.is_ghost(entry));
            chosen = choose(&entries)?;
        }
        if matches!(chosen, Err(Refusal::Nothing | Refusal::NoSuchAccount | Refusal::DefaultGone(_)))
            && damaged.is_none()
        {
            entries.extend(self.search_both(in_use)?);
            chosen = choose(&entries)?;
        }
        match (chosen, damaged) {
            (Ok(choice), None) => Ok(Some(choice.name)),
            (Ok(choice), Some(_)) if choice.is_certain() => Ok(Some(choice.name)),
            (Err(refusal @ Refusal::Ambiguous(_)), _) => Err(self.refused(wanted, refusal, in_use)),
            (_, Some(damaged)) => Err(damaged.into()),
            // What is left of it, an index entry or a pinned default, ends too.
            (Err(Refusal::DefaultGone(account)), None) => {
                let profile = wanted.profile.cloned();
                Ok(Some(SessionName { service: wanted.service.clone(), account, profile }))
            }
            (Err(Refusal::Nothing | Refusal::NoSuchAccount), None) => Ok(None),
        }
    }

    /// Searches both backends. The one in use must answer; where the other does not, that is told.
    pub(super) fn search_both(&self, in_use: Storage) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        for storage in [Storage::Keyring, Storage::Plaintext] {
            match self.search_backend(storage) {
                Ok(found) => entries.extend(found),
                Err(failure) if storage == in_use => return Err(failure),
                Err(failure) => {
                    self.warn(
                        WarningCode::BackendUnreachable,
                        format!("not looked into: {}", failure.message),
                    );
                }
            }
        }
        Ok(entries)
    }

    /// An entry whose slot is gone from where it should be. What cannot be read is no ghost.
    pub(super) fn is_ghost(&self, entry: &Entry) -> bool {
        matches!(store::load(self.backend(entry.storage), &entry.name), Ok(None))
    }

    /// Searches the backend itself, and writes what it finds into the index.
    pub(super) fn search_backend(&self, storage: Storage) -> Result<Vec<Entry>, Failure> {
        let values = self.backend(storage).access_values()?;
        // A damaged value is an error for whoever asks for that session, not for everyone else.
        let bundles = values.iter().filter_map(|value| Bundle::decode(value, None).ok());
        let living = bundles.filter(|bundle| !bundle.record.erased);
        let entries: Vec<Entry> = living.map(|bundle| Entry::of(&bundle.record, storage)).collect();
        for entry in &entries {
            // A hint that could not be written is found again the same way next time.
            let _ = self.world.index.put(entry);
            // Erased while we searched: what ended must not be listed again.
            if self.is_ghost(entry) {
                self.world.index.remove(&entry.name)?;
            }
        }
        Ok(entries)
    }

    /// I11, and what the configuration takes away from it: a session that belongs to a configured provider
    /// serves only what that provider still lists. Configuration never adds anything.
    pub(super) fn may_serve(&self, record: &Record, service: &Service) -> bool {
        let listed =
            self.listed_for(record).is_none_or(|listed| listed.iter().any(|listed| listed.covers(service)));
        listed && record.granted_for(service)
    }

    /// The place below which a token that serves may be shown: the longest that was granted, or is still listed.
    pub(super) fn within(&self, record: &Record, service: &Service) -> Service {
        let granted = deepest(&record.services, service);
        let listed = self.listed_for(record).map(|listed| deepest(listed, service));
        listed.filter(|listed| granted.covers(listed)).unwrap_or(granted)
    }

    fn listed_for(&self, record: &Record) -> Option<&[Service]> {
        let providers = &self.world.settings.providers;
        let provider = record.asking().and_then(|asking| providers.resembling(&record.services, asking))?;
        Some(provider.services.as_slice()).filter(|listed| !listed.is_empty())
    }

    /// What the index knows of is not here, or not for this service. That the other backend has it is worth
    /// saying, never worth falling back to.
    fn missing(&self, name: &SessionName, wanted: Wanted<'_>, storage: Storage) -> Failure {
        let code = if wanted.account.is_some() { Code::AccountNotFound } else { Code::NotFound };
        let session = name.words();
        match self.world.index.entry(name).ok().flatten() {
            Some(entry) if entry.storage != storage => Failure::new(
                code,
                format!("{session} is not in {} but in {}", storage.words(), entry.storage.words()),
                in_the_other(entry.storage),
            ),
            Some(entry) if entry.services.iter().any(|granted| granted.covers(wanted.service)) => {
                Failure::new(
                    code,
                    format!("{session} is gone, or was not granted for {}, or no longer is", wanted.service),
                    "see `services` of its provider in config.toml, store it anew, or erase it",
                )
            }
            Some(_) | None => Failure { code, ..self.nothing(wanted, storage) },
        }
    }

    /// There is no session. That the files have one, which a keyring that answers never falls back to, is worth
    /// saying; the keyring itself is not asked for the sake of a hint.
    fn nothing(&self, wanted: Wanted<'_>, storage: Storage) -> Failure {
        let failure = self.not_found(wanted.service);
        if storage == Storage::Plaintext || !self.serves_in_files(wanted) {
            return failure;
        }
        let message = format!("{} in the keyring, but one in plaintext files", failure.message);
        Failure { message, hint: in_the_other(Storage::Plaintext), ..failure }
    }

    fn serves_in_files(&self, wanted: Wanted<'_>) -> bool {
        // A hint's sake: files that cannot be read give none.
        let values = self.world.plaintext.access_values().unwrap_or_default();
        let records =
            values.iter().filter_map(|value| Bundle::decode(value, None).ok()).map(|found| found.record);
        let living: Vec<Entry> = records
            .filter(|record| !record.erased)
            .map(|record| Entry::of(&record, Storage::Plaintext))
            .collect();
        !resolve::all(wanted, &candidates(&living)).is_empty()
    }

    fn refused(&self, wanted: Wanted<'_>, refusal: Refusal, storage: Storage) -> Failure {
        match refusal {
            Refusal::Nothing if wanted.account.is_none() => self.nothing(wanted, storage),
            Refusal::Nothing => Failure { code: Code::AccountNotFound, ..self.nothing(wanted, storage) },
            Refusal::NoSuchAccount => Failure::new(
                Code::AccountNotFound,
                format!("there is no session of that account for {}", wanted.service),
                "`claviger status` shows the accounts there are",
            ),
            Refusal::DefaultGone(account) => Failure::new(
                Code::NotFound,
                format!("the default account {account} has no session for {}", wanted.service),
                "name another account, make one the default with `claviger use ACCOUNT`, or erase the default's session",
            ),
            Refusal::Ambiguous(accounts) => {
                let names: Vec<String> = accounts.iter().map(Account::to_string).collect();
                Failure::new(
                    Code::NoAccountSelected,
                    format!("several accounts have a session for {}: {}", wanted.service, names.join(", ")),
                    "name one with `account` (--account), or make one the default with `claviger use ACCOUNT`",
                )
            }
        }
    }
}

pub(super) fn candidates(entries: &[Entry]) -> Vec<Candidate> {
    let candidate = |entry: &Entry| Candidate {
        name: entry.name.clone(),
        label: entry.label.clone(),
        services: entry.services.clone(),
    };
    entries.iter().map(candidate).collect()
}

fn in_the_other(storage: Storage) -> String {
    format!(
        "`claviger storage move {}` moves all sessions there; --storage {storage} looks into the other for this call only",
        storage.other()
    )
}
