//! The hub as a library: what its handle and its cursors promise.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty};
use tidings_codec::{Decoder, Item};
use tidings_hub::{
    Cursor, EventFormat, Hub, Selector, Settings, StartAt, Subscribe, Topic, TopicFilter, Update,
    log::{
        Append, Appended, Bounds, Fault, Following, Limits, Log, LogError, LogFuture, MemoryLog, Page,
        PageLimit, Record, Retention,
    },
};
use tower_service::Service;

fn selector(filters: &[&str]) -> Selector {
    filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect()
}

fn from_start(filters: &[&str]) -> Subscribe {
    let mut subscribe = Subscribe::from(selector(filters));
    subscribe.start = StartAt::Oldest;
    subscribe
}

async fn publish(hub: &Hub, topic: &str, data: impl Into<String>) {
    hub.publish(Update::new(Topic::parse(topic).unwrap(), data)).await.unwrap();
}

/// A cursor's events, as a client would see them.
struct Reader {
    cursor: Cursor,
    ready: std::collections::VecDeque<(String, String)>,
}

impl Reader {
    async fn new(hub: &Hub, subscribe: impl Into<Subscribe>) -> Reader {
        let cursor = hub.subscribe(subscribe).await.unwrap().expect("the topics are open");
        Reader { cursor, ready: Default::default() }
    }

    /// Type and data of the next event.
    async fn next(&mut self) -> Option<(String, String)> {
        use futures_core::Stream;
        while self.ready.is_empty() {
            let frame =
                std::future::poll_fn(|context| std::pin::Pin::new(&mut self.cursor).poll_next(context));
            let frame =
                tokio::time::timeout(Duration::from_secs(20), frame).await.expect("an event, or the end")?;
            let mut decoder = Decoder::strict();
            let mut input = frame.as_bytes();
            while let Some(item) = decoder.decode(&mut input) {
                if let Item::Event(event) = item.expect("the hub writes clean streams") {
                    self.ready.push_back((event.event_type().into(), event.data().into()));
                }
            }
            decoder.finish().expect("a frame is whole events");
        }
        self.ready.pop_front()
    }

    async fn data(&mut self) -> String {
        self.next().await.expect("an event").1
    }
}

#[tokio::test]
async fn a_subscription_in_this_process_gets_what_is_published() {
    let hub = Hub::default();
    let mut reader = Reader::new(&hub, selector(&["a", "b/*"])).await;
    assert_eq!(reader.next().await.unwrap().0, "start");
    for (topic, data) in [("a", "1"), ("c", "no"), ("b/x", "2"), ("b", "no"), ("a", "3")] {
        publish(&hub, topic, data).await;
    }
    for expected in ["1", "2", "3"] {
        assert_eq!(reader.data().await, expected);
    }
}

#[tokio::test]
async fn shutdown_ends_streams_and_the_feed() {
    let log = Arc::new(MemoryLog::default());
    let hub = Hub::new(log.clone(), Settings::default());
    let mut waiting = Reader::new(&hub, selector(&["a"])).await;
    assert_eq!(waiting.next().await.unwrap().0, "start");
    let (end, ()) = tokio::join!(waiting.next(), hub.shutdown());
    assert_eq!(end, None);
    drop((waiting, hub));
    assert_eq!(Arc::strong_count(&log), 1, "nothing holds the log any more");
}

#[tokio::test]
async fn a_mounted_service_says_that_events_may_be_the_hubs_own() {
    let request = http::Request::get("/topics/a").header("host", "localhost");
    let response = Hub::default().service().call(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["tidings-hub"], "1");
}

#[tokio::test]
async fn the_feed_ends_with_the_last_handle() {
    let log = Arc::new(MemoryLog::default());
    let hub = Hub::new(log.clone(), Settings::default());
    let service = hub.service();
    drop(hub);
    assert!(Arc::strong_count(&log) > 1, "a service is a handle too");
    drop(service);
    for _ in 0..1000 {
        if Arc::strong_count(&log) == 1 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the feed still holds the log");
}

#[tokio::test]
async fn a_subscriber_behind_the_window_reads_the_log_without_a_seam() {
    let mut settings = Settings::default();
    settings.window_bytes = 10_000;
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let mut slow = Reader::new(&hub, selector(&["a"])).await;
    let mut pattern = Reader::new(&hub, selector(&["*"])).await;
    assert_eq!(slow.next().await.unwrap().0, "start");
    assert_eq!(pattern.next().await.unwrap().0, "start");
    for number in 0..2_000 {
        publish(&hub, if number % 2 == 0 { "a" } else { "b" }, number.to_string()).await;
        // Now and then they read a little, in the window or far behind it.
        if number % 300 == 299 {
            assert_eq!(slow.data().await, (number / 300 * 2).to_string());
            assert_eq!(pattern.data().await, (number / 300).to_string());
        }
    }
    for number in (12..2_000).step_by(2) {
        assert_eq!(slow.data().await, number.to_string());
    }
    for number in 6..2_000 {
        assert_eq!(pattern.data().await, number.to_string());
    }
}

#[tokio::test]
async fn a_subscriber_behind_the_log_is_told_and_goes_on_with_what_is_kept() {
    let mut settings = Settings::default();
    settings.window_bytes = 1_000;
    let limits = Limits { records: 100, ..Limits::default() };
    let retention = Retention { limits, ..Retention::in_memory() };
    let hub = Hub::new(Arc::new(MemoryLog::new(retention)), settings);
    let mut slow = Reader::new(&hub, selector(&["a"])).await;
    assert_eq!(slow.next().await.unwrap().0, "start");
    publish(&hub, "a", "first").await;
    assert_eq!(slow.data().await, "first");
    for number in 0..1_000 {
        publish(&hub, "a", number.to_string()).await;
    }
    let (event_type, data) = slow.next().await.unwrap();
    let gap: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!((&*event_type, &gap["reason"]), ("gap", &"evicted".into()));
    for number in 900..1_000 {
        assert_eq!(slow.next().await.unwrap(), ("message".into(), number.to_string()));
    }
}

#[tokio::test]
async fn a_publisher_in_a_hurry_leaves_the_feed_the_time_to_read() {
    let limits = Limits { records: 10_000, ..Limits::default() };
    let retention = Retention { limits, ..Retention::in_memory() };
    let hub = Hub::new(Arc::new(MemoryLog::new(retention)), Settings::default());
    let mut reader = Reader::new(&hub, selector(&["a"])).await;
    assert_eq!(reader.next().await.unwrap().0, "start");
    let publisher = tokio::spawn(async move {
        // Nothing here ever waits but for the feed, as in a body that comes faster than it is appended.
        for first in (0..100_000).step_by(1_000) {
            let numbers = first..first + 1_000;
            let update = |number: i32| Update::new(Topic::parse("a").unwrap(), number.to_string());
            hub.publish_all(numbers.map(|number| update(number).into()).collect()).await.unwrap();
        }
        hub
    });
    for number in 0..100_000 {
        assert_eq!(reader.next().await.unwrap(), ("message".into(), number.to_string()));
    }
    publisher.await.unwrap();
}

#[tokio::test]
async fn a_page_of_closes_whose_topics_are_evicted_does_not_stop_the_feed() {
    let limits = Limits { records: 100, ..Limits::default() };
    let hub = Hub::new(
        Arc::new(MemoryLog::new(Retention { limits, ..Retention::in_memory() })),
        Settings::default(),
    );
    let mut reader = Reader::new(&hub, selector(&["a"])).await;
    let mut closing = Reader::new(&hub, selector(&["0"])).await;
    assert_eq!(
        (reader.next().await.unwrap().0, closing.next().await.unwrap().0),
        ("start".into(), "start".into())
    );
    let closes =
        (0..2_500).map(|number: i32| Update::close(Topic::parse(&number.to_string()).unwrap(), "done"));
    let all = hub.publish_all(closes.map(Into::into).collect());
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("the feed goes on").unwrap();
    publish(&hub, "a", "next").await;
    assert_eq!(reader.data().await, "next");
    assert_eq!((closing.next().await, closing.next().await), (Some(("close".into(), "done".into())), None));
    tokio::time::timeout(Duration::from_secs(20), hub.shutdown()).await.expect("the feed ends");
}

/// A stand-in for a log whose disk takes what is written and cannot be read.
struct Unreadable(MemoryLog);

impl Log for Unreadable {
    fn health(&self) -> Result<(), Fault> {
        let source = std::sync::Arc::new(std::io::Error::other("/var/lib/log.sqlite"));
        Err(Fault::now(LogError::Unavailable { reason: "it cannot be written", source: Some(source) }))
    }

    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        self.0.append(batch)
    }

    fn read<'a>(&'a self, _: u64, _: &'a Selector, _: PageLimit) -> LogFuture<'a, Page> {
        Box::pin(async { Err(LogError::Unavailable { reason: "it cannot be read", source: None }) })
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        self.0.record(sequence)
    }

    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>> {
        self.0.find(publisher_id, selector)
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        self.0.closed(topic)
    }

    fn bounds(&self) -> Bounds {
        self.0.bounds()
    }

    fn follow(&self) -> Following {
        self.0.follow()
    }
}

#[tokio::test]
async fn publishers_go_on_where_the_log_cannot_be_read_and_after_the_shutdown() {
    let hub = Hub::new(Arc::new(Unreadable(MemoryLog::default())), Settings::default());
    let publish_many = || async {
        for _ in 0..10 {
            let batch = (0..1_000).map(|_| Update::new(Topic::parse("a").unwrap(), "x").into()).collect();
            let publish = hub.publish_all(batch);
            let appended = tokio::time::timeout(Duration::from_secs(20), publish).await;
            assert_eq!(appended.expect("nobody has to wait for ever").unwrap().receipts.len(), 1_000);
        }
    };
    publish_many().await;
    hub.shutdown().await;
    publish_many().await;
}

#[tokio::test]
async fn subscribers_that_return_to_one_position_get_the_same_and_everything_since() {
    let hub = Hub::default();
    let position = hub.publish(Update::new(Topic::parse("a").unwrap(), "0")).await.unwrap().id;
    let after = |filters: &[&str], form| Subscribe {
        start: StartAt::After(position.to_string()),
        form,
        ..selector(filters).into()
    };
    let mut expected = Vec::new();
    for number in 1..=5 {
        publish(&hub, "a", number.to_string()).await;
        publish(&hub, "b", "of others").await;
        expected.push(number.to_string());
        // Several ask for the same; each time there is more after it.
        for _ in 0..3 {
            let mut reader = Reader::new(&hub, after(&["a"], EventFormat::Plain)).await;
            for data in &expected {
                assert_eq!(reader.data().await, *data);
            }
        }
        // At the same position something else is asked for.
        let mut other = Reader::new(&hub, after(&["b"], EventFormat::Plain)).await;
        assert_eq!(other.data().await, "of others");
        let mut other = Reader::new(&hub, after(&["a"], EventFormat::Envelope)).await;
        assert!(other.data().await.contains(r#""data":"1""#));
    }
}

#[tokio::test]
async fn what_the_log_has_evicted_is_not_told_from_memory() {
    let retention =
        Retention { limits: Limits { records: 2, ..Limits::default() }, ..Retention::in_memory() };
    let hub = Hub::new(Arc::new(MemoryLog::new(retention)), Settings::default());
    let position = hub.publish(Update::new(Topic::parse("a").unwrap(), "0")).await.unwrap().id;
    for number in 1..=4 {
        publish(&hub, "a", number.to_string()).await;
    }
    let subscribe = Subscribe { start: StartAt::After(position.to_string()), ..selector(&["a"]).into() };
    let mut reader = Reader::new(&hub, subscribe).await;
    assert_eq!(reader.next().await.unwrap().0, "gap");
    assert_eq!(reader.data().await, "3");
}

#[tokio::test]
async fn a_rare_match_of_a_pattern_is_found_however_far_it_is() {
    let mut settings = Settings::default();
    settings.window_bytes = 1_000;
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    publish(&hub, "rare/first", "1").await;
    let noise = || (0..25_000).map(|_| Update::new(Topic::parse("noise").unwrap(), "").into()).collect();
    hub.publish_all(noise()).await.unwrap();
    publish(&hub, "rare/second", "2").await;
    hub.publish_all(noise()).await.unwrap();
    let mut reader = Reader::new(&hub, from_start(&["rare/*"])).await;
    assert_eq!(reader.data().await, "1");
    assert_eq!(reader.data().await, "2");
    publish(&hub, "rare/third", "3").await;
    assert_eq!(reader.data().await, "3");
}

#[tokio::test]
async fn a_private_update_reaches_nobody_without_a_grant() {
    let hub = Hub::default();
    let topic = Topic::parse("a").unwrap();
    hub.publish(Update::new(topic.clone(), "secret").private()).await.unwrap();
    let mut replayed = Reader::new(&hub, from_start(&["a"])).await;
    hub.publish(Update::new(topic.clone(), "another secret").private()).await.unwrap();
    publish(&hub, "a", "open").await;
    assert_eq!(replayed.data().await, "open");

    let request =
        http::Request::get("/topics/a").header("host", "localhost").header("accept", "application/json");
    let response = hub.service().call(request.body(Empty::new()).unwrap()).await.unwrap();
    let page = response.into_body().collect().await.unwrap().to_bytes();
    let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
    assert_eq!(page["updates"].as_array().unwrap().len(), 1);
    assert_eq!(page["updates"][0]["data"], "open");
}

#[tokio::test]
async fn what_is_published_while_a_subscriber_opens_is_neither_lost_nor_doubled() {
    let hub = Hub::default();
    let publisher = tokio::spawn({
        let hub = hub.clone();
        async move {
            for number in 0..5_000 {
                publish(&hub, "a", number.to_string()).await;
                tokio::task::yield_now().await;
            }
        }
    });
    for opening in 0..50 {
        let mut reader = Reader::new(&hub, from_start(&["a"])).await;
        for number in 0..opening * 20 {
            assert_eq!(reader.data().await, number.to_string());
        }
        tokio::task::yield_now().await;
    }
    publisher.await.unwrap();
    assert_eq!(hub.subscribe(from_start(&["a"])).await.unwrap().map(|cursor| cursor.verdict()), Some(None));
}

#[tokio::test]
async fn a_hub_is_not_ready_while_its_log_cannot_keep_what_is_published() {
    let ask = async |hub: &Hub, path: &str| {
        let request = http::Request::get(path).header("host", "localhost").body(Empty::new()).unwrap();
        let response = hub.service().call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let hub = Hub::default();
    assert_eq!(ask(&hub, "/readyz").await.0, 200);
    assert!(ask(&hub, "/metrics").await.1.contains("tidings_log_healthy 1\n"));
    let hub = Hub::new(Arc::new(Unreadable(MemoryLog::default())), Settings::default());
    let (status, body) = ask(&hub, "/readyz").await;
    assert!(status == 503 && body.contains("it cannot be written"), "{status} {body}");
    assert!(!body.contains("sqlite"), "clients are told no paths: {body}");
    assert!(ask(&hub, "/metrics").await.1.contains("tidings_log_healthy 0\n"));
    assert_eq!(ask(&hub, "/healthz").await.0, 200, "a restart is for the operator to decide");
}

#[tokio::test]
async fn the_names_of_one_subscription_are_bounded_together() {
    let hub = Hub::default();
    let names = (0..32).map(|number| format!("topic={number:02}{}", "x".repeat(510)));
    let longest = format!("/topics?{}", names.collect::<Vec<_>>().join("&"));
    for (target, status) in [(longest.clone(), 200), (format!("{longest}&topic=more"), 400)] {
        for accept in ["application/json", "text/event-stream"] {
            let request = http::Request::get(&target).header("host", "localhost").header("accept", accept);
            let response = hub.service().call(request.body(Empty::new()).unwrap()).await.unwrap();
            assert_eq!(response.status(), status, "{accept}");
            if status == 400 {
                let refusal = response.into_body().collect().await.unwrap().to_bytes();
                assert!(String::from_utf8_lossy(&refusal).contains("16388 bytes"), "{refusal:?}");
            }
        }
    }
}
