//! The bytes of an event on the wire.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use tidings_codec::{Event, EventId, EventType};

use super::chunk::Encoded;
use crate::log::{Record, json::RecordJson};

/// The wire forms in which a subscriber can have its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum EventFormat {
    /// The event as it was published.
    #[default]
    Plain,
    /// With a `topic: …` line for each of its topics, which every conforming parser ignores.
    TopicLine,
    /// The data is JSON, `{"topic", "type", "data", "id", "retry", "time"}`, for clients that cannot see other fields.
    Envelope,
    /// The same JSON, and every event is of type `message`: one `onmessage` of an `EventSource`, which only hears types
    /// that it knows, hears them all.
    MessageEnvelope,
    /// The form of the part that extends the hub, for its own subscriptions. In a hub without one, it is
    /// [`Plain`](EventFormat::Plain).
    Own,
}

/// The wire form that an extension of the hub writes for readers of another protocol.
pub(crate) trait OwnFormat: Send + Sync {
    /// Whether a reader gets nothing for `record`.
    fn hides(&self, record: &Record) -> bool;

    /// The event that a reader gets for `record`. An event without an ID gets the record's.
    fn event<'a>(&self, record: &'a Record) -> Cow<'a, Event>;

    /// The event that tells a reader of a gap, encoded.
    fn gap(&self) -> &'static [u8];
}

/// A wire form, and how it is written in this hub.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    format: EventFormat,
    own: Option<&'static dyn OwnFormat>,
}

impl Form {
    pub(super) fn of(format: EventFormat, own: Option<&'static dyn OwnFormat>) -> Form {
        Form { format, own: own.filter(|_| format == EventFormat::Own) }
    }

    /// The form of the hub's extension, if this is it.
    pub(super) fn own(self) -> Option<&'static dyn OwnFormat> {
        self.own
    }

    /// Whether a reader of this form gets nothing for `record`.
    pub(super) fn hides(self, record: &Record) -> bool {
        self.own.is_some_and(|own| own.hides(record))
    }

    /// Appends the event of `record` to `out`.
    pub(super) fn encode(self, record: &Record, out: &mut Vec<u8>) {
        match self.own {
            Some(own) => encode(&own.event(record), record, out),
            None => self.format.encode(record, out),
        }
    }
}

impl EventFormat {
    const COUNT: usize = 5;

    /// All of them, in their order.
    pub(super) const ALL: [EventFormat; EventFormat::COUNT] = [
        EventFormat::Plain,
        EventFormat::TopicLine,
        EventFormat::Envelope,
        EventFormat::MessageEnvelope,
        EventFormat::Own,
    ];

    /// Whether an event says of which topics it is.
    pub(super) fn names_topics(self) -> bool {
        !matches!(self, EventFormat::Plain | EventFormat::Own)
    }

    /// Appends the event of `record` to `out`. [`Own`](EventFormat::Own) is written as [`Plain`](EventFormat::Plain): only a hub
    /// knows its extension.
    pub fn encode(self, record: &Record, out: &mut Vec<u8>) {
        match self {
            EventFormat::Plain | EventFormat::Own => encode(record.event(), record, out),
            EventFormat::TopicLine => {
                for topic in record.topics() {
                    // A topic has no control characters, so it cannot end its line.
                    out.extend_from_slice(b"topic: ");
                    out.extend_from_slice(topic.as_str().as_bytes());
                    out.push(b'\n');
                }
                encode(record.event(), record, out);
            }
            EventFormat::Envelope => {
                envelope(record).with_type(event_type(record.event().event_type())).encode(out);
            }
            EventFormat::MessageEnvelope => envelope(record).encode(out),
        }
    }
}

/// A record with its frames: each is encoded when it is first asked for, and once.
#[derive(Debug)]
pub(crate) struct Framed {
    /// The record of the frames. Its grant is checked with each delivery.
    pub(crate) record: Arc<Record>,
    plain: OnceLock<Encoded>,
    /// Those of the other forms, in their order. Few hubs have readers of any.
    others: OnceLock<Box<[OnceLock<Encoded>; EventFormat::COUNT - 1]>>,
}

impl Framed {
    pub(crate) fn new(record: Arc<Record>) -> Framed {
        Framed { record, plain: OnceLock::new(), others: OnceLock::new() }
    }

    pub(crate) fn frame(&self, form: Form) -> &Encoded {
        let frame = match (form.format as usize).checked_sub(1) {
            None => &self.plain,
            Some(other) => &self.others.get_or_init(Box::default)[other],
        };
        frame.get_or_init(|| {
            let mut out = Encoded::begin(self.record.event().data().len() + 128);
            form.encode(&self.record, &mut out);
            Encoded::finish(out)
        })
    }
}

/// Encodes the event of `record`, or what stands for it, with the record's ID.
fn encode(event: &Event, record: &Record, out: &mut Vec<u8>) {
    event.encode(out);
    if let Some(id) = record.hub_id() {
        // The ID is the last line, so it takes the place of the blank one.
        out.truncate(out.len() - 1);
        for part in [b"id: ", &id.to_bytes()[..], b"\n\n"] {
            out.extend_from_slice(part);
        }
    }
}

/// An event of the hub itself (`start`, `gap`), whose data is a JSON object.
pub(crate) fn hub_event(event_type: &'static str, data: &serde_json::Value, id: String) -> Bytes {
    Event::new(data.to_string())
        .with_type(self::event_type(event_type))
        .with_id(EventId::parse(id).expect("the hub's IDs are base64url"))
        .to_bytes()
}

/// The record as JSON in an event with the same ID and retry.
fn envelope(record: &Record) -> Event {
    let json = serde_json::to_string(&RecordJson::from(record)).expect("strings and numbers are JSON");
    let id = EventId::parse(record.id().to_string()).expect("every ID of an event has been checked");
    let mut event = Event::new(json).with_id(id);
    if let Some(retry) = record.event().retry() {
        event = event.with_retry(retry);
    }
    event
}

fn event_type(checked: &str) -> EventType {
    EventType::parse(checked).expect("the types of events and of the hub have no line breaks")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Topic, Update, UpdateId, UpdateRetry, UpdateType,
        log::{Epoch, RecordTime},
    };

    fn encoded(form: EventFormat, update: Update) -> String {
        let record = Record::new(Epoch::from_bits(1), 1, RecordTime::stored(1), update);
        let framed = Framed::new(Arc::new(record));
        String::from_utf8(framed.frame(Form::of(form, None)).data().to_vec()).unwrap()
    }

    fn retry(millis: u64) -> UpdateRetry {
        UpdateRetry::parse(Duration::from_millis(millis), UpdateRetry::MAX).unwrap()
    }

    fn update() -> Update {
        Update::new(Topic::parse("a/b").unwrap(), "x\ny")
            .with_type(UpdateType::parse("t").unwrap())
            .with_id(UpdateId::parse("7").unwrap())
            .with_retry(retry(1500))
    }

    #[test]
    fn the_id_comes_last_so_that_a_cut_event_is_not_counted() {
        assert_eq!(
            encoded(EventFormat::Plain, update()),
            "event: t\nretry: 1500\ndata: x\ndata: y\nid: 7\n\n"
        );
    }

    #[test]
    fn the_hubs_id_stands_where_a_publishers_would() {
        let update = Update::new(Topic::parse("a").unwrap(), "x").with_retry(retry(500));
        let record = Record::new(Epoch::from_bits(1), 1, RecordTime::MIN, update);
        let mut out = Vec::new();
        EventFormat::Plain.encode(&record, &mut out);
        assert_eq!(out, record.to_event().to_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), format!("retry: 500\ndata: x\nid: {}\n\n", record.id()));
    }

    #[test]
    fn the_topic_line_stands_before_the_event() {
        let text = encoded(EventFormat::TopicLine, update());
        assert_eq!(text, "topic: a/b\nevent: t\nretry: 1500\ndata: x\ndata: y\nid: 7\n\n");
    }

    #[test]
    fn the_envelope_is_one_line_of_json() {
        let json = r#"{"topic":"a/b","type":"t","data":"x\ny","id":"7","retry":1500,"time":"1970-01-01T00:00:00.001Z"}"#;
        assert_eq!(
            encoded(EventFormat::Envelope, update()),
            format!("event: t\nretry: 1500\ndata: {json}\nid: 7\n\n")
        );
        assert_eq!(
            encoded(EventFormat::MessageEnvelope, update()),
            format!("retry: 1500\ndata: {json}\nid: 7\n\n")
        );
    }
}
