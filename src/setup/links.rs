//! The names by which tools call this program: links to it, or second names and copies of it where there are no links.

use std::io;
use std::path::{Path, PathBuf};

use super::file;
use crate::message::{Code, Failure, LinkState, Linked, Links};
use crate::settings::Settings;
use crate::store::files;

const NAMES: [&str; 5] = [
    "git-credential-claviger",
    "docker-credential-claviger",
    "cargo-credential-claviger",
    "terraform-credentials-claviger",
    "bazel-credential-claviger",
];

/// Those that are asked without arguments, and so have an account in their name.
const WITH_ACCOUNT: [&str; 2] = ["docker-credential-claviger", "bazel-credential-claviger"];

const KEYRING: &str = "keyring";

/// Makes the names, or takes them away.
pub fn links(settings: &Settings, request: &Links) -> Result<Linked, Failure> {
    let Links { folder, accounts, keyring, undo } = request;
    let folder = std::path::absolute(folder).map_err(|error| failed("the folder", &error))?;
    let program = program(settings)?;
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    for name in WITH_ACCOUNT {
        names.extend(accounts.iter().map(|account| format!("{name}-{account}")));
    }
    names.extend(keyring.then(|| KEYRING.to_owned()));
    let path = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if *undo && accounts.is_empty() && !keyring {
        names.extend(others(&folder, &program));
    }
    let act = |look: bool| -> Result<Vec<(String, LinkState)>, Failure> {
        let one = |name: &String| {
            let path = path(name);
            let state = if *undo { removed(&path, &program, look) } else { made(&path, &program, look) };
            Ok((name.clone(), state?))
        };
        names.iter().map(one).collect()
    };
    let foreign: Vec<String> = act(true)?
        .into_iter()
        .filter(|(_, state)| *state == LinkState::Foreign)
        .map(|(name, _)| file::words(&path(&name)))
        .collect();
    if !undo && !foreign.is_empty() {
        return Err(in_the_way(&foreign));
    }
    if !undo {
        make_folder(&folder)?;
    }
    let states = act(false)?;
    let on_path = settings.tools.folders().iter().any(|known| same(known, &folder));
    let notes = if *undo { Vec::new() } else { notes(settings, &folder, *keyring, on_path) };
    Ok(Linked {
        folder: file::words(&folder),
        program: file::words(&program),
        links: states,
        on_path,
        undo: *undo,
        notes,
    })
}

/// The names in a folder that are made when they are asked for, and lead to claviger.
fn others(folder: &Path, program: &Path) -> Vec<String> {
    let asked_for = |name: &str| {
        let account = WITH_ACCOUNT.iter().find_map(|known| name.strip_prefix(known)?.strip_prefix('-'));
        name == KEYRING || account.is_some_and(|account| !account.is_empty())
    };
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let names = found.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(std::env::consts::EXE_SUFFIX)?.to_owned();
        let is_ours = || matches!(owner(&path, program), Owner::Ours | Owner::Older);
        (asked_for(&name) && is_ours()).then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

fn notes(settings: &Settings, folder: &Path, keyring: bool, on_path: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !on_path {
        notes.push(format!("{} is not on PATH: no tool looks there yet", file::words(folder)));
    }
    if others_may_write(folder) {
        notes.push(format!(
            "others can write in {}, and so can change what your tools run",
            file::words(folder)
        ));
    }
    if keyring {
        notes.push("`keyring` here is claviger: whatever asks for the program of that name gets claviger's sessions and no other keyring's, where this folder comes first on PATH".to_owned());
        let name = format!("{KEYRING}{}", std::env::consts::EXE_SUFFIX);
        let others = settings.tools.folders().into_iter().filter(|known| !same(known, folder));
        if let Some(other) = others.map(|known| known.join(&name)).find(|path| path.is_file()) {
            notes.push(format!("there is another at {}", file::words(&other)));
        }
    }
    notes
}

/// This program, as links are to lead to it.
pub(super) fn program(settings: &Settings) -> Result<PathBuf, Failure> {
    settings.tools.ourselves().map_err(|error| failed("the path of this program", &error))
}

pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    files::make_foreign_folder(folder).map_err(|error| file::refused(&error))
}

pub(super) fn in_the_way(paths: &[String]) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("in the way, and not claviger's: {}", paths.join(", ")),
        "see what they are, and remove them or choose another folder; nothing was changed",
    )
}

/// Whether a path ends at this program.
pub(super) fn leads_here(settings: &Settings, path: &Path) -> bool {
    settings
        .tools
        .ourselves()
        .is_ok_and(|program| matches!(owner(path, &program), Owner::Ours | Owner::Older))
}

enum Owner {
    Nobodys,
    /// It is what we would make.
    Ours,
    /// It led to a claviger, of another place or another time.
    Older,
    Foreign,
}

#[cfg(unix)]
fn owner(path: &Path, program: &Path) -> Owner {
    match std::fs::symlink_metadata(path) {
        Err(_) => Owner::Nobodys,
        Ok(found) if !found.is_symlink() => Owner::Foreign,
        Ok(_) => match std::fs::read_link(path) {
            Ok(to) if to == program => Owner::Ours,
            Ok(to) if to.file_name() == Some("claviger".as_ref()) || same(path, program) => Owner::Older,
            _ => Owner::Foreign,
        },
    }
}

/// Second names and copies have the same content; one of another version has at least our marks in it.
#[cfg(windows)]
fn owner(path: &Path, program: &Path) -> Owner {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Owner::Nobodys };
    let (Ok(there), Ok(ours)) = (std::fs::read(path), std::fs::read(program)) else { return Owner::Foreign };
    if !found.is_file() {
        Owner::Foreign
    } else if there == ours {
        Owner::Ours
    } else if there.windows(super::block::BEGIN.len()).any(|bytes| bytes == super::block::BEGIN.as_bytes()) {
        Owner::Older
    } else {
        Owner::Foreign
    }
}

/// Makes one name, where it is nobody else's; `look`: says what would become of it.
pub(super) fn made(path: &Path, program: &Path, look: bool) -> Result<LinkState, Failure> {
    let state = match owner(path, program) {
        Owner::Ours => return Ok(LinkState::Kept),
        Owner::Foreign => return Ok(LinkState::Foreign),
        Owner::Nobodys => LinkState::Made,
        Owner::Older => LinkState::Renewed,
    };
    if look {
        return Ok(state);
    }
    let done = match state {
        LinkState::Renewed => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => link(program, path),
        },
        _ => link(program, path),
    };
    match done {
        // Somebody else was faster; if it was one of us, all is well.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match owner(path, program) {
            Owner::Ours => Ok(LinkState::Kept),
            _ => Ok(LinkState::Foreign),
        },
        Err(error) => Err(failed(&file::words(path), &error)),
        Ok(()) => Ok(state),
    }
}

/// Takes one name away, where it is ours.
pub(super) fn removed(path: &Path, program: &Path, look: bool) -> Result<LinkState, Failure> {
    match owner(path, program) {
        Owner::Nobodys => return Ok(LinkState::Absent),
        Owner::Foreign => return Ok(LinkState::Foreign),
        Owner::Ours | Owner::Older if look => return Ok(LinkState::Removed),
        Owner::Ours | Owner::Older => {}
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LinkState::Absent),
        Err(error) => Err(failed(&file::words(path), &error)),
        Ok(()) => Ok(LinkState::Removed),
    }
}

#[cfg(unix)]
fn link(program: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(program, path)
}

/// Links want a privilege there that few have.
#[cfg(windows)]
fn link(program: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(program, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => std::fs::copy(program, path).map(|_| ()),
        Ok(()) => Ok(()),
    }
}

fn same(one: &Path, other: &Path) -> bool {
    std::fs::canonicalize(one).is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

#[cfg(unix)]
fn others_may_write(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o022 != 0)
}

#[cfg(windows)]
fn others_may_write(_folder: &Path) -> bool {
    false
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(
        Code::AuthStoreWriteFailed,
        format!("{what}: {error}"),
        "see to the folder and its permissions, and try again",
    )
}
