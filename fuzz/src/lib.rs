//! What several targets ask of a text, and the canary they plant in values.

pub mod request;

use claviger::text::Escaped;

/// Planted in a value that no complaint may quote.
const CANARY: &str = "zq7zq7zq7zq7zq7zq7";

/// In every run of eight bytes of the canary, so that a cut-off quotation is found too.
const FRAGMENT: &str = "zq7zq7";

/// One line that no terminal can take for a command. Control characters are looked for here as well as by
/// the project's own rule: that rule is under test.
pub fn assert_plain_line(text: &str) {
    assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
    for c in text.chars().filter(|c| !c.is_ascii()) {
        assert_eq!(Escaped(&c.to_string()).to_string(), c.to_string(), "{text:?}");
    }
}

/// Puts the canary where a quotation would begin, but behind a scheme: a URL stays one.
pub fn plant(value: &mut String) {
    let at = value.find("://").map_or(0, |at| at + 3);
    value.insert_str(at, CANARY);
}

/// Whether a text holds enough of the canary to have got it from a value.
pub fn holds_canary(text: &str) -> bool {
    text.contains(FRAGMENT)
}
