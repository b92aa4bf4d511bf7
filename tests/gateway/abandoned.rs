//! Streams that nobody reads, and streams that somebody stops.

use std::time::Duration;

use scripted_server::{Reply, Server, response, stream};
use tokio::{io::AsyncWriteExt, sync::watch::channel};

use crate::{
    model::*,
    support::{
        HubProcess,
        http2::Http2,
        wire::{self, Stream, Wire},
    },
};

/// Says something at once, and the rest after a while.
fn slow(pause: Duration) -> impl Fn() -> Reply + Send + 'static {
    move || stream().send(token("a")).wait(pause).send(token("b")).send("data: [DONE]\n\n")
}

/// How a client leaves that has asked for something and heard nothing yet.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// It closes its connection.
    Http1,
    /// It resets its stream, and its connection stays.
    Http2,
    /// It closes the connection of all of its streams.
    Http2WithAll,
}

impl Leaves {
    const ALL: [Leaves; 3] = [Leaves::Http1, Leaves::Http2, Leaves::Http2WithAll];

    /// Asks, and leaves when the model has heard of it.
    async fn asked(self, hub: &HubProcess, model: &Server, body: &'static str) {
        let heard = async {
            while model.requests().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        if let Leaves::Http1 = self {
            let wire = send(hub, CHAT, &[], body).await;
            heard.await;
            drop(wire);
            return;
        }
        let mut http2 = Http2::connect(&hub.address).await;
        tokio::select! {
            biased;
            answer = http2.send("POST", CHAT, &[("content-type", "application/json")], body) => panic!("{answer:?}"),
            () = heard => {}
        }
        match self {
            Leaves::Http2WithAll => http2.connection.abort(),
            _ => http2.flushed().await,
        }
    }
}

async fn metrics(hub: &HubProcess) -> String {
    wire::ask(&hub.address, "GET", "/metrics", &[], "").await.body
}

async fn reason(watching: &mut Stream) -> String {
    without_close(watching.rest().await).1
}

#[tokio::test]
async fn an_answer_goes_on_when_its_reader_leaves() {
    let (go_on, gate) = channel(false);
    let model =
        model(move || stream().send(token("a")).until(&gate).send(token("b")).send("data: [DONE]\n\n")).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    answering.stream.event().await;
    drop(answering.stream);
    while !metrics(&hub).await.contains("tidings_subscriptions 0\n") {
        tokio::task::yield_now().await;
    }
    go_on.send_replace(true);
    while !metrics(&hub).await.contains("tidings_gateway_streams 0\n") {
        tokio::task::yield_now().await;
    }
    let mut watching = watch(&hub, &answering.location, None).await;
    assert_eq!(reason(&mut watching).await, "complete");
    let metrics = metrics(&hub).await;
    for line in [
        "tidings_gateway_streams_abandoned_total 1\n",
        "tidings_gateway_events_total 3\n",
        "tidings_gateway_first_event_seconds_count 1\n",
        "tidings_gateway_streams_ended_total{reason=\"complete\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn an_answer_is_cancelled_when_its_last_reader_leaves_if_that_is_wanted() {
    let model = model(|| stream().send(token("a")).hold()).await;
    let hub = gateway(&model, &["--abandon", "cancel"]);
    let mut answering = ask(&hub, CHAT).await;
    let first = answering.stream.event().await;
    let watching = watch(&hub, &answering.location, Some(&first.id)).await;
    drop(answering.stream);
    // Another one is still there, at its own place.
    let mut third = watch(&hub, &answering.location, None).await;
    assert_eq!(third.event().await.id, first.id);
    drop((watching, third));
    model.all_closed().await;
    let mut late = watch(&hub, &answering.location, None).await;
    assert_eq!(late.event().await.id, first.id, "what has arrived is kept");
    assert_eq!(reason(&mut late).await, "stopped");
}

#[tokio::test]
async fn a_grace_lets_a_reader_come_back() {
    let model = model(slow(Duration::from_millis(900))).await;
    let hub = gateway(&model, &["--abandon", "grace:500ms"]);
    let mut answering = ask(&hub, CHAT).await;
    let first = answering.stream.event().await;
    drop(answering.stream);
    let mut back = watch(&hub, &answering.location, Some(&first.id)).await;
    assert_eq!(reason(&mut back).await, "complete");

    let mut answering = ask(&hub, CHAT).await;
    answering.stream.event().await;
    drop(answering.stream);
    model.all_closed().await;
    assert_eq!(reason(&mut watch(&hub, &answering.location, None).await).await, "stopped");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_event_is_no_reader() {
    for leaves in Leaves::ALL {
        let model = model(|| stream().hold()).await;
        let hub = gateway(&model, &["--abandon", "cancel"]);
        leaves.asked(&hub, &model, ASK).await;
        model.all_closed().await;
    }
}

#[tokio::test]
async fn stopping_closes_the_upstream_at_once_and_tells_everybody() {
    let model = model(|| stream().send(token("a")).hold()).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    let mut watching = watch(&hub, &answering.location, None).await;
    assert_eq!(answering.stream.event().await.id, watching.event().await.id);
    let target = format!("/streams/{}?token={}", answering.id, answering.stop);
    assert_eq!(wire::ask(&hub.address, "DELETE", &target, &[], "").await.status(), 204);
    model.all_closed().await;
    assert_eq!(reason(&mut watching).await, "stopped");
    let rest = answering.stream.rest().await;
    assert_eq!(rest[0].json()["error"]["code"], "stopped", "a part is not taken for the whole");
    let mut late = watch(&hub, &answering.location, None).await;
    assert_eq!(text(&[late.event().await]), token("a"), "what has arrived is kept");
    assert_eq!(wire::ask(&hub.address, "DELETE", &target, &[], "").await.status(), 204, "twice is as once");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_unstreamed_request_with_it() {
    for leaves in Leaves::ALL {
        let model = model(|| scripted_server::nothing().hold()).await;
        let hub = gateway(&model, &["--max-streams", "1"]);
        leaves.asked(&hub, &model, "{}").await;
        model.all_closed().await;
        hub.metric("tidings_gateway_upstream_requests 0").await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_a_whole_answer_ends_it() {
    for version in ["HTTP/1.1", "HTTP/2"] {
        let (go_on, gate) = channel(false);
        let model = model(move || {
            let begun = response("HTTP/1.1 200 OK\nContent-Length: 100000000").send("a").until(&gate);
            // Over HTTP/1.1 a client that stops sending may still be reading: a write shows that it is gone.
            begun.send("b".repeat(1 << 20)).hold()
        })
        .await;
        let hub = gateway(&model, &[]);
        let mut answer = Unstreamed::ask(&hub, version).await;
        assert_eq!(answer.take(1).await, "a");
        drop(answer);
        go_on.send_replace(true);
        model.all_closed().await;
        hub.metric("tidings_gateway_upstream_requests 0").await;
    }
}

#[tokio::test]
async fn every_request_that_is_with_the_upstream_counts() {
    let (go_on, gate) = channel(false);
    let whole = "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2";
    let model = model(move || scripted_server::nothing().until(&gate).then(response(whole).send("{}"))).await;
    let hub = gateway(&model, &["--max-streams", "2"]);
    let mut unstreamed = send(&hub, CHAT, &[], "{}").await;
    let models = wire::ask(&hub.address, "GET", "/v1/models", &[], "");
    let mut models = std::pin::pin!(models);
    while model.requests().len() < 2 {
        tokio::select! {
            biased;
            answer = &mut models => panic!("{}", answer.head),
            () = tokio::task::yield_now() => {}
        }
    }
    let json = ("content-type", "application/json");
    for (method, target, body) in [("POST", CHAT, "{}"), ("POST", MESSAGES, ASK), ("GET", "/v1/models/m", "")]
    {
        let answer = wire::ask(&hub.address, method, target, &[json], body).await;
        assert_eq!(answer.refusal(429, "2 requests")["error"]["type"], "rate_limit_error", "{target}");
    }
    assert_eq!(model.requests().len(), 2);
    go_on.send_replace(true);
    assert_eq!((unstreamed.answer().await.body, models.await.body), ("{}".to_owned(), "{}".to_owned()));
    // A stream that is over makes room.
    for _ in 0..3 {
        assert_eq!(wire::ask(&hub.address, "GET", "/v1/models/m", &[], "").await.status(), 200);
    }
}

#[tokio::test]
async fn a_client_that_has_only_stopped_sending_gets_its_answer() {
    let (go_on, gate) = channel(false);
    let whole = "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2";
    let model = Server::start_with({
        let gate = gate.clone();
        move |asked| match asked.body == ASK.as_bytes() {
            true => stream().until(&gate).send(chat(2)),
            false => scripted_server::nothing().until(&gate).then(response(whole).send("{}")),
        }
    })
    .await;
    let hub = gateway(&model, &["--abandon", "cancel"]);
    let mut streamed = send(&hub, CHAT, &[], ASK).await;
    let mut unstreamed = send(&hub, CHAT, &[], "{}").await;
    for wire in [&mut streamed, &mut unstreamed] {
        wire.socket.shutdown().await.expect("the socket is open");
        // The gateway has looked whether the client is gone, and has heard nothing to that effect.
        assert_eq!(wire.head().await, "HTTP/1.1 102 Processing\r\n\r\n");
    }
    go_on.send_replace(true);
    assert_eq!(text(&Stream::read(streamed).await.rest().await), chat(2));
    assert_eq!(unstreamed.answer().await.body, "{}");
}

#[tokio::test]
async fn a_client_that_stops_sending_in_mid_answer_gets_the_rest() {
    let (go_on, gate) = channel(false);
    let model =
        model(move || stream().send(token("a")).until(&gate).send(token("b")).send("data: [DONE]\n\n")).await;
    let hub = gateway(&model, &["--abandon", "cancel"]);
    let mut answering = ask(&hub, CHAT).await;
    answering.stream.event().await;
    answering.stream.wire.socket.shutdown().await.expect("the socket is open");
    let comment = answering.stream.until(":\n").await;
    assert_eq!(comment.as_deref(), Some(":\n"), "a write tells whether the client is gone");
    go_on.send_replace(true);
    assert_eq!(text(&answering.stream.rest().await), token("b") + "data: [DONE]\n\n");
}

#[tokio::test]
async fn an_old_client_that_stops_sending_gets_no_answer_that_it_does_not_know() {
    let (go_on, gate) = channel(false);
    let whole = "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2";
    let model = model(move || scripted_server::nothing().until(&gate).then(response(whole).send("{}"))).await;
    let hub = gateway(&model, &[]);
    let mut wire = Wire::connect(&hub.address).await;
    let head = wire::head(
        &hub.address,
        "POST",
        CHAT,
        &[("content-length", "2"), ("content-type", "application/json")],
    );
    wire.write(head.replace("HTTP/1.1", "HTTP/1.0") + "{}").await;
    wire.socket.shutdown().await.expect("the socket is open");
    while model.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    go_on.send_replace(true);
    let answer = String::from_utf8(wire.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("\r\n\r\n{}"), "{answer}");
}
