//! The report for programs: one object, whose members keep their names and meanings.

use http::Uri;
use serde_json::{Value, json};

use super::{
    super::{finding::Finding, fixes},
    Report,
};

pub(super) fn report(report: &Report<'_>) -> String {
    format!("{}\n", value(report))
}

fn value(report: &Report<'_>) -> Value {
    let Report { url, case, findings, numbers, .. } = *report;
    let missing = case.not_measured.iter().map(|(what, why)| json!({ "what": what, "why": why }));
    json!({
        "url": url,
        "verdict": if findings.is_empty() { "clean" } else { "findings" },
        "findings": findings.iter().map(|found| finding(found, &case.url)).collect::<Vec<_>>(),
        "numbers": numbers,
        "not_measured": missing.collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding, url: &Uri) -> Value {
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

pub(super) fn unreachable(url: &str, reason: &str) -> String {
    let report = json!({
        "url": url, "verdict": "unreachable", "reason": reason,
        "findings": [], "numbers": {}, "not_measured": [{ "what": "everything", "why": reason }],
    });
    format!("{report}\n")
}

#[cfg(test)]
mod tests {
    use super::{super::made::held_by_nginx, *};

    #[test]
    fn it_has_every_member_that_is_promised() {
        let report = held_by_nginx(value);
        assert_eq!(
            (&report["url"], &report["verdict"]),
            (&json!("http://localhost/events"), &json!("findings"))
        );
        let finding = &report["findings"][0];
        for member in ["rule", "severity", "confidence", "hop", "measured", "evidence", "fix"] {
            assert!(!finding[member].is_null(), "{member}");
        }
        assert_eq!(finding["fix"]["id"], "nginx");
        assert!(finding["fix"]["text"].as_str().unwrap().contains("proxy_buffering off;"));
        assert_eq!(report["numbers"]["held_ms"], 1400);
        assert_eq!(report["not_measured"][0]["what"], "HTTP/3");
    }
}
