//! Walks `protocol/transcripts`: each file shows one point of the specification, byte for byte, against a
//! scripted server and a clock set by hand.
//!
//! A standing rule that no file states: no refresh token that was ever stored appears in any output.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use claviger::dialect::{Rendered, Verb};
use claviger::http::Error;
use serde_json::Value;
use support::world::{Line, Machine, Mood};

/// One file, read but not yet run.
#[derive(Default)]
struct Transcript {
    clauses: Vec<String>,
    verb: Option<Verb>,
    command: Option<String>,
    call: Option<String>,
    mood: Mood,
    variables: Vec<(String, String)>,
    clock: String,
    storage: Option<String>,
    config: String,
    have: Vec<Request>,
    replies: Vec<String>,
    sent: Vec<String>,
    want: Vec<String>,
    exit: Option<u8>,
    input: String,
    stdout: String,
    stderr: String,
}

/// A request made before the one that is shown.
struct Request {
    time: String,
    storage: Option<String>,
    asked: Asked,
    input: String,
}

/// How it was made.
enum Asked {
    /// By a verb of the native protocol.
    Verb(Verb),
    /// By a tool's command line.
    Call(String),
}

fn line_of(text: &str) -> String {
    format!("{text}\n")
}

fn verb(word: &str) -> Verb {
    let found = Verb::ALL.into_iter().find(|(_, known)| *known == word);
    found.unwrap_or_else(|| panic!("no such verb: {word}")).0
}

impl Transcript {
    fn read(text: &str) -> Self {
        let mut transcript = Self::default();
        let (header, body) = text.split_once("\n\n").expect("an empty line between header and body");
        for line in header.lines() {
            let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line}"));
            let value = value.trim();
            match key {
                "about" => assert!(!value.is_empty(), "`about` says something"),
                "clause" => transcript.clauses = value.split_whitespace().map(str::to_owned).collect(),
                "verb" => transcript.verb = Some(verb(value)),
                "command" => transcript.command = Some(value.to_owned()),
                "call" => transcript.call = Some(value.to_owned()),
                "earlier" => {
                    let (time, rest) = value.split_once(' ').expect("earlier: TIME CALL < INPUT");
                    let (call, input) = rest.split_once(" <").unwrap_or((rest, ""));
                    transcript.have.push(Request {
                        time: time.to_owned(),
                        storage: None,
                        asked: Asked::Call(call.to_owned()),
                        input: input.trim_start().replace("\\n", "\n"),
                    });
                }
                "keyring" => transcript.mood = mood(value),
                "variable" => {
                    let (name, value) = value.split_once('=').expect("NAME=VALUE");
                    transcript.variables.push((name.to_owned(), value.to_owned()));
                }
                "clock" => value.clone_into(&mut transcript.clock),
                "storage" => transcript.storage = Some(value.to_owned()),
                "config" => transcript.config += &line_of(value),
                "have" => {
                    let mut rest = value;
                    let mut next = || {
                        let (word, after) =
                            rest.split_once(' ').expect("have: TIME [--storage=...] VERB JSON");
                        rest = after;
                        word.to_owned()
                    };
                    let (time, mut word) = (next(), next());
                    let storage = word.strip_prefix("--storage=").map(str::to_owned);
                    if storage.is_some() {
                        word = next();
                    }
                    let asked = Asked::Verb(verb(&word));
                    transcript.have.push(Request { time, storage, asked, input: rest.to_owned() });
                }
                "reply" => transcript.replies.push(value.to_owned()),
                "sent" => transcript.sent.push(value.to_owned()),
                "want" => transcript.want.push(value.to_owned()),
                "exit" => transcript.exit = Some(value.parse().expect("an exit status")),
                unknown => panic!("unknown header: {unknown}"),
            }
        }
        // What says nothing and is told nothing has an empty body.
        for line in body.lines().filter(|line| !line.is_empty()) {
            match line.split_at_checked(2) {
                Some(("> ", line)) => transcript.input += &line_of(line),
                Some(("< ", line)) => transcript.stdout += &line_of(line),
                Some(("! ", line)) => transcript.stderr += &line_of(line),
                _ => panic!("neither in nor out: {line}"),
            }
        }
        transcript
    }

    fn run(&self, bless: Option<&Path>) {
        let machine = Machine::new(&self.clock);
        machine.clock.now.set(0);
        if !self.config.is_empty() {
            std::fs::write(machine.home().join("config.toml"), &self.config).expect("config.toml is written");
        }
        machine.server.lines.borrow_mut().extend(self.replies.iter().map(|line| server_line(line)));
        let mut outputs = Vec::new();
        for Request { time, storage, asked, input } in &self.have {
            let storage = storage.as_deref().or(self.storage.as_deref());
            outputs.push(match asked {
                Asked::Verb(verb) => call(&machine, time, storage, *verb, input),
                Asked::Call(words) => by_command_line(&machine, time, storage, words, input),
            });
        }
        machine.told.borrow_mut().clear();
        machine.keyring.mood.set(self.mood);
        machine.variables.borrow_mut().extend(self.variables.iter().cloned());
        let storage = self.storage.as_deref();
        let rendered = match (&self.command, &self.call, self.verb) {
            (Some(command), None, None) => by_command_line(&machine, &self.clock, storage, command, ""),
            (None, Some(words), None) => by_command_line(&machine, &self.clock, storage, words, &self.input),
            (None, None, Some(verb)) => call(&machine, &self.clock, storage, verb, &self.input),
            _ => panic!("one of `verb`, `command` and `call`"),
        };
        machine.keyring.mood.set(Mood::Open);
        let told: String = machine.told.borrow().iter().map(|line| line_of(line)).collect();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&rendered.stdout).into_owned(), told + &rendered.stderr);
        let (stdout, stderr) = (
            without_home_and_version(&stdout, machine.home()),
            without_home_and_version(&stderr, machine.home()),
        );
        if let Some(path) = bless {
            write_down(path, &stdout, &stderr, rendered.exit);
            return;
        }
        assert_eq!(stdout, self.stdout, "stdout");
        assert_eq!(stderr, self.stderr, "stderr");
        assert_eq!(Some(rendered.exit), self.exit, "exit");
        let sent: Vec<String> = machine.server.sent.borrow().iter().map(|(_, form)| form.clone()).collect();
        match self.sent.as_slice() {
            [] => {}
            [nothing] if nothing == "nothing" => assert_eq!(sent, Vec::<String>::new(), "sent"),
            forms => assert_eq!(sent, forms, "sent"),
        }
        for want in &self.want {
            wanted(&machine, want);
        }
        outputs.push(rendered);
        self.no_refresh_token_in(&outputs);
    }

    fn no_refresh_token_in(&self, outputs: &[Rendered]) {
        let given = self.have.iter().map(|request| request.input.as_str()).chain([self.input.as_str()]);
        let mut tokens: BTreeSet<String> = given
            .filter_map(|request| serde_json::from_str::<Value>(request).ok())
            .filter_map(|request| request["refreshToken"].as_str().map(str::to_owned))
            .collect();
        let granted = self
            .replies
            .iter()
            .filter_map(|reply| serde_json::from_str::<Value>(reply.get(reply.find('{')?..)?).ok());
        tokens.extend(granted.filter_map(|reply| reply["refresh_token"].as_str().map(str::to_owned)));
        for rendered in outputs {
            let output = String::from_utf8_lossy(&rendered.stdout).into_owned() + &rendered.stderr;
            for token in tokens.iter().filter(|token| token.len() > 2) {
                assert!(!output.contains(token.as_str()), "a refresh token in an output: {output}");
            }
        }
    }
}

/// As on the command line; where it begins with the name of a link, by that link.
fn by_command_line(
    machine: &Machine,
    time: &str,
    storage: Option<&str>,
    words: &str,
    input: &str,
) -> Rendered {
    set_clock(machine, time);
    let linked = words.split(' ').next().is_some_and(|word| word.contains("claviger"));
    let words = (!linked).then_some("claviger").into_iter().chain(words.split_whitespace());
    let invocation = claviger::settings::invocation(words.map(OsString::from));
    match invocation {
        Ok(invocation) => machine.serve(&machine.keyring, invocation.command, storage, input.as_bytes()),
        Err(usage) => usage.rendered(),
    }
}

fn call(machine: &Machine, time: &str, storage: Option<&str>, verb: Verb, request: &str) -> Rendered {
    set_clock(machine, time);
    machine.call(verb, storage, request.as_bytes())
}

fn set_clock(machine: &Machine, time: &str) {
    let now = claviger::time::Timestamp::parse(time).unwrap_or_else(|| panic!("no time: {time}"));
    machine.clock.now.set(now.unix());
}

fn mood(word: &str) -> Mood {
    match word {
        "unreachable" => Mood::Unreachable,
        "locked" => Mood::Locked,
        "locked, unlocked when asked" => Mood::Opens,
        "locked, dismissed" => Mood::Dismissed,
        "hangs" => Mood::Hangs,
        "refuses" => Mood::Refuses,
        _ => panic!("no such keyring: {word}"),
    }
}

/// `200 {...}`, `503 retry-after=60 text/html <html>`, `unreachable`, `broken`, `untrusted`, `407`.
fn server_line(line: &str) -> Line {
    match line {
        "unreachable" => return Line::Fail(|| Error::Unsent("connection refused".to_owned())),
        "broken" => return Line::Fail(|| Error::Broken("the connection was closed".to_owned())),
        "untrusted" => return Line::Fail(|| Error::Untrusted("unknown issuer".to_owned())),
        "proxy-auth" => return Line::Fail(|| Error::ProxyAuth),
        _ => {}
    }
    let (status, mut rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut retry_after = None;
    if let Some((seconds, after)) =
        rest.strip_prefix("retry-after=").map(|rest| rest.split_once(' ').unwrap_or((rest, "")))
    {
        (retry_after, rest) = (Some(seconds.to_owned()), after);
    }
    let mut content_type = "application/json";
    if let Some((kind, after)) =
        rest.split_once(' ').filter(|(kind, _)| kind.contains('/') && !kind.contains(['{', '<']))
    {
        (content_type, rest) = (kind, after);
    }
    Line::Reply {
        status: status.parse().unwrap_or_else(|_| panic!("no status: {line}")),
        content_type: Some(content_type.to_owned()),
        retry_after,
        body: rest.to_owned(),
    }
}

/// `SLOT key=value ...`, where `key=-` means that the value has no such key; or `SLOT none`.
fn wanted(machine: &Machine, want: &str) {
    let mut words = want.split_whitespace();
    let slot = words.next().expect("a slot");
    let value = machine.slot(slot);
    for word in words {
        if word == "none" {
            assert!(value.is_none(), "{slot} is there");
            continue;
        }
        let (key, expected) = word.split_once('=').unwrap_or_else(|| panic!("no key=value: {word}"));
        let value = value.as_ref().unwrap_or_else(|| panic!("{slot} is not there"));
        let found = match &value[key] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            Value::Object(_) => "{}".to_owned(),
            other => other.to_string(),
        };
        assert_eq!(found, expected, "{key} in {slot}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/transcripts")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("the transcripts are there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension() == Some("txt".as_ref()));
    files.sort();
    files
}

/// What says how a Linux desktop is asked, and what is wrong with its keyring.
fn is_of_linux(text: &str) -> bool {
    ["DISPLAY", "a Secret Service on the session bus", "nobody can be asked"]
        .iter()
        .any(|word| text.contains(word))
}

/// A state folder has another name on every run, and another slash elsewhere; and every release has another version.
fn without_home_and_version(text: &str, home: &Path) -> String {
    let home = home.display().to_string();
    let version = concat!("(claviger) ", env!("CARGO_PKG_VERSION"));
    let mut text = text.replace(&home, "HOME").replace(version, "(claviger) VERSION");
    if cfg!(windows) {
        text = text
            .replace(&home.replace('\\', r"\\"), "HOME")
            .replace(r"HOME\\", "HOME/")
            .replace(r"HOME\", "HOME/");
    }
    text
}

#[test]
fn every_transcript_comes_out_as_written() {
    let files = files();
    assert!(files.len() > 30, "only {} transcripts", files.len());
    let mut failed = Vec::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a transcript is read");
        if !cfg!(target_os = "linux") && is_of_linux(&text) {
            continue;
        }
        let ran = std::panic::catch_unwind(|| Transcript::read(&text).run(bless().then_some(&path)));
        if ran.is_err() {
            eprintln!("^^^ {name}\n");
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    assert!(!bless(), "the transcripts were written anew; read the difference before it is committed");
}

/// Whether the outputs are to be written down as they are, for whoever changes the protocol on purpose.
#[allow(clippy::disallowed_methods, reason = "the test's own switch")]
fn bless() -> bool {
    std::env::var_os("CLAVIGER_BLESS").is_some()
}

fn write_down(path: &Path, stdout: &str, stderr: &str, exit: u8) {
    let text = std::fs::read_to_string(path).expect("a transcript is read");
    let keep = |line: &&str| !line.starts_with("< ") && !line.starts_with("! ") && !line.starts_with("exit:");
    let (header, body) = text.split_once("\n\n").expect("an empty line between header and body");
    let header: Vec<&str> = header.lines().filter(keep).collect();
    let mut body: Vec<String> = body.lines().filter(keep).map(str::to_owned).collect();
    body.extend(stdout.lines().map(|line| format!("< {line}")));
    body.extend(stderr.lines().map(|line| format!("! {line}")));
    let text = format!("{}\nexit:   {exit}\n\n{}\n", header.join("\n"), body.join("\n"));
    std::fs::write(path, text).expect("a transcript is written");
}

#[test]
fn every_clause_a_transcript_cites_exists_and_every_kind_of_clause_is_shown() {
    let specification = std::fs::read_to_string(folder().join("../README.md")).expect("the specification");
    let mut shown = BTreeSet::new();
    for path in files() {
        let transcript = Transcript::read(&std::fs::read_to_string(&path).expect("a transcript is read"));
        assert!(!transcript.clauses.is_empty(), "{} cites no clause", path.display());
        for clause in transcript.clauses {
            assert!(
                specification.contains(&format!("**{clause}**")),
                "{}: no clause {clause}",
                path.display()
            );
            shown.insert(clause.chars().next().expect("a clause has a letter"));
        }
    }
    for section in "GSELCXRBTDVQ".chars() {
        assert!(shown.contains(&section), "no transcript shows a clause of section {section}");
    }
}
