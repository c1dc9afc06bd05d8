//! What `storage show` and `storage move` say.

use crate::message::{Relocated, Shown};
use crate::session::Storage;

pub(super) fn shown(shown: &Shown) -> String {
    let mut lines =
        vec![row("storage", &format!("{}, decided by {}", Storage::word(shown.storage), shown.decided_by))];
    if shown.in_use != shown.storage {
        lines.push(row(
            "in use",
            &format!("{}, as nobody chose and the keyring cannot be reached", Storage::word(shown.in_use)),
        ));
    }
    match shown.pin {
        Some(pin) if shown.moving => {
            lines.push(row("pin", &format!("{pin}; the move of all sessions there was not finished")));
        }
        Some(pin) => lines.push(row("pin", pin.as_str())),
        None => lines.push(row("pin", "none")),
    }
    lines.push(match &shown.keyring {
        None => row("keyring", "answers"),
        Some(failure) => row("keyring", &failure.message),
    });
    lines.push(row("state", &shown.state));
    let counts: Vec<String> =
        shown.sessions.iter().map(|(storage, count)| format!("{count} in {}", storage.words())).collect();
    lines.push(row("sessions", &counts.join(", ")));
    lines.concat()
}

pub(super) fn relocated(relocated: Relocated) -> String {
    let Relocated { to, moved } = relocated;
    let sessions = if moved == 1 { "1 session".to_owned() } else { format!("{moved} sessions") };
    format!("moved {sessions} to {}; new ones are kept there too\n", to.words())
}

fn row(name: &str, text: &str) -> String {
    format!("{name:<10}{text}\n")
}
