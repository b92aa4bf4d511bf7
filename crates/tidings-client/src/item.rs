//! What a stream yields.

use std::{sync::Arc, time::Duration};

use tidings_codec::{Event, EventId};

use crate::{gap::Gap, reconnect::Cause, response::ResponseHead};

/// What an [`EventSource`](crate::EventSource) yields, in the order in which it happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// The server has answered with an event stream: the browser's `open`. Comes again after each reconnection.
    Opened(ResponseHead),
    /// An event: the browser's `message`, or the event of its type.
    Event(ReceivedEvent),
    /// The text of a comment line; only if [asked for](crate::EventSource::with_comments).
    Comment(String),
    /// The hub cannot give what this subscriber has missed. What follows is complete again. Only of a stream that
    /// [is a hub's](crate::ResponseHead::is_hub).
    Gap(Gap),
    /// The connection is gone, and the next attempt begins when `after` has passed.
    Retrying {
        /// What became of the connection.
        cause: Cause,
        /// How long the source waits, from now.
        after: Duration,
    },
}

/// An event as this subscriber received it: the [`Event`], and what only its stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    event: Event,
    /// The last event ID where the event's own block did not set one. Shared by all events until it changes.
    inherited_id: Option<Arc<str>>,
    topic: Option<String>,
}

impl ReceivedEvent {
    pub(crate) fn new(event: Event, inherited_id: Option<Arc<str>>, topic: Option<String>) -> Self {
        Self { event, inherited_id, topic }
    }

    /// The event type; `"message"` when the server named none.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.event.event_type()
    }

    /// The data, its lines joined by LF.
    #[must_use]
    pub fn data(&self) -> &str {
        self.event.data()
    }

    /// The last event ID at the dispatch of this event: its own, or else that of an earlier event. Empty when there is
    /// none. It is what a browser shows as `lastEventId`.
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

    /// The reconnection time that the event itself carried. The source obeys it already, within
    /// [its bounds](crate::EventSource::with_max_reconnection_time).
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.event.retry()
    }

    /// The topic that the update was published to, if the server says so in a `topic` field.
    ///
    /// The field is not part of the standard; a hub adds it when asked, and every other client ignores it.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Takes the data out.
    #[must_use]
    pub fn into_data(self) -> String {
        self.event.into_data()
    }

    /// Takes out what was sent, for instance to send it on.
    #[must_use]
    pub fn into_event(self) -> Event {
        self.event
    }
}
