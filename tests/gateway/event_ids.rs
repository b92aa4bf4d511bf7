//! The IDs of a stream's events: each is a place in its own stream, and in nothing else.

use scripted_server::{Server, stream};
use tokio::sync::watch;

use crate::{
    model::*,
    support::{
        HubProcess,
        wire::{self, Event, Stream, header},
    },
};

const KEY: (&str, &str) = ("idempotency-key", "order-7");

/// Two answers whose events are among each other in the log, and an update of a topic between them.
struct Mixed {
    model: Server,
    hub: HubProcess,
    /// The first and the last event of the one that was asked with the key are around the other's.
    outer: (String, Vec<Event>),
    inner: (String, Vec<Event>),
    /// The ID of the update.
    news: String,
}

async fn mixed(start: impl Fn(&Server) -> HubProcess) -> Mixed {
    let (go_on, gate) = watch::channel(false);
    let model =
        Server::start([stream().send(token("a")).until(&gate).send(chat(2)), stream().send(chat(4))]).await;
    let hub = start(&model);
    let mut outer = ask_with(&hub, CHAT, &[KEY], ASK).await;
    let mut of_outer = vec![outer.stream.event().await];
    let news = wire::say(&hub.address, "/topics/news", "n").await;
    let mut inner = ask(&hub, CHAT).await;
    let of_inner = inner.stream.rest().await;
    go_on.send_replace(true);
    of_outer.extend(outer.stream.rest().await);
    Mixed { model, hub, outer: (outer.location, of_outer), inner: (inner.location, of_inner), news }
}

/// The data of the events, joined where the view has joined them.
fn said(events: &[Event]) -> String {
    let content = |event: &Event| {
        let chunk: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or(&event.data).to_owned()
    };
    events.iter().map(content).collect()
}

/// Each event's ID leads to the end of that event, in each way to read the stream.
async fn resumes_at_each_event(hub: &HubProcess, location: &str, events: &[Event]) {
    for (index, event) in events.iter().enumerate() {
        let rest = &events[index + 1..];
        let mut resumed = watch(hub, location, Some(&event.id)).await;
        assert_eq!(resumed.verdict(), Some("resumed"));
        assert_eq!(without_close(resumed.rest().await).0, rest, "behind event {index}");
        let compact = format!("{location}&view=compact");
        let (joined, _) = without_close(Stream::resume(&hub.address, &compact, &event.id).await.rest().await);
        assert_eq!(said(&joined), said(rest), "joined behind event {index}");
    }
}

#[tokio::test]
async fn each_id_resumes_exactly_after_its_event_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let on_disk = |address: &str, model: &Server| {
        HubProcess::start_on(address, &["--data", data, "--upstream", &model.url("")])
    };
    let Mixed { model, hub, outer, inner, .. } = mixed(|model| on_disk("127.0.0.1:0", model)).await;
    let address = hub.address.clone();
    assert!(outer.1.iter().all(|event| wire::is_hub_id(&event.id)), "they cost no index: {:?}", outer.1);
    for (location, events) in [&outer, &inner] {
        resumes_at_each_event(&hub, location, events).await;
    }
    drop(hub);

    let hub = on_disk(&address, &model);
    for (location, events) in [&outer, &inner] {
        resumes_at_each_event(&hub, location, events).await;
    }
    let events = outer.1;
    for (index, event) in events.iter().enumerate().take(events.len() - 1) {
        let mut again = ask_with(&hub, CHAT, &[KEY, ("last-event-id", &event.id)], ASK).await;
        assert_eq!(header(&again.stream.head, "tidings-resume"), Some("resumed"));
        assert_eq!(again.stream.rest().await, events[index + 1..], "asked again behind event {index}");
    }
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn the_id_of_another_stream_or_topic_is_unknown_though_the_log_has_it() {
    let Mixed { model, hub, outer, inner, news } = mixed(|model| gateway(model, &[])).await;
    let close = watch(&hub, &inner.0, None).await.rest().await.pop().unwrap();
    assert_eq!(close.event_type, "close");
    let foreign = inner.1.iter().map(|event| &event.id).chain([&close.id, &news]);
    let (location, events) = &outer;
    for id in foreign {
        let mut watching = watch(&hub, location, Some(id)).await;
        assert_eq!(watching.verdict(), Some("gap"), "{id}");
        let gap = watching.event().await;
        assert_eq!((&*gap.event_type, &gap.json()["reason"]), ("gap", &"unknown-id".into()));
        assert_eq!(&without_close(watching.rest().await).0, events, "all of its own, and nothing of another");

        let compact = format!("{location}&view=compact");
        let mut joined = Stream::resume(&hub.address, &compact, id).await;
        assert_eq!(joined.verdict(), Some("gap"), "{id}");
        assert_eq!(joined.event().await.event_type, "gap");
        assert_eq!(said(&without_close(joined.rest().await).0), said(events));

        let mut again = ask_with(&hub, CHAT, &[KEY, ("last-event-id", id)], ASK).await;
        assert_eq!(header(&again.stream.head, "tidings-resume"), Some("gap"), "{id}");
        assert_eq!(again.stream.event().await.json()["error"]["code"], "gap");
        assert_eq!(&again.stream.rest().await, events);
    }
    // And a topic's reader gets nothing of a stream, wherever it begins.
    let page = wire::page(&hub.address, &format!("/topics/news?from={}", outer.1[0].id)).await;
    assert_eq!(wire::data(&page), ["n"]);
    assert_eq!(model.requests().len(), 2);
}
