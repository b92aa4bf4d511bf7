//! Faults that show only over HTTP/2.

use super::super::{
    case::Case,
    finding::Finding,
    observation::{End, Protocol, Seen},
};

/// The header fields that HTTP/2 forbids, in both of its encodings: plain, and in HPACK's Huffman code, which begins at
/// a byte. Transfer-Encoding has a number instead, so only its plain form is found. Source: RFC 9113,
/// "Connection-Specific Header Fields"; RFC 7541, "Huffman Code".
const FORBIDDEN: [(&str, &[u8]); 5] = [
    ("Connection", b"connection"),
    ("Connection", &[0x21, 0xEA, 0xA8, 0xA4, 0x49, 0x8F, 0x57]),
    ("Keep-Alive", b"keep-alive"),
    ("Keep-Alive", &[0xEA, 0x52, 0xD6, 0xB0, 0xE8, 0x37, 0x72, 0xFF]),
    ("Transfer-Encoding", b"transfer-encoding"),
];

/// The minimum number of concurrent streams for a browser with many tabs. Source: RFC 9113,
/// "SETTINGS_MAX_CONCURRENT_STREAMS".
const ENOUGH_STREAMS: u32 = 100;

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let by_http2 = |seen: &&Seen| seen.protocol == Some(Protocol::Http2);
    let Some(http2) = case.seen.iter().map(|(_, seen)| seen).find(by_http2) else { return vec![] };
    failed(case, http2).into_iter().chain(few_streams(case, http2)).collect()
}

fn failed(case: &Case, http2: &Seen) -> Option<Finding> {
    if http2.head.is_some() {
        return None;
    }
    let http1 = |seen: &Seen| seen.protocol == Some(Protocol::Http1) && seen.head.is_some();
    let over_http1 = case.seen.iter().any(|(_, seen)| http1(seen));
    let evidence =
        if over_http1 { "the same request over HTTP/1.1 is answered" } else { "the request over HTTP/2" };
    if let Some(name) = forbidden(&http2.first_bytes) {
        return Some(Finding::of("forbidden-header", format!("HTTP/2 answer with {name}"), evidence));
    }
    let End::Broken(reason) = &http2.end else { return None };
    let finding = Finding::of("http2-error", reason.clone(), evidence);
    Some(if over_http1 { finding } else { finding.consistent() })
}

/// The name of a forbidden field in the first bytes of a connection. The HTTP library refuses to show it.
fn forbidden(first_bytes: &[u8]) -> Option<&'static str> {
    let found = |bytes: &[u8]| memchr::memmem::find(first_bytes, bytes).is_some();
    FORBIDDEN.into_iter().find(|(_, bytes)| found(bytes)).map(|(name, _)| name)
}

fn few_streams(case: &Case, http2: &Seen) -> Option<Finding> {
    let is_few = |streams: u32| streams < ENOUGH_STREAMS;
    let announced = max_streams(&http2.first_bytes).filter(|streams| is_few(*streams));
    let announced = announced.map(|streams| format!("SETTINGS_MAX_CONCURRENT_STREAMS is {streams}"));
    let measured =
        case.streams.as_ref().filter(|fan| fan.cap().is_some_and(|cap| cap < ENOUGH_STREAMS as usize));
    match (measured, announced) {
        (Some(fan), announced) => {
            let evidence = announced.unwrap_or_else(|| "as many requests over one connection".into());
            Some(Finding::of("few-streams", fan.shown(), evidence))
        }
        (None, Some(announced)) => Some(Finding::of("few-streams", announced, "the first SETTINGS")),
        (None, None) => None,
    }
}

/// The limit in the server's first SETTINGS frame. Source: RFC 9113, "SETTINGS Frame Format".
pub(in crate::doctor) fn max_streams(first_bytes: &[u8]) -> Option<u32> {
    const SETTINGS: u8 = 4;
    const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
    let (head, rest) = first_bytes.split_at_checked(9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let settings = rest.get(..length).filter(|_| head[3] == SETTINGS)?;
    let setting = settings.chunks_exact(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS)?;
    Some(u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]))
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::{
        case::{
            Role,
            made::{case, stream},
        },
        fan::Fan,
    };
    use std::time::Duration;

    fn refused(first_bytes: &[u8]) -> Seen {
        Seen {
            protocol: Some(Protocol::Http2),
            end: End::Broken("protocol error".into()),
            first_bytes: first_bytes.to_vec(),
            ..Seen::default()
        }
    }

    fn found(http2: Seen) -> Vec<Finding> {
        findings(&case("https://localhost/", vec![(Role::Plain, stream(&[])), (Role::Http2, http2)]))
    }

    #[test]
    fn a_forbidden_header_is_found_in_the_bytes() {
        for bytes in [&b"..connection\x0akeep-alive"[..], &[1, 0x21, 0xEA, 0xA8, 0xA4, 0x49, 0x8F, 0x57, 9]] {
            let found = found(refused(bytes));
            assert_eq!(
                (names(&found), &*found[0].measured),
                (vec!["forbidden-header"], "HTTP/2 answer with Connection")
            );
        }
        assert_eq!(names(&found(refused(b"nothing of the kind"))), ["http2-error"]);
    }

    #[test]
    fn the_first_settings_say_how_many_streams_there_may_be() {
        let settings = |streams: u8| [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams];
        let seen = |streams| Seen {
            first_bytes: settings(streams).to_vec(),
            protocol: Some(Protocol::Http2),
            ..stream(&[])
        };
        assert_eq!(names(&found(seen(10))), ["few-streams"]);
        assert!(found(seen(100)).is_empty());
        assert_eq!(max_streams(&[0, 0, 200, 4, 0]), None);
    }

    #[test]
    fn streams_that_wait_or_are_refused_count_whatever_the_settings_say() {
        let found = |answered, refused, silence| {
            let ended = Duration::from_millis(1500);
            let last = ended - Duration::from_millis(silence);
            let streams = Fan { asked: 120, answered, refused: vec![Some(503); refused], last, ended };
            let seen = Seen { protocol: Some(Protocol::Http2), ..stream(&[]) };
            let case = case("https://localhost/", vec![(Role::Plain, seen)]);
            findings(&Case { streams: Some(streams), ..case })
        };
        assert!(found(120, 0, 0).is_empty());
        assert!(found(100, 0, 1400).is_empty());
        assert!(found(40, 0, 100).is_empty(), "a slow server");
        assert_eq!(found(40, 0, 1400)[0].measured, "40 of 120 at a time are answered, 80 wait");
        assert_eq!(names(&found(40, 80, 0)), ["few-streams"]);
    }
}
