//! What `configure` and `links` say.

use crate::message::{Configured, LinkState, Linked};
use crate::text::Escaped;

pub(super) fn configured(done: &Configured) -> String {
    let Configured { tool, file, changed, dry_run, undo, notes, standing, .. } = done;
    let tool = tool.name();
    let as_it_was = if *changed && !dry_run { "" } else { "; that file is as it was" };
    let said = match (changed, dry_run, undo) {
        _ if standing.is_some() => [standing.as_deref().unwrap_or_default(), as_it_was].concat(),
        (false, _, false) => format!("{tool} asks claviger already; {file} is as it was"),
        (false, _, true) => format!("nothing of claviger's is in {file}; it is as it was"),
        (true, true, false) => format!("{tool} would ask claviger; {file} is as it was"),
        (true, true, true) => format!("{tool} would no longer ask claviger; {file} is as it was"),
        (true, false, false) => format!("{tool} asks claviger now"),
        (true, false, true) => format!("{tool} no longer asks claviger"),
    };
    let mut lines = vec![format!("{said}\n")];
    lines.extend(notes.iter().map(note));
    lines.concat()
}

fn note(note: &String) -> String {
    format!("note: {note}\n")
}

pub(super) fn linked(linked: &Linked) -> String {
    let Linked { folder, program, links, notes, on_path, undo } = linked;
    let place = if *on_path { " (on PATH)" } else { "" };
    let with = |state: LinkState| -> Vec<String> {
        let found = links.iter().filter(|(_, found)| *found == state);
        found.map(|(name, _)| Escaped(name).to_string()).collect()
    };
    let head =
        if *undo { format!("in {folder}\n") } else { format!("in {folder}{place}, leading to {program}\n") };
    let mut lines = vec![head];
    for (state, words) in [
        (LinkState::Made, "made"),
        (LinkState::Renewed, "renewed"),
        (LinkState::Kept, "there already"),
        (LinkState::Removed, "removed"),
        (LinkState::Absent, "not there"),
        (LinkState::Foreign, "not claviger's, and left alone"),
    ] {
        let names = with(state);
        if !names.is_empty() {
            lines.push(format!("{words}: {}\n", names.join(", ")));
        }
    }
    lines.extend(notes.iter().map(note));
    lines.concat()
}
