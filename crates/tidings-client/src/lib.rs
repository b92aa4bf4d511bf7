//! `EventSource` for Rust: follows a Server-Sent Events stream, reconnects, and resumes after the last event.
//!
//! ```
//! use tidings_client::{EventSource, Item};
//!
//! # /// Answers with one event, and then with 204, which ends every source.
//! # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! #     for answer in ["200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1\ndata: hello\n\n", "204 No Content\r\n\r\n"] {
//! #         let (mut socket, _) = listener.accept().await?;
//! #         socket.read(&mut [0; 4096]).await?;
//! #         socket.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await?;
//! #         socket.shutdown().await?;
//! #     }
//! #     Ok(())
//! # }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! #   let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! #   let hub = format!("http://{}", listener.local_addr()?);
//! #   tokio::spawn(serve(listener));
//! #   let mut seen = Vec::new();
//!     let mut source = EventSource::get(&format!("{hub}/topics/news"))?;
//!     while let Some(item) = source.next().await {
//!         if let Item::Event(event) = item? {
//!             println!("{}: {}", event.event_type(), event.data());
//! #           seen.push(event.into_data());
//!         }
//!     }
//! #   assert_eq!(seen, ["hello"]);
//!     Ok(())
//! }
//! ```
//!
//! # Which type to use
//!
//! | Type | Use it to |
//! |---|---|
//! | [`EventSource`] | follow a stream that goes on: it reconnects and resumes |
//! | [`EventStream`] | read one response, such as the answer of an LLM, and know whether it was complete |
//!
//! Both yield [`Item`]s: events, and news about the connection.
//!
//! An [`EventSource`] follows the rules of a browser. 200 with `text/event-stream` opens the stream, 204 ends it for
//! good, and redirects are followed. Any other response is an [`Error`] with the server's explanation. If a response
//! ends or breaks, the source waits for the reconnection time and resumes after the last event ID.
//!
//! You can also choose things that a browser does not offer: any method, headers and body; a fresh [`Request`] before
//! each attempt; back-off, `Retry-After`, a watchdog for silent connections, terminal events, limits.
//!
//! # Limits of this crate
//!
//! It does not publish, but its [`Transport`] can carry a publisher's request. It runs no task of its own. Nothing is
//! read while nobody polls, so a slow reader slows the server down. Dropping a source closes its connection at once.
//!
//! # How it connects
//!
//! [`HyperTransport`] uses one connection for each stream: HTTP/2 if the server offers it in TLS, otherwise HTTP/1.1.
//! It takes its proxies from the environment (`HTTP_PROXY` and so on) unless you set others, and tries for 30 s to make
//! a connection. To use other settings, give a source another transport by
//! [`with_transport`](EventSource::with_transport):
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use tidings_client::{EventSource, HyperTransport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = HyperTransport::new()
//!     .with_proxy("http://user:password@proxy.example:3128")?
//!     .with_connect_timeout(Duration::from_secs(5));
//! let source = EventSource::get("https://hub.example/topics/news")?.with_transport(Arc::new(transport));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod body;
mod credentials;
mod encoding;
mod error;
mod event_source;
mod event_stream;
mod exchange;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gap;
mod idle;
mod item;
mod media_type;
mod open;
mod reconnect;
mod redirect;
mod repeats;
mod request;
mod response;
mod retry_after;
mod settings;
mod transport;

pub use body::{ExchangeEnded, RequestBody, RequestBodySender, ResponseBody};
pub use error::{BoxError, Error, InvalidUrl, Refusal, TransportError};
pub use event_source::{EventSource, ReadyState};
pub use event_stream::EventStream;
pub use gap::Gap;
pub use item::{Item, ReceivedEvent};
pub use media_type::is_event_stream;
pub use reconnect::Cause;
pub use request::{Attempt, Request};
pub use response::ResponseHead;
pub use transport::{HyperTransport, Sending, Transport};

pub use tidings_codec::{Event, EventId, EventType};
