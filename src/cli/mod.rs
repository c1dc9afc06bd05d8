//! Replies for people: what their commands print. With `--json` the reply is the native protocol's.

mod doctor;
mod providers;
mod session;
mod setup;
mod shapes;
mod status;
mod storage;

use crate::child;
use crate::dialect::{HandOver, Rendered, native, warned};
use crate::message::{Failure, Manner, Outcome, Warning};

/// Writes a reply for people: the outcome on standard output, warnings and failures on standard error.
#[must_use]
pub fn render(result: Result<Outcome, Failure>, warnings: &[Warning], manner: Manner) -> Rendered {
    let stderr = warned(warnings);
    match (result, manner) {
        (result, Manner::Json) => native::render(&result, warnings),
        (Ok(Outcome::Token(token)), Manner::Plain) => {
            let text = [token.access.expose(), "\n"].concat();
            Rendered { stdout: text.into_bytes().into(), stderr, exit: 0, then: None }
        }
        (Ok(Outcome::Token(token)), Manner::Header) => {
            let text = ["Authorization: ", &token.authorization(), "\n"].concat();
            Rendered { stdout: text.into_bytes().into(), stderr, exit: 0, then: None }
        }
        (Ok(Outcome::Token(token)), Manner::As(shape)) => match shapes::printed(&token, shape) {
            Some(stdout) => Rendered { stdout, stderr, exit: 0, then: None },
            None => render(Err(shapes::unprintable()), warnings, Manner::Plain),
        },
        (Ok(Outcome::Token(token)), Manner::Exec { variable, command }) => {
            let then = Some(HandOver { variable, token: token.access, command });
            Rendered { stdout: Vec::new().into(), stderr, exit: 0, then }
        }
        (Ok(outcome), _) => match words(&outcome) {
            Some(text) => {
                let exit = native::outcome_exit(&outcome);
                Rendered { stdout: text.into_bytes().into(), stderr, exit, then: None }
            }
            // A program's outcome has one form, whoever reads it.
            None => native::render(&Ok(outcome), warnings),
        },
        (Err(failure), manner) => {
            let exit = match manner {
                // The program's own exit statuses are the program's.
                Manner::Exec { .. } => child::FAILED,
                Manner::Text | Manner::Json | Manner::Plain | Manner::Header | Manner::As(_) => {
                    native::exit(failure.code)
                }
            };
            let stderr = stderr + &native::for_people(&failure);
            Rendered { stdout: Vec::new().into(), stderr, exit, then: None }
        }
    }
}

fn words(outcome: &Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::Shown(shown) => storage::shown(shown),
        Outcome::Relocated(relocated) => storage::relocated(*relocated),
        Outcome::Examined(findings) => doctor::examined(findings),
        Outcome::SignedIn(signed_in) => session::signed_in(signed_in),
        Outcome::SignedOut(signed_out) => session::signed_out(signed_out),
        Outcome::Chosen(chosen) => session::chosen(chosen),
        Outcome::Providers(listed) => providers::listed(listed),
        Outcome::ProviderAdded(added) => providers::added(added),
        Outcome::ProviderRemoved(removed) => providers::removed(removed),
        Outcome::Configured(done) => setup::configured(done),
        Outcome::Linked(linked) => setup::linked(linked),
        Outcome::Standing(standing) => status::status(standing),
        Outcome::Token(_)
        | Outcome::Stored(_)
        | Outcome::Erased(_)
        | Outcome::Listed(_)
        | Outcome::Capabilities(_)
        | Outcome::Tokens(_)
        | Outcome::Kept { .. }
        | Outcome::Registries(_) => return None,
    })
}
