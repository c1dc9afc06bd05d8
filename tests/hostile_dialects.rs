//! Places that are not what they seem, put to every dialect: no token ever goes to another place than its own, no line
//! or field is added to an answer, and what cannot be read is not even looked for.

#![cfg(unix)]
#![allow(unreachable_pub, reason = "nothing outside this test can reach its parts")]

#[path = "hostile_dialects/documents.rs"]
mod documents;
#[path = "hostile_dialects/forms.rs"]
mod forms;
#[path = "hostile_dialects/oracle.rs"]
mod oracle;
#[path = "hostile_dialects/places.rs"]
mod places;
mod support;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;

use claviger::dialect::{Call, Verb};
use claviger::settings::{Command, Usage};
use claviger::text::steers;
use forms::{ASKING, Asked, CHANGING, Form, PLACE, filled};
use places::{Place, VICTIMS, Who, Worth, places};
use serde_json::json;
use support::shapes::{self, Taken};
use support::world::{Machine, Slots};

/// What somebody typed before a host, by mistake or not.
const TYPED: &str = "S3CRETPW";

fn token(who: Who) -> String {
    format!("AT-canary-{who:?}-zq7zq7")
}

/// A machine with a session for every victim; one belongs to a configured provider.
fn machine() -> (Machine, Slots) {
    let machine = Machine::in_memory("2026-01-01T00:10:00Z");
    let config = "[providers.acme]\ntoken-endpoint = \"https://id.example/token\"\nclient-id = \"cli\"\n\
services = [\"https://xn--bcher-kva.example\"]\n";
    std::fs::write(machine.home().join("config.toml"), config).unwrap();
    for (who, service, account) in VICTIMS {
        let mut bundle = json!({
            "service": service, "account": account, "accessToken": token(who),
            "refreshToken": format!("RT-canary-{who:?}-zq7zq7"), "expiresIn": 3600,
        });
        if who == Who::Idn {
            bundle["provider"] = json!("acme");
        } else {
            bundle["tokenEndpoint"] = json!("https://id.example/token");
            bundle["clientId"] = json!("other");
        }
        let stored = machine.call(Verb::Store, None, bundle.to_string().as_bytes());
        assert_eq!(stored.exit, 0, "{}", stored.stderr);
    }
    let slots = machine.keyring.slots.borrow().clone();
    (machine, slots)
}

/// What came of a call, on both streams.
struct Seen {
    exit: u8,
    stdout: String,
    stderr: String,
    /// Whether the keyring was asked anything.
    looked: bool,
}

/// What a command line asks for. What no option can be is put into one that was read before.
fn command(words: Vec<OsString>, place: Option<&OsString>) -> Result<Command, Usage> {
    thread_local!(static KNOWN: RefCell<HashMap<Vec<OsString>, Call>> = RefCell::default());
    let plain = place.map_or(Some(""), |place| place.to_str().filter(|place| !place.starts_with('-')));
    let Some(plain) = plain else {
        let words =
            words.into_iter().map(|word| if word == PLACE { place.cloned().unwrap_or(word) } else { word });
        return claviger::settings::invocation(words).map(|invocation| invocation.command);
    };
    let known = KNOWN.with_borrow(|known| known.get(&words).cloned());
    let call = match known {
        Some(call) => call,
        None => match claviger::settings::invocation(words.clone())?.command {
            Command::Protocol(call) => call,
            other => return Ok(other),
        },
    };
    KNOWN.with_borrow_mut(|known| known.insert(words, call.clone()));
    Ok(Command::Protocol(if place.is_some() { filled(call, plain) } else { call }))
}

fn put(machine: &Machine, asked: Asked) -> Seen {
    let before = machine.keyring.calls.get();
    *machine.variables.borrow_mut() =
        asked.variable.into_iter().map(|info| ("KUBERNETES_EXEC_INFO".to_owned(), info)).collect();
    let rendered = match command(asked.words, asked.place.as_ref()) {
        Ok(command) => machine.serve(&machine.keyring, command, None, &asked.stdin),
        Err(usage) => usage.rendered(),
    };
    let told: String = machine.told.borrow_mut().drain(..).map(|line| line + "\n").collect();
    Seen {
        exit: rendered.exit,
        stdout: String::from_utf8(rendered.stdout.to_vec()).expect("stdout is UTF-8"),
        stderr: told + &rendered.stderr,
        looked: machine.keyring.calls.get() != before,
    }
}

/// Everything that went wrong: one place alone says less than all of them.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    fn none(self) {
        let shown: Vec<String> = self.0.iter().take(60).cloned().collect();
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), shown.join("\n"));
    }

    /// What holds whatever was asked. Gives what the tool takes from it.
    fn check(&mut self, form: &Form, seen: &Seen, allowed: &[Who], what: &str) -> Vec<Taken> {
        let Seen { exit, stdout, stderr, .. } = seen;
        for text in [stdout, stderr] {
            let steering = |c: char| steers(c) && c != '\n';
            self.unless(!text.contains(steering), || format!("{what}: it steers a terminal: {text:?}"));
            self.unless(!text.contains("RT-canary"), || format!("{what}: a refresh token: {text}"));
            self.unless(!text.contains(TYPED), || format!("{what}: a password is quoted: {text}"));
        }
        for (who, _, _) in VICTIMS {
            let out = stdout.contains(&token(who));
            self.unless(!out || allowed.contains(&who), || {
                format!("{what}: the token of {who:?} for {allowed:?}")
            });
            self.unless(!stderr.contains(&token(who)), || format!("{what}: a token on stderr: {stderr}"));
        }
        let taken = shapes::read(form.shape, *exit, stdout).unwrap_or_else(|why| {
            self.0.push(format!("{what}: {why}"));
            Vec::new()
        });
        self.unless(taken.len() <= 1, || format!("{what}: {taken:?}"));
        for one in &taken {
            let whole = |who: &Who| [token(*who), format!("Bearer {}", token(*who))].contains(&one.secret);
            self.unless(allowed.iter().any(whole), || format!("{what}: {one:?} for {allowed:?}"));
        }
        taken
    }
}

fn allowed(form: &Form, place: &Place) -> Vec<Who> {
    let text = std::str::from_utf8(&place.text).unwrap_or_default();
    let by_reading = oracle::may(form.reads, text);
    // git itself takes a name off a URL, and decodes what is left.
    let exempt = form.reads == oracle::Reads::GitUrl && text.contains(['@', '%']);
    match place.worth {
        Worth::May(by_hand) => by_reading.into_iter().filter(|who| by_hand.contains(who)).collect(),
        Worth::Must(by_hand) => by_reading.into_iter().filter(|who| *who == by_hand).collect(),
        Worth::Unreadable | Worth::Elsewhere if exempt => by_reading,
        Worth::Unreadable | Worth::Elsewhere => Vec::new(),
    }
}

/// Whether the form itself can name no host in this text, or reads another than the rest do.
fn is_read_otherwise(form: &Form, place: &Place) -> bool {
    form.reads == oracle::Reads::GitUrl && place.text.iter().any(|byte| b"@%".contains(byte))
}

fn what(form: &Form, text: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(text).chars().take(140).collect();
    format!("{} {shown:?}", form.name)
}

#[test]
fn no_place_gets_the_token_of_another() {
    let (machine, slots) = machine();
    let places = places();
    assert!(places.len() > 450, "{}", places.len());
    let (mut faults, mut given) = (Faults::default(), 0);
    for place in &places {
        for form in ASKING {
            let Some(asked) = (form.ask)(&place.text) else { continue };
            let (what, allowed) = (what(form, &place.text), allowed(form, place));
            let seen = put(&machine, asked);
            let taken = faults.check(form, &seen, &allowed, &what);
            given += taken.len();
            let unreadable = place.worth == Worth::Unreadable && !is_read_otherwise(form, place);
            faults.unless(!unreadable || !seen.looked, || {
                format!("{what}: the keyring was asked: {}", seen.stderr)
            });
            if let Worth::Must(who) = place.worth
                && allowed == [who]
                && form.gives(who, &place.text)
            {
                faults.unless(taken.len() == 1, || {
                    format!("{what}: no token: {} {}", seen.stdout, seen.stderr)
                });
            }
        }
    }
    faults.none();
    assert!(given > 200, "{given} tokens were given");
    assert!(machine.server.sent.borrow().is_empty(), "nobody was asked for a token");
    assert!(*machine.keyring.slots.borrow() == slots, "asking changes nothing");
}

#[test]
fn no_place_that_is_another_ends_or_changes_a_session() {
    let (machine, slots) = machine();
    let mut faults = Faults::default();
    let writes = machine.keyring.writes.get();
    for place in places() {
        for form in CHANGING {
            let unreadable = place.worth == Worth::Unreadable && !is_read_otherwise(form, &place);
            // Where a token may come out, a session may end as well; and what is kept for a place elsewhere is kept there.
            if !unreadable && (form.keeps || place.worth != Worth::Elsewhere) {
                continue;
            }
            let Some(asked) = (form.ask)(&place.text) else { continue };
            let what = what(form, &place.text);
            let seen = put(&machine, asked);
            faults.check(form, &seen, &[], &what);
            faults.unless(!unreadable || !seen.looked, || {
                format!("{what}: the keyring was asked: {}", seen.stderr)
            });
        }
    }
    faults.none();
    assert_eq!(machine.keyring.writes.get(), writes, "nothing is written");
    assert!(*machine.keyring.slots.borrow() == slots, "nothing is changed");
}

#[test]
fn no_broken_request_gets_a_token_or_a_second_host() {
    let (machine, slots) = machine();
    let (mut faults, mut tried) = (Faults::default(), 0);
    for (form, asked, worth) in documents::all() {
        let what = what(
            form,
            if asked.stdin.is_empty() {
                asked.variable.as_deref().unwrap_or_default().as_bytes()
            } else {
                &asked.stdin
            },
        );
        let allowed = match worth {
            Worth::May(who) => who,
            _ => &[],
        };
        let seen = put(&machine, asked);
        faults.check(form, &seen, allowed, &what);
        faults.unless(worth != Worth::Unreadable || !seen.looked, || {
            format!("{what}: the keyring was asked: {} {}", seen.stdout, seen.stderr)
        });
        tried += 1;
    }
    faults.none();
    assert!(tried > 150, "{tried}");
    assert!(*machine.keyring.slots.borrow() == slots, "nothing is changed");
}

#[test]
fn no_user_name_adds_a_line_to_an_answer() {
    let (machine, _) = machine();
    let mut faults = Faults::default();
    let asking = ["git get", "keyring --mode creds get https://new.example", "docker get"];
    let shape = |words: &str| match words.split(' ').next() {
        Some("git") => shapes::Shape::Git,
        Some("docker") => shapes::Shape::Docker,
        _ => shapes::Shape::Pair,
    };
    for end in ["\n", "\r", "\r\n", "\0", "\t", "\u{85}", "\u{1b}[2K"] {
        let name = format!("eve{end}password=AT-of-eve");
        let answer =
            json!({ "ServerURL": "new.example", "Username": name, "Secret": "AT-typed" }).to_string();
        let lines = format!("protocol=https\nhost=new.example\nusername={name}\npassword=AT-typed\n");
        for account in [None, Some("--account=alice")] {
            let words = |first: &str, rest: &[&str]| {
                let words = ["claviger", first].into_iter().chain(account).chain(rest.iter().copied());
                words.map(OsString::from).collect::<Vec<_>>()
            };
            for (words, stdin) in [
                (words("git", &["store"]), lines.clone()),
                (words("docker", &["store"]), answer.clone()),
                (words("keyring", &["set", "new.example", &name]), "AT-typed\n".to_owned()),
            ] {
                let what = format!("{words:?}");
                put(&machine, Asked { words, stdin: stdin.into_bytes(), ..Asked::default() });
                for asked in asking {
                    let stdin = match asked {
                        "git get" => "protocol=https\nhost=new.example\n",
                        _ => "new.example",
                    };
                    let seen = put(&machine, forms::with(asked, stdin.into()));
                    let taken = shapes::read(shape(asked), seen.exit, &seen.stdout);
                    let shown = |taken: &Taken| {
                        taken.username.as_deref().is_some_and(|name| name.contains(char::is_control))
                    };
                    let plain = taken.is_ok_and(|taken| !taken.iter().any(shown));
                    faults.unless(plain, || format!("{what}, {asked}: {:?}", seen.stdout));
                }
            }
        }
    }
    faults.none();
}
