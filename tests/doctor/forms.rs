//! The report for CI systems and code hosts.

use serde_json::Value;

use crate::run;

/// A port that nobody listens on.
const NOBODY: &str = "http://127.0.0.1:1/events";

#[tokio::test]
async fn nobody_reached_is_an_error_in_junit() {
    let (code, xml) = run(&[NOBODY, "--junit"], &[]).await;
    assert_eq!(code, Some(2));
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>"), "{xml}");
    assert!(xml.contains(r#"tests="1" failures="0" errors="1" skipped="0""#), "{xml}");
}

#[tokio::test]
async fn nobody_reached_is_a_failed_run_in_sarif() {
    let (code, sarif) = run(&[NOBODY, "--sarif"], &[]).await;
    assert_eq!(code, Some(2));
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
}

#[tokio::test]
async fn a_report_has_one_form() {
    let (code, _) = run(&[NOBODY, "--sarif", "--json"], &[]).await;
    assert_eq!(code, Some(64));
}
