//! Many streams on one connection, and what none of them may do to the others.

use hyper::client::conn::http2::Builder;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::support::{
    HubProcess,
    http2::Http2,
    wire::{EVENTS, NDJSON, PATIENCE, Stream, ask, data, page, post, say},
};

const WINDOW: u32 = 65_535;

/// A connection whose streams each stall after 64 KiB if they are not read, while all together may bring far more.
async fn with_small_windows(hub: &HubProcess) -> Http2 {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(64 << 20);
    Http2::with(&hub.direct, &mut builder).await
}

fn number(block: &str) -> usize {
    let data = block.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event has data");
    data.split(' ').next().and_then(|number| number.parse().ok()).expect("it starts with its number")
}

async fn publish(hub: &HubProcess, numbers: std::ops::Range<usize>) {
    let filler = "x".repeat(400);
    let lines: String = numbers.map(|number| format!("{{\"data\":\"{number} {filler}\"}}\n")).collect();
    assert_eq!(post(&hub.address, "/topics/load", NDJSON, lines).await.status(), 200);
}

#[tokio::test]
async fn its_streams_bring_the_bytes_that_http_1_brings() {
    let hub = HubProcess::start(&[]);
    let mut connection = Http2::connect(&hub.direct).await;
    for (number, query) in [
        "",
        "from=start",
        "start=none&envelope=json",
        "from=start&envelope=message",
        "from=start&heartbeat=block&lastEventId=unknown",
    ]
    .iter()
    .enumerate()
    {
        let topic = format!("/topics/{number}");
        let lines: String = (0..700).map(|n| format!("{{\"data\":\"{n} {}\"}}\n", "x".repeat(n))).collect();
        post(&hub.address, &topic, NDJSON, lines).await;
        let target = format!("{topic}?{query}");
        let mut other = Stream::open(&hub.address, &target, &[]).await;
        let mut stream = connection.subscribe(&target, &[]).await;
        for said in ["first", "second\nof two lines"] {
            say(&hub.address, &topic, said).await;
        }
        say(&hub.address, &format!("{topic}?close=over"), "").await;
        let mut expected = String::new();
        while let Some(piece) = other.until("\n").await {
            expected.push_str(&piece);
        }
        assert_eq!(stream.rest().await, expected, "{query}");
        assert_eq!(connection.ask("GET", &format!("{topic}?start=none"), "").await, (204, String::new()));
    }
}

#[tokio::test]
async fn its_head_has_nothing_of_a_connection() {
    let hub = HubProcess::start(&[]);
    let mut connection = Http2::connect(&hub.direct).await;
    let stream = connection.subscribe("/topics/a", &[("last-event-id", "unknown")]).await;
    let mut names: Vec<_> = stream.head.headers.keys().map(hyper::header::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cache-control",
            "content-type",
            "date",
            "tidings-access",
            "tidings-hub",
            "tidings-resume",
            "vary",
            "x-accel-buffering",
            "x-content-type-options"
        ]
    );
}

#[tokio::test]
async fn a_hundred_streams_on_one_connection_are_all_live_beside_requests() {
    let hub = HubProcess::start(&[]);
    let mut connection = Http2::connect(&hub.direct).await;
    let mut streams = Vec::new();
    for topic in 0..100 {
        let mut stream = connection.subscribe(&format!("/topics/{}", topic % 10), &[]).await;
        assert!(stream.until("\n\n").await.expect("it begins").contains("event: start\n"));
        streams.push(stream);
    }
    for round in 0..10 {
        for topic in 0..10 {
            let (status, _) = connection.ask("POST", &format!("/topics/{topic}"), "said").await;
            assert_eq!(status, 200, "{round}");
        }
        for stream in &mut streams {
            assert!(stream.until("\n\n").await.expect("it is live").starts_with("data: said\n"));
        }
    }
    drop(streams);
    // A stream that its client resets leaves, and its connection serves on.
    loop {
        let (_, metrics) = connection.ask("GET", "/metrics", "").await;
        if metrics.contains("tidings_subscriptions 0\n") {
            break;
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_stream_comes_in_one_piece() {
    let hub = HubProcess::start(&[]);
    let mut connection = Http2::connect(&hub.direct).await;
    let first = say(&hub.address, "/topics/a", "first").await;
    let mut live = connection.subscribe("/topics/a?start=none", &[]).await;
    let lines = "{\"data\":\"x\"}\n".repeat(100);
    post(&hub.address, "/topics/a", NDJSON, lines).await;
    // A publish is answered when the log has it, and the hub hands it out after that.
    for _ in 0..100 {
        live.until("data: x\n").await.expect("it is live");
    }
    let mut stream = connection.subscribe("/topics/a", &[("last-event-id", &first)]).await;
    assert_eq!(stream.piece().await.as_deref(), Some(&b":\nretry: 2000\n"[..]));
    let piece = stream.piece().await.expect("it goes on");
    assert_eq!(
        piece.windows(8).filter(|window| window == b"data: x\n").count(),
        100,
        "a frame for all of them"
    );
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other_on_its_connection() {
    let hub = HubProcess::start(&[]);
    let mut connection = with_small_windows(&hub).await;
    let mut stalled = connection.subscribe("/topics/load?start=none", &[]).await;
    let mut follower = connection.subscribe("/topics/load?start=none", &[]).await;
    let before = hub.resident_bytes();
    for first in (0..20_000).step_by(1_000) {
        publish(&hub, first..first + 1_000).await;
        for expected in first..first + 1_000 {
            assert_eq!(number(&follower.until("\n\n").await.expect("it is live")), expected);
        }
        assert_eq!(connection.ask("GET", "/healthz", "").await, (200, "ok\n".to_owned()));
    }
    // 20,000 records and their frames are some 20 MiB, and the window of frames 16 of them.
    let grown = hub.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "the hub grew by {grown} bytes");
    for expected in 0..20_000 {
        assert_eq!(number(&stalled.until("\n\n").await.expect("it is all there")), expected);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_reset_after_the_write_timeout_and_resumes() {
    let hub = HubProcess::start(&["--write-timeout", "1s"]);
    let mut connection = with_small_windows(&hub).await;
    let mut stalled = connection.subscribe("/topics/load?start=none", &[]).await;
    let mut follower = connection.subscribe("/topics/load?start=none", &[]).await;
    publish(&hub, 0..2_000).await;
    for expected in 0..2_000 {
        assert_eq!(number(&follower.until("\n\n").await.expect("it is live")), expected);
    }
    loop {
        let (_, metrics) = connection.ask("GET", "/metrics", "").await;
        if metrics.contains("tidings_connections_stalled_total 1\n") {
            assert!(
                metrics.contains("tidings_subscriptions_ended_total{reason=\"stalled\"} 1\n"),
                "{metrics}"
            );
            break;
        }
    }
    let mut last = None;
    let mut expected = 0;
    while let Some(Ok(event)) = stalled.next_event().await {
        assert_eq!(number(&event), expected);
        expected += 1;
        last = event.lines().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned);
    }
    assert!((1..2_000).contains(&expected), "it was cut after {expected}");
    let last = last.expect("every event has an ID");
    let mut again = connection.subscribe("/topics/load", &[("last-event-id", &last)]).await;
    for expected in expected..2_000 {
        assert_eq!(number(&again.until("\n\n").await.expect("it resumes")), expected);
    }
    publish(&hub, 2_000..2_001).await;
    assert_eq!(number(&follower.until("\n\n").await.expect("who reads is not reset")), 2_000);
}

#[tokio::test]
async fn what_arrived_of_a_publish_right_before_its_reset_is_kept() {
    let hub = HubProcess::start(&[]);
    for round in 0..30 {
        let mut connection = Http2::connect(&hub.direct).await;
        let target = format!("/topics/{round}");
        let (mut publish, answer) = connection.begin("POST", &target, &[EVENTS]).await;
        publish.send("data: 1\n\ndata: 2\n\ndata: half\n").await;
        if round % 2 == 0 {
            // The stream alone is reset, or the connection ends.
            answer.abort();
            assert_eq!(connection.ask("GET", "/healthz", "").await, (200, "ok\n".to_owned()));
        } else {
            connection.flushed().await;
            connection.connection.abort();
        }
        let kept = async { while data(&page(&hub.address, &target).await) != ["1", "2"] {} };
        let kept = tokio::time::timeout(PATIENCE, kept).await;
        kept.unwrap_or_else(|_| panic!("round {round}: what was complete is kept"));
    }
}

#[tokio::test]
async fn heartbeats_come_on_every_stream() {
    let hub = HubProcess::start(&["--heartbeat", "100ms"]);
    let mut connection = Http2::connect(&hub.direct).await;
    let mut streams = Vec::new();
    for query in ["start=none", "start=none&heartbeat=block", "start=none&heartbeat=event"] {
        streams.push(connection.subscribe(&format!("/topics/a?{query}"), &[]).await);
    }
    for (stream, heartbeat) in streams.iter_mut().zip([":\n", ":\n\n", "event: ping\ndata:\n\n"]) {
        assert_eq!(stream.until("retry: 2000\n").await.as_deref(), Some(":\nretry: 2000\n"));
        for _ in 0..3 {
            assert_eq!(stream.piece().await.as_deref(), Some(heartbeat.as_bytes()));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_shutdown_ends_its_streams_between_two_events_and_says_goodbye() {
    let hub = HubProcess::start(&[]);
    let mut connection = Http2::connect(&hub.direct).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(connection.subscribe("/topics/a?start=none", &[]).await);
    }
    say(&hub.address, "/topics/a", "last").await;
    for stream in &mut streams {
        assert!(stream.until("\n\n").await.expect("it is delivered").contains("data: last\n"));
    }
    let killed = std::process::Command::new("kill").args(["-TERM", &hub.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    for stream in &mut streams {
        assert_eq!(stream.rest().await, "");
    }
    // hyper's client ends without an error only after GOAWAY.
    connection.connection.await.expect("it does not panic").expect("the connection ends cleanly");
}

#[tokio::test]
async fn a_request_for_another_host_is_misdirected_over_http_2_too() {
    let hub = HubProcess::start(&[]);
    let mut connection = Http2::connect(&hub.direct).await;
    connection.name("rebound.example");
    assert_eq!(connection.ask("GET", "/topics/a", "").await.0, 421);
    assert_eq!(ask(&hub.address, "GET", "/healthz", &[], "").await.status(), 200);
}

#[tokio::test]
async fn head_ends_with_its_head() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "one").await;
    let mut connection = Http2::connect(&hub.direct).await;
    for target in ["/topics/a", "/topics/a?from=start", "/probe", "/healthz", "/topics/a%00"] {
        let answer = timeout(PATIENCE, connection.ask("HEAD", target, "")).await;
        assert_eq!(answer.expect("the answer ends").1, "", "{target}");
    }
    let page = connection.send("HEAD", "/healthz", &[], "").await.expect("the hub answers");
    assert_eq!(page.headers()["content-length"], "3", "as with GET");
}
