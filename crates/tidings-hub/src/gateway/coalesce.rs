//! The compact view: the beginning of a stream in few events.

use bytes::Bytes;
use serde_json::Value;
use tidings_codec::{Event, EventId, EventType};
use tokio::task::yield_now;

use super::{announcement::Announcement, position::announcement, stream::StreamId, wire::Interface};
use crate::{
    Selector,
    delivery::Engine,
    log::{LogError, PageLimit, Record},
};

/// The most bytes of a compact view, which bounds the memory for one reader. Later events come as they were sent.
const MAX_BYTES: usize = 4 << 20;

/// The beginning of a stream for a late reader.
#[derive(Debug)]
pub(super) struct Coalesced {
    /// Whole events. Each has the ID of the last event that is joined in it, so a reader can resume from it.
    pub(super) events: Bytes,
    /// The ID of the last event that is joined in them, or of the event after which they begin.
    pub(super) last_event_id: String,
    /// The sequence of that ID.
    pub(crate) sequence: u64,
}

/// Joins the events after the event `after`, which is at `position`, up to the end of the log. `None` if an event after it is
/// lost: a plain subscription then tells of the gap.
pub(super) async fn coalesce(
    engine: &Engine,
    id: &StreamId,
    after: &str,
    mut position: u64,
) -> Result<Option<Coalesced>, LogError> {
    let log = &engine.log;
    let Some(interface) = interface(engine, id).await? else { return Ok(None) };
    let newest = log.bounds().newest.sequence;
    let selector = Selector::from(id.topic());
    let mut joined = Joined::new(interface);
    let (mut last_event_id, mut sequence) = (after.to_owned(), position);
    while position < newest && joined.bytes() < MAX_BYTES {
        let page = log.read(position, &selector, PageLimit { records: 500, bytes: 64 << 10 }).await?;
        if page.lost.is_some() {
            return Ok(None);
        }
        // The close is the subscription's own: it ends with it.
        for record in page.records.iter().filter(|record| !record.is_close()) {
            joined.push(record);
            (last_event_id, sequence) = (record.id().to_string(), record.sequence());
        }
        if page.reached.sequence <= position {
            break;
        }
        position = page.reached.sequence;
        // A log in memory never waits, and to read the JSON of a long answer takes long. Let other tasks have their turn.
        yield_now().await;
    }
    Ok(Some(Coalesced { events: joined.finish(), last_event_id, sequence }))
}

async fn interface(engine: &Engine, id: &StreamId) -> Result<Option<Interface>, LogError> {
    let record = announcement(&*engine.log, id).await?;
    Ok(record.and_then(|record| Announcement::read(&record)).map(|(_, interface)| interface))
}

/// Events. Those that continue one text are joined.
struct Joined {
    interface: Interface,
    out: Vec<u8>,
    /// The text that the next event may continue.
    open: Option<Open>,
}

struct Open {
    delta: Delta,
    event: Event,
    /// How many events are in it.
    count: usize,
}

/// A piece of a text in an event.
#[derive(Debug)]
struct Delta {
    text: String,
    /// Where the text is in the data.
    pointer: &'static str,
    /// The data without the text, and without members that differ in each event. Two pieces with the same rest are of one text.
    around: Value,
    /// The number that each event of OpenAI's Responses has.
    number: Option<Value>,
}

impl Joined {
    fn new(interface: Interface) -> Joined {
        Joined { interface, out: Vec::new(), open: None }
    }

    fn push(&mut self, record: &Record) {
        let event = record.to_event();
        let delta = Delta::read(self.interface, event.data());
        match (&mut self.open, delta) {
            (Some(open), Some(delta)) if open.continues(&event, &delta) => {
                open.delta.text.push_str(&delta.text);
                open.delta.number = delta.number;
                open.event = event;
                open.count += 1;
            }
            (_, delta) => {
                self.flush();
                match delta {
                    Some(delta) => self.open = Some(Open { delta, event, count: 1 }),
                    None => event.encode(&mut self.out),
                }
            }
        }
    }

    /// How much is held, with the text that is still open.
    fn bytes(&self) -> usize {
        self.out.len() + self.open.as_ref().map_or(0, |open| open.delta.text.len())
    }

    fn flush(&mut self) {
        let Some(open) = self.open.take() else { return };
        match open.count {
            // As it was sent.
            1 => open.event.encode(&mut self.out),
            _ => open.join().encode(&mut self.out),
        }
    }

    fn finish(mut self) -> Bytes {
        self.flush();
        self.out.into()
    }
}

impl Open {
    fn continues(&self, event: &Event, delta: &Delta) -> bool {
        self.event.event_type() == event.event_type()
            && self.delta.pointer == delta.pointer
            && self.delta.around == delta.around
    }

    /// One event for all pieces, with the ID of the last.
    fn join(self) -> Event {
        let Delta { text, pointer, mut around, number } = self.delta;
        if let Some(position) = around.pointer_mut(pointer) {
            *position = text.into();
        }
        if let (Some(number), Some(members)) = (number, around.as_object_mut()) {
            members.insert("sequence_number".into(), number);
        }
        let id = self.event.id().map_or("", EventId::as_str);
        let event = Event::new(around.to_string()).with_id(EventId::parse(id).expect("it is an event's ID"));
        match self.event.event_type() {
            "message" => event,
            kind => event.with_type(EventType::parse(kind).expect("it is an event's type")),
        }
    }
}

impl Delta {
    fn read(interface: Interface, data: &str) -> Option<Delta> {
        let mut around: Value = serde_json::from_str(data).ok()?;
        let pointer = pointer(interface, &around)?;
        let text = around.pointer_mut(pointer)?.take();
        let members = around.as_object_mut()?;
        // Random characters that hide how long a text is.
        members.remove("obfuscation");
        let number = members.remove("sequence_number");
        Some(Delta { text: text.as_str()?.to_owned(), pointer, around, number })
    }
}

/// Where an event of this interface has its piece of a text, if it has one, and nothing more.
fn pointer(interface: Interface, data: &Value) -> Option<&'static str> {
    let candidates: &[&'static str] = match interface {
        Interface::ChatCompletions
            if data["choices"].as_array().is_some_and(|choices| choices.len() == 1) =>
        {
            &[
                "/choices/0/delta/content",
                "/choices/0/delta/reasoning_content",
                "/choices/0/delta/reasoning",
                "/choices/0/delta/refusal",
                "/choices/0/delta/tool_calls/0/function/arguments",
            ]
        }
        Interface::Responses if data["type"].as_str().is_some_and(|kind| kind.ends_with(".delta")) => {
            &["/delta"]
        }
        Interface::Messages if data["type"] == "content_block_delta" => {
            &["/delta/text", "/delta/thinking", "/delta/partial_json"]
        }
        _ => return None,
    };
    let mut texts = candidates.iter().filter(|pointer| data.pointer(pointer).is_some_and(Value::is_string));
    let only = texts.next()?;
    texts.next().is_none().then_some(*only)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Epoch, RecordTime};

    fn joined(interface: Interface, events: &[(&str, &str)]) -> String {
        let id = StreamId::from_bytes([1; 16]);
        let record = |(number, (kind, data)): (u64, &(&str, &str))| {
            let mut event = Event::new(*data);
            if *kind != "message" {
                event = event.with_type(EventType::parse(*kind).unwrap());
            }
            Record::new(Epoch::from_bits(1), number, RecordTime::now(), id.update(event))
        };
        let records: Vec<_> = (1..).zip(events).map(record).collect();
        let mut joined = Joined::new(interface);
        records.iter().for_each(|record| joined.push(record));
        let text = String::from_utf8(joined.finish().to_vec()).unwrap();
        records
            .iter()
            .fold(text, |text, record| text.replace(&record.id().to_string(), &record.sequence().to_string()))
    }

    #[test]
    fn deltas_of_one_block_become_one_event_with_the_id_of_the_last() {
        let text = |text: &str| {
            format!(
                r#"{{"delta":{{"text":"{text}","type":"text_delta"}},"index":0,"type":"content_block_delta"}}"#
            )
        };
        let kind = "content_block_delta";
        let (a, b, c) = (text("a"), text("b"), text("c"));
        let start = r#"{"type":"message_start"}"#;
        assert_eq!(
            joined(Interface::Messages, &[("message_start", start), (kind, &a), (kind, &b), (kind, &c)]),
            format!(
                "event: message_start\ndata: {start}\nid: 1\n\nevent: {kind}\ndata: {}\nid: 4\n\n",
                text("abc")
            ),
        );
        let other = a.replace("\"index\":0", "\"index\":1");
        assert_eq!(
            joined(Interface::Messages, &[(kind, &a), (kind, &other)]),
            format!("event: {kind}\ndata: {a}\nid: 1\n\nevent: {kind}\ndata: {other}\nid: 2\n\n"),
            "another block is another event"
        );
    }

    #[test]
    fn chunks_of_a_completion_are_joined_and_its_end_is_not() {
        let chunk = |text: &str| {
            format!(
                r#"{{"choices":[{{"delta":{{"content":"{text}"}},"finish_reason":null,"index":0}}],"id":"x"}}"#
            )
        };
        let (a, b) = (chunk("a"), chunk("ü"));
        assert_eq!(
            joined(Interface::ChatCompletions, &[("message", &a), ("message", &b), ("message", "[DONE]")]),
            format!("data: {}\nid: 2\n\ndata: [DONE]\nid: 3\n\n", chunk("aü")),
        );
    }

    #[test]
    fn numbers_and_padding_of_responses_do_not_keep_pieces_apart() {
        let kind = "response.output_text.delta";
        let delta = |number: u32, text: &str| {
            format!(
                r#"{{"delta":"{text}","item_id":"m","obfuscation":"{text}zz","sequence_number":{number},"type":"{kind}"}}"#
            )
        };
        assert_eq!(
            joined(Interface::Responses, &[(kind, &delta(4, "a")), (kind, &delta(5, "b"))]),
            format!(
                "event: {kind}\ndata: {{\"delta\":\"ab\",\"item_id\":\"m\",\"sequence_number\":5,\"type\":\"{kind}\"}}\nid: 2\n\n"
            ),
        );
    }

    #[tokio::test]
    async fn others_have_their_turn_while_a_long_answer_is_compacted() {
        use std::{cell::Cell, rc::Rc};

        let (hub, id) = (crate::Hub::default(), StreamId::from_bytes([1; 16]));
        let chunk = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "a".repeat(1_000));
        let announcement = Announcement::new(Interface::ChatCompletions, "body").to_update(&id);
        let events = std::iter::repeat_with(|| id.update(Event::new(&*chunk)).into()).take(1_000);
        hub.publish_reserved(std::iter::once(announcement.into()).chain(events).collect()).await.unwrap();

        let start = id.start_id();
        let turns = Rc::new(Cell::new(0));
        let other = async {
            loop {
                turns.set(turns.get() + 1);
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            coalesced = coalesce(hub.engine(), &id, start.as_str(), 0) => {
                assert!(coalesced.unwrap().unwrap().events.len() > 1_000_000);
            }
            () = other => {}
        }
        assert!(turns.get() >= 10, "{} turns in a megabyte", turns.get());
    }

    #[test]
    fn what_is_no_delta_comes_as_it_was_sent() {
        let odd = [
            r#"{ "choices" : [] }"#,
            "{broken",
            r#"{"choices":[{"delta":{"role":"assistant"}}]}"#,
            r#"{"choices":[{"delta":{"content":null}}]}"#,
        ];
        let events: Vec<_> = odd.iter().map(|data| ("message", *data)).collect();
        let sent: String =
            (1..).zip(odd).map(|(number, data)| format!("data: {data}\nid: {number}\n\n")).collect();
        assert_eq!(joined(Interface::ChatCompletions, &events), sent);
    }
}
