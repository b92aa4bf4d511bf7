//! What publishers send: updates with the extremes of every field, each in one of the ways that a hub reads.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tidings_hub::{MAX_NAME_BYTES, UpdateRetry, log::contract::acknowledged::Random};

/// The characters that a path or a value in a query cannot have as they are.
const NEEDED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`');

/// An update as its publisher means it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    pub(crate) event_type: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) is_close: bool,
}

/// A request to publish, and what it means.
pub(crate) struct Publish {
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) updates: Vec<Sent>,
    /// Whether sending it again appends nothing.
    pub(crate) is_repeatable: bool,
}

/// Chooses what is published.
pub(crate) struct Publisher {
    pub(crate) random: Random,
    topics: Vec<String>,
    /// All topics that were closed.
    pub(crate) closed: BTreeSet<String>,
    names: usize,
}

impl Publisher {
    pub(crate) fn new(seed: u64) -> Publisher {
        let mut random = Random::of(seed);
        let topics = (0..50).map(|_| topic(&mut random)).collect();
        Publisher { random, topics, closed: BTreeSet::new(), names: 0 }
    }

    /// The next request: one update, or many in one body, to a topic that is open.
    pub(crate) fn publish(&mut self) -> Publish {
        let topic = self.open_topic();
        let many = self.random.once_in(2);
        let count = if many { 1 + self.random.below(12) } else { 1 };
        let mut updates: Vec<Sent> = (0..count).map(|_| self.update(&topic)).collect();
        let mut parameters = Vec::new();
        let (content_type, body) = match (many, self.random.once_in(2)) {
            (true, true) => ("application/x-ndjson", self.ndjson(&updates)),
            (true, false) => ("text/event-stream", self.event_stream(&updates)),
            (false, _) => {
                let update = &updates[0];
                parameters.push(("type", update.event_type.clone()));
                parameters.extend(update.id.clone().map(|id| ("id", id)));
                parameters.extend(update.retry.map(|retry| ("retry", retry.to_string())));
                let kinds = [
                    "text/plain",
                    "Text/Plain; charset=\"UTF-8\"",
                    "application/json",
                    "application/x-www-form-urlencoded",
                ];
                (*self.random.one_of(&kinds), update.data.clone().into_bytes())
            }
        };
        // An empty body that closes its topic has no update.
        let may_close = many || !updates[0].data.is_empty();
        if may_close && self.random.once_in(60) {
            let reason = self.random.text(2_000, |_| true);
            parameters.push(("close", reason.clone()));
            self.closed.insert(topic.clone());
            updates.push(Sent {
                topic: topic.clone(),
                event_type: "close".into(),
                data: reason,
                id: None,
                retry: None,
                is_close: true,
            });
        }
        let key = self.random.once_in(4).then(|| self.name());
        let is_repeatable =
            key.is_some() || updates.iter().all(|update| update.is_close || update.id.is_some());
        let mut headers = vec![("content-type", content_type.to_owned())];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        for update in &mut updates {
            // An event stream has no other end of a line, and a type that is empty is none.
            update.data = update.data.replace("\r\n", "\n").replace('\r', "\n");
            if update.event_type.is_empty() {
                update.event_type = "message".into();
            }
        }
        Publish { target: self.target(&topic, &parameters), headers, body, updates, is_repeatable }
    }

    fn open_topic(&mut self) -> String {
        if self.random.once_in(10) {
            let at = self.random.below(self.topics.len());
            self.topics[at] = topic(&mut self.random);
        }
        loop {
            let at = self.random.below(self.topics.len());
            if !self.closed.contains(&self.topics[at]) {
                return self.topics[at].clone();
            }
            self.topics[at] = topic(&mut self.random);
        }
    }

    fn update(&mut self, topic: &str) -> Sent {
        let random = &mut self.random;
        let is_typed = random.once_in(2);
        let event_type = is_typed.then(|| random.text(MAX_NAME_BYTES, |character| !character.is_control()));
        let retry = random.retry(UpdateRetry::MAX).map(|retry| retry.as_duration().as_millis());
        let data = random.data();
        let id = random.once_in(4).then(|| self.name());
        Sent {
            topic: topic.to_owned(),
            event_type: event_type.unwrap_or_default(),
            data,
            id,
            retry: retry.and_then(|retry| u64::try_from(retry).ok()),
            is_close: false,
        }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        self.random.name(self.names)
    }

    fn target(&mut self, topic: &str, parameters: &[(&str, String)]) -> String {
        let mut target = format!("/topics/{}", self.encoded(topic));
        for (number, (name, value)) in parameters.iter().enumerate() {
            let value = self.encoded(value);
            target += &format!("{}{name}={value}", if number == 0 { '?' } else { '&' });
        }
        target
    }

    fn encoded(&mut self, text: &str) -> String {
        encoded(&mut self.random, text)
    }

    fn ndjson(&mut self, updates: &[Sent]) -> Vec<u8> {
        let random = &mut self.random;
        let mut body = String::new();
        if random.once_in(10) {
            body.push('\u{feff}');
        }
        let end = *random.one_of(&["\n", "\r\n", "\n\n", " \r\n\t\n"]);
        for update in updates {
            let mut line = Map::new();
            line.insert("data".into(), update.data.clone().into());
            if !update.event_type.is_empty() || random.once_in(2) {
                line.insert("type".into(), update.event_type.clone().into());
            }
            line.extend(update.id.clone().map(|id| ("id".into(), id.into())));
            line.extend(update.retry.map(|retry| ("retry".into(), retry.into())));
            if random.once_in(4) {
                line.insert("topic".into(), update.topic.clone().into());
            }
            let line = Value::from(line).to_string();
            body += &if random.once_in(2) { line } else { in_ascii(&line) };
            body += end;
        }
        if random.once_in(3) {
            body.truncate(body.trim_ascii_end().len());
        }
        body.into_bytes()
    }

    fn event_stream(&mut self, updates: &[Sent]) -> Vec<u8> {
        let random = &mut self.random;
        let mut body = String::new();
        if random.once_in(10) {
            body.push('\u{feff}');
        }
        let end = *random.one_of(&["\n", "\r\n", "\r"]);
        for update in updates {
            let mut fields = vec![("data", update.data.replace("\r\n", "\n").replace('\r', "\n"))];
            if !update.event_type.is_empty() {
                fields.push(("event", update.event_type.clone()));
            }
            fields.extend(update.id.clone().map(|id| ("id", id)));
            fields.extend(update.retry.map(|retry| ("retry", retry.to_string())));
            let first = random.below(fields.len());
            fields.rotate_left(first);
            for (name, value) in fields {
                if random.once_in(10) {
                    body += &format!(": {name}{end}");
                }
                for line in value.split('\n') {
                    let colon = match (line, random.below(3)) {
                        ("", 0) => "",
                        (line, 1) if !line.starts_with(' ') => ":",
                        _ => ": ",
                    };
                    body += &format!("{name}{colon}{line}{end}");
                }
            }
            body += end;
        }
        body.into_bytes()
    }
}

fn topic(random: &mut Random) -> String {
    random.topic().as_str().to_owned()
}

/// All of it as percent-encoded bytes, or only what has to be.
pub(crate) fn encoded(random: &mut Random, text: &str) -> String {
    // Segments that clients take for steps, and slashes at an end, are safe only when they are encoded.
    let steps = text.split('/').any(|segment| matches!(segment, "" | "." | ".."));
    let set = if steps || random.once_in(2) { NON_ALPHANUMERIC } else { NEEDED };
    utf8_percent_encode(text, set).to_string()
}

/// JSON with all that is not ASCII as escapes, astral characters as two.
fn in_ascii(json: &str) -> String {
    let mut text = String::new();
    for character in json.chars() {
        match character {
            ascii if ascii.is_ascii() => text.push(ascii),
            other => {
                let mut units = [0; 2];
                text.extend(other.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    text
}
