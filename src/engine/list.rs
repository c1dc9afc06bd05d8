//! `list` and `capabilities`: what there is and what can be done, without reading a slot.

use super::Call;
use crate::dialect;
use crate::message::{Capabilities, Failure, List, Listed, Outcome};
use crate::session::Storage;
use crate::store::index::Entry;
use crate::store::mode::Nothing;

impl Call<'_> {
    pub(super) fn list(&self, request: &List) -> Result<Outcome, Failure> {
        let (entries, damaged) = self.world.index.all()?.or_damage();
        if let Some(damaged) = damaged {
            return Err(damaged.into());
        }
        let opens = |entry: &Entry| match &request.service {
            Some(service) => entry.services.iter().any(|granted| granted.covers(service)),
            None => true,
        };
        let listed: Result<Vec<Listed>, Failure> =
            entries.into_iter().filter(opens).map(|entry| self.listed(entry)).collect();
        Ok(Outcome::Listed(listed?))
    }

    fn listed(&self, entry: Entry) -> Result<Listed, Failure> {
        let Entry { name, label, services, storage, expires_at, has_refresh_token, .. } = entry;
        let mut default = false;
        for service in &services {
            let pinned = self.world.index.default_account(service, name.profile.as_ref())?;
            default |= pinned.as_ref() == Some(&name.account);
        }
        Ok(Listed { name, label, services, storage, expires_at, has_refresh_token, default })
    }
}

pub(super) fn capabilities() -> Outcome {
    Outcome::Capabilities(Capabilities {
        storages: vec![Storage::Keyring.as_str(), Storage::Plaintext.as_str(), Nothing::WORD],
        dialects: dialect::WORDS.to_vec(),
        grants: vec!["refresh_token", "client_credentials", "token_exchange", "jwt_bearer"],
    })
}
