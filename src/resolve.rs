//! A request to exactly one session, or a named ambiguity. Pure: what there is comes in, a choice goes out.

use crate::message::MatchedBy;
use crate::session::{Account, Profile, Service, SessionName};

/// A session that might be meant.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: SessionName,
    /// Its label.
    pub label: Option<String>,
    /// The services it is granted for, as the index has them.
    pub services: Vec<Service>,
}

/// Which session is meant.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What its token must open.
    pub service: &'a Service,
    /// An account or label.
    pub account: Option<&'a str>,
    /// The caller's own profile.
    pub profile: Option<&'a Profile>,
}

/// The one session meant.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: SessionName,
    /// What chose it among the sessions of the service, or of its prefix.
    pub by: MatchedBy,
    /// Whether it was the service itself that had it, and no prefix.
    pub exact: bool,
}

impl Choice {
    /// What a reply says of the choice.
    #[must_use]
    pub fn matched_by(&self) -> MatchedBy {
        if self.exact { self.by } else { MatchedBy::Origin }
    }

    /// Whether it was named or pinned; being the only one proves little where something cannot be read.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        matches!(self.by, MatchedBy::Account | MatchedBy::Default)
    }
}

/// Why there is no one session.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No session opens the service.
    Nothing,
    /// Some do, but none of that account or label.
    NoSuchAccount,
    /// The default is an account without a session there; nobody else is served in its place.
    DefaultGone(Account),
    /// Several do, and none is the default.
    Ambiguous(Vec<Account>),
}

/// Chooses a session: for the service itself, else for its longest prefix that has one. Among those the
/// account given, else the default, else the only one. Of two sessions of one account, the one that is
/// named after the service comes first, then the first by name.
pub fn choose<E>(
    wanted: Wanted<'_>,
    candidates: &[Candidate],
    mut default_of: impl FnMut(&Service) -> Result<Option<Account>, E>,
) -> Result<Result<Choice, Refusal>, E> {
    let mut refusal = Refusal::Nothing;
    for prefix in wanted.service.prefixes() {
        let granted: Vec<_> = granted_exactly(&prefix, wanted.profile, candidates).collect();
        if granted.is_empty() {
            continue;
        }
        let choice = |candidate: &Candidate, by| {
            Ok(Ok(Choice { name: candidate.name.clone(), by, exact: prefix == *wanted.service }))
        };
        if let Some(account) = wanted.account {
            match one_per_account(&prefix, of_account(&granted, account)).as_slice() {
                [] => refusal = Refusal::NoSuchAccount,
                [one] => return choice(one, MatchedBy::Account),
                several => return Ok(Err(ambiguous(several))),
            }
            continue;
        }
        let granted = one_per_account(&prefix, granted);
        return match (default_of(&prefix)?, granted.as_slice()) {
            (Some(default), granted) => {
                match granted.iter().find(|candidate| candidate.name.account == default) {
                    Some(pinned) => choice(pinned, MatchedBy::Default),
                    None => Ok(Err(Refusal::DefaultGone(default))),
                }
            }
            (None, [one]) => choice(one, MatchedBy::Only),
            (None, several) => Ok(Err(ambiguous(several))),
        };
    }
    Ok(Err(refusal))
}

fn one_per_account<'a>(service: &Service, mut granted: Vec<&'a Candidate>) -> Vec<&'a Candidate> {
    granted.sort_by_key(|candidate| {
        (&candidate.name.account, candidate.name.service != *service, &candidate.name.service)
    });
    granted.dedup_by(|later, earlier| later.name.account == earlier.name.account);
    granted
}

/// Every session whose token opens the service, of the given account or label or of any.
#[must_use]
pub fn all<'a>(wanted: Wanted<'a>, candidates: &'a [Candidate]) -> Vec<&'a Candidate> {
    let opening: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.name.profile.as_ref() == wanted.profile)
        .filter(|candidate| candidate.services.iter().any(|granted| granted.covers(wanted.service)))
        .collect();
    match wanted.account {
        Some(account) => of_account(&opening, account),
        None => opening,
    }
}

fn granted_exactly<'a>(
    service: &'a Service,
    profile: Option<&'a Profile>,
    candidates: &'a [Candidate],
) -> impl Iterator<Item = &'a Candidate> {
    candidates.iter().filter(move |candidate| {
        candidate.name.profile.as_ref() == profile && candidate.services.contains(service)
    })
}

/// The sessions of an account; only where there is none of that name, those of that label.
fn of_account<'a>(candidates: &[&'a Candidate], wanted: &str) -> Vec<&'a Candidate> {
    let of = |matches: &dyn Fn(&Candidate) -> bool| -> Vec<&'a Candidate> {
        candidates.iter().copied().filter(|candidate| matches(candidate)).collect()
    };
    let by_account = of(&|candidate| candidate.name.account.as_str() == wanted);
    if by_account.is_empty() {
        of(&|candidate| candidate.label.as_deref() == Some(wanted))
    } else {
        by_account
    }
}

fn ambiguous(candidates: &[&Candidate]) -> Refusal {
    Refusal::Ambiguous(candidates.iter().map(|candidate| candidate.name.account.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn candidate(service: &str, account: &str, label: Option<&str>, services: &[&str]) -> Candidate {
        Candidate {
            name: SessionName {
                service: Service::parse(service).unwrap(),
                account: Account::parse(account).unwrap(),
                profile: None,
            },
            label: label.map(str::to_owned),
            services: services.iter().map(|text| Service::parse(text).unwrap()).collect(),
        }
    }

    fn chosen(
        service: &str,
        account: Option<&str>,
        default: Option<&str>,
        of: &[Candidate],
    ) -> Result<(String, MatchedBy), Refusal> {
        let service = Service::parse(service).unwrap();
        let default = default.map(|account| Account::parse(account).unwrap());
        let wanted = Wanted { service: &service, account, profile: None };
        let chosen = choose(wanted, of, |_| Ok::<_, Infallible>(default.clone())).unwrap();
        chosen.map(|choice| (choice.name.account.to_string(), choice.matched_by()))
    }

    const API: &str = "https://api.example";

    #[test]
    fn the_account_given_beats_the_default_beats_the_only_one() {
        let two = [candidate(API, "a", Some("work"), &[API]), candidate(API, "b", None, &[API])];
        assert_eq!(chosen(API, Some("b"), Some("a"), &two), Ok(("b".to_owned(), MatchedBy::Account)));
        assert_eq!(chosen(API, Some("work"), None, &two), Ok(("a".to_owned(), MatchedBy::Account)));
        assert_eq!(chosen(API, None, Some("a"), &two), Ok(("a".to_owned(), MatchedBy::Default)));
        assert_eq!(chosen(API, None, None, &two[1..]), Ok(("b".to_owned(), MatchedBy::Only)));
        assert!(
            matches!(chosen(API, None, None, &two), Err(Refusal::Ambiguous(accounts)) if accounts.len() == 2)
        );
        assert_eq!(chosen(API, Some("c"), None, &two), Err(Refusal::NoSuchAccount));
        assert_eq!(chosen("https://other.example", None, None, &two), Err(Refusal::Nothing));
    }

    #[test]
    fn a_default_that_is_gone_selects_nobody_else() {
        let two = [candidate(API, "a", None, &[API]), candidate(API, "b", None, &[API])];
        assert!(matches!(chosen(API, None, Some("gone"), &two), Err(Refusal::DefaultGone(_))));
        assert!(matches!(chosen(API, None, Some("gone"), &two[..1]), Err(Refusal::DefaultGone(_))));
    }

    #[test]
    fn an_account_beats_a_label_of_the_same_name() {
        let two = [candidate(API, "a", Some("b"), &[API]), candidate(API, "b", None, &[API])];
        assert_eq!(chosen(API, Some("b"), None, &two), Ok(("b".to_owned(), MatchedBy::Account)));
    }

    #[test]
    fn of_two_sessions_of_one_account_the_one_named_after_the_service_is_meant() {
        let two = [
            candidate(API, "a", None, &[API, "https://git.example"]),
            candidate("https://git.example", "a", None, &["https://git.example"]),
        ];
        let service = Service::parse("https://git.example").unwrap();
        for account in [None, Some("a")] {
            let wanted = Wanted { service: &service, account, profile: None };
            let chosen = choose(wanted, &two, |_| Ok::<_, Infallible>(None)).unwrap().unwrap();
            assert_eq!(chosen.name.service, service);
        }
        assert_eq!(
            chosen("https://git.example/x", Some("a"), None, &two),
            Ok(("a".to_owned(), MatchedBy::Origin))
        );
    }

    #[test]
    fn a_path_falls_back_to_its_longest_prefix_and_at_last_its_origin() {
        let all = [
            candidate("https://h.example/org", "a", None, &["https://h.example/org"]),
            candidate("https://h.example", "b", None, &["https://h.example"]),
        ];
        assert_eq!(
            chosen("https://h.example/org/repo", None, None, &all),
            Ok(("a".to_owned(), MatchedBy::Origin))
        );
        assert_eq!(
            chosen("https://h.example/organ", None, None, &all),
            Ok(("b".to_owned(), MatchedBy::Origin))
        );
        assert_eq!(chosen("https://h.example/org", None, None, &all), Ok(("a".to_owned(), MatchedBy::Only)));
        assert_eq!(
            chosen("https://h.example/org", Some("b"), None, &all),
            Ok(("b".to_owned(), MatchedBy::Origin))
        );
        assert_eq!(chosen("https://h.example.evil/org", None, None, &all), Err(Refusal::Nothing));
    }
}
