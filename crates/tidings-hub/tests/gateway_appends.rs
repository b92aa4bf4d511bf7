//! When the gateway appends to its log, and what it does meanwhile: with a log that takes as long as a test likes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use scripted_server::{Server, response, stream};
use tidings_hub::{
    Hub, Selector, Settings, Topic,
    gateway::{GatewaySettings, Secret},
    log::{
        Append, Appended, Bounds, Fault, Following, Log, LogError, LogFuture, MemoryLog, Page, PageLimit,
        Record,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};

/// A log whose appends wait for leave.
struct Held {
    log: MemoryLog,
    leave: Semaphore,
    /// How many updates each append has brought, from the moment at which it began.
    appends: watch::Sender<Vec<usize>>,
    /// The answer to appends, instead of doing them.
    failure: Mutex<Option<LogError>>,
}

impl Held {
    fn new() -> Arc<Held> {
        Arc::new(Held {
            log: MemoryLog::default(),
            leave: Semaphore::new(0),
            appends: watch::Sender::default(),
            failure: Mutex::default(),
        })
    }

    /// Waits until so many appends have begun.
    async fn begun(&self, count: usize) {
        let mut appends = self.appends.subscribe();
        let begun = appends.wait_for(|appends| appends.len() >= count);
        timeout(Duration::from_secs(20), begun).await.expect("an append begins").unwrap();
    }
}

impl Log for Held {
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        Box::pin(async move {
            self.appends.send_modify(|appends| appends.push(batch.len()));
            self.leave.acquire().await.unwrap().forget();
            let failure = self.failure.lock().unwrap().take();
            match failure {
                Some(failure) => Err(failure),
                None => self.log.append(batch).await,
            }
        })
    }

    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page> {
        self.log.read(after, selector, limit)
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        self.log.record(sequence)
    }

    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>> {
        self.log.find(publisher_id, selector)
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        self.log.closed(topic)
    }

    fn bounds(&self) -> Bounds {
        self.log.bounds()
    }

    fn health(&self) -> Result<(), Fault> {
        self.log.health()
    }

    fn follow(&self) -> Following {
        self.log.follow()
    }
}

/// A hub with a gateway to `model` over `log`, and its address.
async fn gateway(model: &Server, log: Arc<Held>) -> (Hub, String) {
    let settings = GatewaySettings::new(&model.url(""), Secret::new("a secret")).unwrap();
    let hub = Hub::with_gateway(log, Settings::default(), settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn({
        let hub = hub.clone();
        async move { hub.serve(listener).await }
    });
    (hub, address)
}

/// Asks for a stream, and leaves the answer unread.
async fn ask(address: &str, headers: &str) -> TcpStream {
    let body = r#"{"model":"m","stream":true}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all((head + body).as_bytes()).await.unwrap();
    socket
}

/// Reads on until `end` has come.
async fn read_to(socket: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(end) {
            assert!(socket.read_buf(&mut read).await.unwrap() > 0, "{}", String::from_utf8_lossy(&read));
        }
    };
    timeout(Duration::from_secs(20), reading).await.expect("it comes");
    String::from_utf8(read).unwrap()
}

async fn asked(model: &Server) {
    let asked = async {
        while model.requests().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), asked).await.expect("the upstream is asked");
}

#[tokio::test]
async fn without_a_key_the_upstream_is_asked_while_the_announcement_is_on_its_way() {
    let log = Held::new();
    let model = Server::start([stream().send("data: x\n\ndata: [DONE]\n\n")]).await;
    let (_hub, address) = gateway(&model, log.clone()).await;
    let mut client = ask(&address, "").await;
    log.begun(1).await;
    asked(&model).await;
    model.all_closed().await;
    assert_eq!(*log.appends.borrow(), [1], "no event goes before the announcement");
    assert!(client.try_read(&mut [0]).is_err(), "and nothing of the answer goes out");
    log.leave.add_permits(10);
    let answer = read_to(&mut client, "[DONE]").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\nlocation: /streams/"), "{answer}");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn with_a_key_the_upstream_is_asked_when_the_announcement_is_kept() {
    let log = Held::new();
    let model = Server::start([stream().send("data: [DONE]\n\n"), stream().send("data: [DONE]\n\n")]).await;
    let (_hub, address) = gateway(&model, log.clone()).await;
    let mut first = ask(&address, "Idempotency-Key: 7\r\nUser-Agent: first\r\n").await;
    log.begun(1).await;
    // One without a key that comes later asks before it.
    let mut later = ask(&address, "User-Agent: later\r\n").await;
    asked(&model).await;
    assert_eq!(model.requests()[0].header("user-agent"), Some("later"));
    log.leave.add_permits(10);
    read_to(&mut first, "[DONE]").await;
    read_to(&mut later, "[DONE]").await;
    assert_eq!(model.requests()[1].header("user-agent"), Some("first"));
}

#[tokio::test]
async fn a_stream_that_can_not_be_announced_is_refused_and_its_upstream_let_go() {
    let log = Held::new();
    let model = Server::start([stream().send("data: x\n\n").hold(), stream().send("data: [DONE]\n\n")]).await;
    let (_hub, address) = gateway(&model, log.clone()).await;
    let mut client = ask(&address, "").await;
    asked(&model).await;
    *log.failure.lock().unwrap() = Some(LogError::Full);
    log.leave.add_permits(1);
    let answer = read_to(&mut client, "disk is full").await;
    assert!(answer.starts_with("HTTP/1.1 507"), "{answer}");
    timeout(Duration::from_secs(20), model.all_closed()).await.expect("the upstream is left");
    assert_eq!(log.bounds().newest.sequence, 0);
    log.leave.add_permits(10);
    read_to(&mut ask(&address, "").await, "[DONE]").await;
}

#[tokio::test]
async fn what_arrives_while_the_log_takes_an_event_is_appended_together() {
    let log = Held::new();
    let (go_on, gate) = watch::channel(false);
    let chunk = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
    let rest: String = (1..10).map(|number| chunk(&format!("t{number}"))).collect();
    let model = Server::start([response(
        "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked",
    )
    .send(chunk("t0"))
    .until(&gate)
    .send(rest + &chunk("[DONE]") + "0\r\n\r\n")])
    .await;
    let (_hub, address) = gateway(&model, log.clone()).await;
    let mut client = ask(&address, "").await;
    // The announcement, and the first event.
    log.leave.add_permits(1);
    log.begun(2).await;
    go_on.send_replace(true);
    model.all_closed().await;
    log.leave.add_permits(10);
    let answer = read_to(&mut client, "\n0\r\n\r\n").await;
    let events: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events, ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "[DONE]"]);
    assert_eq!(*log.appends.borrow(), [1, 1, 10, 1], "announcement, first event, the others, the end");
}
