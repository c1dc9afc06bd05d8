//! What every platform's keyring offers, and no more: values by name.

use crate::store::{Error, Value};
use crate::text::Escaped;

/// One connection to a keyring. Its calls may take as long as they like; whoever makes them has a deadline.
pub trait Items {
    /// The value of a name; `None` when there is none.
    fn read(&mut self, name: &str) -> Result<Option<Value>, Error>;
    /// Writes a value in place: the old one or the new one can be read at any time.
    fn write(&mut self, name: &str, value: &Value) -> Result<(), Error>;
    /// Deletes a name; `false` when there was none.
    fn delete(&mut self, name: &str) -> Result<bool, Error>;
    /// Every name of ours.
    fn names(&mut self) -> Result<Vec<String>, Error>;
    /// Asks whoever sits there to unlock it, and waits for the answer.
    fn unlock(&mut self) -> Result<(), Error>;
}

/// A name as error messages have it.
pub(super) fn words(name: &str) -> String {
    format!("slot {}", Escaped(name))
}
