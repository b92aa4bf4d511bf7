//! A shutdown, with clients that have begun something and do not go on.
//!
//! The clock of these tests is not the machine's: it goes on when all of them wait.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    future::poll_fn,
    sync::{Arc, mpsc},
    time::Duration,
};

use tidings_hub::{
    Hub, Settings,
    log::{Log, MemoryLog},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_blocking, yield_now},
    time::{Instant, pause},
};

struct Served {
    hub: Hub,
    log: Arc<MemoryLog>,
    address: std::net::SocketAddr,
    serving: JoinHandle<()>,
}

impl Served {
    async fn start() -> Served {
        let log = Arc::new(MemoryLog::default());
        let hub = Hub::new(log.clone(), Settings::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn({
            let hub = hub.clone();
            async move { hub.serve(listener).await }
        });
        Served { hub, log, address, serving }
    }

    async fn connect(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(bytes.as_ref()).await.unwrap();
        client
    }

    /// How long the hub takes to shut down.
    async fn shut_down(self) -> Duration {
        let began = Instant::now();
        self.hub.shutdown().await;
        self.serving.await.unwrap();
        began.elapsed()
    }
}

/// Less than what connections have that are busy.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn half_a_head_does_not_hold_a_shutdown_up() {
    let served = Served::start().await;
    let _client = served.connect("GET /healthz HTTP/1.1\r\nhost: loc").await;
    // It is not known when it has been read.
    for _ in 0..1_000 {
        yield_now().await;
    }
    pause();
    assert!(served.shut_down().await < SOON);
}

#[tokio::test]
async fn half_a_body_is_refused_soon_after_a_shutdown_begins() {
    let served = Served::start().await;
    let head =
        "POST /topics/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n";
    let mut client = served.connect(head).await;
    let mut go_on = [0; 25];
    client.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"half").await.unwrap();
    pause();
    let answer = tokio::spawn(async move {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    });
    assert!(served.shut_down().await < SOON);
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after"), "{answer}");
}

#[tokio::test]
async fn a_client_of_http_2_that_answers_nothing_does_not_hold_a_shutdown_up() {
    let served = Served::start().await;
    // The preface, and settings that say nothing.
    let mut client = served.connect(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    client.read_exact(&mut [0; 9]).await.expect("the hub has settings too");
    pause();
    assert!(served.shut_down().await < SOON);
}

#[tokio::test]
async fn a_publisher_that_sends_on_after_a_shutdown_has_its_answer() {
    let Served { hub, log, address, serving } = Served::start().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = "POST /topics/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let line = "f\r\n{\"data\":\"1 2\"}\n\r\n";
    client.write_all(format!("{head}{line}").as_bytes()).await.unwrap();
    let mut newest = log.follow();
    while poll_fn(|context| newest.as_mut().poll_next(context)).await.unwrap().unwrap() < 1 {}
    // The clock stands still as long as a thread is at work, and so the hub waits for the client as long as the test does.
    let (go_on, told) = mpsc::channel::<()>();
    let working = spawn_blocking(move || told.recv().is_err());
    pause();
    let stopping = tokio::spawn(async move { hub.shutdown().await });
    client.peek(&mut [0]).await.unwrap();
    for _ in 0..5 {
        client.write_all(line.as_bytes()).await.expect("the hub reads on");
        for _ in 0..1_000 {
            yield_now().await;
        }
    }
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("it is not reset");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"count\":"), "{answer}");
    drop(go_on);
    assert!(working.await.unwrap());
    stopping.await.unwrap();
    serving.await.unwrap();
}
