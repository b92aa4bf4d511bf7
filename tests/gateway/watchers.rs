//! Many readers of one stream, each at its own place.

use std::time::Duration;

use scripted_server::{Reply, stream};

use crate::{
    model::*,
    support::wire::{self, Stream, Wire, head},
};

#[tokio::test]
async fn an_event_source_makes_exactly_two_requests() {
    let model = saying(chat(3)).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    answering.stream.rest().await;
    // As the standard has it: from the end of a response it comes back with the last ID, until it gets 204.
    let (mut requests, mut last, mut seen) = (0, String::new(), Vec::new());
    loop {
        requests += 1;
        let mut wire = Wire::connect(&hub.address).await;
        wire.write(head(&hub.address, "GET", &answering.location, &[("last-event-id", &last)])).await;
        let answer = wire.answer().await;
        if answer.status() == 204 {
            break;
        }
        let events = Stream::of(wire, answer.head).rest().await;
        last.clone_from(&events.last().expect("a 200 has something to say").id);
        seen.extend(events);
    }
    assert_eq!(requests, 2);
    assert_eq!(text(&without_close(seen).0), chat(3));
}

#[tokio::test]
async fn a_new_reader_finds_its_place_in_the_query_too() {
    let model = saying(chat(3)).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    let events = answering.stream.rest().await;
    let target = format!("{}&last_event_id={}", answering.location, events[1].id);
    let (rest, _) = without_close(Stream::open(&hub.address, &target, &[]).await.rest().await);
    assert_eq!(rest, events[2..]);
    let metrics = wire::ask(&hub.address, "GET", "/metrics", &[], "").await.body;
    assert!(metrics.contains("tidings_gateway_resumes_total 1\n"), "{metrics}");
}

/// Some 4 MB, in pieces: more than the sockets of a stalled reader take.
fn long() -> Reply {
    let filler = "x".repeat(8_000);
    let piece = (0..25).map(|_| token(&filler)).collect::<String>();
    (0..20)
        .fold(stream(), |reply, _| reply.send(&piece).wait(Duration::from_millis(5)))
        .send("data: [DONE]\n\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_watchers_cost_the_others_and_the_upstream_nothing() {
    const WATCHERS: usize = 40;
    const STALLED: usize = 20;
    let model = model(long).await;
    let hub = gateway(&model, &[]);
    let answering = ask(&hub, CHAT).await;
    // The one who asked reads nothing either.
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(watch(&hub, &answering.location, None).await);
    }
    let watching: Vec<_> = (0..WATCHERS)
        .map(|_| {
            let (address, location) = (hub.address.clone(), answering.location.clone());
            tokio::spawn(async move {
                let events = Stream::open(&address, &location, &[]).await.rest().await;
                let (events, reason) = without_close(events);
                assert_eq!(reason, "complete");
                events.len()
            })
        })
        .collect();
    model.all_closed().await;
    for watcher in watching {
        assert_eq!(watcher.await.unwrap(), 501);
    }
    assert!(hub.resident_bytes() < 300 << 20, "{} bytes", hub.resident_bytes());
    // A watcher that stalled has lost nothing.
    for mut late in stalled.into_iter().take(3) {
        assert_eq!(without_close(late.rest().await).0.len(), 501);
    }
}
