//! What a hub has acknowledged reads back over HTTP: however it was published, whichever way it is asked for, after the hub was
//! killed, and in a copy.
//!
//! `TIDINGS_UPDATES` makes it longer, and `TIDINGS_SEED` makes the updates others.

#[path = "../support/mod.rs"]
mod support;

mod publishing;
mod reading;

use std::path::Path;

use publishing::Publisher;
use reading::{Follower, Kept};
use serde_json::{Value, json};
use support::{
    HubProcess,
    program::tidings,
    wire::{Answer, Wire, head},
};
use tidings_hub::log::contract::acknowledged::{seed, updates};

const ALL: [&str; 6] = ["--max-retry", "1day", "--max-history", "16GiB", "--max-updates", "10000000"];

fn text(path: &Path) -> &str {
    path.to_str().expect("it has a UTF-8 name")
}

/// One connection that serves one request after the other.
struct Client {
    address: String,
    wire: Wire,
}

impl Client {
    async fn of(hub: &HubProcess) -> Client {
        Client { address: hub.address.clone(), wire: Wire::connect(&hub.address).await }
    }

    async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if method == "POST" {
            headers.push(("content-length", &length));
        }
        let head = head(&self.address, method, target, &headers);
        self.wire.write([head.as_bytes(), body].concat()).await;
        self.wire.answer().await
    }
}

/// Publishes `count` updates or a few more, while a subscriber follows; holds each answer against what was sent.
async fn publish(hub: &HubProcess, publisher: &mut Publisher, kept: &mut Kept, count: usize) {
    let follower = Follower::of(hub).await;
    let mut client = Client::of(hub).await;
    let (first, end) = (kept.count(), kept.count() + count);
    while kept.count() < end {
        let publish = publisher.publish();
        let headers: Vec<_> = publish.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let answer = client.ask("POST", &publish.target, &headers, &publish.body).await;
        assert_eq!(answer.status(), 200, "{} {headers:?} {:?}: {answer:?}", publish.target, publish.updates);
        let acknowledged = answer.json();
        kept.acknowledge(publish.updates, &acknowledged);
        if publish.is_repeatable && publisher.random.once_in(4) {
            let again = client.ask("POST", &publish.target, &headers, &publish.body).await;
            assert_eq!(again.status(), 200, "{} again: {again:?}", publish.target);
            assert_eq!(again.json(), acknowledged, "{} again", publish.target);
        }
        if let Some(topic) = publisher.closed.last().filter(|_| publisher.random.once_in(40)) {
            let target = format!("/topics/{}", publishing::encoded(&mut publisher.random, topic));
            client.ask("POST", &target, &[], b"too late").await.refusal(409, "closed");
        }
    }
    let events = follower.until(kept.count() - first).await;
    kept.check(hub, &mut publisher.random).await;
    kept.check_events(first, &events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hub_in_memory_has_acknowledged_reads_back_over_http() {
    let (mut publisher, mut kept) = (Publisher::new(seed()), Kept::default());
    let hub = HubProcess::start(&ALL);
    publish(&hub, &mut publisher, &mut kept, updates(1_500)).await;
    kept.print("in memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hub_on_disk_has_acknowledged_reads_back_over_http_after_kills_and_in_a_copy() {
    let directory = tempfile::tempdir().expect("a place for the logs");
    let [log, export, copy] = ["log", "export", "copy"].map(|name| directory.path().join(name));
    let serve =
        |log: &Path| HubProcess::start(&[&ALL[..], &["--data", text(log), "--durability", "write"]].concat());
    let (mut publisher, mut kept) = (Publisher::new(seed()), Kept::default());
    let lives = 3;
    for _ in 0..lives {
        let hub = serve(&log);
        publish(&hub, &mut publisher, &mut kept, updates(1_500) / lives).await;
        // It is killed here.
        drop(hub);
        kept.check(&serve(&log), &mut publisher.random).await;
    }
    kept.print("on disk");

    let exported = tidings(&["log", "export", text(&log)], "").await;
    assert_eq!((exported.code, &*exported.err), (Some(0), ""));
    std::fs::write(&export, &exported.out).expect("there is room");
    let count = kept.count();
    for expected in [json!({"appended":count,"repeated":0}), json!({"appended":0,"repeated":count})] {
        let import = tidings(&["log", "import", text(&copy), text(&export), "--max-retry", "1day"], "").await;
        assert_eq!((import.code, import.json()), (Some(0), vec![expected]), "{}", import.err);
    }
    kept.has_another_hubs_ids();
    let hub = serve(&copy);
    kept.check(&hub, &mut publisher.random).await;
    drop(hub);
    kept.check(&serve(&copy), &mut publisher.random).await;
}

/// The text of a member.
fn member<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_else(|| panic!("{name} is text: {item}"))
}
