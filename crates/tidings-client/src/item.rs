//! The items that a stream yields.

use std::{sync::Arc, time::Duration};

use tidings_codec::{Event, EventId};

use crate::{gap::Gap, reconnect::Cause, response::ResponseHead};

/// An item of an [`EventSource`](crate::EventSource), in the order of arrival.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// The server has answered with an event stream: the browser's `open`. Comes again after each reconnection.
    Opened(ResponseHead),
    /// An event: the browser's `message`, or the event of its type.
    Event(ReceivedEvent),
    /// The text of a comment line; only if [asked for](crate::EventSource::with_comments).
    Comment(String),
    /// The hub no longer has some updates that this subscriber missed. The updates that follow are complete again. Only
    /// in a stream that [is a hub's](crate::ResponseHead::is_hub).
    Gap(Gap),
    /// The connection is lost. The next attempt begins after `after`.
    Retrying {
        /// The reason why the connection was lost.
        cause: Cause,
        /// How long the source waits, from now.
        after: Duration,
    },
}

/// An event as this subscriber received it: the [`Event`], and its context in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    event: Event,
    /// The last event ID, used if the event's own block set none. All events share it until it changes.
    inherited_id: Option<Arc<str>>,
    topic: Option<String>,
}

impl ReceivedEvent {
    pub(crate) fn new(event: Event, inherited_id: Option<Arc<str>>, topic: Option<String>) -> Self {
        Self { event, inherited_id, topic }
    }

    /// The event type; `"message"` if the server sent none.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.event.event_type()
    }

    /// The data, its lines joined by LF.
    #[must_use]
    pub fn data(&self) -> &str {
        self.event.data()
    }

    /// The last event ID at the dispatch of this event: its own, or that of an earlier event. Empty if there is none.
    /// The same value as `lastEventId` in a browser.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        match (self.event.id(), &self.inherited_id) {
            (Some(id), _) => id.as_str(),
            (None, Some(id)) => id,
            (None, None) => "",
        }
    }

    /// The ID that the event itself carried.
    #[must_use]
    pub fn id(&self) -> Option<&EventId> {
        self.event.id()
    }

    /// The reconnection time that the event itself carried. The source already obeys it, within [its
    /// bounds](crate::EventSource::with_max_reconnection_time).
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.event.retry()
    }

    /// The topic of the update, if the server sends it in a `topic` field.
    ///
    /// This field is not part of the standard. A hub adds it on request, and every other client ignores it.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Returns the data without copying it.
    #[must_use]
    pub fn into_data(self) -> String {
        self.event.into_data()
    }

    /// Returns the event as it was sent, for instance to send it on.
    #[must_use]
    pub fn into_event(self) -> Event {
        self.event
    }
}
