//! Answers an HTTP request with a stream of events, and keeps it open.
//!
//! A web page opens `new EventSource("/clock")`. From then on the server sends it events, over one plain HTTP response
//! that does not end. This crate is the server's half of such a response. You give it a [stream] of [`Event`]s, and it
//! returns an [`http::Response`] whose body is an event stream:
//!
//! ```
//! use std::time::Duration;
//!
//! use futures_util::{Stream, stream};
//! use http::{Request, Response};
//! use tidings_server::{Event, EventId, LastEventId, Sse, SseBody};
//!
//! /// Counts up, one number a second. A client that reconnects continues after its last number.
//! fn count<B>(request: &Request<B>) -> Response<SseBody<impl Stream<Item = Event> + use<B>>> {
//!     let last = LastEventId::from_request(request);
//!     let first = last.and_then(|id| id.as_str().parse().ok()).map_or(0, |last: u64| last.saturating_add(1));
//!
//!     let events = stream::unfold(first, |number| async move {
//!         tokio::time::sleep(Duration::from_secs(1)).await;
//!         let id = EventId::parse(number.to_string()).ok()?;
//!         Some((Event::new("tick").with_id(id), number.checked_add(1)?))
//!     });
//!     Sse::new(events).retry(Duration::from_secs(2)).into_response()
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), http::Error> {
//! use http_body_util::BodyExt;
//!
//! let request = Request::get("/count").header("Last-Event-ID", "41").body(())?;
//! let mut body = Box::pin(count(&request).into_body());
//! let mut sent = Vec::new();
//! while !sent.ends_with(b"\n\n") {
//!     sent.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
//! }
//! assert_eq!(sent, b":\nretry: 2000\ndata: tick\nid: 42\n\n");
//! # Ok(())
//! # }
//! ```
//!
//! Any server that accepts an [`http_body::Body`] can send it: hyper, and everything built on hyper. With the feature
//! `axum`, a handler returns [`Sse`] and takes `Option<LastEventId>` as an argument:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::get};
//! use futures_util::{Stream, stream};
//! use tidings_server::{Event, LastEventId, Sse};
//!
//! async fn greet(last: Option<LastEventId>) -> Sse<impl Stream<Item = Event>> {
//!     let greeting = if last.is_some() { "welcome back" } else { "hello" };
//!     Sse::new(stream::iter([Event::new(greeting)]))
//! }
//!
//! let app: Router = Router::new().route("/greet", get(greet));
//! # }
//! ```
//!
//! # Features of a response
//!
//! - **The stream is open at once.** The head and a first comment are sent before the first event. A client sees `open`
//!   at once, and a gateway that waits 30 s for a first byte has one. See [`Frame::opening`].
//! - **The stream stays open.** It sends heartbeats when it is silent, in the form that your clients and proxies need.
//!   See [`KeepAlive`].
//! - **The stream passes proxies.** The [header fields](stream_headers) tell them not to buffer, compress or store it.
//! - **The stream can resume.** A client that reconnects sends the ID of its last event, in one of five ways. See
//!   [`LastEventId`].
//! - **No value breaks the stream.** Data may contain any line breaks, and arrives as the same lines. Event types and
//!   IDs are checked where you make them. No text from a user can panic, end an event early or add a field.
//! - **A failure is visible.** A stream that fails cuts the connection, so that a client does not take half a stream
//!   for a whole one. See [`Sse`](Sse#when-a-stream-fails).
//!
//! # Limits of this crate
//!
//! It remembers nothing. Your stream decides which events there are, which clients get them, and which ones a client
//! has missed; `tidings-hub` is a hub that stores events and does all of this. This crate does not compress, because
//! compression needs a flush for each event. It sets no CORS headers, because the application decides about them.
//!
//! To send one stream to many clients, encode each event once as a [`Frame`] and clone the frame.
//!
//! # Features
//!
//! - `axum`: `IntoResponse` for [`Sse`] and `OptionalFromRequestParts` for [`LastEventId`], with axum 0.8.
//!
//! [stream]: futures_core::Stream

#[cfg(feature = "axum")]
mod axum;
mod body;
mod frame;
mod headers;
mod keep_alive;
mod last_event_id;
mod sse;

pub use body::SseBody;
pub use frame::{Frame, IntoFrame};
pub use headers::{Visibility, stream_headers};
pub use keep_alive::KeepAlive;
pub use last_event_id::LastEventId;
pub use sse::Sse;
pub use tidings_codec::{Event, EventId, EventType, InvalidId, InvalidType};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
