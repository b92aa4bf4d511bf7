//! `EventSource` for Rust: follows a Server-Sent Events stream, reconnects, and resumes where it was.
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
//! # Which of the two
//!
//! An [`EventSource`] follows a stream for as long as it goes on, by the rules of the browser's one: 200 with
//! `text/event-stream` opens, 204 ends for good, redirects are followed, any other answer is an [`Error`] with what the
//! server had to say; a response that ends or breaks is asked for again after the reconnection time, from the last event
//! ID. An [`EventStream`] reads one response, the answer of an LLM for instance, and says whether it was whole. Both yield
//! [`Item`]s: events, and what happens to the connection.
//!
//! What a browser leaves out is there by choice: any method, headers and body; a fresh [`Request`] before each attempt;
//! back-off, `Retry-After`, a watchdog for silent connections, terminal events, limits.
//!
//! # What it is not
//!
//! It does not publish, but its [`Transport`] can carry the request of one who does. It runs no task of its own: nothing
//! is read while nobody polls, so a slow reader slows the server down, and dropping a source closes its connection at
//! once.
//!
//! # How it connects
//!
//! [`HyperTransport`] uses one connection for each stream: by HTTP/2 where a server offers it in TLS, else by HTTP/1.1. It
//! takes its proxies from the environment (`HTTP_PROXY` and so on) unless told otherwise, and gives a connection 30 s to
//! come about. A transport with other settings is given to a source by
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
