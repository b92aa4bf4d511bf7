//! Faults of streams whose timing nobody knows.

use std::time::Duration;

use scripted_server::{Received, Reply, Server, response};

use crate::{doctor, rules, stand_in::without_stream};

const HEAD: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nCache-Control: no-cache, no-transform";

/// A healthy stream's beginning, which then stays open.
fn healthy() -> Reply {
    response(HEAD).send("retry: 3000\n:\nid: 1\ndata: a\n\n").hold()
}

/// Each case is a rule and a server that is wrong in this one thing.
async fn found(script: impl Fn(&Received) -> Reply + Send + 'static) -> (Option<i32>, Vec<String>) {
    let server =
        Server::start_with(move |request| without_stream(request).unwrap_or_else(|| script(request))).await;
    let (code, report) = doctor(&[&server.url("/events")]).await;
    (code, rules(&report).into_iter().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_healthy_stream_of_unknown_timing_is_clean() {
    assert_eq!(found(|_| healthy()).await, (Some(0), vec![]));
}

#[tokio::test]
async fn heads_that_are_wrong_are_found() {
    let cases = [
        ("bad-status", "HTTP/1.1 503 Service Unavailable\nContent-Length: 0"),
        ("wrong-content-type", "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 0"),
        ("html-page", "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 0"),
        ("content-length", &format!("{HEAD}\nContent-Length: 0")),
        ("content-encoding-none", &format!("{HEAD}\nContent-Encoding: none")),
        ("cached", &format!("{HEAD}\nX-Cache: HIT from edge")),
    ];
    let mut running = Vec::new();
    for (rule, head) in cases {
        let head = head.to_owned();
        running.push((rule, tokio::spawn(found(move |_| response(&head).send("").hold()))));
    }
    for (rule, found) in running {
        let (_, found) = found.await.unwrap();
        assert_eq!(found, [rule]);
    }
}

#[tokio::test]
async fn severity_3_does_not_fail_unless_it_is_asked_for() {
    let script = |request: &Received| {
        let stream = || response("HTTP/1.1 200 OK\nContent-Type: text/event-stream").hold();
        without_stream(request).unwrap_or_else(stream)
    };
    let server = Server::start_with(script).await;
    let (code, report) = doctor(&[&server.url("/events")]).await;
    assert_eq!((code, rules(&report)), (Some(0), vec!["cacheable"]));
    assert_eq!(doctor(&[&server.url("/events"), "--fail-on", "s3"]).await.0, Some(1));
}

#[tokio::test]
async fn a_redirect_is_told_and_followed() {
    let script = |request: &Received| {
        if request.line.starts_with("GET /events") {
            return response("HTTP/1.1 302 Found\nLocation: /moved/\nContent-Length: 0");
        }
        healthy()
    };
    assert_eq!(found(script).await, (Some(1), vec!["redirect".to_owned()]));
}

#[tokio::test]
async fn bytes_that_are_wrong_are_found() {
    let cases = [
        ("byte-order-mark", "\u{FEFF}: hi\nretry: 1000\n\n"),
        ("mixed-line-ends", "retry: 1000\r\ndata: a\n\n"),
        ("carriage-returns", "retry: 1000\r\ndata: a\r\n\r\n"),
        ("bad-retry", "retry: soon\n\n"),
        ("no-ids", "retry: 1000\ndata: a\n\ndata: b\n\ndata: c\n\n"),
        ("duplicate-ids", "retry: 1000\nid: 1\ndata: a\n\nid: 1\ndata: b\n\nid: 1\ndata: c\n\n"),
    ];
    let mut running = Vec::new();
    for (rule, body) in cases {
        running.push((rule, tokio::spawn(found(move |_| response(HEAD).send(body).hold()))));
    }
    for (rule, found) in running {
        let (_, found) = found.await.unwrap();
        assert!(found.contains(&rule.to_owned()), "{rule}: {found:?}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_last_event_id_is_found() {
    let script = |_: &Received| {
        response(HEAD).send("retry: 9\nid: 7\ndata: a\n\nid: 8\ndata: b\n\nid: 9\ndata: c\n\n").hold()
    };
    assert_eq!(found(script).await.1, ["last-event-id-ignored"]);
}

#[tokio::test]
async fn a_stream_that_starts_again_after_its_end_is_found() {
    let script = |_: &Received| response(HEAD).send("retry: 9\ndata: a\n\nevent: done\ndata: b\n\n");
    assert_eq!(found(script).await.1, ["replay-after-end"]);
}

#[tokio::test]
async fn a_server_that_says_nothing_at_all_is_found() {
    assert_eq!(found(|_| Reply::default().hold()).await.1, ["no-first-byte", "head-request"][..1]);
}

#[tokio::test]
async fn a_connection_that_breaks_is_found() {
    let script = |_: &Received| {
        let chunked = format!("{HEAD}\nTransfer-Encoding: chunked");
        response(&chunked).send("9\r\ndata: a\n\n\r\n").wait(Duration::from_millis(100))
    };
    assert_eq!(found(script).await.1, ["broken-off"]);
}

#[tokio::test]
async fn head_and_options_that_open_a_stream_are_found() {
    let server = Server::start_with(|_| healthy()).await;
    let (code, report) = doctor(&[&server.url("/events")]).await;
    assert_eq!((code, rules(&report)), (Some(0), vec!["head-request", "options-request"]), "{report}");
    // Nobody knows the effect of a POST here.
    let methods: Vec<_> = server
        .requests()
        .into_iter()
        .map(|request| request.line.split(' ').next().unwrap().to_owned())
        .collect();
    assert!(!methods.contains(&"POST".to_owned()), "{methods:?}");
    for method in ["HEAD", "OPTIONS"] {
        assert_eq!(methods.iter().filter(|other| *other == method).count(), 1, "{methods:?}");
    }
}

#[tokio::test]
async fn a_post_is_sent_once() {
    let server = Server::start_with(|_| healthy()).await;
    let (code, report) = doctor(&[&server.url("/events"), "-d", "{}"]).await;
    assert_eq!((code, rules(&report)), (Some(0), vec![]));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].line.starts_with("POST /events ") && requests[0].body == b"{}");
    assert!(report["not_measured"][0]["why"].as_str().unwrap().contains("POST"), "{report}");
}
