//! What a cluster's client says in a variable, and the object that answers it.
#![no_main]

use claviger::dialect::{Call, kubernetes};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let call = Call::Kubernetes(kubernetes::Call { target: input.word(0), whose: input.whose() });
    put(&call, &input, input.stdin, Shape::Kubernetes);
    let Some(planted) = canary::planted_in_json(input.stdin, input.choice()) else { return };
    quotes_nothing(&call, &canary::broken(&planted, input.choice()));
    quotes_nothing(&call, planted.as_bytes());
});
