//! The items that a decoder yields, as owned copies.

use alloc::string::String;
use core::time::Duration;

use crate::event::{Event, EventId};
use crate::item::Item;

/// One item of an event stream, as an owned copy of [`Item`].
///
/// ```
/// use tidings_codec::{Decoder, Event, OwnedItem};
///
/// let mut decoder = Decoder::new();
/// let mut input = &b"data: hello\n\n"[..];
/// let item = decoder.decode(&mut input).transpose()?.map(OwnedItem::from);
/// assert_eq!(item, Some(OwnedItem::Event(Event::new("hello"))));
/// # Ok::<(), tidings_codec::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedItem {
    /// See [`Item::Event`]. It has only the ID that its own block set;
    /// [`Decoder::last_event_id`](crate::Decoder::last_event_id) may come from an earlier block.
    Event(Event),
    /// See [`Item::Retry`].
    Retry(Duration),
    /// See [`Item::LastEventId`].
    LastEventId(EventId),
    /// See [`Item::Comment`].
    Comment(String),
    /// See [`Item::Unknown`].
    Unknown {
        /// The field name. Never empty.
        name: String,
        /// The field value, after the colon and one space.
        value: String,
    },
}

impl From<Item<'_>> for OwnedItem {
    fn from(item: Item<'_>) -> OwnedItem {
        match item {
            Item::Event(event) => OwnedItem::Event(event.to_owned_event()),
            Item::Retry(retry) => OwnedItem::Retry(retry),
            Item::LastEventId(id) => OwnedItem::LastEventId(EventId::from_wire(id)),
            Item::Comment(text) => OwnedItem::Comment(text.into()),
            Item::Unknown { name, value } => OwnedItem::Unknown { name: name.into(), value: value.into() },
        }
    }
}
