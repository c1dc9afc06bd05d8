//! Other tools: their own configuration made to ask claviger, and the names by which they call it.
//!
//! Each tool has a pure function from its file's text to the text after, in a file of its own here; this one reads, shows
//! and replaces. What is added is marked where the format has comments, so that it can be taken away to the byte. Where
//! the format has a judge that is the tool itself (git, kubectl), the tool reads the text before and after, and what it does
//! not take is not written.

mod bazel;
mod block;
mod cargo;
mod docker;
mod file;
mod git;
mod goauth;
mod kubernetes;
mod links;
mod members;
mod pip;
mod terraform;

use crate::clock::Clock;
use crate::message::{Code, Configurable, Configure, Configured, Failure};
use crate::refresh::turn::Locks;
use crate::session::Service;
use crate::settings::Settings;

pub use file::lock_beside;
pub use links::links;

/// What is needed to change a file that others may be changing.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// Where the files are, and who is configured.
    pub settings: &'a Settings,
    /// Time.
    pub clock: &'a dyn Clock,
    /// How long to wait for another process.
    pub locks: &'a Locks,
    /// Says a line to people at once: what is about to be changed.
    pub tell: &'a dyn Fn(&str),
}

/// What is wanted of a tool's file.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
struct Wish<'a> {
    settings: &'a Settings,
    /// For these hosts; when something is taken away, none means all.
    hosts: &'a [Service],
    /// The hosts were named, and are not those of the providers.
    named: bool,
    /// For every host (docker).
    all: bool,
    undo: bool,
    dry_run: bool,
    /// What messages call the file.
    file: &'a str,
}

impl Wish<'_> {
    /// Whether what is there for a host is to go.
    fn takes(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|wanted| wanted.as_str() == host)
    }

    /// Something of another's is in the way.
    fn conflict(&self, what: &str, hint: &str) -> Failure {
        Failure::new(
            Code::Conflict,
            format!("{what} in {}", self.file),
            format!("{hint}; nothing was changed"),
        )
    }

    /// The file is not one that can be read back.
    fn unreadable(&self, why: &str) -> Failure {
        Failure::new(
            Code::ConfigInvalid,
            format!("{} cannot be read: {why}", self.file),
            "mend the file first; nothing was changed",
        )
    }
}

/// A tool's file after a change.
#[derive(Default)]
struct Plan {
    after: String,
    added: Vec<String>,
    removed: Vec<String>,
    notes: Vec<String>,
    standing: Option<String>,
}

impl Plan {
    fn of(before: &str) -> Self {
        Self { after: before.to_owned(), ..Self::default() }
    }

    /// Takes a block out; `false`: there was none.
    fn take(&mut self, wish: &Wish<'_>, name: &str, ours: block::Ours<'_>) -> Result<bool, Failure> {
        let taken = block::take(&self.after, name, ours).map_err(|why| wish.unreadable(why))?;
        let Some((text, lines)) = taken else { return Ok(false) };
        self.after = text;
        self.removed.extend(lines);
        Ok(true)
    }
}

/// Makes a tool ask claviger, or no longer.
pub fn configure(ground: &Ground<'_>, request: &Configure) -> Result<Configured, Failure> {
    let Configure { tool, all, undo, dry_run, .. } = *request;
    let settings = ground.settings;
    let hosts = hosts(settings, request)?;
    let path = settings.tools.file(tool)?;
    let file = file::words(&path);
    let wish =
        Wish { settings, hosts: &hosts, named: !request.hosts.is_empty(), all, undo, dry_run, file: &file };
    let edit = |before: &str| match tool {
        Configurable::Git => git::edit(&wish, before),
        Configurable::Docker => docker::edit(&wish, before),
        Configurable::Cargo => cargo::edit(&wish, before),
        Configurable::Kubernetes => kubernetes::edit(&wish, before),
        Configurable::Terraform => terraform::edit(&wish, before),
        Configurable::Bazel => bazel::edit(&wish, before),
        Configurable::Goauth => goauth::edit(&wish, before),
        Configurable::Pip => pip::edit(&wish, before),
    };
    let before = file::read(&path)?;
    let mut plan = edit(&before)?;
    let mut changed = plan.after != before;
    if changed {
        file::may_be_replaced(&path)?;
    }
    if tool == Configurable::Terraform {
        // What stands in the link's way is found before the file is changed.
        terraform::link(ground, &mut Plan::default(), undo, true)?;
    }
    if changed && dry_run {
        file::show(ground, &path, &plan)?;
    } else if changed {
        plan = file::change(ground, &path, &edit)?;
    }
    if tool == Configurable::Terraform {
        changed |= terraform::link(ground, &mut plan, undo, dry_run)?;
    }
    plan.notes.extend(notes(settings, tool, undo));
    Ok(Configured {
        tool,
        file,
        changed,
        dry_run,
        undo,
        added: plan.added,
        removed: plan.removed,
        notes: plan.notes,
        standing: plan.standing,
    })
}

/// The hosts that are meant: those given, else where tokens of the configured providers are for.
fn hosts(settings: &Settings, request: &Configure) -> Result<Vec<Service>, Failure> {
    let Configure { tool, all, undo, .. } = *request;
    // Cargo is asked for every registry where no host is named: what claviger has none for, it leaves to others.
    if !request.hosts.is_empty() || undo || all || !tool.knows_hosts() || tool == Configurable::Cargo {
        return Ok(request.hosts.clone());
    }
    let mut hosts: Vec<Service> = Vec::new();
    for provider in settings.providers.all() {
        for origin in provider.services.iter().filter_map(|service| service.prefixes().last()) {
            if !hosts.contains(&origin) {
                hosts.push(origin);
            }
        }
    }
    if hosts.is_empty() && matches!(tool, Configurable::Git | Configurable::Docker | Configurable::Bazel) {
        let all = if tool == Configurable::Docker { ", or --all" } else { "" };
        let hint = format!("say --host {}, as often as there are hosts{all}", tool.example());
        return Err(Failure::new(
            Code::BadRequest,
            format!(
                "no host is given, and no provider in config.toml has services: {} needs to know where to ask claviger",
                tool.name()
            ),
            hint,
        ));
    }
    Ok(hosts)
}

/// The host of a service, with its port where it has one.
fn authority(service: &Service) -> &str {
    let text = service.as_str();
    text.split_once("://").map_or(text, |(_, rest)| rest)
}

/// What a tool needs besides its file.
fn notes(settings: &Settings, tool: Configurable, undo: bool) -> Vec<String> {
    let (name, option) = match tool {
        Configurable::Git => ("git-credential-claviger", ""),
        Configurable::Docker => ("docker-credential-claviger", ""),
        Configurable::Cargo | Configurable::Kubernetes | Configurable::Goauth => ("claviger", ""),
        Configurable::Pip => ("keyring", " --keyring"),
        Configurable::Terraform | Configurable::Bazel => return Vec::new(),
    };
    if undo {
        return Vec::new();
    }
    match settings.tools.program(name) {
        Some(found) if tool == Configurable::Pip && !links::leads_here(settings, &found) => vec![format!(
            "the `keyring` that pip finds on PATH, {}, is not claviger's: `claviger links --dir DIR --keyring`, with DIR before it on PATH, makes one",
            file::words(&found)
        )],
        Some(_) => Vec::new(),
        None if name == "claviger" => {
            vec![format!("{} looks for `claviger` on PATH, and it is not there", tool.name())]
        }
        None => vec![format!(
            "{} looks for `{name}` on PATH, and it is not there: `claviger links --dir DIR{option}` makes it",
            tool.name()
        )],
    }
}
