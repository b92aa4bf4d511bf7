//! The one JSON shape of an update: history, envelopes, and lines of NDJSON.

use std::{borrow::Cow, io, sync::Arc};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Serializer, ser::Formatter};

use crate::{
    Topic,
    log::{HubId, IdempotencyKey, Kept, Record, RecordId},
};

/// A record as JSON: `{"topic":"a","type":"message","data":"…","id":"…","time":"2026-01-02T03:04:05.678Z"}`.
///
/// `retry` (milliseconds) is there only when the publisher set it.
#[derive(Debug, Serialize)]
pub(crate) struct RecordJson<'a> {
    topic: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    data: &'a str,
    id: RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    time: String,
}

impl<'a> From<&'a Record> for RecordJson<'a> {
    fn from(record: &'a Record) -> RecordJson<'a> {
        let event = record.event();
        RecordJson {
            topic: record.topics().first().map_or("", |topic| topic.as_str()),
            event_type: event.event_type(),
            data: event.data(),
            id: record.id(),
            retry: event.retry().map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)),
            time: record.time_text(),
        }
    }
}

/// Writes a record as JSON in pieces, so that what of it is ready at a time does not depend on how long it is.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    record: Arc<Record>,
    /// How many bytes of the data are written.
    at: usize,
    /// The text after the data. Empty until the first write.
    back: Vec<u8>,
}

impl RecordWriter {
    /// How much of the data is written at once; in JSON it is up to six times as long.
    const STEP: usize = 4 << 10;

    pub(crate) fn new(record: Arc<Record>) -> RecordWriter {
        RecordWriter { record, at: 0, back: Vec::new() }
    }

    /// How many bytes of data are still to be written.
    pub(crate) fn left(&self) -> usize {
        self.record.event().data().len() - self.at
    }

    /// Appends what comes next, until the buffer has `full` bytes or a little more; says whether that was the end.
    pub(crate) fn write(&mut self, buffer: &mut Vec<u8>, full: usize) -> bool {
        if self.back.is_empty() {
            // No string has these bytes: its quotation marks are escaped.
            const NO_DATA: &[u8] = b"\"data\":\"\"";
            let json = to_json(&RecordJson { data: "", ..RecordJson::from(&*self.record) });
            let at = memchr::memmem::find(&json, NO_DATA).expect("there is data") + NO_DATA.len() - 1;
            buffer.extend_from_slice(&json[..at]);
            self.back = json[at..].to_vec();
        }
        let data = self.record.event().data();
        while self.at < data.len() {
            if buffer.len() >= full {
                return false;
            }
            let mut end = (self.at + RecordWriter::STEP).min(data.len());
            while !data.is_char_boundary(end) {
                end += 1;
            }
            let mut inside = Serializer::with_formatter(&mut *buffer, Inside);
            data[self.at..end].serialize(&mut inside).expect("a string is JSON, and a buffer takes it");
            self.at = end;
        }
        buffer.extend_from_slice(&self.back);
        true
    }
}

/// A string without its quotation marks.
struct Inside;

impl Formatter for Inside {
    fn begin_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        Ok(())
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        Ok(())
    }
}

fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers are JSON")
}

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RecordId::Hub(id) => serializer.serialize_str(HubId::as_str(&id.to_bytes())),
            RecordId::Publisher(id) => serializer.serialize_str(id.as_str()),
        }
    }
}

/// `{"topic", "type", "data", "id", "retry", "time"}`; `retry` only if its publisher set it.
impl Serialize for Record {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RecordJson::from(self).serialize(serializer)
    }
}

/// A line of an export: the same, with what an import needs beside it where there is any.
#[derive(Debug, Serialize)]
struct KeptJson<'a> {
    #[serde(flatten)]
    record: RecordJson<'a>,
    /// All topics of an update that has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    private: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    close: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    sequence: u64,
}

/// A line of an export: the shape of every update, and `topics` if there are several, `private`, `close`, `key` where they
/// are set, and `sequence`.
impl Serialize for Kept {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let topics = self.record.topics();
        KeptJson {
            record: RecordJson::from(&*self.record),
            topics: (topics.len() > 1).then(|| topics.iter().map(Topic::as_str).collect()),
            private: self.record.is_private(),
            close: self.record.is_close(),
            key: self.key.as_ref().map(IdempotencyKey::as_str),
            sequence: self.record.sequence(),
        }
        .serialize(serializer)
    }
}

/// A line that is published: the same shape, of which only `data` has to be there.
///
/// Its `topic` may repeat the topic of the publish, and its `time` and `sequence` are ignored, so that updates of
/// another hub can be published again: this hub decides the time and the position of an update. `kind` may be `event`,
/// as in the output of `tidings subscribe --json`. Members after `kind` are refused, because they are only for imports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedJson<'a> {
    #[serde(borrow)]
    pub(crate) topic: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    pub(crate) event_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) data: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) retry: Option<u64>,
    pub(crate) time: Option<IgnoredAny>,
    #[serde(rename = "sequence")]
    _sequence: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(crate) kind: Option<Cow<'a, str>>,
    topics: Option<IgnoredAny>,
    private: Option<IgnoredAny>,
    close: Option<IgnoredAny>,
    key: Option<IgnoredAny>,
}

/// A line of `tidings subscribe --json` that tells of the connection, and has no event.
#[derive(Debug, Deserialize)]
pub(crate) struct ConnectionJson<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl ConnectionJson<'_> {
    /// Whether a line is one.
    pub(crate) fn is(line: &str) -> bool {
        serde_json::from_str::<ConnectionJson<'_>>(line)
            .is_ok_and(|line| ["open", "comment", "error", "closed"].contains(&&*line.kind))
    }
}

impl PublishedJson<'_> {
    /// The first member that a publisher's line cannot have.
    pub(crate) fn of_imports(&self) -> Option<&'static str> {
        let members =
            [("topics", self.topics), ("private", self.private), ("close", self.close), ("key", self.key)];
        members.into_iter().find_map(|(name, value)| value.map(|_| name))
    }
}

/// A line that is imported, which may have all that an export writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportedJson<'a> {
    #[serde(borrow)]
    pub(crate) topic: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    pub(crate) event_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) data: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) retry: Option<u64>,
    pub(crate) time: Option<serde_json::Value>,
    #[serde(borrow)]
    pub(crate) topics: Option<Vec<Cow<'a, str>>>,
    pub(crate) private: Option<bool>,
    pub(crate) close: Option<bool>,
    #[serde(borrow)]
    pub(crate) key: Option<Cow<'a, str>>,
    #[serde(rename = "sequence")]
    _sequence: Option<u64>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Update, UpdateRetry,
        log::{Epoch, RecordTime},
    };

    #[test]
    fn a_record_in_pieces_is_the_same_as_in_one() {
        let retry = UpdateRetry::parse(Duration::from_secs(1), Duration::from_secs(1)).unwrap();
        let odd = "\"data\":\"\" \\ \u{0} \n é 🦀 ".repeat(1_000);
        for (topic, data) in [("a", ""), ("a", "x"), ("\"data\":\"\"", "\u{1}"), ("é/\\", &odd)] {
            let update = Update::new(Topic::parse(topic).unwrap(), data).with_retry(retry);
            let record = Arc::new(Record::new(Epoch::random().unwrap(), 1, RecordTime::MIN, update));
            let (mut writer, mut whole) = (RecordWriter::new(record.clone()), Vec::new());
            loop {
                let mut piece = Vec::new();
                let ended = writer.write(&mut piece, 100);
                assert!(piece.len() < 100 + 6 * RecordWriter::STEP + 300, "{}", piece.len());
                whole.extend(piece);
                if ended {
                    break;
                }
            }
            assert_eq!(String::from_utf8(whole).unwrap(), serde_json::to_string(&*record).unwrap());
        }
    }
}
