//! `doctor`: what is wrong with where tokens are kept, in words, with the remedy; and with `fix`, the remedy done.
//!
//! Every check does what a real call would do, under the same conditions. No token is ever shown, and nothing is
//! mended that could cost a session: what is deleted is a copy, a leftover, or a hint that is found again.

mod ground;
mod mend;
mod sessions;

use super::Call;
use crate::error;
use crate::lock::Attempt;
use crate::message::{Finding, Health, Outcome};
use crate::session::{SlotName, Storage};
use crate::store::mode::{Mode, Source};
use crate::store::{self, Piece};
use crate::text::Escaped;
use mend::Remedy;

/// A finding, and what `fix` would do about it.
struct Found {
    finding: Finding,
    remedy: Option<Remedy>,
}

/// The findings of one examination.
#[derive(Default)]
struct Chart(Vec<Found>);

impl Chart {
    fn good(&mut self, check: &'static str, message: impl Into<String>) {
        self.put(check, Health::Good, message.into(), String::new(), None);
    }

    fn note(&mut self, check: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.put(check, Health::Note, message.into(), hint.into(), None);
    }

    fn problem(&mut self, check: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.put(check, Health::Problem, message.into(), hint.into(), None);
    }

    /// A problem that `fix` mends.
    fn mendable(&mut self, check: &'static str, message: impl Into<String>, remedy: Remedy) {
        let hint = format!("`claviger doctor --fix` {}", remedy.words());
        self.put(check, Health::Problem, message.into(), hint, Some(remedy));
    }

    fn put(
        &mut self,
        check: &'static str,
        health: Health,
        message: String,
        hint: String,
        remedy: Option<Remedy>,
    ) {
        // One trouble of a folder that several checks come across is one trouble.
        let told = |found: &Found| found.finding.health == health && found.finding.message == message;
        if health == Health::Problem && self.0.iter().any(told) {
            return;
        }
        self.0.push(Found { finding: Finding { check, health, message, hint }, remedy });
    }
}

impl Call<'_> {
    pub(super) fn doctor(&self, fix: bool) -> Outcome {
        let mut chart = Chart::default();
        let mode = self.examine_choice(&mut chart);
        let reachable = self.examine_backends(mode, &mut chart);
        self.examine_locks(&reachable, &mut chart);
        self.examine_sessions(mode, &reachable, &mut chart);
        self.examine_litter(&mut chart);
        // What a choice for this call only makes of it, the next call would unmake.
        let lasting = !mode.source.is_ephemeral();
        let mend = |Found { finding, remedy }| match remedy {
            Some(remedy) if fix && (lasting || !remedy.takes_sides()) => self.mend(finding, remedy),
            Some(remedy) if remedy.takes_sides() && !lasting => {
                let hint = format!("run it without {}: that is for this call only", mode.source);
                Finding { hint, ..finding }
            }
            _ => finding,
        };
        // A move of everything last: it stops at what the others mend.
        let (last, first): (Vec<_>, Vec<_>) =
            chart.0.into_iter().partition(|found| matches!(found.remedy, Some(Remedy::MoveAll(_))));
        Outcome::Examined(first.into_iter().chain(last).map(mend).collect())
    }

    /// A machine that was renamed has lost its pin, and with it perhaps its sessions.
    fn examine_other_pins(&self, mode: Mode, chart: &mut Chart) {
        let machine = &self.world.settings.machine;
        let others = self.world.pin.of_others(machine).unwrap_or_default();
        for (named, storage) in others.into_iter().filter(|_| mode.source == Source::Default) {
            let message = format!(
                "nothing is pinned for this machine, {}; for {} it is {storage}",
                Escaped(machine),
                Escaped(&named)
            );
            let hint = format!("if that was its name, `claviger storage move {storage}` pins it anew");
            chart.note("storage", message, hint);
        }
    }

    /// Whether somebody alive is moving all sessions just now.
    fn is_being_moved(&self) -> bool {
        let attempt = self.world.locks.attempt(&SlotName::everything(), Storage::Plaintext, self.world.clock);
        matches!(attempt, Ok(Attempt::Busy(_)))
    }

    /// Which storage, and who decided it. A pin that cannot be read decides nothing for the rest of the examination.
    fn examine_choice(&self, chart: &mut Chart) -> Mode {
        let unread = match self.pinned_or_chosen() {
            Ok(mode) if mode.moving && self.is_being_moved() => {
                let message = format!("a move of all sessions to {} is under way", mode.storage.words());
                chart.note("storage", message, "");
                return mode;
            }
            Ok(mode) if mode.moving => {
                chart.mendable(
                    "storage",
                    format!("the move of all sessions to {} was not finished", mode.storage.words()),
                    Remedy::MoveAll(mode.storage),
                );
                return mode;
            }
            Ok(mode) => {
                chart.good("storage", format!("{}, decided by {}", mode.storage, mode.source));
                self.examine_other_pins(mode, chart);
                return mode;
            }
            Err(error) => error,
        };
        let failure = error::of_store(&unread);
        match unread {
            // A damaged pin says nothing; one of a newer version, or that could not be read just now, may.
            store::Error::Damaged { piece: Piece::Pin, .. } => {
                chart.mendable("storage", failure.message, Remedy::ClearPin);
            }
            _ => chart.problem("storage", failure.message, failure.hint),
        }
        Mode { storage: Storage::Keyring, source: Source::Default, moving: false }
    }
}
