//! Credentials over HTTP: tickets, sessions, revocation, limits, and what is written about them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

mod audit;
mod limits;
mod reload;
mod revocation;
mod secrets;
mod session;
mod tickets;

use std::{
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};
use tidings_hub::{
    Access, Control, Grant, Hub, Issuer, Matchers, NewApiKey, Policy, Right, Settings, TokenKey, Tokens,
    Topic, Update, log::MemoryLog,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, done: impl Future<Output = T>) -> T {
    timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A token with these claims, and with an `exp` in an hour.
fn token(claims: Value) -> String {
    let mut claims = claims;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let members = claims.as_object_mut().unwrap();
    members.entry("iat").or_insert(now.into());
    members.entry("exp").or_insert((now + 3_600).into());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The token of a user who reads what is theirs.
fn of_user(name: &str) -> String {
    let read = [format!("users/{name}/*"), "news".to_owned()];
    token(
        json!({ "sub": name, "jti": format!("session of {name}"), "tidings": { "read": read, "publish": ["*"] } }),
    )
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

struct Setup {
    hub: Hub,
    address: SocketAddr,
}

impl Setup {
    /// A hub at which everybody may revoke, and get tickets for others.
    async fn new(change: impl FnOnce(Control) -> Control) -> Setup {
        let rights = [Right::Admin, Right::Tickets, Right::Metrics, Right::Subscribers];
        let everybody = rights.into_iter().fold(Grant::default(), Grant::with_right);
        Setup::with(everybody, change).await
    }

    async fn with(everybody: Grant, change: impl FnOnce(Control) -> Control) -> Setup {
        let policy = Policy::new(Tokens::new(TokenKey::parse(SECRET).unwrap())).with_anonymous(everybody);
        let mut settings = Settings::default();
        settings.access = Access::Control(Arc::new(change(Control::new(policy))));
        let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn({
            let hub = hub.clone();
            async move { hub.serve(listener).await }
        });
        Setup { hub, address }
    }

    async fn say(&self, topic: &str, data: &str) {
        self.hub.publish(Update::new(Topic::parse(topic).unwrap(), data).private()).await.unwrap();
    }

    /// Sends a request over a connection of its own.
    async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon("an answer", socket.read_to_end(&mut answer)).await.unwrap();
        Answer::of(&answer)
    }

    /// Gets a ticket.
    async fn ticket(&self, token: &str, asked: &Value) -> String {
        let answer = self.ask("POST", "/tickets", &bearer(token), &asked.to_string()).await;
        assert_eq!(answer.status(), 201, "{} {}", answer.head, answer.body);
        answer.json()["ticket"].as_str().unwrap().to_owned()
    }

    async fn revoke(&self, asked: &Value) -> Value {
        let answer = self.ask("POST", "/revocations", "", &asked.to_string()).await;
        assert_eq!(answer.status(), 200, "{}", answer.body);
        answer.json()
    }
}

struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn of(answer: &[u8]) -> Answer {
        let answer = String::from_utf8_lossy(answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
        Answer { head: head.to_owned(), body: body.to_owned() }
    }

    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Expects the refusal of a rule, whose detail has these words.
    #[track_caller]
    fn refusal(&self, status: u16, rule: &str, words: &[&str]) {
        let problem = self.json();
        assert_eq!((self.status(), problem["rule"].as_str()), (status, Some(rule)), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
    }
}

/// A subscription that a delivery loop serves.
struct Stream {
    socket: TcpStream,
    read: String,
}

impl Stream {
    /// Opens one, and waits until it has begun.
    async fn open(setup: &Setup, target: &str, headers: &str) -> Stream {
        let mut stream = Stream::ask(setup, target, headers).await;
        stream.up_to("event: start").await;
        stream
    }

    async fn ask(setup: &Setup, target: &str, headers: &str) -> Stream {
        let request = format!("GET {target} HTTP/1.1\r\nHost: hub.example\r\n{headers}\r\n");
        let mut socket = TcpStream::connect(setup.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        Stream { socket, read: String::new() }
    }

    /// Reads until this has come; what came so far, the head included.
    async fn up_to(&mut self, end: &str) -> &str {
        let began = std::time::Instant::now();
        while !self.read.contains(end) {
            assert!(began.elapsed() < PATIENCE, "{end} does not come: {}", self.read);
            let mut piece = Vec::new();
            let count = soon(end, self.socket.read_buf(&mut piece)).await.unwrap();
            assert!(count > 0, "it ends before {end}: {}", self.read);
            self.read.push_str(std::str::from_utf8(&piece).unwrap());
        }
        &self.read
    }

    /// Reads until the stream ends; it says why.
    async fn end(mut self) -> String {
        self.up_to("event: access").await;
        self.up_to("0\r\n\r\n").await;
        self.read
    }
}
