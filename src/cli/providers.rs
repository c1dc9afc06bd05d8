//! What `providers list`, `add` and `remove` say.

use crate::message::{AddedProvider, ClientIdFrom, ListedProvider, Providers, RemovedProvider};
use crate::text::Escaped;

pub(super) fn listed(listed: &Providers) -> String {
    let Providers { config, found, providers, .. } = listed;
    let mut lines = vec![match (found, providers.len()) {
        (false, _) => format!("no providers: there is no {config}\n{}", presets(listed)),
        (true, 0) => format!("no providers in {config}\n{}", presets(listed)),
        (true, _) => format!("from {config}\n"),
    }];
    lines.extend(providers.iter().map(one));
    lines.concat()
}

fn presets(listed: &Providers) -> String {
    format!(
        "`claviger providers add NAME` adds one; the servers it knows by name: {}\n",
        listed.presets.join(", ")
    )
}

fn one(provider: &ListedProvider) -> String {
    let mut lines = vec![format!("\n{}\n", Escaped(&provider.name))];
    if let Some(preset) = provider.preset {
        lines.push(row("preset", preset));
    }
    lines.push(row("server", &Escaped(&provider.server).to_string()));
    lines.push(row("grant", provider.grant));
    for (at, service) in provider.services.iter().enumerate() {
        lines.push(row(if at == 0 { "services" } else { "" }, service.as_str()));
    }
    lines.push(row(
        "client id",
        match provider.client_id {
            Some(ClientIdFrom::Configuration) => "from config.toml",
            Some(ClientIdFrom::Preset) => "the one such servers ship",
            None => "none",
        },
    ));
    let secret = match &provider.client_secret {
        Some(("env", Some(name))) => format!("in the environment variable {}", Escaped(name)),
        Some(("file", Some(path))) => format!("in the file {}", Escaped(path)),
        Some(_) => "in the keyring".to_owned(),
        None => "none".to_owned(),
    };
    lines.push(row("secret", &secret));
    if let Some(needs) = provider.needs {
        lines.push(row("needs", needs));
    }
    lines.concat()
}

pub(super) fn added(added: &AddedProvider) -> String {
    let AddedProvider { name, config, replaced, needs } = added;
    let done = if *replaced { "replaced" } else { "added" };
    let name = Escaped(name);
    let needs = needs.map_or_else(String::new, |needs| {
        format!("before it can be used: {needs}\nthen say `claviger providers add {name}` again, with that and --replace\n")
    });
    format!("{done} provider {name} in {config}\n{needs}")
}

pub(super) fn removed(removed: &RemovedProvider) -> String {
    let RemovedProvider { name, config, sessions, left } = removed;
    let still = if *sessions == 1 {
        "1 session for its services is still stored".to_owned()
    } else {
        format!("{sessions} sessions for its services are still stored")
    };
    let left = left.as_ref().map(|service| {
        format!("{still}; `claviger logout {service}` ends {}\n", if *sessions == 1 { "it" } else { "one" })
    });
    let left = left.unwrap_or_default();
    format!("removed provider {} from {config}\n{left}", Escaped(name))
}

fn row(name: &str, text: &str) -> String {
    format!("  {name:<11}{text}\n")
}
