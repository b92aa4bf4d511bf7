//! A request becomes a grant once, and every path of an update asks the grant: with an application that authorizes for the hub.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    future::{Future, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{Request, header, request::Parts};
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use tidings_hub::{
    Access, Authorizer, Authorizing, Denial, Grant, Hub, Matchers, Peer, Settings, Subject, TokenKey, Tokens,
    Topic, Update,
    log::{DiskLog, DiskSettings, Log, MemoryLog},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tower_service::Service;

const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, done: impl Future<Output = T>) -> T {
    timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

fn matchers(texts: &[&str]) -> Matchers {
    Matchers::parse(texts).unwrap()
}

/// An application whose users say their names, and which counts how often it is asked.
#[derive(Default)]
struct Application {
    asked: AtomicUsize,
}

impl Authorizer for Application {
    fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            // As if it looked up a session.
            tokio::task::yield_now().await;
            let name = request.headers.get(header::AUTHORIZATION).map(|name| name.to_str().unwrap());
            let user = |name: &str| {
                Grant::default()
                    .with_read(matchers(&["news/*"]))
                    .with_private(matchers(&[&format!("users/{name}/*")]))
                    .with_publish(matchers(&["chat/*"]))
                    .with_subject(Subject::new("app", name))
            };
            match name {
                None => Err(Denial::unauthenticated("nobody is logged in; log in at /login")),
                Some("backend") => Ok(Grant::default().with_publish(Matchers::all())),
                Some("reader") => Ok(Grant::default().with_read(Matchers::all())),
                Some("customer") => Ok(Grant::default().with_read(matchers(&["orders/1"]))),
                Some("operator") => Ok(Grant::default().with_private(matchers(&["llm/*", "orders/1"]))),
                Some("llm") => Ok(Grant::default().with_private(matchers(&["llm/*"]))),
                Some("auditor") => Ok(Grant::default().with_private(Matchers::all())),
                Some("banned") => Err(Denial::forbidden("banned is banned")),
                Some("flood") => {
                    Err(Denial::too_many("flood has asked 9 times", Duration::from_millis(6_500)))
                }
                Some("down") => Err(Denial::unavailable("the sessions cannot be looked up")),
                Some(name) => Ok(user(name)),
            }
        })
    }
}

struct Setup {
    hub: Hub,
    application: Arc<Application>,
    address: std::net::SocketAddr,
}

impl Setup {
    async fn new(log: Arc<dyn Log>) -> Setup {
        Setup::of(|settings| Hub::new(log, settings)).await
    }

    async fn of(make: impl FnOnce(Settings) -> Hub) -> Setup {
        let application = Arc::new(Application::default());
        let mut settings = Settings::default();
        settings.access = Access::Authorizer(application.clone());
        let hub = make(settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn({
            let hub = hub.clone();
            async move { hub.serve(listener).await }
        });
        Setup { hub, application, address }
    }

    async fn in_memory() -> Setup {
        Setup::new(Arc::new(MemoryLog::default())).await
    }

    /// Publishes within the process.
    async fn say(&self, topic: &str, data: &str, is_private: bool) {
        let update = Update::new(Topic::parse(topic).unwrap(), data);
        let update = if is_private { update.private() } else { update };
        self.hub.publish(update).await.unwrap();
    }
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The data of a page's updates.
    fn page(&self) -> Vec<String> {
        let page = self.json();
        let updates = page["updates"].as_array().unwrap_or_else(|| panic!("{} {page}", self.head));
        updates.iter().map(|update| update["data"].as_str().unwrap().to_owned()).collect()
    }

    /// Expects a problem document whose detail has all of these words.
    fn refusal(&self, status: u16, words: &[&str]) {
        let problem = self.json();
        assert_eq!((self.status(), problem["status"].as_u64()), (status, Some(status.into())), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
    }
}

async fn send(setup: &Setup, request: &str, body: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(setup.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    socket
}

fn head(method: &str, path: &str, user: Option<&str>, more: &str) -> String {
    let user = user.map(|user| format!("Authorization: {user}\r\n")).unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: hub.example\r\n{user}{more}\r\n")
}

/// Sends a request over a connection of its own.
async fn ask(setup: &Setup, method: &str, path: &str, user: Option<&str>, body: &[u8]) -> Answer {
    ask_with(setup, method, path, user, "", body).await
}

async fn ask_with(
    setup: &Setup,
    method: &str,
    path: &str,
    user: Option<&str>,
    more: &str,
    body: &[u8],
) -> Answer {
    let more = format!("Connection: close\r\nContent-Length: {}\r\n{more}", body.len());
    let mut socket = send(setup, &head(method, path, user, &more), body).await;
    let mut answer = Vec::new();
    soon("an answer", socket.read_to_end(&mut answer)).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head ends with a blank line");
    let body = answer.split_off(end + 4);
    Answer { head: String::from_utf8(answer).unwrap(), body }
}

async fn history(setup: &Setup, query: &str, user: &str) -> Answer {
    let path = format!("/topics?{query}");
    ask_with(setup, "GET", &path, Some(user), "Accept: application/json\r\n", b"").await
}

/// A subscription that a delivery loop serves.
struct Stream {
    socket: TcpStream,
    read: String,
}

impl Stream {
    async fn open(setup: &Setup, query: &str, user: &str) -> Stream {
        let path = format!("/topics?{query}");
        let socket = send(setup, &head("GET", &path, Some(user), ""), b"").await;
        let mut stream = Stream { socket, read: String::new() };
        stream.up_to("retry: ").await;
        stream
    }

    /// Reads until this has come; what came so far, the head included.
    async fn up_to(&mut self, end: &str) -> &str {
        while !self.read.contains(end) {
            let mut piece = Vec::new();
            let count = soon(end, self.socket.read_buf(&mut piece)).await.unwrap();
            assert!(count > 0, "it ends before {end}: {}", self.read);
            self.read.push_str(std::str::from_utf8(&piece).unwrap());
        }
        &self.read
    }
}

#[tokio::test]
async fn a_request_is_authorized_once_and_what_is_open_to_all_never() {
    let setup = Setup::in_memory().await;
    let asked = || setup.application.asked.load(Ordering::Relaxed);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&setup, "GET", path, None, b"").await.status(), 200);
    }
    assert_eq!(asked(), 0);
    for (number, (method, path)) in (1..).zip([
        ("POST", "/topics/chat/1"),
        ("GET", "/topics/news/1?from=start"),
        ("GET", "/subscribers?topic=news/1"),
        ("GET", "/attachments/unknown"),
        ("GET", "/metrics"),
    ]) {
        let accept = "Accept: application/json\r\n";
        let answer = ask_with(&setup, method, path, Some("alice"), accept, b"x").await;
        assert!([200, 404].contains(&answer.status()), "{path}: {}", answer.head);
        assert_eq!(asked(), number, "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_grant_is_answered_as_the_application_says() {
    let setup = Setup::in_memory().await;
    for (method, path) in [
        ("GET", "/topics/news/1"),
        ("POST", "/topics/chat/1"),
        ("GET", "/metrics"),
        ("GET", "/attachments/a"),
    ] {
        let answer = ask(&setup, method, path, None, b"x").await;
        answer.refusal(401, &["log in at /login"]);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        ask(&setup, method, path, Some("banned"), b"x").await.refusal(403, &["banned is banned"]);
        let answer = ask(&setup, method, path, Some("flood"), b"x").await;
        answer.refusal(429, &["9 times"]);
        assert_eq!(answer.header("retry-after"), Some("7"), "a part of a second counts as one");
    }
    ask(&setup, "POST", "/topics/chat/1", Some("down"), b"x").await.refusal(503, &["cannot be looked up"]);
}

#[tokio::test]
async fn an_event_source_comes_back_while_nobody_can_authorize_it_and_learns_no_position() {
    let setup = Setup::in_memory().await;
    setup.say("news/1", "x", false).await;
    let answer = ask(&setup, "GET", "/topics/news/1", Some("down"), b"").await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/event-stream")));
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("retry: ") && !body.contains("id:"), "{body}");
}

#[tokio::test]
async fn publishing_takes_the_right_for_the_topic_in_every_kind_of_body() {
    let setup = Setup::in_memory().await;
    let kinds = [
        ("text/plain", "x"),
        ("application/x-ndjson", "{\"data\":\"x\"}\n"),
        ("text/event-stream", "data: x\n\n"),
        ("image/png", "x"),
    ];
    for (kind, body) in kinds {
        let content_type = format!("Content-Type: {kind}\r\n");
        let post = |path, user| ask_with(&setup, "POST", path, Some(user), &content_type, body.as_bytes());
        post("/topics/invoices/7", "alice").await.refusal(403, &["chat/*", "\"invoices/7\""]);
        post("/topics/chat", "alice").await.refusal(403, &["\"chat\""]);
        post("/topics/chat/1", "reader").await.refusal(403, &["publishing is not allowed"]);
        let more = format!("Content-Length: 1000\r\n{content_type}");
        let mut unsent = send(&setup, &head("POST", "/topics/invoices/7", Some("alice"), &more), b"").await;
        let mut first = [0; 12];
        soon("a refusal before the body", unsent.read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 403", "{kind}");
        if kind != "image/png" {
            assert_eq!(post("/topics/chat/1", "alice").await.status(), 200, "{kind}");
            assert_eq!(post("/topics/invoices/7", "backend").await.status(), 200, "{kind}");
        }
    }
    let close = ask(&setup, "POST", "/topics/news/1?close=over", Some("alice"), b"").await;
    close.refusal(403, &["\"news/1\""]);
    assert_eq!(history(&setup, "topic=*", "auditor").await.page(), ["x"; 6], "what was refused is not there");
}

#[tokio::test]
async fn a_subscriber_gets_what_it_may_read_replayed_and_live_and_private_updates_by_right_alone() {
    let setup = Setup::in_memory().await;
    for round in ["old", "new"] {
        let mut streams = Vec::new();
        for user in ["alice", "bob", "reader", "auditor"] {
            streams.push((user, Stream::open(&setup, "topic=*&from=start", user).await));
        }
        for (topic, is_private) in [
            ("news/1", false),
            ("news/1", true),
            ("users/alice/1", true),
            ("users/bob/1", false),
            ("other", false),
        ] {
            let kind = if is_private { "private" } else { "public" };
            setup.say(topic, &format!("{round} {kind} {topic}"), is_private).await;
        }
        setup.say("news/1", &format!("{round} end"), false).await;
        for (user, stream) in &mut streams {
            let expected: &[&str] = match *user {
                "alice" => &["public news/1", "private users/alice/1"],
                "bob" => &["public news/1", "public users/bob/1"],
                "reader" => &["public news/1", "public users/bob/1", "public other"],
                _ => &[
                    "public news/1",
                    "private news/1",
                    "private users/alice/1",
                    "public users/bob/1",
                    "public other",
                ],
            };
            let rounds = if round == "old" { &["old"][..] } else { &["old", "new"] };
            let per_round = |round: &&str| {
                let data = expected.iter().map(|data| format!("data: {round} {data}"));
                data.chain([format!("data: {round} end")]).collect::<Vec<_>>()
            };
            let expected: Vec<_> = rounds.iter().flat_map(per_round).collect();
            let read = stream.up_to(&format!("{round} end")).await;
            let data: Vec<_> = read.lines().filter(|line| line.starts_with("data: ")).collect();
            assert_eq!(data, expected, "{user}");
        }
    }
}

#[tokio::test]
async fn a_subscription_that_is_narrowed_says_so_and_one_to_what_may_not_be_read_is_refused() {
    let setup = Setup::in_memory().await;
    let mut all = Stream::open(&setup, "topic=*", "alice").await;
    let read = all.up_to("event: start").await;
    assert!(read.contains("tidings-access: partial\r\n"), "{read}");
    assert!(all.up_to("\n\n").await.contains("\"access\":\"partial\""));
    let mut own = Stream::open(&setup, "topic=users/alice/*&topic=news/1", "alice").await;
    let read = own.up_to("event: start").await.to_owned();
    assert!(!read.contains("tidings-access") && !own.up_to("\n\n").await.contains("partial"), "{read}");
    assert_eq!(history(&setup, "topic=*", "alice").await.header("tidings-access"), Some("partial"));

    for accept in ["text/event-stream", "application/json"] {
        for (query, named) in [
            ("topic=news/1&topic=users/bob/1&topic=x", "\"users/bob/1\""),
            ("topic=users/bob/*", "\"users/bob/*\""),
            ("topic=users", "\"users\""),
        ] {
            let accept = format!("Accept: {accept}\r\n");
            let path = format!("/topics?{query}&from=start");
            let answer = ask_with(&setup, "GET", &path, Some("alice"), &accept, b"").await;
            answer.refusal(403, &["news/*", "users/alice/*", named]);
        }
        let accept = format!("Accept: {accept}\r\n");
        let answer = ask_with(&setup, "GET", "/topics/news/1", Some("backend"), &accept, b"").await;
        answer.refusal(403, &["subscribing is not allowed"]);
    }
}

#[tokio::test]
async fn a_pattern_never_ends_where_the_topics_that_are_left_of_it_are_closed() {
    let setup = Setup::in_memory().await;
    setup.say("orders/1", "first", false).await;
    let mut pattern = Stream::open(&setup, "topic=orders/*&from=start", "customer").await;
    let mut exact = Stream::open(&setup, "topic=orders/1&from=start", "customer").await;
    pattern.up_to("first").await;
    exact.up_to("first").await;
    let topic = Topic::parse("orders/1").unwrap();
    setup.hub.publish(Update::close(topic, "shipped")).await.unwrap();
    exact.up_to("0\r\n\r\n").await;
    pattern.up_to("shipped").await;
    let metrics = ask(&setup, "GET", "/metrics", Some("reader"), b"").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("tidings_subscriptions_ended_total{reason=\"closed\"} 1\n"), "{metrics}");
    assert!(metrics.contains("tidings_subscriptions 1\n"), "{metrics}");

    assert_eq!(ask(&setup, "GET", "/topics/orders/1", Some("customer"), b"").await.status(), 204);
    let again = Stream::open(&setup, "topic=orders/*", "customer").await;
    assert!(again.read.starts_with("HTTP/1.1 200 "), "{}", again.read);
    let request = Request::get("/topics/orders/*?from=start").header("host", "hub.example");
    let request = request.header("authorization", "customer").body(Empty::<bytes::Bytes>::new()).unwrap();
    let mut body = setup.hub.service().call(request).await.unwrap().into_body();
    let mut read = String::new();
    while !read.contains("shipped") {
        let frame = soon("the close", body.frame()).await.unwrap().unwrap();
        read.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let next = tokio::spawn(async move { body.frame().await.is_some() });
    let page = |query| history(&setup, query, "customer");
    assert_eq!(page("topic=orders/1&from=start").await.json()["closed"], true);
    assert_eq!(page("topic=orders/*&from=start").await.json()["closed"], Value::Null);
    let metrics = ask(&setup, "GET", "/metrics", Some("reader"), b"").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("tidings_subscriptions_ended_total{reason=\"closed\"} 1\n"), "{metrics}");
    next.abort();
}

#[tokio::test]
async fn a_page_of_history_and_a_long_poll_have_what_their_reader_may_read() {
    let setup = Setup::in_memory().await;
    setup.say("users/bob/1", "bobs", true).await;
    setup.say("news/1", "secret", true).await;
    setup.say("news/1", "news", false).await;
    setup.say("users/alice/1", "alices", true).await;
    assert_eq!(history(&setup, "topic=*", "alice").await.page(), ["news", "alices"]);
    assert_eq!(history(&setup, "topic=*", "reader").await.page(), ["news"]);
    let page = history(&setup, "topic=*", "auditor").await;
    assert_eq!(page.page(), ["bobs", "secret", "news", "alices"]);
    assert_eq!(page.header("cache-control"), Some("private, no-cache"), "another user gets another page");

    let next = history(&setup, "topic=*", "alice").await.json()["next"].as_str().unwrap().to_owned();
    let poll = tokio::spawn({
        let head = head(
            "GET",
            &format!("/topics?topic=*&wait=50&from={next}"),
            Some("alice"),
            "Accept: application/json\r\nConnection: close\r\n",
        );
        let mut socket = send(&setup, &head, b"").await;
        async move {
            let mut answer = String::new();
            soon("the poll's answer", socket.read_to_string(&mut answer)).await.unwrap();
            answer
        }
    });
    // None of these is for the reader, so the poll waits on.
    setup.say("users/bob/1", "bobs second", true).await;
    setup.say("news/1", "second secret", true).await;
    setup.say("users/alice/1", "alices second", true).await;
    let answer = poll.await.unwrap();
    assert!(
        answer.contains("alices second") && !answer.contains("secret") && !answer.contains("bobs"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_attachment_is_for_those_who_may_read_its_update_and_unknown_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new(Arc::new(DiskLog::open(directory.path(), DiskSettings::default()).unwrap())).await;
    let content_type = "Content-Type: image/png\r\n";
    let posted =
        ask_with(&setup, "POST", "/topics/users/alice/picture", Some("backend"), content_type, b"\x89PNG")
            .await;
    let url = posted.json()["attachment"].as_str().unwrap().to_owned();
    let found = ask(&setup, "GET", &url, Some("alice"), b"").await;
    assert_eq!((found.status(), &found.body[..]), (200, &b"\x89PNG"[..]));
    let id = url.strip_prefix("/attachments/").unwrap();
    ask(&setup, "GET", &url, Some("bob"), b"").await.refusal(404, &[id]);
    ask(&setup, "GET", &url, Some("backend"), b"").await.refusal(403, &["subscribing is not allowed"]);
}

#[tokio::test]
async fn subscribers_are_told_of_to_those_who_may_read_what_they_follow() {
    let setup = Setup::in_memory().await;
    let count = |user, topic: &str| {
        let path = format!("/subscribers?topic={topic}");
        let setup = &setup;
        async move { ask(setup, "GET", &path, Some(user), b"").await }
    };
    let _one = Stream::open(&setup, "topic=users/alice/1", "alice").await;
    let _other = Stream::open(&setup, "topic=news/1", "bob").await;
    let one = json!({ "topics": [{ "topic": "users/alice/1", "subscribers": 1 }] });
    assert_eq!(count("alice", "users/alice/1").await.json(), one);
    count("bob", "users/alice/1").await.refusal(403, &["\"users/alice/1\""]);

    let followed = |survey: &Value, member: &str| {
        let mut topics: Vec<_> =
            survey[member].as_array().unwrap().iter().map(|of| of["topics"][0].clone()).collect();
        topics.sort_by_key(Value::to_string);
        topics
    };
    for (user, expected) in [
        ("auditor", json!(["news/1", "users/alice/1"])),
        ("reader", json!(["news/1"])),
        ("alice", json!(["news/1", "users/alice/1"])),
        ("bob", json!(["news/1"])),
    ] {
        let survey = ask(&setup, "GET", "/subscribers", Some(user), b"").await.json();
        assert_eq!(json!(followed(&survey, "behind")), expected, "{user}: {survey}");
        assert_eq!(survey["subscribers"], 2);
    }
    drop((_one, _other));
    let ended = async {
        loop {
            let survey = ask(&setup, "GET", "/subscribers", Some("auditor"), b"").await.json();
            if followed(&survey, "ended").len() == 2 {
                break;
            }
        }
    };
    soon("both end", ended).await;
    let survey = ask(&setup, "GET", "/subscribers", Some("bob"), b"").await.json();
    assert_eq!(json!(followed(&survey, "ended")), json!(["news/1"]));
}

#[tokio::test]
async fn two_users_with_the_same_idempotency_key_never_get_each_others_receipt() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new(Arc::new(DiskLog::open(directory.path(), DiskSettings::default()).unwrap())).await;
    // The ID of another hub's event becomes a key, too.
    let from_a_hub = format!("id: ~{}\ndata: x\n\n", "A".repeat(24));
    let lines = "{\"data\":\"x\"}\n{\"data\":\"x\"}\n";
    for (kind, body) in [
        ("text/plain", "x"),
        ("application/x-ndjson", lines),
        ("text/event-stream", &from_a_hub),
        ("image/png", "x"),
    ] {
        let post = |user, body: &str| {
            let more = format!("Content-Type: {kind}\r\nIdempotency-Key: {}\r\n", kind.replace('/', "-"));
            let (setup, body) = (&setup, body.to_owned());
            async move { ask_with(setup, "POST", "/topics/chat/1", Some(user), &more, body.as_bytes()).await }
        };
        // That of nobody, and those of two users.
        let mut receipts = Vec::new();
        for user in ["backend", "alice", "bob"] {
            let receipt = post(user, body).await;
            assert_eq!(receipt.status(), 200, "{}", receipt.json());
            receipts.push(receipt.json());
        }
        assert!(
            receipts[0] != receipts[1] && receipts[1] != receipts[2] && receipts[2] != receipts[0],
            "{receipts:?}"
        );
        for (user, receipt) in ["backend", "alice", "bob"].into_iter().zip(receipts) {
            assert_eq!(post(user, body).await.json(), receipt, "{kind} of {user} is repeated");
            let other = body.replace('x', "y");
            post(user, &other).await.refusal(422, &["idempotency key"]);
        }
    }
}

#[tokio::test]
async fn an_application_knows_the_address_of_each_request_and_can_limit_by_it() {
    struct Limit(Mutex<Vec<Peer>>);
    impl Authorizer for Limit {
        fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a> {
            let peer = *request.extensions.get::<Peer>().expect("the hub's own server says who asks");
            let mut peers = self.0.lock().unwrap();
            peers.push(peer);
            let count = peers.iter().filter(|other| other.network() == peer.network()).count();
            let of = peer.network();
            Box::pin(ready(match count {
                1 | 2 => Ok(Grant::default().with_read(Matchers::all())),
                _ => Err(Denial::too_many(format!("{of} may ask twice a minute"), Duration::from_secs(60))),
            }))
        }
    }
    let limit = Arc::new(Limit(Mutex::default()));
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Authorizer(limit.clone());
        Hub::new(Arc::new(MemoryLog::default()), settings)
    })
    .await;
    let mut socket = send(&setup, &head("GET", "/metrics", None, ""), b"").await;
    let address = socket.local_addr().unwrap();
    let mut answer = Vec::new();
    soon("the first answer", socket.read_buf(&mut answer)).await.unwrap();
    socket.write_all(head("GET", "/metrics", None, "Connection: close\r\n").as_bytes()).await.unwrap();
    soon("the second answer", socket.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(*limit.0.lock().unwrap(), [Peer::new(address); 2], "each request of a connection");
    let answer = ask(&setup, "GET", "/topics/a", None, b"").await;
    answer.refusal(429, &["127.0.0.1 may ask twice"]);
    assert_eq!(answer.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn a_mounted_service_lets_the_application_decide_by_what_it_has_put_into_the_request() {
    struct Middleware;
    impl Authorizer for Middleware {
        fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a> {
            let grant = request.extensions.get::<Grant>().cloned();
            Box::pin(ready(grant.ok_or_else(|| Denial::forbidden("no middleware has run"))))
        }
    }
    let mut settings = Settings::default();
    settings.access = Access::Authorizer(Arc::new(Middleware));
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let request = |grant: Option<Grant>| {
        let mut request = Request::get("/topics/a?from=start")
            .header("host", "hub.example")
            .header(header::ACCEPT, "application/json");
        if let Some(grant) = grant {
            request = request.extension(grant);
        }
        request.body(Empty::<bytes::Bytes>::new()).unwrap()
    };
    let refused = hub.service().call(request(None)).await.unwrap();
    assert_eq!(refused.status(), 403);
    let read = hub.service().call(request(Some(Grant::default().with_read(matchers(&["a"]))))).await.unwrap();
    assert_eq!(read.status(), 200);
    let page: Value = serde_json::from_slice(&read.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(page["updates"], json!([]));
    hub.shutdown().await;
}

#[cfg(feature = "gateway")]
#[tokio::test]
async fn the_gateway_asks_its_upstream_for_those_who_may_publish_and_its_streams_keep_their_own_tokens() {
    use scripted_server::{Server, stream};
    use tidings_hub::gateway::{GatewaySettings, Secret};

    let model = Server::start([(); 2].map(|()| stream().send("data: {}\n\ndata: [DONE]\n\n"))).await;
    let gateway = GatewaySettings::new(&model.url(""), Secret::new("a secret")).unwrap();
    let log = Arc::new(MemoryLog::default());
    let setup = Setup::of(|settings| Hub::with_gateway(log, settings, gateway)).await;
    let body = br#"{"stream":true}"#;
    for (user, status, kind) in [
        (None, 401, "authentication_error"),
        (Some("reader"), 403, "permission_error"),
        (Some("flood"), 429, "rate_limit_error"),
    ] {
        let answer = ask(&setup, "POST", "/v1/chat/completions", user, body).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.json()["error"]["type"], kind);
        assert!(answer.json()["error"]["message"].is_string(), "{}", answer.json());
    }
    let ask_model = |user| {
        let (setup, key) = (&setup, "Idempotency-Key: k\r\n");
        async move { ask_with(setup, "POST", "/v1/chat/completions", Some(user), key, body).await }
    };
    let answer = ask_model("alice").await;
    assert_eq!(answer.status(), 200, "{}", answer.head);
    let location = answer.header("location").unwrap().to_owned();
    let asked = setup.application.asked.load(Ordering::Relaxed);
    assert_eq!(ask(&setup, "GET", &location, None, b"").await.status(), 200);
    assert_eq!(setup.application.asked.load(Ordering::Relaxed), asked, "its token is all that it needs");

    let stream_of = |answer: Answer| answer.header("tidings-stream").map(str::to_owned);
    let first = stream_of(answer);
    assert!(first.is_some());
    assert_eq!(stream_of(ask_model("alice").await), first, "a key that is repeated has the same stream");
    assert_ne!(stream_of(ask_model("backend").await), first, "another publisher's key is another key");
}

#[cfg(feature = "gateway")]
#[tokio::test]
async fn no_grant_reads_the_gateways_streams_by_a_pattern() {
    use scripted_server::{Server, stream};
    use tidings_hub::gateway::{GatewaySettings, Secret};

    let model = Server::start([stream().send("data: secret\n\ndata: [DONE]\n\n")]).await;
    let gateway = GatewaySettings::new(&model.url(""), Secret::new("a secret")).unwrap();
    let log = Arc::new(MemoryLog::default());
    let setup = Setup::of(|settings| Hub::with_gateway(log, settings, gateway)).await;
    let users = ["auditor", "operator"];
    let mut live = Vec::new();
    for user in users {
        live.push(Stream::open(&setup, "topic=*", user).await);
    }
    let answer = ask(&setup, "POST", "/v1/chat/completions", Some("backend"), br#"{"stream":true}"#).await;
    assert!(answer.status() == 200 && answer.body.ends_with(b"\r\n0\r\n\r\n"), "{}", answer.head);
    setup.say("orders/1", "private", true).await;
    for (user, mut live) in users.into_iter().zip(live) {
        let mut replayed = Stream::open(&setup, "topic=*&from=start", user).await;
        for stream in [&mut live, &mut replayed] {
            let read = stream.up_to("data: private").await;
            assert!(!read.contains("secret") && !read.contains("llm/"), "{user}: {read}");
        }
        assert_eq!(history(&setup, "topic=*", user).await.page(), ["private"], "{user}");
    }
    for accept in ["text/event-stream", "application/json"] {
        let accept = format!("Accept: {accept}\r\n");
        ask_with(&setup, "GET", "/topics?topic=*", Some("llm"), &accept, b"").await.refusal(403, &["\"*\""]);
    }
}

/// What users of a grant that ends so long after each request may do: everything.
struct Ending(Duration);

impl Authorizer for Ending {
    fn authorize<'a>(&'a self, _: &'a Parts) -> Authorizing<'a> {
        let everything = Grant::default().with_publish(Matchers::all()).with_private(Matchers::all());
        Box::pin(ready(Ok(everything.with_expiry(SystemTime::now() + self.0))))
    }
}

async fn with_grants_that_end_after(life: Duration) -> (Setup, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::default());
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Authorizer(Arc::new(Ending(life)));
        settings.heartbeat = Duration::from_secs(3_600);
        Hub::new(log.clone(), settings)
    })
    .await;
    (setup, log)
}

const LIFE: Duration = Duration::from_secs(600);
const NOTICE: &str = "event: access\ndata: {\"in\":30,\"reason\":\"expires\"}\n\n";
const END: &str = "event: access\ndata: {\"reason\":\"expired\"}\n\n";

#[tokio::test]
async fn a_stream_of_a_delivery_loop_is_told_that_its_grant_ends_and_then_ends_cleanly() {
    let (setup, _) = with_grants_that_end_after(LIFE).await;
    let mut stream = Stream::open(&setup, "topic=a", "alice").await;
    stream.up_to("event: start").await;
    setup.say("a", "before", true).await;
    stream.up_to("before").await;
    // From here on ten minutes are over when nobody has anything to do.
    let began = tokio::time::Instant::now();
    tokio::time::pause();
    let mut rest = Vec::new();
    stream.socket.read_to_end(&mut rest).await.unwrap();
    assert!((590..=602).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let rest = String::from_utf8(rest).unwrap();
    let (notice, end) = (rest.find(NOTICE), rest.find(END));
    assert!(notice.is_some() && notice < end && rest.ends_with("0\r\n\r\n"), "{rest}");
    tokio::time::resume();
    let metrics = ask(&setup, "GET", "/metrics", None, b"").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("tidings_subscriptions_ended_total{reason=\"expired\"} 1\n"), "{metrics}");
    assert!(metrics.contains("tidings_subscriptions 0\n"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_a_body_is_told_that_its_grant_ends_and_then_ends_cleanly() {
    let mut settings = Settings::default();
    settings.access = Access::Authorizer(Arc::new(Ending(LIFE)));
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let request = Request::get("/topics/a").header("host", "hub.example");
    let began = tokio::time::Instant::now();
    let answer = hub.service().call(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!((599..=600).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let body = std::str::from_utf8(&body).unwrap();
    assert!(body.find(NOTICE).is_some_and(|notice| notice > body.find("event: start").unwrap()), "{body}");
    assert!(body.ends_with(END), "{body}");
    hub.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_answered_when_its_grant_ends() {
    let mut settings = Settings::default();
    settings.access = Access::Authorizer(Arc::new(Ending(Duration::from_secs(20))));
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let request = Request::get("/topics/a?wait=50").header("host", "hub.example");
    let request = request.header(header::ACCEPT, "application/json");
    let began = tokio::time::Instant::now();
    let answer = hub.service().call(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!((19..=20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    hub.shutdown().await;
}

#[tokio::test]
async fn a_body_with_many_updates_is_answered_when_its_grant_has_ended_and_what_came_before_is_kept() {
    let (setup, log) = with_grants_that_end_after(Duration::from_secs(1)).await;
    let head = head(
        "POST",
        "/topics/a",
        None,
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n",
    );
    let (mut answers, mut updates) = send(&setup, &head, b"").await.into_split();
    let sending = tokio::spawn(async move {
        // Until the hub has answered and takes no more.
        while updates.write_all(b"d\r\n{\"data\":\"x\"}\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let answered = async {
        while !String::from_utf8_lossy(&answer).contains("}\n") {
            assert!(answers.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
        }
    };
    soon("an answer", answered).await;
    sending.abort();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let problem: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("expired"), "{problem}");
    let count = problem["count"].as_u64().unwrap_or_default();
    assert_eq!(log.bounds().newest.sequence, count, "{problem}");
}

#[tokio::test]
async fn a_grant_that_has_ended_is_none() {
    let (setup, _) = with_grants_that_end_after(Duration::ZERO).await;
    for (method, path) in [("GET", "/topics/a"), ("POST", "/topics/a"), ("GET", "/metrics")] {
        let answer = ask(&setup, method, path, None, b"x").await;
        answer.refusal(401, &["expired"]);
    }
}

/// A hub that takes tokens and lets everyone read what is public, and its key.
async fn with_tokens() -> (Setup, TokenKey) {
    let key = TokenKey::parse(TokenKey::new_secret().unwrap().as_bytes()).unwrap();
    let tokens = Tokens::new(key.clone()).with_anonymous(Grant::default().with_read(Matchers::all()));
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Authorizer(Arc::new(tokens));
        Hub::new(Arc::new(MemoryLog::default()), settings)
    })
    .await;
    (setup, key)
}

fn bearer(key: &TokenKey, publish: &[&str], read: &[&str]) -> String {
    let token = key.mint(&matchers(publish), &matchers(read), None, Duration::from_secs(3_600));
    format!("Bearer {token}")
}

#[tokio::test]
async fn only_a_token_publishes_and_only_a_token_reads_what_is_private() {
    let (setup, key) = with_tokens().await;
    let backend = bearer(&key, &["users/*", "news"], &[]);
    let alice = bearer(&key, &[], &["users/alice/*"]);
    let refused = ask(&setup, "POST", "/topics/news", None, b"x").await;
    refused.refusal(401, &["Authorization: Bearer"]);
    assert_eq!(refused.json()["rule"], "credential-missing");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    ask(&setup, "POST", "/topics/news", Some(&alice), b"x")
        .await
        .refusal(403, &["publishing is not allowed"]);
    ask(&setup, "POST", "/topics/orders", Some(&backend), b"x")
        .await
        .refusal(403, &["news, users/*", "orders"]);

    let mut streams = Vec::new();
    for user in [&alice, &bearer(&key, &[], &["users/bob/*"])] {
        streams.push(Stream::open(&setup, "topic=*&from=start", user).await);
    }
    for (path, body) in
        [("news", "public"), ("users/alice/1?private", "for alice"), ("users/bob/1?private=true", "for bob")]
    {
        assert_eq!(
            ask(&setup, "POST", &format!("/topics/{path}"), Some(&backend), body.as_bytes()).await.status(),
            200
        );
    }
    ask(&setup, "POST", "/topics/news?private=maybe", Some(&backend), b"x")
        .await
        .refusal(400, &["maybe", "private=1"]);
    let lines = "Content-Type: application/x-ndjson\r\n";
    let body = b"{\"data\":\"for alice, too\"}\n";
    let many = ask_with(&setup, "POST", "/topics/users/alice/1?private=1", Some(&backend), lines, body).await;
    assert_eq!(many.status(), 200);
    assert_eq!(ask(&setup, "POST", "/topics/news", Some(&backend), b"end").await.status(), 200);

    let [of_alice, of_bob] = &mut streams[..] else { panic!("two streams") };
    assert!(of_alice.up_to("data: end").await.contains("data: for alice, too"));
    assert!(!of_alice.read.contains("for bob"), "{}", of_alice.read);
    assert!(!of_bob.up_to("data: end").await.contains("for alice"), "{}", of_bob.read);
    let page = ask_with(&setup, "GET", "/topics?topic=*", None, "Accept: application/json\r\n", b"").await;
    assert_eq!(page.page(), ["public", "end"], "nobody's history has what is private");
    assert_eq!(
        history(&setup, "topic=*", &alice).await.page(),
        ["public", "for alice", "for alice, too", "end"]
    );
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_refused_by_a_number_and_one_that_is_signed_by_its_rule() {
    let (setup, key) = with_tokens().await;
    let other = TokenKey::parse(&[b'x'; 32]).unwrap();
    let forged = bearer(&other, &["*"], &["*"]);
    for credential in [&*forged, "Bearer x", "Bearer", "Basic YTpi", "", "Bearer a b"] {
        for (method, path) in [("POST", "/topics/news"), ("GET", "/topics/news"), ("GET", "/metrics")] {
            let answer = ask(&setup, method, path, Some(credential), b"x").await;
            let problem = answer.json();
            let number = problem["request"].as_str().unwrap().to_owned();
            answer.refusal(401, &[&number, "tidings serve -v"]);
            assert_eq!(problem["rule"], "token-not-accepted");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
            assert!(!problem.to_string().contains("signature"), "{problem}");
        }
    }
    let gone = key.mint(&Matchers::all(), &Matchers::none(), None, Duration::ZERO);
    let answer = ask(&setup, "POST", "/topics/news", Some(&format!("bearer {gone}")), b"x").await;
    answer.refusal(401, &["expired at", "s ago"]);
    assert_eq!(answer.json()["rule"], "token-expired");
    let two = format!("{forged}\r\nAuthorization: {forged}");
    assert_eq!(ask(&setup, "GET", "/topics/news", Some(&two), b"").await.status(), 401);
}

#[tokio::test]
async fn a_file_whose_grant_has_ended_when_it_has_arrived_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(DiskLog::open(directory.path(), DiskSettings::default()).unwrap());
    /// Says when the grant of the last request ends.
    struct Telling(watch::Sender<Option<SystemTime>>);
    impl Authorizer for Telling {
        fn authorize<'a>(&'a self, _: &'a Parts) -> Authorizing<'a> {
            let end = SystemTime::now() + Duration::from_millis(300);
            self.0.send_replace(Some(end));
            Box::pin(ready(Ok(Grant::default().with_publish(Matchers::all()).with_expiry(end))))
        }
    }
    let (tell, mut told) = watch::channel(None);
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Authorizer(Arc::new(Telling(tell)));
        Hub::new(log, settings)
    })
    .await;
    let mut socket = send(
        &setup,
        &head(
            "POST",
            "/topics/a",
            None,
            "Content-Type: image/png\r\nContent-Length: 8\r\nConnection: close\r\n",
        ),
        b"half",
    )
    .await;
    let end = soon("a grant", told.wait_for(Option::is_some)).await.unwrap().unwrap();
    while SystemTime::now() <= end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    socket.write_all(b"half").await.unwrap();
    let mut answer = String::new();
    soon("an answer", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("expired"), "{answer}");
    let mut folders = vec![directory.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => assert_ne!(std::fs::read(entry.path()).unwrap(), b"halfhalf", "{:?}", entry.path()),
            }
        }
    }
}
