//! The measured values of a case. They are shown with and without findings.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    case::{Case, ENCODED, Role},
    fan::Fan,
    finding::Finding,
    observation::{End, Protocol, Seen, What},
    rules::{longest_silence, max_streams, verdict},
    timing::Timing,
};

/// Each value by its name. Values that were not measured are left out.
pub(super) fn numbers(case: &Case, findings: &[Finding]) -> Map<String, Value> {
    let mut numbers = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            numbers.insert(name.into(), value);
        }
    };
    if let Some(seen) = case.reference() {
        put("protocol", seen.protocol.map(Protocol::name).into());
        put("connect_ms", seen.connected.map(millis).into());
        put("ttfb_ms", seen.head.as_ref().map(|head| millis(head.at)).into());
        put("first_event_ms", seen.events().next().map(|event| millis(event.at)).into());
        put("max_gap_ms", millis(longest_silence(seen)).into());
    }
    put("heartbeat_ms", case.get(Role::Watch).and_then(heartbeat).map(millis).into());
    if let Some((_, timing)) = case.timing(Role::Probe) {
        put("held_ms", millis(timing.held()).into());
        put("http_version_at_server", timing.version_at_server.into());
    }
    put("score", scores(case));
    put("content_coding", codings(case));
    let http2 = case.seen.iter().map(|(_, seen)| seen).find(|seen| seen.protocol == Some(Protocol::Http2));
    put("max_concurrent_streams", http2.and_then(|seen| max_streams(&seen.first_bytes)).into());
    put("streams_at_a_time", case.streams.as_ref().and_then(Fan::number).into());
    put("connections_at_a_time", case.connections.as_ref().and_then(Fan::number).into());
    put("resume", verdict(case, findings).into());
    put("end", end(case).into());
    put("idle_s", survived(case, Role::Idle).or_else(|| survived(case, Role::Watch)).into());
    put("lifetime_s", survived(case, Role::Long).into());
    numbers
}

/// Pieces per event, by encoding, protocol and kind of request. 1 means a stream.
fn scores(case: &Case) -> Value {
    let others = [
        (Role::Http1, "http1"),
        (Role::Http2, "http2"),
        (Role::Http3, "http3"),
        (Role::Post, "post"),
        (Role::AnyAccept, "any_accept"),
    ];
    let roles = [(Role::Probe, "identity")].into_iter().chain(ENCODED).chain(others);
    let scores: Map<String, Value> =
        roles.filter_map(|(role, name)| Some((name.into(), score(case, role)?.into()))).collect();
    if scores.is_empty() { Value::Null } else { scores.into() }
}

fn score(case: &Case, role: Role) -> Option<f64> {
    let (seen, timing) = case.timing(role)?;
    let score = if seen.is_decoded {
        timing.score()?
    } else {
        (seen.bursts().len() as f64 / timing.asked.max(30) as f64).min(1.0)
    };
    Some((score * 100.0).round() / 100.0)
}

fn codings(case: &Case) -> Value {
    let codings: Map<String, Value> = ENCODED
        .into_iter()
        .filter_map(|(role, name)| {
            let seen = case.get(role).filter(|seen| seen.head.is_some())?;
            Some((name.into(), seen.header("content-encoding").unwrap_or("identity").into()))
        })
        .collect();
    if codings.is_empty() { Value::Null } else { codings.into() }
}

/// The usual time from one comment to the next.
fn heartbeat(seen: &Seen) -> Option<Duration> {
    let comments = || seen.said.iter().filter(|said| said.what == What::Comment).map(|said| said.at);
    let mut gaps: Vec<_> =
        comments().zip(comments().skip(1)).map(|(one, next)| next.saturating_sub(one)).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}

fn end(case: &Case) -> Option<&'static str> {
    let finished = case.get(Role::Finished)?;
    Some(match finished.status()? {
        204 => "204",
        _ if finished.events().next().is_some() => "starts again",
        _ => "stays open or ends",
    })
}

/// The duration of a stream: `"125+"` if it was not cut.
fn survived(case: &Case, role: Role) -> Option<String> {
    let seen = case.get(role)?;
    let was_whole = Timing::of(seen).is_some_and(|timing| timing.end.is_some());
    let plus = if was_whole || seen.end == End::Open { "+" } else { "" };
    Some(format!("{}{plus}", seen.ended.as_secs()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The values as text for people.
pub(super) fn lines(numbers: &Map<String, Value>) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(name, value)| format!("{name} {}", json!(value).to_string().trim_matches('"')))
                .collect();
            pairs.join(", ")
        }
        other => other.to_string(),
    };
    let names = [
        ("protocol", "protocol", ""),
        ("connect_ms", "connected in", " ms"),
        ("ttfb_ms", "first byte after", " ms"),
        ("first_event_ms", "first event after", " ms"),
        ("held_ms", "events held for up to", " ms"),
        ("max_gap_ms", "longest silence", " ms"),
        ("heartbeat_ms", "heartbeat every", " ms"),
        ("score", "pieces for each event", "   (1 is a stream, 0 is one block)"),
        ("content_coding", "compressed when asked", ""),
        ("http_version_at_server", "version at the server", ""),
        ("max_concurrent_streams", "HTTP/2 streams announced", ""),
        ("streams_at_a_time", "HTTP/2 streams at a time", ""),
        ("connections_at_a_time", "connections at a time", ""),
        ("resume", "resuming", ""),
        ("end", "requested again after the end", ""),
        ("dialect", "dialect", ""),
        ("first_token_ms", "first token after", " ms"),
        ("tokens", "tokens", ""),
        ("tokens_per_read", "tokens at a time", ""),
        ("terminal_event", "end marked by", ""),
        ("first_token_after_abort_ms", "first token after an abort", " ms"),
        ("idle_s", "silence", " s"),
        ("lifetime_s", "lifetime", " s"),
    ];
    names
        .iter()
        .filter_map(|(name, shown, unit)| Some(format!("{shown:<27}{}{unit}", text(numbers.get(*name)?))))
        .collect()
}
