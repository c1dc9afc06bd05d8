//! The registries that docker is told there are credentials for (Q18), from the index alone.

use super::Call;
use super::find::candidates;
use crate::message::{Failure, Outcome, Registries, Registry, Tool};
use crate::resolve::Wanted;
use crate::session::Service;
use crate::store::index::Entry;

impl Call<'_> {
    /// Those that docker brought itself, and those whose provider says what docker is told. Who asks for the list hands all
    /// there is to an engine that may be elsewhere, and takes one failure for the failure of all: what other tools keep is
    /// none of its business.
    pub(super) fn registries(&self, request: &Registries) -> Result<Outcome, Failure> {
        let (entries, damaged) = self.world.index.all()?.or_damage();
        if let (true, Some(damaged)) = (entries.is_empty(), damaged) {
            return Err(damaged.into());
        }
        let mut registries = Vec::new();
        let meant = |entry: &&Entry| {
            let is_it = |account: &String| {
                entry.name.account.as_str() == account || entry.label.as_ref() == Some(account)
            };
            entry.refused_at.is_none()
                && entry.name.profile == request.profile
                && request.account.as_ref().is_none_or(is_it)
        };
        let all = candidates(&entries);
        for entry in entries.iter().filter(meant) {
            for service in &entry.services {
                // Of several accounts the one that would be given; where that is none, asking for it would fail.
                let wanted = Wanted {
                    service,
                    account: request.account.as_deref(),
                    profile: request.profile.as_ref(),
                };
                // What docker brought comes before any default there.
                let brought = entry.kept_by.as_deref() == Some(Tool::Docker.word())
                    && entry.name.account.as_str() == Tool::Docker.login(entry.username.as_deref());
                let chosen = || {
                    let chosen = self.choose_from(wanted, &all);
                    matches!(chosen, Ok(Ok(choice)) if choice.name == entry.name)
                };
                if !brought && !chosen() {
                    continue;
                }
                if let Some(username) = self.registry_username(entry, service) {
                    registries.push(Registry { service: service.clone(), username });
                }
            }
        }
        Ok(Outcome::Registries(registries))
    }

    fn registry_username(&self, entry: &Entry, service: &Service) -> Option<String> {
        if entry.kept_by.as_deref() == Some(Tool::Docker.word()) {
            return Some(entry.username.clone().unwrap_or_else(|| entry.name.account.as_str().to_owned()));
        }
        let configured = self.world.settings.providers.serving(service)?.docker_username.clone()?;
        Some(entry.username.clone().unwrap_or(configured))
    }
}
