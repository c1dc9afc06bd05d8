//! A tool's own file: read with care, shown, and replaced under a lock, whole or not at all.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Ground, Plan};
use crate::error;
use crate::harden::Uninterrupted;
use crate::limits::CONFIG_BYTES;
use crate::lock::{self, Attempt, Guard};
use crate::message::{Code, Failure};
use crate::store::{Error, files};
use crate::text::Escaped;

/// Between two looks at a lock that somebody holds.
const PAUSE: Duration = Duration::from_millis(10);

/// How often a change begins anew because somebody without the lock has changed the file meanwhile.
const TRIES: usize = 16;

/// A path as messages have it.
pub(super) fn words(path: &Path) -> String {
    Escaped(&path.display().to_string()).to_string()
}

/// The file's text; a file that is not there has none.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let bytes = files::read_foreign(path, CONFIG_BYTES).map_err(|error| refused(&error))?;
    let bytes = bytes.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
        Failure::new(
            Code::ConfigInvalid,
            format!("{} cannot be read: it is not UTF-8", words(path)),
            "mend the file first; nothing was changed",
        )
    })
}

/// A file that its owner has made read-only is meant to stay as it is, though a new one could take its place.
pub(super) fn may_be_replaced(path: &Path) -> Result<(), Failure> {
    let target = files::target(path).map_err(|error| refused(&error))?;
    match std::fs::metadata(&target) {
        Ok(found) if found.permissions().readonly() => Err(Failure::new(
            Code::StoreDenied,
            format!("{} is read-only", words(&target)),
            "--dry-run shows the lines, to be written by whatever makes that file; nothing was changed",
        )),
        _ => Ok(()),
    }
}

/// Changes the file that a path leads to. What is about to be done is told before it is.
pub(super) fn change(
    ground: &Ground<'_>,
    path: &Path,
    edit: &dyn Fn(&str) -> Result<Plan, Failure>,
) -> Result<Plan, Failure> {
    let target = files::target(path).map_err(|error| refused(&error))?;
    if let Some(folder) = target.parent() {
        files::make_foreign_folder(folder).map_err(|error| refused(&error))?;
    }
    let guard = lock_beside(ground, &target)?;
    for tried in 0..TRIES {
        let before = read(&target)?;
        let was = target.exists().then_some(before.as_bytes());
        let plan = edit(&before)?;
        if plan.after == before {
            return Ok(plan);
        }
        if plan.after.len() > CONFIG_BYTES {
            return Err(Failure::new(
                Code::BadRequest,
                format!("{} would be over {CONFIG_BYTES} bytes", words(&target)),
                "nothing was changed",
            ));
        }
        if !guard.still_held() {
            break;
        }
        if tried == 0 {
            show(ground, path, &plan)?;
        }
        let _theirs = TheirLock::take(ground, &target)?;
        if files::replace(&target, was, plan.after.as_bytes()).map_err(|error| refused(&error))? {
            return Ok(plan);
        }
    }
    Err(busy(&target))
}

/// Tells what is about to be done, or would be.
pub(super) fn show(ground: &Ground<'_>, path: &Path, plan: &Plan) -> Result<(), Failure> {
    let target = files::target(path).map_err(|error| refused(&error))?;
    let led = if path == target { String::new() } else { format!(" (a link to {})", words(&target)) };
    (ground.tell)(&format!("{}{led}:", words(path)));
    show_lines(ground, plan);
    Ok(())
}

/// The lines of a change, marked as a patch has them.
pub(super) fn show_lines(ground: &Ground<'_>, plan: &Plan) {
    for (sign, lines) in [('-', &plan.removed), ('+', &plan.added)] {
        for line in lines {
            (ground.tell)(&format!("{sign} {}", Escaped(&line.replace('\t', "    "))));
        }
    }
}

fn busy(target: &Path) -> Failure {
    Failure::new(
        Code::LockTimeout,
        format!("{} is changed by somebody else again and again", words(target)),
        "try again; nothing was changed",
    )
}

/// Takes the lock beside a file that people keep.
pub fn lock_beside(ground: &Ground<'_>, target: &Path) -> Result<Guard, Failure> {
    let Ground { clock, locks, .. } = ground;
    let deadline = clock.monotonic() + locks.patience;
    loop {
        let attempt = lock::try_acquire_beside(target, clock.now(), &locks.keep);
        match attempt.map_err(|fault| error::of_lock(&fault))? {
            Attempt::Held(guard) => return Ok(guard),
            Attempt::Busy(_) if clock.monotonic() < deadline => clock.pause(PAUSE),
            Attempt::Busy(_) => {
                return Err(Failure::new(
                    Code::LockTimeout,
                    format!("another process is changing {}", words(target)),
                    "try again; nothing was changed",
                ));
            }
        }
    }
}

/// The lock that git and kubectl take themselves: a file that must not be there before. One that stays is in everybody's
/// way, so nothing that can be kept away ends this process meanwhile.
struct TheirLock {
    path: PathBuf,
    _calm: Uninterrupted,
}

impl TheirLock {
    fn take(ground: &Ground<'_>, target: &Path) -> Result<Self, Failure> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let path = target.with_file_name(name);
        let deadline = ground.clock.monotonic() + ground.locks.patience;
        loop {
            let calm = Uninterrupted::begin();
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => return Ok(Self { path, _calm: calm }),
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    let why = error.to_string();
                    return Err(refused(&Error::Write { what: format!("file {}", words(&path)), why }));
                }
                Err(_) if ground.clock.monotonic() < deadline => {
                    drop(calm);
                    ground.clock.pause(PAUSE);
                }
                Err(_) => {
                    return Err(Failure::new(
                        Code::LockTimeout,
                        format!(
                            "{} is there: another program is changing the file, or was killed at it",
                            words(&path)
                        ),
                        "if none is running, remove that one; nothing was changed",
                    ));
                }
            }
        }
    }
}

impl Drop for TheirLock {
    fn drop(&mut self) {
        // One that stays says by its name what it is.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The store's words; but this is a file of people's, and no state of ours.
pub(super) fn refused(error: &Error) -> Failure {
    let hint = match error {
        // Where everybody has a group of their own, many a file was made so.
        Error::Unsafe { why: "can be written by others", .. } => {
            "`chmod go-w` on that file mends it: whoever can write it decides what your tools run"
        }
        Error::Unsafe { .. } => {
            "it must be a regular file of yours, under one name, that nobody else can write"
        }
        Error::Damaged { .. } => "it is too large to be changed by claviger",
        _ => "see to the file and try again; nothing was changed",
    };
    Failure { hint: hint.to_owned(), ..error::of_store(error) }
}
