//! A deadline that holds even when the keyring's library never returns, and the rule for what still lands after it.

#![allow(clippy::disallowed_methods, reason = "how long a call takes is what is shown here")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use claviger::lock::{Attempt, KeepUntilExit, try_acquire};
use claviger::session::{Account, Service, SessionName, SlotName, Storage};
use claviger::store::keyring::{Chunked, Items, Keyring, Patience};
use claviger::store::{Backend as _, Error, Piece, Unlock, Value};
use claviger::time::Timestamp;
use support::vault::Vault;

const CALL: Duration = Duration::from_millis(200);

fn keyring(vault: &Vault, unlock: Option<Duration>) -> (Keyring, KeepUntilExit) {
    patient(vault, Patience { call: CALL, unlock })
}

fn patient(vault: &Vault, patience: Patience) -> (Keyring, KeepUntilExit) {
    let (keep, vault) = (KeepUntilExit::default(), vault.clone());
    let open = move || Ok(Chunked::new(vault.clone(), None));
    (Keyring::through(open, patience, keep.clone()), keep)
}

fn slot() -> SlotName {
    let service = Service::parse(support::SERVICE).unwrap();
    SessionName { service, account: Account::parse("alice").unwrap(), profile: None }.access_slot()
}

#[test]
fn a_call_that_never_returns_is_given_up_and_never_followed_by_another() {
    let vault = Vault::default();
    let (keyring, keep) = keyring(&vault, None);
    let go = vault.hang_next();
    let begun = Instant::now();
    assert!(matches!(keyring.read(&slot()), Err(Error::Timeout { .. })));
    let took = begun.elapsed();
    assert!(took >= CALL && took < CALL * 10, "{took:?}");
    assert!(keep.is_set(), "the locks are kept");
    vault.calls();
    for _ in 0..3 {
        assert!(matches!(keyring.read(&slot()), Err(Error::Timeout { .. })));
        assert!(matches!(keyring.write(&slot(), &b"x".to_vec().into()), Err(Error::Timeout { .. })));
        assert!(matches!(keyring.delete(&slot()), Err(Error::Timeout { .. })));
        assert!(matches!(keyring.access_values(), Err(Error::Timeout { .. })));
    }
    drop(go);
    assert_eq!(vault.calls(), Vec::<String>::new(), "the keyring was not asked again");
}

#[test]
fn a_write_that_lands_late_lands_while_its_lock_still_excludes_everyone() {
    let folder = tempfile::tempdir().unwrap();
    let locks = folder.path().join("locks");
    let vault = Vault::default();
    let (keyring, keep) = keyring(&vault, None);
    let now = Timestamp::EPOCH;
    let Ok(Attempt::Held(guard)) = try_acquire(&locks, &slot(), Storage::Keyring, now, &keep) else {
        panic!("nobody else has it")
    };
    let go = vault.hang_next();
    assert!(matches!(keyring.write(&slot(), &b"late".to_vec().into()), Err(Error::Timeout { .. })));
    drop(guard);
    // To everyone else it is still held: until this process ends, nothing says whether the write is over.
    let other = KeepUntilExit::default();
    let busy = || matches!(try_acquire(&locks, &slot(), Storage::Keyring, now, &other), Ok(Attempt::Busy(_)));
    assert!(busy());
    assert_eq!(vault.value(slot().as_str()), None);
    drop(go);
    // It lands, on its own thread; there is nothing to wait on but the value itself.
    let landed = (0..1000).any(|_| {
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
        vault.value(slot().as_str()).is_some()
    });
    assert!(landed && busy(), "it landed under the lock");
}

#[test]
fn somebody_who_is_asked_has_longer_and_their_silence_is_not_the_keyrings() {
    let vault = Vault::default();
    let unlock = CALL * 3;
    let (keyring, _) = keyring(&vault, Some(unlock));
    let go = vault.hang_next();
    let begun = Instant::now();
    assert!(matches!(keyring.unlock(), Err(Error::Locked(Unlock::Unanswered { .. }))));
    assert!(begun.elapsed() >= unlock);
    drop(go);
}

#[test]
fn where_there_is_nobody_nobody_is_asked() {
    let vault = Vault::default();
    let (keyring, _) = keyring(&vault, None);
    assert!(matches!(keyring.unlock(), Err(Error::Locked(Unlock::NotAsked))));
    assert_eq!(vault.calls(), Vec::<String>::new());
}

#[test]
fn a_client_that_fails_over_an_answer_is_no_absent_keyring() {
    let vault = Vault::default();
    // Time enough for a panic to be told on a busy machine.
    let (keyring, _) = patient(&vault, Patience { call: Duration::from_secs(60), unlock: None });
    vault.before(|_, _, _| panic!("as over a malformed answer"));
    let broken = keyring.read(&slot());
    assert!(matches!(broken, Err(Error::Damaged { piece: Piece::Answer, .. })), "nothing falls back on this");
    assert!(matches!(keyring.read(&slot()), Ok(None)), "the next call has a client of its own");
}

/// A connection that is closed when it is told to be.
struct Closing {
    told: Receiver<()>,
    closed: Arc<AtomicBool>,
}

impl Items for Closing {
    fn read(&mut self, _: &str) -> Result<Option<Value>, Error> {
        Ok(None)
    }

    fn write(&mut self, _: &str, _: &Value) -> Result<(), Error> {
        unreachable!("it is read alone")
    }

    fn delete(&mut self, _: &str) -> Result<bool, Error> {
        unreachable!("it is read alone")
    }

    fn names(&mut self) -> Result<Vec<String>, Error> {
        unreachable!("it is read alone")
    }

    fn unlock(&mut self) -> Result<(), Error> {
        unreachable!("it is read alone")
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // Whoever was to tell it is gone: it may close.
        let _ = self.told.recv();
        // Long enough for whoever does not wait to be seen not to.
        (0..10_000).for_each(|_| std::thread::yield_now());
        self.closed.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_keyring_is_done_with_when_it_is_dropped_but_one_that_does_not_close_is_not_waited_for() {
    for closes in [true, false] {
        let (tell, told) = channel();
        let closed = Arc::new(AtomicBool::new(false));
        let connection = std::sync::Mutex::new(Some(Closing { told, closed: Arc::clone(&closed) }));
        let open = move || {
            let connection = connection.lock().unwrap().take().expect("it is opened once");
            Ok(Chunked::new(connection, None))
        };
        let patience = Duration::from_secs(if closes { 60 } else { 1 });
        let patience = Patience { call: patience, unlock: None };
        let keyring = Keyring::through(open, patience, KeepUntilExit::default());
        assert!(matches!(keyring.read(&slot()), Ok(None)));
        let kept = (!closes).then_some(tell);
        let begun = Instant::now();
        drop(keyring);
        let took = begun.elapsed();
        assert_eq!(closed.load(Ordering::SeqCst), closes);
        assert!(took < patience.call * 10 && (closes || took >= patience.call), "{took:?}");
        drop(kept);
    }
}
