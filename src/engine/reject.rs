//! What a service has refused, as a tool tells it (Q9): the token is dropped, and the session stays.

use super::Call;
use super::erase::{Ending, NOTHING};
use super::typed::is_typed;
use crate::message::{Erase, Erased, Failure, Outcome, Reject};
use crate::resolve::Wanted;
use crate::session::Storage;
use crate::store;

impl Call<'_> {
    pub(super) fn reject(&self, request: Reject) -> Result<Outcome, Failure> {
        let Reject { service, username, profile, secret } = request;
        let username = username.filter(|name| !name.is_empty());
        if let Some(secret) = secret {
            let request = Erase { service, account: None, profile, access: Some(secret) };
            return self.erase_of(&request, username.as_deref());
        }
        // Nothing to compare: what was typed for this very place is forgotten, and of any other session the token.
        let wanted = Wanted { service: &service, account: username.as_deref(), profile: profile.as_ref() };
        let erased = self.where_they_are(
            |mode| {
                self.awake(|| {
                    let storage = self.reading(mode, wanted, |storage| self.looked_at(wanted, storage))?;
                    let erased = self.forget_all(wanted, storage)?;
                    // What has not arrived yet is looked for where it still is.
                    if self.still_moving_to(storage)? {
                        return Ok(erased.and(self.forget_all(wanted, storage.other())?));
                    }
                    Ok(erased)
                })
            },
            |result| matches!(result, Ok(NOTHING)),
        )?;
        Ok(Outcome::Erased(erased))
    }

    fn forget_all(&self, wanted: Wanted<'_>, storage: Storage) -> Result<Erased, Failure> {
        let mut outcome = NOTHING;
        for name in self.find_all(wanted, storage)? {
            let Some(session) = store::load(self.backend(storage), &name)? else { continue };
            if !session.record().services.contains(wanted.service) {
                continue;
            }
            let ended = if is_typed(session.record()) {
                self.end_session(&name, Ending::IfTyped, storage)?
            } else {
                let Some(access) = session.access() else { continue };
                let account = Some(name.account.as_str());
                self.drop_token(Wanted { account, ..wanted }, access, None, storage)?
            };
            outcome.erased |= ended.erased;
        }
        Ok(outcome)
    }
}
