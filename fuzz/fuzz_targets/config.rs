//! A complaint about a configuration is one harmless line and quotes no value: it may be a secret.
#![no_main]

use claviger::settings::check_config;
use claviger_fuzz::{assert_plain_line, canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Err(complaint) = check_config(input) {
        assert_plain_line(&complaint);
    }
    let Some(planted) = canary::planted_in_toml(input, input.len()) else { return };
    for document in [canary::broken(&planted, input.len()), planted.into_bytes()] {
        if let Err(complaint) = check_config(&document) {
            assert!(!canary::is_in(&complaint), "{complaint}");
        }
    }
});
