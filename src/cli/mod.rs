//! Replies for people: what their commands print. With `--json` the reply is the native protocol's.

mod doctor;
mod storage;

use crate::dialect::{Rendered, native};
use crate::message::{Failure, Outcome, Warning};

/// Writes a reply for people: the outcome on standard output, warnings and failures on standard error.
#[must_use]
pub fn render(result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
    let lines: Vec<String> =
        warnings.iter().map(|warning| format!("claviger: warning: {}\n", warning.message)).collect();
    let mut stderr = lines.concat();
    match result {
        Ok(outcome) => {
            let text = match outcome {
                Outcome::Shown(shown) => storage::shown(shown),
                Outcome::Relocated(relocated) => storage::relocated(*relocated),
                Outcome::Examined(findings) => doctor::examined(findings),
                // A program's outcome has one form, whoever reads it.
                Outcome::Token(_)
                | Outcome::Stored(_)
                | Outcome::Erased(_)
                | Outcome::Listed(_)
                | Outcome::Capabilities(_) => return native::render(result, warnings),
            };
            let exit = native::outcome_exit(outcome);
            Rendered { stdout: text.into_bytes().into(), stderr, exit }
        }
        Err(failure) => {
            stderr += &native::for_people(failure);
            Rendered { stdout: Vec::new().into(), stderr, exit: native::exit(failure.code) }
        }
    }
}
