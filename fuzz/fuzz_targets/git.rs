//! git's lines, one of them a URL perhaps, and the lines it is answered by.
#![no_main]

use claviger::dialect::{Call, git};
use claviger_fuzz::canary;
use claviger_fuzz::shapes::Shape;
use claviger_fuzz::tool::{Input, put, quotes_nothing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(input) = Input::read(bytes) else { return };
    let operation = input.operation(["get", "store", "erase", "polish"]);
    let retry = input.choice() % 2 == 1;
    let call = Call::Git(git::Call { operation, whose: input.whose(), retry });
    put(&call, &input, input.stdin, Shape::Git);
    quotes_nothing(&call, &canary::planted_in_lines(input.stdin));
    if let Some(url) = std::str::from_utf8(input.stdin).ok().and_then(|text| text.split("url=").nth(1)) {
        let url = url.lines().next().unwrap_or_default();
        quotes_nothing(&call, format!("url={}\n", canary::planted_in_place(url)).as_bytes());
    }
});
