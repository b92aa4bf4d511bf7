//! Updates of another log, or of a recorded stream, to be appended to this one.

use std::{
    io::{self, BufRead},
    time::Duration,
};

use tidings_codec::{Decoder, Item};

use super::{Append, HubId, IdempotencyKey, RecordTime, Republishing};
use crate::{Topic, Update, UpdateId, UpdateRetry, UpdateType, log::json::ImportedJson};

/// The longest line, in bytes: more than the largest update that a log on disk can hold, escaped.
const MAX_LINE_BYTES: u64 = 6 << 30;

/// The mark that programs on Windows write before UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads the lines of an export, or a recorded event stream, as updates to be appended.
///
/// Publishers' IDs, idempotency keys and times are kept. The IDs that a hub gave name positions of its log, so the update
/// gets a new one; the old one becomes its idempotency key (`import:~…`), so that importing again appends nothing twice.
/// Memory holds one update at a time.
///
/// ```
/// use tidings_hub::{Topic, log::Import};
///
/// let lines = r#"{"topic":"news","type":"message","data":"Hello","id":"7","time":"2026-01-02T03:04:05.678Z"}"#;
/// let append = Import::ndjson(lines.as_bytes()).next().unwrap()?;
/// assert_eq!(append.update.topics(), [Topic::parse("news")?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Import<R> {
    input: R,
    format: Format,
    max_retry: Duration,
    line: u64,
    bytes: u64,
    /// Set once there is no more, or nothing more that could be trusted.
    ended: bool,
}

#[derive(Debug)]
enum Format {
    Ndjson { line: Vec<u8> },
    EventStream { topic: Topic, decoder: Box<Decoder>, republishing: Republishing },
}

/// Why an import ends before its input does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The input cannot be read.
    #[error("the input cannot be read")]
    Input(#[source] io::Error),
    /// The event stream breaks a rule of the format, or is cut short.
    #[error("{reason}")]
    Stream {
        /// The mistake, and its line.
        reason: String,
    },
    /// A line, or the event that ends there, is no update.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// The broken rule.
        reason: String,
    },
}

impl<R: BufRead> Import<R> {
    /// Reads the lines of an export; each needs `topic` and `data` at least. Empty lines are skipped, and so is one
    /// byte order mark at the very beginning.
    pub fn ndjson(input: R) -> Import<R> {
        Import::of(input, Format::Ndjson { line: Vec::new() })
    }

    /// Reads an event stream, strictly, as updates of `topic`.
    ///
    /// A hub's own events, by their IDs, mean what they mean when its stream is published over HTTP: `start`, heartbeats and the
    /// reconnection time of the stream are skipped, `gap` becomes an update of type `upstream-gap`, and `close` closes the topic. An
    /// event has no time, so each comes now.
    pub fn event_stream(input: R, topic: Topic) -> Import<R> {
        let no_limit = usize::MAX;
        let decoder = Decoder::strict()
            .with_max_line_bytes(no_limit)
            .with_max_event_bytes(no_limit)
            .with_unknown_fields(true);
        let republishing = Republishing::default();
        let format = Format::EventStream { topic, decoder: Box::new(decoder), republishing };
        Import::of(input, format)
    }

    fn of(input: R, format: Format) -> Import<R> {
        let max_retry = UpdateRetry::DEFAULT_MAX;
        Import { input, format, max_retry, line: 0, bytes: 0, ended: false }
    }

    /// The longest reconnection time that an update may set, at most a day. Default: 1 hour, as hubs have it.
    pub fn with_max_retry(mut self, max_retry: Duration) -> Import<R> {
        self.max_retry = max_retry;
        self
    }

    /// The number of the line, from 1, that the last update ended on.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many bytes of the input are used.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&mut self) -> Result<Option<Append>, ImportError> {
        match &mut self.format {
            Format::Ndjson { line } => loop {
                line.clear();
                let read = io::Read::take(&mut self.input, MAX_LINE_BYTES).read_until(b'\n', line);
                let read = read.map_err(ImportError::Input)?;
                if read == 0 {
                    return Ok(None);
                }
                self.line += 1;
                self.bytes += read as u64;
                let text = match line.strip_prefix(BYTE_ORDER_MARK) {
                    Some(rest) if self.line == 1 => rest.trim_ascii(),
                    _ => line.trim_ascii(),
                };
                if !text.is_empty() {
                    let append = from_line(text, self.max_retry);
                    return append.map(Some).map_err(|reason| ImportError::Line { line: self.line, reason });
                }
            },
            Format::EventStream { topic, decoder, republishing } => loop {
                let buffer = self.input.fill_buf().map_err(ImportError::Input)?;
                if buffer.is_empty() {
                    let cut = decoder.finish().map_err(|error| error.to_string());
                    return cut.map(|()| None).map_err(|reason| ImportError::Stream { reason });
                }
                let mut rest = buffer;
                let append = match decoder.decode(&mut rest) {
                    // The hub names an event's topics so.
                    None | Some(Ok(Item::Unknown { name: "topic", .. })) => None,
                    Some(Ok(Item::Unknown { name, .. })) => Some(Err(format!(
                        "field {name:?} is not known; an event has data, event, id and retry"
                    ))),
                    Some(Ok(item)) => {
                        let append = republishing.read(&item, topic, self.max_retry).transpose();
                        append.map(|append| append.map_err(|error| error.to_string()))
                    }
                    Some(Err(error)) => {
                        return Err(ImportError::Stream { reason: error.to_string() });
                    }
                };
                let used = buffer.len() - rest.len();
                self.bytes += used as u64;
                self.input.consume(used);
                // The decoder is at the line after the blank one that ended the event.
                self.line = decoder.line().saturating_sub(1).max(1);
                if let Some(append) = append {
                    return append.map(Some).map_err(|reason| ImportError::Line { line: self.line, reason });
                }
            },
        }
    }
}

impl<R: BufRead> Iterator for Import<R> {
    type Item = Result<Append, ImportError>;

    fn next(&mut self) -> Option<Result<Append, ImportError>> {
        if self.ended {
            return None;
        }
        let append = self.read().transpose();
        self.ended = !matches!(append, Some(Ok(_)));
        append
    }
}

fn from_line(line: &[u8], max_retry: Duration) -> Result<Append, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("it is not UTF-8: {error}"))?;
    let line: ImportedJson<'_> = serde_json::from_str(text).map_err(|error| {
        // Its own "line 1" would be taken for the first line of the input.
        let (column, error) = (error.column(), error.to_string());
        format!("it is no update: {} (column {column})", error.split(" at line ").next().unwrap_or_default())
    })?;
    let topics = match (&line.topics, &line.topic) {
        (Some(topics), _) => topics.iter().map(|topic| Topic::parse(topic)).collect::<Result<Vec<_>, _>>(),
        (None, Some(topic)) => Topic::parse(topic).map(|topic| vec![topic]),
        (None, None) => return Err("it has no topic".into()),
    };
    let topics = topics.map_err(|error| error.to_string())?;
    let content = Content {
        event_type: line.event_type.as_deref().unwrap_or_default(),
        data: &line.data,
        id: line.id.as_deref(),
        retry: line.retry.map(Duration::from_millis),
        close: line.close.unwrap_or(false),
        private: line.private.unwrap_or(false),
        key: line.key.as_deref(),
    };
    let mut append = content.of_topics(topics, max_retry)?;
    if let Some(time) = &line.time {
        // A value that is no text is shown as it is.
        let text = time.as_str().map_or_else(|| time.to_string(), str::to_owned);
        append.time = Some(RecordTime::parse_rfc3339(&text).map_err(|error| error.to_string())?);
    }
    Ok(append)
}

/// The text of an update.
struct Content<'a> {
    event_type: &'a str,
    data: &'a str,
    id: Option<&'a str>,
    retry: Option<Duration>,
    close: bool,
    private: bool,
    key: Option<&'a str>,
}

impl Content<'_> {
    fn of_topics(&self, topics: Vec<Topic>, max_retry: Duration) -> Result<Append, String> {
        let [first, ..] = &*topics else { return Err("it has no topic".into()) };
        let mut update = match self.close {
            true => Update::close(first.clone(), self.data),
            false => {
                let event_type = UpdateType::parse(self.event_type).map_err(|error| error.to_string())?;
                Update::new(first.clone(), self.data).with_type(event_type)
            }
        };
        let mut key = self.key.map(str::to_owned);
        match self.id {
            Some(id) if HubId::parse(id).is_some() => key = key.or_else(|| Some(format!("import:{id}"))),
            Some(id) => {
                update = update.with_id(UpdateId::parse(id).map_err(|error| error.to_string())?);
            }
            None => {}
        }
        if let Some(retry) = self.retry {
            let retry = UpdateRetry::parse(retry, max_retry).map_err(|error| error.to_string())?;
            update = update.with_retry(retry);
        }
        if self.private {
            update = update.private();
        }
        let key = key.as_deref().map(IdempotencyKey::stored).transpose();
        let key = key.map_err(|error| error.to_string())?;
        Ok(Append { update: update.with_topics(topics), key, time: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(line: &str) -> Result<Append, String> {
        Import::ndjson(line.as_bytes()).next().unwrap().map_err(|error| error.to_string())
    }

    #[test]
    fn a_hubs_id_becomes_the_key_and_a_publishers_stays() {
        let hub = first(r#"{"topic":"a","data":"","id":"~AAAAAAAAAAAAAAAAAAAAAAAA"}"#).unwrap();
        assert_eq!(hub.update.event().id(), None);
        assert_eq!(hub.key.unwrap().as_str(), "import:~AAAAAAAAAAAAAAAAAAAAAAAA");
        let publisher = first(r#"{"topic":"a","data":"","id":"7"}"#).unwrap();
        assert_eq!(publisher.update.event().id().unwrap().as_str(), "7");
        assert_eq!(publisher.key, None);
        // The key of an update that was one of many is no key that a client can send.
        let numbered = first(r#"{"topic":"a","data":"","key":"K\u001f2"}"#).unwrap();
        assert_eq!(numbered.key, Some(IdempotencyKey::parse("K").unwrap().numbered(2)));
        for key in ["K\\u001f", "\\u001f2", "K\\u001f02", "K\\u001f2\\u001f2", "K\\n2"] {
            assert!(first(&format!(r#"{{"topic":"a","data":"","key":"{key}"}}"#)).is_err(), "{key}");
        }
    }

    #[test]
    fn what_is_no_update_names_its_line() {
        for (line, reason) in [
            ("[]", "it is no update"),
            (r#"{"topic":"a"}"#, "missing field `data`"),
            (r#"{"data":""}"#, "it has no topic"),
            (r#"{"topics":[],"data":""}"#, "it has no topic"),
            (r#"{"topic":"a*","data":""}"#, "contains '*'"),
            (r#"{"topic":"a","data":"","type":"gap"}"#, "is the hub's own"),
            (r#"{"topic":"a","data":"","time":"yesterday"}"#, "time \"yesterday\" is not"),
            (r#"{"topic":"a","data":"","time":1767322445678}"#, "time \"1767322445678\" is not"),
            (r#"{"topic":"a","data":"","time":"1969-12-31T23:59:59Z"}"#, "from 1970 to 9999"),
            (r#"{"topic":"a","data":"","time":"300000-01-01T00:00:00Z"}"#, "from 1970 to 9999"),
            (
                r#"{"topic":"a","data":"","retry":99}"#,
                "retry is 99; it is a whole number of milliseconds from 100",
            ),
            (r#"{"topic":"a","data":"","retry":3600001}"#, "to 3600000 here"),
            (r#"{"topic":"a","data":"","retry":18446744073709551615}"#, "to 3600000 here"),
            (r#"{"topic":"a","data":"","retry":18446744073709551616}"#, "expected u64"),
            (r#"{"topic":"a","data":"","id":"~"}"#, "starts with '~'"),
        ] {
            let mut import = Import::ndjson(format!("\n{line}\n{{}}").into_bytes().leak() as &[u8]);
            let error = import.next().unwrap().unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(reason), "{line}: {error}");
            assert!(import.next().is_none(), "nothing after it is read");
        }
    }

    #[test]
    fn a_byte_order_mark_may_stand_at_the_very_beginning_and_nowhere_else() {
        let line = r#"{"topic":"a","data":""}"#;
        for (text, count) in [
            (format!("\u{feff}{line}\r\n{line}"), 2),
            (format!("\u{feff}\n{line}"), 1),
            (format!("\u{feff}\u{feff}{line}"), 0),
            (format!("{line}\n\u{feff}{line}"), 1),
        ] {
            for capacity in [1, 2, 1000] {
                let input = io::BufReader::with_capacity(capacity, text.as_bytes());
                assert_eq!(Import::ndjson(input).flatten().count(), count, "{text:?} by {capacity}");
            }
        }
        let input = io::BufReader::with_capacity(1, "\u{feff}data: a\n\n".as_bytes());
        assert_eq!(Import::event_stream(input, Topic::parse("t").unwrap()).flatten().count(), 1);
    }

    #[test]
    fn a_stream_with_a_mistake_is_read_up_to_it() {
        for (mistake, reason) in [
            ("dta: b\n\n", "field \"dta\" is not known"),
            ("data: b", "ends inside line 4"),
            ("event: gap\nid: 1\n\n", "line "),
            ("retry: 3600001\ndata: b\n\n", "line 6: retry is 3600001"),
            ("retry: 18446744073709551616\ndata: b\n\n", "line 4 has retry \"18446744073709551616\""),
        ] {
            let stream = format!("topic: t\ndata: a\n\n{mistake}");
            let mut import = Import::event_stream(stream.as_bytes(), Topic::parse("t").unwrap());
            assert_eq!(import.next().unwrap().unwrap().update.event().data(), "a");
            let error = import.next().unwrap().unwrap_err().to_string();
            assert!(error.contains(reason), "{mistake}: {error}");
            assert!(import.next().is_none());
        }
    }

    #[test]
    fn the_reconnection_time_that_a_stream_begins_with_is_not_its_first_events() {
        for (stream, retry) in
            [(":\nretry: 2000\ndata: a\n\n", None), ("retry: 2000\ndata: a\n\n", Some(2_000))]
        {
            let mut import = Import::event_stream(stream.as_bytes(), Topic::parse("t").unwrap());
            let append = import.next().unwrap().unwrap();
            assert_eq!(append.update.event().retry(), retry.map(Duration::from_millis), "{stream:?}");
        }
    }

    #[test]
    fn a_recorded_stream_is_read_however_it_is_buffered() {
        let id = "~AAAAAAAAAAAAAAAAAAAAAAAA";
        let stream = format!(
            ":\nretry: 5\ntopic: other\nevent: start\ndata: {{}}\nid: {id}\n\nevent: ping\ndata:\n\ndata: a\ndata: b\nid: 1\n\n\
             event: gap\ndata: {{}}\nid: {id}\n\nevent: close\ndata: done\nid: {id}\n\n"
        );
        for capacity in [1, 3, 1000] {
            let input = io::BufReader::with_capacity(capacity, stream.as_bytes());
            let topic = Topic::parse("t").unwrap();
            let appends: Vec<Append> = Import::event_stream(input, topic).map(Result::unwrap).collect();
            let data: Vec<_> = appends.iter().map(|append| append.update.event().data()).collect();
            assert_eq!(data, ["a\nb", "{}", "done"], "{capacity}");
            assert_eq!(appends[1].update.event().event_type(), "upstream-gap");
            assert!(appends[2].update.is_close());
        }
    }
}
