//! What a hub says when it cannot resume a subscriber completely.

use serde_json::Value;

use crate::item::ReceivedEvent;

/// The event type of a gap. The hub keeps it to itself.
const TYPE: &str = "gap";

/// Updates that this subscriber may have missed for good.
///
/// A hub tells it once, before the first update that it can still give. Whoever keeps a state made from updates loads it
/// anew at this point.
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
    /// `None` for any other event, and for one of that type without a reason. In a stream that is not a hub's, nobody asks:
    /// a foreign server's events of that type are its own.
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

    /// The last event ID that the hub was asked to resume from.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// Why the hub cannot resume from there, for instance `evicted`.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The ID of the first update that the hub still has; `None` when it has none.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// The event that told it. Its ID is the place just before the first update that is kept.
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
