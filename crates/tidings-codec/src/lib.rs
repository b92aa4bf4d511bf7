//! The wire format of Server-Sent Events: bytes to events and back.
//!
//! The crate reads no socket, awaits nothing and keeps no time. A [`Decoder`] is handed chunks of a response body as
//! they arrive and gives back what they say; an [`Event`] is built, checked once, and encoded.
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
