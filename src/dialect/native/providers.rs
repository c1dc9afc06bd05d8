//! The bodies of replies about the providers of `config.toml`.

use serde::Serialize;

use crate::message::{AddedProvider, ClientIdFrom, ListedProvider, Providers, RemovedProvider};
use crate::session::Service;

#[derive(Serialize)]
pub(super) struct ProvidersBody<'a> {
    config: &'a str,
    found: bool,
    providers: Vec<ProviderBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<&'a str>,
    server: &'a str,
    grant: &'a str,
    services: &'a [Service],
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_from: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_from: Option<SourceBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<&'a str>,
}

#[derive(Serialize)]
struct SourceBody<'a> {
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct AddedBody<'a> {
    provider: &'a str,
    config: &'a str,
    replaced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct RemovedBody<'a> {
    provider: &'a str,
    config: &'a str,
    sessions: usize,
}

pub(super) fn providers_body(providers: &Providers) -> ProvidersBody<'_> {
    ProvidersBody {
        config: &providers.config,
        found: providers.found,
        providers: providers.providers.iter().map(provider_body).collect(),
    }
}

fn provider_body(provider: &ListedProvider) -> ProviderBody<'_> {
    let secret = provider.client_secret.as_ref();
    ProviderBody {
        name: &provider.name,
        preset: provider.preset,
        server: &provider.server,
        grant: provider.grant,
        services: &provider.services,
        client_id_from: provider.client_id.map(|from| match from {
            ClientIdFrom::Configuration => "config",
            ClientIdFrom::Preset => "preset",
        }),
        client_secret_from: secret.map(|(source, name)| SourceBody { source, name: name.as_deref() }),
        needs: provider.needs,
    }
}

pub(super) fn added_body(added: &AddedProvider) -> AddedBody<'_> {
    let AddedProvider { name, config, replaced, needs } = added;
    AddedBody { provider: name, config, replaced: *replaced, needs: *needs }
}

pub(super) fn removed_body(removed: &RemovedProvider) -> RemovedBody<'_> {
    let RemovedProvider { name, config, sessions, .. } = removed;
    RemovedBody { provider: name, config, sessions: *sessions }
}
