//! Random sequences of calls, clocks and answers, each step held against a reference that was written from the
//! specification alone.
//!
//! Every run draws the same sequences. Others are drawn with `PROPTEST_RNG_SEED=7` and the like, or `random`; more of
//! them with `PROPTEST_CASES=50000`. Which seed it was is printed.

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
const SEQUENCES: u32 = 3000;
const LONGEST: usize = 30;

#[allow(clippy::disallowed_methods, reason = "the tests' own switch")]
fn said(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn seed(share: u64) -> u64 {
    let said = said("PROPTEST_RNG_SEED");
    let seed = match said.as_deref() {
        None => SEED,
        Some("random") => {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes).expect("random numbers");
            u32::from_le_bytes(bytes).into()
        }
        Some(text) => text.parse().expect("PROPTEST_RNG_SEED is a number, or `random`"),
    };
    println!("PROPTEST_RNG_SEED={seed}");
    seed * 2 + share
}

/// One of two equal shares of the sequences: the two run side by side.
fn share(share: u64) {
    let cases = said("PROPTEST_CASES").map_or(SEQUENCES, |text| text.parse().expect("a number"));
    let config = Config {
        cases: cases / 2,
        rng_seed: RngSeed::Fixed(seed(share)),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config)
        .run(&steps::sequences(LONGEST), |sequence| play::play(&sequence).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => {}
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
