//! Reads that take long, that fail, and whose clients leave; and connections for which there is no room.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use tidings_hub::{
    Hub, HubBody, Selector, Settings, Topic, Update,
    log::{
        Append, Appended, Bounds, Fault, Following, Log, LogError, LogFuture, MemoryLog, Page, PageLimit,
        Record,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower_service::Service;

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, done: impl Future<Output = T>) -> T {
    timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// The outcome of a read of some topics. The hub's own reader, of all of them, is served at once.
enum Outcome {
    Fails(LogError),
    /// It waits until the test lets it go on, and reports that it has begun.
    Waits(mpsc::UnboundedSender<oneshot::Sender<()>>),
}

struct Trying {
    log: MemoryLog,
    outcome: Mutex<Outcome>,
}

impl Log for Trying {
    fn health(&self) -> Result<(), Fault> {
        self.log.health()
    }

    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        self.log.append(batch)
    }

    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page> {
        if selector.is_everything() {
            return self.log.read(after, selector, limit);
        }
        match &*self.outcome.lock().unwrap() {
            Outcome::Fails(error) => {
                let error = error.clone();
                Box::pin(async { Err(error) })
            }
            Outcome::Waits(begun) => {
                let begun = begun.clone();
                Box::pin(async move {
                    let (go_on, told) = oneshot::channel();
                    begun.send(go_on).unwrap();
                    let _ = told.await;
                    self.log.read(after, selector, limit).await
                })
            }
        }
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        self.log.record(sequence)
    }

    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>> {
        self.log.find(publisher_id, selector)
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        match &*self.outcome.lock().unwrap() {
            Outcome::Fails(error) => Box::pin(std::future::ready(Err(error.clone()))),
            Outcome::Waits(_) => self.log.closed(topic),
        }
    }

    fn bounds(&self) -> Bounds {
        self.log.bounds()
    }

    fn follow(&self) -> Following {
        self.log.follow()
    }
}

fn hub_over(outcome: Outcome) -> Hub {
    let log = Trying { log: MemoryLog::default(), outcome: Mutex::new(outcome) };
    Hub::new(Arc::new(log), Settings::default())
}

async fn serve(hub: &Hub) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = hub.clone();
    (address, tokio::spawn(async move { hub.serve(listener).await }))
}

const JSON: &str = "accept: application/json\r\n";

async fn ask(address: SocketAddr, target: &str, headers: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.contains(end) {
        let count = soon(end, client.read(&mut piece)).await.unwrap();
        assert!(count > 0, "it ends before {end:?}: {text}");
        text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_clients_requests_end_when_it_has_gone() {
    let (begun, mut reads) = mpsc::unbounded_channel();
    let hub = hub_over(Outcome::Waits(begun));
    let (address, _serving) = serve(&hub).await;
    for headers in [JSON, "", "accept: text/event-stream\r\n"] {
        let client = ask(address, "/topics/a/*?from=start", headers).await;
        let mut go_on = soon("a read", reads.recv()).await.unwrap();
        drop(client);
        soon("the end of the read", go_on.closed()).await;
    }
}

#[tokio::test]
async fn a_client_that_only_stopped_sending_gets_its_page() {
    let (begun, mut reads) = mpsc::unbounded_channel();
    let hub = hub_over(Outcome::Waits(begun));
    let (address, _serving) = serve(&hub).await;
    hub.publish(Update::new(Topic::parse("a/b").unwrap(), "it is here")).await.unwrap();
    let mut client = ask(address, "/topics/a/*", JSON).await;
    client.shutdown().await.unwrap();
    let go_on = soon("a read", reads.recv()).await.unwrap();
    // The hub looks whether it is still there.
    read_until(&mut client, "HTTP/1.1 102 ").await;
    go_on.send(()).unwrap();
    read_until(&mut client, "it is here").await;
}

#[tokio::test]
async fn a_page_that_is_looked_for_does_not_outlive_the_hub() {
    let (begun, mut reads) = mpsc::unbounded_channel();
    let hub = hub_over(Outcome::Waits(begun));
    let (address, serving) = serve(&hub).await;
    let mut client = ask(address, "/topics/a/*", JSON).await;
    let _go_on = soon("a read", reads.recv()).await.unwrap();
    soon("the shutdown", hub.shutdown()).await;
    let answer = read_until(&mut client, "shutting down").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
    soon("the end", serving).await.unwrap();
}

async fn get(hub: &Hub, target: &str, accept: &str) -> Response<HubBody> {
    let request = Request::get(target).header("host", "localhost").header("accept", accept);
    hub.service().call(request.body(Empty::new()).unwrap()).await.unwrap()
}

async fn text(response: Response<HubBody>) -> String {
    let body = soon("the end of the body", response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_subscriber_who_cannot_be_served_for_the_moment_is_told_to_come_back_by_a_stream() {
    for error in
        [LogError::Busy { waiting: 7 }, LogError::Unavailable { reason: "for a moment", source: None }]
    {
        let hub = hub_over(Outcome::Fails(error.clone()));
        for accept in ["text/event-stream", "*/*"] {
            let response = get(&hub, "/topics/a?from=start", accept).await;
            assert_eq!(response.status(), StatusCode::OK, "an EventSource comes back from nothing else");
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            assert_eq!(text(response).await, ":\nretry: 2000\n");
        }
        let response = get(&hub, "/topics/a", "application/json").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        let metrics = text(get(&hub, "/metrics", "*/*").await).await;
        assert!(metrics.contains("\ntidings_subscriptions_put_off_total 2\n"), "{metrics}");
    }
}

#[tokio::test]
async fn a_new_subscriber_who_cannot_be_served_for_the_moment_is_told_its_place_and_misses_nothing() {
    let hub = hub_over(Outcome::Fails(LogError::Busy { waiting: 7 }));
    let before = hub.publish(Update::new(Topic::parse("a").unwrap(), "before")).await.unwrap();
    let stream = text(get(&hub, "/topics/a", "text/event-stream").await).await;
    assert!(stream.starts_with(":\nretry: 2000\nevent: start\n") && stream.ends_with("\n\n"), "{stream}");
    // It comes back with this ID, and what is published until then follows it.
    assert!(stream.contains(&format!("\nid: {}\n", before.id)), "{stream}");
    // One that wants no such event gets none.
    let stream = text(get(&hub, "/topics/a?start=none", "text/event-stream").await).await;
    assert_eq!(stream, ":\nretry: 2000\n");
}

#[tokio::test]
async fn connections_over_the_limit_wait_until_one_is_closed() {
    let mut settings = Settings::default();
    settings.max_connections = Some(2);
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let (address, _serving) = serve(&hub).await;
    // A stream keeps its place wherever the hub has its socket.
    let mut stream = ask(address, "/topics/a", "").await;
    read_until(&mut stream, "event: start").await;
    let mut kept = ask(address, "/healthz", "").await;
    read_until(&mut kept, "ok\n").await;
    let mut third = ask(address, "/healthz", "").await;
    loop {
        kept.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let metrics = read_until(&mut kept, "# EOF\n").await;
        assert!(metrics.contains("\ntidings_connections 2\n"), "{metrics}");
        if metrics.contains("\ntidings_accepting_paused_total 1\n") {
            break;
        }
    }
    hub.publish(Update::new(Topic::parse("a").unwrap(), "as ever")).await.unwrap();
    read_until(&mut stream, "data: as ever").await;
    drop(stream);
    read_until(&mut third, "ok\n").await;
}
