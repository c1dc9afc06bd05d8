//! bazel: an option for each host, with the path of a link, as it cannot be given arguments.

use std::path::PathBuf;

use super::{Plan, Wish, authority, block, file};
use crate::message::{Code, Failure};
use crate::session::Service;

const LINK: &str = "bazel-credential-claviger";

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    if wish.undo {
        for name in block::names(before) {
            if wish.hosts.is_empty()
                || wish.hosts.iter().any(|host| scope(host).as_deref() == Ok(name.as_str()))
            {
                plan.take(wish, &name, &|line| line.starts_with(&start(&name)))?;
            }
        }
        return Ok(plan);
    }
    let program = program(wish)?;
    for host in wish.hosts {
        let scope = scope(host)?;
        let line = format!("{}{program}", start(&scope));
        if plan.after.lines().any(|known| known == line) {
            continue;
        }
        plan.take(wish, &scope, &|line| line.starts_with(&start(&scope)))?;
        plan.after = block::append(&plan.after, &scope, std::slice::from_ref(&line));
        plan.added.push(line);
    }
    Ok(plan)
}

fn start(scope: &str) -> String {
    format!("common --credential_helper={scope}=")
}

/// bazel knows hosts by name alone.
fn scope(host: &Service) -> Result<String, Failure> {
    let authority = authority(host);
    if authority.starts_with('[') {
        return Err(Failure::new(
            Code::BadRequest,
            "bazel takes no IPv6 address for a host",
            "give the host's name; nothing was changed",
        ));
    }
    Ok(authority.split(':').next().unwrap_or_default().to_owned())
}

/// The path as .bazelrc has it.
fn program(wish: &Wish<'_>) -> Result<String, Failure> {
    let tools = &wish.settings.tools;
    let beside = || -> Option<PathBuf> {
        let name = format!("{LINK}{}", std::env::consts::EXE_SUFFIX);
        Some(tools.ourselves().ok()?.with_file_name(name)).filter(|path| path.is_file())
    };
    let Some(path) = tools.program(LINK).or_else(beside) else {
        return Err(Failure::new(
            Code::NotFound,
            format!("bazel wants the path of `{LINK}`, which is not on PATH"),
            "`claviger links --dir DIR` makes it, in a folder on PATH; nothing was changed",
        ));
    };
    let text = path.to_str().filter(|text| !text.contains(['"', '\\', '%', '\n', '\r']) || cfg!(windows));
    let Some(text) = text else {
        return Err(Failure::new(
            Code::BadRequest,
            format!("{} is no path that can be written in .bazelrc", file::words(&path)),
            "make the link elsewhere; nothing was changed",
        ));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:~".contains(c);
    let text = text.replace('\\', "/");
    Ok(if text.chars().all(plain) { text } else { format!("\"{text}\"") })
}
