//! The encoder: events, comments and reconnection times become bytes.
//!
//! Everything is appended to the caller's buffer, so one buffer serves a whole stream without allocating.

use alloc::vec::Vec;
use core::time::Duration;

use crate::event::{DEFAULT_TYPE, Event, whole_millis};

const EVENT: &[u8] = b"event: ";
const RETRY: &[u8] = b"retry: ";
const DATA: &[u8] = b"data: ";
const ID: &[u8] = b"id: ";

impl Event {
    /// Appends the event to `out` in its wire format, with the blank line that dispatches it.
    ///
    /// The order of the lines is `event`, `retry`, `data`, and `id` last. If the connection breaks inside the event,
    /// the client has not taken its ID and asks for the event again.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_event(self.event_type(), self.data(), self.id().map(AsRef::as_ref), self.retry(), out);
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        let line = |field: &[u8], value: usize| field.len() + value + 1;
        let event_type = self.event_type();
        let event_type = if event_type == DEFAULT_TYPE { 0 } else { line(EVENT, event_type.len()) };
        let retry = self.retry().map_or(0, |retry| {
            let millis = whole_millis(retry);
            line(RETRY, millis.checked_ilog10().unwrap_or(0) as usize + 1)
        });
        let data = self.data().as_bytes();
        // Each LF in the data ends a line, and the next line needs its own field name.
        let data = line(DATA, data.len()) + memchr::memchr_iter(b'\n', data).count() * DATA.len();
        let id = self.id().map_or(0, |id| line(ID, id.as_str().len()));
        event_type + retry + data + id + 1
    }

    /// Returns the encoded event, which all subscribers can share without copying. Allocates once, with the exact
    /// length.
    #[cfg(feature = "bytes")]
    pub fn to_bytes(&self) -> bytes::Bytes {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode(&mut out);
        out.into()
    }
}

/// Appends `text` to `out` as comment lines, which every client ignores: one `: …` line for each line of `text`.
///
/// Empty text gives `":\n"`, the shortest heartbeat. No blank line is added, so a comment may stand inside a block.
pub fn encode_comment(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    loop {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        out.extend_from_slice(if line.is_empty() { b":" } else { b": " });
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = match tail {
            [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
            [] => return,
        };
    }
}

/// Appends a `retry` field to `out`: how long the client waits before it reconnects.
///
/// The time is in whole milliseconds: smaller parts are cut off, and `u64::MAX` milliseconds is the maximum. No blank
/// line is added: the field takes effect as soon as its line is complete.
pub fn encode_retry(retry: Duration, out: &mut Vec<u8>) {
    out.extend_from_slice(RETRY);
    push_decimal(whole_millis(retry), out);
    out.push(b'\n');
}

/// Encodes an event from its parts. The parts contain nothing that an [`Event`] refuses, and `data` has LF line ends
/// only.
pub(crate) fn encode_event(
    event_type: &str,
    data: &str,
    id: Option<&str>,
    retry: Option<Duration>,
    out: &mut Vec<u8>,
) {
    if event_type != DEFAULT_TYPE {
        push_line(EVENT, event_type.as_bytes(), out);
    }
    if let Some(retry) = retry {
        encode_retry(retry, out);
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', data.as_bytes()).chain([data.len()]) {
        push_line(DATA, &data.as_bytes()[start..end], out);
        start = end + 1;
    }
    if let Some(id) = id {
        push_line(ID, id.as_bytes(), out);
    }
    out.push(b'\n');
}

fn push_line(field: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(field);
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    // 20 digits hold u64::MAX.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, EventType};
    use alloc::string::{String, ToString};

    fn encoded(event: &Event) -> String {
        let mut out = Vec::new();
        event.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn id_comes_last_and_a_blank_line_dispatches() {
        let event = Event::new("a")
            .with_id(EventId::parse("7").unwrap())
            .with_type(EventType::parse("note").unwrap())
            .with_retry(Duration::from_secs(2));
        assert_eq!(encoded(&event), "event: note\nretry: 2000\ndata: a\nid: 7\n\n");
    }

    #[test]
    fn every_line_of_data_gets_its_field() {
        assert_eq!(encoded(&Event::new("a\r\n\rb\n")), "data: a\ndata: \ndata: b\ndata: \n\n");
    }

    #[test]
    fn empty_data_is_sent() {
        assert_eq!(encoded(&Event::new("")), "data: \n\n");
    }

    #[test]
    fn comments_cannot_leave_their_lines() {
        let comment = |text| {
            let mut out = Vec::new();
            encode_comment(text, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(comment(""), ":\n");
        assert_eq!(comment("ping"), ": ping\n");
        assert_eq!(comment("a\r\ndata: b\r\nc\n"), ": a\n: data: b\n: c\n:\n");
        assert_eq!(comment("\r\r\n"), ":\n:\n:\n");
    }

    #[test]
    fn retry_is_decimal_milliseconds() {
        for millis in [0, 7, 10, 1999, u64::MAX] {
            let mut out = Vec::new();
            encode_retry(Duration::from_millis(millis), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), alloc::format!("retry: {millis}\n").to_string());
        }
    }
}
