//! Text that came from outside, made safe to show (I7).
//!
//! A request, a configuration file or a server may carry anything: terminal escapes, line breaks,
//! direction marks. Whatever of it reaches a message passes through [`Escaped`].

use std::fmt;

/// Shows foreign text on one line, with everything that could steer a terminal or mislead a reader
/// written as `\u{..}`, and cut off visibly after [`Escaped::SHOWN`] characters.
pub struct Escaped<'a>(pub &'a str);

impl Escaped<'_> {
    /// How many characters of a foreign text a message shows.
    pub const SHOWN: usize = 256;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shown, c) in self.0.chars().enumerate() {
            if shown == Self::SHOWN {
                return f.write_str("...");
            }
            if steers(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}

/// Whether a character can steer a terminal or mislead a reader: C0, DEL, C1, line and paragraph separators,
/// bidirectional controls, zero-width and tag characters.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        let hostile = "a\u{1b}[31m\r\n\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}b";
        let shown = Escaped(hostile).to_string();
        assert_eq!(shown, "a\\u{1b}[31m\\u{d}\\u{a}\\u{9b}2J\\u{7f}\\u{202e}\\u{2066}\\u{200b}\\u{feff}b");
    }

    #[test]
    fn a_long_text_is_cut_where_it_can_be_seen() {
        let shown = Escaped(&"x".repeat(5000)).to_string();
        assert_eq!(shown, format!("{}...", "x".repeat(Escaped::SHOWN)));
    }
}
