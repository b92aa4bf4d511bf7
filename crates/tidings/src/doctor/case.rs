//! All that was seen of one URL.

use http::Uri;

use super::{
    fan::Fan,
    observation::{Protocol, Seen},
    timing::Timing,
};

/// Why an exchange was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// As it was asked for, without any `Accept-Encoding`, like curl.
    Plain,
    /// The stream of known timing, likewise.
    Probe,
    /// The same with large events, to see the size of a buffer.
    Big,
    /// A second connection, beside the first.
    Again,
    Gzip,
    Brotli,
    Zstd,
    /// With the `Accept-Encoding` of a browser.
    Browser,
    /// By the version of HTTP that the others were not asked by.
    Http1,
    Http2,
    Http3,
    /// By POST, where that changes nothing.
    Post,
    /// With `Accept: */*`, as fetch and curl have it.
    AnyAccept,
    /// A silence with heartbeats in it.
    Beats,
    BeatsGzip,
    /// With the ID of an event as the last one that was seen.
    Resume,
    /// With a last event ID that nobody has ever given.
    Unknown,
    /// With the last ID of a stream that has ended.
    Finished,
    Head,
    /// An OPTIONS request: a browser's question whether a page of another origin may send `Last-Event-ID`.
    Preflight,
    /// A path that nobody serves, where the stream's own says nothing: whoever answers names itself.
    Elsewhere,
    /// With an `Origin`.
    CrossOrigin,
    /// As it was asked for, watched for long.
    Watch,
    /// A long silence.
    Idle,
    /// As long as that, with an event each second.
    Busy,
    /// A long life.
    Long,
}

impl Role {
    /// Whether it asks for the stream, by the version of HTTP that the first request had.
    pub(super) fn is_for_the_stream(self) -> bool {
        let others = [Role::Head, Role::Preflight, Role::Elsewhere, Role::Http1, Role::Http2, Role::Http3];
        !others.contains(&self)
    }

    /// How it asks, for people.
    pub(super) fn asked(self) -> &'static str {
        match self {
            Role::Plain => "as it is",
            Role::Probe => "for a stream of known timing",
            Role::Big => "for large events",
            Role::Again => "a second time",
            Role::Gzip => "with Accept-Encoding: gzip",
            Role::Brotli => "with Accept-Encoding: br",
            Role::Zstd => "with Accept-Encoding: zstd",
            Role::Browser => "with the Accept-Encoding of a browser",
            Role::Http1 => "over HTTP/1.1",
            Role::Http2 => "over HTTP/2",
            Role::Http3 => "over HTTP/3",
            Role::Post => "by POST",
            Role::AnyAccept => "with Accept: */*",
            Role::Beats => "for heartbeats",
            Role::BeatsGzip => "for heartbeats, with gzip",
            Role::Resume => "with the ID of an event",
            Role::Unknown => "with an ID that nobody has given",
            Role::Finished => "with the ID of the last event",
            Role::Head => "by HEAD",
            Role::Preflight => "by OPTIONS",
            Role::Elsewhere => "at another path",
            Role::CrossOrigin => "with an Origin",
            Role::Watch => "for long",
            Role::Idle => "for a silence",
            Role::Busy => "for an event each second",
            Role::Long => "for a long life",
        }
    }
}

/// The roles that have an `Accept-Encoding`, and what they are called.
pub(super) const ENCODED: [(Role, &str); 4] =
    [(Role::Gzip, "gzip"), (Role::Brotli, "br"), (Role::Zstd, "zstd"), (Role::Browser, "browser")];

/// What is known of one URL.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Where the stream is, after redirects.
    pub(super) url: Uri,
    /// The status and the location of each redirect.
    pub(super) redirects: Vec<(u16, String)>,
    pub(super) seen: Vec<(Role, Seen)>,
    /// Many streams at one time, each over a connection of HTTP/1.1.
    pub(super) connections: Option<Fan>,
    /// Many streams at one time over one connection of HTTP/2.
    pub(super) streams: Option<Fan>,
    /// The last event ID of [`Role::Resume`].
    pub(super) resumed_after: Option<String>,
    /// What was not measured, and why.
    pub(super) not_measured: Vec<(&'static str, String)>,
}

impl Case {
    pub(super) fn new(url: Uri) -> Case {
        Case {
            url,
            redirects: vec![],
            seen: vec![],
            connections: None,
            streams: None,
            resumed_after: None,
            not_measured: vec![],
        }
    }

    pub(super) fn get(&self, role: Role) -> Option<&Seen> {
        self.seen.iter().find(|(seen, _)| *seen == role).map(|(_, seen)| seen)
    }

    /// The stream of known timing in this role, if it is one.
    pub(super) fn timing(&self, role: Role) -> Option<(&Seen, Timing)> {
        let seen = self.get(role)?;
        Some((seen, Timing::of(seen)?))
    }

    /// Whether the server sends streams of known timing.
    pub(super) fn is_cooperative(&self) -> bool {
        self.get(Role::Probe).is_some()
    }

    /// Whether anything was answered by this version of HTTP.
    pub(super) fn was_answered_by(&self, protocol: Protocol) -> bool {
        self.seen.iter().any(|(_, seen)| seen.protocol == Some(protocol) && seen.head.is_some())
    }

    /// The stream that the others are compared with.
    pub(super) fn reference(&self) -> Option<&Seen> {
        self.get(Role::Probe).or_else(|| self.get(Role::Plain))
    }
}

#[cfg(test)]
pub(super) mod made {
    //! Cases made by hand, for the tests of rules.

    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue};
    use tidings_codec::Decoder;

    use super::*;
    use crate::doctor::observation::{End, Head, Read};

    /// What a clean stream sends as its head.
    pub(in crate::doctor) const CLEAN: &[(&str, &str)] =
        &[("content-type", "text/event-stream"), ("cache-control", "no-cache, no-transform")];

    pub(in crate::doctor) fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    pub(in crate::doctor) fn case(url: &str, seen: Vec<(Role, Seen)>) -> Case {
        Case { seen, ..Case::new(url.parse().unwrap()) }
    }

    /// An answer whose body comes in these pieces at these milliseconds.
    pub(in crate::doctor) fn answer(
        status: u16,
        headers: &[(&str, &str)],
        pieces: &[(u64, &str)],
        end: End,
    ) -> Seen {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect();
        let head = Head { at: ms(5), status, headers };
        let mut seen = Seen {
            connected: Some(ms(1)),
            protocol: Some(Protocol::Http1),
            head: Some(head),
            is_decoded: true,
            end,
            ended: ms(pieces.last().map_or(10, |(at, _)| *at)),
            ..Seen::default()
        };
        let mut decoder = Decoder::new();
        for (at, piece) in pieces {
            seen.reads.push(Read { at: ms(*at), bytes: piece.len() });
            seen.take(ms(*at), piece.as_bytes(), &mut decoder);
        }
        seen
    }

    /// An endless stream of these pieces.
    pub(in crate::doctor) fn stream(pieces: &[(u64, &str)]) -> Seen {
        answer(200, CLEAN, pieces, End::Open)
    }

    /// A stream of known timing, ten events 100 ms apart and an end 500 ms later, that arrives as `arrives` maps the
    /// number and the time of sending. Number 11 is the end.
    pub(in crate::doctor) fn probe(arrives: impl Fn(u64, u64) -> u64) -> Seen {
        probe_from(1, "a", Some("1"), arrives)
    }

    /// The same with the first event's number, the stream's name, and the last event ID that the server saw.
    pub(in crate::doctor) fn probe_from(
        first: u64,
        name: &str,
        id: Option<&str>,
        arrives: impl Fn(u64, u64) -> u64,
    ) -> Seen {
        let start = serde_json::json!({
            "stream": name, "events": 10,
            "request": { "version": "HTTP/1.1", "headers": { "last-event-id": id } },
        });
        let mut pieces = vec![(arrives(0, 0), format!(":\nretry: 2000\nevent: start\ndata: {start}\n\n"))];
        for number in first..=10 {
            let sent = number * 100;
            let data = format!("id: {number}\ndata: {{\"n\":{number},\"sent_us\":{}}}\n\n", sent * 1000);
            pieces.push((arrives(number, sent), data));
        }
        pieces.push((arrives(11, 1500), "event: end\ndata: {\"sent_us\":1500000}\n\n".into()));
        let pieces: Vec<_> = pieces.iter().map(|(at, piece)| (*at, &**piece)).collect();
        let headers: Vec<_> = CLEAN.iter().copied().chain([("tidings-probe", "1")]).collect();
        answer(200, &headers, &pieces, End::Complete)
    }
}

#[cfg(test)]
mod tests {
    use super::made::{ms, probe};
    use super::*;
    use crate::doctor::timing::block;

    fn timing(arrives: impl Fn(u64, u64) -> u64) -> Timing {
        Timing::of(&probe(arrives)).unwrap()
    }

    #[test]
    fn a_stream_that_comes_as_it_is_sent_scores_one_and_holds_nothing() {
        let good = timing(|_, sent| sent + 30);
        assert_eq!((good.score(), good.held(), good.is_one_behind()), (Some(1.0), ms(0), false));
    }

    #[test]
    fn one_block_at_the_end_scores_next_to_nothing_and_says_how_long_it_was_held() {
        let held = timing(|_, _| 1500);
        assert!(held.score().unwrap() < 0.2);
        assert_eq!(held.held(), ms(1400));
    }

    #[test]
    fn one_behind_is_known_by_the_silence_before_the_end() {
        let behind = timing(|number, sent| if number >= 10 { 1505 } else { sent + 105 });
        assert!(behind.is_one_behind() && behind.score().unwrap() > 0.8);
    }

    #[test]
    fn a_server_that_is_slow_itself_is_not_one_behind() {
        assert!(
            !timing(|number, sent| if number == 10 { sent + 420 } else { sent + number * 2 }).is_one_behind()
        );
    }

    #[test]
    fn the_size_of_a_block_is_the_usual_piece_without_the_last() {
        let seen = made::stream(&[(0, "aaaa"), (100, "aaaa"), (200, "aaaa"), (300, "a")]);
        assert_eq!(block(&seen), Some(4));
    }
}
