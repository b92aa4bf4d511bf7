//! All observations of one URL.

use http::Uri;

use super::{
    fan::Fan,
    observation::{Protocol, Seen},
    rules::Credential,
    timing::Timing,
};

/// The purpose of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The original request, without any `Accept-Encoding`, like curl.
    Plain,
    /// The stream of known timing, with the same request.
    Probe,
    /// The stream of known timing with large events, to find the size of a buffer.
    Big,
    /// A second connection, at the same time as the first.
    Again,
    Gzip,
    Brotli,
    Zstd,
    /// With the `Accept-Encoding` of a browser.
    Browser,
    /// With the version of HTTP that the other requests do not use.
    Http1,
    Http2,
    Http3,
    /// With POST, if that changes nothing.
    Post,
    /// With `Accept: */*`, which fetch and curl send.
    AnyAccept,
    /// A silence with heartbeats.
    Beats,
    BeatsGzip,
    /// With the ID of an event as the last event ID.
    Resume,
    /// With a last event ID that does not exist.
    Unknown,
    /// With the last ID of a stream that has ended.
    Finished,
    Head,
    /// An OPTIONS request, by which a browser asks whether a page of another origin may send `Last-Event-ID`.
    Preflight,
    /// A path that does not exist. If the stream's path gives no answer, a proxy may name itself in this answer.
    Elsewhere,
    /// With an `Origin`.
    CrossOrigin,
    /// The original request, observed for a long time.
    Watch,
    /// A long silence.
    Idle,
    /// As long as the silence, with an event each second.
    Busy,
    /// A long stream.
    Long,
}

impl Role {
    /// Whether it requests the stream, with the version of HTTP of the first request.
    pub(super) fn is_for_the_stream(self) -> bool {
        let others = [Role::Head, Role::Preflight, Role::Elsewhere, Role::Http1, Role::Http2, Role::Http3];
        !others.contains(&self)
    }

    /// The kind of request, for people.
    pub(super) fn asked(self) -> &'static str {
        match self {
            Role::Plain => "unchanged",
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
            Role::Unknown => "with an unknown ID",
            Role::Finished => "with the ID of the last event",
            Role::Head => "by HEAD",
            Role::Preflight => "by OPTIONS",
            Role::Elsewhere => "at another path",
            Role::CrossOrigin => "with an Origin",
            Role::Watch => "for a long time",
            Role::Idle => "for a silence",
            Role::Busy => "for an event each second",
            Role::Long => "for a long duration",
        }
    }
}

/// The roles that have an `Accept-Encoding`, and their names.
pub(super) const ENCODED: [(Role, &str); 4] =
    [(Role::Gzip, "gzip"), (Role::Brotli, "br"), (Role::Zstd, "zstd"), (Role::Browser, "browser")];

/// All that is known about one URL.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The URL of the stream, after redirects.
    pub(super) url: Uri,
    /// The status and the location of each redirect.
    pub(super) redirects: Vec<(u16, String)>,
    pub(super) seen: Vec<(Role, Seen)>,
    /// Many streams at the same time, each over its own HTTP/1.1 connection.
    pub(super) connections: Option<Fan>,
    /// Many streams at the same time over one HTTP/2 connection.
    pub(super) streams: Option<Fan>,
    /// The last event ID of [`Role::Resume`].
    pub(super) resumed_after: Option<String>,
    /// The times that the token of the requests claims, if they had a credential.
    pub(super) credential: Option<Credential>,
    /// The measurements that were not made, with the reasons.
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
            credential: None,
            not_measured: vec![],
        }
    }

    pub(super) fn get(&self, role: Role) -> Option<&Seen> {
        self.seen.iter().find(|(seen, _)| *seen == role).map(|(_, seen)| seen)
    }

    /// The timing of the stream in this role, if it is a stream of known timing.
    pub(super) fn timing(&self, role: Role) -> Option<(&Seen, Timing)> {
        let seen = self.get(role)?;
        Some((seen, Timing::of(seen)?))
    }

    /// Whether the server sends streams of known timing.
    pub(super) fn is_cooperative(&self) -> bool {
        self.get(Role::Probe).is_some()
    }

    /// Whether any request was answered over this version of HTTP.
    pub(super) fn was_answered_by(&self, protocol: Protocol) -> bool {
        self.seen.iter().any(|(_, seen)| seen.protocol == Some(protocol) && seen.head.is_some())
    }

    /// The stream with which the others are compared.
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

    /// The head of a clean stream.
    pub(in crate::doctor) const CLEAN: &[(&str, &str)] =
        &[("content-type", "text/event-stream"), ("cache-control", "no-cache, no-transform")];

    pub(in crate::doctor) fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    pub(in crate::doctor) fn case(url: &str, seen: Vec<(Role, Seen)>) -> Case {
        Case { seen, ..Case::new(url.parse().unwrap()) }
    }

    /// A response whose body arrives in these pieces at these milliseconds.
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

    /// A stream of known timing: ten events 100 ms apart, and an end 500 ms later. `arrives` maps the number and the
    /// sending time of an event to its arrival. Number 11 is the end.
    pub(in crate::doctor) fn probe(arrives: impl Fn(u64, u64) -> u64) -> Seen {
        probe_from(1, "a", Some("1"), arrives)
    }

    /// The same, with the number of the first event, the name of the stream, and the last event ID at the server.
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
