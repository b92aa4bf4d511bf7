//! The subscriptions with the largest lag, and the reasons why the last ones ended.

use std::time::Duration;

use hyper::client::conn::http2::Builder;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::{net::TcpSocket, time::Instant};

use crate::support::{
    HubProcess,
    http2::Http2,
    wire::{ELSEWHERE, JSON, NDJSON, Stream, Wire, ask, head, page, post, say},
};

/// More than the sockets of a stalled reader take.
const UPDATES: usize = 1_500;

async fn publish(hub: &HubProcess, topic: &str, count: usize) {
    let line = format!("{{\"data\":\"{}\"}}\n", "x".repeat(4_000));
    assert_eq!(
        post(&hub.address, &format!("/topics/{topic}"), NDJSON, line.repeat(count)).await.status(),
        200
    );
}

/// Subscribes through a receive buffer that is small, and reads nothing but the head.
async fn stalled(hub: &HubProcess, target: &str) -> Stream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("a smaller buffer");
    let address = hub.direct.parse().expect("an address");
    let mut wire = Wire::over(socket.connect(address).await.expect("the hub listens"));
    wire.write(head(&hub.address, "GET", target, &[])).await;
    Stream::read(wire).await
}

/// Asks until the answer is as wanted.
async fn until(hub: &HubProcess, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = page(&hub.address, "/subscribers").await;
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never says so: {answer}");
        tokio::task::yield_now().await;
    }
}

fn of<'a>(answer: &'a Value, list: &str, topic: &str) -> Option<&'a Value> {
    answer[list].as_array()?.iter().find(|one| one["topics"][0] == topic)
}

fn behind(answer: &Value, topic: &str) -> Option<u64> {
    of(answer, "behind", topic)?["behind"].as_u64()
}

#[tokio::test]
async fn a_stalled_reader_is_behind_by_what_waits_for_it_and_one_that_reads_is_not() {
    let hub = HubProcess::start(&[]);
    let mut stalled = stalled(&hub, "/topics/load").await;
    let quiet = Stream::live(&hub.address, "/topics/quiet").await;
    publish(&hub, "load", UPDATES).await;

    let answer = until(&hub, |answer| {
        of(answer, "behind", "load").is_some_and(|load| load["stalled"].is_u64() && load["behind"] != 0)
    })
    .await;
    assert_eq!(answer["behind"][0]["topics"], json!(["load"]), "the furthest comes first: {answer}");
    assert_eq!(answer["behind"][0]["protocol"], "HTTP/1.1");
    // One for whom nothing came lacks nothing, however many came for others.
    assert_eq!(behind(&answer, "quiet"), Some(0), "{answer}");
    assert_eq!(answer["subscribers"], 2);

    // Updates that are published now wait after those that wait already.
    let waiting = behind(&answer, "load").expect("it is listed");
    assert!(waiting < UPDATES as u64, "what the sockets have taken is not counted: {answer}");
    publish(&hub, "load", 7).await;
    until(&hub, |answer| behind(answer, "load") == Some(waiting + 7)).await;

    // It reads on, and lacks nothing when it has the last.
    say(&hub.address, "/topics/load", "the last").await;
    while stalled.event().await.data != "the last" {}
    let answer = until(&hub, |answer| behind(answer, "load") == Some(0)).await;
    assert_eq!(of(&answer, "behind", "load").expect("it is listed").get("stalled"), None, "{answer}");
    drop(quiet);
}

#[tokio::test]
async fn a_stream_of_http_2_is_behind_by_what_its_client_does_not_take() {
    let hub = HubProcess::start(&[]);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(65_535).initial_connection_window_size(64 << 20);
    let mut connection = Http2::with(&hub.direct, &mut builder).await;
    let mut stream = connection.subscribe("/topics/load", &[]).await;
    let quiet = connection.subscribe("/topics/quiet", &[]).await;
    // One by one, so that it has all there was when its client's window is full, and does not hear of what comes then.
    for _ in 0..100 {
        publish(&hub, "load", 1).await;
    }
    let answer = until(&hub, |answer| behind(answer, "load").is_some_and(|behind| behind > 0)).await;
    assert_eq!(of(&answer, "behind", "load").expect("it is listed")["protocol"], "HTTP/2");
    assert_eq!(behind(&answer, "quiet"), Some(0), "{answer}");
    let waiting = until(&hub, |answer| behind(answer, "load").is_some_and(|behind| behind < 100)).await;
    let waiting = behind(&waiting, "load").expect("it is listed");
    publish(&hub, "load", 7).await;
    until(&hub, |answer| behind(answer, "load") == Some(waiting + 7)).await;

    say(&hub.address, "/topics/load", "the last").await;
    assert!(stream.until("data: the last\n").await.is_some());
    until(&hub, |answer| behind(answer, "load") == Some(0)).await;
    drop((stream, quiet));
    until(&hub, |answer| answer["behind"] == json!([]) && answer["subscribers"] == 0).await;
}

#[tokio::test]
async fn those_who_ended_last_are_told_with_the_reason() {
    let hub = HubProcess::start(&["--write-timeout", "1s"]);
    let mut connection = Http2::connect(&hub.direct).await;
    drop(Stream::live(&hub.address, "/topics/left").await);
    until(&hub, |answer| of(answer, "ended", "left").is_some()).await;
    drop(connection.subscribe("/topics/reset", &[]).await);
    until(&hub, |answer| of(answer, "ended", "reset").is_some()).await;
    let mut closed = Stream::live(&hub.address, "/topics/closed").await;
    say(&hub.address, "/topics/closed?close=over", "").await;
    closed.rest().await;
    until(&hub, |answer| of(answer, "ended", "closed").is_some()).await;
    let stalled = stalled(&hub, "/topics/stalled").await;
    publish(&hub, "stalled", UPDATES).await;
    let answer = until(&hub, |answer| of(answer, "ended", "stalled").is_some()).await;

    let ended: Vec<_> = answer["ended"].as_array().expect("a list").iter().collect();
    let told: Vec<_> = ended.iter().map(|one| (&one["topics"][0], &one["reason"])).collect();
    let expected = ["stalled", "closed", "reset", "left"].map(Value::from);
    let reasons = ["stalled", "closed", "left", "left"].map(Value::from);
    assert_eq!(told, expected.iter().zip(&reasons).collect::<Vec<_>>(), "the last comes first");
    assert!(ended[0]["behind"].as_u64() > Some(0), "{answer}");
    assert_eq!(ended[1]["behind"], 0, "{answer}");
    for one in ended {
        assert!(one["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{one}");
        assert!(one["age"].is_u64(), "{one}");
    }
    drop(stalled);
}

#[tokio::test]
async fn at_most_twenty_are_told_of_and_a_part_of_what_each_follows() {
    let hub = HubProcess::start(&[]);
    let long = "ä".repeat(100);
    let names = ["a/*", "b/*", &long, "c", "d", "e"].map(|topic| format!("topic={topic}")).join("&");
    let target = format!("/topics?{}", names.replace('ä', "%C3%A4"));
    let mut streams = Vec::new();
    for _ in 0..25 {
        streams.push(Stream::live(&hub.address, &target).await);
    }
    let answer =
        until(&hub, |answer| answer["behind"].as_array().is_some_and(|behind| behind.len() == 20)).await;
    assert_eq!(answer["subscribers"], 25);
    for one in answer["behind"].as_array().expect("a list") {
        assert_eq!(one["topics"], json!(["a/*", "b/*", format!("{}…", "ä".repeat(64)), "c"]));
        assert_eq!(one["more"], 2);
    }
    drop(streams);
    let answer = until(&hub, |answer| answer["subscribers"] == 0).await;
    assert_eq!(answer["ended"].as_array().map(Vec::len), Some(20));
}

#[tokio::test]
async fn a_client_that_may_not_subscribe_is_told_of_nobody() {
    let hub = HubProcess::start(&["--anonymous", "publish"]);
    ask(&hub.address, "GET", "/subscribers", &[JSON, ELSEWHERE], "")
        .await
        .refusal(403, "may not read any topic");
}
