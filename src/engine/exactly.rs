//! Places where nobody's session for a wider place will do (Q15, Q22): an index names in itself where its tokens go, and what
//! docker keeps below an address is another secret than the one for that address.

use super::Call;
use crate::message::{Code, Failure, Get, Outcome};
use crate::session::Service;

impl Call<'_> {
    /// Refuses what no session was granted for in so many words, before one is chosen, refreshed or made for nothing.
    pub(super) fn if_exactly(&self, request: &Get) -> Result<(), Failure> {
        let service = &request.service;
        if !request.caller.exactly || self.is_listed(service) {
            return Ok(());
        }
        let known = self.world.index.all()?.entries;
        let granted = known.iter().any(|entry| {
            entry.services.contains(service) && entry.name.profile.as_ref() == request.profile.as_ref()
        });
        // An index that is empty may be one that was lost.
        if granted || (known.is_empty() && self.is_found(request)?) { Ok(()) } else { Err(wider(service)) }
    }

    fn is_listed(&self, service: &Service) -> bool {
        let serving = self.world.settings.providers.serving(service);
        serving.is_some_and(|provider| provider.services.contains(service))
    }

    fn is_found(&self, request: &Get) -> Result<bool, Failure> {
        let found = self.looked_up(request)?;
        Ok(found.is_some_and(|found| found.session.record().services.contains(&request.service)))
    }
}

/// The same once a token is at hand.
pub(super) fn exactly(request: &Get, outcome: Outcome) -> Result<Outcome, Failure> {
    match &outcome {
        Outcome::Token(token) if request.caller.exactly && token.opens != request.service => {
            Err(wider(&request.service))
        }
        _ => Ok(outcome),
    }
}

fn wider(service: &Service) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("there is no session for {service} itself"),
        "`claviger login` grants it where its provider lists it among `services`; a tool stores one with `claviger store`",
    )
}
