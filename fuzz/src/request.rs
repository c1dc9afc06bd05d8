//! What holds for every request that is accepted.

use claviger::address::Endpoint;
use claviger::limits::SECONDS;
use claviger::message::{Expiry, Origin, Request};
use claviger::session::{Account, Profile, Service};

/// Every name in it reads as itself, every span of time is within its limit, no text holds a control character.
pub fn assert_canonical(request: &Request) {
    let (mut services, mut endpoints, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut profile, mut seconds) = (None, None);
    match request {
        Request::Get(get) => {
            services.push(&get.service);
            texts.extend(&get.account);
            profile = get.profile.as_ref();
            seconds = get.min_validity;
        }
        Request::Erase(erase) => {
            services.push(&erase.service);
            texts.extend(&erase.account);
            profile = erase.profile.as_ref();
        }
        Request::List(list) => services.extend(&list.service),
        Request::Capabilities => {}
        Request::Store(store) => {
            services.push(&store.name.service);
            services.extend(&store.services);
            assert_eq!(Account::parse(store.name.account.as_str()).as_ref(), Ok(&store.name.account));
            profile = store.name.profile.as_ref();
            texts.extend([&store.username, &store.label, &store.token_type].into_iter().flatten());
            texts.extend(&store.scopes);
            if let Expiry::In(span) = store.expiry {
                seconds = Some(span);
            }
            match &store.origin {
                Origin::Configured => {}
                Origin::Provider(name) => texts.push(name),
                Origin::Endpoint(direct) => {
                    endpoints.push(&direct.token_endpoint);
                    endpoints.extend(&direct.revocation_endpoint);
                    texts.extend(&direct.issuer);
                    texts.push(&direct.client_id);
                }
            }
        }
    }
    for service in services {
        assert_eq!(Service::parse(service.as_str()).as_ref(), Ok(service));
    }
    for endpoint in endpoints {
        assert_eq!(Endpoint::parse(endpoint.as_str()).as_ref(), Ok(endpoint));
    }
    for text in texts {
        assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
    }
    assert!(profile.is_none_or(|profile| Profile::parse(profile.as_str()).as_ref() == Ok(profile)));
    assert!(seconds.is_none_or(|seconds| (0..=SECONDS).contains(&seconds)));
}
