//! Published NDJSON: each line is an update.

use std::time::Duration;

use super::{Refusal, UpdateReader};
use crate::{
    Topic,
    log::{
        Append, BYTE_ORDER_MARK, Sent,
        json::{ConnectionJson, PublishedJson},
    },
};

/// Reads `application/x-ndjson`: one JSON object a line. Empty lines are skipped, and so is a byte order mark at the beginning.
///
/// A last line without a line feed counts when the body ends as it should.
#[derive(Debug)]
pub(crate) struct NdjsonReader {
    topic: Topic,
    max_data_bytes: usize,
    max_line_bytes: usize,
    max_retry: Duration,
    line: u64,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl NdjsonReader {
    pub(crate) fn new(topic: Topic, max_data_bytes: usize, max_retry: Duration) -> NdjsonReader {
        // JSON needs up to six bytes for one byte of data (\u0000).
        let max_line_bytes = max_data_bytes.saturating_mul(6).saturating_add(64 << 10);
        NdjsonReader { topic, max_data_bytes, max_line_bytes, max_retry, line: 0, partial: Vec::new() }
    }

    fn update(&self, line: &[u8]) -> Option<Result<Append, Refusal>> {
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if self.line == 1 => rest,
            _ => line,
        };
        let line = line.trim_ascii();
        if line.is_empty() { None } else { self.parse(line).transpose() }
    }

    /// `None` for a line without an update.
    fn parse(&self, line: &[u8]) -> Result<Option<Append>, Refusal> {
        let text = std::str::from_utf8(line)
            .map_err(|error| Refusal::invalid(format!("the line is not UTF-8: {error}")))?;
        let update: PublishedJson<'_> = match serde_json::from_str(text) {
            Err(_) if ConnectionJson::is(text) => return Ok(None),
            parsed => parsed,
        }
        .map_err(|error| {
            // The error says "line 1", which would look like the first line of the body.
            let (column, error) = (error.column(), error.to_string());
            let what = error.split(" at line ").next().unwrap_or_default();
            Refusal::invalid(format!(
                "the line is not an update: {what} (column {column}); send an object such as {{\"data\": \"text\", \"type\": …, \"id\": …, \"retry\": …}}"
            ))
        })?;
        if let Some(member) = update.of_imports() {
            return Err(Refusal::invalid(format!(
                "the line is not an update: {member:?} is for `tidings log import` only"
            )));
        }
        if let Some(topic) = update.topic.as_deref().filter(|topic| *topic != self.topic.as_str()) {
            return Err(Refusal::other_topic(topic, &self.topic));
        }
        if update.data.len() > self.max_data_bytes {
            return Err(Refusal::too_large(self.max_data_bytes));
        }
        let event_type = update.event_type.as_deref().unwrap_or_default();
        let mut id = update.id.as_deref();
        match update.kind.as_deref() {
            None => {}
            Some("event") => {
                // A heartbeat of a hub, or the end of a grant there: neither is an update, which would have a time.
                let is_hubs = (event_type == "ping" && update.data.is_empty()) || event_type == "access";
                if is_hubs && update.time.is_none() {
                    return Ok(None);
                }
                // `tidings subscribe` writes an empty ID if the stream has none.
                id = id.filter(|id| !id.is_empty());
            }
            Some(other) => {
                return Err(Refusal::invalid(format!(
                    "the line is not an update: kind is {other:?}; an update has the kind \"event\", or none"
                )));
            }
        }
        let retry = update.retry.map(Duration::from_millis);
        let sent = Sent { event_type, data: update.data, id, retry };
        Ok(sent.publish(self.topic.clone(), self.max_retry)?)
    }
}

impl UpdateReader for NdjsonReader {
    fn read(&mut self, input: &mut &[u8]) -> Option<Result<Append, Refusal>> {
        loop {
            let end = memchr::memchr(b'\n', input);
            let (line, rest) = input.split_at(end.unwrap_or(input.len()));
            if self.partial.len() + line.len() > self.max_line_bytes {
                self.line += 1;
                return Some(Err(Refusal::too_large(self.max_data_bytes)));
            }
            if end.is_none() {
                self.partial.extend_from_slice(line);
                *input = rest;
                return None;
            }
            *input = &rest[1..];
            self.line += 1;
            let update = if self.partial.is_empty() {
                self.update(line)
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.update(&whole)
            };
            if update.is_some() {
                return update;
            }
        }
    }

    fn unfinished_bytes(&mut self) -> usize {
        self.partial.len()
    }

    fn finish(&mut self) -> Option<Result<Append, Refusal>> {
        let rest = std::mem::take(&mut self.partial);
        self.line += 1;
        self.update(&rest)
    }

    fn line(&self) -> u64 {
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8], piece: usize) -> Vec<Result<Append, Refusal>> {
        let mut reader = NdjsonReader::new(Topic::parse("t").unwrap(), 100, Duration::from_secs(1));
        let mut updates = Vec::new();
        for mut input in text.chunks(piece) {
            while let Some(update) = reader.read(&mut input) {
                updates.push(update);
            }
            assert!(input.is_empty());
        }
        updates.extend(reader.finish());
        updates
    }

    #[test]
    fn lines_are_updates_however_they_are_cut() {
        let text = b"{\"data\":\"a\"}\n\n{\"data\":\"b\\n\",\"type\":\"x\",\"id\":\"7\",\"retry\":500,\"topic\":\"t\",\"time\":\"any\"}\r\n{\"data\":\"\"}";
        for piece in [1, 2, 7, text.len()] {
            let appends: Vec<Append> = read_all(text, piece).into_iter().map(Result::unwrap).collect();
            let events: Vec<_> = appends.iter().map(|append| append.update.event()).collect();
            assert_eq!(events.iter().map(|event| event.data()).collect::<Vec<_>>(), ["a", "b\n", ""]);
            assert_eq!(events[1].event_type(), "x");
            assert_eq!(events[1].retry(), Some(Duration::from_millis(500)));
        }
    }

    #[test]
    fn what_is_no_update_is_refused() {
        let long = format!("{{\"data\":\"{}\"}}\n", "x".repeat(101));
        for line in [
            "[]",
            "{}",
            "{\"data\":1}",
            "{\"data\":{}}",
            "{\"dta\":\"\"}",
            "{\"data\":\"\",\"retry\":-1}",
            "{\"data\":\"\",\"retry\":99}",
            "{\"data\":\"\",\"retry\":1001}",
            "{\"data\":\"\",\"retry\":18446744073709551615}",
            "{\"data\":\"\",\"retry\":18446744073709551616}",
            "{\"data\":\"\",\"type\":\"gap\"}",
            "{\"data\":\"\",\"id\":\"\"}",
            "{\"data\":\"\",\"topic\":\"u\"}",
            "{\"data\":\"\",\"topics\":[\"t\"]}",
            "{\"data\":\"\",\"kind\":\"update\"}",
            "{\"data\":\"\",\"kind\":\"event\",\"type\":\"gap\"}",
            "{\"kind\":\"event\"}",
            "{\"kind\":\"other\"}",
            "\u{feff}\u{feff}{\"data\":\"\"}",
            &long,
        ] {
            assert!(read_all(line.as_bytes(), 5)[0].is_err(), "{line}");
        }
        assert!(read_all(b"{\"data\":\"\xff\"}\n", 5)[0].is_err());
    }

    #[test]
    fn a_byte_order_mark_may_stand_at_the_very_beginning_and_nowhere_else() {
        for (text, count) in [
            ("\u{feff}{\"data\":\"a\"}\r\n{\"data\":\"b\"}", Some(2)),
            ("\u{feff}\r\n{\"data\":\"a\"}", Some(1)),
            ("\u{feff}{\"data\":\"\u{feff}a\"}", Some(1)),
            ("\u{feff}", Some(0)),
            ("{\"data\":\"a\"}\n\u{feff}{\"data\":\"b\"}", None),
            ("\n\u{feff}{\"data\":\"b\"}", None),
            ("{\u{feff}\"data\":\"b\"}", None),
        ] {
            for piece in [1, 2, text.len()] {
                let read: Option<Vec<_>> =
                    read_all(text.as_bytes(), piece).into_iter().map(Result::ok).collect();
                assert_eq!(read.map(|appends| appends.len()), count, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn lines_of_tidings_subscribe_are_its_updates() {
        let id = "~AAAAAAAAAAAAAAAAAAAAAAAA";
        let text = format!(
            r#"{{"kind":"open"}}
            {{"kind":"event","type":"start","data":"{{\"id\":\"{id}\"}}","id":"{id}"}}
            {{"kind":"event","topic":"t","type":"x","data":"a","id":"{id}","retry":500,"time":"2026-01-02T03:04:05.678Z"}}
            {{"kind":"comment","comment":"hi"}}
            {{"kind":"event","type":"ping","data":"","id":"{id}"}}
            {{"kind":"event","type":"access","data":"{{}}","id":"{id}"}}
            {{"kind":"event","topic":"t","type":"ping","data":"","id":"7","time":"2026-01-02T03:04:05.678Z"}}
            {{"kind":"error","fatal":false,"status":null,"message":"cut"}}
            {{"kind":"event","type":"message","data":"b","id":""}}
            {{"kind":"event","type":"gap","data":"{{}}","id":"{id}"}}
            {{"kind":"event","topic":"t","type":"close","data":"done","id":"{id}","time":"2026-01-02T03:04:05.678Z"}}
            {{"kind":"closed"}}"#
        );
        let appends: Vec<Append> = read_all(text.as_bytes(), 9).into_iter().map(Result::unwrap).collect();
        let types: Vec<_> = appends.iter().map(|append| append.update.event().event_type()).collect();
        assert_eq!(types, ["x", "ping", "message", "upstream-gap", "close"]);
        assert_eq!(appends[0].key.as_ref().unwrap().as_str(), format!("import:{id}"));
        assert!(appends[0].update.event().id().is_none() && appends[1].key.is_none());
        assert!(appends[4].update.is_close());
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut reader = NdjsonReader::new(Topic::parse("t").unwrap(), 10, Duration::from_secs(1));
        let refused = std::iter::repeat_n([b' '; 1024], 100).find_map(|piece| reader.read(&mut &piece[..]));
        assert!(refused.unwrap().is_err());
        assert!(reader.partial.len() <= 60 + (64 << 10));
    }
}
