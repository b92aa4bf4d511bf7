//! A stream of known timing, for whoever wants to know what the way to it does to streams.
//!
//! `tidings doctor` asks for it and compares what arrives with what was sent: each event says when it was sent and how many
//! bytes went before it. The stream is bounded in time, bytes and number, carries nothing of anybody's, and changes
//! nothing, so a hub serves it to everyone who may subscribe, and answers a `POST` with it like a `GET`: what a proxy does may
//! depend on the method.
//!
//! A request asks for it at `/probe`, or at any path of topics with the parameter `probe=1`; there a `POST`, which would be a publish,
//! also has the header [`Tidings-Probe`](TIDINGS_PROBE). The knobs are parameters of the query: see [`Knobs`].

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

/// The header by which an answer says that it is such a stream, and a `POST` to a topic that it asks for one and publishes nothing.
pub const TIDINGS_PROBE: HeaderName = HeaderName::from_static("tidings-probe");

/// The methods that a stream may be asked for by. Every answer names them, so that whoever wants to compare them knows that a
/// `POST` changes nothing here.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");

/// Serves streams of known timing: at most 512 at a time, and 32 MiB a second of all together.
///
/// A hub, which knows the addresses of its clients, sends at most 256 to one address, and 16 of those that take longer than
/// 30 seconds. Further requests get 503.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    room: Arc<Room>,
    started: Arc<AtomicU64>,
}

impl Probes {
    /// Answers a `GET` or a `POST` with a stream, a `HEAD` with its head, and `OPTIONS` with the methods.
    ///
    /// Everything else is refused in a line of text: 400 for a knob that is out of its bounds, 405 for another method,
    /// 503 when too many streams run. A request whose `Last-Event-ID` is that of the last event gets 204, which ends an
    /// `EventSource`.
    pub fn answer(&self, request: &Parts) -> Response<ProbeBody> {
        if request.method == Method::OPTIONS {
            let mut response = refusal(StatusCode::NO_CONTENT, String::new());
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
        if !matches!(request.method, Method::GET | Method::HEAD | Method::POST) {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "a probe is asked for by GET or POST\n".into());
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
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "too many probes run already\n".into());
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

    /// A name that no other stream has, so that a stream that a cache repeats is known by it.
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
