//! The model server, the gateway before it, and what a client of theirs does.

use scripted_server::{Reply, Server, stream};
use support::wire::{Event, Headers, Stream, Wire, head, header};

use crate::support::{self, HubProcess};

pub const CHAT: &str = "/v1/chat/completions";
pub const RESPONSES: &str = "/v1/responses";
pub const MESSAGES: &str = "/v1/messages";

/// What asks for a stream in all interfaces.
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
