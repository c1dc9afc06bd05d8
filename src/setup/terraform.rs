//! terraform, and what is made after it: one block that names the helper, and the link by which they run it.

use super::{Ground, Plan, Wish, block, file, links};
use crate::message::{Failure, LinkState};

const NAME: &str = "terraform";
const LINK: &str = "terraform-credentials-claviger";
const LINES: [&str; 3] = ["credentials_helper \"claviger\" {", "  args = []", "}"];

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    if wish.undo {
        plan.take(wish, NAME, &|line| LINES.contains(&line))?;
        return Ok(plan);
    }
    if before.trim_start().starts_with('{') {
        return Err(wish.unreadable("it is JSON, in which nothing can be marked as ours"));
    }
    let helper = before.lines().find_map(|line| line.trim_start().strip_prefix("credentials_helper"));
    if let Some(named) = helper {
        // There may be one in all.
        return match named.split('"').nth(1) {
            Some("claviger") => Ok(plan),
            _ => Err(wish
                .conflict("there is another credentials_helper", "take it out first: there can be only one")),
        };
    }
    let lines = LINES.map(str::to_owned);
    plan.after = block::append(before, NAME, &lines);
    plan.added = lines.to_vec();
    Ok(plan)
}

/// Makes or removes the link; whether that changes anything.
pub(super) fn link(ground: &Ground<'_>, plan: &mut Plan, undo: bool, dry_run: bool) -> Result<bool, Failure> {
    let tools = &ground.settings.tools;
    let folder = tools.terraform_plugins()?;
    let program = links::program(ground.settings)?;
    let name = format!("{LINK}{}", std::env::consts::EXE_SUFFIX);
    let path = folder.join(&name);
    let state =
        if undo { links::removed(&path, &program, true)? } else { links::made(&path, &program, true)? };
    let line = format!("{} -> {}", file::words(&path), file::words(&program));
    let change = Plan {
        added: if undo { Vec::new() } else { vec![line.clone()] },
        removed: if undo { vec![line] } else { Vec::new() },
        ..Plan::default()
    };
    match state {
        LinkState::Foreign if undo => {
            plan.notes.push(format!("{} is not claviger's, and was left alone", file::words(&path)));
            return Ok(false);
        }
        LinkState::Foreign => return Err(links::in_the_way(&[file::words(&path)])),
        LinkState::Kept | LinkState::Absent => return Ok(false),
        LinkState::Made | LinkState::Renewed | LinkState::Removed => {}
    }
    file::show_lines(ground, &change);
    if !dry_run {
        if undo {
            links::removed(&path, &program, false)?;
        } else {
            links::make_folder(&folder)?;
            links::made(&path, &program, false)?;
        }
    }
    plan.added.extend(change.added);
    plan.removed.extend(change.removed);
    Ok(true)
}
