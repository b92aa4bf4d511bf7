//! Streams that are held back, and the causes.

use std::time::Duration;

use super::super::{
    case::{Case, ENCODED, Role},
    finding::Finding,
    observation::{End, Protocol, Seen, What},
    timing::{Timing, block},
    vendors::{Hop, hops},
};

/// Below this score a stream is held back: it arrived in less than half as many pieces as there were events.
const HELD_SCORE: f64 = 0.5;

/// Shorter delays usually come from a timer and not from a buffer: HAProxy corks its socket for 200 ms.
const SHORT: Duration = Duration::from_millis(400);

/// The usual sizes of buffers.
const USUAL_BLOCKS: [usize; 6] = [4096, 8192, 16_384, 32_768, 65_536, 131_072];

const BOTH_ACCEPTED: &str = "the same stream of known timing with both values of Accept";

/// The result for a stream of known timing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Streamed,
    Held,
    OneBehind,
    /// Several events arrive together, none of them late by much.
    Delayed,
    Slow,
    /// Too little arrived for a result.
    Unknown,
}

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    if let Some(finding) = recorded(case) {
        // A recording arrives at once, which says nothing about buffers.
        return vec![finding];
    }
    if case.is_cooperative() { measured(case) } else { guessed(case).into_iter().collect() }
}

fn fate(seen: &Seen, timing: &Timing) -> Fate {
    let bursts = seen.bursts();
    if !seen.is_decoded {
        // Only the pieces can be counted.
        let pieces = bursts.len() as f64 / timing.asked.max(30) as f64;
        return if pieces < HELD_SCORE && seen.end == End::Complete { Fate::Held } else { Fate::Streamed };
    }
    if timing.arrivals.len() < 3 {
        let pieces = bursts.len();
        return if pieces >= 10 && seen.wire_bytes() / pieces < 64 { Fate::Slow } else { Fate::Unknown };
    }
    if timing.is_one_behind() {
        return Fate::OneBehind;
    }
    if timing.score().is_some_and(|score| score < HELD_SCORE) {
        return if timing.usually_held() <= SHORT { Fate::Delayed } else { Fate::Held };
    }
    let (first, last) = (timing.arrivals[0], timing.arrivals[timing.arrivals.len() - 1]);
    let grew = (last.at.saturating_sub(first.at)).saturating_sub(last.sent.saturating_sub(first.sent));
    let in_pieces = bursts.len() > 2 * timing.arrivals.len();
    if in_pieces && grew > Duration::from_millis(500) { Fate::Slow } else { Fate::Streamed }
}

fn measured(case: &Case) -> Vec<Finding> {
    let fate_of = |role| case.timing(role).map(|(seen, timing)| fate(seen, &timing));
    let Some((probe, timing)) = case.timing(Role::Probe) else { return vec![] };
    let hops = hops(probe);
    let mut findings = Vec::new();
    match fate(probe, &timing) {
        Fate::Held => findings.push(held(case, probe, &timing, fate_of, &hops)),
        Fate::OneBehind => findings.push(one_behind(probe, &timing, "without compression", &hops)),
        Fate::Slow => {
            let pieces = probe.bursts().len();
            let bytes = probe.wire_bytes() / pieces.max(1);
            let measured = format!(
                "{pieces} pieces of about {bytes} bytes; events up to {} late",
                seconds(timing.held())
            );
            findings.push(
                Finding::of("slow", measured, "stream of known timing")
                    .with_hop(proxy(&hops).map(Hop::shown)),
            );
        }
        Fate::Streamed => {
            findings.extend(compressed(case));
            findings.extend(by_another_version(case));
            findings.extend(asked_otherwise(case));
            findings.extend(heartbeats(case));
        }
        Fate::Delayed => {
            let (events, pieces) = (timing.arrivals.len(), probe.bursts().len());
            let measured =
                format!("{events} events in {pieces} pieces, up to {} late", seconds(timing.held()));
            let hop = proxy(&hops).map(Hop::shown);
            findings.push(
                Finding::of("delayed", measured, "stream of known timing, one event each 100 ms")
                    .with_hop(hop),
            );
        }
        Fate::Unknown => {}
    }
    findings
}

/// All events arrive together or in blocks, without an excuse.
fn held(
    case: &Case,
    probe: &Seen,
    timing: &Timing,
    fate_of: impl Fn(Role) -> Option<Fate>,
    hops: &[Hop],
) -> Finding {
    let measured = shape(case, probe, timing);
    let streams = |role| fate_of(role) == Some(Fate::Streamed);
    let accel = probe.header("x-accel-buffering").is_some_and(|value| value.eq_ignore_ascii_case("no"));
    let is_nginx = hops.iter().any(|hop| hop.name == "nginx");
    let mut evidence = "stream of known timing, one event each 100 ms, not compressed".to_owned();
    if accel && is_nginx {
        evidence.push_str("; nginx ignores X-Accel-Buffering: no (proxy_ignore_headers?)");
    }
    if streams(Role::Http1) {
        let measured = format!("HTTP/2: {measured}; HTTP/1.1: event by event");
        return fixed("buffered-http2", measured, evidence, proxy(hops));
    }
    let is_quick_tunnel = case.url.host().is_some_and(|host| host.ends_with(".trycloudflare.com"));
    let fix = |finding: Finding| if is_quick_tunnel { finding.with_fix("cloudflare") } else { finding };
    if streams(Role::Post) {
        let measured = format!("GET: {measured}; POST: event by event");
        let evidence = "the same stream of known timing by both methods";
        return fix(fixed("buffered-get", measured, evidence, proxy(hops)));
    }
    if is_quick_tunnel && fate_of(Role::Post).is_none() {
        let evidence = "stream of known timing through *.trycloudflare.com";
        return fix(Finding::of("buffered-get", measured, evidence).consistent());
    }
    if streams(Role::AnyAccept) {
        let measured = format!("Accept text/event-stream: {measured}; */*: event by event");
        return fixed("buffered-accept", measured, BOTH_ACCEPTED, proxy(hops));
    }
    fixed("buffered", measured, evidence, proxy(hops))
}

/// "all 30 events in 1 piece, the first held for 3.4 s", and the block size if there is one.
fn shape(case: &Case, seen: &Seen, timing: &Timing) -> String {
    let pieces = seen.bursts().len();
    let events = timing.arrivals.len();
    let held = seconds(timing.held());
    let big = case.get(Role::Big).filter(|big| big.bursts().len() > 2).and_then(block);
    // A buffer that is smaller than the large events shows with the small ones.
    let block = block(seen).filter(|_| pieces > 2).or(big);
    let whole = if pieces <= 2 {
        format!("all {events} events arrived together")
    } else {
        format!("{events} events arrived in {pieces} pieces")
    };
    match block {
        Some(bytes) => format!("{whole}, held for up to {held}, in blocks of about {} bytes", usual(bytes)),
        None => format!("{whole}, held for up to {held}, until the stream ended"),
    }
}

fn one_behind(seen: &Seen, timing: &Timing, how: &str, hops: &[Hop]) -> Finding {
    let late = seconds(timing.held());
    let measured = format!("{how}: each event arrived with the next one, the last {late} late");
    let coded = seen.header("content-encoding").is_some();
    fixed(
        "one-behind",
        measured,
        "stream of known timing",
        if coded { compressor(hops) } else { proxy(hops) },
    )
}

fn compressed(case: &Case) -> Option<Finding> {
    let mut bad = Vec::new();
    let mut worst = None;
    for (role, name) in ENCODED {
        let Some((seen, timing)) = case.timing(role) else { continue };
        let fate = fate(seen, &timing);
        if matches!(fate, Fate::Held | Fate::OneBehind) {
            let coding = seen.header("content-encoding").unwrap_or("identity");
            bad.push(format!("{name} (sent as {coding})"));
            worst.get_or_insert((seen, timing, fate));
        }
    }
    let (seen, timing, fate) = worst?;
    let hops = hops(seen);
    let accepted = format!("Accept-Encoding {}", bad.join(", "));
    if fate == Fate::OneBehind {
        return Some(one_behind(seen, &timing, &accepted, &hops));
    }
    let measured = if seen.is_decoded {
        format!("{accepted}: {}; without: event by event", shape_compressed(seen, &timing))
    } else {
        format!("{accepted}: {} pieces; without: event by event", seen.bursts().len())
    };
    Some(fixed(
        "buffered-compressed",
        measured,
        "the same stream of known timing, with and without",
        compressor(&hops),
    ))
}

fn shape_compressed(seen: &Seen, timing: &Timing) -> String {
    let (events, pieces) = (timing.arrivals.len(), seen.bursts().len());
    let pieces = if pieces == 1 { "one piece".into() } else { format!("{pieces} pieces") };
    format!("{events} events in {pieces}, held for up to {}", seconds(timing.held()))
}

/// A stream that arrives event by event over one version of HTTP should do so over the later ones.
fn by_another_version(case: &Case) -> Option<Finding> {
    [(Role::Http2, "buffered-http2"), (Role::Http3, "buffered-http3")].into_iter().find_map(|(role, rule)| {
        let (seen, timing) = case.timing(role).filter(|(seen, timing)| fate(seen, timing) == Fate::Held)?;
        let name = |seen: &Seen| seen.protocol.map_or("", Protocol::name);
        let usual = name(case.get(Role::Probe)?);
        let measured = format!("{}: {}; {usual}: event by event", name(seen), shape(case, seen, &timing));
        Some(fixed(rule, measured, "the same stream of known timing over both", proxy(&hops(seen))))
    })
}

/// A stream that arrives event by event with GET and as an event stream should do so with POST and with any Accept.
fn asked_otherwise(case: &Case) -> Option<Finding> {
    let held = |role| {
        case.timing(role)
            .filter(|(seen, timing)| fate(seen, timing) == Fate::Held)
            .map(|(seen, timing)| (shape_compressed(seen, &timing), hops(seen)))
    };
    if let Some((shape, hops)) = held(Role::Post) {
        let measured = format!("POST: {shape}; GET: event by event");
        let evidence = "the same stream of known timing by both methods";
        return Some(fixed("buffered-post", measured, evidence, proxy(&hops)));
    }
    let (shape, hops) = held(Role::AnyAccept)?;
    let measured = format!("Accept */*: {shape}; text/event-stream: event by event");
    Some(fixed("buffered-accept", measured, BOTH_ACCEPTED, proxy(&hops)))
}

/// Checks whether comments arrive during a silence, and whether they arrive in time.
fn heartbeats(case: &Case) -> Option<Finding> {
    let beats = |role| case.get(role).and_then(Beats::of);
    let plain = beats(Role::Beats)?;
    let hops = case.get(Role::Beats).map(hops).unwrap_or_default();
    if plain.all == 0 {
        let measured = "the events of a stream arrived, but its comments did not";
        return Some(
            fixed("comments-dropped", measured, "stream of known timing with heartbeats", None)
                .with_hop(proxy(&hops).map(Hop::shown)),
        );
    }
    let gzip = beats(Role::BeatsGzip).filter(|gzip| gzip.in_time == 0);
    let held = (plain.in_time == 0).then_some("not compressed").or(gzip.map(|_| "compressed with gzip"))?;
    let measured = format!("{held}: comments arrived with the next event, not in the silence");
    Some(fixed("heartbeats-held", measured, "stream of known timing with heartbeats", compressor(&hops)))
}

struct Beats {
    all: usize,
    in_time: usize,
}

impl Beats {
    /// `None` if the stream did not end with its last event.
    fn of(seen: &Seen) -> Option<Beats> {
        let end = Timing::of(seen)?.end?.at;
        let comments = || seen.said.iter().filter(|said| said.what == What::Comment);
        let last_event = seen.events().filter(|event| event.event_type != "end").last()?.at;
        let in_silence = |at: Duration| at > last_event && at + Duration::from_millis(100) < end;
        Some(Beats {
            all: comments().count(),
            in_time: comments().filter(|said| in_silence(said.at)).count(),
        })
    }
}

/// Finds two connections that got the same stream of known timing.
fn recorded(case: &Case) -> Option<Finding> {
    let name = |role| case.timing(role).map(|(_, timing)| timing.stream).filter(|name| !name.is_empty());
    let later: Vec<_> = [Role::Again].into_iter().chain(ENCODED.map(|(role, _)| role)).collect();
    let first = name(Role::Probe);
    let fix = |finding: Finding, seen: &Seen| {
        let hops = hops(seen);
        let hop = proxy(&hops);
        finding.with_fix(hop.map_or("cdn", |hop| hop.fix)).with_hop(hop.map(Hop::shown))
    };
    let again = case.get(Role::Again)?;
    if first.is_some() && later.iter().any(|role| name(*role) == first) {
        let finding = Finding::of(
            "cached",
            "a second connection got the first one's stream",
            "each stream has its own name",
        );
        return Some(fix(finding, again));
    }
    let names: Vec<_> = later.iter().filter_map(|role| name(*role)).collect();
    let twice = names.iter().enumerate().any(|(index, name)| names[..index].contains(name));
    twice.then(|| {
        let measured = "two connections at the same time got one stream";
        fix(Finding::of("shared-stream", measured, "each stream has its own name"), again)
    })
}

/// Findings for a stream of unknown timing.
fn guessed(case: &Case) -> Option<Finding> {
    let plain = case.get(Role::Plain).filter(|plain| plain.is_stream())?;
    let hops = hops(plain);
    let bursts = plain.bursts();
    let events = plain.events().count();
    let began = plain.head.as_ref()?.at;
    if let (End::Complete, [only], true) = (&plain.end, &*bursts, events >= 3) {
        let late = only.at.max(began);
        let end_came_with_it = plain.ended.saturating_sub(only.at) < Duration::from_millis(100);
        if late > Duration::from_secs(1) && end_came_with_it {
            let measured =
                format!("all {events} events and the end arrived together, after {}", seconds(late));
            return Some(fixed("buffered", measured, "the stream as it arrived", proxy(&hops)).consistent());
        }
    }
    if let Some(bytes) = block(plain).filter(|_| bursts.len() >= 4 && events > 2 * bursts.len()) {
        let all_alike = bursts[..bursts.len() - 1].iter().all(|burst| usual(burst.bytes) == usual(bytes));
        if USUAL_BLOCKS.contains(&usual(bytes)) && all_alike {
            let measured =
                format!("{events} events arrived in {} blocks of about {} bytes", bursts.len(), usual(bytes));
            return Some(fixed("buffered", measured, "the stream as it arrived", proxy(&hops)).consistent());
        }
    }
    let browser = [Role::Browser, Role::Gzip].iter().find_map(|role| {
        case.get(*role).filter(|seen| seen.header("content-encoding").is_some() && seen.is_stream())
    })?;
    // Both are observed for about the same time.
    let (few, many) = (browser.bursts().len(), bursts.len());
    (many >= 6 && few <= many / 3).then(|| {
        let measured = format!("compressed: {few} pieces in {}; without: {many}", seconds(browser.ended));
        fixed(
            "buffered-compressed",
            measured,
            "the same stream with and without Accept-Encoding",
            compressor(&crate::doctor::vendors::hops(browser)),
        )
    })
}

fn fixed(
    rule: &'static str,
    measured: impl Into<String>,
    evidence: impl Into<String>,
    hop: Option<&Hop>,
) -> Finding {
    let finding = Finding::of(rule, measured, evidence).with_hop(hop.map(Hop::shown));
    match hop {
        Some(hop) => finding.with_fix(hop.fix),
        None => finding,
    }
}

/// The first proxy that names itself.
fn proxy(hops: &[Hop]) -> Option<&Hop> {
    hops.iter().find(|hop| !hop.is_application())
}

/// The program that compresses: most often the application, if it names itself.
fn compressor(hops: &[Hop]) -> Option<&Hop> {
    hops.iter().find(|hop| hop.is_application()).or_else(|| proxy(hops))
}

/// A usual buffer size near `bytes`, otherwise `bytes`.
fn usual(bytes: usize) -> usize {
    USUAL_BLOCKS.into_iter().find(|block| bytes.abs_diff(*block) * 25 <= *block).unwrap_or(bytes)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::{
        case::made::{self, CLEAN, answer, case, probe, probe_from, stream},
        finding::Confidence,
    };

    fn good(name: &str) -> Seen {
        probe_from(1, name, None, |_, sent| sent + 10)
    }

    fn with(mut seen: Seen, name: &'static str, value: &'static str) -> Seen {
        seen.head.as_mut().unwrap().headers.insert(name, value.parse().unwrap());
        seen
    }

    fn found(seen: Vec<(Role, Seen)>) -> Vec<Finding> {
        findings(&case("http://localhost/events", seen))
    }

    #[test]
    fn one_block_is_buffered_and_nginx_gets_its_own_fix() {
        let held = with(probe(|_, _| 1500), "server", "nginx/1.22.1");
        let found = found(vec![(Role::Probe, held)]);
        assert_eq!(names(&found), ["buffered"]);
        assert_eq!((found[0].fix, found[0].hop.as_deref()), ("nginx", Some("nginx (server: nginx/1.22.1)")));
        assert!(
            found[0].measured.contains("all 10 events arrived together, held for up to 1.4 s"),
            "{}",
            found[0].measured
        );
    }

    #[test]
    fn a_fifth_of_a_second_is_a_delay_and_no_buffer() {
        let found = found(vec![(Role::Probe, probe(|_, sent| sent.div_ceil(300) * 300))]);
        assert_eq!(names(&found), ["delayed"]);
        // Also not if the machine stood still for a while in between.
        let stalled = |_, sent: u64| if sent > 600 { 1200 } else { sent.div_ceil(300) * 300 };
        let stalled = case("http://localhost/events", vec![(Role::Probe, probe(stalled))]);
        assert_eq!(names(&findings(&stalled)), ["delayed"]);
    }

    #[test]
    fn blocks_are_named_by_their_size() {
        let data = "x".repeat(8000);
        let pieces: Vec<_> = (0..5).map(|n| (n * 500, &*data)).collect();
        let found = found(vec![
            (Role::Probe, probe(|_, _| 1500)),
            (Role::Big, answer(200, CLEAN, &pieces, End::Complete)),
        ]);
        assert_eq!(names(&found), ["buffered"]);
        assert!(found[0].measured.contains("blocks of about 8192 bytes"), "{}", found[0].measured);
    }

    #[test]
    fn compression_is_a_fault_only_when_it_holds_back() {
        let gzip = |arrives: fn(u64, u64) -> u64| {
            with(probe_from(1, "b", None, arrives), "content-encoding", "gzip")
        };
        assert!(found(vec![(Role::Probe, good("a")), (Role::Gzip, gzip(|_, sent| sent + 10))]).is_empty());
        let held = found(vec![
            (Role::Probe, good("a")),
            (Role::Gzip, with(gzip(|_, _| 1500), "x-powered-by", "Next.js")),
        ]);
        assert_eq!((names(&held), held[0].fix), (vec!["buffered-compressed"], "next"));
        // For a coding that cannot be undone, the pieces count.
        let mut brotli =
            with(answer(200, CLEAN, &[(5, "x"), (1500, "y")], End::Complete), "tidings-probe", "1");
        brotli.is_decoded = false;
        assert_eq!(
            names(&found(vec![(Role::Probe, good("a")), (Role::Brotli, brotli)])),
            ["buffered-compressed"]
        );
    }

    #[test]
    fn one_behind_is_found_plain_and_compressed() {
        let behind =
            |name| probe_from(1, name, None, |number, sent| if number >= 10 { 1500 } else { sent + 100 });
        assert_eq!(names(&found(vec![(Role::Probe, behind("a"))])), ["one-behind"]);
        assert_eq!(names(&found(vec![(Role::Probe, good("a")), (Role::Gzip, behind("b"))])), ["one-behind"]);
    }

    #[test]
    fn http2_alone_may_be_blocky() {
        let held = |name| probe_from(1, name, None, |_, _| 1500);
        assert_eq!(
            names(&found(vec![(Role::Probe, good("a")), (Role::Http3, held("b"))])),
            ["buffered-http3"]
        );
        assert_eq!(
            names(&found(vec![(Role::Probe, good("a")), (Role::Http2, held("b"))])),
            ["buffered-http2"]
        );
        assert_eq!(
            names(&found(vec![(Role::Probe, held("a")), (Role::Http1, good("b"))])),
            ["buffered-http2"]
        );
        assert_eq!(names(&found(vec![(Role::Probe, held("a")), (Role::Http1, held("b"))])), ["buffered"]);
    }

    #[test]
    fn get_and_post_are_told_apart() {
        let held = |name| probe_from(1, name, None, |_, _| 1500);
        let both = |get, post| found(vec![(Role::Probe, get), (Role::Post, post)]);
        assert!(both(good("a"), good("b")).is_empty());
        assert_eq!(names(&both(held("a"), held("b"))), ["buffered"]);
        assert_eq!(names(&both(good("a"), held("b"))), ["buffered-post"]);
        let get = both(with(held("a"), "server", "nginx"), good("b"));
        assert_eq!((names(&get), get[0].fix), (vec!["buffered-get"], "nginx"));
        // A refused POST says nothing about streams.
        let refused = || answer(403, &[("tidings-probe", "1")], &[(9, "no")], End::Complete);
        assert_eq!(names(&both(held("a"), refused())), ["buffered"]);
        assert!(both(good("a"), refused()).is_empty());
    }

    #[test]
    fn a_quick_tunnel_is_known_by_its_name_and_proved_by_a_post() {
        let held = |name| probe_from(1, name, None, |_, _| 1500);
        let found = |more: Vec<(Role, Seen)>| {
            let seen = [vec![(Role::Probe, held("a"))], more].concat();
            let found = findings(&case("https://a-b.trycloudflare.com/e", seen));
            (names(&found), found[0].confidence, found[0].fix)
        };
        use Confidence::{Consistent, Proved};
        assert_eq!(found(vec![]), (vec!["buffered-get"], Consistent, "cloudflare"));
        assert_eq!(found(vec![(Role::Post, good("b"))]), (vec!["buffered-get"], Proved, "cloudflare"));
        assert_eq!(found(vec![(Role::Post, held("b"))]).0, ["buffered"]);
    }

    #[test]
    fn what_depends_on_accept_is_found_both_ways() {
        let held = |name| probe_from(1, name, None, |_, _| 1500);
        let both = |stream, any| names(&found(vec![(Role::Probe, stream), (Role::AnyAccept, any)]));
        assert!(both(good("a"), good("b")).is_empty());
        assert_eq!(both(good("a"), held("b")), ["buffered-accept"]);
        assert_eq!(both(held("a"), good("b")), ["buffered-accept"]);
        assert_eq!(both(held("a"), held("b")), ["buffered"]);
    }

    #[test]
    fn a_stream_that_drips_is_slow() {
        let letters: Vec<_> = (0..40).map(|n| (n * 100, "abc")).collect();
        let dripping = with(answer(200, CLEAN, &letters, End::Open), "tidings-probe", "1");
        assert_eq!(names(&found(vec![(Role::Probe, dripping)])), ["slow"]);
    }

    #[test]
    fn the_same_stream_twice_is_a_recording_or_shared() {
        assert_eq!(names(&found(vec![(Role::Probe, good("a")), (Role::Again, good("a"))])), ["cached"]);
        let shared = vec![(Role::Probe, good("a")), (Role::Again, good("b")), (Role::Browser, good("b"))];
        assert_eq!(names(&found(shared)), ["shared-stream"]);
    }

    #[test]
    fn heartbeats_that_are_held_or_dropped_are_found() {
        let end = "event: end\ndata: {\"sent_us\":2000000}\n\n";
        let beats = |at: &[u64]| {
            let mut pieces = vec![
                (5, "event: start\ndata: {\"stream\":\"x\"}\n\n"),
                (100, "data: {\"n\":1,\"sent_us\":100000}\n\n"),
            ];
            pieces.extend(at.iter().map(|at| (*at, ":\n")));
            pieces.push((2000, end));
            with(answer(200, CLEAN, &pieces, End::Complete), "tidings-probe", "1")
        };
        let all = |plain: &[u64], gzip: &[u64]| {
            names(&found(vec![
                (Role::Probe, good("a")),
                (Role::Beats, beats(plain)),
                (Role::BeatsGzip, beats(gzip)),
            ]))
        };
        assert!(all(&[500, 1000], &[500, 1000]).is_empty());
        assert_eq!(all(&[], &[]), ["comments-dropped"]);
        assert_eq!(all(&[500, 1000], &[2000]), ["heartbeats-held"]);
    }

    #[test]
    fn without_known_timing_only_clear_signs_count() {
        let event = "data: a\n\n";
        let late = answer(200, CLEAN, &[(3000, &event.repeat(5))], End::Complete);
        let found_in = |seen: Seen| found(vec![(Role::Plain, seen)]);
        assert_eq!(names(&found_in(late)), ["buffered"]);
        // A history that arrives at once, and then a quiet stream, is no fault.
        assert!(found_in(stream(&[(10, &event.repeat(50))])).is_empty());
        let block = event.repeat(4096 / event.len());
        let blocks: Vec<_> = (0..6).map(|n| (n * 300, &*block)).collect();
        assert_eq!(names(&found_in(stream(&blocks))), ["buffered"]);

        let live: Vec<_> = (0..12).map(|n| (n * 400, event)).collect();
        let gzip = |pieces: &[(u64, &str)]| with(made::stream(pieces), "content-encoding", "gzip");
        let both = |browser| names(&found(vec![(Role::Plain, stream(&live)), (Role::Browser, browser)]));
        assert!(both(gzip(&live)).is_empty());
        assert_eq!(both(gzip(&live[..1])), ["buffered-compressed"]);
    }
}
