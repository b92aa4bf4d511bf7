//! `EventSource` for Rust: follows a Server-Sent Events stream, reconnects, and resumes where it was.
//!
//! ```no_run
//! use tidings_client::{EventSource, Item};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut source = EventSource::get("http://localhost:8080/topics/news")?;
//!     while let Some(item) = source.next().await {
//!         if let Item::Event(event) = item? {
//!             println!("{}: {}", event.event_type(), event.data());
//!         }
//!     }
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod body;
mod error;
mod event_source;
mod event_stream;
mod exchange;
mod gap;
mod idle;
mod item;
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
pub use reconnect::Cause;
pub use request::{Attempt, Request};
pub use response::ResponseHead;
pub use transport::{HyperTransport, Sending, Transport};

pub use tidings_codec::{Event, EventId, EventType};
