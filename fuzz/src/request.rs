//! What holds for every request that is accepted.

use claviger::address::Endpoint;
use claviger::limits::SECONDS;
use claviger::message::{Expiry, Origin, Request};
use claviger::secret::{AccessToken, ClientSecret, RefreshToken};
use claviger::session::{Account, Profile, Service};

use crate::assert_token;

/// Names read as themselves, spans of time are within their limit, texts hold no control character.
pub fn assert_canonical(request: &Request) {
    let (mut services, mut endpoints, mut texts, mut tokens) = (vec![], vec![], vec![], vec![]);
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
            tokens.extend(erase.access.as_ref().map(AccessToken::expose));
        }
        Request::List(list) => services.extend(&list.service),
        Request::Capabilities => {}
        Request::Store(store) => {
            services.push(&store.name.service);
            services.extend(&store.services);
            tokens.push(store.access.expose());
            tokens.extend(store.refresh.as_ref().map(RefreshToken::reveal));
            assert_eq!(Account::parse(store.name.account.as_str()).as_ref(), Ok(&store.name.account));
            profile = store.name.profile.as_ref();
            texts.extend([&store.username, &store.label, &store.token_type].into_iter().flatten());
            texts.extend(&store.scopes);
            if let Expiry::In(span) = store.expiry {
                seconds = Some(span);
            }
            match &store.origin {
                Origin::Configured | Origin::Nowhere => {}
                Origin::Provider(name) => texts.push(name),
                Origin::Endpoint(direct) => {
                    endpoints.push(&direct.token_endpoint);
                    endpoints.extend(&direct.revocation_endpoint);
                    texts.extend(&direct.issuer);
                    texts.push(&direct.client_id);
                    tokens.extend(direct.client_secret.as_ref().map(ClientSecret::reveal));
                }
            }
        }
        Request::GetEach(gets) => services.extend(gets.iter().map(|get| &get.service)),
        Request::Keep(keep) => {
            services.push(&keep.service);
            tokens.push(keep.secret.expose());
            profile = keep.profile.as_ref();
        }
        Request::Reject(reject) => {
            services.push(&reject.service);
            tokens.extend(reject.secret.as_ref().map(AccessToken::expose));
            profile = reject.profile.as_ref();
        }
        Request::Withdraw(withdraw) => {
            services.push(&withdraw.service);
            profile = withdraw.profile.as_ref();
        }
        Request::Registries(_) => {}
        // The word may be a provider's name; where it came from a cluster it is a service.
        Request::Token(wanted) => profile = wanted.target.profile.as_ref(),
        other => unreachable!("no program asks for what a person asks for on the command line: {other:?}"),
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
    tokens.into_iter().for_each(assert_token);
    assert!(profile.is_none_or(|profile| Profile::parse(profile.as_str()).as_ref() == Ok(profile)));
    assert!(seconds.is_none_or(|seconds| (0..=SECONDS).contains(&seconds)));
}
