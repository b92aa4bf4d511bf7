//! `tidings chaos`: each fault does to a real stream what it says, and the same with the same seed.

mod support;

use std::{
    io::Read,
    time::{Duration, Instant},
};

use scripted_server::{Reply, Server, response, stream};
use support::{
    HubProcess,
    chaos::Chaos,
    wire::{self, Headers, Wire},
};
use tokio::io::AsyncReadExt;

/// How long the upstream is silent between two events, so that what comes late is seen to be late.
const SILENCE: Duration = Duration::from_millis(400);

/// How much a clock may be off, and a task be early.
const SLACK: Duration = Duration::from_millis(50);

/// A server that answers every request with one reply.
async fn server(reply: Reply) -> Server {
    Server::start_with(move |_| reply.clone()).await
}

/// A stream of two events that goes on after them.
fn two_events() -> Reply {
    stream().send("data: a\n\n").wait(SILENCE).send("data: b\n\n").hold()
}

/// A response as the client of a proxy sees it.
struct Seen {
    wire: Wire,
    head: String,
    since: Instant,
}

impl Seen {
    async fn of(chaos: &Chaos, target: &str, headers: Headers<'_>) -> Seen {
        let mut wire = Wire::connect(&chaos.address).await;
        wire.write(wire::head(&chaos.address, "GET", target, headers)).await;
        Seen { head: wire.head().await, wire, since: Instant::now() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.head, name)
    }

    /// The next piece, and how long after the head it came; `None` when the connection was cut.
    async fn piece(&mut self) -> Option<(String, Duration)> {
        let piece = self.wire.chunk().await?;
        Some((String::from_utf8(piece.into()).expect("text"), self.since.elapsed()))
    }

    /// All that comes until the body ends or is cut, and whether it ended.
    async fn all(&mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        while let Some(piece) = self.wire.chunk().await {
            if piece.is_empty() {
                return (all, true);
            }
            all.extend(piece);
        }
        (all, false)
    }

    async fn text(&mut self) -> String {
        let (all, ended) = self.all().await;
        assert!(ended, "the body was cut after {:?}", String::from_utf8_lossy(&all));
        String::from_utf8(all).expect("text")
    }
}

#[tokio::test]
async fn without_a_fault_nothing_is_spoiled() {
    let hub = HubProcess::start(&[]);
    let chaos = Chaos::start(&hub.url(), &[]);
    let mut stream = wire::Stream::live(&chaos.address, "/topics/a?x=%20y").await;
    let id = wire::say(&chaos.address, "/topics/a", "one").await;
    wire::say(&chaos.address, "/topics/a", "two").await;
    assert_eq!(stream.data(2).await, ["one", "two"]);
    let mut resumed = wire::Stream::resume(&chaos.address, "/topics/a", &id).await;
    assert_eq!(resumed.verdict(), Some("resumed"));
    assert_eq!(resumed.data(1).await, ["two"]);
    let page = wire::page(&chaos.address, "/topics/a?from=start").await;
    assert_eq!(wire::data(&page), ["one", "two"]);
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_connection_to_the_upstream() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &[]);
    let mut seen = Seen::of(&chaos, "/", &[]).await;
    seen.piece().await;
    drop(seen);
    server.all_closed().await;
}

#[tokio::test]
async fn status_answers_instead() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &["status=502"]);
    let seen = Seen::of(&chaos, "/", &[]).await;
    assert!(seen.head.starts_with("HTTP/1.1 502 "), "{}", seen.head);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn redirect_leads_to_the_stream_by_one_more_request() {
    let server = server(stream().send("data: a\n\n")).await;
    let chaos = Chaos::start(&server.url(""), &["redirect=302"]);
    let seen = Seen::of(&chaos, "/s?x=1", &[]).await;
    assert!(seen.head.starts_with("HTTP/1.1 302 "), "{}", seen.head);
    let target = seen.header("location").expect("it leads somewhere").to_owned();
    assert_eq!(Seen::of(&chaos, &target, &[]).await.text().await, "data: a\n\n");
    assert_eq!(server.requests()[0].line, "GET /s?x=1 HTTP/1.1");
}

#[tokio::test]
async fn cached_replays_the_first_stream_to_the_second_client() {
    let server = server(stream().send("data: a\n\n").hold()).await;
    let chaos = Chaos::start(&server.url(""), &["cached"]);
    let mut first = Seen::of(&chaos, "/s", &[]).await;
    assert_eq!(first.header("x-cache"), Some("MISS"));
    assert_eq!(first.piece().await.expect("an event").0, "data: a\n\n");
    let mut second = Seen::of(&chaos, "/s", &[("last-event-id", "7")]).await;
    assert_eq!((second.header("x-cache"), second.header("age")), (Some("HIT"), Some("0")));
    assert_eq!(second.text().await, "data: a\n\n");
    assert_eq!(server.requests().len(), 1);
    Seen::of(&chaos, "/other", &[]).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn strip_last_event_id_hides_it_from_the_upstream() {
    let server = server(two_events()).await;
    for (faults, id) in [(&["strip-last-event-id"][..], None), (&[], Some("7"))] {
        let chaos = Chaos::start(&server.url(""), faults);
        Seen::of(&chaos, "/", &[("last-event-id", "7"), ("x-other", "1")]).await;
        let request = server.requests().pop().expect("a request");
        assert_eq!((request.header("last-event-id"), request.header("x-other")), (id, Some("1")));
    }
}

#[tokio::test]
async fn duplicate_on_resume_sends_the_last_event_again() {
    let server = Server::start_with(|request| {
        let events = match request.header("last-event-id") {
            None => "data: a\nid: 1\n\ndata: b\nid: 2\n\n",
            Some(_) => "data: c\nid: 3\n\n",
        };
        stream().send(events)
    })
    .await;
    let chaos = Chaos::start(&server.url(""), &["duplicate-on-resume"]);
    assert_eq!(Seen::of(&chaos, "/", &[]).await.text().await, "data: a\nid: 1\n\ndata: b\nid: 2\n\n");
    let resumed = Seen::of(&chaos, "/", &[("last-event-id", "2")]).await.text().await;
    assert_eq!(resumed, "data: b\nid: 2\n\ndata: c\nid: 3\n\n");
}

#[tokio::test]
async fn content_type_names_another_and_only_of_streams() {
    let server =
        Server::start([two_events(), response("HTTP/1.1 200 OK\nContent-Type: application/json")]).await;
    let chaos = Chaos::start(&server.url(""), &["content-type=text/plain"]);
    assert_eq!(Seen::of(&chaos, "/", &[]).await.header("content-type"), Some("text/plain"));
    assert_eq!(Seen::of(&chaos, "/", &[]).await.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn content_length_ends_the_stream_inside_an_event() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &["content-length=13B"]);
    let mut seen = Seen::of(&chaos, "/", &[("connection", "close")]).await;
    assert_eq!(seen.header("content-length"), Some("13"));
    assert_eq!(seen.header("transfer-encoding"), None);
    assert_eq!(seen.wire.rest().await, b"data: a\n\ndata");
}

/// The preface of HTTP/2, empty settings, and `GET /` on stream 1.
/// Source: RFC 9113, "HTTP/2 Connection Preface"; RFC 7541, "Static Table Definition".
const HTTP2_REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01h";

#[tokio::test]
async fn connection_header_is_sent_over_http2() {
    let server = server(stream().send("data: a\n\n")).await;
    let field = b"connection\x0akeep-alive";
    for (faults, forbidden) in [(&["connection-header"][..], true), (&[], false)] {
        let chaos = Chaos::start(&server.url(""), faults);
        let mut wire = Wire::connect(&chaos.address).await;
        wire.write(HTTP2_REQUEST).await;
        let head = wire.until(b"data: a\n\n").await.expect("the stream comes");
        assert_eq!(head.windows(field.len()).any(|bytes| bytes == field), forbidden);
    }
    // Over HTTP/1.1 it would be harmless.
    let chaos = Chaos::start(&server.url(""), &["connection-header"]);
    assert_eq!(Seen::of(&chaos, "/", &[]).await.text().await, "data: a\n\n");
}

#[tokio::test]
async fn bom_comes_before_the_first_byte() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &["bom"]);
    let mut seen = Seen::of(&chaos, "/", &[]).await;
    assert_eq!(seen.piece().await.expect("an event").0, "\u{feff}data: a\n\n");
    assert_eq!(seen.piece().await.expect("an event").0, "data: b\n\n");
}

#[tokio::test]
async fn crlf_split_cuts_each_line_end_in_two() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &["crlf-split"]);
    let mut seen = Seen::of(&chaos, "/", &[]).await;
    for expected in ["data: a\r", "\n\r", "\n", "data: b\r", "\n\r", "\n"] {
        assert_eq!(seen.piece().await.expect("a piece").0, expected);
    }
}

#[tokio::test]
async fn crlf_split_cuts_packets_too() {
    let server = server(stream().send("data: a\n".repeat(40))).await;
    let chaos = Chaos::start(&server.url(""), &["crlf-split"]);
    let mut wire = Wire::connect(&chaos.address).await;
    wire.write(wire::head(&chaos.address, "GET", "/", &[])).await;
    // One read gives one piece, unless the reader is late. It is not late most of the time.
    let mut together = 0;
    let mut bytes = [0; 1024];
    while let Ok(read @ 1..) = wire.socket.read(&mut bytes).await {
        together += bytes[..read].windows(7).filter(|window| window.starts_with(b"\r\r\n")).count();
        if bytes[..read].ends_with(b"0\r\n\r\n") {
            break;
        }
    }
    assert!(together < 20, "CR and LF came together {together} times");
}

#[tokio::test]
async fn one_behind_keeps_an_event_until_the_next() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &["one-behind"]);
    let (piece, after) = Seen::of(&chaos, "/", &[]).await.piece().await.expect("an event");
    assert_eq!(piece, "data: a\n\n");
    assert!(after > SILENCE - SLACK, "{after:?}");
}

#[tokio::test]
async fn hold_passes_on_full_buffers() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &["hold=15"]);
    let (piece, after) = Seen::of(&chaos, "/", &[]).await.piece().await.expect("a buffer");
    assert_eq!(piece, "data: a\n\ndata: ");
    assert!(after > SILENCE - SLACK, "{after:?}");
}

#[tokio::test]
async fn hold_all_waits_for_the_end() {
    let server = server(stream().send("data: a\n\n").wait(SILENCE).send("data: b\n\n").wait(SILENCE)).await;
    let chaos = Chaos::start(&server.url(""), &["hold-all"]);
    let (piece, after) = Seen::of(&chaos, "/", &[]).await.piece().await.expect("a buffer");
    assert_eq!(piece, "data: a\n\ndata: b\n\n");
    assert!(after > 2 * SILENCE - SLACK, "{after:?}");
}

fn unzipped(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).expect("it is gzip");
    text
}

#[tokio::test]
async fn gzip_gives_nothing_away_before_the_end() {
    let server = server(stream().send("data: a\n\n").wait(SILENCE).send("data: b\n\n")).await;
    let chaos = Chaos::start(&server.url(""), &["gzip"]);
    let mut seen = Seen::of(&chaos, "/", &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    let start = seen.wire.chunk().await.expect("the header of gzip");
    assert_eq!(start.len(), 10, "no event yet");
    let (rest, ended) = seen.all().await;
    assert!(ended && seen.since.elapsed() > SILENCE - SLACK);
    assert_eq!(unzipped(&[&start[..], &rest].concat()), "data: a\n\ndata: b\n\n");

    let mut plain = Seen::of(&chaos, "/", &[]).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.text().await, "data: a\n\ndata: b\n\n");
}

#[tokio::test]
async fn drip_is_slow() {
    let server = server(stream().send(format!("data: {}\n\n", "x".repeat(92)))).await;
    let chaos = Chaos::start(&server.url(""), &["drip=200"]);
    let mut seen = Seen::of(&chaos, "/", &[]).await;
    assert_eq!(seen.piece().await.expect("a piece").0, "data: xxxx");
    seen.text().await;
    let took = seen.since.elapsed();
    assert!(took > Duration::from_millis(450) - SLACK, "100 bytes came in {took:?}");
}

#[tokio::test]
async fn idle_cut_breaks_off_after_silence() {
    let server = server(two_events()).await;
    let chaos = Chaos::start(&server.url(""), &["idle-cut=600ms"]);
    let mut seen = Seen::of(&chaos, "/", &[]).await;
    let (all, ended) = seen.all().await;
    assert_eq!((&all[..], ended), (&b"data: a\n\ndata: b\n\n"[..], false));
    let took = seen.since.elapsed();
    assert!(took > SILENCE + Duration::from_millis(600) - SLACK, "{took:?}");
}

#[tokio::test]
async fn lifetime_cuts_a_stream_that_goes_on() {
    let events =
        (0..1_000).fold(stream(), |reply, _| reply.send("data: a\n\n").wait(Duration::from_millis(20)));
    let server = server(events).await;
    let chaos = Chaos::start(&server.url(""), &["lifetime=300ms"]);
    let mut seen = Seen::of(&chaos, "/", &[]).await;
    let (all, ended) = seen.all().await;
    assert!(all.len() >= 18 && !ended, "{} bytes", all.len());
    let took = seen.since.elapsed();
    assert!(took > Duration::from_millis(300) - SLACK, "{took:?}");
}

#[tokio::test]
async fn faults_compose_in_one_order_whatever_the_order_of_the_flags() {
    let server = server(stream().send("data: a\n\n").send("data: b\n\n")).await;
    for faults in [["bom", "gzip", "crlf-split"], ["gzip", "crlf-split", "bom"]] {
        let chaos = Chaos::start(&server.url(""), &faults);
        let (all, _) = Seen::of(&chaos, "/", &[("accept-encoding", "gzip")]).await.all().await;
        assert_eq!(unzipped(&all), "\u{feff}data: a\r\n\r\ndata: b\r\n\r\n");
    }
}

#[tokio::test]
async fn the_same_seed_does_the_same_to_the_same_requests() {
    let server = server(stream().send("data: a\n\n")).await;
    let mut runs = Vec::new();
    for seed in ["7", "7", "8"] {
        let faults = ["status=502@40%", "hold=1KiB..64KiB", "lifetime=10s..1m"];
        let mut chaos = Chaos::start_with(&server.url(""), &faults, &["--seed", seed]);
        for _ in 0..20 {
            Seen::of(&chaos, "/", &[]).await;
        }
        let requests = chaos.requests(20);
        let refused = requests.iter().filter(|line| line.contains("status=502")).count();
        assert!((1..20).contains(&refused), "{requests:#?}");
        runs.push(requests);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_a_502_with_the_reason() {
    let server = server(two_events()).await;
    let url = server.url("");
    drop(server);
    let chaos = Chaos::start(&url, &[]);
    let mut wire = Wire::connect(&chaos.address).await;
    wire.write(wire::head(&chaos.address, "GET", "/", &[])).await;
    let answer = wire.answer().await;
    assert_eq!(answer.status(), 502);
    assert!(answer.body.starts_with("tidings chaos: the upstream does not answer: "), "{}", answer.body);
}

#[test]
fn a_fault_that_does_not_exist_is_refused() {
    let mut command = crate::support::program::program();
    let output =
        command.args(["chaos", "--upstream", "http://h", "--fault", "holt"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(64));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("\"holt\" is not a fault"), "{error}");
}

#[test]
fn list_has_a_line_for_each_fault_and_the_documentation_has_each() {
    let mut command = crate::support::program::program();
    let output = command.args(["chaos", "--list"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    let list = String::from_utf8(output.stdout).expect("text");
    assert!(list.lines().count() > 10, "{list}");
    let documentation = include_str!("../docs/chaos.md");
    for line in list.lines() {
        let fault = line.split([' ', '=']).next().expect("a name");
        assert!(documentation.contains(&format!("| `{fault}")), "docs/chaos.md has no row for {fault}");
    }
}
