//! The report for CI systems: JUnit's XML, which Jenkins, GitLab and others read.

use std::fmt::Write;

use super::{super::fixes, Report, text, title};

/// Has a failed test for each finding, and a skipped test for each measurement that was not made. Without findings
/// there is one passed test, because many readers report an empty suite as an error.
pub(super) fn report(report: &Report<'_>) -> String {
    let Report { url, case, findings, fail_on, .. } = *report;
    let mut cases = String::new();
    let mut failures = 0;
    for finding in findings {
        let more = format!("{}\n\n{}", text::one_line(finding), fixes::text_for(finding.fix, &case.url));
        let body = if finding.severity <= fail_on {
            failures += 1;
            let kind = finding.severity.name();
            format!(
                r#"<failure message="{}" type="{kind}">{}</failure>"#,
                escaped(title(finding)),
                escaped(&more)
            )
        } else {
            format!("<system-out>{}</system-out>", escaped(&more))
        };
        test(&mut cases, url, finding.rule, &body);
    }
    if findings.is_empty() {
        test(&mut cases, url, "the measurements show no fault", "");
    }
    for (what, why) in &case.not_measured {
        test(&mut cases, url, what, &format!(r#"<skipped message="{}"/>"#, escaped(why)));
    }
    let skipped = case.not_measured.len();
    let tests = findings.len().max(1) + skipped;
    suite(url, &format!(r#"tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}""#), &cases)
}

pub(super) fn unreachable(url: &str, reason: &str) -> String {
    let mut cases = String::new();
    let message =
        format!(r#"<error message="cannot reach the server: {}" type="unreachable"/>"#, escaped(reason));
    test(&mut cases, url, "a connection", &message);
    suite(url, r#"tests="1" failures="0" errors="1" skipped="0""#, &cases)
}

fn suite(url: &str, counts: &str, cases: &str) -> String {
    let name = escaped(url);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n\
         <testsuite name=\"tidings doctor {name}\" {counts}>\n{cases}</testsuite>\n</testsuites>\n"
    )
}

fn test(cases: &mut String, url: &str, name: &str, body: &str) {
    let (url, name) = (escaped(url), escaped(name));
    let _ = writeln!(cases, r#"<testcase classname="{url}" name="{name}">{body}</testcase>"#);
}

/// Text for an element or an attribute. Characters that XML cannot contain, mostly control characters, are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{FFFE}' | '\u{FFFF}' => {}
            _ if character.is_control() => {}
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::made::held_by_nginx, *};
    use crate::{
        cli::Severity,
        doctor::case::{Role, made},
    };

    #[test]
    fn a_finding_fails_and_what_was_not_measured_is_skipped() {
        let xml = held_by_nginx(report);
        assert!(xml.contains(r#"tests="2" failures="1" errors="0" skipped="1""#), "{xml}");
        assert!(xml.contains(r#"name="buffered"><failure message="Messages are held back"#), "{xml}");
        assert!(xml.contains("proxy_pass http://…;"), "{xml}");
        assert!(xml.contains(r#"name="HTTP/3"><skipped message="no Alt-Svc header offers it"/>"#), "{xml}");
    }

    #[test]
    fn a_finding_below_the_bar_passes_and_says_what_it_is() {
        let xml = held_by_nginx(|report| {
            let mut findings = report.findings.to_vec();
            findings[0].severity = Severity::S3;
            super::report(&Report { findings: &findings, ..*report })
        });
        assert!(xml.contains(r#"tests="2" failures="0""#), "{xml}");
        assert!(xml.contains(r#"name="buffered"><system-out>S3 buffered"#), "{xml}");
    }

    #[test]
    fn a_clean_stream_is_one_test_that_passes() {
        let case = made::case("http://h/", vec![(Role::Plain, made::stream(&[]))]);
        let numbers = serde_json::Map::new();
        let clean =
            Report { url: "http://h/", case: &case, findings: &[], numbers: &numbers, fail_on: Severity::S3 };
        assert!(report(&clean).contains(r#"tests="1" failures="0" errors="0" skipped="0""#));
    }

    #[test]
    fn what_a_server_says_is_text_and_not_xml() {
        assert_eq!(escaped("a<b>&\"c\"\u{1b}[2J\u{0}\u{FFFF}"), "a&lt;b&gt;&amp;&quot;c&quot;[2J");
        assert!(unreachable("http://h/?a&b", "\"x\" is refused").contains(
            r#"classname="http://h/?a&amp;b" name="a connection"><error message="cannot reach the server: &quot;x&quot;"#
        ));
    }
}
