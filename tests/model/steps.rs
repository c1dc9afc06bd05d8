//! What may happen to a machine: the steps a sequence is made of, and how they are drawn.
//!
//! A step says nothing of what came before it: what it points at, "the token of the second session", is looked up
//! when it is played. So any part of a sequence is a sequence, and a failing one can be cut down.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::server::{Answer, answers};

/// The services there are; the path of the third has two stored prefixes, that of the last none of its own.
pub const SERVICES: [&str; 5] = [
    "https://api.example",
    "https://git.example",
    "https://git.example/org",
    "https://git.example/org/app",
    "https://git.example/organ",
];
/// The accounts there are. The last is also what sessions are labelled with.
pub const ACCOUNTS: [&str; 3] = ["alice", "bob", "work"];
pub const LABEL: &str = "work";
pub const PROFILE: &str = "ci";

/// Where a session's refresh token goes, as a `store` may say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub issuer: Option<&'static str>,
    pub endpoint: &'static str,
    pub id: &'static str,
    pub revocation: Option<&'static str>,
    pub secret: Option<&'static str>,
}

const CLIENT: Client =
    Client { issuer: None, endpoint: "https://id.example/token", id: "cli", revocation: None, secret: None };

/// Those that agree with the first in all that counts, and those that do not.
const CLIENTS: [Client; 6] = [
    CLIENT,
    Client { revocation: Some("https://id.example/revoke"), ..CLIENT },
    Client { issuer: Some("https://id.example"), secret: Some("cs3cret"), ..CLIENT },
    Client { issuer: Some("https://id.example"), endpoint: "https://id.example/token2", ..CLIENT },
    Client { issuer: Some("https://other.example"), ..CLIENT },
    Client { id: "another", ..CLIENT },
];

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "so has the request")]
pub struct Store {
    pub service: &'static str,
    pub account: &'static str,
    /// With the access token that was given out last, as somebody does who has one for two services.
    pub again: bool,
    pub profile: bool,
    pub label: bool,
    pub services: Vec<&'static str>,
    pub refresh: bool,
    pub client: Option<Client>,
    pub expiry: Expiry,
    pub make_default: Option<bool>,
    pub replace: bool,
}

/// When a stored token ends.
#[derive(Clone, Copy, Debug)]
pub enum Expiry {
    Unknown,
    In(i64),
    /// So many seconds from now, given as a time.
    At(i64),
}

#[derive(Clone, Debug)]
pub struct Get {
    pub service: &'static str,
    pub account: Option<&'static str>,
    pub profile: bool,
    pub min_validity: Option<i64>,
    pub force: bool,
}

#[derive(Clone, Debug)]
pub struct Erase {
    pub service: &'static str,
    pub account: Option<&'static str>,
    pub profile: bool,
    pub token: Option<Token>,
}

/// Which access token an `erase` names.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    /// That of one of the sessions there are.
    Of(usize),
    /// One of those there have ever been.
    Past(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Clock {
    By(i64),
    To(i64),
    /// To where one of the sessions ends, and so many seconds on.
    Expiry(usize, i64),
}

#[derive(Clone, Debug)]
pub enum Step {
    Store(Store),
    Get(Get, Answer),
    /// The process dies in mid-`get`, before or after so many calls of the store.
    Dies {
        get: Get,
        at: usize,
        after: bool,
    },
    Erase(Erase, Answer),
    List(Option<&'static str>),
    /// All sessions to files, or back.
    Move {
        to_files: bool,
    },
    Clock(Clock),
}

/// A sequence, on a machine that keeps the locks of both backends in one folder or in two.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub one_folder: bool,
    pub steps: Vec<Step>,
}

pub fn sequences(longest: usize) -> impl Strategy<Value = Sequence> {
    // Where nothing is stored, nothing happens.
    let first = vec(store().prop_map(Step::Store), 1..=3);
    (any::<bool>(), first, vec(step(), 1..=longest - 3))
        .prop_map(|(one_folder, first, then)| Sequence { one_folder, steps: [first, then].concat() })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => store().prop_map(Step::Store),
        12 => (get(), answers()).prop_map(|(get, answer)| Step::Get(get, answer)),
        1 => (get(), 0..12_usize, any::<bool>()).prop_map(|(get, at, after)| Step::Dies { get, at, after }),
        2 => (erase(), answers()).prop_map(|(erase, answer)| Step::Erase(erase, answer)),
        1 => proptest::option::of(select(&SERVICES[..])).prop_map(Step::List),
        1 => any::<bool>().prop_map(|to_files| Step::Move { to_files }),
        6 => clock().prop_map(Step::Clock),
    ]
}

/// Mostly the same few, so that steps meet.
fn service() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(SERVICES[0]), 4 => select(&SERVICES[..])]
}

fn account() -> impl Strategy<Value = &'static str> {
    prop_oneof![7 => Just(ACCOUNTS[0]), 3 => select(&ACCOUNTS[..])]
}

fn profile() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.1)
}

fn lifetime() -> impl Strategy<Value = i64> {
    select(vec![0, 1, 29, 31, 59, 61, 599, 600, 601, 900, 3600, 3600, 3600, 86_400, 315_576_000])
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        1 => Just(Expiry::Unknown),
        4 => lifetime().prop_map(Expiry::In),
        1 => lifetime().prop_map(Expiry::At),
        1 => lifetime().prop_map(|seconds| Expiry::At(-seconds)),
    ]
}

fn store() -> impl Strategy<Value = Store> {
    let who =
        (service(), account(), proptest::bool::weighted(0.15), profile(), proptest::bool::weighted(0.3));
    let client = prop_oneof![
        4 => Just(Some(CLIENTS[1])),
        4 => select(&CLIENTS[..]).prop_map(Some),
        1 => Just(None),
    ];
    let how = (proptest::bool::weighted(0.8), client, expiry());
    let what = (
        vec(select(&SERVICES[..]), 0..3),
        select(vec![None, None, None, Some(true), Some(false)]),
        proptest::bool::weighted(0.3),
    );
    (who, how, what).prop_map(
        |(
            (service, account, again, profile, label),
            (refresh, client, expiry),
            (services, make_default, replace),
        )| {
            Store {
                service,
                account,
                again,
                profile,
                label,
                services,
                refresh,
                client,
                expiry,
                make_default,
                replace,
            }
        },
    )
}

fn get() -> impl Strategy<Value = Get> {
    let validity = select(vec![0, 1, 29, 30, 31, 60, 299, 300, 301, 600, 3600, 315_576_000]);
    let who = (service(), proptest::option::weighted(0.4, account()), profile());
    let how = (proptest::option::weighted(0.25, validity), proptest::bool::weighted(0.3));
    (who, how).prop_map(|((service, account, profile), (min_validity, force))| Get {
        service,
        account,
        profile,
        min_validity,
        force,
    })
}

fn erase() -> impl Strategy<Value = Erase> {
    let token = prop_oneof![
        2 => Just(None),
        2 => (0..4_usize).prop_map(|nth| Some(Token::Of(nth))),
        1 => (0..8_usize).prop_map(|nth| Some(Token::Past(nth))),
    ];
    let who = (service(), proptest::option::weighted(0.4, account()), profile());
    (who, token).prop_map(|((service, account, profile), token)| Erase { service, account, profile, token })
}

/// 2038-01-19T03:14:07Z, the last second of 31 bits, and 2106-02-07T06:28:15Z, the last of 32.
const ENDS: [i64; 2] = [i32::MAX as i64, u32::MAX as i64];

fn clock() -> impl Strategy<Value = Clock> {
    const YEARS: i64 = 10 * 365 * 86_400;
    let small = select(vec![1, 2, 3, 5, 9, 20, 29, 30, 31, 60, 120, 270, 299, 300, 301, 600, 1800]);
    let far = select(vec![3600, 86_399, 86_400, 86_401, 604_800, YEARS]);
    let end = (select(&ENDS[..]), -1..=1_i64).prop_map(|(end, by)| Clock::To(end + by));
    prop_oneof![
        6 => small.clone().prop_map(Clock::By),
        2 => small.prop_map(|seconds| Clock::By(-seconds)),
        1 => far.clone().prop_map(Clock::By),
        1 => far.prop_map(|seconds| Clock::By(-seconds)),
        1 => Just(Clock::To(0)),
        1 => end,
        6 => (0..4_usize, select(vec![-400, -301, -300, -285, -270, -31, -30, -29, -1, 0, 1]))
            .prop_map(|(nth, by)| Clock::Expiry(nth, by)),
    ]
}
