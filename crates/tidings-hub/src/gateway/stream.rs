//! The name of a stream, and the names that follow from it.

use std::{borrow::Cow, fmt, io, sync::LazyLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tidings_codec::{Event, EventId, EventType};

use crate::{Matchers, RESERVED_TYPES, Topic, Update, log::HubId};

/// Topics at and below it are the gateway's own.
const RESERVED: &str = "llm";

/// Where each stream is announced when it starts, so that a stream that was cut is found after a restart.
const STARTED: &str = "llm/started";

/// Where the gateway notes, now and then, up to which position all announced streams have ended. A restart need not read those.
const ENDED: &str = "llm/ended";

/// Precedes the type of an upstream's event that would otherwise be taken for an event of the hub.
pub(super) const OF_UPSTREAM: &str = "upstream-";

/// The ID of a stream: 128 bits that cannot be guessed, as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StreamId([u8; 16]);

impl StreamId {
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> StreamId {
        StreamId(bytes)
    }

    pub(crate) fn random() -> io::Result<StreamId> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(StreamId(bytes))
    }

    /// Reads an ID back; `None` for a text that [`Display`](fmt::Display) does not write.
    pub(crate) fn parse(text: &str) -> Option<StreamId> {
        let mut bytes = [0; 16];
        (text.len() == 22 && URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) == Ok(16))
            .then_some(StreamId(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The topic that has the stream's events.
    pub(crate) fn topic(&self) -> Topic {
        Topic::parse(&format!("{RESERVED}/{self}")).expect("base64url has no control characters and no star")
    }

    /// The ID of the record that announces the stream, by which it is found. It is also the position before its first event.
    pub(crate) fn start_id(&self) -> EventId {
        self.named("start")
    }

    /// The ID of the event by which the gateway itself reports an error. Because of the ID there is one at most, even if it is
    /// appended twice.
    pub(crate) fn error_id(&self) -> EventId {
        self.named("error")
    }

    /// The hub's own IDs have no dot, and a publisher may not choose an ID that starts with a tilde.
    fn named(&self, name: &str) -> EventId {
        let text = format!("{}{self}.{name}", HubId::PREFIX);
        EventId::parse(text).expect("base64url has no line breaks and no NUL")
    }

    /// One event of the stream.
    pub(crate) fn update(&self, event: Event) -> Update {
        update_of(self.topic(), event)
    }

    /// The end of the stream.
    pub(crate) fn close(&self, reason: &str) -> Update {
        let close = EventType::parse("close").expect("a word is a valid event type");
        let event = Event::new(reason).with_type(close);
        update_of(self.topic(), event).closing()
    }

    /// The announcement of the stream.
    pub(crate) fn announce(&self, data: String) -> Update {
        update_of(started(), Event::new(data).with_id(self.start_id()))
    }
}

/// One event of the stream that has this topic. It is private: a reader needs a token of the stream.
pub(crate) fn update_of(topic: Topic, event: Event) -> Update {
    Update::of(topic, event).private()
}

/// The topic of the announcements.
pub(crate) fn started() -> Topic {
    Topic::parse(STARTED).expect("a plain topic")
}

/// The topic of the notes that say up to which position all announced streams have ended.
pub(crate) fn ended() -> Topic {
    Topic::parse(ENDED).expect("a plain topic")
}

/// The type under which an upstream's event is kept and comes at the stream's own URL: there, the reserved
/// types are the hub's, and a reader must know that the hub has said it.
pub(crate) fn kept_type(sent: &str) -> Cow<'_, str> {
    match RESERVED_TYPES.contains(&sent) || sent.starts_with(OF_UPSTREAM) {
        true => Cow::Owned(format!("{OF_UPSTREAM}{sent}")),
        false => Cow::Borrowed(sent),
    }
}

/// The topics that only the gateway publishes to, and reads.
pub(super) static RESERVED_TOPICS: LazyLock<Matchers> = LazyLock::new(|| {
    let matchers = Matchers::parse([RESERVED.to_owned(), format!("{RESERVED}/"), format!("{RESERVED}/*")]);
    matchers.expect("a word is a valid topic, and with a slash a prefix")
});

/// Whether only the gateway publishes to `topic`, and reads it.
pub(crate) fn is_reserved(topic: &str) -> bool {
    topic.strip_prefix(RESERVED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_garbage_is_not() {
        let id = StreamId::from_bytes([7; 16]);
        assert_eq!(StreamId::parse(&id.to_string()), Some(id));
        for bad in ["", "x", &id.to_string()[1..], &format!("{id}A"), &"*".repeat(22), &"_".repeat(22)] {
            assert_eq!(StreamId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_has_a_name_is_never_taken_for_a_place() {
        let id = StreamId::from_bytes([1; 16]);
        for named in [id.start_id(), id.error_id()] {
            assert_eq!(HubId::parse(named.as_str()), None);
        }
    }

    #[test]
    fn the_reserved_topics_are_the_word_and_those_below_it() {
        for topic in ["llm", "llm/", "llm/x", "llm/started"] {
            assert!(is_reserved(topic), "{topic}");
            assert!(RESERVED_TOPICS.covers(&Topic::parse(topic).unwrap()), "{topic}");
        }
        for topic in ["llms", "LLM/x", "a/llm", "ll"] {
            assert!(!is_reserved(topic), "{topic}");
            assert!(!RESERVED_TOPICS.covers(&Topic::parse(topic).unwrap()), "{topic}");
        }
    }
}
