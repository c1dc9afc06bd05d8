//! From a request to the one session it means, by the index, and by the backend where the index knows none.

use super::Call;
use crate::message::{Code, Failure, MatchedBy};
use crate::provider::Destination;
use crate::resolve::{self, Candidate, Choice, Refusal, Wanted};
use crate::session::{Account, Service, SessionName, Storage};
use crate::store::index::{Entry, Listing};
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
        let Choice { name, matched_by } = self.choose(wanted, storage)?;
        let session = store::load(self.backend(storage), &name)?.filter(|session| !session.record().erased);
        match session {
            Some(session) if self.may_serve(session.record(), wanted.service) => {
                Ok(Found { session, matched_by })
            }
            Some(_) => Err(self.not_found(wanted.service)),
            None => Err(self.elsewhere(&name, storage).unwrap_or_else(|| self.not_found(wanted.service))),
        }
    }

    /// With the account given, the session's name is usually just what was asked for: one slot, no index.
    fn named_exactly(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Option<Found>, Failure> {
        let Some(account) = wanted.account.and_then(|text| Account::parse(text).ok()) else {
            return Ok(None);
        };
        let name = SessionName { service: wanted.service.clone(), account, profile: wanted.profile.cloned() };
        let session = store::load(self.backend(storage), &name)?.filter(|session| !session.record().erased);
        Ok(session
            .filter(|session| self.may_serve(session.record(), wanted.service))
            .map(|session| Found { session, matched_by: MatchedBy::Account }))
    }

    fn choose(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Choice, Failure> {
        let Listing { entries, damaged } = self.world.index.all()?;
        let mut refusal = Refusal::Nothing;
        match self.choose_from(wanted, &candidates(&entries))? {
            // The damaged file may hide another account: only what was named or pinned is certain.
            Ok(choice) if damaged.is_some() && self.rests_on_being_alone(wanted, &choice)? => {}
            Ok(choice) => return Ok(choice),
            Err(other) => refusal = other,
        }
        if let Some(damaged) = damaged {
            return Err(damaged.into());
        }
        if matches!(refusal, Refusal::Ambiguous(_)) {
            return Err(self.refused(wanted, refusal));
        }
        let rebuilt = self.rebuild(storage)?;
        self.choose_from(wanted, &candidates(&rebuilt))?.map_err(|refusal| self.refused(wanted, refusal))
    }

    fn choose_from(
        &self,
        wanted: Wanted<'_>,
        candidates: &[Candidate],
    ) -> Result<Result<Choice, Refusal>, Failure> {
        let default = |service: &Service| self.world.index.default_account(service, wanted.profile);
        Ok(resolve::choose(wanted, candidates, default)?)
    }

    fn rests_on_being_alone(&self, wanted: Wanted<'_>, choice: &Choice) -> Result<bool, Failure> {
        if wanted.account.is_some() {
            return Ok(false);
        }
        for prefix in wanted.service.prefixes() {
            if self.world.index.default_account(&prefix, wanted.profile)?.as_ref()
                == Some(&choice.name.account)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every session that might be meant, of any account: for an erase that compares.
    pub(super) fn find_all(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Vec<SessionName>, Failure> {
        let names = |entries: &[Entry]| -> Vec<SessionName> {
            resolve::all(wanted, &candidates(entries))
                .into_iter()
                .map(|candidate| candidate.name.clone())
                .collect()
        };
        let Listing { entries, damaged } = self.world.index.all()?;
        let known = names(&entries);
        match (known.is_empty(), damaged) {
            (false, _) => Ok(known),
            (true, Some(damaged)) => Err(damaged.into()),
            (true, None) => Ok(names(&self.rebuild(storage)?)),
        }
    }

    /// The session an erase means: one granted for this very service, never for a shorter path.
    pub(super) fn choose_to_end(&self, wanted: Wanted<'_>) -> Result<Option<SessionName>, Failure> {
        let choose = |entries: &[Entry]| {
            let mut exact = candidates(entries);
            exact.retain(|candidate| candidate.services.contains(wanted.service));
            self.choose_from(wanted, &exact)
        };
        let Listing { mut entries, damaged } = self.world.index.all()?;
        let mut chosen = choose(&entries)?;
        if matches!(chosen, Err(Refusal::Nothing)) {
            if let Some(damaged) = damaged {
                return Err(damaged.into());
            }
            for storage in [Storage::Keyring, Storage::Plaintext] {
                // A backend that cannot be searched has been warned of by the erase itself.
                entries.extend(self.rebuild(storage).unwrap_or_default());
            }
            chosen = choose(&entries)?;
        }
        match chosen {
            Ok(choice) => Ok(Some(choice.name)),
            Err(Refusal::Nothing | Refusal::NoSuchAccount) => Ok(None),
            Err(refusal @ Refusal::Ambiguous(_)) => Err(self.refused(wanted, refusal)),
        }
    }

    /// Searches the backend itself, and writes what it finds into the index.
    pub(super) fn rebuild(&self, storage: Storage) -> Result<Vec<Entry>, Failure> {
        let values = self.backend(storage).access_values()?;
        // A damaged value is an error for whoever asks for that session, not for everyone else.
        let bundles = values.iter().filter_map(|value| Bundle::decode(value, None).ok());
        let living = bundles.filter(|bundle| !bundle.record.erased);
        let entries: Vec<Entry> = living.map(|bundle| Entry::of(&bundle.record, storage)).collect();
        for entry in &entries {
            // A hint that could not be written is found again the same way next time.
            let _ = self.world.index.put(entry);
        }
        Ok(entries)
    }

    /// I11, and what the configuration takes away from it: a session that belongs to a configured provider
    /// serves only what that provider still lists. Configuration never adds anything.
    fn may_serve(&self, record: &Record, service: &Service) -> bool {
        let provider = record.token_endpoint.clone().zip(record.client_id.clone()).and_then(
            |(token_endpoint, client_id)| {
                let issuer = record.issuer.clone();
                self.world.settings.providers.owning(&Destination {
                    issuer,
                    token_endpoint,
                    revocation_endpoint: None,
                    client_id,
                })
            },
        );
        let listed = |granted: &Service| match provider {
            Some(provider) if !provider.services.is_empty() => {
                provider.services.iter().any(|listed| listed.covers(granted))
            }
            _ => true,
        };
        record.services.iter().any(|granted| granted.covers(service) && listed(granted))
    }

    /// The index says the other backend has it: worth saying, never worth falling back to.
    fn elsewhere(&self, name: &SessionName, storage: Storage) -> Option<Failure> {
        let entry = self.world.index.entry(name).ok().flatten()?;
        (entry.storage != storage).then(|| {
            Failure::new(
                Code::NotFound,
                format!(
                    "the session of {} for {} is not in the {storage} but in the {}",
                    name.account, name.service, entry.storage
                ),
                format!("say --storage {} for this call, or store it anew", entry.storage),
            )
        })
    }

    fn refused(&self, wanted: Wanted<'_>, refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Nothing => self.not_found(wanted.service),
            Refusal::NoSuchAccount => Failure::new(
                Code::AccountNotFound,
                format!("there is no session of that account for {}", wanted.service),
                "`claviger list` shows the accounts there are",
            ),
            Refusal::Ambiguous(accounts) => {
                let names: Vec<String> = accounts.iter().map(Account::to_string).collect();
                Failure::new(
                    Code::NoAccountSelected,
                    format!("several accounts have a session for {}: {}", wanted.service, names.join(", ")),
                    "name one with `account`, or make one the default by storing it with makeDefault",
                )
            }
        }
    }
}

fn candidates(entries: &[Entry]) -> Vec<Candidate> {
    let candidate = |entry: &Entry| Candidate {
        name: entry.name.clone(),
        label: entry.label.clone(),
        services: entry.services.clone(),
    };
    entries.iter().map(candidate).collect()
}
