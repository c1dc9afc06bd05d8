//! `token` and `exec`: a live token for a person or a script. The same as `get`, but that a provider's name will do.

use super::Call;
use super::store::bad_request;
use crate::message::{Failure, Get, Outcome, TokenWanted, Tool};

impl Call<'_> {
    pub(super) fn token(&self, wanted: &TokenWanted) -> Result<Outcome, Failure> {
        self.get(&self.as_get(wanted)?)
    }

    /// The `get` that a person means.
    pub(super) fn as_get(&self, wanted: &TokenWanted) -> Result<Get, Failure> {
        let unnamed = wanted.target.word.is_none() && wanted.caller.tool == Tool::Cluster;
        if unnamed && self.world.settings.providers.all().is_empty() {
            return Err(bad_request(
                "it is not said for which cluster, and no provider is configured",
                "set `provideClusterInfo: true` in the kubeconfig, or name a provider or a service in `args`",
            ));
        }
        let (service, _) = self.meant(&wanted.target)?;
        Ok(Get {
            service,
            account: wanted.target.account.clone(),
            profile: wanted.target.profile.clone(),
            min_validity: wanted.min_validity,
            force_refresh: wanted.force_refresh,
            caller: wanted.caller.clone(),
        })
    }
}
