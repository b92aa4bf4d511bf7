//! What was found, in words and as JSON.

use std::{fmt::Write, io::Write as _};

use http::Uri;
use serde_json::{Map, Value, json};

use super::{
    case::Case,
    catalogue::{self, RULES},
    finding::Finding,
    fixes::{self, FIXES},
    numbers::lines,
};
use crate::cli::Severity;

/// Prints the report to standard output.
pub(super) fn print(
    url: &str,
    case: &Case,
    findings: &[Finding],
    numbers: &Map<String, Value>,
    as_json: bool,
) {
    let report = if as_json {
        format!("{}\n", json(url, case, findings, numbers))
    } else {
        text(url, case, findings, numbers)
    };
    say(&report);
}

/// The report for people: what is wrong and what to change first, the numbers after it.
fn text(url: &str, case: &Case, findings: &[Finding], numbers: &Map<String, Value>) -> String {
    let mut out = String::new();
    let title = |finding: &Finding| catalogue::rule(finding.rule).map_or("", |rule| rule.title);
    match findings.first() {
        None if case.is_cooperative() => {
            line(&mut out, &format!("{url} streams: nothing is wrong with what was measured."));
        }
        None => line(
            &mut out,
            &format!("{url}: nothing is wrong with what was measured, which is less than all."),
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
fn one_line(finding: &Finding) -> String {
    let hop = finding.hop.as_deref().unwrap_or("unknown");
    let Finding { rule, severity, confidence, measured, evidence, .. } = finding;
    format!("{} {rule}  {measured}  hop: {hop}  ({}: {evidence})", severity.name(), confidence.name())
}

/// One object, whose members keep their names and meanings.
fn json(url: &str, case: &Case, findings: &[Finding], numbers: &Map<String, Value>) -> Value {
    json!({
        "url": url,
        "verdict": if findings.is_empty() { "clean" } else { "findings" },
        "findings": findings.iter().map(|finding| json_finding(finding, &case.url)).collect::<Vec<_>>(),
        "numbers": numbers,
        "not_measured": case.not_measured.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect::<Vec<_>>(),
    })
}

fn json_finding(finding: &Finding, url: &Uri) -> Value {
    json!({
        "rule": finding.rule,
        "severity": finding.severity.name(),
        "confidence": finding.confidence.name(),
        "hop": finding.hop,
        "measured": finding.measured,
        "evidence": finding.evidence,
        "fix": { "id": finding.fix, "text": fixes::text_for(finding.fix, url) },
    })
}

/// Says that nobody was reached.
pub(super) fn unreachable(url: &str, reason: &str, as_json: bool) {
    if as_json {
        let report = json!({
            "url": url, "verdict": "unreachable", "reason": reason,
            "findings": [], "numbers": {}, "not_measured": [{ "what": "everything", "why": reason }],
        });
        say(&format!("{report}\n"));
    } else {
        eprintln!("tidings: {url} can't be reached: {reason}");
        let hint = if reason.contains("certificate") {
            "the certificate is not trusted here; SSL_CERT_FILE names a file with the authority's"
        } else {
            "nothing was measured; is the server running, and is the address right?"
        };
        eprintln!("hint: {hint}");
    }
}

/// The long form of a rule or a fix, or the list of all; `None` for a name that is neither.
pub(super) fn explain(name: &str) -> Option<String> {
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

/// Writes to standard output. Whoever stopped reading it, as `head` does, has seen enough.
pub(super) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes a line without what could command a terminal: a server chose some of the words.
fn line(out: &mut String, text: &str) {
    let text: String =
        text.chars().filter(|character| *character == '\n' || !character.is_control()).collect();
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::doctor::{
        case::{
            Role,
            made::{self, probe},
        },
        numbers::numbers,
        rules::judge,
    };

    fn held_by_nginx() -> Case {
        let mut held = probe(|_, _| 1500);
        held.head.as_mut().unwrap().headers.insert("server", "nginx/1.22.1".parse().unwrap());
        let mut case = made::case("http://localhost/events", vec![(Role::Probe, held)]);
        case.not_measured.push(("HTTP/3", "this program does not speak it".into()));
        case
    }

    #[test]
    fn the_first_screen_says_what_to_change_before_any_number() {
        let case = held_by_nginx();
        let found = judge(&case);
        let text = text("http://localhost/events", &case, &found, &numbers(&case, &found));
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is in {text}"));
        assert!(place("held back and arrives late") < place("S1 buffered"));
        assert!(place("location /events {") < place("proxy_buffering off;"));
        assert!(place("proxy_buffering off;") < place("Measured:"));
        assert!(place("Not measured:") < place("HTTP/3"));
    }

    #[test]
    fn json_has_every_member_that_is_promised() {
        let case = held_by_nginx();
        let found = judge(&case);
        let report = json("u", &case, &found, &numbers(&case, &found));
        assert_eq!((&report["url"], &report["verdict"]), (&json!("u"), &json!("findings")));
        let finding = &report["findings"][0];
        for member in ["rule", "severity", "confidence", "hop", "measured", "evidence", "fix"] {
            assert!(!finding[member].is_null(), "{member}");
        }
        assert_eq!(finding["fix"]["id"], "nginx");
        assert!(finding["fix"]["text"].as_str().unwrap().contains("proxy_buffering off;"));
        assert_eq!(report["numbers"]["held_ms"], 1400);
        assert_eq!(report["not_measured"][0]["what"], "HTTP/3");
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
