//! The bodies of replies about other tools: what was configured, what leads here.

use serde::Serialize;

use crate::message::{Configured, Linked};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfiguredBody<'a> {
    tool: &'a str,
    file: &'a str,
    changed: bool,
    dry_run: bool,
    undo: bool,
    added: &'a [String],
    removed: &'a [String],
    notes: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkedBody<'a> {
    folder: &'a str,
    program: &'a str,
    links: Vec<LinkBody<'a>>,
    on_path: bool,
    notes: &'a [String],
}

#[derive(Serialize)]
struct LinkBody<'a> {
    name: &'a str,
    state: &'static str,
}

pub(super) fn configured_body(configured: &Configured) -> ConfiguredBody<'_> {
    let Configured { tool, file, changed, dry_run, undo, added, removed, notes, .. } = configured;
    ConfiguredBody {
        tool: tool.word(),
        file,
        changed: *changed,
        dry_run: *dry_run,
        undo: *undo,
        added,
        removed,
        notes,
    }
}

pub(super) fn linked_body(linked: &Linked) -> LinkedBody<'_> {
    let Linked { folder, program, links, on_path, notes, .. } = linked;
    let links = links.iter().map(|(name, state)| LinkBody { name, state: state.word() }).collect();
    LinkedBody { folder, program, links, on_path: *on_path, notes }
}
