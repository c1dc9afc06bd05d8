//! A backend that goes wrong at one chosen call, in one chosen way.

use std::cell::{Cell, RefCell};

use claviger::session::{SlotName, Storage};
use claviger::store::{Backend, Error, Value};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and does nothing.
    Fails,
    /// The call never comes back, and does nothing; the keyring is not asked again.
    Hangs,
    /// The call never comes back, and does its work all the same.
    LandsLate,
    /// A write succeeds, and the slot cannot be read from then on, as under launchd.
    ReadBackDenied,
    /// A write says yes and keeps nothing.
    Forgets,
    /// The process dies just before the call.
    DiesBefore,
    /// The process dies just after the call.
    DiesAfter,
}

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::Fails,
        Self::Hangs,
        Self::LandsLate,
        Self::ReadBackDenied,
        Self::Forgets,
        Self::DiesBefore,
        Self::DiesAfter,
    ];
}

/// Which call goes wrong, and how. Calls are counted over both backends.
pub struct Plan {
    fault: Fault,
    at: usize,
    calls: Cell<usize>,
    stuck: Cell<bool>,
    denied: RefCell<Option<String>>,
}

impl Plan {
    pub fn new(fault: Fault, at: usize) -> Self {
        Self { fault, at, calls: Cell::new(0), stuck: Cell::new(false), denied: RefCell::default() }
    }

    /// Whether there was such a call.
    pub fn struck(&self) -> bool {
        self.calls.get() > self.at
    }
}

/// A backend under a plan.
pub struct Faulty<'a> {
    pub backend: &'a dyn Backend,
    pub plan: Option<&'a Plan>,
}

impl Faulty<'_> {
    fn call<T>(
        &self,
        slot: Option<&SlotName>,
        writes: Option<T>,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(plan) = self.plan else { return work() };
        let timeout = || Err(Error::Timeout { seconds: 3 });
        let in_keyring = self.backend.storage() == Storage::Keyring;
        if in_keyring && plan.stuck.get() {
            return timeout();
        }
        let label = slot.map(|slot| format!("{} {slot}", self.backend.storage()));
        if writes.is_none() && label.is_some() && *plan.denied.borrow() == label {
            return Err(Error::Denied { why: "it may be written and not read".to_owned() });
        }
        let number = plan.calls.get();
        plan.calls.set(number + 1);
        if number != plan.at {
            return work();
        }
        match plan.fault {
            // Files do not hang; what hangs there is the machine.
            Fault::Hangs | Fault::LandsLate if !in_keyring => work(),
            Fault::Hangs => {
                plan.stuck.set(true);
                timeout()
            }
            Fault::LandsLate => {
                plan.stuck.set(true);
                work()?;
                timeout()
            }
            Fault::Fails => {
                let what = label.unwrap_or_default();
                if writes.is_some() {
                    return Err(Error::Write { what, why: "it is denied".to_owned() });
                }
                Err(Error::Read { what, why: "it is denied".to_owned() })
            }
            Fault::ReadBackDenied => {
                if writes.is_some() {
                    *plan.denied.borrow_mut() = label;
                }
                work()
            }
            Fault::Forgets => match writes {
                Some(yes) => Ok(yes),
                None => work(),
            },
            Fault::DiesBefore => panic!("killed"),
            Fault::DiesAfter => {
                work()?;
                panic!("killed")
            }
        }
    }
}

impl Backend for Faulty<'_> {
    fn storage(&self) -> Storage {
        self.backend.storage()
    }

    fn reach(&self) -> Result<(), Error> {
        self.backend.reach()
    }

    fn unlock(&self) -> Result<(), Error> {
        self.call(None, None, || self.backend.unlock())
    }

    fn read(&self, slot: &SlotName) -> Result<Option<Value>, Error> {
        self.call(Some(slot), None, || self.backend.read(slot))
    }

    fn write(&self, slot: &SlotName, value: &Value) -> Result<(), Error> {
        self.call(Some(slot), Some(()), || self.backend.write(slot, value))
    }

    fn delete(&self, slot: &SlotName) -> Result<bool, Error> {
        self.call(Some(slot), Some(true), || self.backend.delete(slot))
    }

    fn access_values(&self) -> Result<Vec<Value>, Error> {
        self.call(None, None, || self.backend.access_values())
    }

    fn label(&self, slot: &SlotName) -> String {
        self.backend.label(slot)
    }

    fn labels(&self) -> Result<Vec<String>, Error> {
        self.call(None, None, || self.backend.labels())
    }

    fn strays(&self) -> Result<Vec<String>, Error> {
        self.call(None, None, || self.backend.strays())
    }

    fn peek(&self, label: &str) -> Result<Option<Value>, Error> {
        self.call(None, None, || self.backend.peek(label))
    }

    fn discard(&self, label: &str) -> Result<bool, Error> {
        self.call(None, Some(true), || self.backend.discard(label))
    }

    fn repaired(&self) -> bool {
        self.backend.repaired()
    }
}
