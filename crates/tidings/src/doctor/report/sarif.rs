//! The report for code hosts and editors: SARIF 2.1.0, a format for results of tools.

use serde_json::{Value, json};

use super::{
    super::{catalogue, fixes},
    Report, text, title,
};
use crate::cli::Severity;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn report(report: &Report<'_>) -> String {
    let Report { url, case, findings, .. } = *report;
    let rules = findings.iter().filter_map(|finding| catalogue::rule(finding.rule)).map(|rule| {
        json!({
            "id": rule.name,
            "shortDescription": { "text": rule.title },
            "fullDescription": { "text": rule.why },
            "help": { "text": fixes::text_for(rule.fix, &case.url) },
        })
    });
    let results = findings.iter().enumerate().map(|(index, finding)| {
        let fix = fixes::text_for(finding.fix, &case.url);
        json!({
            "ruleId": finding.rule,
            "ruleIndex": index,
            "level": level(finding.severity),
            "message": { "text": format!("{}\n{}\n\n{fix}", title(finding), text::one_line(finding)) },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": url } } }],
        })
    });
    let missing = case.not_measured.iter().map(|(what, why)| notification("note", &format!("{what}: {why}")));
    log(rules.collect(), results.collect(), true, missing.collect())
}

pub(super) fn unreachable(url: &str, reason: &str) -> String {
    let said = notification("error", &format!("cannot reach {url}: {reason}"));
    log(vec![], vec![], false, vec![said])
}

fn log(rules: Vec<Value>, results: Vec<Value>, is_measured: bool, notifications: Vec<Value>) -> String {
    let driver = json!({
        "name": "tidings doctor", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules,
    });
    let invocation =
        json!({ "executionSuccessful": is_measured, "toolExecutionNotifications": notifications });
    let run = json!({ "tool": { "driver": driver }, "invocations": [invocation], "results": results });
    format!("{}\n", json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] }))
}

fn notification(level: &str, text: &str) -> Value {
    json!({ "level": level, "message": { "text": text } })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::S1 => "error",
        Severity::S2 => "warning",
        Severity::S3 => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::made::held_by_nginx, *};

    fn read(log: &str) -> Value {
        let log: Value = serde_json::from_str(log).unwrap();
        assert_eq!((&log["version"], &log["$schema"]), (&json!("2.1.0"), &json!(SCHEMA)));
        log["runs"][0].clone()
    }

    #[test]
    fn a_result_names_its_rule_its_place_and_what_to_change() {
        let run = read(&held_by_nginx(report));
        let result = &run["results"][0];
        assert_eq!((&result["ruleId"], &result["level"]), (&json!("buffered"), &json!("error")));
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "buffered");
        assert_eq!(
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "http://localhost/events"
        );
        assert!(result["message"]["text"].as_str().unwrap().contains("proxy_buffering off;"));
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], true);
        let said = &invocation["toolExecutionNotifications"][0];
        assert_eq!(said["message"]["text"], "HTTP/3: no Alt-Svc header offers it");
    }

    #[test]
    fn nobody_reached_is_a_run_that_failed() {
        let run = read(&unreachable("http://h/", "refused"));
        assert_eq!(run["invocations"][0]["executionSuccessful"], false);
        assert_eq!(run["results"], json!([]));
    }
}
