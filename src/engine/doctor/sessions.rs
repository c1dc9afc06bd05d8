//! The sessions themselves: two copies, unfinished erases and moves, parts without a whole, and an index that
//! says otherwise.

use super::mend::Remedy;
use super::{Call, Chart};
use crate::error;
use crate::message::Failure;
use crate::session::{SessionName, SlotName, Storage};
use crate::store::index::{Entry, Listing, Pinned};
use crate::store::mode::Mode;
use crate::store::record::{Bundle, Fault, Kind, Record, whose};
use crate::store::{self, Backend, probe};
use crate::text::Escaped;

/// What lies in one backend, tokens apart.
struct Survey<'a> {
    backend: &'a dyn Backend,
    /// Everything there, by the backend's own names, whether it could be read or not.
    labels: Vec<String>,
    /// The records of its access slots.
    records: Vec<Record>,
    /// Its refresh slots.
    refresh: Vec<Refresh>,
    /// Whether everything there could be read.
    whole: bool,
}

/// A refresh slot: beside which access slot it belongs, and whose it is, where it had to be read to know.
struct Refresh {
    beside: SlotName,
    name: Option<SessionName>,
}

impl Survey<'_> {
    fn storage(&self) -> Storage {
        self.backend.storage()
    }

    fn record(&self, name: &SessionName) -> Option<&Record> {
        self.records.iter().find(|record| record.name == *name)
    }

    /// The records of sessions that are neither ended nor on their way.
    fn living(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| !record.erased && record.moved_to.is_none())
    }

    /// Whether there is such a slot at all: one that cannot be read is no reason to clear away what belongs to it.
    fn holds(&self, slot: &SlotName) -> bool {
        self.labels.contains(&self.backend.label(slot))
    }
}

impl Call<'_> {
    pub(super) fn examine_sessions(&self, mode: Mode, usable: &[Storage], chart: &mut Chart) {
        let mut surveys = Vec::new();
        for storage in usable {
            match self.look_awake(mode, *storage).and_then(|()| self.survey(*storage, chart)) {
                Ok(survey) => surveys.push(survey),
                Err(failure) if *storage == mode.storage => {
                    chart.problem("sessions", failure.message, failure.hint);
                }
                Err(failure) => chart.note("sessions", failure.message, "it is not in use"),
            }
        }
        for survey in &surveys {
            self.examine_marks(mode, survey, chart);
        }
        if let [one, two] = surveys.as_slice() {
            examine_copies(mode, one, two, chart);
        }
        examine_elsewhere(mode, &surveys, chart);
        self.examine_index(usable, &surveys, chart);
        if !surveys.is_empty() {
            let count: usize = surveys.iter().map(|survey| survey.records.len()).sum();
            chart.good("sessions", format!("{count} looked into"));
        }
    }

    /// Some keyrings have a lock for each item: they are opened before they are looked into one by one, where the keyring
    /// is in use.
    fn look_awake(&self, mode: Mode, storage: Storage) -> Result<(), Failure> {
        if (storage, mode.storage) != (Storage::Keyring, Storage::Keyring) {
            return Ok(());
        }
        self.awake(|| Ok(self.backend(storage).access_values().map(|_| ())?))
    }

    /// Reads what a backend holds of ours. Refresh slots are not read where their names say enough.
    fn survey(&self, storage: Storage, chart: &mut Chart) -> Result<Survey<'_>, Failure> {
        let (backend, place) = (self.backend(storage), storage.words());
        let labels = backend.labels()?;
        let mut survey =
            Survey { backend, labels: labels.clone(), records: Vec::new(), refresh: Vec::new(), whole: true };
        for label in labels.into_iter().filter(|label| !SlotName::is_a_client_secret(label)) {
            if let Some(beside) = SlotName::beside_refresh(&label) {
                survey.refresh.push(Refresh { beside, name: None });
                continue;
            }
            let value = match backend.peek(&label) {
                Ok(Some(value)) => value,
                // Erased since the labels were read.
                Ok(None) => continue,
                Err(error) => {
                    survey.whole = false;
                    let failure = error::of_store(&error);
                    chart.problem("sessions", failure.message, failure.hint);
                    continue;
                }
            };
            if let Some(written) = probe::written_at(&value) {
                if probe::is_left_over(written, self.world.clock.now()) {
                    let message =
                        format!("a probe of {written} was not deleted from {place}: {}", Escaped(&label));
                    chart.mendable("sessions", message, Remedy::Discard { storage, label });
                }
                continue;
            }
            let at_its_place = |slot: &SlotName| {
                if backend.label(slot) == label {
                    Ok(())
                } else {
                    Err(Fault::Damaged("it lies where it does not belong; remove it".to_owned()))
                }
            };
            let read = whose(&value).and_then(|(kind, name)| match kind {
                Kind::Access => {
                    at_its_place(&name.access_slot())?;
                    Bundle::decode(&value, Some(&name)).map(|bundle| survey.records.push(bundle.record))
                }
                Kind::Refresh => {
                    at_its_place(&name.refresh_slot())?;
                    survey.refresh.push(Refresh { beside: name.access_slot(), name: Some(name) });
                    Ok(())
                }
            });
            if let Err(fault) = read {
                survey.whole = false;
                let failure = error::of_store(&fault.at(format!("slot {}", Escaped(&label))));
                chart.problem("sessions", format!("in {place}, {}", failure.message), failure.hint);
            }
        }
        for label in backend.strays()? {
            let message = format!("a part of a value that is no more lies in {place}: {}", Escaped(&label));
            chart.mendable("sessions", message, Remedy::Stray { storage, label });
        }
        Ok(survey)
    }

    /// What was begun and not finished, and what is promised and not there.
    fn examine_marks(&self, mode: Mode, survey: &Survey<'_>, chart: &mut Chart) {
        let (storage, place) = (survey.storage(), survey.storage().words());
        for record in &survey.records {
            let session = record.name.words();
            let name = record.name.clone();
            if record.erased {
                let message = format!("the end of {session} in {place} was not finished");
                chart.mendable("sessions", message, Remedy::End { name, storage });
            } else if let Some(to) = record.moved_to {
                let message = format!("the move of {session} to {} was not finished", to.words());
                chart.mendable("sessions", message, Remedy::Settle { name, home: mode.storage });
            } else if record.has_refresh_token == Some(true) && !survey.holds(&record.name.refresh_slot()) {
                chart.problem(
                    "sessions",
                    format!("{session} in {place} promises a refresh token, and there is none"),
                    error::login_hint(self.login_command(&record.name.service).as_deref()),
                );
            }
        }
        for Refresh { beside, name } in survey.refresh.iter().filter(|refresh| !survey.holds(&refresh.beside))
        {
            let (message, remedy) = match name {
                Some(name) => (name.words(), Remedy::End { name: name.clone(), storage }),
                None => (format!("slot {beside}"), Remedy::EndSlot { slot: beside.clone(), storage }),
            };
            let message = format!("in {place} a refresh token lies without its session: {message}");
            chart.mendable("sessions", message, remedy);
        }
    }

    /// What the index says and is not so, and what it does not say. Of a backend that cannot be used it is believed.
    fn examine_index(&self, usable: &[Storage], surveys: &[Survey<'_>], chart: &mut Chart) {
        let listing = match self.world.index.all() {
            Ok(listing) => listing,
            Err(error) => {
                let failure = error::of_store(&error);
                return chart.problem("index", failure.message, failure.hint);
            }
        };
        let Listing { entries, damaged } = listing;
        let (defaults, bad_defaults) = match self.world.index.defaults() {
            Ok(defaults) => (defaults.entries, defaults.damaged),
            Err(error) => {
                let failure = error::of_store(&error);
                chart.problem("index", failure.message, failure.hint);
                Default::default()
            }
        };
        // What is there and cannot be read, a newer version's perhaps, is not written over.
        let unread: Vec<String> =
            damaged.iter().map(|damaged| damaged.file.trim_end_matches(".json").to_owned()).collect();
        for damaged in damaged.into_iter().chain(bad_defaults) {
            let failure = error::of_store(&damaged.error);
            match damaged.error {
                store::Error::Damaged { .. } => {
                    chart.mendable("index", failure.message, Remedy::RemoveDamaged(damaged));
                }
                _ => chart.problem("index", failure.message, failure.hint),
            }
        }
        for entry in &entries {
            let there = surveys.iter().any(|survey| survey.holds(&entry.name.access_slot()));
            let looked = surveys.iter().any(|survey| survey.storage() == entry.storage);
            if looked && !there {
                let message = format!("it lists {}, and there is none", entry.name.words());
                chart.mendable("index", message, Remedy::Forget(entry.name.clone()));
            }
        }
        for survey in surveys {
            for record in survey.living() {
                let known = entries.iter().find(|entry| entry.name == record.name);
                let elsewhere = |storage: Storage| {
                    surveys
                        .iter()
                        .any(|other| other.storage() == storage && other.record(&record.name).is_some())
                };
                // Of a backend that could not be looked into the index is believed.
                let seen = |storage: Storage| surveys.iter().any(|other| other.storage() == storage);
                let right = known.is_some_and(|entry| {
                    entry.storage == survey.storage() || elsewhere(entry.storage) || !seen(entry.storage)
                });
                let outdated = known.filter(|entry| {
                    entry.storage == survey.storage()
                        && entry.services != record.services
                        && entry.generation < record.generation
                });
                if outdated.is_some() {
                    let message = format!("it lists {} for other services", record.name.words());
                    chart.mendable("index", message, Remedy::List(Entry::of(record, survey.storage())));
                }
                if !right && !unread.contains(&record.name.access_slot().digest()) {
                    let message =
                        format!("it does not list {} in {}", record.name.words(), survey.storage().words());
                    chart.mendable("index", message, Remedy::List(Entry::of(record, survey.storage())));
                }
            }
        }
        // A default that is unpinned is not found again: only where everything could be looked into.
        let in_keyring = entries.iter().any(|entry| entry.storage == Storage::Keyring);
        let all_seen = (usable.contains(&Storage::Keyring) || !in_keyring)
            && !surveys.is_empty()
            && surveys.len() == usable.len()
            && surveys.iter().all(|survey| survey.whole);
        if all_seen {
            examine_defaults(defaults, &entries, surveys, chart);
        }
    }
}

/// Defaults that name an account without a session for that service, in what could be looked into and, for the rest,
/// in the index.
fn examine_defaults(defaults: Vec<Pinned>, entries: &[Entry], surveys: &[Survey<'_>], chart: &mut Chart) {
    for (service, profile, account) in defaults {
        let named = |name: &SessionName| name.account == account && name.profile == profile;
        let served = surveys
            .iter()
            .flat_map(|survey| &survey.records)
            .any(|record| named(&record.name) && record.granted_for(&service));
        let unseen = |entry: &Entry| !surveys.iter().any(|survey| survey.storage() == entry.storage);
        if !served && !entries.iter().any(|entry| named(&entry.name) && unseen(entry)) {
            let message = format!("{account} is the default of {service}, and has no session for it");
            chart.mendable("index", message, Remedy::Unpin((service, profile, account)));
        }
    }
}

/// Sessions that lie where no call looks. Not while they are being moved, nor where files serve for want of a keyring.
fn examine_elsewhere(mode: Mode, surveys: &[Survey<'_>], chart: &mut Chart) {
    let Some(home) = surveys.iter().find(|survey| survey.storage() == mode.storage) else { return };
    for survey in surveys.iter().filter(|survey| survey.storage() != mode.storage && !mode.moving) {
        let count = survey.living().filter(|record| home.record(&record.name).is_none()).count();
        if count > 0 {
            let message = format!(
                "{count} lie in {} alone, which is not in use: no call finds them there",
                survey.storage().words()
            );
            let hint = format!("`claviger storage move {}` brings them", mode.storage);
            chart.note("sessions", message, hint);
        }
    }
}

/// Sessions that two backends claim. Which one is in use is a choice of the moment; which is newer is a fact.
fn examine_copies(mode: Mode, one: &Survey<'_>, two: &Survey<'_>, chart: &mut Chart) {
    for first in one.living() {
        let Some(second) = two.living().find(|second| second.name == first.name) else { continue };
        let copy = |record: &Record, storage: Storage| {
            format!("one obtained {} in {}", record.obtained_at, storage.words())
        };
        let message = format!(
            "{} is in two places: {}, {}",
            first.name.words(),
            copy(first, one.storage()),
            copy(second, two.storage())
        );
        chart.mendable(
            "sessions",
            message,
            Remedy::KeepNewer { name: first.name.clone(), home: mode.storage },
        );
    }
}
