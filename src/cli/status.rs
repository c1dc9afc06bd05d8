//! What `status` says: a row for each session, and under it what is wrong with it.

use crate::message::{Standing, Status};
use crate::text::Escaped;
use crate::time::Timestamp;

const HEAD: [&str; 7] = ["PROVIDER", "SERVICE", "ACCOUNT", "DEFAULT", "EXPIRES", "REFRESHES", "KEPT IN"];

pub(super) fn status(status: &Status) -> String {
    let kept =
        format!("New sessions are kept in {}, decided by {}.\n", status.storage.words(), status.decided_by);
    if status.sessions.is_empty() {
        return format!(
            "There is no session; `claviger login PROVIDER` signs in, `claviger providers list` names providers.\n{kept}"
        );
    }
    let rows: Vec<[String; 7]> = status.sessions.iter().map(row).collect();
    let mut widths = HEAD.map(|head| head.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut lines = vec![line(HEAD.map(str::to_owned).as_ref(), &widths)];
    for (row, standing) in rows.iter().zip(&status.sessions) {
        lines.push(line(row, &widths));
        let others = standing.services.iter().filter(|service| **service != standing.name.service);
        lines.extend(others.map(|service| format!("  opens {service} too\n")));
        lines.extend(standing.obtained_at.map(|at| format!("  last obtained {at}\n")));
        lines.extend(standing.problems.iter().map(|problem| format!("  ! {problem}\n")));
    }
    lines.concat() + &kept
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

fn row(standing: &Standing) -> [String; 7] {
    let name = &standing.name;
    let profile = name.profile.as_ref().map(|profile| format!(" ({})", profile.as_str())).unwrap_or_default();
    let label = standing.label.as_ref().map(|label| format!(" [{}]", Escaped(label))).unwrap_or_default();
    let default = match (standing.default_of.len(), standing.services.len()) {
        (0, _) => "no",
        (some, all) if some < all => "for some",
        _ => "yes",
    };
    [
        standing.provider.clone().unwrap_or_else(|| "-".to_owned()),
        name.service.to_string(),
        format!("{}{label}{profile}", Escaped(name.account.as_str())),
        default.to_owned(),
        expiry(standing.expires_at, standing.expires_in),
        match standing.has_refresh_token {
            _ if standing.machine => "by itself",
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        }
        .to_owned(),
        standing.storage.words().to_owned(),
    ]
}

/// In words: nobody wants to subtract times.
fn expiry(at: Option<Timestamp>, left: Option<i64>) -> String {
    match (at, left) {
        (None, _) | (_, None) => "not known".to_owned(),
        (_, Some(left)) if left > 0 => format!("in {}", span(left)),
        (_, Some(left)) => format!("ended {} ago", span(left.saturating_neg())),
    }
}

fn span(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_in_words() {
        let at = Some(Timestamp::from_unix(0));
        for (left, words) in [
            (1, "in 1 second"),
            (59, "in 59 seconds"),
            (60, "in 1 minute"),
            (3599, "in 59 minutes"),
            (7200, "in 2 hours"),
            (172_800, "in 2 days"),
            (0, "ended 0 seconds ago"),
            (-90, "ended 1 minute ago"),
        ] {
            assert_eq!(expiry(at, Some(left)), words);
        }
        assert_eq!(expiry(None, None), "not known");
    }
}
