//! A published event stream: each event is an update.

use std::{mem, time::Duration};

use tidings_codec::{Decoder, Item};

use super::{Refusal, UpdateReader};
use crate::{
    MAX_TOPIC_BYTES, Topic,
    log::{Append, Republishing},
};

/// How much memory a stream keeps between two events.
const KEPT_BYTES: usize = 4 << 10;

/// Reads `text/event-stream` strictly. A browser ignores errors in silence; here, an update would be lost in silence.
///
/// Comments, and blocks that only set `retry` or an `id`, are allowed and not published. The same goes for the streams of other
/// hubs: their own events, their first reconnection time, and their `topic` lines.
#[derive(Debug)]
pub(crate) struct EventStreamReader {
    topic: Topic,
    decoder: Decoder,
    max_retry: Duration,
    republishing: Republishing,
    named: Named,
}

impl EventStreamReader {
    pub(crate) fn new(topic: Topic, max_data_bytes: usize, max_retry: Duration) -> EventStreamReader {
        // A line has the name of its field beside the data; comments and other fields are short.
        let max_line_bytes = max_data_bytes.saturating_add(1 << 10);
        let decoder = Decoder::strict()
            .with_max_line_bytes(max_line_bytes)
            .with_max_event_bytes(max_data_bytes)
            .with_unknown_fields(true);
        let (republishing, named) = (Republishing::default(), Named::default());
        EventStreamReader { topic, decoder, max_retry, republishing, named }
    }
}

impl UpdateReader for EventStreamReader {
    fn read(&mut self, input: &mut &[u8]) -> Option<Result<Append, Refusal>> {
        let EventStreamReader { topic, decoder, max_retry, republishing, named } = self;
        loop {
            let item = match decoder.decode(input)? {
                Ok(Item::Unknown { name: "topic", value }) => {
                    named.add(value, topic);
                    continue;
                }
                Ok(Item::Unknown { name, .. }) => {
                    return Some(Err(Refusal::invalid(format!(
                        "field {name:?} is not known, and a browser would ignore it; an event has data, event, id and retry"
                    ))));
                }
                Ok(item) => item,
                Err(error) => return Some(Err(error.into())),
            };
            if matches!(item, Item::Event(_)) {
                if let Some(other) = mem::take(named).only_others() {
                    return Some(Err(Refusal::other_topic(&other, topic)));
                }
            }
            if let Some(append) = republishing.read(&item, topic, *max_retry).transpose() {
                return Some(append.map_err(Refusal::from));
            }
        }
    }

    fn unfinished_bytes(&mut self) -> usize {
        let unfinished = self.decoder.unfinished_bytes();
        if unfinished == 0 {
            // Otherwise one large event would cost its memory as long as the stream stays open.
            self.decoder.shrink_to(KEPT_BYTES);
        }
        unfinished
    }

    fn finish(&mut self) -> Option<Result<Append, Refusal>> {
        self.decoder.finish().err().map(|incomplete| Err(incomplete.into()))
    }

    fn line(&self) -> u64 {
        // The decoder is at the line after the blank line that ended the event.
        self.decoder.line().saturating_sub(1).max(1)
    }
}

/// The topics that a block names.
#[derive(Debug, Default)]
struct Named {
    /// The first topic that is not the one of the request. One topic is kept, cut short, no matter how many there are.
    other: Option<String>,
    is_here: bool,
}

impl Named {
    fn add(&mut self, name: &str, topic: &Topic) {
        if name == topic.as_str() {
            self.is_here = true;
        } else {
            self.other.get_or_insert_with(|| name.chars().take(MAX_TOPIC_BYTES).collect());
        }
    }

    /// Another topic, if the block names topics and not the one of the request.
    fn only_others(self) -> Option<String> {
        self.other.filter(|_| !self.is_here)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log::IdempotencyKey;

    const HUB_ID: &str = "~AAAAAAAAAAAAAAAAAAAAAAAA";

    /// The updates that are appended for a stream, in few words, however the stream is cut.
    fn read(stream: &str) -> Result<Vec<String>, String> {
        let all = [1, 2, 7, stream.len()].map(|piece| {
            let mut reader = EventStreamReader::new(Topic::parse("t").unwrap(), 100, Duration::from_secs(10));
            let mut appends = Vec::new();
            for mut input in stream.as_bytes().chunks(piece) {
                while let Some(append) = reader.read(&mut input) {
                    let append = append.map_err(|problem| format!("{} {problem:?}", reader.line()))?;
                    let event = append.update.event();
                    let id = event.id().map_or("", |id| id.as_str());
                    let key = append.key.as_ref().map_or("", IdempotencyKey::as_str);
                    let retry = event.retry().map_or(0, |retry| Duration::as_millis(&retry));
                    let kind = if append.update.is_close() { "CLOSE" } else { event.event_type() };
                    appends.push(format!("{kind} {:?} id={id} key={key} retry={retry}", event.data()));
                }
            }
            Ok(appends)
        });
        assert!(all.iter().all(|read| *read == all[0]), "{all:?}");
        let [whole, ..] = all;
        whole
    }

    #[test]
    fn a_hubs_stream_is_its_updates() {
        let stream = format!(
            ":\nretry: 2000\nevent: start\ndata: {{\"id\":\"{HUB_ID}\"}}\nid: {HUB_ID}\n\n:\n\
             event: t\ndata: one\nid: {HUB_ID}\n\nevent: ping\ndata:\n\ntopic: s\ntopic: t\nretry: 700\ndata: two\nid: i\n\n\
             event: gap\ndata: {{}}\nid: {HUB_ID}\n\nevent: access\ndata: {{}}\n\nevent: close\ndata: done\nid: {HUB_ID}\n\n"
        );
        assert_eq!(
            read(&stream).unwrap(),
            [
                format!("t \"one\" id= key=import:{HUB_ID} retry=0"),
                "message \"two\" id=i key= retry=700".into(),
                "upstream-gap \"{}\" id= key= retry=0".into(),
                "CLOSE \"done\" id= key= retry=0".into(),
            ]
        );
    }

    #[test]
    fn the_reconnection_time_of_the_opening_is_not_the_first_events() {
        for (stream, retry) in [
            (":\nretry: 2000\ndata: x\n\n", 0),
            (":\nretry: 2000\n:\ndata: x\n\n", 0),
            (":\nretry: 2000\nretry: 500\ndata: x\n\n", 500),
            ("retry: 500\ndata: x\n\n", 500),
            (": c\nretry: 500\ndata: x\n\n", 500),
            (":\n:\nretry: 500\ndata: x\n\n", 500),
        ] {
            assert_eq!(
                read(stream).unwrap(),
                [format!("message \"x\" id= key= retry={retry}")],
                "{stream:?}"
            );
        }
    }

    #[test]
    fn a_ping_that_is_no_heartbeat_of_a_hub_is_published() {
        for stream in ["event: ping\ndata:\n\n", "event: ping\ndata:\nid: 7\n\n", "event: ping\ndata: x\n\n"]
        {
            assert_eq!(read(stream).unwrap().len(), 1, "{stream:?}");
        }
    }

    #[test]
    fn what_only_looks_like_a_hubs_event_is_refused() {
        for (stream, line) in [
            ("event: start\ndata: x\n\n", "3 "),
            ("event: close\ndata: x\nid: 7\n\n", "4 "),
            ("event: gap\ndata: x\nid: ~short\n\n", "4 "),
            ("data: x\nid: ~short\n\n", "3 "),
            ("topic: other\ndata: x\n\n", "3 "),
            ("data: x\ntopics: t\n\n", "2 "),
        ] {
            let problem = read(stream).unwrap_err();
            assert!(problem.starts_with(line), "{stream:?}: {problem}");
        }
    }
}
