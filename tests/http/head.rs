//! The heads of streams, and the answers instead of one.

use crate::support::{
    HubProcess,
    wire::{ELSEWHERE, JSON, Stream, TEXT, Wire, ask, head, header, post, say},
};

/// The names of the header fields in a head, in lower case and sorted, but for the date.
fn fields(head: &str) -> Vec<String> {
    let names = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut names: Vec<_> = names.map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| name != "date");
    names.sort();
    names
}

#[tokio::test]
async fn a_stream_has_the_head_that_passes_proxies() {
    let hub = HubProcess::start(&[]);
    let stream = Stream::open(&hub.address, "/topics/a", &[]).await;
    assert_eq!(header(&stream.head, "content-type"), Some("text/event-stream"));
    assert_eq!(header(&stream.head, "cache-control"), Some("no-cache, no-transform"));
    assert_eq!(header(&stream.head, "x-accel-buffering"), Some("no"));
    assert_eq!(header(&stream.head, "vary"), Some("Accept"));
    assert_eq!(header(&stream.head, "x-content-type-options"), Some("nosniff"));
    // Nothing else: no length, no content coding, no `Connection`.
    assert_eq!(
        fields(&stream.head),
        [
            "cache-control",
            "content-type",
            "tidings-access",
            "tidings-hub",
            "transfer-encoding",
            "vary",
            "x-accel-buffering",
            "x-content-type-options"
        ]
    );
}

#[tokio::test]
async fn a_subscription_says_that_its_events_may_be_the_hubs_own() {
    let hub = HubProcess::start(&[]);
    let id = say(&hub.address, "/topics/a", "one").await;
    for target in ["/topics/a", "/topics/a?from=start", "/topics/a?start=none", "/topics?topic=a&topic=b/*"] {
        for headers in [&[][..], &[("last-event-id", &*id)], &[("last-event-id", "unknown")]] {
            let stream = Stream::open(&hub.address, target, headers).await;
            assert_eq!(header(&stream.head, "tidings-hub"), Some("1"), "{target}: {}", stream.head);
        }
    }
    // A page, a refusal and a stream of known timing have no events of the hub.
    for (target, headers) in [("/topics/a", &[JSON][..]), ("/topics/a%00", &[]), ("/topics/a?limit=0", &[])] {
        let answer = ask(&hub.address, "GET", target, headers, "").await;
        assert_eq!(answer.header("tidings-hub"), None, "{target}: {answer:?}");
    }
    let probe = Stream::open(&hub.address, "/probe?events=1", &[]).await;
    assert_eq!(header(&probe.head, "tidings-hub"), None, "{}", probe.head);
}

#[tokio::test]
async fn the_first_bytes_are_a_comment_and_the_reconnection_time() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::open(&hub.address, "/topics/a?start=none", &[]).await;
    assert_eq!(stream.until("\n").await.as_deref(), Some(":\n"));
    assert_eq!(stream.until("\n").await.as_deref(), Some("retry: 2000\n"));
    say(&hub.address, "/topics/a", "one").await;
    assert_eq!(stream.until("\n").await.as_deref(), Some("data: one\n"), "no blank line comes before");
}

#[tokio::test]
async fn the_reconnection_time_is_the_flag_in_milliseconds() {
    let hub = HubProcess::start(&["--retry", "1500ms"]);
    let mut stream = Stream::open(&hub.address, "/topics/a", &[]).await;
    assert_eq!(stream.until("retry: 1500\n").await.as_deref(), Some(":\nretry: 1500\n"));
}

#[tokio::test]
async fn only_the_start_event_follows_the_first_bytes() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::open(&hub.address, "/topics/a", &[]).await;
    let first = stream.until("\n\n").await.expect("a start event");
    let id = first.trim_end().rsplit("id: ").next().expect("the last line is the ID");
    assert_eq!(
        first,
        format!(":\nretry: 2000\nevent: start\ndata: {{\"id\":\"{id}\"}}\nid: {id}\n\n"),
        "the ID is the last line, and the data is JSON with the same ID"
    );
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "one").await;
    let answer = ask(&hub.address, "HEAD", "/topics/a?from=start", &[], "").await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, ""), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(answer.header("content-length"), None);

    let page = ask(&hub.address, "HEAD", "/topics/a", &[JSON], "").await;
    assert_eq!((page.status(), page.body.as_str()), (200, ""), "{page:?}");
    assert_eq!(page.header("content-type"), Some("application/json"));

    let refusal = ask(&hub.address, "HEAD", "/topics/a%00", &[], "").await;
    assert_eq!((refusal.status(), refusal.body.as_str()), (400, ""), "{refusal:?}");

    assert_eq!(post(&hub.address, "/topics/a?close=done", TEXT, "").await.status(), 200);
    let closed = ask(&hub.address, "HEAD", "/topics/a", &[], "").await;
    assert_eq!((closed.status(), closed.body.as_str()), (204, ""), "{closed:?}");
}

#[tokio::test]
async fn the_same_connection_serves_on_after_head() {
    let hub = HubProcess::start(&[]);
    let mut wire = Wire::connect(&hub.address).await;
    wire.write(head(&hub.address, "HEAD", "/topics/a", &[])).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 200 "));
    wire.write(head(&hub.address, "GET", "/healthz", &[])).await;
    assert_eq!(wire.answer().await.status(), 200);
}

#[tokio::test]
async fn accept_decides_between_stream_and_page() {
    let hub = HubProcess::start(&[]);
    for (accept, expected) in [
        ("*/*", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("TEXT/Event-Stream", "text/event-stream"),
        ("text/event-stream, application/json;q=0.9", "text/event-stream"),
        ("text/html, */*;q=0.1", "text/event-stream"),
        ("application/json, */*;q=0.1", "application/json"),
        ("text/event-stream;q=0.5, application/json", "application/json"),
        ("text/event-stream;q=0.5,application/json;q=0.51", "application/json"),
        ("application/*", "application/json"),
        ("text/event-stream;q=0, */*", "application/json"),
        ("application/json", "application/json"),
    ] {
        let answer = ask(&hub.address, "HEAD", "/topics/a", &[("accept", accept)], "").await;
        assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept"), "{accept}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_not_acceptable() {
    let hub = HubProcess::start(&[]);
    for accept in
        ["text/html", "image/*", "text/event-stream;q=0", "text/event-stream;q=0, application/json;q=0.0"]
    {
        let answer = ask(&hub.address, "GET", "/topics/a", &[("accept", accept)], "").await;
        answer.refusal(406, "text/event-stream");
    }
}

#[tokio::test]
async fn accept_may_have_several_lines() {
    let hub = HubProcess::start(&[]);
    for (lines, expected) in [
        (["text/html", "application/json"], "application/json"),
        (["application/json;q=0.5", "Text/Event-Stream"], "text/event-stream"),
        (["text/event-stream; Q=0.5", "application/json;q=0.6"], "application/json"),
    ] {
        let headers = lines.map(|line| ("accept", line));
        let answer = ask(&hub.address, "HEAD", "/topics/a", &headers, "").await;
        assert_eq!(answer.header("content-type"), Some(expected), "{lines:?}");
    }
    let headers = ["text/html", "image/png"].map(|line| ("accept", line));
    ask(&hub.address, "GET", "/topics/a", &headers, "").await.refusal(406, "image/png");
}

#[tokio::test]
async fn options_names_the_methods_of_a_path() {
    let hub = HubProcess::start(&[]);
    for (path, methods) in [
        ("/topics/a", "GET, HEAD, POST, OPTIONS"),
        ("/topics/a%2Fb?probe=1", "GET, HEAD, POST, OPTIONS"),
        ("/topics", "GET, HEAD, OPTIONS"),
        ("/subscribers", "GET, HEAD, OPTIONS"),
        ("/attachments/x", "GET, HEAD, OPTIONS"),
        ("/probe", "GET, HEAD, POST, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/metrics", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/tidings.js", "GET, HEAD, OPTIONS"),
    ] {
        let answer = ask(&hub.address, "OPTIONS", path, &[], "").await;
        assert_eq!((answer.status(), answer.header("allow")), (204, Some(methods)), "{path}: {answer:?}");
        // A refusal by the method names the same.
        let refused = ask(&hub.address, "PATCH", path, &[], "").await;
        assert_eq!((refused.status(), refused.header("allow")), (405, Some(methods)), "{path}: {refused:?}");
    }
    ask(&hub.address, "OPTIONS", "/nowhere", &[], "").await.refusal(404, "/nowhere");
    ask(&hub.address, "OPTIONS", "/topics/a", &[("host", "evil.example")], "").await.refusal(421, "evil");
}

#[tokio::test]
async fn what_has_a_body_is_not_sniffed() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "<script>").await;
    for (method, target, headers) in [
        ("GET", "/topics/a", &[JSON][..]),
        ("GET", "/topics/a?limit=0", &[]),
        ("POST", "/topics/a", &[TEXT]),
        ("POST", "/topics/a?type=gap", &[TEXT]),
        ("GET", "/subscribers", &[]),
        ("GET", "/healthz", &[]),
        ("GET", "/metrics", &[]),
        ("GET", "/", &[]),
        ("GET", "/nowhere", &[]),
        ("HEAD", "/topics/a", &[]),
    ] {
        let answer = ask(&hub.address, method, target, headers, "").await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed_and_the_allowed_ones_are_named() {
    let hub = HubProcess::start(&[]);
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        let answer = ask(&hub.address, method, "/topics/a", &[], "").await;
        answer.refusal(405, method);
        let allowed = answer.header("allow").expect("405 comes with Allow");
        for method in ["GET", "HEAD", "POST"] {
            assert!(allowed.contains(method), "{allowed}");
        }
    }
    let answer = post(&hub.address, "/healthz", TEXT, "").await;
    answer.refusal(405, "POST");
}

#[tokio::test]
async fn other_methods_are_not_allowed_for_several_topics_either() {
    let hub = HubProcess::start(&[]);
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = ask(&hub.address, method, "/topics?topic=a", &[], "").await;
        answer.refusal(405, method);
        assert!(answer.header("allow").is_some_and(|allowed| allowed.contains("GET")), "{answer:?}");
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem_document_that_names_the_value() {
    let hub = HubProcess::start(&[]);
    ask(&hub.address, "GET", "/nowhere", &[], "").await.refusal(404, "/nowhere");
    ask(&hub.address, "GET", "/topics", &[], "").await.refusal(400, "topic");
    ask(&hub.address, "GET", "/topics/", &[], "").await.refusal(400, "topic");
    ask(&hub.address, "GET", "/topics/a%01", &[], "").await.refusal(400, "control");
    ask(&hub.address, "GET", "/topics/a?limit=0", &[JSON], "").await.refusal(400, "\"0\"");
    post(&hub.address, "/topics/a?retry=soon", TEXT, "x").await.refusal(400, "soon");
    post(&hub.address, "/topics/a?type=gap", TEXT, "x").await.refusal(400, "gap");
    post(&hub.address, "/topics/a", ("content-type", "multipart/mixed"), "x")
        .await
        .refusal(415, "multipart/mixed");
}

#[tokio::test]
async fn metrics_take_a_right_of_their_own() {
    let hub = HubProcess::start(&["--anonymous", "publish"]);
    ask(&hub.address, "GET", "/metrics", &[ELSEWHERE], "").await.refusal(403, "\"metrics\"");
    // Paths that say nothing of anybody's updates stay open.
    for path in ["/healthz", "/readyz", "/", "/tidings.js"] {
        assert_eq!(ask(&hub.address, "GET", path, &[], "").await.status(), 200, "{path}");
    }
    let hub = HubProcess::start(&["--anonymous", "subscribe"]);
    ask(&hub.address, "GET", "/metrics", &[ELSEWHERE], "").await.refusal(403, "\"metrics\"");
}

#[tokio::test]
async fn a_listener_for_metrics_serves_them_without_a_credential_and_nothing_else() {
    let hub = HubProcess::start(&["--anonymous", "publish", "--metrics-listen", "127.0.0.1:0"]);
    let line = hub.greeting.lines().find_map(|line| line.trim().strip_prefix("Metrics  http://")).unwrap();
    let address = line.split('/').next().unwrap();
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(ask(address, "GET", path, &[ELSEWHERE], "").await.status(), 200, "{path}");
        assert_eq!(ask(address, "POST", path, &[ELSEWHERE], "").await.status(), 405, "{path}");
    }
    for path in ["/", "/topics/a", "/subscribers"] {
        ask(address, "GET", path, &[ELSEWHERE], "").await.refusal(404, "/metrics");
    }
}

#[tokio::test]
async fn operations_answer() {
    let hub = HubProcess::start(&[]);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(&hub.address, "GET", path, &[], "").await.status(), 200, "{path}");
    }
    let metrics = ask(&hub.address, "GET", "/metrics", &[], "").await.body;
    assert!(metrics.contains("# TYPE tidings_"), "{metrics}");
    let console = ask(&hub.address, "GET", "/", &[], "").await;
    assert!(console.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{console:?}");
}
