//! The rules: functions that turn observations into findings, without a clock or a socket. Each family has a file.

mod bytes;
mod connections;
mod cors;
mod credential;
mod cut;
mod head;
mod held;
mod http2;
mod http3;
mod resume;
mod unreadable;

use std::collections::HashSet;

use super::{case::Case, finding::Finding};

pub(super) use self::{
    cors::ORIGIN, credential::Credential, cut::longest_silence, head::is_secret, http2::max_streams,
    resume::verdict, unreadable::unreadable,
};

/// Returns all findings, the worst first.
pub(super) fn judge(case: &Case) -> Vec<Finding> {
    let families = [
        unreadable::findings,
        head::findings,
        held::findings,
        cut::findings,
        http2::findings,
        http3::findings,
        connections::findings,
        resume::findings,
        bytes::findings,
        cors::findings,
        credential::findings,
    ];
    let mut findings: Vec<Finding> = families.iter().flat_map(|family| family(case)).collect();
    // The sort is stable: findings of one severity stay in the order above, which is that of the catalogue.
    findings.sort_by_key(|finding| finding.severity);
    let mut seen = HashSet::new();
    findings.retain(|finding| seen.insert(finding.rule));
    let rules: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
    findings.retain(|finding| !follows_from(finding.rule).iter().any(|cause| rules.contains(cause)));
    findings
}

/// The rules that explain a finding of `rule`. Reporting both would send people after two faults instead of one.
fn follows_from(rule: &str) -> &'static [&'static str] {
    match rule {
        "heartbeats-held" => &["buffered", "buffered-compressed"],
        "no-first-byte" => &["forbidden-header"],
        "head-request" => &["few-connections"],
        "options-request" => &["cors-preflight", "few-connections"],
        // The stream ends at the announced length, or is cut because it is shorter.
        "lifetime-cut" | "broken-off" => &["content-length"],
        // A recording of an ended stream begins again.
        "replay-after-end" => &["cached"],
        _ => &[],
    }
}

/// The findings in the head of one response, for a stream without topics.
pub(super) fn judge_head(case: &Case) -> Vec<Finding> {
    [unreadable::findings(case), head::findings(case)].concat()
}

#[cfg(test)]
fn names(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{
        case::{Role, made},
        observation::End,
    };

    #[test]
    fn what_follows_from_another_finding_is_left_out() {
        let headers: Vec<_> = made::CLEAN.iter().copied().chain([("content-length", "99")]).collect();
        let broken = made::answer(200, &headers, &[(9, "data: a\n\n")], End::Broken("short".into()));
        let findings = judge(&made::case("http://localhost/", vec![(Role::Plain, broken)]));
        assert_eq!(names(&findings), ["content-length"]);
    }

    #[test]
    fn a_clean_stream_of_known_timing_has_no_finding() {
        let good = || made::probe(|_, sent| sent + 20);
        let other = |name| made::probe_from(1, name, None, |_, sent| sent + 20);
        let mut case = made::case(
            "http://127.0.0.1/topics/news",
            vec![
                (Role::Plain, made::stream(&[(5, ":\nretry: 2000\nevent: start\nid: a\ndata: {}\n\n")])),
                (Role::Probe, good()),
                (Role::Browser, other("b")),
                (Role::Gzip, other("c")),
                (Role::Again, other("d")),
                (Role::Resume, made::probe_from(5, "e", Some("4"), |_, sent| sent + 20)),
            ],
        );
        case.resumed_after = Some("4".into());
        assert_eq!(judge(&case), []);
    }
}
