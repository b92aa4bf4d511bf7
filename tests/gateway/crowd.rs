//! Ten thousand readers of one stream, a hundred of whom have stopped reading.
//!
//! `TIDINGS_WATCHERS` and `TIDINGS_STALLED` make it large. Nothing is held against a clock: a stream with stalled watchers is
//! compared with the same stream without them, and without any watchers, in the same run.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch::Receiver},
    time::sleep_until,
};

use crate::{
    model::*,
    support::{
        HubProcess,
        wire::{self, Stream},
    },
};

/// How many tokens follow the preface, one at a time.
const TOKENS: usize = 40;

/// The preface: more than the sockets of a watcher take that reads none of it, about 2.6 MB over loopback.
const PREFACE_EVENTS: usize = 1_000;
const PREFACE_DATA_BYTES: usize = 8_000;

/// How long the machine may stand still. A hub that waits for a stalled watcher waits for the write timeout, which is an hour.
const SLACK: Duration = Duration::from_secs(2);

/// How many connections are opened at a time.
const OPENING: usize = 64;

/// When the upstream has sent each token, when each was due, and when the gateway had taken the whole answer.
#[derive(Default)]
struct Sent {
    began: Option<Instant>,
    tokens: Vec<Instant>,
    taken: Option<Instant>,
}

impl Sent {
    /// From the first token until the gateway has taken the last: what the upstream's pace is, as the gateway lets it be.
    fn took(&self) -> Duration {
        self.taken.expect("the answer is taken") - self.began.expect("the answer has begun")
    }

    /// How long after its time the latest token went out.
    fn latest(&self, pace: Duration) -> Duration {
        let began = self.began.expect("the answer has begun");
        let late = |(number, sent): (usize, &Instant)| *sent - (began + pace * number as u32);
        self.tokens.iter().enumerate().map(late).max().expect("there are tokens")
    }
}

/// A model that sends the preface at once, and from `gate` on a token each `pace`, with any readers.
async fn paced(pace: Duration, mut gate: Receiver<bool>, sent: Arc<Mutex<Sent>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(ASK.as_bytes()) {
            socket.read_buf(&mut request).await.unwrap();
        }
        let preface = token(&"x".repeat(PREFACE_DATA_BYTES)).repeat(PREFACE_EVENTS);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        socket.write_all([head, &preface].concat().as_bytes()).await.unwrap();
        gate.wait_for(|open| *open).await.unwrap();
        let began = Instant::now();
        sent.lock().unwrap().began = Some(began);
        for number in 0..TOKENS {
            sleep_until((began + pace * number as u32).into()).await;
            // Before it is written: no reader may have it earlier.
            sent.lock().unwrap().tokens.push(Instant::now());
            socket.write_all(token(&number.to_string()).as_bytes()).await.unwrap();
        }
        socket.write_all(b"data: [DONE]\n\n").await.unwrap();
        // The gateway closes once it has read that.
        while socket.read(&mut [0; 64]).await.unwrap_or(0) > 0 {}
        sent.lock().unwrap().taken = Some(Instant::now());
    });
    url
}

/// The outcome of one stream with its watchers.
struct Outcome {
    took: Duration,
    latest: Duration,
    /// How long after it was sent each watcher had each token, sorted.
    lags: Vec<Duration>,
    resident_bytes: u64,
}

impl Outcome {
    fn p99(&self) -> Duration {
        self.lags[self.lags.len() * 99 / 100]
    }
}

/// A watcher that reads nothing after the head.
async fn stall(hub: &str, location: &str) -> Stream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let socket: TcpStream = socket.connect(hub.parse().unwrap()).await.unwrap();
    let mut wire = wire::Wire::over(socket);
    wire.write(wire::head(hub, "GET", location, &[])).await;
    Stream::read(wire).await
}

/// Reads what follows the preface, and says when each token was there.
async fn follow(mut stream: Stream, ready: mpsc::Sender<()>) -> Vec<Instant> {
    ready.send(()).await.unwrap();
    let mut seen = Vec::with_capacity(TOKENS);
    for number in 0..TOKENS {
        let event = stream.event().await;
        seen.push(Instant::now());
        assert_eq!(text(&[event]), token(&number.to_string()), "each once, in order");
    }
    assert_eq!(stream.event().await.data, "[DONE]");
    assert_eq!(stream.event().await.data, "complete");
    assert!(stream.next().await.is_none());
    seen
}

async fn stream_with(watchers: usize, stalled: usize, pace: Duration) -> Outcome {
    let (go, gate) = tokio::sync::watch::channel(false);
    let sent = Arc::new(Mutex::new(Sent::default()));
    let upstream = paced(pace, gate, sent.clone()).await;
    // Longer than the test: a stalled watcher is there to the end.
    let hub = HubProcess::start(&["--upstream", &upstream, "--write-timeout", "1h"]);
    let mut answering = ask(&hub, CHAT).await;
    let mut last = String::new();
    for _ in 0..PREFACE_EVENTS {
        last = answering.stream.event().await.id;
    }

    let mut stuck = Vec::new();
    for _ in 0..stalled {
        stuck.push(stall(&hub.address, &answering.location).await);
    }
    let (ready, mut following) = mpsc::channel(watchers.max(1));
    let opening = Arc::new(Semaphore::new(OPENING));
    let readers: Vec<_> = (0..watchers)
        .map(|_| {
            let (address, location) = (hub.address.clone(), answering.location.clone());
            let (last, ready, opening) = (last.clone(), ready.clone(), opening.clone());
            tokio::spawn(async move {
                let permit = opening.acquire_owned().await.unwrap();
                let stream = Stream::resume(&address, &location, &last).await;
                drop(permit);
                follow(stream, ready).await
            })
        })
        .collect();
    for _ in 0..watchers {
        following.recv().await.unwrap();
    }
    go.send_replace(true);

    for number in 0..TOKENS {
        assert_eq!(text(&[answering.stream.event().await]), token(&number.to_string()));
    }
    let mut seen = Vec::new();
    for reader in readers {
        seen.push(reader.await.expect("nobody saw a wrong event"));
    }
    while sent.lock().unwrap().taken.is_none() {
        tokio::task::yield_now().await;
    }
    // A stalled watcher is still there, with more to come than its sockets hold.
    let metrics = wire::ask(&hub.address, "GET", "/metrics", &[], "").await.body;
    let open = metrics.lines().find_map(|line| line.strip_prefix("tidings_subscriptions ")).unwrap();
    assert!(open.parse::<usize>().unwrap() >= stalled, "{open} subscriptions of {stalled} that stall");
    if let Some(mut late) = stuck.pop() {
        assert_eq!(without_close(late.rest().await).0.len(), PREFACE_EVENTS + TOKENS + 1);
    }
    let sent = sent.lock().unwrap();
    let lag = |(at, sent): (&Instant, &Instant)| at.saturating_duration_since(*sent);
    let mut lags: Vec<_> = seen.iter().flat_map(|seen| seen.iter().zip(&sent.tokens).map(lag)).collect();
    lags.sort_unstable();
    Outcome { took: sent.took(), latest: sent.latest(pace), lags, resident_bytes: hub.resident_bytes() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_of_ten_thousand_watchers_who_stall_change_nothing_for_the_others_and_the_upstream() {
    let watchers = size("TIDINGS_WATCHERS", 200);
    let stalled = size("TIDINGS_STALLED", 20);
    // So much that a machine of two cores, which has the watchers too, can follow.
    let pace = Duration::from_millis(20).max(Duration::from_micros(60) * watchers as u32);
    let alone = stream_with(0, 0, pace).await;
    let reading = stream_with(watchers, 0, pace).await;
    let both = stream_with(watchers, stalled, pace).await;
    println!(
        "{watchers} watchers, a token each {pace:?}; the answer took {:?} without watchers, {:?} with them, {:?} with \
         {stalled} who stall; a token was late at most by {:?}, {:?}, {:?}; a watcher's lag in the 99th percentile {:?}, \
         {:?}; the hub held {}, {}, {} MiB",
        alone.took,
        reading.took,
        both.took,
        alone.latest,
        reading.latest,
        both.latest,
        reading.p99(),
        both.p99(),
        alone.resident_bytes >> 20,
        reading.resident_bytes >> 20,
        both.resident_bytes >> 20,
    );
    assert_eq!(both.lags.len(), watchers * TOKENS);
    assert!(both.took < alone.took * 5 / 4 + SLACK, "the upstream's pace is its own");
    assert!(both.latest < pace * TOKENS as u32 / 4 + SLACK, "and so is that of each token");
    assert!(both.p99() < reading.p99() * 4 + pace + SLACK, "the others' pace is that without who stalls");
    // Nothing is kept for a stalled watcher: neither its unread events, nor a copy of the answer.
    let answer = (PREFACE_EVENTS * PREFACE_DATA_BYTES * stalled) as u64;
    let more = both.resident_bytes.saturating_sub(reading.resident_bytes);
    assert!(more < answer / 4 + (32 << 20), "{more} bytes more with {stalled} who stall");
}

fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a size is a whole number"))
}
