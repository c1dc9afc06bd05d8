//! The house keeps its shape: who imports whom, where secrets are revealed, how long a file may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Layer, module, and what of the crate that module may use: only what stands above it in this table. So
/// parsing has no effects (`dialect` cannot see `store` or `http`), and a token fresh from the network cannot
/// become a reply without passing through the store (`oauth` cannot see `message`). `lib.rs` and `main.rs`
/// may use anything.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str)] = &[
    ("0a words",  "limits",   ""),
    ("0a words",  "text",     ""),
    ("0a words",  "time",     ""),
    ("0a words",  "fields",   "text"),
    ("0a words",  "secret",   "limits"),
    ("0a words",  "address",  "limits text"),
    ("0a words",  "session",  "limits text secret address"),
    ("0a words",  "signing",  ""),
    ("0a words",  "provider", "address secret session signing"),
    ("0b world",  "clock",    "time"),
    ("0b world",  "terminal", ""),
    ("0b world",  "harden",   "terminal"),
    ("0b world",  "folder",   ""),
    ("0b world",  "http",     "address clock limits"),
    ("0b world",  "browser",  "address secret"),
    ("0b world",  "loopback", "limits"),
    ("0b world",  "child",    "harden secret terminal text"),
    ("0b world",  "lock",     "folder session time"),
    ("0b world",  "worker",   "limits lock"),
    ("1 pure",    "message",  "address provider secret session time"),
    ("1 pure",    "dialect",  "message address fields limits secret session text time"),
    ("1 pure",    "resolve",  "message session"),
    ("2 state",   "store",    "address clock fields folder limits lock provider secret session text time terminal harden"),
    ("3 policy",  "oauth",    "address fields http limits provider secret time"),
    ("3 policy",  "refresh",  "clock fields harden http limits lock oauth provider secret session store time"),
    ("4 edge",    "presets",  "address fields"),
    ("4 edge",    "settings", "address browser dialect fields http limits message presets provider secret session signing store terminal text worker"),
    ("4 edge",    "error",    "http lock message oauth provider refresh session store text"),
    ("5 top",     "cli",      "child dialect message session text time"),
    ("5 top",     "setup",    "clock dialect error harden limits lock message refresh session settings store terminal text"),
    ("5 top",     "engine",   "address browser clock dialect error harden http limits lock loopback message oauth presets provider refresh resolve secret session settings setup store terminal text time worker"),
    ("5 top",     "world",    "clock engine http lock message refresh settings store worker"),
];

fn table() -> Vec<(&'static str, Vec<&'static str>)> {
    TABLE.iter().map(|(_, module, uses)| (*module, uses.split_whitespace().collect())).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    sources.sort();
    assert!(sources.len() > 30);
    sources
}

/// A file without its tests.
fn body(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap()
}

fn module(path: &Path) -> String {
    path.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every module of this crate that a text names after `crate::`, braces included.
fn used(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split('}').next().unwrap();
            modules.extend(group.split(',').map(|part| part.trim().split(':').next().unwrap().to_owned()));
        } else {
            modules.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    modules.retain(|module| !module.is_empty());
    modules
}

#[test]
fn the_import_table_is_true() {
    let table: BTreeMap<_, _> = table().into_iter().collect();
    for (path, text) in sources() {
        let module = module(&path);
        if ["main", "lib"].contains(&module.as_str()) {
            continue;
        }
        let may_use = table.get(module.as_str()).unwrap_or_else(|| panic!("{module} is not in the table"));
        for used in used(body(&text)) {
            let allowed =
                used == module || may_use.contains(&used.as_str()) || !table.contains_key(used.as_str());
            assert!(allowed, "{} uses {used}, which the table does not allow", path.display());
        }
    }
}

#[test]
fn the_table_has_no_cycles_and_no_idle_permissions() {
    let mut really: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        really.entry(module(&path)).or_default().extend(used(body(&text)));
    }
    let mut above = Vec::new();
    for (module, may_use) in table() {
        for permitted in may_use {
            assert!(
                above.contains(&permitted),
                "{module} may use {permitted}, which does not stand above it"
            );
            assert!(
                really[module].iter().any(|used| used == permitted),
                "{module} may use {permitted} and does not"
            );
        }
        above.push(module);
    }
}

#[test]
fn secrets_are_revealed_in_these_places_and_no_other() {
    let mut places: Vec<String> = Vec::new();
    for (path, text) in sources() {
        for line in body(&text).lines().filter(|line| !line.trim_start().starts_with("//")) {
            let count = line.matches(".reveal()").count() + line.matches("::reveal").count();
            places.extend(std::iter::repeat_n(path.display().to_string().replace('\\', "/"), count));
        }
    }
    places.sort();
    let expected = [
        "oauth/identity.rs",      // a job's own token into the request for its identity token
        "oauth/mod.rs",           // a client secret into the body of a request
        "oauth/mod.rs",           // a client secret into its Authorization header
        "oauth/revocation.rs",    // a refresh token into the request that ends it
        "oauth/token.rs",         // a refresh token into the request that spends it
        "oauth/token.rs",         // an identity token into the request that shows it
        "store/client_secret.rs", // a configured client's secret into its slot
        "store/record/codec.rs",  // a client secret into its slot
        "store/record/codec.rs",  // a refresh token into its slot
    ];
    assert_eq!(places, expected);
}

#[test]
fn files_stay_small() {
    let mut lengths = Vec::new();
    for (path, text) in sources() {
        let lines = body(&text).lines().count();
        assert!(lines <= 400, "{}: {lines} lines, a hard look is due", path.display());
        lengths.push(lines);
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 160, "median of {median} lines");
    let main = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= 60, "main is thin");
}

#[test]
fn every_promise_of_the_library_page_names_an_enforcer_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["src/lib.rs", "SECURITY.md", "README.md", "protocol/README.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for (at, _) in text.match_indices("tests/") {
            let name: String =
                text[at..].chars().take_while(|c| c.is_alphanumeric() || "/_.".contains(*c)).collect();
            let name = name.trim_end_matches('.');
            assert!(root.join(name).exists(), "{page} names {name}, which is not there");
        }
    }
}

#[test]
fn the_size_of_the_window_that_is_owned_up_to_is_the_one_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kills = std::fs::read_to_string(root.join("tests/kills.rs")).unwrap();
    let window = kills.split_once("const WINDOW: usize = ").unwrap().1.split_once(';').unwrap().0;
    let security = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    assert!(security.contains(&format!(", {window} lie in it (`tests/kills.rs`")), "{window}");
}

/// `file.rs` and the names that follow it, each in backquotes, in every table row of `tests/README.md`.
#[test]
fn every_test_that_the_table_of_requirements_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("tests/README.md")).unwrap();
    let points = |line: &str| line.contains(".rs`") || line.contains(".txt`");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && points(line)).collect();
    let numbered = |line: &str| line[2..].starts_with(|c: char| c.is_ascii_digit());
    let all = table.lines().filter(|line| line.starts_with("| ") && numbered(line)).count();
    assert_eq!(all, 21 + 29 + 15 + 11 + 11 + 6 + 5 + 4 + 4, "a row for each");
    let rules = table.split("\n## The rules for a token client\n").nth(1).unwrap_or_default();
    assert_eq!(rules.lines().filter(|line| line.starts_with("| ") && points(line)).count(), 12 + 19 + 8);
    let mut named = 0;
    for row in rows {
        let mut text = String::new();
        let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for word in last.split('`').skip(1).step_by(2) {
            let ending = Path::new(word).extension().map(|ending| ending.to_string_lossy().into_owned());
            if ending.as_deref() == Some("rs") {
                let path =
                    if word.starts_with("src/") { root.join(word) } else { root.join("tests").join(word) };
                text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no file {word}: {row}"));
            } else if ending.as_deref() == Some("txt") {
                assert!(root.join("protocol").join(word).exists(), "no transcript {word}: {row}");
            } else {
                assert!(text.contains(&format!("fn {word}()")), "no test {word}: {row}");
                named += 1;
            }
        }
    }
    assert!(named > 120, "{named}");
}
