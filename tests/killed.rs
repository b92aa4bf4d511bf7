//! Acknowledged means kept: a hub that is killed again and again loses nothing, and delivers nothing twice.
//!
//! `TIDINGS_KILLS` makes it longer.

mod support;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use support::{HubProcess, Subscription, full, request, try_send};
use tokio::sync::Semaphore;

const PUBLISHERS: usize = 8;
const SUBSCRIBERS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_reaches_every_subscriber_once_in_one_order() {
    let kills = std::env::var("TIDINGS_KILLS").map_or(10, |kills| kills.parse().expect("a whole number"));
    let directory = tempfile::tempdir().expect("a place for the log");
    let data = directory.path().to_str().expect("it has a UTF-8 name").to_owned();
    let mut hub = HubProcess::start(&["--data", &data, "--retry", "10ms"]);
    let address = hub.address.clone();
    let acknowledged = Arc::new(Acknowledged::default());
    let stop = Arc::new(AtomicBool::new(false));

    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let (address, acknowledged, stop) = (address.clone(), acknowledged.clone(), stop.clone());
            tokio::spawn(async move { publish(number, &address, &acknowledged, &stop).await })
        })
        .collect();
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|number| {
            let address = address.clone();
            tokio::spawn(async move { follow(number, &address).await })
        })
        .collect();

    for kill in 0..kills {
        acknowledged.more.forget_permits(usize::MAX);
        // Not the same moment each time, and the same ones in each run.
        tokio::time::sleep(Duration::from_millis(30 + kill * 37 % 170)).await;
        // Each of them had work to lose, on a busy machine as well.
        acknowledged.more.acquire_many(50).await.expect("it is never closed").forget();
        drop(hub);
        hub = HubProcess::start_on(&address, &["--data", &data, "--retry", "10ms"]);
    }
    stop.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.expect("publishers go on");
    }
    let (status, _) = support::publish(&address, "/topics/t?close=done", "text/plain", "").await;
    assert_eq!(status, 200);

    let acknowledged = acknowledged.updates.lock().expect("nobody panicked").clone();
    let mut orders = Vec::new();
    for subscriber in subscribers {
        let followed = tokio::time::timeout(Duration::from_secs(120), subscriber).await;
        orders.push(followed.expect("every subscriber gets the close").expect("nobody saw a wrong event"));
    }
    let first = &orders[0];
    let distinct: HashSet<&String> = first.iter().collect();
    assert_eq!(distinct.len(), first.len(), "nothing came twice");
    for data in &acknowledged {
        assert!(distinct.contains(data), "{data} was acknowledged, and lost");
    }
    for (number, order) in orders.iter().enumerate() {
        assert!(order == first, "subscriber {number} saw another order");
    }
    println!(
        "{kills} kills: {} updates acknowledged, {} delivered to each of {SUBSCRIBERS}",
        acknowledged.len(),
        first.len()
    );
    assert!(acknowledged.len() >= 50 * kills as usize, "the hub had time to work");
}

/// The updates that the hub has acknowledged.
struct Acknowledged {
    updates: Mutex<Vec<String>>,
    /// One permit for each.
    more: Semaphore,
}

impl Default for Acknowledged {
    fn default() -> Self {
        Self { updates: Mutex::default(), more: Semaphore::new(0) }
    }
}

/// Publishes one update after the other. An update without an answer is published again under the same key, so that it is in
/// the log once.
async fn publish(number: usize, address: &str, acknowledged: &Acknowledged, stop: &AtomicBool) {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let data = format!("{number}-{count}");
        loop {
            let request = request(address, "POST", "/topics/t")
                .header("content-type", "text/plain")
                .header("idempotency-key", &data)
                .body(full(data.clone()))
                .expect("a valid request");
            if let Ok(response) = try_send(address, request).await {
                let status = response.status();
                if response.into_body().collect().await.is_ok() {
                    assert_eq!(status, 200);
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        acknowledged.updates.lock().expect("nobody panicked").push(data);
        acknowledged.more.add_permits(1);
        count += 1;
    }
}

/// Follows the topic from its start to its close, through every kill; every third is slow, every fifth reconnects on its
/// own now and then.
async fn follow(number: usize, address: &str) -> Vec<String> {
    let (mut seen, mut last_event_id) = (Vec::new(), None::<String>);
    loop {
        let path = "/topics/t?from=start";
        let Ok(mut subscription) = Subscription::try_open(address, path, last_event_id.as_deref()).await
        else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        if last_event_id.is_some() {
            assert_eq!(subscription.response.headers()["tidings-resume"], "resumed");
        }
        let mut read = 0;
        while let Some(event) = subscription.next().await {
            assert!(matches!(&*event.event_type, "message" | "close"), "{event:?}");
            last_event_id = Some(event.id);
            if event.event_type == "close" {
                return seen;
            }
            seen.push(event.data);
            read += 1;
            if number % 5 == 0 && read == 100 {
                break;
            }
            if number % 3 == 0 && read % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
