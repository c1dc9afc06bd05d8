//! A URI in an object, and the headers that answer it.
#![no_main]

use claviger::dialect::{Call, bazel};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let command = input.operation(["get", "get", "get", "polish"]);
    let call = Call::Bazel(bazel::Call { command, whose: input.whose() });
    put(&call, &input, input.stdin, Shape::Bazel);
    let Some(planted) = canary::planted_in_json(input.stdin, input.choice()) else { return };
    quotes_nothing(&call, &canary::broken(&planted, input.choice()));
    quotes_nothing(&call, planted.as_bytes());
});
