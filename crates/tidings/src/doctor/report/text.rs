//! The report for people.

use std::fmt::Write;

use http::Uri;

use super::{
    super::{
        catalogue::{self, RULES},
        finding::Finding,
        fixes::{self, FIXES},
        numbers::lines,
    },
    Report, title,
};
use crate::cli::Severity;

/// Writes the report: the faults and their fixes first, then the measured values.
pub(super) fn report(report: &Report<'_>) -> String {
    let Report { url, case, findings, numbers, .. } = *report;
    let mut out = String::new();
    match findings.first() {
        None if case.is_cooperative() => {
            line(&mut out, &format!("{url} streams: the measurements show no fault."));
        }
        None => line(
            &mut out,
            &format!("{url}: the measurements show no fault, but not everything could be measured."),
        ),
        Some(_) if findings.iter().all(|finding| finding.severity == Severity::S3) => {
            line(&mut out, &format!("{url} works. It could be better:"));
        }
        Some(worst) => line(&mut out, &format!("{url}: {}", title(worst))),
    }
    let mut fixed: Vec<&str> = Vec::new();
    for finding in findings {
        line(&mut out, "");
        line(&mut out, &one_line(finding));
        line(&mut out, &format!("   {}", title(finding)));
        if fixed.contains(&finding.fix) {
            line(&mut out, &format!("   What to change: see above ({}).", finding.fix));
            continue;
        }
        fixed.push(finding.fix);
        line(&mut out, "   What to change:");
        for fix in fixes::text_for(finding.fix, &case.url).lines() {
            line(&mut out, &format!("     {fix}"));
        }
    }
    line(&mut out, "\nMeasured:");
    for number in lines(numbers) {
        line(&mut out, &format!("  {number}"));
    }
    line(&mut out, "Not measured:");
    for (what, why) in &case.not_measured {
        line(&mut out, &format!("  {what}: {why}"));
    }
    if let Some(finding) = findings.first() {
        line(&mut out, &format!("\nMore about it: tidings doctor --explain {}", finding.rule));
    }
    out
}

/// Severity, rule, numbers, hop, confidence and evidence.
pub(super) fn one_line(finding: &Finding) -> String {
    let hop = finding.hop.as_deref().unwrap_or("unknown");
    let Finding { rule, severity, confidence, measured, evidence, .. } = finding;
    format!("{} {rule}  {measured}  hop: {hop}  ({}: {evidence})", severity.name(), confidence.name())
}

/// Reports that the server could not be reached, with the next step.
pub(super) fn unreachable(url: &str, reason: &str) -> String {
    let hint = if reason.contains("certificate") {
        "this machine does not trust the certificate; set SSL_CERT_FILE to a file with the authority's certificate"
    } else {
        "nothing was measured; check that the server runs and that the address is right"
    };
    format!("tidings: cannot reach {url}: {reason}\nhint: {hint}\n")
}

/// The explanation of a rule or a fix, or the list of all. `None` if the name is neither.
pub(in crate::doctor) fn explain(name: &str) -> Option<String> {
    let mut out = String::new();
    if name == "all" {
        for rule in RULES {
            line(&mut out, &format!("{} {:<24}{}", rule.severity.name(), rule.name, rule.title));
        }
        let names: Vec<_> = FIXES.iter().map(|(name, _)| *name).collect();
        line(&mut out, &format!("\nFixes: {}", names.join(", ")));
        return Some(out);
    }
    let here = Uri::from_static("http://localhost/events");
    let rule = catalogue::rule(name);
    if let Some(rule) = rule {
        line(&mut out, &format!("{} {}\n{}\n\n{}\n", rule.severity.name(), rule.name, rule.title, rule.why));
    }
    let fix = rule.map_or(name, |rule| rule.fix);
    fixes::text(fix)?;
    line(&mut out, &format!("{} ({fix})", fixes::text_for(fix, &here)));
    Some(out)
}

/// Writes a line without terminal control characters, because some of the text comes from the server.
fn line(out: &mut String, text: &str) {
    let text: String =
        text.chars().filter(|character| *character == '\n' || !character.is_control()).collect();
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::{super::made::held_by_nginx, *};

    #[test]
    fn the_first_screen_says_what_to_change_before_any_number() {
        let text = held_by_nginx(report);
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is in {text}"));
        assert!(place("held back and arrive late") < place("S1 buffered"));
        assert!(place("location /events {") < place("proxy_buffering off;"));
        assert!(place("proxy_buffering off;") < place("Measured:"));
        assert!(place("Not measured:") < place("HTTP/3"));
    }

    #[test]
    fn every_rule_and_every_fix_can_be_explained() {
        for name in RULES.iter().map(|rule| rule.name).chain(FIXES.iter().map(|(name, _)| *name)) {
            assert!(explain(name).is_some_and(|text| text.lines().count() >= 2), "{name}");
        }
        assert!(explain("all").unwrap().contains("buffered"));
        assert_eq!(explain("nonsense"), None);
    }
}
