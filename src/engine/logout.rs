//! `logout`: the session ends here whatever the network says, and the server is told.

use super::Call;
use super::erase::Ending;
use super::target::Meant;
use crate::message::{Failure, Outcome, SignedOut, Target, WarningCode};
use crate::resolve::Wanted;
use crate::session::{SessionName, Storage};
use crate::store::probe;

impl Call<'_> {
    pub(super) fn logout(&self, target: &Target) -> Result<Outcome, Failure> {
        let (service, meant) = self.meant(target)?;
        let wanted = Wanted {
            service: &service,
            account: target.account.as_deref(),
            profile: target.profile.as_ref(),
        };
        let in_use = self.in_use(|| self.known_in(Storage::Keyring, wanted))?;
        let named = self.awake(|| self.choose_to_end(wanted, in_use))?;
        // A provider's sessions are named after one service, and serve them all.
        let named = match (named, meant) {
            (None, Meant::Provider(provider)) => provider
                .services
                .iter()
                .find_map(|service| self.choose_to_end(Wanted { service, ..wanted }, in_use).transpose())
                .transpose()?,
            (named, _) => named,
        };
        let Some(name) = named else { return Ok(Outcome::SignedOut(Vec::new())) };
        Ok(Outcome::SignedOut(vec![self.sign_out(name, in_use)?]))
    }

    /// Ends every session that either backend has. One that cannot be ended does not keep the others.
    pub(super) fn logout_all(&self) -> Result<Outcome, Failure> {
        let in_use = self.in_use(|| {
            let entries = self.world.index.all()?.entries;
            Ok(entries.iter().any(|entry| entry.storage == Storage::Keyring))
        })?;
        let mut ended = Vec::new();
        let mut failed = None;
        for name in self.every_session(in_use)? {
            match self.sign_out(name, in_use) {
                Ok(signed_out) => ended.push(signed_out),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        match failed {
            None => Ok(Outcome::SignedOut(ended)),
            Some(failure) => {
                let message = format!(
                    "{} signed out, but one session is left: {}",
                    count(ended.len()),
                    failure.message
                );
                Err(Failure { message, ..failure })
            }
        }
    }

    fn sign_out(&self, name: SessionName, in_use: Storage) -> Result<SignedOut, Failure> {
        let erased = self.awake(|| self.end_session(&name, Ending::SignedOut, in_use))?;
        Ok(SignedOut { name, erased: erased.erased, revocation: erased.revocation })
    }

    /// Where the sessions are that this call works with. One that the index knows in a keyring that cannot be reached is
    /// not signed out of by looking elsewhere.
    fn in_use(&self, in_keyring: impl Fn() -> Result<bool, Failure>) -> Result<Storage, Failure> {
        self.reading_unless(self.mode()?, in_keyring, |storage| {
            Ok(probe::read_probe(self.backend(storage)).map(|()| storage)?)
        })
    }

    fn every_session(&self, in_use: Storage) -> Result<Vec<SessionName>, Failure> {
        let (mut entries, damaged) = self.world.index.all()?.or_damage();
        if let Some(damaged) = damaged {
            self.warn(
                WarningCode::BackendUnreachable,
                format!("not all of the index can be read: {damaged}"),
            );
        }
        entries.extend(self.search_both(in_use)?);
        let mut names: Vec<SessionName> = entries.into_iter().map(|entry| entry.name).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn count(sessions: usize) -> String {
    if sessions == 1 { "1 session is".to_owned() } else { format!("{sessions} sessions are") }
}
