//! What callers saw in a storm, and whether any order of one thing after the other could have shown them that.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Answer;
use super::server::families;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    /// Of the login that began this family.
    Store(usize),
    Erase,
}

/// One call, as its caller saw it.
pub struct Call {
    pub verb: Verb,
    pub account: usize,
    pub begun: Instant,
    pub ended: Instant,
    /// `None`: killed, and nobody knows what it has done.
    pub answer: Option<Answer>,
}

impl Call {
    fn is_done(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.exit == 0)
    }

    fn overlaps(&self, begun: Instant, ended: Instant) -> bool {
        self.begun < ended && self.ended > begun
    }
}

/// What is wrong with the calls of one account. From `dies` on its session may have been lost for good; from
/// `orphaned` on a refresh may have failed because whoever worked for the caller was killed.
pub fn faults(calls: &[&Call], dies: Option<Instant>, orphaned: Option<Instant>) -> Vec<String> {
    let mut faults = Vec::new();
    let with = |wanted: fn(Verb) -> bool| calls.iter().copied().filter(move |call| wanted(call.verb));
    let stores: Vec<&Call> = with(|verb| matches!(verb, Verb::Store(_))).collect();
    let erases: Vec<&Call> = with(|verb| verb == Verb::Erase).collect();
    for call in stores.iter().chain(&erases) {
        if let Some(answer) = call.answer.as_ref().filter(|answer| answer.exit != 0) {
            faults.push(format!("{:?} failed: {}", call.verb, answer.stdout));
        }
    }
    for get in with(|verb| verb == Verb::Get) {
        let Some(answer) = &get.answer else { continue };
        match answer.exit {
            0 => faults.extend(served(get, answer, &stores, &erases)),
            1 => faults.extend(missed(get, &stores, &erases)),
            3 if dies.is_some_and(|dies| dies < get.ended) => {}
            4 if orphaned.is_some_and(|orphaned| orphaned < get.ended)
                && answer.code(4) == "AUTH_REFRESH_TRANSIENT" => {}
            _ => faults.push(format!("a get failed: {}", answer.stdout)),
        }
    }
    faults.extend(went_back(calls));
    faults
}

/// A token was given out: its family was stored, and neither ended nor replaced before the call began.
fn served(get: &Call, answer: &Answer, stores: &[&Call], erases: &[&Call]) -> Option<String> {
    let token = answer.json()["accessToken"].as_str().expect("a get gives a token").to_owned();
    let family = families::parse(&token).expect("the token is the server's").0;
    let Some(store) = stores.iter().find(|store| store.verb == Verb::Store(family)) else {
        return Some(format!("{token} was given out, and never stored for this account"));
    };
    if store.begun > get.ended {
        return Some(format!("{token} was given out before it was stored"));
    }
    let between = |call: &&&Call| call.is_done() && call.begun > store.ended && call.ended < get.begun;
    if erases.iter().find(between).is_some() {
        return Some(format!("{token} was given out after an erase had ended its session"));
    }
    let newer = stores.iter().find(between)?;
    Some(format!("{token} was given out after {:?} had replaced its session", newer.verb))
}

/// Nothing was found: an erase was under way, or came after the last store that was over.
fn missed(get: &Call, stores: &[&Call], erases: &[&Call]) -> Option<String> {
    let store =
        stores.iter().filter(|store| store.is_done() && store.ended < get.begun).max_by_key(|s| s.begun)?;
    let ended = erases.iter().any(|erase| erase.overlaps(store.begun, get.ended));
    (!ended).then(|| format!("nothing was found after {:?}, and no erase had begun since", store.verb))
}

/// A call that began after another had ended never has an older token of the same family.
fn went_back(calls: &[&Call]) -> Vec<String> {
    let mut seen: BTreeMap<usize, Vec<(Instant, Instant, usize)>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.verb == Verb::Get && call.is_done()) {
        let reply = call.answer.as_ref().expect("it is done").json();
        let token = reply["accessToken"].as_str().expect("a get gives a token");
        let (family, number) = families::parse(token).expect("the token is the server's");
        seen.entry(family).or_default().push((call.begun, call.ended, number));
    }
    let mut faults = Vec::new();
    for (family, gets) in seen {
        for (_, ended, number) in &gets {
            if let Some((_, _, older)) = gets.iter().find(|(begun, _, later)| begun > ended && later < number)
            {
                faults.push(format!("family {family} went back from token {number} to token {older}"));
            }
        }
    }
    faults
}
