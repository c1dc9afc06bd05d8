//! docker: `credHelpers` for each registry, or `credsStore` for all. The file is JSON and has no marks: an entry that says
//! `claviger`, or `claviger-ACCOUNT`, is ours.

use super::{Plan, Wish, authority, members};
use crate::dialect::docker;
use crate::message::Failure;
use crate::session::Service;

const HELPERS: &str = "credHelpers";
const STORE: &str = "credsStore";
const HELPER: &str = "claviger";

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    if before.trim().is_empty() {
        if wish.undo {
            return Ok(plan);
        }
        "{}".clone_into(&mut plan.after);
    }
    check(wish, &plan.after)?;
    if wish.undo {
        undo(wish, &mut plan)?;
    } else if wish.all {
        choose_store(wish, &mut plan)?;
    } else {
        for host in wish.hosts {
            choose_helper(wish, &mut plan, &key(host))?;
        }
    }
    check(wish, &plan.after)?;
    Ok(plan)
}

fn key(host: &Service) -> String {
    docker::configured_name(authority(host)).to_owned()
}

/// docker reads names in any case, and the last of several that are alike; nobody should have to.
fn check(wish: &Wish<'_>, text: &str) -> Result<(), Failure> {
    let all = members::members(text)
        .ok_or_else(|| wish.unreadable("it is no JSON object that could be changed"))?;
    for known in [HELPERS, STORE] {
        let like: Vec<&str> = all
            .iter()
            .map(|member| member.name.as_str())
            .filter(|name| name.eq_ignore_ascii_case(known))
            .collect();
        if like.len() > 1 || like.iter().any(|name| *name != known) {
            return Err(wish.unreadable(&format!("`{known}` is there twice, or in another spelling")));
        }
    }
    let Some(helpers) = all.iter().find(|member| member.name == HELPERS) else { return Ok(()) };
    let entries = members::members(helpers.value).unwrap_or_default();
    let texts = entries.iter().all(|entry| serde_json::from_str::<String>(entry.value).is_ok());
    if !helpers.value.starts_with('{') || !texts {
        return Err(wish.unreadable(&format!("`{HELPERS}` is not what docker has there")));
    }
    Ok(())
}

fn value(object: &str, name: &str) -> Option<String> {
    let all = members::members(object)?;
    all.into_iter().find(|member| member.name == name).map(|member| member.value.to_owned())
}

fn text(object: &str, name: &str) -> Option<String> {
    serde_json::from_str(&value(object, name)?).ok()
}

fn entry(name: &str, helper: &str) -> String {
    format!("{}: {}", quoted(name), quoted(helper))
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// One of its names for an account asks us as well.
fn is_ours(helper: &str) -> bool {
    helper == HELPER || helper.strip_prefix(HELPER).is_some_and(|account| account.starts_with('-'))
}

fn choose_helper(wish: &Wish<'_>, plan: &mut Plan, host: &str) -> Result<(), Failure> {
    let odd = || wish.unreadable("it is no JSON object that could be changed");
    let helpers = value(&plan.after, HELPERS);
    let asked = helpers.as_deref().and_then(|helpers| text(helpers, host));
    match asked {
        Some(helper) if is_ours(&helper) => return Ok(()),
        Some(_) => {
            return Err(
                wish.conflict(&format!("docker asks another helper for {host}"), "take that entry out first")
            );
        }
        None => {}
    }
    let entry = entry(host, HELPER);
    plan.added.push(format!("{HELPERS}: {entry}"));
    plan.after = match helpers {
        Some(helpers) => {
            let more = members::add(&helpers, &entry).ok_or_else(odd)?;
            members::put(&plan.after, HELPERS, &more).ok_or_else(odd)?
        }
        None => with_member(&plan.after, |inner, outer| format!("\"{HELPERS}\": {{{inner}{entry}{outer}}}"))
            .ok_or_else(odd)?,
    };
    Ok(())
}

fn choose_store(wish: &Wish<'_>, plan: &mut Plan) -> Result<(), Failure> {
    match text(&plan.after, STORE) {
        Some(helper) if is_ours(&helper) => return Ok(()),
        Some(_) => return Err(wish.conflict(&format!("`{STORE}` is another"), "take it out first")),
        None => {}
    }
    let member = entry(STORE, HELPER);
    plan.added.push(member.clone());
    let after = with_member(&plan.after, |_, _| member.clone());
    plan.after = after.ok_or_else(|| wish.unreadable("it is no JSON object that could be changed"))?;
    Ok(())
}

/// The file with one more member, laid out as the others are; an empty one as docker lays it out. An object of ours has
/// something between its brace and its first member, so that it is known when it is empty again.
fn with_member(object: &str, member: impl Fn(&str, &str) -> String) -> Option<String> {
    if members::members(object)?.is_empty() {
        let (head, rest) = object.split_once('{')?;
        let Some(tail) = rest.strip_prefix('}') else {
            return members::add(object, &member(" ", " "));
        };
        return Some([head, "{\n\t", &member("\n\t\t", "\n\t"), "\n}", tail].concat());
    }
    let lead = members::lead(object);
    match lead.rfind('\n') {
        Some(line) => {
            let indent = lead.get(line + 1..)?;
            members::add(object, &member(&[lead, indent].concat(), lead))
        }
        None => members::add(object, &member(" ", " ")),
    }
}

fn undo(wish: &Wish<'_>, plan: &mut Plan) -> Result<(), Failure> {
    let odd = || wish.unreadable("it is no JSON object that could be changed");
    let store = text(&plan.after, STORE).filter(|store| wish.hosts.is_empty() && is_ours(store));
    if let Some(store) = store {
        plan.after = without_member(&plan.after, STORE).ok_or_else(odd)?;
        plan.removed.push(entry(STORE, &store));
    }
    let Some(mut helpers) = value(&plan.after, HELPERS) else { return Ok(()) };
    let made = !members::lead(&helpers).is_empty();
    let wanted: Vec<String> = wish.hosts.iter().map(key).collect();
    let names: Vec<String> = members::members(&helpers)
        .unwrap_or_default()
        .into_iter()
        .map(|member| member.name)
        .filter(|name| wanted.is_empty() || wanted.contains(name))
        .collect();
    let mut gone = false;
    for name in names.iter().filter(|name| !name.is_empty()) {
        if let Some(helper) = text(&helpers, name).filter(|helper| is_ours(helper)) {
            helpers = members::take(&helpers, name).ok_or_else(odd)?;
            plan.removed.push(format!("{HELPERS}: {}", entry(name, &helper)));
            gone = true;
        }
    }
    if gone {
        let empty = members::members(&helpers).is_some_and(|left| left.is_empty());
        let without = if made && empty {
            without_member(&plan.after, HELPERS)
        } else {
            members::put(&plan.after, HELPERS, &helpers)
        };
        plan.after = without.ok_or_else(odd)?;
    }
    Ok(())
}

/// The file without a member. One that has no other, and was laid out by us or by docker, is an empty object again.
fn without_member(object: &str, name: &str) -> Option<String> {
    let left = members::take(object, name)?;
    if !members::members(&left)?.is_empty() || members::lead(object).is_empty() {
        return Some(left);
    }
    let (head, rest) = left.split_once('{')?;
    let (_, tail) = rest.split_once('}')?;
    Some([head, "{}", tail].concat())
}
