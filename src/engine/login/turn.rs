//! One login at a time: whoever comes while another process is signing in waits for it, and shares what comes of it.

use super::super::Call;
use crate::error;
use crate::lock;
use crate::message::{Failure, Login, SignedIn};
use crate::refresh::turn::{Locks, Moment, Turn};
use crate::session::{Service, SlotName};
use crate::store;
use crate::store::mode::Mode;
use crate::store::record::ObtainedBy;
use crate::time::Timestamp;

/// What the other one's lock did while we waited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    LetGo,
    HeldToTheEnd,
}

impl Call<'_> {
    /// The turn to sign in, or the session that somebody else made while we waited for it. However many come and go
    /// before us, the wait is one.
    pub(super) fn login_turn(
        &self,
        service: &Service,
        login: &Login,
        mode: Mode,
        begun: Timestamp,
    ) -> Result<Turn<SignedIn>, Failure> {
        let slot = SlotName::login(service, login.target.account.as_deref(), login.target.profile.as_ref());
        let (ours, clock) = (self.world.locks, self.world.clock);
        // The other one has as long as we would have, and then some to keep what it got.
        let timeouts = &self.world.settings.timeouts;
        let deadline = clock.monotonic() + timeouts.login + timeouts.request + timeouts.request;
        let mut waited = false;
        loop {
            let locks = Locks {
                keyring: ours.keyring.clone(),
                plaintext: ours.plaintext.clone(),
                keep: ours.keep.clone(),
                patience: deadline.saturating_sub(clock.monotonic()),
            };
            let turn = locks.take(&slot, mode.storage, clock, |moment| {
                Ok(match moment {
                    Moment::Busy => {
                        if !std::mem::replace(&mut waited, true) {
                            (self.world.tell)("claviger: another process is signing in; waiting for it");
                        }
                        None
                    }
                    Moment::Released => Some(Seen::LetGo),
                    Moment::Deadline => Some(Seen::HeldToTheEnd),
                })
            });
            let turn = turn.map_err(|error: lock::Error| error::of_lock(&error))?;
            let theirs = if waited { self.made_meanwhile(service, login, mode, begun)? } else { None };
            match (theirs, turn) {
                (Some(signed_in), _) => return Ok(Turn::Answered(signed_in)),
                (None, Turn::Mine(guard)) => return Ok(Turn::Mine(guard)),
                (None, Turn::TimedOut | Turn::Answered(Seen::HeldToTheEnd)) => return Ok(Turn::TimedOut),
                // It was broken off: our turn, or the next one's.
                (None, Turn::Answered(Seen::LetGo)) => {}
            }
        }
    }

    /// What another login kept since we began to wait: not what a refresh or a caller's store wrote.
    fn made_meanwhile(
        &self,
        service: &Service,
        login: &Login,
        mode: Mode,
        begun: Timestamp,
    ) -> Result<Option<SignedIn>, Failure> {
        let (entries, _) = self.world.index.all()?.or_damage();
        let target = &login.target;
        let meant = entries.into_iter().filter(|entry| {
            entry.name.service == *service
                && entry.name.profile == target.profile
                && target.account.as_deref().is_none_or(|account| entry.name.account.as_str() == account)
        });
        for entry in meant {
            let storage = if mode.source.is_ephemeral() { mode.storage } else { entry.storage };
            let Some(session) = store::load(self.backend(storage), &entry.name)? else { continue };
            let record = session.record();
            let newer = !record.erased
                && record.obtained_by == ObtainedBy::Login
                && record.obtained_at >= begun
                && session.access().is_some();
            if !newer {
                continue;
            }
            let provider = self.world.settings.providers.serving(service);
            return Ok(Some(SignedIn {
                name: record.name.clone(),
                provider: provider.map(|provider| provider.name.clone()).unwrap_or_default(),
                storage: session.storage(),
                has_refresh_token: record.has_refresh_token == Some(true),
                expires_at: record.expires_at,
                scopes: record.scopes.clone(),
                services: record.services.clone(),
                default: self.is_default(&record.name)?,
                shared: true,
                replaced: None,
            }));
        }
        Ok(None)
    }
}
