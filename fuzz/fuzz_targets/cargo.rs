//! A line of cargo's, and the line that answers it.
#![no_main]

use claviger::dialect::{Call, cargo};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let call = Call::Cargo(cargo::Call { whose: input.whose() });
    put(&call, &input, input.stdin, Shape::Cargo);
    let Some(planted) = canary::planted_in_json(input.stdin, input.choice()) else { return };
    // What somebody configured for us, and got wrong, is quoted.
    let configured = serde_json::from_str::<serde_json::Value>(&planted).map(|line| line["args"].to_string());
    if !configured.is_ok_and(|arguments| canary::is_in(&arguments)) {
        quotes_nothing(&call, &canary::broken(&planted, input.choice()));
        quotes_nothing(&call, planted.as_bytes());
    }
});
