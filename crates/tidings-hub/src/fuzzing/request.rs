//! Sends whole requests in the native dialect through the hub's own service.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tidings_codec::{Decoder, Item};
use tower_service::Service;

use super::cut;
use crate::{
    Hub, HubBody, Settings, Update, dialect::native::publish::path_topic, log::MemoryLog,
    model::update::RESERVED_TYPES,
};

/// How often a future is polled before it counts as waiting for an event that never comes.
const POLLS: usize = 200;

/// No request makes the hub panic or answer 500 or 503. A refusal is a problem document with a reason. Exactly the
/// acknowledged updates can be read back, from the log, as an event stream and as JSON. Cutting the body into other
/// pieces changes nothing.
///
/// Input: `METHOD /path?query`, header lines, an empty line, the body; all lines end with a line feed.
pub fn request(input: &[u8]) {
    let Some(request) = Sent::read(input) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime is made of memory").block_on(async {
        let whole = outcome(&request, [&request.body[..]]).await;
        if request.is_publish() && !request.body.is_empty() {
            let bytes = request.body.chunks(1);
            assert_eq!(outcome(&request, bytes).await, whole, "byte by byte");
            assert_eq!(
                outcome(&request, cut(&request.body, &[3, 0, 7])).await,
                whole,
                "in threes and sevens"
            );
        }
    });
}

/// A request in the form in which it is sent.
struct Sent {
    method: Method,
    uri: http::Uri,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Sent {
    /// `None` for input that no HTTP parser would pass to a service.
    fn read(input: &[u8]) -> Option<Sent> {
        let (line, mut rest) = split_line(input);
        let space = line.iter().position(|byte| *byte == b' ')?;
        let method = Method::from_bytes(&line[..space]).ok()?;
        let uri = http::Uri::try_from(&line[space + 1..]).ok()?;
        let mut headers = http::HeaderMap::new();
        loop {
            let (line, behind) = split_line(rest);
            rest = behind;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
        }
        headers.entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
        Some(Sent { method, uri, headers, body: rest.to_vec() })
    }

    fn is_publish(&self) -> bool {
        let probes = self.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "probe=1"));
        self.method == Method::POST && self.uri.path().starts_with("/topics/") && !probes
    }

    fn to_request(&self, body: Pieces) -> Request<Pieces> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// The result of a request at a new hub: the status, the reason of a refusal, and the content of the log.
async fn outcome<'b>(
    request: &Sent,
    body: impl IntoIterator<Item = &'b [u8]>,
) -> (StatusCode, Value, Vec<Update>) {
    let settings = Settings { max_data_bytes: 64, ..Settings::default() };
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let body = Pieces(body.into_iter().map(Bytes::copy_from_slice).collect());
    let answer = answered(&hub, request.to_request(body)).await;
    let Some(response) = answer else {
        assert!(!request.is_publish(), "a publish that came whole is not answered");
        hub.shutdown().await;
        return (StatusCode::CONTINUE, Value::Null, Vec::new());
    };
    let (head, body) = response.into_parts();
    let (status, body) = (head.status, read(body).await);
    assert!(!matches!(status.as_u16(), 500 | 503), "{status}: {}", String::from_utf8_lossy(&body));
    let mut said = Value::Null;
    let is_json =
        head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if is_json && request.method != Method::HEAD {
        said = serde_json::from_slice(&body).expect("what says that it is JSON is JSON");
    }
    if status.is_client_error() || status.is_server_error() {
        // Streams of known timing are refused with a line of text.
        let why = said["detail"].as_str().map_or(&*body, str::as_bytes);
        assert!(request.method == Method::HEAD || !why.is_empty(), "{status} says why: {said}");
    }

    let kept = kept(&hub).await;
    if request.is_publish() {
        let (ids, count) = (kept.iter().any(|update| update.event().id().is_some()), kept.len() as u64);
        let told = match status {
            StatusCode::OK => said["count"].as_u64().unwrap_or(1),
            _ => said["count"].as_u64().unwrap_or(0),
        };
        // The same ID with the same content is the same update.
        assert!(told == count || (ids && told > count), "{count} are kept: {status} {said}");
        if !kept.is_empty() {
            reads_back(&hub, request, &kept).await;
        }
        // IDs differ between two logs.
        for member in ["id", "first", "last"] {
            if let Some(said) = said.as_object_mut() {
                said.remove(member);
            }
        }
    } else {
        assert!(kept.is_empty(), "{} publishes nothing", request.method);
        said = Value::Null;
    }
    hub.shutdown().await;
    (status, said, kept)
}

/// A subscriber, a reader of the history, and an in-process reader get the published updates.
async fn reads_back(hub: &Hub, request: &Sent, kept: &[Update]) {
    let path = request.uri.path().strip_prefix("/topics/").expect("a publish names a topic in its path");
    let topic = path_topic(path).expect("it was published to");
    let path = utf8_percent_encode(topic.as_str(), NON_ALPHANUMERIC).to_string();
    let get = |accept: &'static str| {
        let mut get = Request::new(Pieces(VecDeque::new()));
        let uri = format!("/topics/{path}?from=start&limit=1000");
        *get.uri_mut() = http::Uri::try_from(uri).expect("an encoded topic is a path");
        get.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        get.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        get
    };
    let expected: Vec<[&str; 2]> =
        kept.iter().map(|update| [update.event().event_type(), update.event().data()]).collect();

    let stream = answered(hub, get("text/event-stream")).await.expect("a stream begins at once");
    let stream = read(stream.into_body()).await;
    let mut decoder = Decoder::strict();
    let (mut events, mut input) = (Vec::new(), &stream[..]);
    while let Some(item) = decoder.decode(&mut input) {
        if let Item::Event(event) = item.expect("a hub sends what a strict reader takes") {
            events.push([event.event_type().to_owned(), event.data().to_owned()]);
        }
    }
    events.retain(|[event_type, _]| event_type == "close" || !RESERVED_TYPES.contains(&&**event_type));
    assert_eq!(events, expected, "as an event stream: {:?}", String::from_utf8_lossy(&stream));

    let page = answered(hub, get("application/json")).await.expect("a page without wait comes at once");
    let page: Value = serde_json::from_slice(&read(page.into_body()).await).expect("history is JSON");
    let updates = page["updates"].as_array().expect("history has updates");
    let told: Vec<[&str; 2]> = updates
        .iter()
        .map(|update| ["type", "data"].map(|member| update[member].as_str().unwrap_or("(none)")))
        .collect();
    assert_eq!(told, expected, "as JSON");
}

/// All records of the log.
async fn kept(hub: &Hub) -> Vec<Update> {
    let log = &hub.engine().log;
    let (mut kept, newest) = (Vec::new(), log.bounds().newest.sequence);
    for sequence in 1..=newest {
        let record = log.record(sequence).await.expect("memory can be read").expect("nothing is evicted");
        let mut update =
            Update::stored(record.topics().to_vec(), record.event().clone(), record.is_private(), false);
        if record.is_close() {
            update = update.closing();
        }
        kept.push(update);
    }
    kept
}

/// The response of the service. `None` while it waits for updates.
async fn answered(hub: &Hub, request: Request<Pieces>) -> Option<Response<HubBody>> {
    let answer = hub.service().call(request);
    Some(soon(answer).await?.unwrap_or_else(|never: Infallible| match never {}))
}

/// The bytes of a body that arrive without waiting.
async fn read(body: HubBody) -> Vec<u8> {
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(Some(Ok(frame))) = soon(body.frame()).await {
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    bytes
}

/// The output of a future, without waiting for anything outside this process.
async fn soon<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..POLLS {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// A body whose pieces are all available.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}
