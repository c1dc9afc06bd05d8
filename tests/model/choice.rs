//! Which session a request means (section A of the specification), as the reference has it.

use super::reference::{Name, Reference, Session};
use super::steps::Get;

/// Whether a token for `granted` opens `service` (A6).
pub fn covers(granted: &str, service: &str) -> bool {
    granted == service || service.starts_with(&format!("{granted}/"))
}

type Candidate<'a> = (&'a Name, &'a Session);

/// Those of the account; if there is none, those of the label (A1).
pub fn of_account<'a>(among: Vec<Candidate<'a>>, account: &str) -> Vec<Candidate<'a>> {
    let (named, others): (Vec<_>, Vec<_>) = among.into_iter().partition(|(name, _)| name.1 == account);
    if named.is_empty() {
        others.into_iter().filter(|(_, session)| session.label == Some(account)).collect()
    } else {
        named
    }
}

/// Of each account the one named after the service, else the first by name (A12).
pub fn one_per_account<'a>(service: &str, among: Vec<Candidate<'a>>) -> Vec<Candidate<'a>> {
    let mut one: Vec<Candidate<'a>> = Vec::new();
    for candidate in among {
        match one.iter_mut().find(|(name, _)| name.1 == candidate.0.1) {
            Some(known) if candidate.0.0 == service => *known = candidate,
            Some(_) => {}
            None => one.push(candidate),
        }
    }
    one
}

impl Reference {
    pub fn granted_exactly(&self, service: &str, profile: Option<&String>) -> Vec<Candidate<'_>> {
        let fits = |(name, session): &Candidate<'_>| {
            name.2.as_ref() == profile && session.services.iter().any(|granted| granted == service)
        };
        self.sessions.iter().filter(fits).collect()
    }

    /// The session a `get` means and what matched, or the code that says why there is none.
    pub fn meant(&self, get: &Get) -> Result<(Name, &'static str), &'static str> {
        let profile = super::reference::profile(get.profile);
        let mut service = get.service;
        loop {
            let shortened = service != get.service;
            let matched = |by| if shortened { "origin" } else { by };
            let mut granted = self.granted_exactly(service, profile.as_ref());
            if let Some(account) = get.account {
                granted = of_account(granted, account);
            }
            let granted = one_per_account(service, granted);
            let default = self.defaults.get(&(service.to_owned(), profile.clone()));
            match (get.account, default, granted.as_slice()) {
                (_, _, []) => {}
                (None, Some(default), granted) => {
                    let pinned = granted.iter().find(|(name, _)| name.1 == *default);
                    return pinned.map(|(name, _)| ((*name).clone(), matched("default"))).ok_or("NOT_FOUND");
                }
                (account, _, [(name, _)]) => {
                    let by = if account.is_some() { "account" } else { "only" };
                    return Ok(((*name).clone(), matched(by)));
                }
                _ => return Err("NO_ACCOUNT_SELECTED"),
            }
            // A path loses its last segment, down to the origin (A4).
            match service.rsplit_once('/') {
                Some((shorter, _)) if !shorter.ends_with('/') => service = shorter,
                _ => {
                    return Err(if get.account.is_some() { "ACCOUNT_NOT_FOUND" } else { "NOT_FOUND" });
                }
            }
        }
    }
}
