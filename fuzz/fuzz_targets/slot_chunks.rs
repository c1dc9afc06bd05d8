//! Whatever lies in a keyring of small items, a slot is read whole, or refused in one harmless line; what is
//! written over it is read back, and what is erased leaves nothing. The first byte is the limit; the first
//! line after it is the slot's value, the rest its chunks.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use claviger::store::keyring::{Chunked, Items};
use claviger::store::{Error, Value};
use claviger_fuzz::assert_plain_line;
use libfuzzer_sys::fuzz_target;

const SLOT: &str = "https://a.example#alice";

/// A keyring in memory that takes no item above its limit.
#[derive(Clone, Default)]
struct Small {
    items: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    limit: usize,
}

impl Items for Small {
    fn read(&mut self, name: &str) -> Result<Option<Value>, Error> {
        Ok(self.items.borrow().get(name).cloned().map(Value::from))
    }

    fn write(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        // A head has its own size; its limit is the real keyring's, far above it.
        assert!(value.len() <= self.limit.max(256), "{} bytes in {name}", value.len());
        self.items.borrow_mut().insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<bool, Error> {
        Ok(self.items.borrow_mut().remove(name).is_some())
    }

    fn names(&mut self) -> Result<Vec<String>, Error> {
        Ok(self.items.borrow().keys().cloned().collect())
    }

    fn unlock(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&limit, rest)) = input.split_first() else { return };
    let limit = usize::from(limit).max(1);
    let cut = rest.iter().position(|&byte| byte == b'\n');
    let (head, body) = cut.map_or((rest, &[][..]), |at| (&rest[..at], &rest[at + 1..]));
    // Below zero there is none: an item named so would be nobody's, and is not to be erased.
    let generation = serde_json::from_slice::<serde_json::Value>(head)
        .ok()
        .and_then(|head| head["generation"].as_i64())
        .filter(|generation| *generation >= 0);

    let small = Small { limit, ..Small::default() };
    {
        let mut items = small.items.borrow_mut();
        items.insert(SLOT.to_owned(), head.to_vec());
        for (number, part) in body.chunks(limit).enumerate() {
            items.insert(format!("{SLOT}/{}.{number}", generation.unwrap_or(1)), part.to_vec());
        }
    }
    let mut slots = Chunked::new(small.clone(), Some(limit));
    match slots.read(SLOT) {
        Ok(value) => {
            let value = value.expect("the slot is there");
            // A head may speak of fewer chunks than there are, even of none.
            assert!(
                *value == head || body.starts_with(&value),
                "neither the slot's value nor its chunks in order"
            );
        }
        Err(error) => {
            assert!(matches!(error, Error::Damaged { .. } | Error::Newer { .. }), "{error:?}");
            assert_plain_line(&error.to_string());
        }
    }
    slots.strays().expect("this keyring refuses nothing");

    let value = Value::from(body.to_vec());
    slots.write(SLOT, &value).expect("this keyring refuses nothing");
    // What looks like a head is never written: a slot's value says which kind of slot it is.
    if !body.starts_with(b"{") {
        assert_eq!(slots.read(SLOT).expect("what is written can be read"), Some(value));
    }
    assert!(slots.delete(SLOT).expect("this keyring refuses nothing"));
    assert!(small.items.borrow().is_empty(), "an erased slot leaves something behind");
});
