//! Streams that are cut off, and silences.

use std::time::Duration;

use super::super::{
    case::{Case, Role},
    finding::Finding,
    observation::{End, Seen},
    vendors::{Hop, Kind, hops, suspects},
};

/// A silence longer than this has no heartbeat.
const NO_HEARTBEAT: Duration = Duration::from_secs(60);

/// A heartbeat within this time satisfies every common limit.
const GOOD_HEARTBEAT: Duration = Duration::from_secs(25);

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lifetime = lifetime_cut(case);
    let idle = idle_cut(case, lifetime.is_some());
    if lifetime.is_none() && idle.is_none() {
        findings.extend(broken_off(case));
    }
    findings.extend(lifetime);
    findings.extend(idle);
    findings.extend(heartbeat(case));
    findings
}

/// Streams of known timing that ended too early, while events were sent.
fn lifetime_cut(case: &Case) -> Option<Finding> {
    let roles = [
        Role::Probe,
        Role::Again,
        Role::Gzip,
        Role::Browser,
        Role::Http1,
        Role::Http2,
        Role::Http3,
        Role::Busy,
        Role::Long,
    ];
    // If the body could not be decompressed, no events can be missing.
    let streams: Vec<_> =
        roles.iter().filter_map(|role| case.timing(*role)).filter(|(seen, _)| seen.is_decoded).collect();
    let cut: Vec<_> = streams.iter().filter_map(|(seen, timing)| Some((*seen, timing.cut(seen)?))).collect();
    if let Some((seen, first)) = cut.first() {
        let alike = cut.iter().filter(|(_, at)| is_about(*at, *first)).count();
        let measured = format!("cut after {:.1} s, while events were sent", first.as_secs_f64());
        let how = match &seen.end {
            End::Broken(reason) => format!(", broken off ({reason})"),
            _ => ", with a proper end".into(),
        };
        let evidence = format!("{alike} of {} streams of known timing at this time{how}", streams.len());
        return Some(with_suspect(
            Finding::of("lifetime-cut", measured, evidence),
            Kind::Lifetime,
            *first,
            seen,
        ));
    }
    // For other streams only the long watch counts, and only if the duration is a known limit.
    let long = case.get(Role::Long).filter(|long| long.is_stream() && !long.is_probe())?;
    let quiet = long.ended.saturating_sub(long.reads.last()?.at);
    let has_ended = matches!(long.end, End::Complete | End::Broken(_)) && quiet < Duration::from_secs(10);
    let (suspects, _) = suspects(Kind::Lifetime, long.ended.as_secs_f64());
    (has_ended && !suspects.is_empty()).then(|| {
        let measured = format!("ended after {:.1} s, while events arrived", long.ended.as_secs_f64());
        let finding = Finding::of("lifetime-cut", measured, "the stream, watched").consistent();
        with_suspect(finding, Kind::Lifetime, long.ended, long)
    })
}

/// A silence that ended the connection.
fn idle_cut(case: &Case, has_lifetime: bool) -> Option<Finding> {
    let idle = case.get(Role::Idle).or_else(|| case.get(Role::Watch)).filter(|idle| idle.is_stream())?;
    let silence = idle.ended.saturating_sub(idle.reads.last().map_or(Duration::ZERO, |read| read.at));
    let is_cut = match case.timing(Role::Idle) {
        Some((seen, timing)) => timing.cut(seen).is_some(),
        None => matches!(idle.end, End::Complete | End::Broken(_)) && silence > Duration::from_secs(10),
    };
    if !is_cut || has_lifetime {
        return None;
    }
    let measured = format!("cut after {:.1} s of silence", silence.as_secs_f64());
    let busy = case.timing(Role::Busy).filter(|(seen, timing)| timing.cut(seen).is_none());
    let finding = match busy {
        Some(_) => Finding::of(
            "idle-cut",
            measured,
            "a silent stream was cut, one with an event each second was not",
        ),
        None => Finding::of("idle-cut", measured, "a silent stream was cut").consistent(),
    };
    Some(with_suspect(finding, Kind::Idle, silence, idle))
}

fn broken_off(case: &Case) -> Option<Finding> {
    let plain = case.get(Role::Plain).filter(|plain| plain.is_stream())?;
    let End::Broken(reason) = &plain.end else { return None };
    let measured = format!("after {:.1} s: {reason}", plain.ended.as_secs_f64());
    Some(Finding::of("broken-off", measured, "the stream as it arrived"))
}

/// Whether a quiet stream is kept open. Streams of known timing have the heartbeats that the doctor requested, so this
/// examines the stream itself.
fn heartbeat(case: &Case) -> Option<Finding> {
    let seen =
        [Role::Watch, Role::Long].iter().find_map(|role| case.get(*role).filter(|seen| !seen.is_probe()));
    let seen = seen.filter(|seen| seen.is_stream() && seen.ended >= NO_HEARTBEAT)?;
    let longest = longest_silence(seen);
    if longest >= NO_HEARTBEAT {
        let measured = format!("nothing was sent for {:.0} s", longest.as_secs_f64());
        return Some(Finding::of("no-heartbeat", measured, "the stream, watched"));
    }
    (longest > GOOD_HEARTBEAT).then(|| {
        let measured = format!("up to {:.0} s of silence", longest.as_secs_f64());
        Finding::of("slow-heartbeat", measured, "the stream, watched")
    })
}

/// The longest time without a byte, counted from the head.
pub(in crate::doctor) fn longest_silence(seen: &Seen) -> Duration {
    let begin = seen.head.as_ref().map(|head| head.at);
    let times: Vec<_> =
        begin.into_iter().chain(seen.reads.iter().map(|read| read.at)).chain([seen.ended]).collect();
    times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
}

/// Names the programs with this time limit. A program counts as the cause only if it names itself in the response.
fn with_suspect(finding: Finding, kind: Kind, time: Duration, seen: &Seen) -> Finding {
    let (suspects, date) = suspects(kind, time.as_secs_f64());
    let hops = hops(seen);
    if let Some(limit) = suspects.iter().find(|limit| limit.is_of(&hops)) {
        let hop = hops.iter().find(|hop| limit.is_of(std::slice::from_ref(hop)));
        let evidence = format!("{}; it is the limit of {}", finding.evidence, limit.who);
        return Finding { evidence, ..finding.with_fix(limit.fix()).with_hop(hop.map(Hop::shown)) };
    }
    if suspects.is_empty() {
        return finding;
    }
    let names: Vec<_> = suspects.iter().map(|limit| &*limit.who).collect();
    let evidence = format!("{}; as of {date} a limit of: {}", finding.evidence, names.join(", "));
    Finding { evidence, ..finding }
}

fn is_about(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) <= Duration::from_millis(400).max(b / 10)
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::{
        case::made::{CLEAN, answer, case, ms, probe, stream},
        finding::Confidence,
    };

    fn found(seen: Vec<(Role, Seen)>) -> Vec<Finding> {
        findings(&case("http://localhost/", seen))
    }

    /// A probe that ends at this time without its last event.
    fn cut(at: u64, end: End) -> Seen {
        let mut seen = probe(|_, sent| sent);
        seen.said.retain(|said| said.at < ms(at));
        seen.reads.retain(|read| read.at < ms(at));
        (seen.ended, seen.end) = (ms(at), end);
        seen
    }

    #[test]
    fn a_stream_that_ends_while_events_are_sent_has_a_lifetime() {
        let found = found(vec![
            (Role::Probe, cut(620, End::Complete)),
            (Role::Again, cut(640, End::Broken("reset".into()))),
        ]);
        assert_eq!(names(&found), ["lifetime-cut"]);
        assert!(found[0].measured.contains("0.6 s") && found[0].evidence.starts_with("2 of 2"), "{found:?}");
    }

    #[test]
    fn a_stream_that_cannot_be_read_is_not_taken_for_cut() {
        let mut brotli = cut(620, End::Complete);
        brotli.is_decoded = false;
        assert!(found(vec![(Role::Probe, probe(|_, sent| sent)), (Role::Browser, brotli)]).is_empty());
    }

    #[test]
    fn a_silence_that_is_cut_is_proved_by_the_stream_that_was_not() {
        let mut silent = cut(900, End::Complete);
        silent.ended = Duration::from_secs_f64(60.8);
        silent.head.as_mut().unwrap().headers.insert("server", "nginx".parse().unwrap());
        let found = |seen| found(seen);
        let alone = found(vec![(Role::Idle, silent.clone())]);
        assert_eq!((names(&alone), alone[0].confidence), (vec!["idle-cut"], Confidence::Consistent));
        let both = found(vec![(Role::Idle, silent.clone()), (Role::Busy, probe(|_, sent| sent))]);
        assert_eq!((both[0].confidence, both[0].fix), (Confidence::Proved, "nginx"));
        // Both are cut, so the silence is not the cause.
        let both = found(vec![(Role::Idle, silent), (Role::Busy, cut(700, End::Complete))]);
        assert_eq!(names(&both), ["lifetime-cut"]);
    }

    #[test]
    fn a_vendor_is_named_as_the_one_only_with_its_header() {
        let mut silent = cut(900, End::Complete);
        silent.ended = Duration::from_secs_f64(60.8);
        let found = found(vec![(Role::Idle, silent)]);
        assert_eq!((found[0].hop.as_deref(), found[0].fix), (None, "heartbeat"));
        assert!(found[0].evidence.contains("nginx, proxy_read_timeout"), "{}", found[0].evidence);
    }

    #[test]
    fn a_connection_that_breaks_is_found() {
        let broken = answer(200, CLEAN, &[(10, "data: a\n\n")], End::Broken("reset".into()));
        assert_eq!(names(&found(vec![(Role::Plain, broken)])), ["broken-off"]);
    }

    #[test]
    fn heartbeats_are_missing_or_seldom() {
        let watched = |pieces: &[(u64, &str)]| {
            let mut seen = stream(pieces);
            seen.ended = Duration::from_secs(125);
            names(&found(vec![(Role::Watch, seen)]))
        };
        assert_eq!(watched(&[(10, ":\n")]), ["no-heartbeat"]);
        assert_eq!(watched(&[(10, ":\n"), (45_000, ":\n"), (90_000, ":\n")]), ["slow-heartbeat"]);
        let good: Vec<_> = (0..9).map(|n| (n * 15_000, ":\n")).collect();
        assert!(watched(&good).is_empty());
    }

    #[test]
    fn a_stream_of_unknown_timing_has_a_lifetime_only_at_a_known_limit() {
        let ended = |seconds| {
            let last = seconds * 1000 - 500;
            let mut seen = answer(200, CLEAN, &[(10, "data: a\n\n"), (last, "data: b\n\n")], End::Complete);
            seen.ended = Duration::from_secs(seconds);
            names(&found(vec![(Role::Long, seen)]))
        };
        assert!(ended(30).contains(&"lifetime-cut"));
        assert!(ended(44).is_empty());
    }
}
