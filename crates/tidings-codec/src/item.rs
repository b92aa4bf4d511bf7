//! The items that a decoder yields, borrowed from the chunk or from the decoder.

use alloc::vec::Vec;
use core::time::Duration;

use crate::encode::encode_event;
use crate::event::{DEFAULT_TYPE, Event, EventId, EventType};

/// One item of an event stream: an event, a comment or a setting.
///
/// It is borrowed until the next call of [`Decoder::decode`](crate::Decoder::decode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'a> {
    /// A dispatched event.
    Event(EventRef<'a>),
    /// The new reconnection time.
    ///
    /// As in the standard, it comes as soon as its line is complete, before the block ends. The event of the block
    /// repeats it in [`EventRef::retry`]. A number above `u64::MAX` milliseconds becomes `u64::MAX`; a strict decoder
    /// refuses it.
    Retry(Duration),
    /// The new last event ID, set by a block that has no data and therefore dispatches no event.
    LastEventId(&'a str),
    /// The text of a comment line, after the colon and one space.
    Comment(&'a str),
    /// A field that the standard does not name. Yielded only if
    /// [`Decoder::with_unknown_fields`](crate::Decoder::with_unknown_fields) is set.
    Unknown {
        /// The field name, such as `topic`. Never empty.
        name: &'a str,
        /// The field value, after the colon and one space.
        value: &'a str,
    },
}

/// A dispatched event, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef<'a> {
    /// The event type buffer: empty means `message`.
    pub(crate) event_type: &'a str,
    pub(crate) data: &'a str,
    pub(crate) last_event_id: &'a str,
    pub(crate) sets_id: bool,
    pub(crate) retry: Option<Duration>,
}

impl<'a> EventRef<'a> {
    /// The event type; `"message"` when the block names none.
    pub fn event_type(&self) -> &'a str {
        if self.event_type.is_empty() { DEFAULT_TYPE } else { self.event_type }
    }

    /// The data, its lines joined by LF.
    pub fn data(&self) -> &'a str {
        self.data
    }

    /// The ID that this event's own block set. `None` if the block set none, or an ID that is ignored because of a NUL.
    pub fn id(&self) -> Option<&'a str> {
        self.sets_id.then_some(self.last_event_id)
    }

    /// The last event ID as of this event, set by its own block or an earlier one; `""` if there is none.
    ///
    /// The same value as `MessageEvent.lastEventId` in a browser.
    pub fn last_event_id(&self) -> &'a str {
        self.last_event_id
    }

    /// The reconnection time that this event's own block set.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Copies the event, so that it can outlive the chunk.
    ///
    /// The copy has the ID of the event's own block only; [`last_event_id`](Self::last_event_id) is not kept.
    pub fn to_owned_event(&self) -> Event {
        let mut event = Event::new(self.data);
        if !self.event_type.is_empty() {
            event = event.with_type(EventType::from_wire(self.event_type));
        }
        if let Some(id) = self.id() {
            event = event.with_id(EventId::from_wire(id));
        }
        if let Some(retry) = self.retry {
            event = event.with_retry(retry);
        }
        event
    }

    /// Appends the same bytes to `out` as [`Event::encode`] would, without making an [`Event`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_event(self.event_type(), self.data, self.id(), self.retry, out);
    }
}
