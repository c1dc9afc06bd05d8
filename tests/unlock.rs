//! A keyring that is locked, whole or item by item: who is asked, how often, and what a verb does when nobody
//! answers. The real binary, against a Secret Service with chosen habits.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "how long another process takes is part of what is shown here")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::scripted::{Habits, Unlock};
use support::server::Server;
use support::stage::{DENIED, Stage, message, told};
use support::{SERVICE, finish};

#[test]
fn a_locked_keyring_is_opened_by_one_question_and_the_next_command_needs_none() {
    for hides_locked in [false, true] {
        for (verb, seeded) in [("get", true), ("store", true), ("store", false), ("erase", true)] {
            let Some(mut stage) = Stage::new("opened", Habits::default()) else { return };
            if seeded {
                stage.store("AT1").ok();
            }
            let unlock = Unlock::ByPrompt;
            stage.scripted.behave(Habits { locked: true, unlock, hides_locked, ..Habits::default() });
            stage.attended(true);
            let what = format!("{verb}, {}", if seeded { "once more" } else { "the first" });
            let answer = stage.run(verb);
            answer.ok();
            assert_eq!((told(&answer), stage.asked()), ((1, 1), 1), "{what}: {}", answer.stderr);
            stage.attended(false);
            let again = stage.store("AT3");
            assert_eq!(again.ok()["storage"], "keyring", "{what}");
            assert_eq!((told(&again), stage.asked()), ((0, 0), 1), "{what}: {}", again.stderr);
        }
    }
}

#[test]
fn where_nobody_sits_a_locked_keyring_is_an_error_at_once_and_nobody_is_asked() {
    let Some(mut stage) = Stage::seeded("nobody") else { return };
    for (unlock, hides_locked) in [(Unlock::ByPrompt, false), (Unlock::Never, true), (Unlock::AtOnce, false)]
    {
        stage.scripted.behave(Habits { locked: true, unlock, hides_locked, ..Habits::default() });
        for chosen in [false, true] {
            stage.chosen(chosen);
            for verb in ["get", "store", "erase"] {
                let begun = Instant::now();
                let answer = stage.run(verb);
                assert_eq!(answer.code(5), "STORE_LOCKED", "{verb}");
                assert!(message(&answer).contains("no desktop"), "{verb}: {}", answer.stderr);
                assert!(begun.elapsed() < Duration::from_millis(2500), "{verb} waits for nobody");
            }
        }
    }
    assert_eq!((stage.asked(), stage.scripted.calls("Unlock")), (0, 0));
    assert_eq!(stage.held().len(), 1);
}

fn not_opened(unlock: Unlock, words: &str, chosen: bool) {
    let what = format!("{words}, by choice: {chosen}");
    let Some(mut stage) = Stage::new("not-opened", Habits::default()) else { return };
    stage.scripted.plant(&[("service", "claviger"), ("username", "other#one")], b"{}");
    stage.scripted.behave(Habits { locked: true, unlock, ..Habits::default() });
    stage.attended(true);
    stage.chosen(chosen);
    for (count, verb) in ["store", "get"].into_iter().enumerate() {
        let answer = stage.run(verb);
        assert_eq!(answer.code(5), "STORE_LOCKED", "{verb}, {what}");
        assert!(message(&answer).contains(words), "{verb}, {what}: {}", answer.stderr);
        assert_eq!((told(&answer), stage.asked()), ((2, 1), count + 1), "{verb}, {what}: {}", answer.stderr);
    }
    assert_eq!(stage.in_files(), (false, false), "no token in a file, no pin: {what}");
    assert_eq!((stage.writes(), stage.held().len()), (0, 1), "{what}");
}

/// Each case waits for its answer; all of them wait at once.
#[test]
fn a_question_that_is_dismissed_or_not_answered_is_an_error_that_says_so_and_nothing_is_written() {
    std::thread::scope(|cases| {
        for chosen in [false, true] {
            cases.spawn(move || not_opened(Unlock::Dismissed, "dismissed", chosen));
            cases.spawn(move || not_opened(Unlock::Never, "nobody unlocked it within 2 s", chosen));
        }
    });
}

#[test]
fn a_service_that_refuses_to_unlock_is_asked_once() {
    let Some(mut stage) = Stage::seeded("unwilling") else { return };
    let refuses = Some(("Unlock", DENIED));
    stage.scripted.behave(Habits { locked: true, refuses, ..Habits::default() });
    stage.attended(true);
    for (count, verb) in ["get", "store"].into_iter().enumerate() {
        assert_eq!(stage.run(verb).code(5), "STORE_DENIED", "{verb}");
        assert_eq!((stage.scripted.calls("Unlock"), stage.asked()), (count + 1, 0));
    }
}

#[test]
fn items_locked_for_each_client_cost_each_process_one_question_at_most() {
    let habits = Habits { items_locked_per_client: true, unlock: Unlock::ByPrompt, ..Habits::default() };
    let Some(mut stage) = Stage::new("confirmed", habits) else { return };
    let server = Server::start("RT1-first");
    stage.attended(true);
    let mut asked = 0;
    let mut once = |stage: &Stage, verb: &str, request: &Value| {
        let answer = stage.sandbox.run(verb, request);
        let reply = answer.ok();
        let questions = stage.asked() - std::mem::replace(&mut asked, stage.asked());
        assert!(questions <= 1, "{verb} asked {questions} times");
        assert_eq!(told(&answer), (questions, questions), "{verb}: {}", answer.stderr);
        reply
    };
    once(&stage, "store", &stage.refreshable(&server));
    assert_eq!(once(&stage, "get", &stage.wanted())["outcome"], "refreshed");
    assert_eq!(once(&stage, "get", &stage.wanted())["outcome"], "cached");
    let index = stage.sandbox.home().join("index");
    std::fs::remove_dir_all(index).unwrap();
    assert_eq!(once(&stage, "get", &json!({ "service": SERVICE }))["outcome"], "cached", "found again");
    once(&stage, "store", &stage.bundle("AT3"));
    assert_eq!(stage.held().len(), 1, "the refresh token of before is gone");
    assert_eq!(once(&stage, "get", &stage.wanted())["accessToken"], "AT3");
}

#[test]
fn a_chosen_keyring_is_stored_into_over_an_item_of_another_client_after_one_question() {
    let habits = Habits { items_locked_per_client: true, unlock: Unlock::ByPrompt, ..Habits::default() };
    let Some(mut stage) = Stage::new("another-home", habits) else { return };
    stage.store("AT1").ok();
    stage.leave_home();
    stage.attended(true);
    stage.chosen(true);
    let stored = stage.store("AT2");
    stored.ok();
    assert_eq!((told(&stored), stage.asked(), stage.held().len()), ((1, 1), 1, 1));
}

#[test]
fn what_is_made_and_deleted_through_prompts_needs_nobody() {
    for completes_early in [false, true] {
        let habits = Habits {
            create_by_prompt: true,
            delete_by_prompt: true,
            extra_attributes: true,
            hides_locked: true,
            completes_early,
            ..Habits::default()
        };
        let Some(stage) = Stage::new("prompts", habits) else { return };
        let server = Server::start("RT1-first");
        assert_eq!(stage.sandbox.run("store", &stage.refreshable(&server)).ok()["storage"], "keyring");
        assert_eq!(stage.held().len(), 2);
        let refreshed = stage.run("get");
        assert_eq!(refreshed.ok()["outcome"], "refreshed");
        assert_eq!(stage.run("get").ok()["accessToken"], refreshed.json()["accessToken"]);
        assert_eq!(stage.run("erase").ok()["revocation"], "revoked");
        assert_eq!(stage.scripted.items().len(), 0);
        assert_eq!(stage.run("get").exit, 1);
    }
}

#[test]
fn a_look_asks_nobody_and_changes_nothing() {
    let Some(mut stage) = Stage::seeded("looked-at") else { return };
    let show = |stage: &Stage| {
        let mut command = stage.sandbox.command("storage");
        command.args(["show", "--json"]);
        finish(command, b"").ok()
    };
    let plain = Habits::default();
    let cases = [
        (plain.clone(), None),
        (Habits { locked: true, unlock: Unlock::ByPrompt, ..plain.clone() }, Some("STORE_LOCKED")),
        (
            Habits { locked: true, unlock: Unlock::AtOnce, hides_locked: true, ..plain.clone() },
            Some("STORE_LOCKED"),
        ),
        (Habits { items_locked_per_client: true, unlock: Unlock::ByPrompt, ..plain.clone() }, None),
        (Habits { create_by_prompt: true, delete_by_prompt: true, ..plain }, None),
    ];
    let before = stage.writes();
    for (habits, code) in cases {
        let readable = !habits.locked && !habits.items_locked_per_client;
        stage.scripted.behave(habits);
        for attended in [false, true] {
            stage.attended(attended);
            let shown = show(&stage);
            assert_eq!(shown["keyring"]["code"].as_str(), code, "{shown}");
        }
        stage.attended(false);
        let got = stage.run("get");
        if readable {
            assert_eq!(got.ok()["accessToken"], "AT1");
        } else {
            assert_eq!(got.code(5), "STORE_LOCKED");
        }
        assert_eq!((stage.asked(), stage.scripted.calls("Unlock"), stage.writes()), (0, 0, before));
    }
}

fn per_client() -> Habits {
    Habits { items_locked_per_client: true, unlock: Unlock::ByPrompt, ..Habits::default() }
}

#[test]
fn an_erase_of_items_locked_for_each_client_asks_and_ends_the_session() {
    let Some(mut stage) = Stage::new("ended", per_client()) else { return };
    stage.store("AT1").ok();
    stage.attended(true);
    assert_eq!(stage.run("erase").ok()["erased"], true);
    assert_eq!((stage.asked(), stage.held().len()), (1, 0));
}

#[test]
fn an_erase_of_one_rejected_token_asks_too() {
    let Some(mut stage) = Stage::new("dropped", per_client()) else { return };
    let server = Server::start("RT1-first");
    stage.sandbox.run("store", &stage.refreshable(&server)).ok();
    stage.attended(true);
    let mut rejected = stage.wanted();
    rejected["accessToken"] = json!("AT1-expired");
    assert_eq!(stage.sandbox.run("erase", &rejected).ok()["erased"], true);
}

#[test]
fn a_store_that_nobody_steered_asks_for_an_item_of_another_client_too() {
    let Some(mut stage) = Stage::new("another-home", per_client()) else { return };
    stage.store("AT1").ok();
    stage.leave_home();
    stage.attended(true);
    stage.store("AT2").ok();
    assert_eq!((stage.asked(), stage.held().len()), (1, 1));
}

#[test]
fn where_the_refresh_slot_alone_is_locked_somebody_is_asked_all_the_same() {
    let habits = || Habits { locked_ending: "/refresh", ..per_client() };
    for verb in ["get", "erase", "store"] {
        let Some(mut stage) = Stage::new("half", habits()) else { return };
        let server = Server::start("RT1-first");
        stage.sandbox.run("store", &stage.refreshable(&server)).ok();
        stage.attended(true);
        let answer = stage.run(verb);
        assert_eq!(answer.exit, 0, "{verb}: {} {}", answer.stdout, answer.stderr);
        assert_eq!((stage.asked(), server.log(|log| log.reused)), (1, 0), "{verb}");
    }
}
