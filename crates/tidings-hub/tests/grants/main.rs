//! A request becomes a grant once, and every path of an update asks the grant: with an application that authorizes for the hub.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

mod authorizing;
mod expiry;
#[cfg(feature = "jwks")]
mod keys_at_a_url;
mod rights;
mod tokens;

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
    Access, Authorizer, Authorizing, Control, Denial, Grant, Hub, Matchers, Peer, Policy, Right, Settings,
    Subject, TokenKey, Tokens, Topic, Update,
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
                    .with_right(Right::Subscribers)
                    .with_right(Right::Metrics)
                    .with_right(Right::Gateway)
            };
            match name {
                None => Err(Denial::unauthenticated("nobody is logged in; log in at /login")),
                Some("backend") => {
                    Ok(Grant::default().with_publish(Matchers::all()).with_right(Right::Gateway))
                }
                Some("reader") => {
                    let rights = Grant::default().with_right(Right::Subscribers).with_right(Right::Metrics);
                    Ok(rights.with_read(Matchers::all()))
                }
                Some("customer") => Ok(Grant::default().with_read(matchers(&["orders/1"]))),
                Some("operator") => Ok(Grant::default().with_private(matchers(&["llm/*", "orders/1"]))),
                Some("llm") => Ok(Grant::default().with_private(matchers(&["llm/*"]))),
                Some("auditor") => {
                    Ok(Grant::default().with_private(Matchers::all()).with_right(Right::Subscribers))
                }
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
