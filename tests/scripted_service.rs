//! The scripted Secret Service is one: our binary and the library it uses find there what they left, and each
//! habit shows on the wire as it is described.

#![cfg(target_os = "linux")]

mod support;

use std::collections::{BTreeMap, HashMap};

use dbus_secret_service::{EncryptionType, Error, Item, SecretService};
use serde_json::json;
use support::bus::Bus;
use support::scripted::{Habits, Scripted, Unlock};
use support::{Answer, SERVICE, Sandbox, get};

fn sandbox(bus: &Bus) -> Sandbox {
    Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)])
}

fn bundle(token: &str) -> serde_json::Value {
    json!({ "service": SERVICE, "account": "alice", "accessToken": token })
}

#[test]
fn a_session_is_stored_and_found_and_erased() {
    let Some(bus) = Bus::empty() else { return };
    for extra_attributes in [false, true] {
        let scripted = Scripted::start(&bus, Habits { extra_attributes, ..Habits::default() });
        scripted.plant(&[("service", "another"), ("username", "alice")], b"not ours");
        let sandbox = sandbox(&bus);
        sandbox.run("store", &bundle("AT1")).ok();
        assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT1");
        let items = scripted.items();
        let (attributes, secret) = &items[1];
        let slot = format!("{SERVICE}#alice");
        assert_eq!(attributes, &strings(&[("service", "claviger"), ("username", &slot)]));
        assert!(String::from_utf8_lossy(secret).contains("AT1"), "what is held is plain");
        assert_eq!(sandbox.run("erase", &get()).ok()["erased"], true);
        let left = (strings(&[("service", "another"), ("username", "alice")]), b"not ours".to_vec());
        assert_eq!(scripted.items(), [left]);
        assert_eq!(scripted.calls("Prompt"), 0);
    }
}

#[test]
fn a_large_token_survives_the_round_trip() {
    let Some(bus) = Bus::empty() else { return };
    let scripted = Scripted::start(&bus, Habits::default());
    let sandbox = sandbox(&bus);
    for size in [1, 15, 16, 17, 8192, 65536] {
        let token = "x".repeat(size);
        sandbox.run("store", &bundle(&token)).ok();
        assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], json!(token), "{size}");
    }
    assert_eq!(scripted.items().len(), 1);
}

#[test]
fn a_locked_keyring_that_hides_its_items_is_not_an_empty_one() {
    let Some(bus) = Bus::empty() else { return };
    let habits = Habits { locked: true, hides_locked: true, ..Habits::default() };
    let scripted = Scripted::start(&bus, habits);
    let sandbox = sandbox(&bus);
    assert_eq!(sandbox.run("get", &get()).code(5), "STORE_LOCKED");
    assert_eq!(sandbox.run("store", &bundle("AT1")).code(5), "STORE_LOCKED");
    assert!(scripted.calls("Locked") > 0, "it was asked");
    assert_eq!((scripted.calls("Prompt"), scripted.calls("Unlock"), scripted.items().len()), (0, 0, 0));

    scripted.behave(Habits::default());
    sandbox.run("store", &bundle("AT1")).ok();
    scripted.lock();
    assert_eq!(sandbox.run("get", &get()).code(5), "STORE_LOCKED", "it is listed as locked");
    assert_eq!(scripted.calls("Prompt"), 0);
}

#[test]
fn what_is_made_and_deleted_by_prompt_is_made_and_deleted() {
    for completes_early in [false, true] {
        let habits = Habits {
            create_by_prompt: true,
            delete_by_prompt: true,
            completes_early,
            extra_attributes: true,
            ..Habits::default()
        };
        let test = "what_is_made_and_deleted_by_prompt_is_made_and_deleted";
        let Some(scripted) = rehearse(test, habits, || {
            let service = connect(5);
            let item = create(&service, "one").unwrap();
            assert_eq!(item.get_secret().unwrap(), b"one");
            let attributes = item.get_attributes().unwrap();
            assert_eq!((attributes.len(), &*attributes["name"], &*attributes["Title"]), (7, "a", "label"));
            assert_eq!(create(&service, "two").unwrap().path, item.path, "it is replaced");
            assert_eq!(item.get_secret().unwrap(), b"two");
            item.delete().unwrap();
            assert!(matches!(item.get_secret(), Err(Error::Dbus(_))));
            create(&service, "three").unwrap();
            assert!(matches!(create(&connect(0), "four"), Err(Error::Prompt)), "the library raises none");
        }) else {
            return;
        };
        assert_eq!((scripted.calls("CreateItem"), scripted.calls("Prompt")), (4, 4));
        assert_eq!(scripted.items(), [(strings(&[("name", "a")]), b"three".to_vec())]);
    }
}

#[test]
fn a_locked_collection_opens_as_its_user_answers() {
    let answers = [(Unlock::AtOnce, 0), (Unlock::ByPrompt, 1), (Unlock::Dismissed, 1), (Unlock::Never, 1)];
    for (unlock, prompts) in answers {
        let test = "a_locked_collection_opens_as_its_user_answers";
        let habits = Habits { locked: true, unlock, ..Habits::default() };
        let Some(scripted) = rehearse(test, habits, || {
            // Not one: the library takes each message that comes for a second, the bus's greeting too.
            let service = connect(2);
            let collection = service.get_default_collection().unwrap();
            assert!(collection.is_locked().unwrap());
            assert_eq!(refusal(create(&service, "one")), LOCKED);
            match collection.unlock() {
                Ok(()) => {
                    let item = create(&service, "one").unwrap();
                    item.lock().unwrap();
                    assert!(collection.is_locked().unwrap());
                    assert_eq!(found(&service), (0, 1));
                    assert_eq!(refusal(item.get_secret()), LOCKED);
                }
                Err(Error::Prompt) => assert!(collection.is_locked().unwrap()),
                Err(other) => panic!("{other}"),
            }
        }) else {
            return;
        };
        assert_eq!((scripted.calls("Unlock"), scripted.calls("Prompt")), (1, prompts));
        let opened = matches!(unlock, Unlock::AtOnce | Unlock::ByPrompt);
        assert_eq!(scripted.items().len(), usize::from(opened));
    }
}

#[test]
fn an_item_can_be_locked_for_one_client_and_open_to_another() {
    let habits = Habits { items_locked_per_client: true, unlock: Unlock::ByPrompt, ..Habits::default() };
    let test = "an_item_can_be_locked_for_one_client_and_open_to_another";
    let Some(scripted) = rehearse(test, habits, || {
        let (maker, other) = (connect(5), connect(5));
        let made = create(&maker, "one").unwrap();
        assert_eq!((found(&maker), found(&other)), ((1, 0), (0, 1)));
        assert!(!other.get_default_collection().unwrap().is_locked().unwrap());
        let same = Item::new(&other, made.path.clone());
        assert_eq!(refusal(same.get_secret()), LOCKED);
        assert_eq!(refusal(same.set_secret(b"two", "text/plain")), LOCKED);
        same.unlock().unwrap();
        same.set_secret(b"two", "text/plain").unwrap();
        assert_eq!((found(&other), made.get_secret().unwrap()), ((1, 0), b"two".to_vec()));
    }) else {
        return;
    };
    assert_eq!(scripted.calls("Prompt"), 1);
}

#[test]
fn what_is_forgotten_was_promised() {
    let habits = Habits { forgets: true, ..Habits::default() };
    let Some(scripted) = rehearse("what_is_forgotten_was_promised", habits, || {
        let service = connect(5);
        let item = create(&service, "one").unwrap();
        assert_eq!(refusal(item.get_secret()), UNKNOWN);
        assert_eq!(found(&service), (0, 0));
    }) else {
        return;
    };
    assert_eq!((scripted.calls("CreateItem"), scripted.items().len()), (1, 0));
}

#[test]
fn what_moves_is_found_where_it_went() {
    let habits = Habits { moves_on_replace: true, ..Habits::default() };
    let Some(scripted) = rehearse("what_moves_is_found_where_it_went", habits, || {
        let service = connect(5);
        let item = create(&service, "one").unwrap();
        let modified = item.get_modified().unwrap();
        item.set_secret(b"two", "text/plain").unwrap();
        assert_eq!(refusal(item.get_secret()), UNKNOWN);
        let moved = service.search_items(HashMap::from([("name", "a")])).unwrap().unlocked.remove(0);
        assert_eq!(
            (moved.get_secret().unwrap(), moved.get_label().unwrap()),
            (b"two".to_vec(), "label".into())
        );
        assert!(moved.get_modified().unwrap() > modified);
        assert_eq!(moved.get_created().unwrap(), modified);
    }) else {
        return;
    };
    assert_eq!(scripted.items().len(), 1);
}

#[test]
fn a_method_can_be_refused_and_a_property_never_answered() {
    let habits = Habits {
        refuses: Some(("CreateItem", "org.freedesktop.DBus.Error.AccessDenied")),
        silent_on: Some("Locked"),
        ..Habits::default()
    };
    let Some(scripted) = rehearse("a_method_can_be_refused_and_a_property_never_answered", habits, || {
        let service = connect(5);
        assert_eq!(refusal(create(&service, "one")), "org.freedesktop.DBus.Error.AccessDenied");
        let unanswered = service.get_default_collection().unwrap().is_locked();
        assert_eq!(refusal(unanswered), "org.freedesktop.DBus.Error.NoReply");
    }) else {
        return;
    };
    assert_eq!((scripted.calls("CreateItem"), scripted.calls("Locked")), (1, 1));
}

#[test]
fn there_need_be_no_default_collection() {
    let habits = Habits { no_default_collection: true, ..Habits::default() };
    rehearse("there_need_be_no_default_collection", habits, || {
        let service = connect(5);
        assert!(matches!(service.get_default_collection(), Err(Error::NoResult)));
        assert_eq!(service.get_all_collections().unwrap().len(), 1);
    });
}

const LOCKED: &str = "org.freedesktop.Secret.Error.IsLocked";
const UNKNOWN: &str = "org.freedesktop.DBus.Error.UnknownObject";

/// Has the library meet a service with these habits. It finds its bus only in the environment, which all
/// threads share; so the test is run once more in a process of its own, where `client` is all it does. There,
/// and where there is no bus, the answer is `None`.
#[allow(clippy::disallowed_methods, reason = "the test's own switch")]
fn rehearse(test: &str, habits: Habits, client: fn()) -> Option<Scripted> {
    const SWITCH: &str = "CLAVIGER_TEST_CLIENT";
    if std::env::var_os(SWITCH).is_some() {
        client();
        return None;
    }
    let bus = Bus::empty()?;
    let scripted = Scripted::start(&bus, habits);
    let this = std::env::current_exe().unwrap();
    let output =
        bus.command(this.to_str().unwrap()).args(["--exact", test]).env(SWITCH, "1").output().unwrap();
    let answer = Answer::of(output);
    assert!(answer.exit == 0 && answer.stdout.contains("1 passed"), "{}{}", answer.stdout, answer.stderr);
    Some(scripted)
}

fn connect(seconds_for_prompts: u64) -> SecretService {
    SecretService::connect_with_max_prompt_timeout(EncryptionType::Dh, seconds_for_prompts).unwrap()
}

fn create<'a>(service: &'a SecretService, secret: &str) -> Result<Item<'a>, Error> {
    let collection = service.get_default_collection().unwrap();
    let made = collection.create_item(
        "label",
        HashMap::from([("name", "a")]),
        secret.as_bytes(),
        true,
        "text/plain",
    );
    // The item borrows the collection, which is on its way out; what it needs is the service.
    made.map(|item| Item::new(service, item.path))
}

/// How many of the items that `create` makes are unlocked, and how many locked.
fn found(service: &SecretService) -> (usize, usize) {
    let found = service.search_items(HashMap::from([("name", "a")])).unwrap();
    (found.unlocked.len(), found.locked.len())
}

/// The name of the D-Bus error that a call must have met.
#[track_caller]
fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Dbus(error)) => error.name().unwrap().to_owned(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
