//! The one JSON shape of an update: history, envelopes, and lines of NDJSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::log::Record;

/// A record as JSON: `{"topic":"a","type":"message","data":"…","id":"…","time":"2026-01-02T03:04:05.678Z"}`.
///
/// `retry` (milliseconds) is there only when the publisher set it.
#[derive(Debug, Serialize)]
pub(crate) struct RecordJson<'a> {
    topic: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    data: &'a str,
    id: &'a str,
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
            time: humantime::format_rfc3339_millis(record.time()).to_string(),
        }
    }
}

/// A line of a publisher's NDJSON: the same shape, of which only `data` has to be there.
///
/// `topic` may repeat the topic that is published to. `time` is ignored, so that what history returned can be published
/// again: the hub says when an update came.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateJson<'a> {
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
    _time: Option<serde::de::IgnoredAny>,
}
