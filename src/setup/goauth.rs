//! go: GOAUTH in the file that `go env -w` writes, a command in front of those that are there.

use super::{Plan, Wish, block};
use crate::message::Failure;

const NAME: &str = "GOAUTH";
const COMMAND: &str = "claviger goauth";
/// What go does where nothing is said.
const USUAL: &str = "netrc";

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    if wish.undo && wish.hosts.is_empty() {
        plan.take(wish, NAME, &|line| {
            value(line).is_some_and(|value| rest(value) == Some(USUAL.to_owned()))
        })?;
    }
    let Some((at, line)) = last(&plan.after) else {
        if !wish.undo {
            let line = format!("{NAME}={}; {USUAL}", command(&services(wish)));
            plan.after = block::append(before, NAME, std::slice::from_ref(&line));
            plan.added.push(line);
        }
        return Ok(plan);
    };
    let old = value(&line).unwrap_or_default();
    if !wish.undo && old.trim() == "off" {
        return Err(wish.conflict("GOAUTH is `off`", "unset it first, with `go env -u GOAUTH`"));
    }
    let there = ours(old);
    let mut wanted = there.clone().unwrap_or_default();
    if wish.undo {
        wanted.retain(|service| !wish.takes(service));
    } else {
        wanted.extend(
            services(wish).into_iter().filter(|service| there.iter().flatten().all(|known| known != service)),
        );
    }
    if there.as_ref() == Some(&wanted) && !(wish.undo && wanted.is_empty()) || (wish.undo && there.is_none())
    {
        return Ok(plan);
    }
    let others =
        if there.is_some() { rest(old) } else { Some(old.to_owned()).filter(|old| !old.trim().is_empty()) };
    let gone = wish.undo && wanted.is_empty();
    let new = match (gone, others) {
        (true, others) => others.unwrap_or_default(),
        (false, Some(others)) => format!("{}; {others}", command(&wanted)),
        (false, None) => command(&wanted),
    };
    if gone && block::names(&plan.after).iter().any(|name| name == NAME) && new == USUAL {
        plan.take(wish, NAME, &|known| known == line)?;
        return Ok(plan);
    }
    let new = format!("{NAME}={new}");
    plan.after.replace_range(at..at + line.len(), &new);
    plan.removed.push(line);
    plan.added.push(new);
    Ok(plan)
}

fn services(wish: &Wish<'_>) -> Vec<String> {
    wish.hosts.iter().map(|host| host.as_str().to_owned()).collect()
}

fn command(services: &[String]) -> String {
    services.iter().fold(COMMAND.to_owned(), |command, service| command + " --service " + service)
}

/// The services of our own command, where it stands first in a value.
fn ours(value: &str) -> Option<Vec<String>> {
    let words = value.split(';').next()?.strip_prefix(COMMAND)?;
    let mut words = words.split_whitespace();
    let mut services = Vec::new();
    while let Some(word) = words.next() {
        services.push((word == "--service").then(|| words.next()).flatten()?.to_owned());
    }
    Some(services)
}

/// What stands behind our own command, as it was written.
fn rest(value: &str) -> Option<String> {
    ours(value)?;
    let (_, rest) = value.split_once(';')?;
    Some(rest.strip_prefix(' ').unwrap_or(rest).to_owned())
}

fn value(line: &str) -> Option<&str> {
    line.strip_prefix(NAME)?.strip_prefix('=')
}

/// The last line that sets it, which is the one that counts, and where it begins.
fn last(text: &str) -> Option<(usize, String)> {
    let mut at = 0;
    let mut found = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\r', '\n']);
        if value(bare).is_some() {
            found = Some((at, bare.to_owned()));
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_command_is_told_from_others() {
        assert_eq!(ours("claviger goauth; netrc"), Some(vec![]));
        assert_eq!(ours("claviger goauth --service https://a"), Some(vec!["https://a".to_owned()]));
        assert_eq!(ours("claviger goauth --profile work; netrc"), None);
        assert_eq!(ours("netrc; claviger goauth"), None);
        assert_eq!(rest("claviger goauth;  git /dir; netrc").as_deref(), Some(" git /dir; netrc"));
    }
}
