//! kubectl: a user that asks claviger, and for each cluster on a host a context with that user; nothing that is there is
//! changed. kubectl itself reads the text before and after: what it finds more must be that, and nothing else.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Plan, Wish, block};
use crate::message::{Code, Failure};
use crate::session::Service;
use crate::store::files::{Folder, Writers};
use crate::terminal::Interrupts;
use crate::text::Escaped;

const USER: &str = "claviger";
const USERS: &str = "users";
const CONTEXTS: &str = "contexts";

pub(super) fn edit(wish: &Wish<'_>, before: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::of(before);
    if wish.undo && !wish.hosts.is_empty() {
        return Err(Failure::new(
            Code::BadRequest,
            "the user in the kubeconfig is for every cluster, and goes as a whole",
            "leave out --host; nothing was changed",
        ));
    }
    let found = view(wish, before)?;
    if wish.undo {
        return undo(wish, plan, &found);
    }
    let clusters = clusters(&found, wish.hosts);
    if !names(&found, USERS).iter().any(|name| name == USER) {
        add(wish, &mut plan, USERS, &user())?;
    }
    let there = names(&found, CONTEXTS);
    let contexts: Vec<String> = clusters
        .iter()
        .filter(|cluster| !there.contains(&context_name(cluster)))
        .flat_map(|cluster| context(cluster))
        .collect();
    if !contexts.is_empty() {
        // Those of an earlier call stand in a block of that name.
        let name = (1..)
            .map(|number| if number == 1 { CONTEXTS.to_owned() } else { format!("{CONTEXTS}-{number}") });
        let taken = block::names(&plan.after);
        let name = name.take(1000).find(|name| !taken.contains(name)).unwrap_or_default();
        add(wish, &mut plan, &name, &contexts)?;
    }
    let after = if plan.after == before { found.clone() } else { view(wish, &plan.after)? };
    if plan.after != before && !is_only_ours(&found, &after) {
        return Err(by_hand(wish));
    }
    if clusters.is_empty() && !wish.hosts.is_empty() {
        let hosts: Vec<&str> = wish.hosts.iter().map(Service::as_str).collect();
        let whose = if wish.named { "" } else { ", where the providers' services are" };
        plan.notes.push(format!("no cluster of that file is on {}{whose}", hosts.join(" or ")));
    }
    tell_who_asks(wish, &mut plan, before, &after);
    Ok(plan)
}

/// That the user is there makes nothing ask: a context must use it, and be the one that is in use.
fn tell_who_asks(wish: &Wish<'_>, plan: &mut Plan, before: &str, after: &Value) {
    let text = |item: &Value, path: &str| item.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let ours = |item: &&Value| text(item, "/context/user").as_deref() == Some(USER);
    let using: Vec<String> =
        items(after, CONTEXTS).iter().filter(ours).filter_map(|item| text(item, "/name")).collect();
    let current = text(after, "/current-context").unwrap_or_default();
    for context in using.iter().filter(|context| **context != current) {
        let context = as_word(context);
        plan.notes.push(format!(
            "`kubectl config use-context {context}` makes kubectl ask claviger for that cluster, `kubectl --context {context}` for one call"
        ));
    }
    if using.is_empty() {
        plan.notes.push(format!(
            "`kubectl config set-context CONTEXT --user={USER}` makes a context that is there ask claviger"
        ));
    }
    if using.contains(&current) {
        return;
    }
    let is = if wish.dry_run && plan.after != before { "would be" } else { "is" };
    let contexts = using.iter().map(|context| as_word(context)).collect::<Vec<_>>().join(", ");
    let uses = match using.len() {
        0 => "no context uses it yet".to_owned(),
        1 => format!("the context {contexts} uses it, and is not the current one"),
        _ => format!("the contexts {contexts} use it, and none is the current one"),
    };
    plan.standing = Some(format!("the user `{USER}` {is} in {}; {uses}", wish.file));
}

fn undo(wish: &Wish<'_>, mut plan: Plan, found: &Value) -> Result<Plan, Failure> {
    for name in block::names(&plan.after.clone()) {
        plan.take(wish, &name, &|line| {
            line.starts_with([' ', '-']) || line.trim_end() == format!("{}:", list_of(&name))
        })?;
    }
    let left = if plan.removed.is_empty() { found.clone() } else { view(wish, &plan.after)? };
    let mut commands = Vec::new();
    if names(&left, USERS).iter().any(|name| name == USER) {
        commands.push(format!("`kubectl config delete-user {USER}`"));
    }
    let contexts = names(&left, CONTEXTS).into_iter().filter(|name| name.starts_with(&context_name("")));
    commands.extend(contexts.map(|name| format!("`kubectl config delete-context {}`", as_word(&name))));
    if !commands.is_empty() {
        if plan.removed.is_empty() {
            plan.standing = Some(format!("the user or a context of claviger's stays in {}", wish.file));
        }
        plan.notes.push(format!(
            "kubectl has written the file anew since, and the marks are gone; say {}",
            commands.join(" and ")
        ));
    }
    Ok(plan)
}

fn list_of(block: &str) -> &str {
    block.split('-').next().unwrap_or_default()
}

fn user() -> Vec<String> {
    [
        "- name: claviger",
        "  user:",
        "    exec:",
        "      apiVersion: client.authentication.k8s.io/v1",
        "      command: claviger",
        "      args:",
        "      - kubernetes",
        "      interactiveMode: IfAvailable",
        "      provideClusterInfo: true",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A name as a shell takes it, and a terminal.
fn as_word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-:/".contains(c);
    let shown = Escaped(name).to_string();
    if name.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', "'\\''")) }
}

fn context_name(cluster: &str) -> String {
    format!("{USER}@{cluster}")
}

/// A name may hold anything; in quotes as JSON has them it is YAML too.
fn context(cluster: &str) -> [String; 4] {
    let quoted = |text: &str| Value::from(text).to_string();
    [
        format!("- name: {}", quoted(&context_name(cluster))),
        "  context:".to_owned(),
        format!("    cluster: {}", quoted(cluster)),
        format!("    user: {USER}"),
    ]
}

/// Adds items to a list of the file, at its head, as far in as the others are.
fn add(wish: &Wish<'_>, plan: &mut Plan, name: &str, items: &[String]) -> Result<(), Failure> {
    let key = format!("{}:", list_of(name));
    let mut at = 0;
    let text = plan.after.clone();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let begin = at;
        at += line.len();
        let Some(rest) = line.strip_prefix(&key) else { continue };
        let ended = line.ends_with('\n');
        match rest.trim() {
            _ if !ended => return Err(by_hand(wish)),
            "[]" | "null" | "~" | "{}" => {
                let items = [std::slice::from_ref(&key), items].concat();
                plan.after = block::instead(&text, begin, name, &items).unwrap_or_default();
                plan.removed.push(line.trim_end().to_owned());
                plan.added.extend(items);
            }
            rest if rest.is_empty() || rest.starts_with('#') => {
                let first = lines.find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
                let indent = first.filter(|line| line.trim_start().starts_with('-'));
                let indent =
                    " ".repeat(indent.map_or(0, |line| line.len() - line.trim_start_matches(' ').len()));
                let items: Vec<String> = items.iter().map(|item| [indent.as_str(), item].concat()).collect();
                plan.after = block::insert(&text, at, name, &items).unwrap_or_default();
                plan.added.push(key);
                plan.added.extend(items);
            }
            _ => return Err(by_hand(wish)),
        }
        return Ok(());
    }
    let items = [std::slice::from_ref(&key), items].concat();
    plan.after = block::append(&plan.after, name, &items);
    plan.added.extend(items);
    Ok(())
}

fn by_hand(wish: &Wish<'_>) -> Failure {
    wish.conflict(
        "the lists of users and contexts are not laid out as kubectl does it",
        "`kubectl config set-credentials claviger --exec-api-version=client.authentication.k8s.io/v1 --exec-command=claviger --exec-arg=kubernetes --exec-provide-cluster-info=true --exec-interactive-mode=IfAvailable` adds the user",
    )
}

fn items<'a>(found: &'a Value, list: &str) -> &'a [Value] {
    found.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn names(found: &Value, list: &str) -> Vec<String> {
    items(found, list).iter().filter_map(|item| Some(item.get("name")?.as_str()?.to_owned())).collect()
}

/// The clusters whose server is one of the hosts.
fn clusters(found: &Value, hosts: &[Service]) -> Vec<String> {
    let is_there = |item: &Value| {
        let server = Service::parse(item.pointer("/cluster/server")?.as_str()?).ok()?;
        let origin = server.prefixes().last()?;
        hosts.contains(&origin).then(|| item.get("name")?.as_str().map(str::to_owned)).flatten()
    };
    items(found, "clusters").iter().filter_map(is_there).collect()
}

/// Whether all that kubectl finds more is ours.
fn is_only_ours(before: &Value, after: &Value) -> bool {
    let mut rest = after.clone();
    for (list, added) in [(USERS, USER.to_owned()), (CONTEXTS, context_name(""))] {
        let was = names(before, list);
        let new = |item: &Value| {
            let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
            !was.iter().any(|known| known == name) && name.starts_with(&added)
        };
        if let Some(items) = rest.get_mut(list).and_then(Value::as_array_mut) {
            items.retain(|item| !new(item));
        }
    }
    let same = |key: &str| match (before.get(key), rest.get(key)) {
        (None | Some(Value::Null), Some(Value::Array(rest))) => rest.is_empty(),
        (one, other) => one == other,
    };
    let keys = before.as_object().into_iter().chain(rest.as_object()).flat_map(|object| object.keys());
    keys.into_iter().all(|key| same(key)) && names(after, USERS).iter().any(|name| name == USER)
}

/// What kubectl reads in a text, without its secrets. It reads files alone, so the text lies for that long in one that
/// nobody else can read.
fn view(wish: &Wish<'_>, text: &str) -> Result<Value, Failure> {
    let missing = |why: &str| {
        Failure::new(
            Code::ConfigInvalid,
            format!("kubectl {why}, and it alone can tell what its file says"),
            "install kubectl, or see to PATH; nothing was changed",
        )
    };
    let tools = &wish.settings.tools;
    let program = tools.program("kubectl").ok_or_else(|| missing("is not on PATH"))?;
    let folder = Folder::new(&wish.settings.state, "check");
    let name = format!("kubeconfig-{}", std::process::id());
    // Ctrl-C ends kubectl alone: we live to take the copy away.
    let interrupts = Interrupts::watch();
    folder.write(&name, text.as_bytes(), Writers::One)?;
    let mut command = Command::new(program);
    command.arg("--kubeconfig").arg(folder.path_of(&name)).args(["config", "view", "--output", "json"]);
    tools.isolate(&mut command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    folder.delete(&name)?;
    if interrupts.came() {
        return Err(Failure::new(Code::BadRequest, "interrupted", "nothing was changed"));
    }
    let output = output.map_err(|_| missing("cannot be started"))?;
    let found = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success());
    found.ok_or_else(|| wish.unreadable("kubectl does not take it"))
}

#[cfg(test)]
mod tests {
    use super::as_word;

    #[test]
    fn a_name_is_one_word_to_a_shell() {
        assert_eq!(as_word("claviger@a:1"), "claviger@a:1");
        assert_eq!(as_word("a'; rm x; '"), r"'a'\''; rm x; '\'''");
    }
}
