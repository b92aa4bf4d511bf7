//! Faults that show only over HTTP/3.

use super::super::{
    case::{Case, Role},
    finding::Finding,
    observation::End,
};

/// The header fields that versions after HTTP/1.1 forbid. Source: RFC 9114, "HTTP Fields".
const FORBIDDEN: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let Some(http3) = case.get(Role::Http3) else { return vec![] };
    let evidence = "the same request over HTTP/3";
    let failed = match (&http3.head, &http3.end) {
        (None, End::Broken(reason)) => Some(Finding::of("http3-error", reason.clone(), evidence)),
        _ => None,
    };
    let forbidden = FORBIDDEN.into_iter().find(|name| http3.header(name).is_some());
    let forbidden =
        forbidden.map(|name| Finding::of("forbidden-header", format!("HTTP/3 answer with {name}"), evidence));
    failed.into_iter().chain(forbidden).collect()
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::{
        case::made::{CLEAN, answer, case, stream},
        observation::Seen,
    };

    fn found(http3: Seen) -> Vec<Finding> {
        findings(&case("https://localhost/", vec![(Role::Plain, stream(&[])), (Role::Http3, http3)]))
    }

    #[test]
    fn a_request_that_fails_is_found_and_one_that_nobody_answers_in_time_is_not() {
        let failed = |end| Seen { end, ..Seen::default() };
        assert_eq!(names(&found(failed(End::Broken("H3_INTERNAL_ERROR".into())))), ["http3-error"]);
        assert!(found(failed(End::Open)).is_empty());
    }

    #[test]
    fn a_header_of_the_first_version_is_found() {
        let headers = [CLEAN, &[("connection", "keep-alive")]].concat();
        assert_eq!(names(&found(answer(200, &headers, &[], End::Open))), ["forbidden-header"]);
        assert!(found(stream(&[])).is_empty());
    }
}
