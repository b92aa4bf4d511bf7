//! Requests that no honest client sends: they are refused or taken literally, and harm nobody else.

use crate::support::{
    HubProcess,
    wire::{JSON, NDJSON, Stream, TEXT, Wire, ask, data, head, page, post, say},
};
use tokio::io::AsyncWriteExt;

/// Checks that the hub still serves a publisher and a subscriber.
async fn is_well(hub: &HubProcess) {
    let mut stream = Stream::live(&hub.address, "/topics/well").await;
    say(&hub.address, "/topics/well", "well").await;
    assert_eq!(stream.event().await.data, "well");
}

/// Sends `bytes` as they are, and gives back the status of the answer, or `None` if the hub just hangs up.
async fn status_of(hub: &HubProcess, bytes: impl AsRef<[u8]>) -> Option<u16> {
    let mut wire = Wire::connect(&hub.address).await;
    wire.write(bytes).await;
    status(wire).await
}

async fn status(mut wire: Wire) -> Option<u16> {
    let head = wire.until(b"\r\n\r\n").await?;
    let head = String::from_utf8(head.into()).expect("a head is ASCII");
    Some(head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line"))
}

#[tokio::test]
async fn control_characters_in_a_topic_are_refused() {
    let hub = HubProcess::start(&[]);
    for topic in
        ["a%0D%0Ax-forged:%201", "%00", "a%00", "a%0A", "a%09", "a%1B%5B2J", "a%7F", "a%C2%80", "a%C2%9F"]
    {
        post(&hub.address, &format!("/topics/{topic}"), TEXT, "x").await.refusal(400, "control");
        for target in
            [format!("/topics/{topic}"), format!("/topics?topic={topic}"), format!("/topics?topic={topic}/*")]
        {
            let answer = ask(&hub.address, "GET", &target, &[], "").await;
            answer.refusal(400, "control");
            assert_eq!(answer.header("x-forged"), None, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_topic_that_is_not_utf8_is_refused_and_not_repaired() {
    let hub = HubProcess::start(&[]);
    for topic in ["%FF", "a%C3", "%ED%A0%80", "%C0%AE%C0%AE", "%F4%90%80%80"] {
        post(&hub.address, &format!("/topics/{topic}"), TEXT, "x").await.refusal(400, "UTF-8");
        ask(&hub.address, "GET", &format!("/topics/{topic}"), &[], "").await.refusal(400, "UTF-8");
    }
    let raw = [b"GET /topics/a\xff HTTP/1.1\r\nhost: ", hub.address.as_bytes(), b"\r\n\r\n"].concat();
    assert_eq!(status_of(&hub, raw).await, Some(400));
    assert_eq!(data(&page(&hub.address, "/topics/*").await), [""; 0]);
}

#[tokio::test]
async fn a_topic_in_the_query_that_is_not_utf8_is_refused_too() {
    let hub = HubProcess::start(&[]);
    for topic in ["%FF", "a%C3", "%ED%A0%80", "b%FF/*"] {
        ask(&hub.address, "GET", &format!("/topics?topic={topic}"), &[], "").await.refusal(400, "UTF-8");
    }
}

#[tokio::test]
async fn parameters_that_are_not_utf8_are_refused_and_not_repaired() {
    let hub = HubProcess::start(&[]);
    for parameter in ["type=%FF", "type=a%C3", "id=%FF", "close=%FF", "retry=%FF"] {
        let answer = post(&hub.address, &format!("/topics/a?{parameter}"), TEXT, "x").await;
        answer.refusal(400, parameter.split('=').next().unwrap_or_default());
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), [""; 0]);
}

#[tokio::test]
async fn other_parameters_that_are_not_utf8_are_unknown() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a?unknown=%FF", "unknown parameters are ignored").await;
    let mut stream = Stream::open(&hub.address, "/topics/a?lastEventId=%FF", &[]).await;
    assert_eq!(stream.verdict(), Some("gap"), "garbage is unknown");
    assert_eq!(stream.event().await.json()["reason"], "unknown-id");
}

#[tokio::test]
async fn dot_segments_lead_nowhere_else() {
    let hub = HubProcess::start(&[]);
    for (target, topic) in [
        ("/topics/a/%2e%2e/b", "a/../b"),
        ("/topics/%2E%2E", ".."),
        ("/topics/%2e", "."),
        ("/topics/a%2F%2Fb", "a//b"),
        ("/topics/%2e%2e%2fhealthz", "../healthz"),
    ] {
        let id = say(&hub.address, target, target).await;
        let all = page(&hub.address, "/topics/*").await;
        let last = all["updates"].as_array().and_then(|updates| updates.last()).expect("an update");
        assert_eq!((&last["topic"], &last["id"]), (&topic.into(), &id.into()), "{target}");
    }
    for target in ["/topics/../healthz", "/topics/a/../../topics/b", "/topics/a/./../b"] {
        let answer = ask(&hub.address, "GET", target, &[JSON], "").await;
        assert_ne!(answer.body, "ok\n", "{target} is not /healthz");
    }
    say(&hub.address, "/topics/b", "b").await;
    assert_eq!(data(&page(&hub.address, "/topics/b").await), ["b"], "nothing slipped in");
    for target in
        ["/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/console/../../Cargo.toml"]
    {
        ask(&hub.address, "GET", target, &[], "").await.refusal(404, "/");
    }
}

#[tokio::test]
async fn percent_signs_are_decoded_once() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a%2541", "once").await;
    let updates = page(&hub.address, "/topics/*").await;
    assert_eq!(updates["updates"][0]["topic"], "a%41");
    say(&hub.address, "/topics/b%252F%2525", "once").await;
    let updates = page(&hub.address, "/topics?topic=b%252F%2525").await;
    assert_eq!(updates["updates"][0]["topic"], "b%2F%25");
}

#[tokio::test]
async fn a_broken_escape_is_refused_or_means_the_same_everywhere() {
    let hub = HubProcess::start(&[]);
    for topic in ["a%", "a%4", "a%zz", "%%34%31"] {
        let answer = post(&hub.address, &format!("/topics/{topic}"), TEXT, topic).await;
        if answer.status() == 200 {
            assert_eq!(data(&page(&hub.address, &format!("/topics/{topic}")).await), [topic]);
            assert_eq!(data(&page(&hub.address, &format!("/topics?topic={topic}")).await), [topic]);
        } else {
            answer.refusal(400, "%");
        }
    }
}

#[tokio::test]
async fn huge_targets_are_answered_and_harm_nobody() {
    let hub = HubProcess::start(&[]);
    let long = "x".repeat(60_000);
    for target in [
        format!("/topics/{long}"),
        format!("/topics/a?{long}"),
        format!("/topics/a?type={long}"),
        format!("/topics/a?from={long}"),
        format!("/topics/a?lastEventId={long}"),
        format!("/topics?{}", "topic=a/b&".repeat(6_000)),
        format!("/topics/{}", "/".repeat(60_000)),
        format!("/topics/{}", "%F0%9F%8E%89".repeat(5_000)),
    ] {
        for method in ["GET", "POST"] {
            let answer = ask(&hub.address, method, &target, &[TEXT, JSON], "x").await;
            assert!(
                [200, 400, 414, 431].contains(&answer.status()),
                "{method} {}: {answer:?}",
                &target[..20]
            );
        }
    }
    is_well(&hub).await;
}

#[tokio::test]
async fn huge_heads_are_refused_and_harm_nobody() {
    let hub = HubProcess::start(&[]);
    let many = format!("GET /topics/a HTTP/1.1\r\nhost: {}\r\n{}\r\n", hub.address, "x: y\r\n".repeat(5_000));
    assert_eq!(status_of(&hub, many).await, Some(431));
    let mut wire = Wire::connect(&hub.address).await;
    let large = format!("GET /topics/a HTTP/1.1\r\nhost: {}\r\nx: {}", hub.address, "y".repeat(1 << 20));
    let _ = wire.socket.write_all(large.as_bytes()).await;
    let answer = String::from_utf8(wire.rest().await).expect("answers are text");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    is_well(&hub).await;
}

#[tokio::test]
async fn deeply_nested_json_is_refused_and_harms_nobody() {
    let hub = HubProcess::start(&[]);
    let line = format!("{{\"data\":\"x\",\"topic\":{}\n", "[".repeat(500_000));
    post(&hub.address, "/topics/a", NDJSON, line).await.refusal(400, "");
    let line = format!("{{\"data\":\"x\",\"time\":{}{}}}\n", "[".repeat(200_000), "]".repeat(200_000));
    assert!([200, 400].contains(&post(&hub.address, "/topics/a", NDJSON, line).await.status()));
    is_well(&hub).await;
}

#[tokio::test]
async fn bodies_of_two_lengths_are_refused() {
    let hub = HubProcess::start(&[]);
    for framing in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: -1",
        "content-length: 5\r\ntransfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "content-length : 5",
    ] {
        let request = format!(
            "POST /topics/a HTTP/1.1\r\nhost: {}\r\ncontent-type: text/plain\r\n{framing}\r\n\r\nhello",
            hub.address
        );
        let status = status_of(&hub, request).await;
        assert!(status.is_none_or(|status| status >= 400), "{framing}: {status:?}");
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), [""; 0]);
}

#[tokio::test]
async fn a_compressed_body_is_not_taken_for_text() {
    let hub = HubProcess::start(&[]);
    for coding in ["gzip", "br", "x-unknown"] {
        let headers = [TEXT, ("content-encoding", coding)];
        let answer = ask(&hub.address, "POST", "/topics/a", &headers, "looks like text").await;
        answer.refusal(415, coding);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let hub = HubProcess::start(&[]);
    let mut wire = Wire::connect(&hub.address).await;
    let publish = head(&hub.address, "POST", "/topics/a", &[TEXT, ("content-length", "1")]);
    let healthz = head(&hub.address, "GET", "/healthz", &[]);
    let history = head(&hub.address, "GET", "/topics/a", &[JSON]);
    let stream = head(&hub.address, "GET", "/topics/a?from=start", &[]);
    wire.write(format!("{publish}1{healthz}{publish}2{history}{stream}")).await;
    assert_eq!(wire.answer().await.status(), 200);
    assert_eq!(wire.answer().await.body, "ok\n");
    assert_eq!(wire.answer().await.status(), 200);
    assert_eq!(data(&wire.answer().await.json()), ["1", "2"]);
    let mut stream = Stream::read(wire).await;
    assert_eq!(stream.data(2).await, ["1", "2"]);
    say(&hub.address, "/topics/a", "3").await;
    assert_eq!(stream.event().await.data, "3");
}

#[tokio::test]
async fn a_request_pipelined_after_a_stream_waits_for_its_end() {
    let hub = HubProcess::start(&[]);
    let mut wire = Wire::connect(&hub.address).await;
    let stream = head(&hub.address, "GET", "/topics/a?start=none", &[]);
    let publish = head(&hub.address, "POST", "/topics/a", &[TEXT, ("content-length", "4")]);
    wire.write(format!("{stream}{publish}late")).await;
    let mut stream = Stream::read(wire).await;
    say(&hub.address, "/topics/a", "1").await;
    assert_eq!(stream.event().await.data, "1");
    say(&hub.address, "/topics/a?close=done", "").await;
    assert_eq!(stream.rest().await.len(), 1);
}

#[tokio::test]
async fn a_half_closed_publish_is_kept_if_it_is_answered() {
    // Whether a client that shuts its side gets an answer is left open; an answer must be true all the same.
    let hub = HubProcess::start(&[]);
    let mut answered = Vec::new();
    for number in 0..50 {
        let number = number.to_string();
        let length = number.len().to_string();
        let mut wire = Wire::connect(&hub.address).await;
        wire.write(head(&hub.address, "POST", "/topics/a", &[TEXT, ("content-length", &length)]) + &number)
            .await;
        wire.socket.shutdown().await.expect("the socket is open");
        match status(wire).await {
            Some(200) => answered.push(number),
            other => assert_eq!(other, None),
        }
    }
    let page = page(&hub.address, "/topics/a").await;
    println!("{} of 50 answered, {} kept", answered.len(), data(&page).len());
    for number in &answered {
        assert!(data(&page).contains(&number.as_str()), "{number} was acknowledged");
    }
}

#[tokio::test]
async fn a_half_closed_subscriber_leaves_nothing_behind() {
    let hub = HubProcess::start(&[]);
    for _ in 0..20 {
        let mut stream = Stream::live(&hub.address, "/topics/a").await;
        stream.wire.socket.shutdown().await.expect("the socket is open");
    }
    is_well(&hub).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        // A half-closed subscriber may be served or be seen as gone; one that is closed must be gone.
        say(&hub.address, "/topics/a", "wake").await;
        let metrics = ask(&hub.address, "GET", "/metrics", &[], "").await.body;
        if metrics.contains("tidings_subscriptions 0\n") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "subscriptions are still counted: {metrics}");
    }
}

#[tokio::test]
async fn an_old_client_gets_a_stream_without_chunks() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    say(&hub.address, "/topics/a?close=done", "").await;
    let mut wire = Wire::connect(&hub.address).await;
    wire.write(format!("GET /topics/a?from=start HTTP/1.0\r\nhost: {}\r\n\r\n", hub.address)).await;
    let answer = String::from_utf8(wire.rest().await).expect("answers are text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.starts_with(":\nretry: 2000\ndata: 1\n"), "{body}");
    assert!(body.contains("event: close\ndata: done\n"), "{body}");
}

#[tokio::test]
async fn a_subscription_may_carry_a_body_or_an_expectation() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    let mut wire = Wire::connect(&hub.address).await;
    wire.write(head(&hub.address, "GET", "/topics/a?from=start", &[("content-length", "4")]) + "body").await;
    assert_eq!(Stream::read(wire).await.event().await.data, "1");
    let mut wire = Wire::connect(&hub.address).await;
    let headers = [("expect", "100-continue"), ("content-length", "4")];
    wire.write(head(&hub.address, "GET", "/topics/a?from=start", &headers) + "body").await;
    let answer = wire.head().await;
    assert!(answer.starts_with("HTTP/1.1 100 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_harms_nobody() {
    let hub = HubProcess::start(&[]);
    for bytes in
        [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let status = status_of(&hub, bytes).await;
        assert!(status.is_none_or(|status| status >= 400), "{bytes:?}: {status:?}");
    }
    let hostless = status_of(&hub, "GET /topics/a HTTP/1.1\r\naccept: application/json\r\n\r\n").await;
    assert!(matches!(hostless, Some(400 | 421)), "{hostless:?}");
    is_well(&hub).await;
}
