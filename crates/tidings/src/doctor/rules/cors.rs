//! Checks whether pages of other sites may read the stream, and whether the CORS headers are consistent.

use super::super::{
    case::{Case, Role},
    finding::Finding,
    observation::Seen,
};

/// The origin that the doctor's requests claim to come from.
pub(in crate::doctor) const ORIGIN: &str = "https://doctor.invalid";

/// A server that does not allow other sites cannot break these rules.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let Some(answer) = case.get(Role::CrossOrigin) else { return vec![] };
    let allowed = answer.header("access-control-allow-origin").unwrap_or_default();
    let with_credentials = answer.header("access-control-allow-credentials") == Some("true");
    let evidence = format!("asked with Origin: {ORIGIN}");
    let found = |rule, measured: String| Finding::of(rule, measured, evidence.clone());
    let mut findings = Vec::new();
    match allowed {
        "*" if with_credentials => {
            findings.push(found("cors-credentials", "Allow-Origin * with Allow-Credentials true".into()));
        }
        ORIGIN => {
            if with_credentials {
                findings
                    .push(found("cors-any-origin", "an invented origin is allowed, with credentials".into()));
            }
            if !varies(answer) {
                findings.push(found("cors-vary", "Allow-Origin repeats the origin, no Vary: Origin".into()));
            }
        }
        _ => {}
    }
    if matches!(allowed, "*" | ORIGIN) {
        findings.extend(preflight(case));
    }
    findings
}

fn varies(answer: &Seen) -> bool {
    let Some(head) = &answer.head else { return false };
    let values = head.headers.get_all("vary").iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|name| matches!(&*name.trim().to_ascii_lowercase(), "origin" | "*"))
}

fn preflight(case: &Case) -> Option<Finding> {
    let answer = case.get(Role::Preflight)?;
    let status = answer.status()?;
    let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    let has_header = allowed.split(',').any(|name| matches!(name.trim(), "last-event-id" | "*"));
    let is_allowed = (200..300).contains(&status) && has_header;
    (!is_allowed).then(|| {
        let measured = format!("OPTIONS for Last-Event-ID: status {status}, Allow-Headers {allowed:?}");
        Finding::of("cors-preflight", measured, "a browser's preflight request")
    })
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::{
        case::made::{answer, case},
        observation::End,
    };

    fn found(get: &[(&str, &str)], options: &[(&str, &str)]) -> Vec<&'static str> {
        let made = |headers| answer(200, headers, &[], End::Open);
        names(&findings(&case(
            "http://localhost/",
            vec![(Role::CrossOrigin, made(get)), (Role::Preflight, made(options))],
        )))
    }

    const ALLOW: &str = "access-control-allow-origin";
    const CREDENTIALS: (&str, &str) = ("access-control-allow-credentials", "true");
    const HEADERS: (&str, &str) = ("access-control-allow-headers", "Authorization, Last-Event-ID");

    #[test]
    fn a_server_without_cors_or_with_the_whole_of_it_is_clean() {
        assert!(found(&[], &[]).is_empty());
        assert!(found(&[(ALLOW, "https://other.example"), CREDENTIALS], &[]).is_empty());
        assert!(found(&[(ALLOW, "*")], &[HEADERS]).is_empty());
        assert!(found(&[(ALLOW, ORIGIN), ("vary", "accept, Origin")], &[HEADERS]).is_empty());
    }

    #[test]
    fn each_contradiction_has_its_rule() {
        assert_eq!(found(&[(ALLOW, "*"), CREDENTIALS], &[HEADERS]), ["cors-credentials"]);
        assert_eq!(
            found(&[(ALLOW, ORIGIN), CREDENTIALS, ("vary", "origin")], &[HEADERS]),
            ["cors-any-origin"]
        );
        assert_eq!(found(&[(ALLOW, ORIGIN)], &[HEADERS]), ["cors-vary"]);
        assert_eq!(found(&[(ALLOW, "*")], &[]), ["cors-preflight"]);
    }
}
