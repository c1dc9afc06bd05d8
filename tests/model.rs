//! Random sequences of calls, clocks and answers, each step held against a reference that was written from the
//! specification alone.
//!
//! Every run draws the same sequences. `PROPTEST_RNG_SEED=$RANDOM` draws others, `PROPTEST_CASES=50000` more of them;
//! both are printed with a failure.

#![allow(unreachable_pub, reason = "nothing outside this test can reach its parts")]

#[path = "model/choice.rs"]
mod choice;
#[path = "model/play.rs"]
mod play;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/renewal.rs"]
mod renewal;
#[path = "model/server.rs"]
mod server;
#[path = "model/steps.rs"]
mod steps;
mod support;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

const SEED: u64 = 1;
const SEQUENCES: u64 = 3000;
const LONGEST: usize = 30;

#[allow(clippy::disallowed_methods, reason = "the tests' own switch")]
fn said(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// What the sequences lead to, so that none of it goes untried unnoticed.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "cached", "refreshed", "stale", "STALE", "VALIDITY_SHORT", "origin", "account", "default", "only", "revoked",
    "failed", "unsupported", "skipped", "NOT_FOUND", "ACCOUNT_NOT_FOUND", "BAD_REQUEST", "CONFLICT",
    "AUTH_REFRESH_EXPIRED", "AUTH_REFRESH_UNAVAILABLE", "AUTH_REFRESH_TRANSIENT", "PROVIDER_REJECTED",
    "ENDPOINT_NOT_FOUND", "TLS_UNTRUSTED", "NO_ACCOUNT_SELECTED", "INTERNAL",
];

/// A number the environment gives.
fn given(variable: &str, otherwise: u64) -> u64 {
    said(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// One of two equal shares of the sequences: the two run side by side.
fn share(share: u64) {
    let (seed, cases) = (given("PROPTEST_RNG_SEED", SEED), given("PROPTEST_CASES", SEQUENCES));
    println!("PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases}");
    let config = Config {
        cases: u32::try_from(cases / 2).expect("not too many"),
        rng_seed: RngSeed::Fixed(seed * 2 + share),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let tally = play::Tally::default();
    let outcome = TestRunner::new(config).run(&steps::sequences(LONGEST), |sequence| {
        play::play(&sequence, &tally).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {
            let words = tally.into_inner();
            println!("{words:?}");
            for word in WORDS.iter().filter(|_| cases >= SEQUENCES) {
                assert!(
                    words.get(*word).is_some_and(|times| *times > 4),
                    "{word} is hardly ever seen: {words:?}"
                );
            }
        }
        Err(TestError::Fail(why, least)) => {
            panic!("program and reference part\n\n{}\n{why}\n", play::legible(&least))
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn whatever_happens_the_program_does_what_the_specification_says() {
    share(0);
}

#[test]
fn whatever_else_happens_it_does_so_too() {
    share(1);
}
