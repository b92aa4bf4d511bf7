//! An owned event, to be sent or stored. It is valid from the moment it is built.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// The type of an event that sets none. Source: HTML, "Interpreting an event stream", dispatch.
pub(crate) const DEFAULT_TYPE: &str = "message";

/// One event: its data, and optionally a type, an ID and a reconnection time.
///
/// Every `Event` can be encoded, and decoding the result gives an equal `Event`.
///
/// ```
/// use tidings_codec::{Event, EventId, EventType};
///
/// let event = Event::new("two\r\nlines")
///     .with_type(EventType::parse("note")?)
///     .with_id(EventId::parse("42")?);
/// let mut out = Vec::new();
/// event.encode(&mut out);
/// assert_eq!(out, b"event: note\ndata: two\ndata: lines\nid: 42\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Event {
    /// Never `""` or `"message"`: both mean no type on the wire.
    event_type: Option<EventType>,
    /// Line ends are LF only.
    data: String,
    id: Option<EventId>,
    /// Whole milliseconds, at most `u64::MAX` of them.
    retry: Option<Duration>,
}

impl Event {
    /// Makes an event with `data`, and without type, ID or reconnection time.
    ///
    /// CRLF and CR in `data` become LF, because the wire format does not keep the kind of line end. Data without a CR
    /// is not copied. Empty data counts as data: the event is dispatched.
    pub fn new(data: impl Into<String>) -> Event {
        Event { data: with_lf_line_ends(data.into()), ..Event::default() }
    }

    /// Sets the event type. In a browser `addEventListener` selects by it.
    ///
    /// `"message"` and `""` mean an event without a type, and are stored as none.
    #[must_use]
    pub fn with_type(mut self, event_type: EventType) -> Event {
        self.event_type = Some(event_type).filter(|t| !matches!(t.as_str(), "" | DEFAULT_TYPE));
        self
    }

    /// Sets the ID that a client sends back as `Last-Event-ID` when it reconnects after this event.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Event {
        self.id = Some(id);
        self
    }

    /// Sets how long the client waits before it reconnects, from this event on.
    ///
    /// Sent in whole milliseconds: smaller parts are cut off, and `u64::MAX` milliseconds is the maximum.
    #[must_use]
    pub fn with_retry(mut self, retry: Duration) -> Event {
        self.retry = Some(Duration::from_millis(whole_millis(retry)));
        self
    }

    /// The event type; `"message"` when none was set.
    pub fn event_type(&self) -> &str {
        self.event_type.as_ref().map_or(DEFAULT_TYPE, EventType::as_str)
    }

    /// The data, its lines separated by LF.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The ID that this event sets. `None` leaves the last event ID as it was; an empty ID resets it.
    pub fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The reconnection time that this event sets, in whole milliseconds.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Releases unused memory of the event's texts, before the event is stored for long.
    pub fn shrink_to_fit(&mut self) {
        self.data.shrink_to_fit();
        if let Some(EventType(text)) = &mut self.event_type {
            text.shrink_to_fit();
        }
        if let Some(EventId(text)) = &mut self.id {
            text.shrink_to_fit();
        }
    }

    /// Returns the data without copying it.
    pub fn into_data(self) -> String {
        self.data
    }
}

/// An ID of an event: any text without CR, LF and NUL. Empty text resets the client's last event ID.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(String);

impl EventId {
    /// Checks that `id` arrives at the client unchanged.
    ///
    /// # Errors
    /// `id` contains CR or LF, which would end the field early, or NUL, which makes every client ignore the ID.
    pub fn parse(id: impl Into<String>) -> Result<EventId, InvalidId> {
        let id = id.into();
        match memchr::memchr3(b'\r', b'\n', b'\0', id.as_bytes()) {
            Some(at) => Err(InvalidId { found: char::from(id.as_bytes()[at]) }),
            None => Ok(EventId(id)),
        }
    }

    /// For text from an `id` field, which holds none of the refused characters.
    pub(crate) fn from_wire(id: &str) -> EventId {
        EventId(id.into())
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text without copying it.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl AsRef<str> for EventId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The type of an event: any text without CR and LF, such as `user-joined`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(String);

impl EventType {
    /// Checks that `event_type` arrives at the client unchanged.
    ///
    /// `""` and `"message"` are accepted; [`Event::with_type`] stores both as no type.
    ///
    /// # Errors
    /// `event_type` contains CR or LF, which would end the field early.
    pub fn parse(event_type: impl Into<String>) -> Result<EventType, InvalidType> {
        let event_type = event_type.into();
        match memchr::memchr2(b'\r', b'\n', event_type.as_bytes()) {
            Some(at) => Err(InvalidType { found: char::from(event_type.as_bytes()[at]) }),
            None => Ok(EventType(event_type)),
        }
    }

    /// For text from an `event` field, which holds no line break.
    pub(crate) fn from_wire(event_type: &str) -> EventType {
        EventType(event_type.into())
    }

    /// The event type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text without copying it.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl AsRef<str> for EventType {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text cannot be an [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId {
    found: char,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.found {
            '\0' => "an id with a NUL is ignored by every client",
            _ => "an id field ends at the first line break",
        };
        write!(f, "event id contains {:?}; {rule}", self.found)
    }
}

impl core::error::Error for InvalidId {}

/// Why a text cannot be an [`EventType`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidType {
    found: char,
}

impl fmt::Display for InvalidType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event type contains {:?}; an event field ends at the first line break", self.found)
    }
}

impl core::error::Error for InvalidType {}

/// The number of milliseconds that a `retry` field can hold for `retry`.
pub(crate) fn whole_millis(retry: Duration) -> u64 {
    u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)
}

fn with_lf_line_ends(text: String) -> String {
    if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        return text;
    }
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_line_end_in_data_becomes_lf() {
        assert_eq!(Event::new("a\r\nb\rc\nd\r\r\n\n").data(), "a\nb\nc\nd\n\n\n");
    }

    #[test]
    fn data_without_cr_is_not_copied() {
        let data = String::from("one\ntwo");
        let place = data.as_ptr();
        let kept = Event::new(data).into_data();
        assert_eq!(kept.as_ptr(), place);
    }

    #[test]
    fn message_and_empty_types_are_no_type() -> Result<(), InvalidType> {
        for name in ["", "message"] {
            let event =
                Event::new("x").with_type(EventType::parse("note")?).with_type(EventType::parse(name)?);
            assert_eq!(event, Event::new("x"));
            assert_eq!(event.event_type(), "message");
        }
        Ok(())
    }

    #[test]
    fn retry_is_whole_milliseconds_and_saturates() {
        let retry = |d| Event::new("").with_retry(d).retry();
        assert_eq!(retry(Duration::from_micros(1999)), Some(Duration::from_millis(1)));
        assert_eq!(retry(Duration::MAX), Some(Duration::from_millis(u64::MAX)));
    }

    #[test]
    fn ids_and_types_that_would_break_the_stream_are_refused_with_the_reason() {
        let id = |text: &str| EventId::parse(text).map_err(|e| e.to_string());
        assert_eq!(
            id("a\nb"),
            Err(r"event id contains '\n'; an id field ends at the first line break".into())
        );
        assert_eq!(
            id("\0"),
            Err(r"event id contains '\0'; an id with a NUL is ignored by every client".into())
        );
        assert!(id("\r").is_err());
        assert_eq!(id("").map(|i| i.to_string()), Ok(String::new()));
        let event_type = |text: &str| EventType::parse(text).map_err(|e| e.to_string());
        assert_eq!(
            event_type("a\rb"),
            Err(r"event type contains '\r'; an event field ends at the first line break".into())
        );
        assert!(event_type("\n").is_err() && event_type("a\0").is_ok());
    }
}
