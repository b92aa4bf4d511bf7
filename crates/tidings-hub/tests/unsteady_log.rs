//! A log that is elsewhere: its bounds lag, its followers hear late, and now and then nothing of it works. Subscribers get each
//! update once and in order all the same.
//!
//! `TIDINGS_SEED` makes the choices others.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_core::Stream;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tidings_codec::{Decoder, Item};
use tidings_hub::{
    Hub, Selector, Settings, StartAt, Subscribe, Topic, TopicFilter, Update,
    log::{
        Append, Appended, Bounds, Fault, Following, HubId, IdempotencyKey, Log, LogError, LogFuture,
        MemoryLog, Page, PageLimit, Record,
        contract::acknowledged::{Random, seed},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::timeout,
};
use tower_service::Service;

/// How often the bounds are asked for before they are what they should be.
const LAG: u64 = 7;

/// How many calls fail before the log is back.
const FAILURES: usize = 12;

#[derive(Default)]
struct Unsteady {
    log: MemoryLog,
    /// The bounds that are shown, and how often they were asked for.
    shown: Mutex<Option<Bounds>>,
    asked: AtomicU64,
    /// How many calls still fail.
    failures: Arc<AtomicUsize>,
    /// Followers that wait: they hear of a failure at once.
    waiting: Arc<Mutex<Vec<Waker>>>,
    outages: AtomicUsize,
}

impl Unsteady {
    fn goes_away(&self) {
        self.outages.fetch_add(1, Ordering::Relaxed);
        self.failures.store(FAILURES, Ordering::Release);
        self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    fn check(&self) -> Result<(), LogError> {
        check(&self.failures)
    }

    fn or_away<'a, T: Send + 'a>(
        &'a self,
        done: impl FnOnce() -> LogFuture<'a, T> + Send + 'a,
    ) -> LogFuture<'a, T> {
        Box::pin(async move {
            yield_now().await;
            self.check()?;
            done().await
        })
    }
}

/// An error as long as failures are left; each takes one.
fn check(failures: &AtomicUsize) -> Result<(), LogError> {
    match failures.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)) {
        Ok(_) => Err(LogError::Unavailable { reason: "it is away", source: None }),
        Err(_) => Ok(()),
    }
}

struct LateFollower {
    newest: Following,
    failures: Arc<AtomicUsize>,
    waiting: Arc<Mutex<Vec<Waker>>>,
    /// How often it was polled since it told something.
    polled: u32,
}

impl Stream for LateFollower {
    type Item = Result<u64, LogError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = check(&self.failures) {
            return Poll::Ready(Some(Err(error)));
        }
        self.polled += 1;
        if self.polled % 3 > 0 {
            // It is late.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waiting.lock().unwrap().push(context.waker().clone());
        self.newest.as_mut().poll_next(context)
    }
}

impl Log for Unsteady {
    /// Sometimes nobody hears that a batch was appended.
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        Box::pin(async move {
            if self.failures.load(Ordering::Acquire) % 3 == 2 {
                self.log.append(batch).await?;
                self.check()?;
                return Err(LogError::Unavailable { reason: "nobody heard", source: None });
            }
            self.check()?;
            self.log.append(batch).await
        })
    }

    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page> {
        self.or_away(move || self.log.read(after, selector, limit))
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        self.or_away(move || self.log.record(sequence))
    }

    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>> {
        self.or_away(move || self.log.find(publisher_id, selector))
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        self.or_away(move || self.log.closed(topic))
    }

    fn bounds(&self) -> Bounds {
        let mut shown = self.shown.lock().unwrap();
        if self.asked.fetch_add(1, Ordering::Relaxed) % LAG == 0 {
            *shown = Some(self.log.bounds());
        }
        shown.unwrap()
    }

    fn refresh(&self) -> LogFuture<'_, Bounds> {
        self.or_away(|| self.log.refresh())
    }

    fn health(&self) -> Result<(), Fault> {
        self.log.health()
    }

    fn follow(&self) -> Following {
        let (newest, failures, waiting) = (self.log.follow(), self.failures.clone(), self.waiting.clone());
        Box::pin(LateFollower { newest, failures, waiting, polled: 0 })
    }
}

const TOPICS: [&str; 4] = ["a/1", "a/2", "b", "c/d/e"];
const PUBLISHERS: usize = 3;
const UPDATES: usize = 400;

/// The last update of each topic.
const END: &str = "end";

const SELECTORS: [&[&str]; 6] = [&["*"], &["a/*"], &["b"], &["a/1", "c/d/e"], &["b", "c/*"], &["c/d/e"]];

async fn publish(hub: &Hub, update: Update, key: &str) {
    let key = IdempotencyKey::parse(key).unwrap();
    loop {
        let one = Append { key: Some(key.clone()), ..Append::from(update.clone()) };
        match hub.publish_all(vec![one]).await {
            Ok(appended) => return assert_eq!((appended.receipts.len(), appended.refused), (1, None)),
            Err(_) => yield_now().await,
        }
    }
}

/// The events that a subscriber has got.
struct Got {
    data: Vec<String>,
    /// The sequence after which it began.
    after: Option<u64>,
    last_event_id: Option<String>,
    /// How many topics are yet to end.
    open: usize,
}

impl Got {
    fn new(filters: &[&str], random: &mut Random) -> Got {
        let selector = selector(filters);
        let open = TOPICS.iter().filter(|topic| selector.matches(&[Topic::parse(topic).unwrap()])).count();
        // From the beginning, or from where it is told.
        let after = if random.once_in(2) { Some(0) } else { None };
        Got { data: Vec::new(), after, last_event_id: None, open }
    }

    /// Takes an event; true at the end.
    fn take(&mut self, event_type: &str, data: &str, id: Option<&str>) -> bool {
        if let Some(id) = id {
            self.last_event_id = Some(id.to_owned());
        }
        match event_type {
            "start" => {
                let id = HubId::parse(self.last_event_id.as_ref().unwrap()).unwrap();
                self.after.get_or_insert(id.position.sequence);
            }
            "message" => self.data.push(data.to_owned()),
            other => panic!("an event of type {other:?} after {:?}: {data}", self.data.last()),
        }
        self.open -= usize::from(data == END);
        self.open == 0
    }

    async fn check(&self, log: &MemoryLog, filters: &[&str]) {
        let all = PageLimit { records: 1_000_000, bytes: usize::MAX };
        let after = self.after.expect("it was told where it began");
        let page = log.read(after, &selector(filters), all).await.unwrap();
        let kept: Vec<_> = page.records.iter().map(|record| record.event().data().to_owned()).collect();
        assert_eq!(self.data, kept, "{filters:?} after {after}");
    }
}

fn selector(filters: &[&str]) -> Selector {
    filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect()
}

/// Follows within this process.
async fn follow_here(hub: Hub, filters: &[&str], mut random: Random) -> Got {
    let mut got = Got::new(filters, &mut random);
    loop {
        let mut subscribe = Subscribe::from(selector(filters));
        subscribe.start = match (&got.last_event_id, got.after) {
            (Some(id), _) => StartAt::After(id.clone()),
            (None, Some(_)) => StartAt::Oldest,
            (None, None) => StartAt::Tail,
        };
        let Ok(cursor) = hub.subscribe(subscribe).await else {
            yield_now().await;
            continue;
        };
        let mut cursor = cursor.expect("no topic is closed");
        while let Some(frame) = poll_fn(|context| Pin::new(&mut cursor).poll_next(context)).await {
            let (mut decoder, mut input) = (Decoder::strict(), frame.as_bytes());
            while let Some(item) = decoder.decode(&mut input) {
                if let Item::Event(event) = item.unwrap() {
                    if got.take(event.event_type(), event.data(), event.id()) {
                        return got;
                    }
                }
            }
            if random.once_in(20) {
                break;
            }
        }
    }
}

/// Follows over a socket, which the hub's own loops write to.
async fn follow_there(address: String, filters: &[&str], mut random: Random) -> Got {
    let mut got = Got::new(filters, &mut random);
    let query: Vec<_> = filters.iter().map(|filter| format!("topic={filter}")).collect();
    let from = if got.after.is_some() { "&from=start" } else { "" };
    loop {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let id = got.last_event_id.as_ref().map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET /topics?{}{from} HTTP/1.1\r\nhost: localhost\r\n{id}\r\n", query.join("&"));
        socket.write_all(request.as_bytes()).await.unwrap();
        let (mut bytes, mut decoder) = (Vec::new(), Decoder::strict());
        let mut is_in_body = false;
        // A cut is somewhere, within an event too.
        let cut = if random.once_in(3) { usize::MAX } else { random.below(4_000) };
        let mut read = 0;
        while read < cut {
            match socket.read_buf(&mut bytes).await.unwrap() {
                0 => break,
                count => read += count,
            }
            if !is_in_body {
                let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
                let head = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
                assert!(
                    head.starts_with("HTTP/1.1 200 "),
                    "an EventSource comes back from nothing else: {head}"
                );
                is_in_body = true;
                if !head.contains("chunked") {
                    // A stream that ends at once has its length.
                    break;
                }
            }
            while let Some(chunk) = take_chunk(&mut bytes) {
                let mut input = &chunk[..];
                while let Some(item) = decoder.decode(&mut input) {
                    if let Item::Event(event) = item.unwrap() {
                        if got.take(event.event_type(), event.data(), event.id()) {
                            return got;
                        }
                    }
                }
            }
        }
    }
}

/// The next complete chunk of a body.
fn take_chunk(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = bytes.windows(2).position(|end| end == b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
    if bytes.len() < end + 2 + size + 2 {
        return None;
    }
    let chunk = bytes[end + 2..end + 2 + size].to_vec();
    bytes.drain(..end + 2 + size + 2);
    Some(chunk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lags_and_fails_and_comes_back_loses_nothing_and_repeats_nothing() {
    let mut random = Random::of(seed());
    let log = Arc::new(Unsteady::default());
    let mut settings = Settings::default();
    // Some are served from the window, and some from the log.
    settings.window_bytes = 20_000;
    let hub = Hub::new(log.clone(), settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn({
        let hub = hub.clone();
        async move { hub.serve(listener).await }
    });

    let mut following = Vec::new();
    for (number, filters) in SELECTORS.iter().cycle().take(4 * SELECTORS.len()).enumerate() {
        let (random, hub, address) =
            (Random::of(random.below(usize::MAX) as u64), hub.clone(), address.clone());
        let follow = async move {
            match number % 2 {
                0 => follow_here(hub, filters, random).await,
                _ => follow_there(address, filters, random).await,
            }
        };
        following.push((filters, tokio::spawn(follow)));
    }
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (hub, log) = (hub.clone(), log.clone());
            let mut random = Random::of(random.below(usize::MAX) as u64);
            tokio::spawn(async move {
                for number in 0..UPDATES {
                    let name = format!("{publisher}.{number}");
                    let data = format!("{name} {}", "x".repeat(random.below(200)));
                    let topic = Topic::parse(TOPICS[random.below(TOPICS.len())]).unwrap();
                    publish(&hub, Update::new(topic, data), &name).await;
                    if random.once_in(60) {
                        log.goes_away();
                    }
                    if random.once_in(10) {
                        yield_now().await;
                    }
                }
            })
        })
        .collect();
    for publisher in publishing {
        publisher.await.unwrap();
    }
    for topic in TOPICS {
        publish(&hub, Update::new(Topic::parse(topic).unwrap(), END), topic).await;
    }

    for (filters, following) in following {
        let got = timeout(Duration::from_secs(240), following).await;
        got.expect("everything comes").unwrap().check(&log.log, filters).await;
    }
    assert!(log.outages.load(Ordering::Relaxed) > 3, "it was away");
    assert_eq!(
        log.log.bounds().newest.sequence as usize,
        PUBLISHERS * UPDATES + TOPICS.len(),
        "nothing is there twice"
    );
    hub.shutdown().await;
    timeout(Duration::from_secs(60), serving).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_page_of_history_says_that_there_is_more_however_late_the_bounds_are() {
    let log = Arc::new(Unsteady::default());
    // From now on they say that nothing is there.
    assert_eq!(log.bounds().newest.sequence, 0);
    log.asked.store(1, Ordering::Relaxed);
    let hub = Hub::new(log.clone(), Settings::default());
    for number in 0..5 {
        publish(&hub, Update::new(Topic::parse("a").unwrap(), number.to_string()), &number.to_string()).await;
        log.asked.store(1, Ordering::Relaxed);
    }
    let request =
        Request::get("/topics/a?limit=2").header("host", "localhost").header("accept", "application/json");
    let response = hub.service().call(request.body(Empty::new()).unwrap()).await.unwrap();
    let page = response.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("\"more\":true"), "{page}");
}

#[tokio::test]
async fn a_log_that_cannot_be_followed_is_told_with_the_time_until_it_can() {
    let log = Arc::new(Unsteady::default());
    let hub = Hub::new(log.clone(), Settings::default());
    let ready = async || {
        let request = Request::get("/readyz").header("host", "localhost");
        let response = hub.service().call(request.body(Empty::new()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let until = async |wanted: u16| {
        loop {
            let (status, body) = ready().await;
            if status == wanted {
                return body;
            }
            yield_now().await;
        }
    };
    let soon = Duration::from_secs(60);
    timeout(soon, until(200)).await.expect("it begins well");
    // The feed has been told all there is, and nothing is published from here on.
    let mut cursor = hub.subscribe(Subscribe::from(selector(&["a"]))).await.unwrap().unwrap();
    hub.publish(Update::new(Topic::parse("a").unwrap(), "last")).await.unwrap();
    let delivered = async {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut cursor).poll_next(context)).await {
            if String::from_utf8_lossy(frame.as_bytes()).contains("data: last") {
                return;
            }
        }
        panic!("the stream has ended");
    };
    timeout(soon, delivered).await.expect("it is delivered");
    // The feed looks once more for what follows, and then waits: all on this thread.
    for _ in 0..100 {
        yield_now().await;
    }
    let told = timeout(soon, async {
        loop {
            log.goes_away();
            // The feed alone asks, so few are enough.
            log.failures.store(2, Ordering::Release);
            if let (503, body) = ready().await {
                return body;
            }
            yield_now().await;
        }
    });
    let told = told.await.expect("it is told");
    assert!(told.contains("it is away") && told.contains("\"since\":\"2"), "{told}");
    timeout(soon, until(200)).await.expect("it comes back by itself");
}
