//! A keyring that is a map shared between threads, with Windows' limit if wanted, and that can be made to hang.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use claviger::store::keyring::Items;
use claviger::store::{Error, Value};

/// The Credential Manager's limit, in bytes.
pub const WINDOWS: usize = 2560;

/// What happens just before a call touches the map, given its number and what it is about to do.
type Before = Box<dyn FnMut(usize, &str, &str) -> Result<(), Error> + Send>;

/// The map. Copies share it, as processes share a keyring.
#[derive(Clone, Default)]
pub struct Vault {
    inside: Arc<Mutex<Inside>>,
    limit: Option<usize>,
}

#[derive(Default)]
struct Inside {
    values: BTreeMap<String, Vec<u8>>,
    calls: Vec<String>,
    before: Option<Before>,
}

impl Vault {
    /// With a limit on each value: more is an error, as Windows gives it.
    pub fn with_limit(limit: usize) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Lets something happen before each call.
    pub fn before(&self, before: impl FnMut(usize, &str, &str) -> Result<(), Error> + Send + 'static) {
        self.inside().before = Some(Box::new(before));
    }

    /// The next call never comes back, until the sender is dropped or says go; then it does its work after all.
    pub fn hang_next(&self) -> Sender<()> {
        let (go, gone): (_, Receiver<()>) = channel();
        let mut gone = Some(gone);
        self.before(move |_, _, _| {
            if let Some(gone) = gone.take() {
                // An error means that the test has dropped its end.
                let _ = gone.recv();
            }
            Ok(())
        });
        go
    }

    /// The names there are.
    pub fn names(&self) -> Vec<String> {
        self.inside().values.keys().cloned().collect()
    }

    /// A value.
    pub fn value(&self, name: &str) -> Option<Vec<u8>> {
        self.inside().values.get(name).cloned()
    }

    /// Changes the map behind everybody's back.
    pub fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        change(&mut self.inside().values);
    }

    /// What was called since the last time this was asked.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inside().calls)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn call(&self, what: &str, name: &str) -> Result<MutexGuard<'_, Inside>, Error> {
        let mut inside = self.inside();
        inside.calls.push(format!("{what} {name}"));
        let number = inside.calls.len();
        if let Some(mut before) = inside.before.take() {
            // The map is free while this waits: others go on, as they do while one caller hangs.
            drop(inside);
            let result = before(number, what, name);
            inside = self.inside();
            inside.before.get_or_insert(before);
            result?;
        }
        Ok(inside)
    }
}

impl Items for Vault {
    fn read(&mut self, name: &str) -> Result<Option<Value>, Error> {
        Ok(self.call("read", name)?.values.get(name).map(|value| value.clone().into()))
    }

    fn write(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        if self.limit.is_some_and(|limit| value.len() > limit) {
            return Err(Error::Write { what: name.to_owned(), why: "it is too long".to_owned() });
        }
        self.call("write", name)?.values.insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<bool, Error> {
        Ok(self.call("delete", name)?.values.remove(name).is_some())
    }

    fn names(&mut self) -> Result<Vec<String>, Error> {
        Ok(self.call("names", "")?.values.keys().cloned().collect())
    }

    fn unlock(&mut self) -> Result<(), Error> {
        self.call("unlock", "").map(|_| ())
    }
}
