//! Answers an HTTP request with a stream of events, and keeps it open.
//!
//! A web page opens `new EventSource("/clock")`, and from then on the server tells it what happens, over one plain
//! HTTP response that does not end. This crate is the server's half of one such response. Give it a [stream] of
//! [`Event`]s; it gives back an [`http::Response`] whose body is an event stream:
//!
//! ```
//! use std::time::Duration;
//!
//! use futures_util::{Stream, stream};
//! use http::{Request, Response};
//! use tidings_server::{Event, EventId, LastEventId, Sse, SseBody};
//!
//! /// Counts up, one number a second; a client that reconnects goes on where it was cut.
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
//! Any server that takes an [`http_body::Body`] can send it: hyper, and everything built on hyper. With the feature
//! `axum`, [`Sse`] is what a handler returns and `Option<LastEventId>` is what it takes:
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
//! # What it takes care of
//!
//! - **The stream is open at once.** The head and a first comment are sent before there is an event, so a client sees
//!   `open`, and a gateway that waits 30 s for a first byte has one. See [`Frame::opening`].
//! - **It stays open.** Into a silence it sends heartbeats, in the form that your clients and proxies need. See
//!   [`KeepAlive`].
//! - **It passes proxies.** The [header fields](stream_headers) tell them not to buffer, compress or keep it.
//! - **It can go on.** A client that was cut says which event it received last, in one of five ways. See
//!   [`LastEventId`].
//! - **No value breaks it.** Text with any line breaks is data, and comes out as the same lines; event types and IDs
//!   are checked where they are made. Nothing that a user typed can panic, end an event early or add a field.
//! - **A failure looks like one.** A stream that fails cuts the connection, so that nobody takes half a stream for a
//!   whole one. See [`Sse`](Sse#when-a-stream-fails).
//!
//! # What it does not do
//!
//! It remembers nothing. Which events there are, who gets them, and which ones a client missed is up to your stream;
//! `tidings-hub` is a hub that keeps events and answers those questions. It does not compress, since that takes a
//! flush for each event, and it sets no CORS headers, which are the application's to decide.
//!
//! One stream to many clients: encode each event once as a [`Frame`] and clone that.
//!
//! # Features
//!
//! - `axum`: `IntoResponse` for [`Sse`] and `OptionalFromRequestParts` for [`LastEventId`], for axum 0.8.
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
