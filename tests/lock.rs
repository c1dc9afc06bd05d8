//! The lock on its own: one holder, waiters who see the release, nothing stolen, nothing released too early.

use std::path::Path;

use claviger::lock::{Attempt, Guard, KeepUntilExit, Look, try_acquire};
use claviger::session::{Account, Service, SessionName, SlotName, Storage};
use claviger::time::Timestamp;

const NOW: Timestamp = Timestamp::EPOCH;

fn slot(account: &str) -> SlotName {
    let service = Service::parse("https://api.acme.example").unwrap();
    SessionName { service, account: Account::parse(account).unwrap(), profile: None }.access_slot()
}

fn attempt(folder: &Path, account: &str, keep: &KeepUntilExit) -> Attempt {
    try_acquire(&folder.join("locks"), &slot(account), Storage::Plaintext, NOW, keep).unwrap()
}

fn held(attempt: Attempt) -> Guard {
    match attempt {
        Attempt::Held(guard) => guard,
        Attempt::Busy(_) => panic!("somebody else holds it"),
    }
}

#[test]
fn one_holds_it_and_the_next_sees_the_release() {
    let folder = tempfile::tempdir().unwrap();
    let keep = KeepUntilExit::default();
    let guard = held(attempt(folder.path(), "alice", &keep));
    assert!(guard.covers(&slot("alice"), Storage::Plaintext));
    assert!(
        !guard.covers(&slot("bob"), Storage::Plaintext) && !guard.covers(&slot("alice"), Storage::Keyring)
    );
    let Attempt::Busy(watch) = attempt(folder.path(), "alice", &keep) else { panic!("two holders") };
    // Another session's lock is another lock.
    drop(held(attempt(folder.path(), "bob", &keep)));
    let Look::Waiting(watch) = watch.look(NOW).unwrap() else { panic!("it is still held") };
    drop(guard);
    assert!(matches!(watch.look(NOW).unwrap(), Look::Gone | Look::Held(_)));
    drop(held(attempt(folder.path(), "alice", &keep)));
    assert_eq!(std::fs::read_dir(folder.path().join("locks")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
#[cfg(unix)]
fn a_file_without_a_living_owner_is_inherited_whatever_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locks").join(slot("alice").lock_file());
    for text in ["", "pid 1 since 1970-01-01T00:00:00Z\n", "pid 99999999 since 9999-01-01T00:00:00Z\n"] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        drop(held(attempt(folder.path(), "alice", &KeepUntilExit::default())));
        assert!(!path.exists());
    }
}

#[test]
#[cfg(unix)]
fn a_lock_file_removed_by_hand_is_noticed_and_gives_no_second_holder_its_release() {
    let folder = tempfile::tempdir().unwrap();
    let keep = KeepUntilExit::default();
    let path = folder.path().join("locks").join(slot("alice").lock_file());
    let first = held(attempt(folder.path(), "alice", &keep));
    assert!(first.still_held());
    std::fs::remove_file(&path).unwrap();
    assert!(!first.still_held(), "asked again just before the request is sent");
    let second = held(attempt(folder.path(), "alice", &keep));
    drop(first);
    assert!(second.still_held(), "the first holder's release leaves the second one's file alone");
}

#[test]
#[cfg(unix)]
fn a_guard_is_kept_while_a_keyring_call_may_still_land() {
    let folder = tempfile::tempdir().unwrap();
    let keep = KeepUntilExit::default();
    let guard = held(attempt(folder.path(), "alice", &keep));
    keep.set();
    drop(guard);
    assert!(matches!(attempt(folder.path(), "alice", &KeepUntilExit::default()), Attempt::Busy(_)));
}
