//! A response that streams events.

use std::fmt;
use std::time::Duration;

use futures_core::Stream;
use http::Response;

use crate::{Frame, IntoFrame, KeepAlive, SseBody, Visibility, stream_headers};

/// A response that is an event stream, made from a stream of events.
///
/// The stream yields [`Event`](crate::Event)s, encoded [`Frame`](crate::Frame)s, or `Result`s of either. The response
/// ends when the stream ends. The stream is dropped when the client disconnects. A closed connection is noticed at
/// once, and a client that disappeared without closing it is noticed some heartbeats later.
///
/// [`into_response`](Sse::into_response) makes an [`http::Response`] for hyper and everything built on it. With the
/// feature `axum`, a handler can return `Sse` directly.
///
/// When a stream ends, its client does not stop: it reconnects after its reconnection time. To stop an `EventSource`
/// for good, answer its next request with `204 No Content`.
///
/// # When a stream fails
///
/// An `Err` cuts the connection: HTTP/1.1 without the last chunk, HTTP/2 with a reset. A client can therefore tell a
/// failure from the end of the stream, and a proxy does not take the part for the whole. The server gets the error;
/// [hyper](https://docs.rs/hyper) returns it from the connection. Events before the error are flushed first, unless the
/// client reads too slowly. To tell the client the reason, send an event before the error.
///
/// ```
/// use std::io;
/// use std::time::Duration;
///
/// use futures_util::stream;
/// use tidings_server::{Event, KeepAlive, Sse};
///
/// let events = stream::iter([Ok(Event::new("first")), Err(io::Error::other("the sensor is gone"))]);
/// let response = Sse::new(events)
///     .retry(Duration::from_secs(2))
///     .keep_alive(KeepAlive::comment().after(Duration::from_secs(10)))
///     .into_response();
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// ```
#[must_use]
pub struct Sse<S> {
    stream: S,
    retry: Option<Duration>,
    keep_alive: KeepAlive,
    opening: bool,
    visibility: Visibility,
}

impl<S> Sse<S>
where
    S: Stream,
    S::Item: IntoFrame,
{
    /// Makes a response that sends the items of `stream`.
    pub fn new(stream: S) -> Sse<S> {
        Sse {
            stream,
            retry: None,
            keep_alive: KeepAlive::default(),
            opening: true,
            visibility: Visibility::default(),
        }
    }

    /// Tells the client how long to wait before it reconnects.
    ///
    /// The time is part of the first bytes, in whole milliseconds; smaller parts are cut off. Without it a client keeps
    /// its own value: 3 s in Chrome, 5 s in Firefox. Source: HTML, "reconnection time".
    pub fn retry(mut self, reconnection_time: Duration) -> Sse<S> {
        self.retry = Some(reconnection_time);
        self
    }

    /// Sets the heartbeat that is sent when the stream is silent. Default: an empty comment every 15 s.
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Sse<S> {
        self.keep_alive = keep_alive;
        self
    }

    /// Sends no first bytes, for clients that understand neither comments nor `retry`.
    ///
    /// Proxies and clients then know only by the head that the stream is open.
    pub fn without_opening(mut self) -> Sse<S> {
        self.opening = false;
        self
    }

    /// Marks the stream as one subscriber's own: `Cache-Control` gains `private`.
    pub fn private(mut self) -> Sse<S> {
        self.visibility = Visibility::Private;
        self
    }

    /// Makes the response: status 200, [its headers](stream_headers), and the body.
    ///
    /// You may add other headers, but a `Content-Length` or `Content-Encoding` would break the stream.
    pub fn into_response(self) -> Response<SseBody<S>> {
        let opening = self.opening.then(|| Frame::opening(self.retry));
        let mut response = Response::new(SseBody::new(self.stream, opening, self.keep_alive));
        *response.headers_mut() = stream_headers(self.visibility);
        response
    }
}

impl<S> fmt::Debug for Sse<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("retry", &self.retry)
            .field("keep_alive", &self.keep_alive)
            .field("visibility", &self.visibility)
            .finish_non_exhaustive()
    }
}
