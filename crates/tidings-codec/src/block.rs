//! The block being read: the fields collected since the last blank line.
//!
//! Source: HTML, "Interpreting an event stream", the three buffers.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::utf8;
use crate::work;

/// The data buffer, the event type buffer and the last event ID buffer of the standard.
///
/// Each block reuses the buffers of the one before it. Their memory is that of the largest block so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// The data lines as they arrived, joined by LF. Text is decoded once, when the event is dispatched. The bytes
    /// before `data_start` do not count.
    data: Vec<u8>,
    data_start: usize,
    pub(crate) has_data: bool,
    pub(crate) event_type: String,
    pub(crate) has_event_type: bool,
    pub(crate) id: String,
    pub(crate) has_id: bool,
    pub(crate) retry: Option<Duration>,
}

impl Block {
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.data.clear();
        self.data_start = 0;
        self.has_data = false;
        self.event_type.clear();
        self.has_event_type = false;
        self.has_id = false;
        self.retry = None;
    }

    /// How many bytes this block holds.
    pub(crate) fn kept_bytes(&self) -> usize {
        let id = if self.has_id { self.id.len() } else { 0 };
        self.data.len() + self.event_type.len() + id
    }

    /// Releases memory beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.data.shrink_to(bytes);
        self.event_type.shrink_to(bytes);
    }

    /// Whether a blank line would now dispatch an event or set the last event ID.
    pub(crate) fn is_pending(&self) -> bool {
        self.has_data || self.has_event_type || self.has_id
    }

    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        &self.data[self.data_start..]
    }

    /// Appends a `data` line.
    #[inline]
    pub(crate) fn push_data(&mut self, line: &[u8]) {
        if self.has_data {
            self.data.push(b'\n');
        }
        work::count(line.len());
        self.data.extend_from_slice(line);
        self.has_data = true;
    }

    /// Returns the empty data buffer. The caller fills it with a whole `data` line whose value starts at `value_start`.
    pub(crate) fn first_data(&mut self, value_start: usize) -> &mut Vec<u8> {
        debug_assert!(!self.has_data && self.data.is_empty());
        self.data_start = value_start;
        self.has_data = true;
        &mut self.data
    }

    pub(crate) fn set_event_type(&mut self, value: &[u8]) {
        utf8::decode_into(value, &mut self.event_type);
        self.has_event_type = true;
    }

    pub(crate) fn set_id(&mut self, value: &[u8]) {
        utf8::decode_into(value, &mut self.id);
        self.has_id = true;
    }
}

/// The value of a `retry` field: `None` unless it is made of ASCII digits only.
///
/// A number above `u64::MAX` milliseconds, half a billion years, becomes `u64::MAX`: the field is valid and means "very
/// long".
pub(crate) fn parse_retry(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let millis =
        value.iter().fold(0u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_millis(millis))
}

/// Whether [`parse_retry`] returns the exact number in `value`, which consists of digits.
pub(crate) fn is_exact_retry(value: &[u8]) -> bool {
    core::str::from_utf8(value).is_ok_and(|digits| digits.parse::<u64>().is_ok())
}
