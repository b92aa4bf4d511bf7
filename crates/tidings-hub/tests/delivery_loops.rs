//! What becomes of others when a log panics under one subscriber: with a log that does so when a test likes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use tidings_hub::{
    Hub, Selector, Settings, Topic, Update,
    log::{Append, Appended, Bounds, Fault, Following, Log, LogFuture, MemoryLog, Page, PageLimit, Record},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A log that panics when it is read on in the topic `broken`.
struct Panicking(MemoryLog);

impl Log for Panicking {
    fn health(&self) -> Result<(), Fault> {
        self.0.health()
    }

    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        self.0.append(batch)
    }

    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page> {
        let is_broken = selector.topics().iter().any(|topic| topic.as_str() == "broken");
        assert!(!is_broken || after == 0, "on purpose");
        self.0.read(after, selector, limit)
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

async fn subscribe(address: &str, target: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

/// Reads on until `end` has come, or to the end of the stream.
async fn read_to(socket: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let reading =
        async { while !read.ends_with(end.as_bytes()) && socket.read_buf(&mut read).await.unwrap() > 0 {} };
    timeout(Duration::from_secs(60), reading).await.expect("it comes");
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_read_that_panics_ends_the_stream_that_needs_it_and_no_other() {
    let log = Arc::new(Panicking(MemoryLog::default()));
    let update = |topic: &str, data: &str| Update::new(Topic::parse(topic).unwrap(), data);
    // More than a page, and older than what the hub has in memory.
    let old = (0..100).map(|_| update("broken", &"x".repeat(4_000)).into()).collect();
    log.append(old).await.unwrap();
    let hub = Hub::new(log, Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn({
        let hub = hub.clone();
        async move { hub.serve(listener).await }
    });

    // Some for each loop.
    let loops = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut others = Vec::new();
    for _ in 0..2 * loops {
        let mut other = subscribe(&address, "/topics/whole").await;
        assert!(read_to(&mut other, "\n\n\r\n").await.contains("event: start"));
        others.push(other);
    }
    for _ in 0..2 * loops {
        let mut broken = subscribe(&address, "/topics/broken?from=start").await;
        let read = read_to(&mut broken, "\r\n0\r\n\r\n").await;
        assert!(read.contains("xxxx") && read.ends_with("\r\n0\r\n\r\n"), "it begins, and ends in order");
    }
    hub.publish(update("whole", "hello")).await.unwrap();
    for other in &mut others {
        assert!(read_to(other, "\n\n\r\n").await.contains("data: hello"));
    }
    hub.shutdown().await;
    timeout(Duration::from_secs(60), serving).await.expect("it ends").unwrap();
}
