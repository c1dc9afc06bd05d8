//! pip: that it asks the program `keyring`. The key goes to the head of the section that is there, as pip takes none twice.

use super::{Plan, Wish, block};
use crate::message::Failure;
use crate::text::Escaped;

const NAME: &str = "pip";
const KEY: &str = "keyring-provider";
const VALUE: &str = "subprocess";
const GLOBAL: &str = "global";
const SECTION: &str = "[global]";

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    let key = format!("{KEY} = {VALUE}");
    if wish.undo {
        plan.take(wish, NAME, &|line| line == SECTION || line.trim() == key)?;
        return Ok(plan);
    }
    let parts = parts(before).map_err(|why| wish.unreadable(why))?;
    let mut asks = false;
    for part in parts.iter().filter(|part| part.key.as_deref() == Some(KEY)) {
        if part.value != VALUE {
            return Err(wish.conflict(
                &format!("pip has another {KEY} under [{}]", Escaped(part.section)),
                "take that line out first",
            ));
        }
        asks |= part.section == GLOBAL;
    }
    if asks {
        return Ok(plan);
    }
    let Some(at) = parts.iter().position(|part| part.section == GLOBAL && part.key.is_none()) else {
        let lines = [SECTION.to_owned(), key];
        plan.after = block::append(before, NAME, &lines);
        plan.added = lines.to_vec();
        return Ok(plan);
    };
    let header = parts.get(at).map_or(0, |part| part.end);
    if !before.get(..header).is_some_and(|above| above.ends_with('\n')) {
        return Err(wish.unreadable("its last line is a section without an end"));
    }
    // A line that is further in than the one above it would go on with that one.
    let next = parts.get(at + 1).filter(|next| next.key.is_some());
    let lines = [[next.map_or("", |next| next.indent), &key].concat()];
    plan.after = block::insert(before, header, NAME, &lines).unwrap_or_default();
    plan.added = lines.to_vec();
    Ok(plan)
}

/// A section's header, which has no key, or what is set in it.
struct Part<'a> {
    section: &'a str,
    key: Option<String>,
    value: String,
    indent: &'a str,
    /// Where its first line ends.
    end: usize,
}

/// The file as Python's configparser reads it: a line that is further in than the one above goes on with its value.
fn parts(text: &str) -> Result<Vec<Part<'_>>, &'static str> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        end += line.len();
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
        if let Some(last) =
            parts.last_mut().filter(|last| last.key.is_some() && indent.len() > last.indent.len())
        {
            last.value.push('\n');
            last.value.push_str(bare);
            continue;
        }
        if let Some((header, rest)) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            if rest.contains(']') {
                return Err("a section's header has more than one bracket at its end");
            }
            parts.push(Part { section: header, key: None, value: String::new(), indent, end });
            continue;
        }
        let section = parts.last().ok_or("it does not begin with a section")?.section;
        let (key, value) =
            bare.split_once(['=', ':']).ok_or("a line is neither a section nor a key with a value")?;
        let key = key.trim().to_ascii_lowercase().replace('_', "-").trim_start_matches("--").to_owned();
        parts.push(Part { section, key: Some(key), value: value.trim().to_owned(), indent, end });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Option<String>, String)> {
        let parts = parts(text).unwrap();
        parts.into_iter().map(|part| (part.section.to_owned(), part.key, part.value)).collect()
    }

    #[test]
    fn it_is_read_as_configparser_reads_it() {
        let part = |section: &str, key: Option<&str>, value: &str| {
            (section.to_owned(), key.map(str::to_owned), value.to_owned())
        };
        assert_eq!(
            read("[global] # mine\n    a_b = 1\n    c: 2\n        d = 3\n# e\n\n[x]\n--Y = z\n"),
            [
                part("global", None, ""),
                part("global", Some("a-b"), "1"),
                part("global", Some("c"), "2\nd = 3"),
                part("x", None, ""),
                part("x", Some("y"), "z"),
            ]
        );
        for odd in ["a = 1\n", "[global]\nword\n", "[global] # [x]\n", "\u{feff}[global]\n"] {
            assert!(parts(odd).is_err(), "{odd:?}");
        }
    }
}
