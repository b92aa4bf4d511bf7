//! The model server, the gateway before it, and what a client of theirs does.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use scripted_server::{Reply, Server, stream};
use support::wire::{Event, Headers, Stream, Wire, head, header};
use tokio::net::TcpStream;

use crate::support::{self, HubProcess, http2::Http2};

pub const CHAT: &str = "/v1/chat/completions";
pub const RESPONSES: &str = "/v1/responses";
pub const MESSAGES: &str = "/v1/messages";

/// A body that asks for a stream in all interfaces.
pub const ASK: &str = r#"{"model":"m","stream":true}"#;

/// One event of a chat completion, as it goes over the wire.
pub fn token(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n")
}

/// An event of a type of its own, with nothing in it but that type and a number.
pub fn typed(kind: &str, number: usize) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"n\":{number}}}\n\n")
}

/// A whole chat completion of so many tokens.
pub fn chat(tokens: usize) -> String {
    (0..tokens).map(|number| token(&format!("w{number} "))).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// A model that answers every request with the same stream.
pub async fn model(reply: impl Fn() -> Reply + Send + 'static) -> Server {
    Server::start_with(move |_| reply()).await
}

/// A model that answers with these bytes, whole and at once.
pub async fn saying(text: impl Into<String>) -> Server {
    let text = text.into();
    model(move || stream().send(&text)).await
}

/// A hub with a gateway to `model`, its history in memory unless the arguments say otherwise.
pub fn gateway(model: &Server, arguments: &[&str]) -> HubProcess {
    let upstream = model.url("");
    HubProcess::start(&[&["--upstream", &upstream], arguments].concat())
}

/// The answer to an SDK that asked for a stream.
pub struct Answering {
    pub stream: Stream,
    pub id: String,
    /// The stream's own URL, with the token to read it.
    pub location: String,
    /// The token to stop it.
    pub stop: String,
}

/// Sends a request, and leaves its answer unread.
pub async fn send(hub: &HubProcess, path: &str, headers: Headers<'_>, body: &str) -> Wire {
    let length = body.len().to_string();
    let mut all = vec![("content-type", "application/json"), ("content-length", length.as_str())];
    all.extend_from_slice(headers);
    let mut wire = Wire::connect(&hub.address).await;
    wire.write(head(&hub.address, "POST", path, &all) + body).await;
    wire
}

/// Asks for a stream.
pub async fn ask_with(hub: &HubProcess, path: &str, headers: Headers<'_>, body: &str) -> Answering {
    let stream = Stream::read(send(hub, path, headers, body).await).await;
    let named =
        |name| header(&stream.head, name).unwrap_or_else(|| panic!("{name} in {}", stream.head)).to_owned();
    let (id, location, stop) = (named("tidings-stream"), named("location"), named("tidings-stop-token"));
    Answering { stream, id, location, stop }
}

pub async fn ask(hub: &HubProcess, path: &str) -> Answering {
    ask_with(hub, path, &[], ASK).await
}

/// Opens a stream's own URL.
pub async fn watch(hub: &HubProcess, location: &str, last_event_id: Option<&str>) -> Stream {
    match last_event_id {
        Some(id) => Stream::resume(&hub.address, location, id).await,
        None => Stream::open(&hub.address, location, &[]).await,
    }
}

/// Events as an upstream would have sent them: types and data, without what the gateway adds.
pub fn text(events: &[Event]) -> String {
    let event_type = |event: &Event| match &*event.event_type {
        "message" => String::new(),
        other => format!("event: {other}\n"),
    };
    events.iter().map(|event| format!("{}data: {}\n\n", event_type(event), event.data)).collect()
}

/// Splits the `close` off the events of a stream's own URL.
pub fn without_close(mut events: Vec<Event>) -> (Vec<Event>, String) {
    let close = events.pop().expect("a stream ends with its close");
    assert_eq!(close.event_type, "close", "{close:?} behind {events:?}");
    // The first bytes of a stream have the reconnection time, which is not of its first event.
    (events.into_iter().map(|event| Event { retry: None, ..event }).collect(), close.data)
}

/// The answer to a client that asked for no stream, as it comes.
pub struct Unstreamed {
    response: Response<Incoming>,
    unread: BytesMut,
    /// Keeps the connection open.
    _sender: Sender,
}

enum Sender {
    Http1(#[expect(dead_code, reason = "it is kept")] http1::SendRequest<support::Body>),
    Http2(#[expect(dead_code, reason = "it is kept")] Http2),
}

impl Unstreamed {
    /// Asks over a connection of its own, which speaks HTTP/1.1 or HTTP/2.
    pub async fn ask(hub: &HubProcess, version: &str) -> Unstreamed {
        let json = ("content-type", "application/json");
        let (response, sender) = if version == "HTTP/2" {
            let mut http2 = Http2::connect(&hub.address).await;
            let response = http2.send("POST", CHAT, &[json], "{}").await;
            (response, Sender::Http2(http2))
        } else {
            let socket = TcpStream::connect(&hub.address).await.expect("the hub listens");
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(socket)).await.expect("it speaks HTTP/1.1");
            tokio::spawn(connection);
            let request = support::request(&hub.address, "POST", CHAT).header(json.0, json.1);
            let request = request.body(support::full("{}")).expect("a valid request");
            let response = sender.send_request(request).await;
            (response, Sender::Http1(sender))
        };
        let response = response.expect("the hub answers");
        assert_eq!(response.status(), 200, "{response:?}");
        Unstreamed { response, unread: BytesMut::new(), _sender: sender }
    }

    /// The next bytes, so many.
    pub async fn take(&mut self, count: usize) -> String {
        while self.unread.len() < count {
            let frame = self.response.body_mut().frame().await.expect("there is more");
            self.unread
                .extend_from_slice(&frame.expect("it goes on").into_data().expect("there are no trailers"));
        }
        String::from_utf8(self.unread.split_to(count).into()).expect("it is text")
    }

    /// How many bytes follow up to the end.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn rest(mut self) -> Result<usize, String> {
        let mut count = self.unread.len();
        while let Some(frame) = self.response.body_mut().frame().await {
            count += frame.map_err(|error| error.to_string())?.into_data().map_or(0, |data| data.len());
        }
        Ok(count)
    }
}
