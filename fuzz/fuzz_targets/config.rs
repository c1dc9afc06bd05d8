//! A complaint about a configuration is one harmless line and quotes no value: it may be a secret.
#![no_main]

use claviger::settings::check_config;
use claviger_fuzz::{assert_plain_line, holds_canary, plant};
use libfuzzer_sys::fuzz_target;
use toml_edit::visit_mut::VisitMut;
use toml_edit::{DocumentMut, Formatted};

fuzz_target!(|input: &[u8]| {
    if let Err(complaint) = check_config(input) {
        assert_plain_line(&complaint);
    }
    let Some(mut document) =
        std::str::from_utf8(input).ok().and_then(|text| text.parse::<DocumentMut>().ok())
    else {
        return;
    };
    if holds_canary(&document.to_string()) {
        return;
    }
    // One value alone: two providers that list one service are told which, and one canary is never two services.
    let mut planter = Planter { left: input.len() % 32 };
    planter.visit_document_mut(&mut document);
    if let Err(complaint) = check_config(document.to_string().as_bytes()) {
        assert!(!holds_canary(&complaint), "{complaint}");
    }
});

struct Planter {
    left: usize,
}

impl VisitMut for Planter {
    fn visit_string_mut(&mut self, value: &mut Formatted<String>) {
        if self.left == 0 {
            let mut text = value.value().clone();
            plant(&mut text);
            *value = Formatted::new(text);
        }
        self.left = self.left.wrapping_sub(1);
    }
}
