//! Every subscriber gets every update exactly once and in order, those that are cut and resume included.
//!
//! `TIDINGS_SUBSCRIBERS` and `TIDINGS_EVENTS` make it larger.

mod support;

use std::time::Duration;

use support::{HubProcess, Subscription, publish};

const BATCH: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_subscribers_get_every_event_once_in_order() {
    let subscribers = size("TIDINGS_SUBSCRIBERS", 100);
    let events = size("TIDINGS_EVENTS", 10_000);
    assert_eq!(events % BATCH, 0, "TIDINGS_EVENTS is a multiple of {BATCH}");
    let hub = HubProcess::start(&[]);
    let (ready, mut subscribed) = tokio::sync::mpsc::channel(subscribers);

    let following: Vec<_> = (0..subscribers)
        .map(|number| {
            let (address, ready) = (hub.address.clone(), ready.clone());
            // Every tenth is cut now and then, each at other places.
            let cut_every = if number % 10 == 0 { 997 + number } else { usize::MAX };
            tokio::spawn(async move { follow(&address, events, cut_every, ready).await })
        })
        .collect();
    for _ in 0..subscribers {
        subscribed.recv().await.expect("every subscriber reports that it has its place");
    }

    for batch in 0..events / BATCH {
        let lines: String = (batch * BATCH..(batch + 1) * BATCH)
            .map(|number| format!("{{\"data\":\"{number}\"}}\n"))
            .collect();
        let (status, answer) = publish(&hub.address, "/topics/load", "application/x-ndjson", lines).await;
        assert_eq!((status.as_u16(), answer["count"].as_u64()), (200, Some(BATCH as u64)), "{answer}");
    }

    let mut cuts = 0;
    for follower in following {
        let followed = tokio::time::timeout(Duration::from_secs(600), follower).await;
        cuts += followed
            .expect("nobody waits for an event that does not come")
            .expect("nobody saw a wrong event");
    }
    println!("{subscribers} subscribers × {events} events, {cuts} cuts: all exactly once and in order");
    assert!(cuts >= subscribers / 10, "the cuts happened");
}

/// Reads all events, checks each, and reconnects after `cut_every` of them; gives back how often it was cut.
async fn follow(
    address: &str,
    events: usize,
    cut_every: usize,
    ready: tokio::sync::mpsc::Sender<()>,
) -> usize {
    let mut subscription = Subscription::open(address, "/topics/load", None).await;
    let start = subscription.next().await.expect("the place to start from");
    assert_eq!(start.event_type, "start");
    ready.send(()).await.expect("the test waits");

    let (mut last_event_id, mut next, mut cuts) = (start.id, 0, 0);
    while next < events {
        if next / cut_every > cuts {
            cuts += 1;
            drop(subscription);
            subscription = Subscription::open(address, "/topics/load", Some(&last_event_id)).await;
            assert_eq!(subscription.response.headers()["tidings-resume"], "resumed");
        }
        let event = subscription.next().await.expect("the stream goes on");
        assert_eq!(event.data, next.to_string(), "after {last_event_id}");
        last_event_id = event.id;
        next += 1;
    }
    cuts
}

fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a size is a whole number"))
}
