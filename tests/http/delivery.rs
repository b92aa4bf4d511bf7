//! The two ways to a socket, the delivery loop and the body, and what the loop owes to those whose sockets it owns.

use crate::support::{
    HubProcess,
    wire::{NDJSON, Stream, Wire, dechunked, head, post, say},
};

/// A subscription that has said it carries a body stays with hyper.
const BODY: (&str, &str) = ("content-length", "0");
const CLOSE: (&str, &str) = ("connection", "close");

async fn subscribe(hub: &HubProcess, target: &str, headers: &[(&str, &str)]) -> Wire {
    let mut wire = Wire::connect(&hub.address).await;
    wire.write(head(&hub.address, "GET", target, headers)).await;
    wire
}

#[tokio::test]
async fn both_ways_send_the_same_bytes() {
    let hub = HubProcess::start(&[]);
    for (number, query) in [
        "",
        "from=start",
        "start=none&envelope=json",
        "from=start&envelope=message",
        "from=start&heartbeat=block&lastEventId=unknown",
        "from=start&topic=other/*",
    ]
    .iter()
    .enumerate()
    {
        let topic = format!("/topics/{number}");
        let target = format!("/topics?topic={number}&{query}");
        let lines: String = (0..700).map(|n| format!("{{\"data\":\"{n} {}\"}}\n", "x".repeat(n))).collect();
        post(&hub.address, &topic, NDJSON, lines).await;
        let mut ways = Vec::new();
        for headers in [&[CLOSE][..], &[CLOSE, BODY]] {
            let mut wire = subscribe(&hub, &target, headers).await;
            let head = wire.head().await;
            let head: Vec<_> =
                head.lines().filter(|line| !line.starts_with("date:")).map(String::from).collect();
            let mut replayed = Vec::new();
            if query.contains("from=start") {
                replayed.extend(wire.until(&[b'x'; 699]).await.expect("the last one is replayed"));
                replayed.extend(wire.until(b"\n\n\r\n").await.expect("the chunk is whole"));
            }
            // How much of the history is in a chunk depends on how fast it is taken.
            ways.push((wire, head, dechunked(&replayed), Vec::new()));
        }
        // All is replayed. Each event reaches both before the next is published, so that they are in the same chunks.
        for said in ["first", "second\nof two lines", "last"] {
            let said = format!("{said} {}", "y".repeat(300));
            say(&hub.address, &topic, &said).await;
            for (wire, _, _, bytes) in &mut ways {
                bytes.extend(wire.until(&[b'y'; 300]).await.expect("it is delivered"));
                bytes.extend(wire.until(b"\n\n\r\n").await.expect("the chunk is whole"));
            }
        }
        let target = if query.contains("other") { None } else { Some(format!("{topic}?close=over")) };
        if let Some(target) = target {
            say(&hub.address, &target, "").await;
            for (wire, _, _, bytes) in &mut ways {
                bytes.extend(wire.rest().await);
                assert!(bytes.ends_with(b"\n\n\r\n0\r\n\r\n"), "{query}: the body is complete");
            }
        }
        let [(_, loop_head, loop_replayed, loop_bytes), (_, body_head, body_replayed, body_bytes)] =
            &ways[..]
        else {
            unreachable!()
        };
        assert_eq!(loop_head, body_head, "{query}");
        assert!(loop_replayed == body_replayed, "{query}: the same history");
        assert_eq!(
            loop_bytes.escape_ascii().to_string(),
            body_bytes.escape_ascii().to_string(),
            "{query}: the same bytes"
        );
    }
}

#[tokio::test]
async fn a_subscriber_that_disconnects_is_gone_at_once() {
    let hub = HubProcess::start(&[]);
    for target in ["/topics/a", "/topics/a/*"] {
        drop(subscribe(&hub, target, &[]).await);
    }
    let mut gone = Vec::new();
    for number in 0..50 {
        gone.push(Stream::live(&hub.address, &format!("/topics/{}", number % 3)).await);
    }
    drop(gone);
    // Nothing is published: nobody has to write to notice.
    hub.metric("tidings_subscriptions 0").await;
    hub.metric("tidings_subscriptions_ended_total{reason=\"left\"} 52").await;
}

#[tokio::test]
async fn a_half_closed_client_gets_the_end_of_its_body() {
    use tokio::io::AsyncWriteExt;
    let hub = HubProcess::start(&[]);
    let mut wire = subscribe(&hub, "/topics/a?start=none", &[]).await;
    wire.until(b"2000\n\r\n").await.expect("the stream begins");
    wire.socket.shutdown().await.expect("the socket is open");
    assert_eq!(wire.rest().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_connection_serves_on_when_its_stream_has_ended() {
    let hub = HubProcess::start(&[]);
    let mut wire = subscribe(&hub, "/topics/a?start=none", &[]).await;
    // A request that is pipelined now is read with the head of the stream or after it; both wait for its end.
    wire.write(head(&hub.address, "GET", "/healthz", &[])).await;
    wire.until(b"2000\n\r\n").await.expect("the stream begins");
    say(&hub.address, "/topics/a?close=over", "").await;
    wire.until(b"0\r\n\r\n").await.expect("the stream ends");
    assert_eq!(wire.answer().await.body, "ok\n");
    // And once more over the same connection, now as its later request.
    for topic in ["b", "c"] {
        wire.write(head(&hub.address, "GET", &format!("/topics/{topic}?start=none"), &[])).await;
        wire.until(b"2000\n\r\n").await.expect("the next stream begins");
        say(&hub.address, &format!("/topics/{topic}?close=over"), "").await;
        wire.until(b"0\r\n\r\n").await.expect("it ends too");
    }
    wire.write(head(&hub.address, "GET", "/healthz", &[])).await;
    assert_eq!(wire.answer().await.body, "ok\n");
}

#[tokio::test]
async fn data_from_a_client_during_its_stream_does_not_delay_the_stream() {
    let hub = HubProcess::start(&[]);
    let mut wire = subscribe(&hub, "/topics/a?start=none", &[]).await;
    wire.until(b"2000\n\r\n").await.expect("the stream begins");
    say(&hub.address, "/topics/a", "first").await;
    wire.until(b"data: first\n").await.expect("its socket is with the delivery loop");
    wire.write(head(&hub.address, "GET", "/healthz", &[])).await;
    for n in 0..20 {
        say(&hub.address, "/topics/a", &format!("update {n}")).await;
        wire.until(format!("data: update {n}\n").as_bytes()).await.expect("it is delivered");
    }
    say(&hub.address, "/topics/a?close=over", "").await;
    wire.until(b"0\r\n\r\n").await.expect("the stream ends");
    assert_eq!(wire.answer().await.body, "ok\n");
}

#[tokio::test]
async fn a_head_request_leaves_its_connection_alone() {
    let hub = HubProcess::start(&[]);
    let mut wire = subscribe(&hub, "/topics/a", &[]).await;
    wire.until(b"\n\n\r\n").await.expect("the stream begins");
    let mut other = Wire::connect(&hub.address).await;
    for _ in 0..2 {
        other.write(head(&hub.address, "HEAD", "/topics/a", &[])).await;
        assert!(other.head().await.starts_with("HTTP/1.1 200 "));
    }
    hub.metric("tidings_subscriptions 1").await;
}

#[tokio::test]
async fn many_topics_of_one_subscriber_each_get_their_own() {
    const TOPICS: usize = 2_000;
    let hub = HubProcess::start(&[]);
    let mut streams = Vec::new();
    for topic in 0..TOPICS {
        streams.push(Stream::open(&hub.address, &format!("/topics/t/{topic}?start=none"), &[]).await);
    }
    for round in 0..2 {
        let lines: String = (0..TOPICS).map(|_| format!("{{\"data\":\"noise {round}\"}}\n")).collect();
        post(&hub.address, "/topics/unheard", NDJSON, lines).await;
        for topic in (0..TOPICS).step_by(50) {
            say(&hub.address, &format!("/topics/t/{topic}"), &format!("{topic} {round}")).await;
        }
        for topic in (0..TOPICS).step_by(50) {
            assert_eq!(streams[topic].event().await.data, format!("{topic} {round}"));
        }
    }
    hub.metric(&format!("tidings_events_delivered_total {}", TOPICS / 50 * 2)).await;
    drop(streams);
    hub.metric("tidings_subscriptions 0").await;
}

#[tokio::test]
async fn a_subscription_to_closed_and_open_topics_ends_with_the_last_of_them() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a?close=early", "").await;
    let mut stream = Stream::open(&hub.address, "/topics?topic=a&topic=b&topic=c&start=none", &[]).await;
    for topic in ["b", "c"] {
        say(&hub.address, &format!("/topics/{topic}"), topic).await;
        assert_eq!(stream.event().await.data, topic);
        say(&hub.address, &format!("/topics/{topic}?close=late"), "").await;
        assert_eq!(stream.event().await.event_type, "close");
    }
    assert_eq!(stream.next().await, None);
    hub.metric("tidings_subscriptions_ended_total{reason=\"closed\"} 1").await;
}

#[tokio::test]
async fn subscribers_that_return_together_get_everything_missed_and_everything_live() {
    let hub = HubProcess::start(&[]);
    let first = say(&hub.address, "/topics/a", "first").await;
    let filler = "x".repeat(200);
    let lines: String = (0..3_000).map(|number| format!("{{\"data\":\"{number} {filler}\"}}\n")).collect();
    post(&hub.address, "/topics/a", NDJSON, lines).await;
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(Stream::resume(&hub.address, "/topics/a", &first).await);
    }
    say(&hub.address, "/topics/a", "live").await;
    for stream in &mut streams {
        for number in 0..3_000 {
            assert_eq!(stream.event().await.data.split(' ').next(), Some(number.to_string().as_str()));
        }
        assert_eq!(stream.event().await.data, "live");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_shutdown_ends_streams_between_two_events() {
    let hub = HubProcess::start(&[]);
    let mut wires = Vec::new();
    for headers in [&[][..], &[], &[BODY]] {
        let mut wire = subscribe(&hub, "/topics/a?start=none", headers).await;
        wire.until(b"2000\n\r\n").await.expect("the stream begins");
        wires.push(wire);
    }
    say(&hub.address, "/topics/a", "last").await;
    for wire in &mut wires {
        wire.until(b"\n\n\r\n").await.expect("the event is delivered");
    }
    let killed = std::process::Command::new("kill").args(["-TERM", &hub.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    for mut wire in wires {
        assert_eq!(wire.rest().await, b"0\r\n\r\n");
    }
}
