//! The notice of a hub that it cannot resume a subscriber completely.

use serde_json::Value;

use crate::item::ReceivedEvent;

/// The event type of a gap. The hub lets no publisher use it.
const TYPE: &str = "gap";

/// Updates that this subscriber may have missed for good.
///
/// A hub sends it once a connection, before the first update that it still has. If your application builds a state from
/// updates, load the state again at this point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    asked: Option<String>,
    reason: String,
    first: Option<String>,
    event: ReceivedEvent,
}

impl Gap {
    /// Reads an event of type `gap`, whose data is for instance `{"asked":"a7","reason":"evicted","first":"b2"}`.
    ///
    /// Returns `None` for any other event, and for one of that type without a reason. Do not call it for a stream that
    /// is not a hub's: there, events of type `gap` have another meaning.
    pub(crate) fn read(event: &ReceivedEvent) -> Option<Self> {
        if event.event_type() != TYPE {
            return None;
        }
        let Ok(Value::Object(mut fields)) = serde_json::from_str(event.data()) else { return None };
        let mut text = |name| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        Some(Self {
            asked: text("asked"),
            reason: text("reason")?,
            first: text("first"),
            event: event.clone(),
        })
    }

    /// The last event ID from which the hub was asked to resume.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// The reason why the hub cannot resume from there, such as `evicted`.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The ID of the first update that the hub still has. `None` if it has none.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// The event that announced the gap. Its ID is the position just before the first update that the hub still has.
    #[must_use]
    pub fn event(&self) -> &ReceivedEvent {
        &self.event
    }
}

#[cfg(test)]
mod tests {
    use tidings_codec::{Event, EventType};

    use super::*;

    fn read(event_type: &str, data: &str) -> Option<Gap> {
        let event = Event::new(data).with_type(EventType::parse(event_type).unwrap());
        Gap::read(&ReceivedEvent::new(event, None, None))
    }

    #[test]
    fn a_gap_says_what_was_asked_why_and_what_is_left() {
        let gap = read("gap", r#"{"asked":"a","reason":"evicted","first":"b"}"#).unwrap();
        assert_eq!((gap.asked(), gap.reason(), gap.first()), (Some("a"), "evicted", Some("b")));
        let gap = read("gap", r#"{"asked":"a","reason":"unknown","first":null}"#).unwrap();
        assert_eq!(gap.first(), None);
    }

    #[test]
    fn an_event_of_that_type_without_a_reason_is_no_gap() {
        for data in ["", "mind the gap", "[]", "{}", r#"{"reason":7}"#] {
            assert_eq!(read("gap", data), None, "{data}");
        }
        assert_eq!(read("update", r#"{"reason":"evicted"}"#), None);
    }
}
