//! The wire format of Server-Sent Events: bytes to events and back, by every rule of the HTML standard.
//!
//! Whoever writes a client, a server, a proxy or a test of an event stream needs this part, and little else of it is the
//! same twice. A [`Decoder`] is handed chunks of a response body as they arrive and gives back what they say; where the
//! chunks end does not matter, and an event that lies inside one is borrowed from it, without a copy or an allocation.
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
//! The other way round, an [`Event`] is checked when it is built, so that encoding it can't fail, and no user's text can
//! become a field of its own:
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
//! [`Decoder::new`] forgives what a browser forgives. [`Decoder::strict`] reports it, with the line: for those who read
//! what somebody else publishes, where to forgive would be to lose in silence. Both have limits on lines, events and IDs,
//! so that a stream from the network can't fill the memory.
//!
//! # What it is not
//!
//! It reads no socket, awaits nothing and keeps no time: it does not reconnect (that is `tidings-client`), it does not
//! keep a response open (`tidings-server`), and it does not know what an event means. Without features it needs `alloc`
//! alone; the feature `std`, on by default, only lets its search use the processor at hand.
//!
//! # Features
//!
//! `bytes`: an event as shared bytes. `stream`, `http-body`: a decoder around a stream of chunks, or a body. `json`: the
//! data of an event into serde's types.
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
