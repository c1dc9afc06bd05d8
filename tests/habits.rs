//! A keyring that forgets, refuses, says nothing or moves what it holds: a token is kept where it is said to be, or
//! the verb fails and says why. The real binary, against a Secret Service with chosen habits.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "how long another process takes is part of what is shown here")]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::SERVICE;
use support::scripted::Habits;
use support::server::Server;
use support::stage::{DENIED, Stage, message};

/// The visible downgrade: said in the reply, and in one line to people.
fn went_to_files(stored: &support::Answer) {
    let reply = stored.ok();
    assert_eq!(
        (&reply["storage"], &reply["warnings"][0]["code"]),
        (&json!("plaintext"), &json!("STORED_PLAINTEXT"))
    );
    assert_eq!(stored.stderr.lines().count(), 1, "{}", stored.stderr);
}

#[test]
fn a_keyring_that_forgets_is_found_out_before_anyone_is_told_that_a_token_is_kept() {
    let habits = Habits { forgets: true, ..Habits::default() };
    let Some(mut stage) = Stage::new("forgotten", habits) else { return };
    stage.chosen(true);
    let refused = stage.store("AT2");
    assert_eq!(refused.code(5), "AUTH_STORE_WRITE_FAILED");
    assert!(message(&refused).contains("does not read back"), "{}", refused.stderr);
    assert!(refused.json().get("storage").is_none() && !refused.stdout.contains("stored"));
    assert_eq!(stage.in_files(), (false, false));

    stage.chosen(false);
    let stored = stage.store("AT2");
    went_to_files(&stored);
    assert!(stored.stderr.contains("does not give back what it was given"), "{}", stored.stderr);
    assert_eq!(stage.in_files(), (true, true));
    assert_eq!(stage.run("get").ok()["storage"], "plaintext");
    assert_eq!(stage.held().len(), 0);
}

#[test]
fn a_keyring_that_forgets_a_new_value_leaves_the_old_one_and_says_so() {
    let Some(stage) = Stage::seeded("kept") else { return };
    stage.scripted.behave(Habits { forgets: true, ..Habits::default() });
    assert_eq!(stage.store("AT2").code(5), "AUTH_STORE_WRITE_FAILED");
    assert_eq!(stage.run("get").ok()["accessToken"], "AT1");
}

#[test]
fn what_a_keyring_refuses_is_denied_and_never_put_elsewhere() {
    for (method, verbs) in [("SearchItems", ["get", "store", "erase"].as_slice()), ("CreateItem", &["store"])]
    {
        let refuses = Some((method, DENIED));
        for chosen in [false, true] {
            let Some(mut stage) = Stage::new("denied", Habits { refuses, ..Habits::default() }) else {
                return;
            };
            stage.chosen(chosen);
            for verb in verbs {
                let answer = stage.run(verb);
                assert_eq!(answer.code(5), "STORE_DENIED", "{verb} without {method}");
                assert_eq!(answer.stderr.lines().count(), 1, "{}", answer.stderr);
            }
            assert_eq!((stage.in_files(), stage.held().len()), ((false, false), 0));
        }
    }
}

/// A method, the verb that needs it, and whether a session is there already.
const NEEDED: [(&str, &str, bool); 15] = [
    ("OpenSession", "get", true),
    ("OpenSession", "store", false),
    ("SearchItems", "get", true),
    ("SearchItems", "store", false),
    ("SearchItems", "erase", true),
    ("ReadAlias", "get", false),
    ("ReadAlias", "store", false),
    ("Locked", "get", false),
    ("Locked", "store", false),
    ("CreateItem", "store", false),
    ("GetSecret", "get", true),
    ("GetSecret", "erase", true),
    ("SetSecret", "store", true),
    ("SetSecret", "erase", true),
    ("Delete", "erase", true),
];

fn never_answered(method: &'static str, verb: &str, seeded: bool, chosen: bool) {
    let what = format!("{verb} without {method}, by choice: {chosen}");
    let account = format!("silent-{}-{verb}-{chosen}", method.to_lowercase());
    let Some(mut stage) = Stage::new(&account, Habits::default()) else { return };
    stage.chosen(chosen);
    if seeded {
        stage.store("AT1").ok();
    }
    let pinned = stage.in_files().1;
    stage.scripted.behave(Habits { silent_on: Some(method), ..Habits::default() });
    let begun = Instant::now();
    let answer = stage.run(verb);
    let took = begun.elapsed();
    assert_eq!(answer.code(5), "STORE_TIMEOUT", "{what}");
    assert!(message(&answer).contains("did not answer within 1 s"), "{what}: {}", answer.stderr);
    assert!(took < Duration::from_secs(10), "{what}: {took:?}");
    assert_eq!(stage.in_files(), (false, pinned), "{what}");

    stage.scripted.behave(Habits::default());
    assert_eq!(stage.store("AT3").ok()["storage"], "keyring", "{what}");
    assert_eq!(stage.run("get").ok()["accessToken"], "AT3", "{what}");
    assert_eq!(stage.run("erase").ok()["erased"], true, "{what}");
    assert_eq!(stage.held(), Vec::<String>::new(), "{what}");
}

/// Each case waits for its deadline; all of them wait at once.
#[test]
fn a_method_that_is_never_answered_is_a_timeout_and_what_comes_after_it_works() {
    std::thread::scope(|cases| {
        for (method, verb, seeded) in NEEDED {
            for chosen in [false, true] {
                cases.spawn(move || never_answered(method, verb, seeded, chosen));
            }
        }
    });
}

#[test]
fn a_refresh_whose_keyring_says_nothing_to_the_write_does_not_spend_the_token() {
    let Some(stage) = Stage::new("unspent", Habits::default()) else { return };
    let server = Server::start("RT1-first");
    stage.sandbox.run("store", &stage.refreshable(&server)).ok();
    stage.scripted.behave(Habits { silent_on: Some("SetSecret"), ..Habits::default() });
    assert_eq!(stage.run("get").code(5), "STORE_TIMEOUT");
    assert_eq!(server.token_requests(), 0, "the server was not asked");
    stage.scripted.behave(Habits::default());
    assert_eq!(stage.run("get").ok()["outcome"], "refreshed");
}

#[test]
fn a_probe_that_is_not_deleted_in_time_is_a_timeout_and_not_a_keyring_to_use() {
    let Some(stage) = Stage::new("probed", Habits { silent_on: Some("Delete"), ..Habits::default() }) else {
        return;
    };
    assert_eq!(stage.store("AT2").code(5), "STORE_TIMEOUT");
    assert_eq!((stage.in_files(), stage.held().len()), ((false, false), 0));
    stage.scripted.behave(Habits::default());
    assert_eq!(stage.store("AT2").ok()["storage"], "keyring");
}

#[test]
fn without_a_default_collection_there_is_nothing_and_nowhere_to_keep_it() {
    let habits = Habits { no_default_collection: true, ..Habits::default() };
    let Some(mut stage) = Stage::new("homeless", habits) else { return };
    stage.chosen(true);
    assert_eq!(stage.run("get").code(1), "ACCOUNT_NOT_FOUND");
    let refused = stage.store("AT2");
    assert_eq!(refused.code(5), "STORE_UNAVAILABLE");
    assert!(message(&refused).contains("no default collection"), "{}", refused.stderr);
    assert_eq!(stage.in_files(), (false, false));

    stage.chosen(false);
    assert_eq!(stage.run("get").code(1), "ACCOUNT_NOT_FOUND");
    let stored = stage.store("AT2");
    went_to_files(&stored);
    assert_eq!(stage.run("get").ok()["accessToken"], "AT2");
}

#[test]
fn of_two_items_of_one_slot_the_one_last_changed_is_read_and_both_are_erased() {
    let Some(stage) = Stage::seeded("twofold") else { return };
    let (attributes, secret) = stage.scripted.items().remove(0);
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
    let planted = String::from_utf8(secret).unwrap().replace("AT1", "AT-planted");
    stage.scripted.plant(&attributes, planted.as_bytes());
    assert_eq!(stage.run("get").ok()["accessToken"], "AT-planted");
    stage.store("AT3").ok();
    assert_eq!(stage.run("get").ok()["accessToken"], "AT3");
    let held = stage.held();
    assert!(held.iter().any(|value| value.contains("AT3")), "{held:?}");
    assert!(!held.iter().any(|value| value.contains("AT-planted")), "the one read is the one written over");
    assert_eq!(stage.run("erase").ok()["erased"], true);
    assert_eq!((stage.scripted.items().len(), stage.run("get").exit), (0, 1));
}

#[test]
fn a_refresh_overwrites_in_place_where_items_move_and_show_attributes_nobody_gave() {
    let habits = Habits { extra_attributes: true, moves_on_replace: true, ..Habits::default() };
    let Some(stage) = Stage::new("moving", habits) else { return };
    let server = Server::start("RT1-first");
    stage.sandbox.run("store", &stage.refreshable(&server)).ok();
    let made = stage.scripted.calls("CreateItem");
    for round in 2..4 {
        let request = json!({ "service": SERVICE, "account": "moving", "forceRefresh": round > 2 });
        assert_eq!(stage.sandbox.run("get", &request).ok()["outcome"], "refreshed");
        let held = stage.held();
        assert_eq!(held.len(), 2);
        for token in [format!("AT{round}-"), format!("RT{round}-")] {
            assert!(held.iter().any(|value| value.contains(&token)), "{token}: {held:?}");
        }
        assert_eq!(stage.run("get").ok()["outcome"], "cached");
    }
    assert_eq!(stage.scripted.calls("CreateItem"), made, "nothing new is made");
    assert_eq!((server.token_requests(), server.log(|log| log.reused)), (2, 0));
}

#[test]
fn a_process_opens_one_session_with_the_service() {
    let Some(stage) = Stage::new("single", Habits::default()) else { return };
    let server = Server::start("RT1-first");
    // A refresh is carried out by a second process.
    for (verb, sessions) in [("store", 1), ("get", 3), ("erase", 4)] {
        let request = if verb == "store" { stage.refreshable(&server) } else { stage.wanted() };
        stage.sandbox.run(verb, &request).ok();
        assert_eq!(stage.scripted.calls("OpenSession"), sessions, "{verb}");
    }
    assert_eq!(server.token_requests(), 1, "a refresh was among them");
}

#[test]
fn a_refresh_is_not_begun_with_a_keyring_that_forgets() {
    let Some(stage) = Stage::new("forgetful", Habits::default()) else { return };
    stage.sandbox.configure("[timeouts]\nkeyring = 1\nrequest = 2\n");
    let server = Server::start("RT1-first");
    stage.sandbox.run("store", &stage.refreshable(&server)).ok();
    stage.scripted.behave(Habits { forgets: true, ..Habits::default() });
    assert_eq!(stage.run("get").exit, 5);
    assert_eq!(server.token_requests(), 0, "the refresh token is not spent");
}

#[test]
fn what_the_keyrings_library_prints_never_reaches_the_reply() {
    let habits = Habits { create_by_prompt: true, completes_with_nonsense: true, ..Habits::default() };
    let Some(stage) = Stage::new("nonsense", habits) else { return };
    // The library prints what it cannot understand to standard output.
    let answer = stage.store("AT1");
    assert!(answer.stderr.contains("result") || answer.stderr.contains("Cast"), "it did: {}", answer.stderr);
    assert_eq!(answer.json()["version"], 1, "one line of JSON and nothing else");
}

#[test]
fn an_answer_the_keyrings_library_fails_over_is_an_error_and_no_downgrade() {
    let Some(mut stage) = Stage::seeded("garbled") else { return };
    stage.scripted.behave(Habits { garbles_secrets: true, ..Habits::default() });
    assert_eq!(stage.run("get").code(5), "AUTH_STORE_READ_FAILED");
    stage.leave_home();
    let answer = stage.store("AT2");
    assert_eq!(answer.code(5), "AUTH_STORE_READ_FAILED");
    assert_eq!(stage.in_files(), (false, false), "no token in a file, and nothing is pinned");
    assert!(!answer.stderr.contains("AT"), "{}", answer.stderr);
}

#[test]
fn whoever_answers_with_an_error_is_there_and_is_never_passed_by_for_a_file() {
    for method in ["OpenSession", "SearchItems", "CreateItem", "GetSecret", "Delete"] {
        for error in [
            "org.freedesktop.DBus.Error.Failed",
            "org.freedesktop.DBus.Error.LimitsExceeded",
            "org.freedesktop.DBus.Error.UnknownMethod",
            "org.freedesktop.Secret.Error.NoSession",
            "org.gtk.GDBus.UnmappedGError.Quark._code",
        ] {
            let habits = Habits { refuses: Some((method, error)), ..Habits::default() };
            let Some(stage) = Stage::new("erring", habits) else { return };
            // That is what an item says which has vanished meanwhile: it is deleted, or forgotten.
            if ["Delete", "GetSecret"].contains(&method) && error.ends_with("UnknownMethod") {
                continue;
            }
            assert_eq!(stage.store("AT1").exit, 5, "{method}: {error}");
            assert_eq!(
                stage.in_files(),
                (false, false),
                "{method}: {error}: nothing in a file, nothing pinned"
            );
        }
    }
}
