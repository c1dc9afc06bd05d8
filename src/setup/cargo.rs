//! cargo: a credential provider for every registry, or for those whose index lies on a host. Keys of ours carry a mark.

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::{Plan, Wish, authority, block};
use crate::message::Failure;
use crate::session::Service;
use crate::settings::with_its_line_ends;

const NAME: &str = "cargo";
const PROVIDER: &str = "claviger";
/// What cargo does where nothing is said.
const USUAL: &str = "cargo:token";
const ALL: &str = "global-credential-providers";
const ONE: &str = "credential-provider";
const BOM: &str = "\u{feff}";
const MARK: &str = " # claviger: added";

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    let lines = ["[registry]".to_owned(), format!("{ALL} = [\"{USUAL}\", \"{PROVIDER}\"]")];
    if wish.undo && wish.hosts.is_empty() {
        plan.take(wish, NAME, &|line| lines.iter().any(|ours| ours == line))?;
    }
    let mut document: DocumentMut =
        plan.after.parse().map_err(|_| wish.unreadable("it is no TOML that cargo would take"))?;
    if wish.undo {
        undo_all(wish, &mut document, &mut plan);
        undo_each(wish, &mut document, &mut plan);
    } else if wish.hosts.is_empty() {
        if document.get("registry").is_none() {
            plan.after = block::append(before, NAME, &lines);
            plan.added.extend(lines);
            return checked(wish, plan);
        }
        for_all(wish, &mut document, &mut plan)?;
    } else {
        for_each(wish, &mut document, &mut plan)?;
    }
    if !plan.added.is_empty() || !plan.removed.is_empty() {
        plan.after = written(&plan.after, &document);
    }
    checked(wish, plan)
}

fn checked(wish: &Wish<'_>, plan: Plan) -> Result<Plan, Failure> {
    match plan.after.parse::<DocumentMut>() {
        Ok(_) => Ok(plan),
        Err(_) => Err(wish.unreadable("it would be no TOML any more")),
    }
}

/// The document as text, with the mark of its encoding and the line ends that it had, and without a last one if it had
/// none.
fn written(before: &str, document: &DocumentMut) -> String {
    let (mark, before) = before.strip_prefix(BOM).map_or(("", before), |rest| (BOM, rest));
    let mut after = with_its_line_ends(before, document.to_string());
    if !before.ends_with('\n') && after.ends_with('\n') {
        after.truncate(after.trim_end_matches(['\r', '\n']).len());
    }
    [mark, after.strip_prefix(BOM).unwrap_or(&after)].concat()
}

/// A table with a header of its own, in which a line can stand.
fn table<'a>(document: &'a mut DocumentMut, name: &str) -> Option<&'a mut Table> {
    document.get_mut(name)?.as_table_mut().filter(|table| !table.is_dotted())
}

fn marked(value: impl Into<Value>) -> Item {
    let mut value = value.into();
    value.decor_mut().set_prefix(" ");
    value.decor_mut().set_suffix(MARK);
    Item::Value(value)
}

fn has_mark(item: &Item) -> bool {
    item.as_value().and_then(|value| value.decor().suffix()?.as_str()) == Some(MARK)
}

fn is_ours(text: &str) -> bool {
    text.split_whitespace().next() == Some(PROVIDER)
}

fn for_all(wish: &Wish<'_>, document: &mut DocumentMut, plan: &mut Plan) -> Result<(), Failure> {
    let Some(registry) = table(document, "registry") else {
        return Err(wish.conflict(
            "`registry` is no table of lines of its own",
            &format!("write `{ALL} = [\"{USUAL}\", \"{PROVIDER}\"]` into it by hand"),
        ));
    };
    match registry.get_mut(ALL) {
        None => {
            let providers: Array = [USUAL, PROVIDER].into_iter().collect();
            plan.added.push(format!("registry.{ALL} = {providers}"));
            registry.insert(ALL, marked(providers));
        }
        Some(Item::Value(Value::Array(providers))) => {
            if providers.iter().any(|provider| provider.as_str().is_some_and(is_ours)) {
                return Ok(());
            }
            providers.push(PROVIDER);
            plan.added.push(format!("registry.{ALL}: \"{PROVIDER}\", the last and so the first to be asked"));
        }
        Some(_) => return Err(wish.unreadable(&format!("`registry.{ALL}` is no list"))),
    }
    Ok(())
}

fn undo_all(wish: &Wish<'_>, document: &mut DocumentMut, plan: &mut Plan) {
    if !wish.hosts.is_empty() {
        return;
    }
    let Some(registry) = table(document, "registry") else { return };
    let Some(item) = registry.get_mut(ALL) else { return };
    let alone = has_mark(item);
    let Some(providers) = item.as_array_mut() else { return };
    let Some(at) = providers.iter().position(|provider| provider.as_str() == Some(PROVIDER)) else { return };
    providers.remove(at);
    let usual: Vec<_> = providers.iter().map(|provider| provider.as_str() == Some(USUAL)).collect();
    plan.removed.push(format!("registry.{ALL}: \"{PROVIDER}\""));
    if alone && usual == [true] {
        registry.remove(ALL);
    }
}

/// The registries of the file whose index lies on a host.
fn registries(document: &DocumentMut, host: &Service) -> Vec<String> {
    let Some(all) = document.get("registries").and_then(Item::as_table_like) else { return Vec::new() };
    let lies_there = |item: &Item| {
        let index = item.as_table_like()?.get("index")?.as_str()?;
        let index = Service::parse(index.strip_prefix("sparse+").unwrap_or(index)).ok()?;
        let origin = index.prefixes().last()?;
        Some(origin == *host || authority(&origin) == authority(host))
    };
    all.iter().filter(|(_, item)| lies_there(item) == Some(true)).map(|(name, _)| name.to_owned()).collect()
}

fn for_each(wish: &Wish<'_>, document: &mut DocumentMut, plan: &mut Plan) -> Result<(), Failure> {
    for host in wish.hosts {
        let names = registries(document, host);
        if names.is_empty() {
            return Err(wish.conflict(
                &format!("no registry with its index on {host}"),
                "add it under [registries.NAME] first, or leave out --host for all registries",
            ));
        }
        for name in names {
            let registry = document.get_mut("registries").and_then(|all| all.get_mut(&name));
            let registry = registry.and_then(Item::as_table_mut).filter(|table| !table.is_dotted());
            let Some(registry) = registry else {
                return Err(wish.conflict(
                    "a registry that is no table of lines of its own",
                    &format!("write `{ONE} = \"{PROVIDER}\"` into it by hand"),
                ));
            };
            let first = |item: &Item| match item.as_array() {
                Some(words) => words.get(0).and_then(Value::as_str).map(str::to_owned),
                None => item.as_str().map(str::to_owned),
            };
            match registry.get(ONE).map(first) {
                None => {
                    registry.insert(ONE, marked(PROVIDER));
                    plan.added.push(format!("registries.{name}.{ONE} = \"{PROVIDER}\""));
                }
                Some(Some(provider)) if is_ours(&provider) => {}
                Some(_) => {
                    return Err(wish.conflict(
                        &format!("another {ONE} for a registry on {host}"),
                        "take that line out first",
                    ));
                }
            }
        }
    }
    Ok(())
}

fn undo_each(wish: &Wish<'_>, document: &mut DocumentMut, plan: &mut Plan) {
    let wanted: Vec<String> = wish.hosts.iter().flat_map(|host| registries(document, host)).collect();
    let Some(all) = document.get_mut("registries").and_then(Item::as_table_like_mut) else { return };
    for (name, registry) in all.iter_mut() {
        let Some(registry) = registry.as_table_mut() else { continue };
        if (wish.hosts.is_empty() || wanted.iter().any(|known| *known == *name))
            && registry.get(ONE).is_some_and(has_mark)
        {
            registry.remove(ONE);
            plan.removed.push(format!("registries.{}.{ONE} = \"{PROVIDER}\"", &*name));
        }
    }
}
