//! Changes to `config.toml` that leave the rest of it as people wrote it, comments and all.

use std::fmt::Write as _;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use super::config;
use crate::limits::CONFIG_BYTES;
use crate::message::{Code, Failure, NewProvider, NewSecret};
use crate::text::Escaped;

/// What is to change.
#[derive(Clone, Copy, Debug)]
pub enum Edit<'a> {
    /// A provider more, or one in the place of another.
    Add(&'a NewProvider),
    /// A provider less.
    Remove(&'a str),
}

/// The file's text after a change. What it holds then has been read as strictly as any configuration.
pub fn edited(before: &[u8], edit: Edit<'_>) -> Result<String, Failure> {
    let broken =
        || Failure::new(Code::ConfigInvalid, "config.toml can no longer be read", "mend the file first");
    let text = std::str::from_utf8(before).map_err(|_| broken())?;
    let mut document: DocumentMut = text.parse().map_err(|_| broken())?;
    match edit {
        Edit::Add(new) => add(&mut document, new)?,
        Edit::Remove(name) => remove(&mut document, name)?,
    }
    let after = with_its_line_ends(text, document.to_string());
    if after.len() > CONFIG_BYTES {
        return Err(refused(format!("config.toml would be over {CONFIG_BYTES} bytes")));
    }
    config::check(after.as_bytes()).map(|_| after).map_err(refused)
}

/// A document is written with the line ends of Unix. Lines that are the same but for that stay as they were, and new ones
/// end as those do.
#[must_use]
pub fn with_its_line_ends(before: &str, after: String) -> String {
    if !before.contains("\r\n") {
        return after;
    }
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let same = |old: &str, new: &str| old.replace("\r\n", "\n") == new;
    let head = old.iter().zip(&new).take_while(|(old, new)| same(old, new)).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let both = old_rest.iter().rev().zip(new_rest.iter().rev());
    let tail = both.take_while(|(old, new)| same(old, new)).count();
    let changed = new_rest.iter().take(new_rest.len() - tail).map(|line| line.replace('\n', "\r\n"));
    let kept = |lines: &[&str]| lines.concat();
    let behind = old_rest.get(old_rest.len() - tail..).unwrap_or_default();
    kept(old.get(..head).unwrap_or_default()) + &changed.collect::<String>() + &kept(behind)
}

fn refused(complaint: String) -> Failure {
    Failure::new(Code::BadRequest, complaint, "see `claviger providers add --help`; config.toml is as it was")
}

fn add(document: &mut DocumentMut, new: &NewProvider) -> Result<(), Failure> {
    // At the very end, behind the last comment: a key that is commented out stays with the table it stood in.
    let place = last(document.as_table()) + 1;
    let above = ended(document);
    let providers = document.entry("providers").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let name = new.name.as_str();
    let there = providers.get(name).is_some_and(|item| !item.is_none());
    if there && !new.replace {
        return Err(Failure::new(
            Code::Conflict,
            format!("there is a provider `{}` already", Escaped(name)),
            "say --replace to put the new one in its place",
        ));
    }
    match providers {
        Item::Table(providers) => {
            let mut table: Table =
                keys(new).into_iter().map(|(key, value)| (key, Item::Value(value))).collect();
            if let Some(old) = providers.get(name).and_then(Item::as_table) {
                *table.decor_mut() = old.decor().clone();
                table.set_position(old.position());
                providers.insert(name, Item::Table(table));
            } else {
                table.decor_mut().set_prefix(above);
                table.set_position(Some(place));
                providers.insert(name, Item::Table(table));
                document.set_trailing("");
            }
        }
        Item::Value(Value::InlineTable(providers)) => {
            let table: InlineTable = keys(new).into_iter().collect();
            providers.insert(name, Value::InlineTable(table));
        }
        _ => return Err(refused("`providers`: must be a table".to_owned())),
    }
    Ok(())
}

/// What stands behind a document's last table, ended so that a table can follow.
fn ended(document: &DocumentMut) -> String {
    let mut above = document.trailing().as_str().unwrap_or_default().to_owned();
    if !above.is_empty() && !above.ends_with('\n') {
        above.push('\n');
    }
    let blank = if above.trim().is_empty() { !above.is_empty() } else { above.ends_with("\n\n") };
    if !blank && (!above.is_empty() || !document.is_empty()) {
        above.push('\n');
    }
    above
}

fn keys(new: &NewProvider) -> Vec<(&'static str, Value)> {
    let mut keys: Vec<(&str, Value)> =
        new.texts.iter().map(|(key, text)| (*key, Value::from(text.as_str()))).collect();
    if let Some(secret) = &new.secret {
        let (kind, place) = match secret {
            NewSecret::Keyring => ("keyring", Value::from(true)),
            NewSecret::Env(name) => ("env", Value::from(name.as_str())),
            NewSecret::File(path) => ("file", Value::from(path.as_str())),
        };
        let source: InlineTable = [(kind, place)].into_iter().collect();
        keys.push(("client-secret", Value::InlineTable(source)));
    }
    for (key, texts) in &new.lists {
        let items: Array = texts.iter().map(String::as_str).collect();
        keys.push((*key, Value::Array(items)));
    }
    keys
}

fn remove(document: &mut DocumentMut, name: &str) -> Result<(), Failure> {
    let providers = document.get_mut("providers").and_then(Item::as_table_like_mut);
    let Some(removed) = providers.and_then(|providers| providers.remove(name)) else {
        return Err(Failure::new(
            Code::BadRequest,
            format!("there is no provider `{}` in config.toml", Escaped(name)),
            "see `claviger providers list`",
        ));
    };
    let Item::Table(removed) = removed else { return Ok(()) };
    let above = removed.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    let kept = not_its_own(above);
    let Some(position) = removed.position().filter(|_| !kept.trim().is_empty()) else { return Ok(()) };
    let next = next(document.as_table(), position);
    if let Some(table) = next.and_then(|next| at(document.as_table_mut(), next)) {
        let below = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        let joined = joined(kept, below);
        table.decor_mut().set_prefix(joined);
    } else {
        let below = document.trailing().as_str().unwrap_or_default();
        let joined = joined(kept, below);
        document.set_trailing(joined);
    }
    Ok(())
}

/// Of what stands above a table, all but the comment that touches it: a file's opening words are not the first
/// provider's.
fn not_its_own(above: &str) -> &str {
    let mut kept = 0;
    let mut end = 0;
    for line in above.split_inclusive('\n') {
        end += line.len();
        if line.trim().is_empty() {
            kept = end;
        }
    }
    above.get(..kept).unwrap_or_default()
}

fn joined(kept: &str, below: &str) -> String {
    let mut joined = kept.trim_end_matches(['\r', '\n']).to_owned();
    let blank = if below.is_empty() || below.starts_with(['\r', '\n']) { "\n" } else { "\n\n" };
    let _ = write!(joined, "{blank}{below}");
    joined
}

/// The place of the first table behind a place.
fn next(table: &Table, behind: isize) -> Option<isize> {
    let tables = table.iter().filter_map(|(_, item)| item.as_table());
    tables
        .flat_map(|inner| [own_place(inner).filter(|place| *place > behind), next(inner, behind)])
        .flatten()
        .min()
}

/// The last place that a table has.
fn last(table: &Table) -> isize {
    let tables = table.iter().filter_map(|(_, item)| item.as_table());
    tables.flat_map(|inner| [own_place(inner), Some(last(inner))]).flatten().max().unwrap_or_default()
}

fn at(table: &mut Table, place: isize) -> Option<&mut Table> {
    for (_, item) in table.iter_mut() {
        let Some(inner) = item.as_table_mut() else { continue };
        if own_place(inner) == Some(place) {
            return Some(inner);
        }
        if let Some(found) = at(inner, place) {
            return Some(found);
        }
    }
    None
}

/// The place of a table that has a header of its own.
fn own_place(table: &Table) -> Option<isize> {
    table.position().filter(|_| !table.is_implicit() && !table.is_dotted())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewProvider {
        NewProvider {
            name: name.to_owned(),
            texts: vec![("issuer", format!("https://{name}.example"))],
            lists: vec![("scopes", vec!["a".to_owned(), "b \"c\"".to_owned()])],
            secret: None,
            replace: false,
        }
    }

    fn after(before: &str, edit: Edit<'_>) -> String {
        edited(before.as_bytes(), edit).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    const WRITTEN: &str = "# Mine.\n\nstorage = 'keyring'   # so be it\n\n# About a.\n[providers.a] # a\nissuer =   \"https://a.example\"\n\n# Between.\n\n[timeouts]\nlock = 70\n# The end.\n";

    #[test]
    fn what_was_written_stays_as_it_was_to_the_byte() {
        let added = after(WRITTEN, Edit::Add(&new("b")));
        assert_eq!(after(&added, Edit::Remove("b")), WRITTEN);
        let table = "[providers.b]\nissuer = \"https://b.example\"\nscopes = [\"a\", 'b \"c\"']\n";
        assert!(added.contains(table), "{added}");
        assert_eq!(added, format!("{WRITTEN}\n{table}"));
    }

    #[test]
    fn the_example_of_the_specification_gets_one_more_and_loses_it_again() {
        let text = include_str!("../../protocol/config-example.toml");
        // What an absolute path looks like differs.
        let text = &if cfg!(windows) { text.replace("\"/", "\"C:/") } else { text.to_owned() };
        let added = after(text, Edit::Add(&new("b")));
        assert!(added.starts_with(text.as_str()), "{added}");
        assert_eq!(after(&added, Edit::Remove("b")), *text);
        let commented = format!("{text}# scopes = ['another']");
        let added = after(&commented, Edit::Add(&new("b")));
        assert!(added.starts_with(&format!("{commented}\n\n[providers.b]\n")), "{added}");
    }

    #[test]
    fn line_ends_stay_whatever_they_are() {
        for (before, new_line) in [
            (WRITTEN.replace('\n', "\r\n"), "[providers.b]\r\n"),
            (WRITTEN.replacen('\n', "\r\n", 3), "[providers.b]\r\n"),
            (WRITTEN.to_owned(), "[providers.b]\n"),
        ] {
            let added = after(&before, Edit::Add(&new("b")));
            assert!(added.contains(new_line), "{added:?}");
            assert_eq!(after(&added, Edit::Remove("b")), before);
        }
        let unended = after("storage = 'keyring'\r\n# The end.", Edit::Add(&new("b")));
        assert_eq!(config::check(unended.as_bytes()), Ok(1), "{unended:?}");
    }

    #[test]
    fn the_first_one_makes_the_file() {
        let text = "[providers.b]\nissuer = \"https://b.example\"\nscopes = [\"a\", 'b \"c\"']\n";
        assert_eq!(after("", Edit::Add(&new("b"))), text);
        assert_eq!(after(text, Edit::Remove("b")), "");
        let inline = after("providers = { a = { issuer = 'https://a.example' } }\n", Edit::Add(&new("b")));
        assert!(inline.starts_with("providers = { a = { issuer = 'https://a.example' }"), "{inline}");
        assert_eq!(config::check(inline.as_bytes()), Ok(2), "{inline}");
        let dotted = after("providers.a.issuer = 'https://a.example'\n", Edit::Add(&new("b")));
        assert_eq!(config::check(dotted.as_bytes()), Ok(2), "{dotted}");
    }

    #[test]
    fn a_comment_that_does_not_touch_a_table_outlives_it() {
        let text = "# About this file.\n\n# About a.\n[providers.a]\nissuer = 'https://a.example'\n\
                    [providers.a.token-params]\nx = 'y'\n\n# About b.\n[providers.b]\nissuer = 'https://b.example'\n";
        let left = after(text, Edit::Remove("a"));
        assert_eq!(left, "# About this file.\n\n# About b.\n[providers.b]\nissuer = 'https://b.example'\n");
        assert_eq!(after(&left, Edit::Remove("b")), "# About this file.\n");
    }

    #[test]
    fn one_in_anothers_place_stands_where_that_one_stood() {
        let mut other = new("a");
        assert_eq!(edited(WRITTEN.as_bytes(), Edit::Add(&other)).unwrap_err().code, Code::Conflict);
        other.replace = true;
        let replaced = after(WRITTEN, Edit::Add(&other));
        assert!(
            replaced.contains("# About a.\n[providers.a] # a\nissuer = \"https://a.example\"\nscopes"),
            "{replaced}"
        );
        assert!(replaced.contains("# Between.\n\n[timeouts]"), "{replaced}");
    }

    #[test]
    fn what_the_strict_reader_refuses_is_not_written() {
        let mut bad = new("b");
        bad.texts.push(("grant", "telepathy".to_owned()));
        let failure = edited(WRITTEN.as_bytes(), Edit::Add(&bad)).unwrap_err();
        assert_eq!(failure.code, Code::BadRequest);
        assert!(failure.message.starts_with("`providers.b.grant`: "), "{}", failure.message);
        assert!(!failure.message.contains("telepathy"));
        for name in ["", "a b", "\u{1b}[31m", &"x".repeat(65)] {
            assert!(edited(b"", Edit::Add(&new(name))).is_err(), "{name:?}");
        }
        assert_eq!(edited(b"", Edit::Remove("b")).unwrap_err().code, Code::BadRequest);
    }
}
