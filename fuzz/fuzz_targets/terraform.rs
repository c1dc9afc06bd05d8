//! A host in an argument, an object for a token that is to be kept, and the object that answers.
#![no_main]

use claviger::dialect::{Call, terraform};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let verb = input.operation(["get", "store", "forget", "polish"]);
    let call = |host| Call::Terraform(terraform::Call { verb: verb.clone(), host, whose: input.whose() });
    let host = input.word(0).unwrap_or_default();
    put(&call(host.clone()), &input, input.stdin, Shape::Terraform);
    quotes_nothing(&call(canary::planted_in_place(&host)), input.stdin);
    let Some(planted) = canary::planted_in_json(input.stdin, input.choice()) else { return };
    quotes_nothing(&call(host.clone()), &canary::broken(&planted, input.choice()));
    quotes_nothing(&call(host), planted.as_bytes());
});
