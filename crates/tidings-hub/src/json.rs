//! The one JSON shape of an update: history, envelopes, and lines of NDJSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer, de::IgnoredAny};

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

impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RecordId::Hub(id) => serializer.serialize_str(HubId::as_str(&id.to_bytes())),
            RecordId::Publisher(id) => serializer.serialize_str(id.as_str()),
        }
    }
}

/// `{"topic", "type", "data", "id", "retry", "time"}`; `retry` only if its publisher set it.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
/// Its `topic` may repeat the topic that is published to, and its `time` is ignored, so that what history returned can be
/// published again: the hub says when an update came. What stands behind `time` is refused: it is for imports alone.
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
    #[serde(rename = "time")]
    _time: Option<IgnoredAny>,
    topics: Option<IgnoredAny>,
    private: Option<IgnoredAny>,
    close: Option<IgnoredAny>,
    key: Option<IgnoredAny>,
    sequence: Option<IgnoredAny>,
}

impl PublishedJson<'_> {
    /// The first member that a publisher's line can't have.
    pub(crate) fn of_imports(&self) -> Option<&'static str> {
        let members = [
            ("topics", self.topics),
            ("private", self.private),
            ("close", self.close),
            ("key", self.key),
            ("sequence", self.sequence),
        ];
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
