//! A hub as a real process, and plain HTTP clients to use it with.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod chaos;
pub mod front;
pub mod http2;
pub mod program;
pub mod tls;
pub mod way;
pub mod wire;

use std::{
    collections::VecDeque,
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tidings_codec::{Decoder, Item};
use tokio::net::TcpStream;

use self::{
    front::Front,
    program::program,
    tls::Certificate,
    way::{Way, way},
};

/// `tidings serve` on a free port of its own; ended when dropped.
pub struct HubProcess {
    child: Child,
    /// Where clients reach it, the way that this test binary is for.
    pub address: String,
    /// Where it listens itself.
    pub direct: String,
    _front: Option<Front>,
    /// Its lines on standard error until it said where it listens.
    pub greeting: String,
}

impl HubProcess {
    pub fn start(arguments: &[&str]) -> HubProcess {
        HubProcess::start_on("127.0.0.1:0", arguments)
    }

    /// The same on a given address, to come back where another one was.
    ///
    /// Its history is in memory, unless the arguments name a directory.
    pub fn start_on(address: &str, arguments: &[&str]) -> HubProcess {
        let history: &[&str] = if arguments.contains(&"--data") { &[] } else { &["--memory"] };
        let mut command = program();
        command.args(["serve", "--listen", front::behind(address)]).args(history).args(arguments);
        if way().is_encrypted() {
            command.args(Certificate::of_all().flags());
        }
        let mut hub = HubProcess::spawn(command);
        if way() != Way::Plain {
            let front = Front::start(address, hub.direct.clone());
            hub.address.clone_from(&front.address);
            hub._front = Some(front);
        }
        hub
    }

    /// The same by a command of one's own, which becomes `tidings serve`; there is one way to it.
    pub fn spawn(mut command: Command) -> HubProcess {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the hub starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut greeting = String::new();
        // Its last line is a command that publishes.
        while !greeting.lines().last().is_some_and(|line| line.starts_with("Publish")) {
            let read = stderr.read_line(&mut greeting).expect("what it says is UTF-8");
            assert!(read > 0, "the hub says where it listens, not only {greeting}");
        }
        let address =
            greeting.lines().find_map(front::listening).expect("it says where it listens").to_string();
        // Its further lines must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        HubProcess { child, direct: address.clone(), address, _front: None, greeting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that the process holds now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells");
        let kib: u64 =
            line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        kib << 10
    }

    /// Waits until the metrics have this line.
    pub async fn metric(&self, line: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let metrics = wire::ask(&self.address, "GET", "/metrics", &[], "").await.body;
            if metrics.lines().any(|found| found == line) {
                return;
            }
            assert!(Instant::now() < deadline, "{line} is missing: {metrics}");
        }
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub type Body = BoxBody<Bytes, std::convert::Infallible>;

pub fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed()
}

/// Sends one request over a connection of its own.
pub async fn send(address: &str, request: Request<Body>) -> Response<Incoming> {
    try_send(address, request).await.expect("the hub answers")
}

/// The same, to a hub that may be gone at any moment.
pub async fn try_send(
    address: &str,
    request: Request<Body>,
) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

pub fn request(address: &str, method: &str, path: &str) -> hyper::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", address)
}

/// Publishes `body` and gives back the answer's JSON.
pub async fn publish(
    address: &str,
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> (StatusCode, serde_json::Value) {
    let request = request(address, "POST", path)
        .header("content-type", content_type)
        .body(full(body))
        .expect("a valid request");
    let response = send(address, request).await;
    let status = response.status();
    let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
    (status, serde_json::from_slice(&body).expect("the answer is JSON"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub event_type: String,
    pub data: String,
    pub id: String,
}

/// A subscription, read as it arrives.
pub struct Subscription {
    pub response: Response<Incoming>,
    decoder: Decoder,
    ready: VecDeque<Event>,
}

impl Subscription {
    pub async fn open(address: &str, path: &str, last_event_id: Option<&str>) -> Subscription {
        Subscription::try_open(address, path, last_event_id).await.expect("the hub answers")
    }

    /// The same, of a hub that may be gone at any moment.
    pub async fn try_open(
        address: &str,
        path: &str,
        last_event_id: Option<&str>,
    ) -> Result<Subscription, Box<dyn Error + Send + Sync>> {
        let mut request = request(address, "GET", path).header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = try_send(address, request.body(full(""))?).await?;
        Ok(Subscription { response, decoder: Decoder::new(), ready: VecDeque::new() })
    }

    /// The next event, or `None` when the stream has ended, cleanly or not.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let frame = self.response.body_mut().frame().await?.ok()?;
            let data = frame.into_data().ok()?;
            let mut input = &data[..];
            while let Some(item) = self.decoder.decode(&mut input) {
                if let Item::Event(event) = item.expect("what the hub sends is within the limits") {
                    self.ready.push_back(Event {
                        event_type: event.event_type().to_owned(),
                        data: event.data().to_owned(),
                        id: event.last_event_id().to_owned(),
                    });
                }
            }
        }
    }
}
