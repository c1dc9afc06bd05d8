//! Which provider or service a person means by one word, or by none.

use super::Call;
use super::store::bad_request;
use crate::address;
use crate::message::{Code, Failure, Target};
use crate::presets;
use crate::provider::Provider;
use crate::session::Service;
use crate::text::Escaped;

/// What a word turned out to mean.
#[derive(Clone, Copy)]
pub(super) enum Meant<'a> {
    /// A configured provider.
    Provider(&'a Provider),
    /// A service that no provider serves.
    Service,
}

impl<'a> Call<'a> {
    /// The service a person means, and the provider that serves it, if one does.
    pub(super) fn meant(&self, target: &Target) -> Result<(Service, Meant<'a>), Failure> {
        let settings = self.world.settings;
        let Some(word) = &target.word else { return self.the_only_one() };
        if let Some(provider) = settings.provider(word) {
            return Ok((named_after(provider)?, Meant::Provider(provider)));
        }
        let service = if word.contains("://") {
            Service::parse(word)
        } else {
            Service::parse(&format!("https://{word}"))
        };
        match service {
            Ok(service) if word.contains(['.', ':']) => match settings.providers.serving(&service) {
                Some(provider) => Ok((service, Meant::Provider(provider))),
                None => Ok((service, Meant::Service)),
            },
            _ if presets::find(word).is_some() => Err(bad_request(
                &format!("there is no provider `{word}` yet"),
                &format!("`claviger providers add {word}` adds it"),
            )),
            Err(error) if word.contains("://") => Err(Failure::new(
                if error == address::Error::Insecure { Code::InsecureUrl } else { Code::BadRequest },
                format!("{}a service {}", quoted(word, ": "), error.words()),
                "say it as https://host or https://host/path",
            )),
            _ if quoted(word, "").is_empty() => {
                Err(bad_request("what is named is neither a provider nor a service", &self.known_providers()))
            }
            _ => Err(bad_request(
                &format!("there is no provider `{}`, and it is no service", Escaped(word)),
                &format!("{}; a service is a host or a URL", self.known_providers()),
            )),
        }
    }

    /// The provider a person means to sign in to.
    pub(super) fn provider_meant(&self, target: &Target) -> Result<(Service, &'a Provider), Failure> {
        match self.meant(target)? {
            (_, Meant::Provider(provider)) => Ok((named_after(provider)?, provider)),
            (service, Meant::Service) => Err(bad_request(
                &format!("no provider serves {service}"),
                &format!("{}, or add it to `services` of one in config.toml", self.known_providers()),
            )),
        }
    }

    fn the_only_one(&self) -> Result<(Service, Meant<'a>), Failure> {
        if let [provider] = self.world.settings.providers.all() {
            return Ok((named_after(provider)?, Meant::Provider(provider)));
        }
        let (entries, _) = self.world.index.all()?.or_damage();
        if self.world.settings.providers.all().is_empty() {
            let mut services: Vec<Service> = entries.into_iter().map(|entry| entry.name.service).collect();
            services.sort();
            services.dedup();
            if let [service] = services.as_slice() {
                return Ok((service.clone(), Meant::Service));
            }
        }
        Err(bad_request(
            match self.world.settings.providers.all() {
                [] => "no provider or service is named",
                _ => "no provider or service is named, and there are several",
            },
            &self.known_providers(),
        ))
    }

    fn known_providers(&self) -> String {
        let names: Vec<&str> =
            self.world.settings.providers.all().iter().map(|provider| provider.name.as_str()).collect();
        match names.as_slice() {
            [] => "no provider is configured yet; `claviger providers add NAME` adds one, and `claviger providers list` names those it knows".to_owned(),
            [name] => format!("the only provider is `{name}`"),
            names => format!("name one of {}", names.join(", ")),
        }
    }
}

/// The word as it was typed, where nothing in it can be a password.
fn quoted(word: &str, then: &str) -> String {
    if word.contains(['@', '?', '#']) { String::new() } else { format!("{}{then}", Escaped(word)) }
}

fn named_after(provider: &Provider) -> Result<Service, Failure> {
    provider.session_service().cloned().ok_or_else(|| {
        Failure::new(
            Code::ConfigInvalid,
            format!("provider `{}` lists no `services`", provider.name),
            "list what its tokens open in config.toml",
        )
    })
}
