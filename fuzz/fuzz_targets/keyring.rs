//! A service and a user name in arguments, a password in a line, and the password or the pair that answers.
#![no_main]

use claviger::dialect::{Call, keyring};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let operation = input.operation(["get", "set", "del", "polish"]);
    let (form, shape) = [
        (keyring::Form::Password, Shape::Password),
        (keyring::Form::Pair, Shape::Pair),
        (keyring::Form::Json, Shape::PairJson),
    ][input.choice() % 3];
    let call = |service| {
        let (operation, username) = (operation.clone(), input.word(1));
        Call::Keyring(keyring::Call { operation, service, username, form, whose: input.whose() })
    };
    let service = input.word(0).unwrap_or_default();
    put(&call(service.clone()), &input, input.stdin, shape);
    quotes_nothing(&call(canary::planted_in_place(&service)), input.stdin);
    quotes_nothing(&call(service), &canary::planted_before(input.stdin));
});
