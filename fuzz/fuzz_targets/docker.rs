//! A registry's address or an object, and the object, the name of a case or the list that answers it.
#![no_main]

use claviger::dialect::{Call, docker};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let action = input.operation(["get", "store", "erase", "polish"]);
    let call = Call::Docker(docker::Call { action, whose: input.whose() });
    put(&call, &input, input.stdin, Shape::Docker);
    if let Some(planted) = canary::planted_in_json(input.stdin, input.choice()) {
        quotes_nothing(&call, &canary::broken(&planted, input.choice()));
        quotes_nothing(&call, planted.as_bytes());
    }
    // Of an object that is broken it might become a key, and keys may be quoted.
    if let Some(address) = std::str::from_utf8(input.stdin).ok().filter(|text| !text.contains('{')) {
        quotes_nothing(&call, canary::planted_in_place(address).as_bytes());
    }
});
