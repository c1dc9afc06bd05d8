//! A refresh as `get` has it done: waited for here, carried out by a worker in a process of its own, and only where
//! none can be started in this one. No token passes between the two: what was saved is read again.

use std::fs::File;

use serde::{Deserialize, Serialize};

use super::{Call, World};
use crate::error;
use crate::harden::Uninterrupted;
use crate::lock::Guard;
use crate::message::{Code, Failure, Freshness, WarningCode};
use crate::refresh::policy::Ask;
use crate::refresh::{self, Done, Tools, Waited};
use crate::session::{Account, Profile, Service, SessionName, Storage};
use crate::store::record::Record;
use crate::store::{self, Persisted};
use crate::worker::{BEGUN, Ended};

/// A refresh that came to nothing, as its caller hears of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    /// What a token that is still valid is given out as instead, to a caller who did not insist; `None`: nothing is.
    pub(super) instead: Option<Freshness>,
}

/// What a worker is told. The two are of one version: what another would make of it is not known.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Order {
    version: String,
    storage: String,
    service: String,
    account: String,
    profile: Option<String>,
    /// The service a token is wanted for.
    wanted: String,
    force: bool,
    /// The session is not there and is to be made.
    make: bool,
    /// Its tokens come by a machine grant: for the words of an error.
    machine: bool,
}

/// What a worker says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Report {
    fault: Option<Fault>,
    /// A keyring call is still out: nobody may let go of the lock before the end of both.
    keep: bool,
    /// Permissions of a file were mended.
    repaired: bool,
    /// Nothing was done: the process that was called can do it, and this one cannot.
    declined: bool,
}

impl Call<'_> {
    /// Gives a session that was due a new token, or finds that somebody else has.
    pub(super) fn renewed(
        &self,
        session: &Persisted,
        wanted: &Service,
        ask: Ask,
    ) -> Result<(Persisted, Freshness), Fault> {
        self.obtained(&session.record().name, session.storage(), Some(session), wanted, ask)
    }

    /// Makes a session that is not there, with a token by a machine grant, or finds that somebody else has.
    pub(super) fn made(
        &self,
        name: &SessionName,
        storage: Storage,
        wanted: &Service,
        ask: Ask,
    ) -> Result<(Persisted, Freshness), Fault> {
        self.obtained(name, storage, None, wanted, ask)
    }

    fn obtained(
        &self,
        name: &SessionName,
        storage: Storage,
        seen: Option<&Persisted>,
        wanted: &Service,
        ask: Ask,
    ) -> Result<(Persisted, Freshness), Fault> {
        let serves = |record: &Record| self.may_serve(record, wanted);
        let tools = tools(self.world, storage, &serves);
        let machine =
            seen.is_none_or(|seen| refresh::is_a_machines(&self.world.settings.providers, seen.record()));
        match refresh::wait(&tools, name, seen, ask).map_err(|error| self.fault(error, name, machine))? {
            Waited::Done(done) => Ok(match *done {
                Done::Adopted(theirs) => (theirs, Freshness::Adopted),
                Done::NeedNotWait(current) => (current, Freshness::Cached),
            }),
            Waited::Ours(guard) => {
                let order = order(name, storage, wanted, ask, (seen.is_none(), machine));
                // Stopped by its terminal, a job would keep everybody else waiting for the lock.
                let running = Uninterrupted::by_a_stop();
                let saved = self.carried_out(&tools, &guard, name, &order);
                drop(guard);
                drop(running);
                Ok((saved?, if order.make { Freshness::Minted } else { Freshness::Refreshed }))
            }
        }
    }

    fn carried_out(
        &self,
        tools: &Tools<'_>,
        guard: &Guard,
        name: &SessionName,
        order: &Order,
    ) -> Result<Persisted, Fault> {
        let bytes = serde_json::to_vec(order).unwrap_or_default();
        let deadline = self.world.settings.deadline;
        let patience = deadline.map(|deadline| deadline.saturating_sub(self.world.clock.monotonic()));
        let report = match self.world.worker.carry_out(guard, &bytes, patience) {
            Ended::NotDone => {
                return done(tools, guard, name, order)
                    .map_err(|error| self.fault(error, name, order.machine));
            }
            Ended::Reported(report) => serde_json::from_slice::<Report>(&report).map_err(|_| silent(name)),
            Ended::Silent => Err(silent(name)),
            Ended::Late => {
                // The other process holds the lock too, and removes its file.
                self.world.locks.keep.set();
                Err(late(name))
            }
        }?;
        if report.declined {
            return done(tools, guard, name, order).map_err(|error| self.fault(error, name, order.machine));
        }
        if report.keep {
            self.world.locks.keep.set();
        }
        if report.repaired {
            self.warn(WarningCode::PermissionsRepaired, super::REPAIRED.to_owned());
        }
        match report.fault {
            Some(fault) => Err(fault),
            // The lock is still ours: nobody can have changed what the worker saved.
            None => saved(tools, name).map_err(|error| self.fault(error, name, order.machine)),
        }
    }

    fn fault(&self, error: refresh::Error, name: &SessionName, machine: bool) -> Fault {
        let instead = match error {
            // The server has rotated and we could not keep it: the old token's remaining life must not hide that.
            refresh::Error::Gone | refresh::Error::NotGranted | refresh::Error::Unsaved(_) => None,
            refresh::Error::NoRefreshToken => Some(Freshness::Cached),
            _ => Some(Freshness::Stale),
        };
        let failure = if machine {
            error::of_mint(error, name)
        } else {
            error::of_refresh(error, name, self.login_command(&name.service).as_deref())
        };
        Fault { failure, instead }
    }
}

fn order(
    name: &SessionName,
    storage: Storage,
    wanted: &Service,
    ask: Ask,
    (make, machine): (bool, bool),
) -> Order {
    Order {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        storage: storage.as_str().to_owned(),
        service: name.service.to_string(),
        account: name.account.as_str().to_owned(),
        profile: name.profile.as_ref().map(|profile| profile.as_str().to_owned()),
        wanted: wanted.to_string(),
        force: ask.force,
        make,
        machine,
    }
}

/// The work itself, in whichever process.
fn done(
    tools: &Tools<'_>,
    guard: &Guard,
    name: &SessionName,
    order: &Order,
) -> Result<Persisted, refresh::Error> {
    let ask = Ask { min_validity: None, force: order.force };
    if order.make {
        refresh::make(tools, guard, name, ask)
    } else {
        refresh::transact(tools, guard, name, ask)
    }
}

/// What a worker saved. The service behind the keyring may have been started anew while it worked: our first call then
/// finds its end of the connection gone, and the second makes another.
fn saved(tools: &Tools<'_>, name: &SessionName) -> Result<Persisted, refresh::Error> {
    match refresh::present(tools, name) {
        Err(refresh::Error::Store(store::Error::Unavailable { .. } | store::Error::Failed { .. })) => {
            refresh::present(tools, name)
        }
        first => first,
    }
}

/// The worker was killed. Whatever it had saved is there.
fn silent(name: &SessionName) -> Fault {
    let failure = Failure::new(
        Code::AuthRefreshTransient,
        format!("the process that was refreshing {} ended before it was done", name.words()),
        "try again; the session is kept",
    );
    Fault { failure, instead: Some(Freshness::Stale) }
}

/// The caller waits no longer. The worker goes on, and whoever asks next finds what it saved.
fn late(name: &SessionName) -> Fault {
    let failure = Failure::new(
        Code::AuthRefreshTransient,
        format!("the server takes longer to refresh {} than the tool that asks would wait", name.words()),
        "try again; what comes meanwhile is kept",
    );
    Fault { failure, instead: Some(Freshness::Stale) }
}

fn tools<'a>(world: &'a World<'_>, storage: Storage, serves: &'a dyn Fn(&Record) -> bool) -> Tools<'a> {
    Tools {
        backend: match storage {
            Storage::Keyring => world.keyring,
            Storage::Plaintext => world.plaintext,
        },
        index: world.index,
        http: world.http,
        clock: world.clock,
        locks: world.locks,
        clients: &world.settings.providers,
        keyring: world.keyring,
        serves,
        save_patience: world.settings.save_patience(),
    }
}

/// The worker's side: carries out an order under the lock it was handed, and reports. `false`: nothing was done.
pub(super) fn carry_out(
    world: &World<'_>,
    order: &[u8],
    lock: File,
    report: &mut dyn FnMut(&[u8]) -> bool,
) -> bool {
    let Some((order, name, storage, wanted)) = understood(order) else { return false };
    let Ok(mut guard) = world.locks.take_over(lock, &name.access_slot(), storage, world.clock) else {
        return false;
    };
    let call = Call::new(world);
    let serves = |record: &Record| call.may_serve(record, &wanted);
    let tools = tools(world, storage, &serves);
    if !report(&[BEGUN]) {
        return false;
    }
    let mut declined = false;
    let fault = match done(&tools, &guard, &name, &order) {
        // Some keyrings open their items to one process at a time, and have opened them to the one that was called.
        Err(refresh::Error::Store(store::Error::Locked(_))) => {
            declined = true;
            None
        }
        transacted => transacted.err().map(|error| call.fault(error, &name, order.machine)),
    };
    let keep = world.locks.keep.is_set();
    let said = Report { fault, keep, repaired: world.plaintext.repaired(), declined };
    let heard = serde_json::to_vec(&said).is_ok_and(|said| report(&said));
    if !heard {
        guard.outlives_its_giver();
    }
    true
}

fn understood(order: &[u8]) -> Option<(Order, SessionName, Storage, Service)> {
    let order: Order = serde_json::from_slice(order).ok()?;
    if order.version != env!("CARGO_PKG_VERSION") {
        return None;
    }
    let name = SessionName {
        service: Service::parse(&order.service).ok()?,
        account: Account::parse(&order.account).ok()?,
        profile: order.profile.as_deref().map(Profile::parse).transpose().ok()?,
    };
    let (storage, wanted) = (Storage::parse(&order.storage)?, Service::parse(&order.wanted).ok()?);
    Some((order, name, storage, wanted))
}
