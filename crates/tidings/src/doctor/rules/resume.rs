//! Faults that show when a client reconnects.

use std::collections::HashSet;

use super::super::{
    case::{Case, Role},
    finding::Finding,
    observation::{End, Seen},
    timing::Timing,
};

/// The least number of events by which their IDs can be judged.
const ENOUGH_EVENTS: usize = 3;

/// Event types that mark a stream as complete.
const TERMINAL_TYPES: [&str; 8] =
    ["end", "close", "done", "complete", "finish", "finished", "message_stop", "response.completed"];

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(ids(case));
    if case.is_cooperative() {
        findings.extend(probed(case));
        if findings.is_empty() {
            findings.extend(probed_end(case));
        }
    } else {
        findings.extend(resumed(case));
        findings.extend(ended(case));
    }
    findings
}

fn ids(case: &Case) -> Option<Finding> {
    let plain = case.get(Role::Plain).filter(|plain| plain.is_stream() && !plain.is_probe())?;
    let events = plain.events().count();
    let ids = plain.ids();
    if events < ENOUGH_EVENTS {
        return None;
    }
    if ids.is_empty() {
        return Some(Finding::of("no-ids", format!("{events} events, no ID"), "the stream as it arrived"));
    }
    let mut set = HashSet::new();
    let repeated =
        plain.events().find_map(|event| event.id.filter(|id| !id.is_empty() && !set.insert(*id)))?;
    Some(Finding::of(
        "duplicate-ids",
        format!("{repeated:?} is the ID of several events"),
        "the stream as it arrived",
    ))
}

/// Examines a stream of known timing, whose server resumes strictly after the last event ID.
fn probed(case: &Case) -> Option<Finding> {
    let asked: u64 = case.resumed_after.as_ref()?.parse().ok()?;
    let (_, timing) = case.timing(Role::Resume)?;
    let numbers: Vec<_> = timing.arrivals.iter().map(|arrival| arrival.number).collect();
    let first = *numbers.first()?;
    if first == 1 && asked > 1 {
        let evidence = match &timing.last_event_id_at_server {
            None => "the header Last-Event-ID was sent and did not reach the server",
            Some(_) => "the header Last-Event-ID reached the server",
        };
        return Some(Finding::of(
            "last-event-id-ignored",
            format!("requested the events after {asked}, got 1"),
            evidence,
        ));
    }
    if first > asked + 1 {
        let measured = format!("requested the events after {asked}, got {first}");
        return Some(Finding::of("last-event-id-ignored", measured, "events in between are missing"));
    }
    let mut set = HashSet::new();
    let again = numbers.into_iter().find(|number| *number <= asked || !set.insert(*number))?;
    let measured = format!("requested the events after {asked}, got {again} again");
    Some(Finding::of("duplicate-after-resume", measured, "stream of known timing, resumed"))
}

fn probed_end(case: &Case) -> Option<Finding> {
    let finished = case.get(Role::Finished)?;
    let (_, timing) = case.timing(Role::Finished)?;
    let first = timing.arrivals.first()?.number;
    let measured = format!("status {}, events from {first} on, instead of 204", finished.status()?);
    Some(Finding::of(
        "replay-after-end",
        measured,
        "a stream of known timing that had ended, requested again",
    ))
}

/// Examines any other stream: compares it with a second connection without a last event ID.
fn resumed(case: &Case) -> Option<Finding> {
    let asked = case.resumed_after.as_deref()?;
    let plain = case.get(Role::Plain)?;
    let ids = plain.ids();
    let next = ids.iter().position(|id| *id == asked).and_then(|place| ids.get(place + 1))?;
    let resumed = case.get(Role::Resume).filter(|seen| seen.is_stream())?.ids();
    let again = case.get(Role::Again).map(Seen::ids).unwrap_or_default();
    let first = *resumed.first()?;
    if first == *next {
        let mut set = HashSet::new();
        let twice = resumed.iter().find(|id| **id == asked || !set.insert(**id));
        if let Some(id) = twice {
            return Some(Finding::of(
                "duplicate-after-resume",
                format!("{id:?} arrived again"),
                "the stream, resumed",
            ));
        }
        return silent_gap(case);
    }
    // Without the header it begins there too, so the header has no effect.
    let does_nothing = again.first() == Some(&first);
    if resumed.contains(&asked) && !does_nothing {
        let measured = format!("requested the events after {asked:?}, got it again");
        return Some(Finding::of("duplicate-after-resume", measured, "the stream, resumed"));
    }
    let finding = ignored(asked, first);
    Some(if does_nothing { finding } else { finding.consistent() })
}

fn ignored(asked: &str, first: &str) -> Finding {
    let measured = format!("requested the events after {asked:?}, got {first:?}");
    Finding::of("last-event-id-ignored", measured, "the same request with and without Last-Event-ID")
}

/// If the server honours known IDs, it should not ignore an unknown one in silence.
fn silent_gap(case: &Case) -> Option<Finding> {
    let unknown = case.get(Role::Unknown).filter(|seen| seen.is_stream())?;
    let tells = unknown.events().any(|event| {
        let event_type = event.event_type.to_ascii_lowercase();
        ["gap", "reset", "expired", "resync", "error", "snapshot", "truncated"]
            .iter()
            .any(|word| event_type.contains(word))
    });
    let has_header = unknown
        .head
        .as_ref()
        .is_some_and(|head| head.headers.keys().any(|name| name.as_str().contains("resume")));
    let first = unknown.ids().first().map(|id| (*id).to_owned());
    (!tells && !has_header && first.is_some()).then(|| {
        let measured = "an unknown ID gets 200 and events, and no notice of a gap";
        Finding::of("silent-gap", measured, "a request with an invented Last-Event-ID").consistent()
    })
}

/// Examines a stream that ends by itself.
fn ended(case: &Case) -> Vec<Finding> {
    let Some(plain) = case.get(Role::Plain).filter(|plain| plain.is_stream() && plain.end == End::Complete)
    else {
        return vec![];
    };
    let Some(last) = plain.events().last() else { return vec![] };
    let mut findings = Vec::new();
    let is_marked = TERMINAL_TYPES.contains(&last.event_type) || last.data.trim() == "[DONE]";
    if !is_marked {
        let measured = format!("the last event is of type {:?}", last.event_type);
        findings.push(Finding::of("unmarked-end", measured, "the stream as it arrived").consistent());
    }
    let first =
        |seen: &Seen| seen.events().next().map(|event| (event.id.map(str::to_owned), event.data.to_owned()));
    let replayed = case.get(Role::Finished).filter(|seen| seen.is_stream());
    if let Some(replayed) = replayed.filter(|seen| first(seen).is_some() && first(seen) == first(plain)) {
        let events = replayed.events().count();
        let measured =
            format!("requested again after its end: {events} events from the first one on, instead of 204");
        findings.push(Finding::of(
            "replay-after-end",
            measured,
            "the same request with the last ID, as a browser sends it",
        ));
    }
    findings
}

/// The result for resuming, in a word.
pub(in crate::doctor) fn verdict(case: &Case, findings: &[Finding]) -> Option<&'static str> {
    for (rule, verdict) in [
        ("last-event-id-ignored", "ignored"),
        ("duplicate-after-resume", "repeats"),
        ("silent-gap", "silent gap"),
    ] {
        if findings.iter().any(|finding| finding.rule == rule) {
            return Some(verdict);
        }
    }
    let resumed = case.get(Role::Resume).filter(|_| case.resumed_after.is_some())?;
    let has_events =
        Timing::of(resumed).map_or(!resumed.ids().is_empty(), |timing| !timing.arrivals.is_empty());
    has_events.then_some("resumes")
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::case::made::{self, CLEAN, answer, probe_from, stream};

    fn probed(first: u64, id: Option<&str>) -> Vec<Finding> {
        let good = |name| probe_from(1, name, None, |_, sent| sent);
        let mut case = made::case(
            "http://localhost/",
            vec![(Role::Probe, good("a")), (Role::Resume, probe_from(first, "b", id, |_, sent| sent))],
        );
        case.resumed_after = Some("4".into());
        findings(&case)
    }

    #[test]
    fn a_probe_resumes_strictly_after_the_last_event() {
        assert!(probed(5, Some("4")).is_empty());
        assert_eq!(names(&probed(4, Some("4"))), ["duplicate-after-resume"]);
        let lost = probed(1, None);
        assert_eq!(names(&lost), ["last-event-id-ignored"]);
        assert!(lost[0].evidence.contains("did not reach the server"));
        assert_eq!(names(&probed(7, Some("4"))), ["last-event-id-ignored"]);
    }

    #[test]
    fn a_probe_that_has_ended_answers_204() {
        let good = |name| probe_from(1, name, None, |_, sent| sent);
        let case = |finished| {
            made::case("http://localhost/", vec![(Role::Probe, good("a")), (Role::Finished, finished)])
        };
        assert_eq!(names(&findings(&case(good("b")))), ["replay-after-end"]);
        assert!(findings(&case(answer(204, &[("tidings-probe", "1")], &[], End::Complete))).is_empty());
    }

    fn events(ids: &[&str]) -> Seen {
        let text: String = ids.iter().map(|id| format!("id: {id}\ndata: {id}\n\n")).collect();
        stream(&[(10, &text)])
    }

    fn resumed(plain: &[&str], again: &[&str], resumed: &[&str], unknown: &[&str]) -> Vec<&'static str> {
        let seen = vec![
            (Role::Plain, events(plain)),
            (Role::Again, events(again)),
            (Role::Resume, events(resumed)),
            (Role::Unknown, events(unknown)),
        ];
        let mut case = made::case("http://localhost/", seen);
        case.resumed_after = Some(plain[0].into());
        names(&findings(&case))
    }

    #[test]
    fn other_streams_are_compared_with_a_request_that_says_nothing() {
        assert!(resumed(&["1", "2", "3"], &["4"], &["2", "3"], &[]).is_empty());
        assert_eq!(resumed(&["1", "2", "3"], &["7"], &["7", "8"], &[]), ["last-event-id-ignored"]);
        assert_eq!(resumed(&["1", "2", "3"], &["1", "2"], &["1", "2"], &[]), ["last-event-id-ignored"]);
        assert_eq!(resumed(&["1", "2", "3"], &["9"], &["1", "2"], &[]), ["duplicate-after-resume"]);
        assert_eq!(resumed(&["1", "2", "3"], &["9"], &["2", "2"], &[]), ["duplicate-after-resume"]);
        assert_eq!(resumed(&["1", "2", "3"], &["9"], &["2", "3"], &["1"]), ["silent-gap"]);
    }

    #[test]
    fn ids_are_missing_or_not_unique() {
        let found = |plain| names(&findings(&made::case("http://localhost/", vec![(Role::Plain, plain)])));
        assert_eq!(found(stream(&[(1, &"data: a\n\n".repeat(3))])), ["no-ids"]);
        assert_eq!(found(events(&["1", "2", "2"])), ["duplicate-ids"]);
        assert!(found(events(&["1", "2", "3"])).is_empty());
        assert!(found(stream(&[(1, "data: a\n\n")])).is_empty());
    }

    #[test]
    fn an_end_is_marked_and_is_not_a_beginning() {
        let finite = |text: &str| answer(200, CLEAN, &[(1, text)], End::Complete);
        let found = |seen| names(&findings(&made::case("http://localhost/", seen)));
        assert_eq!(found(vec![(Role::Plain, finite("data: a\n\n"))]), ["unmarked-end"]);
        assert!(found(vec![(Role::Plain, finite("data: a\n\nevent: done\ndata: x\n\n"))]).is_empty());
        assert!(found(vec![(Role::Plain, finite("data: [DONE]\n\n"))]).is_empty());
        let text = "data: a\n\nevent: done\ndata: x\n\n";
        assert_eq!(
            found(vec![(Role::Plain, finite(text)), (Role::Finished, finite(text))]),
            ["replay-after-end"]
        );
    }
}
