//! The wire format of Server-Sent Events: bytes to events and back, by every rule of the HTML standard.
//!
//! Use it to write a client, a server, a proxy or a test of event streams. Hand a [`Decoder`] the chunks of a response
//! body as they arrive, and it returns the events in them. Chunks may end anywhere. An event that lies inside one chunk
//! is borrowed from it, without a copy or an allocation.
//!
//! ```
//! use tidings_codec::{Decoder, Item};
//!
//! let mut decoder = Decoder::new();
//! let mut seen = Vec::new();
//! for chunk in [&b"id: 7\ndata: hel"[..], b"lo\n\n: still here\n"] {
//!     let mut input = chunk;
//!     while let Some(item) = decoder.decode(&mut input) {
//!         match item? {
//!             Item::Event(event) => seen.push(event.data().to_owned()),
//!             Item::Comment(text) => seen.push(text.to_owned()),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(seen, ["hello", "still here"]);
//! assert_eq!(decoder.last_event_id(), "7");
//! # Ok::<(), tidings_codec::DecodeError>(())
//! ```
//!
//! In the other direction, an [`Event`] is checked when you build it. Encoding it therefore cannot fail, and text from
//! a user cannot become a field of its own:
//!
//! ```
//! use tidings_codec::{Event, EventId, EventType};
//!
//! let event = Event::new("two\r\nlines").with_type(EventType::parse("note")?).with_id(EventId::parse("8")?);
//! let mut out = Vec::new();
//! event.encode(&mut out);
//! assert_eq!(out, b"event: note\ndata: two\ndata: lines\nid: 8\n\n");
//! assert!(EventId::parse("8\nretry: 0").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which decoder
//!
//! [`Decoder::new`] forgives the mistakes that a browser forgives. [`Decoder::strict`] reports them with their line
//! number. Use it to read input from publishers, where forgiving would lose data in silence. Both have limits on lines,
//! events and IDs, so a stream from the network cannot fill the memory.
//!
//! # Limits of this crate
//!
//! This crate reads no socket, awaits nothing and keeps no time. It does not reconnect (`tidings-client` does), it does
//! not keep a response open (`tidings-server` does), and it does not know the meaning of an event. Without features it
//! needs only `alloc`. The feature `std`, on by default, only lets the search for line ends use the processor's vector
//! instructions.
//!
//! # Features
//!
//! | Feature | Adds |
//! |---|---|
//! | `std` (default) | vector instructions chosen when the program starts |
//! | `bytes` | [`Event::to_bytes`](Event): an encoded event as shared bytes |
//! | `stream` | a decoder around a stream of chunks |
//! | `http-body` | a decoder around an HTTP body |
//! | `json` | reads the data of an event into serde's types |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod block;
mod decode;
mod encode;
mod error;
mod event;
#[cfg(feature = "http-body")]
mod http_body;
mod item;
#[cfg(feature = "json")]
mod json;
mod line;
mod owned_item;
#[cfg(feature = "stream")]
mod stream;
mod utf8;
mod work;

pub use decode::Decoder;
pub use encode::{encode_comment, encode_retry};
pub use error::{DecodeError, DecodeErrorKind, Incomplete};
pub use event::{Event, EventId, EventType, InvalidId, InvalidType};
#[cfg(feature = "http-body")]
pub use http_body::BodyChunks;
pub use item::{EventRef, Item};
pub use owned_item::OwnedItem;
#[cfg(feature = "stream")]
pub use stream::{ItemStream, StreamError};
