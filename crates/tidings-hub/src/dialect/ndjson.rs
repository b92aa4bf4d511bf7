//! Published NDJSON: each line is an update.

use std::time::Duration;

use super::UpdateReader;
use crate::{Topic, Update, UpdateId, UpdateRetry, UpdateType, http::Problem, json::PublishedJson};

/// Reads `application/x-ndjson`: one JSON object a line; empty lines are skipped.
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
        // JSON needs up to six bytes for one of data (\u0000).
        let max_line_bytes = max_data_bytes.saturating_mul(6).saturating_add(64 << 10);
        NdjsonReader { topic, max_data_bytes, max_line_bytes, max_retry, line: 0, partial: Vec::new() }
    }

    fn update(&self, line: &[u8]) -> Option<Result<Update, Problem>> {
        let line = line.trim_ascii();
        (!line.is_empty()).then(|| self.parse(line))
    }

    fn parse(&self, line: &[u8]) -> Result<Update, Problem> {
        let text = std::str::from_utf8(line)
            .map_err(|error| Problem::invalid(format!("the line is not UTF-8: {error}")))?;
        let update: PublishedJson<'_> = serde_json::from_str(text).map_err(|error| {
            // Its own "line 1" would be taken for the first line of the body.
            let (column, error) = (error.column(), error.to_string());
            let what = error.split(" at line ").next().unwrap_or_default();
            Problem::invalid(format!(
                "the line is no update: {what} (column {column}); it is an object as {{\"data\": \"text\", \"type\": …, \"id\": …, \"retry\": …}}"
            ))
        })?;
        if let Some(member) = update.of_imports() {
            return Err(Problem::invalid(format!(
                "the line is no update: {member:?} is for `tidings log import` only"
            )));
        }
        if let Some(topic) = update.topic.filter(|topic| topic != self.topic.as_str()) {
            let to = self.topic.as_str();
            return Err(Problem::invalid(format!(
                "topic is {topic:?}, but this request publishes to {to:?}"
            )));
        }
        if update.data.len() > self.max_data_bytes {
            return Err(Problem::too_large(self.max_data_bytes));
        }
        let mut made = Update::new(self.topic.clone(), update.data);
        if let Some(event_type) = update.event_type {
            made = made.with_type(UpdateType::parse(&event_type)?);
        }
        if let Some(id) = update.id {
            made = made.with_id(UpdateId::parse(&id)?);
        }
        if let Some(retry) = update.retry {
            made = made.with_retry(UpdateRetry::parse(Duration::from_millis(retry), self.max_retry)?);
        }
        Ok(made)
    }
}

impl UpdateReader for NdjsonReader {
    fn read(&mut self, input: &mut &[u8]) -> Option<Result<Update, Problem>> {
        loop {
            let end = memchr::memchr(b'\n', input);
            let (line, rest) = input.split_at(end.unwrap_or(input.len()));
            if self.partial.len() + line.len() > self.max_line_bytes {
                self.line += 1;
                return Some(Err(Problem::too_large(self.max_data_bytes)));
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

    fn finish(&mut self) -> Option<Result<Update, Problem>> {
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

    fn read_all(text: &[u8], piece: usize) -> Vec<Result<Update, Problem>> {
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
            let updates: Vec<Update> = read_all(text, piece).into_iter().map(Result::unwrap).collect();
            let events: Vec<_> = updates.iter().map(Update::event).collect();
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
            "{\"data\":\"\",\"sequence\":1}",
            &long,
        ] {
            assert!(read_all(line.as_bytes(), 5)[0].is_err(), "{line}");
        }
        assert!(read_all(b"{\"data\":\"\xff\"}\n", 5)[0].is_err());
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut reader = NdjsonReader::new(Topic::parse("t").unwrap(), 10, Duration::from_secs(1));
        let refused = std::iter::repeat_n([b' '; 1024], 100).find_map(|piece| reader.read(&mut &piece[..]));
        assert!(refused.unwrap().is_err());
        assert!(reader.partial.len() <= 60 + (64 << 10));
    }
}
