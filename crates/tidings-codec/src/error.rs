//! Errors of decoding: a limit, a mistake that strict reading refuses, or an end in the middle of an event.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// A mistake in a stream, with the number of its line.
///
/// The rest of the block is skipped. Decoding goes on after the next blank line, and the error is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    line: u64,
    /// The start of the refused text, for kinds where it helps.
    excerpt: Option<Box<str>>,
}

/// A kind of mistake that a decoder refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A line is longer than [`Decoder::with_max_line_bytes`](crate::Decoder::with_max_line_bytes) allows.
    LineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The data of an event is longer than [`Decoder::with_max_event_bytes`](crate::Decoder::with_max_event_bytes)
    /// allows.
    EventTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Strict only: an ID is longer than [`Decoder::with_max_id_bytes`](crate::Decoder::with_max_id_bytes) allows.
    IdTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Strict only: a line is not UTF-8.
    InvalidUtf8,
    /// Strict only: an ID contains NUL, so every client ignores the ID.
    NulInId,
    /// Strict only: the value of a `retry` field is not made of ASCII digits, or is more than `u64::MAX`.
    BadRetry,
    /// Strict only: a field that the standard does not name.
    UnknownField,
    /// Strict only: a block names an event type but has no data, so that no event is dispatched.
    EventWithoutData,
}

impl DecodeError {
    pub(crate) fn new(kind: DecodeErrorKind, line: u64) -> DecodeError {
        DecodeError { kind, line, excerpt: None }
    }

    /// Keeps the start of the refused `bytes` for the text of the error.
    #[must_use]
    pub(crate) fn showing(mut self, bytes: &[u8]) -> DecodeError {
        // Enough to recognise a typing error, too little to fill a log.
        const MAX_CHARS: usize = 40;
        let text = String::from_utf8_lossy(bytes);
        self.excerpt = Some(text.chars().take(MAX_CHARS).collect::<String>().into());
        self
    }

    /// The kind of the mistake.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// The number of the line that was refused, counted from 1.
    ///
    /// For [`EventWithoutData`](DecodeErrorKind::EventWithoutData) this is the blank line that ends the block.
    pub fn line(&self) -> u64 {
        self.line
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecodeError { kind, line, excerpt } = self;
        let shown = excerpt.as_deref().unwrap_or_default();
        match kind {
            DecodeErrorKind::LineTooLong { limit } => {
                write!(f, "line {line} is longer than {limit} bytes, the limit of a line")
            }
            DecodeErrorKind::EventTooLarge { limit } => {
                write!(
                    f,
                    "line {line} makes the event's data longer than {limit} bytes, the limit of an event"
                )
            }
            DecodeErrorKind::IdTooLong { limit } => {
                write!(f, "line {line} has an id longer than {limit} bytes, the limit of an id: {shown:?}…")
            }
            DecodeErrorKind::InvalidUtf8 => {
                write!(f, "line {line} is not UTF-8: {shown:?}; an event stream is UTF-8 text")
            }
            DecodeErrorKind::NulInId => {
                write!(f, "line {line} has an id with a NUL: {shown:?}; every client ignores such an id")
            }
            DecodeErrorKind::BadRetry => {
                write!(
                    f,
                    "line {line} has retry {shown:?}; it is a number of milliseconds in ASCII digits, at most 2^64-1"
                )
            }
            DecodeErrorKind::UnknownField => {
                write!(f, "line {line} has the unknown field {shown:?}; known are data, event, id and retry")
            }
            DecodeErrorKind::EventWithoutData => {
                write!(
                    f,
                    "the block ending at line {line} has an event type but no data; it dispatches nothing"
                )
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// A stream ended in the middle of an event.
///
/// By the standard the unfinished event is discarded: without its blank line it is never dispatched, and its ID is not
/// taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete {
    pub(crate) line: u64,
    pub(crate) inside_line: bool,
}

impl Incomplete {
    /// The number of the last line, counted from 1: the unfinished line, or the line where the blank line is missing.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether the last line itself is unfinished, not only its block.
    pub fn is_inside_line(&self) -> bool {
        self.inside_line
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line;
        if self.inside_line {
            write!(f, "stream ends inside line {line}; a line without a line end is discarded")
        } else {
            write!(f, "stream ends before line {line}; an event without its blank line is discarded")
        }
    }
}

impl core::error::Error for Incomplete {}
