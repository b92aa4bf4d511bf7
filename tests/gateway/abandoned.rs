//! Streams that nobody reads, and streams that somebody stops.

use std::time::Duration;

use scripted_server::{Reply, stream};
use tokio::sync::watch::channel;

use crate::{
    model::*,
    support::{
        HubProcess,
        wire::{self, Stream},
    },
};

/// Says something at once, and the rest after a while.
fn slow(pause: Duration) -> impl Fn() -> Reply + Send + 'static {
    move || stream().send(token("a")).wait(pause).send(token("b")).send("data: [DONE]\n\n")
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
    let model = model(|| stream().hold()).await;
    let hub = gateway(&model, &["--abandon", "cancel"]);
    let wire = send(&hub, CHAT, &[], ASK).await;
    while model.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(wire);
    model.all_closed().await;
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
    let model = model(|| scripted_server::nothing().hold()).await;
    let hub = gateway(&model, &[]);
    let wire = send(&hub, CHAT, &[], "{}").await;
    while model.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(wire);
    model.all_closed().await;
}
