//! A stream of known timing, to find out how streams are changed on the way to a client.
//!
//! `tidings doctor` requests it and compares the arrivals with the sending times. Each event holds its sending time and
//! the number of bytes before it. The stream is bounded in time, bytes and number. It contains no user's data and
//! changes nothing, so a hub serves it to every client that may subscribe. A `POST` gets the same stream as a `GET`,
//! because a proxy may treat the methods differently.
//!
//! Request it at `/probe`, or at any path of topics with the parameter `probe=1`. There a `POST` would be a publish, so
//! it must also have the header [`Tidings-Probe`](TIDINGS_PROBE). The knobs are parameters of the query: see [`Knobs`].

mod body;
mod knobs;
mod room;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use tidings_server::{Visibility, stream_headers};

use self::room::Room;
pub use self::{
    body::ProbeBody,
    knobs::{InvalidKnob, Knobs},
};
use crate::peer::Peer;

/// In a response, this header marks a stream of known timing. In a `POST` to a topic, it requests one and publishes
/// nothing.
pub const TIDINGS_PROBE: HeaderName = HeaderName::from_static("tidings-probe");

/// The methods for requesting a stream. Every response names them, so that a client that compares them knows that a
/// `POST` changes nothing here.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");

/// Serves streams of known timing: at most 512 at a time, with 32 MiB a second in all.
///
/// A hub knows the addresses of its clients. It sends at most 256 streams to one address, and at most 16 that take
/// longer than 30 seconds. Further requests get 503.
/// 30 seconds. Further requests get 503.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    room: Arc<Room>,
    started: Arc<AtomicU64>,
}

impl Probes {
    /// Answers a `GET` or a `POST` with a stream, a `HEAD` with its head, and `OPTIONS` with the methods.
    ///
    /// Every other request is refused with a line of text: 400 for a knob out of its bounds, 405 for another method,
    /// 503 when too many streams run. If the `Last-Event-ID` is that of the last event, the response is 204, which ends
    /// an `EventSource`.
    pub fn answer(&self, request: &Parts) -> Response<ProbeBody> {
        if request.method == Method::OPTIONS {
            let mut response = refusal(StatusCode::NO_CONTENT, String::new());
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
        if !matches!(request.method, Method::GET | Method::HEAD | Method::POST) {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "request a probe with GET or POST\n".into());
        }
        let knobs = match Knobs::parse(request.uri.query().unwrap_or_default()) {
            Ok(knobs) => knobs,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let asked = request.headers.get("last-event-id").map(HeaderValue::as_bytes);
        let seen = asked.and_then(|id| std::str::from_utf8(id).ok()?.parse::<u32>().ok());
        if seen.is_some_and(|seen| seen == knobs.events) {
            let mut response = refusal(StatusCode::NO_CONTENT, String::new());
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
        let Some(position) = self.room.take(request.extensions.get().map(Peer::network), &knobs) else {
            return refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many probes are running; try again later\n".into(),
            );
        };
        let body = if request.method == Method::HEAD {
            ProbeBody::text(String::new())
        } else {
            let seen = seen.filter(|seen| *seen < knobs.events);
            ProbeBody::stream(knobs, request, seen, asked.is_some(), self.name(), position)
        };
        let mut response = Response::new(body);
        *response.headers_mut() = stream_headers(Visibility::default());
        response.headers_mut().insert(TIDINGS_PROBE, HeaderValue::from_static("1"));
        response.headers_mut().insert(ALLOW, METHODS);
        response
    }

    /// A name that no other stream has. It reveals a stream that a cache repeats.
    fn name(&self) -> String {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}", since.as_nanos(), self.started.fetch_add(1, Ordering::Relaxed))
    }
}

fn refusal(status: StatusCode, text: String) -> Response<ProbeBody> {
    let mut response = Response::new(ProbeBody::text(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(TIDINGS_PROBE, HeaderValue::from_static("1"));
    headers.insert(ALLOW, METHODS);
    response
}
