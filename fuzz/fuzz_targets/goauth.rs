//! Services and a URL in arguments, a server's response, and the sets of lines that answer.
#![no_main]

use claviger::dialect::{Call, goauth};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let url = input.word(0).filter(|url| !url.is_empty());
    let services: Vec<String> = input.words().skip(1).collect();
    let call = |services, url| Call::Goauth(goauth::Call { services, url, whose: input.whose() });
    put(&call(services.clone(), url.clone()), &input, input.stdin, Shape::Goauth);
    let planted: Vec<String> = services.iter().map(|text| canary::planted_in_place(text)).collect();
    quotes_nothing(&call(planted, url.clone()), input.stdin);
    quotes_nothing(&call(services, url.as_deref().map(canary::planted_in_place)), input.stdin);
});
