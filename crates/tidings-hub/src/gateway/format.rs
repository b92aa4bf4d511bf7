//! The events of a stream as the SDK's own protocol has them.

use std::borrow::Cow;

use tidings_codec::{Event, EventType};

use super::stream::{OF_UPSTREAM, is_reserved};
use crate::{delivery::OwnFormat, log::Record};

/// Writes the events of the upstream alone, without those of the hub.
///
/// The end of the topic is the end of the response. A gap is an event of type `error`, with JSON of the shape that LLM interfaces
/// use.
pub(super) struct SdkFormat;

const GAP: &[u8] = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"code\":\"gap\",\"message\":\"\
a part of this answer is no longer kept\"}}\n\n";

impl OwnFormat for SdkFormat {
    fn hides(&self, record: &Record) -> bool {
        record.is_close()
    }

    /// The event as the upstream sent it.
    fn event<'a>(&self, record: &'a Record) -> Cow<'a, Event> {
        let event = record.event();
        let of_a_stream = record.topics().first().is_some_and(|topic| is_reserved(topic.as_str()));
        match event.event_type().strip_prefix(OF_UPSTREAM).filter(|_| of_a_stream) {
            Some(sent) => {
                let sent = EventType::parse(sent).expect("it is a part of a valid event type");
                Cow::Owned(event.clone().with_type(sent))
            }
            None => Cow::Borrowed(event),
        }
    }

    fn gap(&self) -> &'static [u8] {
        GAP
    }
}
