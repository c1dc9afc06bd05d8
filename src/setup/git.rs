//! git: a section for each host that takes back the helpers named before it, and names ours. git itself reads the file.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Plan, Wish, block};
use crate::message::{Code, Failure};
use crate::session::Service;
use crate::text::Escaped;

const HELPER: &str = "claviger";
/// What git runs for a helper of that name.
const PROGRAM: &str = "git-credential-claviger";

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    if wish.undo {
        for name in block::names(before).into_iter().filter(|name| wish.takes(name)) {
            if let Ok(host) = Service::parse(&name) {
                plan.take(wish, &name, &|line| lines(&host).iter().any(|ours| ours == line))?;
            }
        }
        return Ok(plan);
    }
    for host in wish.hosts {
        let helpers = helpers(&entries(wish, &plan.after)?, host);
        if are_ours(&helpers) {
            continue;
        }
        let lines = lines(host);
        // One of ours that something further down overrules: the last one counts.
        plan.take(wish, host.as_str(), &|line| lines.iter().any(|ours| ours == line))?;
        plan.after = block::append(&plan.after, host.as_str(), &lines);
        plan.added.extend(lines);
        plan.notes.extend(helpers.iter().filter(|helper| !is_ours(helper)).map(|helper| {
            format!("{} was asked for {host} before; with claviger's lines it no longer is", name(helper))
        }));
        if !are_ours(&self::helpers(&entries(wish, &plan.after)?, host)) {
            return Err(wish.unreadable("git does not find what would be written at its end"));
        }
    }
    Ok(plan)
}

fn lines(host: &Service) -> Vec<String> {
    vec![format!("[credential \"{host}\"]"), "\thelper =".to_owned(), format!("\thelper = {HELPER}")]
}

/// The helpers that this file names for a host, in the order in which git asks them.
fn helpers(entries: &[(String, String)], host: &Service) -> Vec<String> {
    let own = format!("credential.{host}.helper");
    let mut helpers = Vec::new();
    for (_, value) in entries.iter().filter(|(key, _)| *key == own || key == "credential.helper") {
        if value.is_empty() {
            helpers.clear();
        } else {
            helpers.push(value.clone());
        }
    }
    helpers
}

fn are_ours(helpers: &[String]) -> bool {
    !helpers.is_empty() && helpers.iter().all(|helper| is_ours(helper))
}

/// Whether a helper is claviger, however it is written: by its name, by the path of a program, or as a command of the
/// shell's.
fn is_ours(helper: &str) -> bool {
    let command = helper.strip_prefix('!');
    let mut words = words(command.unwrap_or(helper)).into_iter();
    let first = words.next().unwrap_or_default();
    if command.is_none() && first == HELPER {
        return true;
    }
    let program = first.rsplit(std::path::is_separator).next().unwrap_or_default();
    let program = program.strip_suffix(".exe").unwrap_or(program);
    // Without a path it would be the end of a name: git-credential-git-credential-claviger.
    let is_run = command.is_some() || Path::new(&first).has_root();
    is_run && (program == PROGRAM || (program == HELPER && words.any(|word| word == "git")))
}

/// What a helper is called. Its arguments, and a command of the shell's, may hold a password.
fn name(helper: &str) -> String {
    let first = words(helper).into_iter().next().unwrap_or_default();
    if helper.starts_with('!') {
        "a helper that is a command of the shell's".to_owned()
    } else {
        format!("`{}`", Escaped(&first))
    }
}

/// The words of a command, as far as a shell's marks for spaces go.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (' ' | '\t', None) => words.push(std::mem::take(&mut word)),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None) if !cfg!(windows) => word.extend(rest.next()),
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// What git reads in a text, in its order.
fn entries(wish: &Wish<'_>, text: &str) -> Result<Vec<(String, String)>, Failure> {
    let missing = |why: &str| {
        Failure::new(
            Code::ConfigInvalid,
            format!("git {why}, and it alone can tell what its file says"),
            "install git, or see to PATH; nothing was changed",
        )
    };
    let tools = &wish.settings.tools;
    let program = tools.program("git").ok_or_else(|| missing("is not on PATH"))?;
    let mut command = Command::new(program);
    command.args(["config", "--file", "-", "--no-includes", "--null", "--list"]);
    tools.isolate(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|_| missing("cannot be started"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // It reads all before it writes; one that stops reading says why by its exit status.
        let _ = pipe.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(|_| missing("cannot be waited for"))?;
    if !output.status.success() {
        return Err(wish.unreadable("git does not take it"));
    }
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let entry = |item: &str| item.split_once('\n').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(listed.split('\0').filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claviger_is_known_however_it_is_written() {
        for helper in [
            "claviger",
            "claviger --account bob",
            "claviger --retry",
            "/opt/bin/git-credential-claviger",
            "/opt/bin/git-credential-claviger --account bob",
            if cfg!(windows) {
                r"C:\bin\git-credential-claviger.exe"
            } else {
                r"/opt/my\ bin/git-credential-claviger --retry"
            },
            "/opt/bin/claviger git",
            "/opt/bin/claviger --storage plaintext git --retry",
            "!claviger git",
            "!'/opt/my bin/claviger' git --account bob",
            "!\"/opt/my bin/git-credential-claviger\"",
        ] {
            assert!(is_ours(helper), "{helper}");
        }
        for helper in [
            "",
            "store",
            "clavigerx",
            "store claviger",
            "git-credential-claviger",
            "/opt/bin/claviger",
            "/opt/claviger/other git",
            "!claviger token",
            "!echo claviger git",
            "/opt/bin/git-credential-claviger-x",
        ] {
            assert!(!is_ours(helper), "{helper}");
        }
    }
}
