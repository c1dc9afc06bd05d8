//! `providers list`, `add` and `remove`: the providers of `config.toml`, which is changed under a lock beside it, whole or
//! not at all, and never over what somebody else has just written.

use super::Call;
use super::store::bad_request;
use crate::limits::{CONFIG_BYTES, SECRET_BYTES};
use crate::message::{
    AddedProvider, ClientIdFrom, Code, Failure, ListedProvider, NewProvider, NewSecret, Outcome, Providers,
    RemovedProvider, WarningCode,
};
use crate::presets;
use crate::provider::{ClientAuth, Provider, SecretSource};
use crate::secret::ClientSecret;
use crate::settings::{Edit, edited, grant_word, provider_in};
use crate::setup;
use crate::store::{self, Error, files};
use crate::terminal::{self, Input};
use crate::text::Escaped;

/// How often a change begins anew because somebody without the lock has changed the file meanwhile.
const TRIES: usize = 16;

impl Call<'_> {
    pub(super) fn list_providers(&self) -> Outcome {
        let settings = self.world.settings;
        Outcome::Providers(Providers {
            config: settings.config_words(),
            found: settings.config_found,
            providers: settings.providers.all().iter().map(listed).collect(),
            presets: presets::names().collect(),
        })
    }

    pub(super) fn add_provider(&self, new: &NewProvider) -> Result<Outcome, Failure> {
        if let Some(NewSecret::Keyring) = new.secret {
            self.awake(|| self.with_its_secret(new)).map_err(|failure| match failure.code {
                Code::StoreUnavailable => Failure {
                    hint: "say --client-secret-env or --client-secret-file instead; the secret is kept in a keyring or not at all".to_owned(),
                    ..failure
                },
                _ => failure,
            })?;
        } else {
            self.change(Edit::Add(new))?;
        }
        let written = files::target(&self.world.settings.config)
            .and_then(|target| files::read_foreign(&target, CONFIG_BYTES))?
            .and_then(|bytes| provider_in(&bytes, &new.name));
        Ok(Outcome::ProviderAdded(AddedProvider {
            name: new.name.clone(),
            config: self.world.settings.config_words(),
            replaced: new.replace && self.world.settings.provider(&new.name).is_some(),
            needs: written.as_ref().and_then(needs),
        }))
    }

    /// The secret first: a table without it would be worth nothing. If the table is refused, what was there is put back.
    fn with_its_secret(&self, new: &NewProvider) -> Result<(), Failure> {
        let keyring = self.world.keyring;
        let before = store::load_client_secret(keyring, &new.name)?;
        let secret = secret_from_stdin()?;
        store::save_client_secret(keyring, &new.name, &secret)?;
        self.change(Edit::Add(new)).inspect_err(|_| {
            // The complaint about the table is what must be heard; what is left of it here is in nobody's way.
            let _ = match &before {
                Some(before) => store::save_client_secret(keyring, &new.name, before),
                None => store::delete_client_secret(keyring, &new.name).map(|_| ()),
            };
        })
    }

    pub(super) fn remove_provider(&self, name: &str) -> Result<Outcome, Failure> {
        self.change(Edit::Remove(name))?;
        let settings = self.world.settings;
        let kept = settings.provider(name).and_then(|provider| provider.client_secret.as_ref());
        if kept == Some(&SecretSource::Keyring)
            && let Err(error) = store::delete_client_secret(self.world.keyring, name)
        {
            self.warn(
                WarningCode::BackendUnreachable,
                format!("its client secret is still in the keyring: {error}"),
            );
        }
        // The provider is gone whatever the index says.
        let entries = self.world.index.all().map(|listing| listing.entries).unwrap_or_default();
        let serves =
            |service| settings.providers.serving(service).is_some_and(|provider| provider.name == name);
        let sessions: Vec<_> = entries
            .iter()
            .filter(|entry| std::iter::once(&entry.name.service).chain(&entry.services).any(serves))
            .collect();
        Ok(Outcome::ProviderRemoved(RemovedProvider {
            name: name.to_owned(),
            config: settings.config_words(),
            sessions: sessions.len(),
            left: sessions.first().map(|entry| entry.name.service.clone()),
        }))
    }

    /// Changes the file that `config.toml` leads to.
    fn change(&self, edit: Edit<'_>) -> Result<(), Failure> {
        let target = files::target(&self.world.settings.config).map_err(of_file)?;
        if let (Edit::Add(_), Some(folder)) = (edit, target.parent()) {
            files::make_foreign_folder(folder)?;
        }
        if let Edit::Remove(_) = edit
            && !self.world.settings.config_found
        {
            edited(b"", edit)?;
        }
        let guard = setup::lock_beside(&self.ground(), &target)?;
        for _ in 0..TRIES {
            let before = files::read_foreign(&target, CONFIG_BYTES)?;
            let before = before.as_ref().map(|bytes| bytes.as_slice());
            let after = edited(before.unwrap_or_default(), edit)?;
            if !guard.still_held() {
                break;
            }
            if files::replace(&target, before, after.as_bytes()).map_err(of_file)? {
                return Ok(());
            }
        }
        Err(Failure::new(
            Code::LockTimeout,
            format!("{} is changed by somebody else again and again", Escaped(&target.display().to_string())),
            "try again; nothing was changed",
        ))
    }
}

/// One line, from a pipe: what is typed at a terminal stays on its screen.
fn secret_from_stdin() -> Result<ClientSecret, Failure> {
    let refused = |why: &str| bad_request(&format!("the client secret {why}"), "pipe it in, on one line");
    if terminal::stdin_is_terminal() {
        return Err(refused("is not read from a terminal"));
    }
    let input = terminal::stdin().and_then(|stdin| terminal::read_bounded(stdin, SECRET_BYTES + 2));
    let Ok(Input::Whole(bytes)) = input else { return Err(refused("could not be read, or is too long")) };
    let text = std::str::from_utf8(&bytes).map_err(|_| refused("is not UTF-8"))?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    ClientSecret::new(line).map_err(refused)
}

/// The store's words, but for a file that is not to be replaced: it is no state of ours, and not to be removed.
fn of_file(error: Error) -> Failure {
    match error {
        Error::Unsafe { .. } => Failure {
            hint: "it must be a regular file of yours, under one name".to_owned(),
            ..Failure::from(error)
        },
        other => Failure::from(other),
    }
}

fn listed(provider: &Provider) -> ListedProvider {
    let shipped = provider.preset.and_then(presets::find).and_then(presets::Preset::shipped_client);
    let endpoint = provider.token_endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned());
    ListedProvider {
        name: provider.name.clone(),
        preset: provider.preset,
        server: provider.issuer.clone().or(endpoint).unwrap_or_default(),
        grant: grant_word(provider.grant),
        services: provider.services.clone(),
        client_id: provider
            .client_id
            .as_deref()
            .map(|id| if shipped == Some(id) { ClientIdFrom::Preset } else { ClientIdFrom::Configuration }),
        client_secret: provider.client_secret.as_ref().map(|source| match source {
            SecretSource::Env(name) => ("env", Some(name.clone())),
            SecretSource::File(path) => ("file", Some(path.display().to_string())),
            SecretSource::Keyring => ("keyring", None),
        }),
        needs: needs(provider),
    }
}

/// What keeps a provider from being used, the first thing.
fn needs(provider: &Provider) -> Option<&'static str> {
    let by_secret =
        matches!(provider.client_auth, ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost);
    match provider.client_id_help {
        Some(help) if provider.client_id.is_none() => Some(help),
        _ if by_secret && provider.client_secret.is_none() => Some(SECRET),
        _ if provider.services.is_empty() => Some(SERVICES),
        _ => None,
    }
}

const SECRET: &str = "a client secret: --client-secret-env, --client-secret-file or --client-secret-stdin";
const SERVICES: &str = "services: --service, as often as there are";
