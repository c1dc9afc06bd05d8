//! `status` and `use`: how the sessions stand, and which of several accounts a service's callers get.

use super::Call;
use super::store::bad_request;
use crate::error;
use crate::message::{Chosen, Code, Failure, Outcome, Standing, Status, Target};
use crate::refresh::backoff::Backoff;
use crate::refresh::is_a_machines;
use crate::session::{Service, SessionName};
use crate::store;
use crate::store::index::Entry;
use crate::store::record::Record;
use crate::text::Escaped;
use crate::time::Timestamp;

impl Call<'_> {
    pub(super) fn status(&self, check: bool) -> Result<Outcome, Failure> {
        let mode = self.mode()?;
        let (entries, damaged) = self.world.index.all()?.or_damage();
        if let Some(damaged) = damaged {
            return Err(damaged.into());
        }
        let sessions: Result<Vec<Standing>, Failure> =
            entries.into_iter().map(|entry| self.standing(entry, check)).collect();
        Ok(Outcome::Standing(Box::new(Status {
            sessions: sessions?,
            storage: mode.storage,
            decided_by: mode.source.to_string(),
            checked: check,
        })))
    }

    fn standing(&self, entry: Entry, check: bool) -> Result<Standing, Failure> {
        let now = self.world.clock.now();
        let Entry {
            name,
            label,
            services,
            storage,
            expires_at,
            has_refresh_token,
            generation: _,
            refused_at,
            username: _,
            kept_by: _,
        } = entry;
        let mut default_of = Vec::new();
        for service in &services {
            let pinned = self.world.index.default_account(service, name.profile.as_ref())?;
            if pinned.as_ref() == Some(&name.account) {
                default_of.push(service.clone());
            }
        }
        let provider = self.world.settings.providers.serving(&name.service);
        let mut standing = Standing {
            provider: provider.map(|provider| provider.name.clone()),
            name,
            machine: provider.is_some_and(|provider| provider.grant.is_a_machines()),
            label,
            services,
            default_of,
            storage,
            expires_at,
            expires_in: None,
            has_refresh_token,
            obtained_at: None,
            problems: Vec::new(),
        };
        let slot = standing.name.access_slot();
        let backoff = Backoff::beside(self.world.locks, &slot, storage).ok();
        if let Some(pause) = backoff.and_then(|backoff| backoff.pause(now, true)) {
            standing.problems.push(format!(
                "the last refresh failed: {}; it is tried again by itself",
                Escaped(&pause.why)
            ));
        }
        if check {
            self.looked_into(&mut standing);
        } else if let Some(at) = refused_at {
            standing.problems.push(refused(at, self.login_command(&standing.name.service).as_deref()));
        }
        standing.expires_in = standing.expires_at.map(|at| at.since(now));
        let ended = standing.expires_in.is_some_and(|left| left <= 0);
        if ended && standing.has_refresh_token == Some(false) && !standing.machine {
            standing.problems.push("it has ended, and has no refresh token".to_owned());
        }
        Ok(standing)
    }

    /// What the slot says counts. What it says wrong is a problem of that one session.
    fn looked_into(&self, standing: &mut Standing) {
        match store::load(self.backend(standing.storage), &standing.name) {
            Ok(Some(session)) if !session.record().erased => {
                let record = session.record();
                standing.expires_at = record.expires_at;
                standing.has_refresh_token = record.has_refresh_token;
                standing.obtained_at = Some(record.obtained_at);
                if session.access().is_none() && !is_a_machines(&self.world.settings.providers, record) {
                    standing
                        .problems
                        .push("its access token was rejected; the next get refreshes".to_owned());
                }
                standing
                    .problems
                    .extend(troubles(record, self.login_command(&record.name.service).as_deref()));
            }
            Ok(_) => standing.problems.push("it is gone from where it was".to_owned()),
            Err(error) => standing.problems.push(error.to_string()),
        }
    }

    /// Makes an account the default of every service its session is granted for.
    pub(super) fn choose_default(&self, target: &Target) -> Result<Outcome, Failure> {
        let Some(account) = target.account.as_deref() else {
            return Err(bad_request("which account?", "name it: `claviger use ACCOUNT`"));
        };
        let service =
            target.word.as_ref().map(|_| self.meant(target)).transpose()?.map(|(service, _)| service);
        let (entries, damaged) = self.world.index.all()?.or_damage();
        if let Some(damaged) = damaged {
            return Err(damaged.into());
        }
        let opens = |entry: &Entry| {
            service
                .as_ref()
                .is_none_or(|service| entry.services.iter().any(|granted| granted.covers(service)))
        };
        let of_account: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| entry.name.profile == target.profile)
            .filter(opens)
            .filter(|entry| !self.is_ghost(entry))
            .collect();
        let by_name = |entry: &&Entry| entry.name.account.as_str() == account;
        let by_label = |entry: &&Entry| entry.label.as_deref() == Some(account);
        let mut meant: Vec<&Entry> = of_account.iter().filter(by_name).collect();
        if meant.is_empty() {
            meant = of_account.iter().filter(by_label).collect();
        }
        let entry = match meant.as_slice() {
            [one] => *one,
            [] => {
                return Err(Failure::new(
                    Code::AccountNotFound,
                    format!("there is no session of account {}", Escaped(account)),
                    "`claviger status` shows those there are",
                ));
            }
            several => {
                let services: Vec<String> =
                    several.iter().map(|entry| entry.name.service.to_string()).collect();
                return Err(Failure::new(
                    Code::NoAccountSelected,
                    format!("{} has several sessions: {}", Escaped(account), services.join(", ")),
                    "name the provider or service, too",
                ));
            }
        };
        self.pinned(&entry.name, &entry.services)?;
        Ok(Outcome::Chosen(Box::new(Chosen { name: entry.name.clone(), services: entry.services.clone() })))
    }

    fn pinned(&self, name: &SessionName, services: &[Service]) -> Result<(), Failure> {
        for service in services {
            self.world.index.pin_default(service, name.profile.as_ref(), &name.account)?;
        }
        Ok(())
    }
}

fn troubles(record: &Record, login: Option<&str>) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(tombstone) = &record.tombstone {
        troubles.push(refused(tombstone.at, login));
    }
    if let Some(pending) = record.pending {
        troubles.push(format!(
            "the answer to a refresh begun at {pending} did not come, or not yet; the next get asks again"
        ));
    }
    if record.moved_to.is_some() {
        troubles.push("its move to the other storage was not finished".to_owned());
    }
    troubles
}

fn refused(at: Timestamp, login: Option<&str>) -> String {
    let again = error::login_hint(login);
    format!("the server refused its refresh token at {at}; {again}")
}
