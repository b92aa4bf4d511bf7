//! HTTP and event streams as bytes: sends what no client library would, and shows exactly what comes back.
//!
//! It parses by itself, so that the project's decoder is not the only judge of what its hub sends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long the hub may keep a test waiting for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A connection on which the test decides about every byte.
pub struct Wire {
    pub socket: TcpStream,
    unread: BytesMut,
}

impl Wire {
    pub async fn connect(address: &str) -> Wire {
        let socket = TcpStream::connect(address).await.expect("the hub listens");
        socket.set_nodelay(true).expect("the socket is open");
        Wire::over(socket)
    }

    pub fn over(socket: TcpStream) -> Wire {
        Wire { socket, unread: BytesMut::new() }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.expect("the hub reads on");
    }

    /// Sends `bytes` as one chunk of a chunked body.
    pub async fn write_chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.write(chunk).await;
    }

    /// Reads more; says whether there was more.
    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.unread)).await;
        // A reset is an end as well: whether what came before it was whole is judged where it is parsed.
        read.unwrap_or_else(|_| panic!("the hub is silent after {:?}", self.text())).unwrap_or(0) > 0
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// The next bytes up to `end` and with it, or `None` if the connection ends before.
    pub async fn until(&mut self, end: &[u8]) -> Option<Bytes> {
        loop {
            if let Some(piece) = split_after(&mut self.unread, end) {
                return Some(piece);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Bytes> {
        while self.unread.len() < length {
            if !self.more().await {
                return None;
            }
        }
        Some(self.unread.split_to(length).freeze())
    }

    /// The data of the next chunk; empty for the last, `None` if the connection ends before.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        let line = String::from_utf8(self.until(b"\r\n").await?.into()).expect("a chunk's size is ASCII");
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a chunk starts with its size");
        let mut data = self.exactly(length + 2).await?;
        assert_eq!(&data.split_off(length)[..], b"\r\n", "a chunk ends with its line");
        Some(data)
    }

    /// The next answer's head, as text with its empty line.
    pub async fn head(&mut self) -> String {
        let head = self.until(b"\r\n\r\n").await.expect("the hub answers");
        String::from_utf8(head.into()).expect("a head is ASCII")
    }

    /// The next answer with its whole body; of a stream, which may never end, without it.
    pub async fn answer(&mut self) -> Answer {
        let mut answer = Answer { head: self.head().await, body: String::new() };
        let mut body = Vec::new();
        if answer.header("content-type") == Some("text/event-stream") {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let chunk = self.chunk().await.expect("a chunked body ends with its last chunk");
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().expect("a length is a number");
            body = self.exactly(length).await.expect("the body is as long as the head says").into();
        }
        answer.body = String::from_utf8(body).expect("answers are text");
        answer
    }

    /// All that the hub still sends before it closes the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.unread).into()
    }
}

/// The bytes up to the first `end` and with it, if there is one.
pub fn split_after(bytes: &mut BytesMut, end: &[u8]) -> Option<Bytes> {
    let start = bytes.windows(end.len()).position(|window| window == end)?;
    Some(bytes.split_to(start + end.len()).freeze())
}

#[derive(Debug)]
pub struct Answer {
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("this is no JSON: {self:?}"))
    }

    /// Checks that this is a refusal with `status` whose detail names `word`, and gives back its document.
    #[track_caller]
    pub fn refusal(&self, status: u16, word: &str) -> Value {
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], status, "{document}");
        assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
        let detail = document["detail"].as_str().expect("a refusal says why");
        assert!(detail.contains(word), "the detail names {word:?}: {detail}");
        document
    }
}

/// The value of a header field in a head, or `None` if it has none of that name.
pub fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// A request's head; `host` is the hub's address unless `headers` name another.
pub fn head(address: &str, method: &str, target: &str, headers: Headers<'_>) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += &format!("host: {address}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + "\r\n"
}

/// Sends one request on a connection of its own, and gives back the whole answer.
pub async fn ask(
    address: &str,
    method: &str,
    target: &str,
    headers: Headers<'_>,
    body: impl AsRef<[u8]>,
) -> Answer {
    let body = body.as_ref();
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    all.push(("connection", "close"));
    if method == "POST" {
        all.push(("content-length", &length));
    }
    let mut wire = Wire::connect(address).await;
    wire.write(head(address, method, target, &all)).await;
    // A refusal may come, and the connection end, before all of a large body is sent.
    let _ = wire.socket.write_all(body).await;
    if method == "HEAD" {
        return Answer { head: wire.head().await, body: String::from_utf8_lossy(&wire.rest().await).into() };
    }
    wire.answer().await
}

pub const TEXT: (&str, &str) = ("content-type", "text/plain");
pub const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
pub const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
pub const JSON: (&str, &str) = ("accept", "application/json");

/// Makes a request one that no program on this machine sends for itself.
pub const ELSEWHERE: (&str, &str) = ("host", "hub.example");

pub async fn post(address: &str, target: &str, content_type: (&str, &str), body: impl AsRef<[u8]>) -> Answer {
    ask(address, "POST", target, &[content_type], body).await
}

/// Publishes one update, and gives back its ID.
pub async fn say(address: &str, target: &str, data: &str) -> String {
    let answer = post(address, target, TEXT, data).await;
    assert_eq!(answer.status(), 200, "{target}: {answer:?}");
    answer.json()["id"].as_str().expect("a publish answers with the ID").to_owned()
}

/// A page of history.
pub async fn page(address: &str, target: &str) -> Value {
    let answer = ask(address, "GET", target, &[JSON], "").await;
    assert_eq!(answer.status(), 200, "{target}: {answer:?}");
    answer.json()
}

/// The data of every update in a page or of all that the hub keeps for a topic.
pub fn data(page: &Value) -> Vec<&str> {
    let updates = page["updates"].as_array().expect("a page holds updates");
    updates.iter().map(|update| update["data"].as_str().expect("data is a string")).collect()
}

/// The data of all chunks, as far as they have come.
pub fn dechunked(mut bytes: &[u8]) -> String {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).expect("a chunk's size is ASCII");
        let size = usize::from_str_radix(size, 16).expect("a chunk starts with its size");
        let data = &bytes[end + 2..];
        all.extend_from_slice(&data[..size.min(data.len())]);
        bytes = data.get(size + 2..).unwrap_or_default();
    }
    String::from_utf8_lossy(&all).into_owned()
}

pub fn is_hub_id(id: &str) -> bool {
    let digits = id.strip_prefix('~').unwrap_or_default();
    digits.len() == 24 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    pub event_type: String,
    pub data: String,
    pub id: String,
    pub topic: Option<String>,
    pub retry: Option<String>,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("its data is no JSON: {self:?}"))
    }
}

/// A subscription, block by block.
pub struct Stream {
    pub wire: Wire,
    pub head: String,
    unread: BytesMut,
}

impl Stream {
    pub async fn open(address: &str, target: &str, headers: Headers<'_>) -> Stream {
        let mut wire = Wire::connect(address).await;
        wire.write(head(address, "GET", target, headers)).await;
        Stream::read(wire).await
    }

    /// The stream that answers a request which was sent already.
    pub async fn read(mut wire: Wire) -> Stream {
        let head = wire.head().await;
        Stream::of(wire, head)
    }

    /// The stream whose head has been read.
    pub fn of(wire: Wire, head: String) -> Stream {
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}{}", wire.text());
        assert_eq!(header(&head, "content-type"), Some("text/event-stream"), "{head}");
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"), "{head}");
        Stream { wire, head, unread: BytesMut::new() }
    }

    /// Subscribes, and reads the `start` event.
    pub async fn live(address: &str, target: &str) -> Stream {
        let mut stream = Stream::open(address, target, &[]).await;
        assert_eq!(stream.event().await.event_type, "start");
        stream
    }

    /// Subscribes with a last event ID.
    pub async fn resume(address: &str, target: &str, id: &str) -> Stream {
        Stream::open(address, target, &[("last-event-id", id)]).await
    }

    /// The value of the header `Tidings-Resume`.
    pub fn verdict(&self) -> Option<&str> {
        header(&self.head, "tidings-resume")
    }

    /// The next bytes up to `end` and with it, or `None` if the stream ends before.
    pub async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(piece) = split_after(&mut self.unread, end.as_bytes()) {
                return Some(String::from_utf8(piece.into()).expect("a stream is UTF-8"));
            }
            let chunk = self.wire.chunk().await.expect("a stream ends with its last chunk");
            if chunk.is_empty() {
                return None;
            }
            self.unread.extend_from_slice(&chunk);
        }
    }

    /// The next event, or `None` if the stream ends cleanly before.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.until("\n\n").await?;
            if let Some(event) = parse(&block) {
                return Some(event);
            }
        }
    }

    pub async fn event(&mut self) -> Event {
        self.next().await.expect("the stream goes on")
    }

    /// The data of the next `count` events.
    pub async fn data(&mut self, count: usize) -> Vec<String> {
        let mut data = Vec::with_capacity(count);
        for _ in 0..count {
            data.push(self.event().await.data);
        }
        data
    }

    /// All events up to the clean end of the stream.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// Reads one block as the standard does, but for what the hub never sends: line ends other than LF.
fn parse(block: &str) -> Option<Event> {
    assert!(!block.contains('\r'), "the hub ends lines with LF: {block:?}");
    let mut event = Event { event_type: "message".to_owned(), ..Event::default() };
    let mut lines = Vec::new();
    for line in block.trim_end_matches('\n').split('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut event.event_type),
            "data" => lines.push(value),
            "id" => value.clone_into(&mut event.id),
            "topic" => event.topic = Some(value.to_owned()),
            "retry" => event.retry = Some(value.to_owned()),
            "" => {}
            _ => panic!("the hub sends no field {name:?}: {block:?}"),
        }
    }
    event.data = lines.join("\n");
    (!lines.is_empty()).then_some(event)
}
