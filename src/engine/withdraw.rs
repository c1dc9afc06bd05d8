//! A tool's own logout (Q17): the session serves that tool's place no longer. It goes on for its other services, and ends with the
//! last one.

use super::erase::{Ending, NOTHING};
use super::typed::is_login;
use super::{Call, Damage, readable};
use crate::error;
use crate::harden::Uninterrupted;
use crate::message::{Erased, Failure, Outcome, Withdraw};
use crate::resolve::Wanted;
use crate::session::{Service, SessionName, Storage};
use crate::store::index::Entry;
use crate::store::record::{Bundle, Record, RefreshEntry};
use crate::store::{self, Persisted};

impl Call<'_> {
    pub(super) fn withdraw(&self, request: &Withdraw) -> Result<Outcome, Failure> {
        let named = request.username.as_deref().filter(|name| {
            // What every user of the service is called there names nobody.
            !name.is_empty() && !self.is_anybody(request.tool, &request.service, name)
        });
        let wanted = Wanted {
            service: &request.service,
            account: request.account.as_deref().or(named),
            profile: request.profile.as_ref(),
        };
        let erased = self.where_they_are(
            |mode| {
                self.awake(|| {
                    let storage = self.reading(mode, wanted, |storage| self.looked_at(wanted, storage))?;
                    let erased = self.withdraw_in(request, wanted, storage)?;
                    // What has not arrived yet is looked for where it still is.
                    if self.still_moving_to(storage)? {
                        return Ok(erased.and(self.withdraw_in(request, wanted, storage.other())?));
                    }
                    Ok(erased)
                })
            },
            |result| matches!(result, Ok(NOTHING)),
        )?;
        Ok(Outcome::Erased(erased))
    }

    /// What the tool brought itself is what its user means; else every session but what was typed into another tool.
    fn withdraw_in(
        &self,
        request: &Withdraw,
        wanted: Wanted<'_>,
        storage: Storage,
    ) -> Result<Erased, Failure> {
        let (mut own, mut others, mut damaged) = (Vec::new(), Vec::new(), None);
        for name in self.find_all(wanted, storage)? {
            let session = match store::load(self.backend(storage), &name) {
                // Another account's damaged slot must not keep this one's session alive.
                Err(error @ (store::Error::Damaged { .. } | store::Error::Newer { .. })) => {
                    damaged = Some(error);
                    continue;
                }
                session => session?,
            };
            let Some(session) = session.filter(|session| serves(session, wanted.service)) else { continue };
            let record = session.record();
            let brought = record.kept_by.as_deref() == Some(request.tool.word());
            // Of an account that somebody named, the login is ended by whoever names it too.
            if brought && (wanted.account.is_some() || is_login(record, request.tool)) {
                own.push(name);
            } else if record.kept_by.is_none() {
                others.push(name);
            }
        }
        let meant = if own.is_empty() && !request.only_its_own { others } else { own };
        let mut outcome = NOTHING;
        for name in meant {
            outcome = outcome.and(self.withdraw_from(&name, wanted.service, storage)?);
        }
        match damaged {
            // It may have been the one.
            Some(error) if outcome == NOTHING => Err(error.into()),
            _ => Ok(outcome),
        }
    }

    /// Takes a place off a session, which ends if it was the last. Which of the two it is to be is seen under the lock:
    /// others may take a place off meanwhile, or grant one.
    fn withdraw_from(
        &self,
        name: &SessionName,
        service: &Service,
        storage: Storage,
    ) -> Result<Erased, Failure> {
        const TRIES: usize = 8;
        for _ in 0..TRIES {
            match self.take_off(name, service, storage)? {
                Taken::Off => return Ok(Erased { erased: true, ..NOTHING }),
                Taken::NotThere => return Ok(NOTHING),
                Taken::TheLast => {
                    let ended = self.end_session(name, Ending::ItsLast(service), storage)?;
                    if ended.erased {
                        return Ok(ended);
                    }
                }
            }
        }
        Err(error::lock_timeout(&name.access_slot()))
    }

    /// Access slot first: what is asked for from then on is not served any more, whatever becomes of the rest.
    fn take_off(&self, name: &SessionName, service: &Service, storage: Storage) -> Result<Taken, Failure> {
        let backend = self.backend(storage);
        let guard = self.lock(name, storage)?;
        let _calm = Uninterrupted::begin();
        let session = store::load(backend, name)?.filter(|session| serves(session, service));
        let Some(session) = session else { return Ok(Taken::NotThere) };
        let entry = readable(store::load_refresh(backend, &guard, name), Damage::Passes)?;
        let Bundle { mut record, access } = match &entry {
            // A store that was cut short is finished first: its refresh token must not become the older session's.
            Some(entry) if entry.outruns(session.record()) => {
                let record = entry.completed(session.into_bundle().record);
                store::save_checked(backend, &guard, Bundle { record, access: None })?.into_bundle()
            }
            _ => session.into_bundle(),
        };
        if record.services == std::slice::from_ref(service) {
            return Ok(Taken::TheLast);
        }
        record.services.retain(|granted| granted != service);
        let record = Record { generation: record.generation.saturating_add(1), ..record };
        let (grant, generation) = (record.grant(), record.generation);
        let saved = store::save_checked(backend, &guard, Bundle { record, access })?;
        if let Some(entry) = entry {
            store::save_refresh(backend, &guard, &RefreshEntry { generation, grant, ..entry })?;
        }
        self.world.index.put(&Entry::of(saved.record(), storage))?;
        // Whoever undoes a login of that tool may not have meant this one.
        self.tell(&format!(
            "{} opens {service} no longer, as the tool's logout wants; signing in again grants it",
            name.words()
        ));
        let default = self.world.index.default_account(service, name.profile.as_ref())?;
        if default.as_ref() == Some(&name.account) {
            self.world.index.unpin_default(service, name.profile.as_ref())?;
        }
        Ok(Taken::Off)
    }
}

/// What became of a place.
enum Taken {
    /// It is off.
    Off,
    /// It is on no more.
    NotThere,
    /// It is the last one, and stays until the session ends.
    TheLast,
}

fn serves(session: &Persisted, service: &Service) -> bool {
    !session.record().erased && session.record().services.contains(service)
}
