//! What `doctor` says: a line to a finding, the remedy indented below it, a count at the end.

use crate::dialect::native::health_name;
use crate::message::{Finding, Health};

pub(super) fn examined(findings: &[Finding]) -> String {
    let mut lines: Vec<String> = findings.iter().map(line).collect();
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    lines.push(match (count(Health::Problem), count(Health::Mended)) {
        (0, 0) => "nothing is wrong\n".to_owned(),
        (0, mended) => format!("{mended} mended, nothing is wrong any more\n"),
        (problems, 0) => format!("{problems} to be seen to\n"),
        (problems, mended) => format!("{mended} mended, {problems} to be seen to\n"),
    });
    lines.concat()
}

fn line(finding: &Finding) -> String {
    let Finding { check, health, message, hint } = finding;
    let remedy = if hint.is_empty() { String::new() } else { format!("{:19}{hint}\n", "") };
    format!("{:<9}{check:<10}{message}\n{remedy}", health_name(*health))
}
