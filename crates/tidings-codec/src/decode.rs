//! The decoder: bytes in, items out.
//!
//! Source: HTML, "Parsing an event stream" and "Interpreting an event stream".

use alloc::string::String;
use core::mem;

use crate::block::{Block, is_exact_retry, parse_retry};
use crate::error::{DecodeError, DecodeErrorKind, Incomplete};
use crate::event::EventId;
use crate::item::{EventRef, Item};
use crate::line::{Line, Lines, Next, line_end};
use crate::utf8;
use crate::work;

const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;
const MAX_ID_BYTES: usize = 4 * 1024;

/// Reads an event stream, chunk by chunk.
///
/// Chunks may end anywhere. The decoder yields an event as soon as its last byte has arrived. An event of one `data`
/// line that lies in one chunk is not copied.
///
/// Use one decoder for each event source. At the end of a response call [`finish`](Self::finish) or
/// [`reset`](Self::reset), then go on with the next response.
///
/// # Memory
/// A decoder holds at most an unfinished line and the data of an unfinished event, each within its limit. The chunk
/// belongs to the caller. The decoder keeps its memory for the next event.
#[derive(Debug, Clone)]
pub struct Decoder {
    lines: Lines,
    block: Block,
    /// `block` has been yielded. The next call clears it, because then the borrow of its item has ended.
    dispatched: bool,
    /// The last line was not blank, so the next line does not begin a block.
    in_block: bool,
    /// After an error nothing is interpreted until the next blank line.
    skipping: bool,
    /// The last event ID string of the standard.
    last_event_id: String,
    /// Text in which ill-formed bytes were replaced.
    repaired: String,
    strict: bool,
    unknown_fields: bool,
    max_event_bytes: usize,
    max_id_bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new()
    }
}

/// The next item, while [`Item`] cannot be made yet because it would borrow the decoder.
#[derive(Clone, Copy)]
enum Step<'i> {
    /// The data: `Some` if it lies in the input, `None` if it lies in the block.
    Event(Option<&'i [u8]>),
    LastEventId,
    Retry(core::time::Duration),
    /// A comment or an unknown field. The line is `Some` if it lies in the input, and `None` if it was joined.
    Shown(Option<&'i [u8]>),
}

/// The result of [`Decoder::one_line_event`] at the start of a block.
enum OneLine<'i> {
    /// The data of an event that is nothing but one `data` line.
    Event(&'i str),
    /// The start of a line that fills the input.
    Unfinished,
    /// Any other block. Nothing is consumed.
    Other,
}

impl Decoder {
    /// Makes a decoder that is as lenient as a browser.
    ///
    /// It ignores unknown fields and invalid values, and replaces bytes that are not UTF-8 by U+FFFD. Only limits are
    /// errors.
    pub fn new() -> Decoder {
        Decoder {
            lines: Lines::new(MAX_LINE_BYTES),
            block: Block::default(),
            dispatched: false,
            in_block: false,
            skipping: false,
            last_event_id: String::new(),
            repaired: String::new(),
            strict: false,
            unknown_fields: false,
            max_event_bytes: MAX_EVENT_BYTES,
            max_id_bytes: MAX_ID_BYTES,
        }
    }

    /// Makes a decoder that reports the mistakes that the standard tells clients to ignore. Use it for input from a
    /// publisher.
    ///
    /// A mistake that every client would ignore in silence is an error here, with its line number: see
    /// [`DecodeErrorKind`]. Everything in the standard's grammar is accepted: comments, blocks that only set an ID or a
    /// reconnection time, fields without a colon, one leading byte order mark.
    pub fn strict() -> Decoder {
        Decoder { strict: true, ..Decoder::new() }
    }

    /// Sets the maximum length of a line, in bytes without its line end. Default 16 MiB.
    ///
    /// A longer line gives [`DecodeErrorKind::LineTooLong`] as soon as the first byte beyond the limit arrives.
    #[must_use]
    pub fn with_max_line_bytes(mut self, max: usize) -> Decoder {
        self.lines.set_max_line_bytes(max);
        self
    }

    /// Sets the maximum size of an event's data, in bytes as received, with its lines joined. Default 16 MiB.
    ///
    /// More data gives [`DecodeErrorKind::EventTooLarge`] at the end of the line that exceeds the limit.
    #[must_use]
    pub fn with_max_event_bytes(mut self, max: usize) -> Decoder {
        self.max_event_bytes = max;
        self
    }

    /// Sets the maximum length of an ID, in bytes as received. Default 4 KiB.
    ///
    /// The client sends the ID back in a request header, and servers commonly accept 8 KiB of headers.
    ///
    /// A longer ID is ignored, just as the standard ignores an ID with a NUL. The event is yielded, and the last event
    /// ID stays as it was. The next reconnection resumes from that older ID: some events may come again, and none is
    /// lost. A [strict](Self::strict) decoder gives [`DecodeErrorKind::IdTooLong`].
    #[must_use]
    pub fn with_max_id_bytes(mut self, max: usize) -> Decoder {
        self.max_id_bytes = max;
        self
    }

    /// Sets whether unknown fields are yielded as [`Item::Unknown`]. Default `false`: a lenient decoder ignores them,
    /// and a strict one reports an error. With `true` both yield them.
    #[must_use]
    pub fn with_unknown_fields(mut self, unknown_fields: bool) -> Decoder {
        self.unknown_fields = unknown_fields;
        self
    }

    /// Returns the next item from `input` and from what earlier chunks began.
    ///
    /// Advances `input` past the bytes it has read. `None` means that `input` is used up: call again with the next
    /// chunk. An error concerns one block only: call again to read the blocks after it.
    ///
    /// # Errors
    /// A limit is exceeded, or a [strict](Self::strict) decoder found a mistake: see [`DecodeErrorKind`]. The rest of
    /// the block is skipped. Nothing in the block takes effect, except a reconnection time that was already yielded.
    pub fn decode<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Result<Item<'a>, DecodeError>> {
        if input.is_empty() {
            return None;
        }
        match self.one_line_event(input) {
            OneLine::Event(data) => {
                let last_event_id = &self.last_event_id;
                let event = EventRef { event_type: "", data, last_event_id, sets_id: false, retry: None };
                return Some(Ok(Item::Event(event)));
            }
            OneLine::Unfinished => {
                self.lines.keep(mem::take(input));
                return None;
            }
            OneLine::Other => {}
        }
        match self.step(input)? {
            Ok(step) => Some(Ok(self.item(step))),
            Err(error) => {
                // The blank line that ends the block has already been read.
                self.skipping = error.kind() != DecodeErrorKind::EventWithoutData;
                self.block.clear();
                Some(Err(error))
            }
        }
    }

    /// The last event ID string of the standard, which a client sends as `Last-Event-ID` when it reconnects.
    ///
    /// It changes at the blank line that ends a block, not before. `""` if there is none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Sets the last event ID, for a stream that is resumed.
    pub fn set_last_event_id(&mut self, id: EventId) {
        self.last_event_id = id.into_string();
    }

    /// The number of the line being read, counted from 1.
    pub fn line(&self) -> u64 {
        self.lines.number()
    }

    /// How many bytes of an unfinished line and block the decoder holds. 0 between two blocks, also after a comment
    /// there.
    pub fn unfinished_bytes(&self) -> usize {
        let block = if self.dispatched { 0 } else { self.block.kept_bytes() };
        self.lines.partial_bytes() + block
    }

    /// Releases the memory of long lines and events beyond this many bytes, as far as it is empty.
    ///
    /// A decoder keeps its buffers from one event to the next. Call this on a stream that stays open for long, so that
    /// it uses little memory after a large event.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.dispatched {
            self.block.clear();
            self.dispatched = false;
        }
        self.lines.shrink_to(bytes);
        self.block.shrink_to(bytes);
    }

    /// Ends the stream and reports an event that the end cut off. Then does the same as [`reset`](Self::reset).
    ///
    /// # Errors
    /// [`Incomplete`] if the stream ends inside a line, or in a block that would have dispatched an event or set an ID.
    /// The standard discards that part, so a client may ignore this error. A server that reads a request should not. A
    /// block that was already reported as an error is not reported again.
    pub fn finish(&mut self) -> Result<(), Incomplete> {
        let pending = !self.dispatched && self.block.is_pending();
        let inside_line = self.lines.is_inside_line();
        let line = self.lines.number();
        let cut = !self.skipping && (inside_line || pending);
        self.reset();
        if cut { Err(Incomplete { line, inside_line }) } else { Ok(()) }
    }

    /// Discards an unfinished line and block and starts a new stream: line 1, perhaps with a byte order mark.
    ///
    /// The last event ID stays, as in browsers: it belongs to the event source, not to the connection.
    pub fn reset(&mut self) {
        self.lines.reset();
        self.block.clear();
        self.dispatched = false;
        self.in_block = false;
        self.skipping = false;
    }

    /// Takes an event off `input` if the event is complete and consists of one `data` line only.
    ///
    /// It does for the commonest block what [`step`](Self::step) does for every block. A tiny event takes half the
    /// time, and one of 285 bytes three quarters.
    #[inline]
    fn one_line_event<'i>(&mut self, input: &mut &'i [u8]) -> OneLine<'i> {
        const FIELD: &[u8] = b"data: ";
        if self.in_block || !self.lines.is_between_lines() {
            return OneLine::Other;
        }
        let Some(value) = input.strip_prefix(FIELD) else { return OneLine::Other };
        let end = line_end(value);
        let length = end.unwrap_or(value.len());
        if length > self.max_event_bytes || FIELD.len() + length > self.lines.max_line_bytes() {
            return OneLine::Other;
        }
        let Some(end) = end else { return OneLine::Unfinished };
        let Some(rest) = value[end..].strip_prefix(b"\n\n") else { return OneLine::Other };
        work::count(end);
        let Ok(data) = core::str::from_utf8(&value[..end]) else { return OneLine::Other };
        *input = rest;
        self.lines.count(2);
        OneLine::Event(data)
    }

    /// Reads lines until one of them yields an item.
    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Option<Result<Step<'i>, DecodeError>> {
        if mem::take(&mut self.dispatched) {
            self.block.clear();
        }
        // The only `data` line of the block so far, as long as it can stay in the input.
        let mut borrowed: Option<&'i [u8]> = None;
        loop {
            let (line, place) = match self.lines.next(input) {
                Next::Whole(line) => (line, Some(line)),
                Next::Joined => (self.lines.joined(), None),
                Next::TooLong => {
                    self.in_block = true;
                    if self.skipping {
                        continue;
                    }
                    let limit = self.lines.max_line_bytes();
                    let kind = DecodeErrorKind::LineTooLong { limit };
                    return Some(Err(DecodeError::new(kind, self.lines.number())));
                }
                Next::More => {
                    self.keep(borrowed);
                    return None;
                }
            };
            self.in_block = !line.is_empty();
            if self.skipping {
                self.skipping = self.in_block;
                continue;
            }
            let refuse = |kind| DecodeError::new(kind, self.lines.number() - 1);
            if self.strict && core::str::from_utf8(line).is_err() {
                return Some(Err(refuse(DecodeErrorKind::InvalidUtf8).showing(line)));
            }
            match Line::parse(line) {
                Line::Data(value) => {
                    let limit = self.max_event_bytes;
                    let so_far = match borrowed {
                        Some(first) => first.len() + 1,
                        None if self.block.has_data => self.block.data().len() + 1,
                        None => 0,
                    };
                    if so_far + value.len() > limit {
                        return Some(Err(refuse(DecodeErrorKind::EventTooLarge { limit })));
                    }
                    if so_far > 0 {
                        if let Some(first) = borrowed.take() {
                            self.block.push_data(first);
                        }
                        self.block.push_data(value);
                    } else if let Some(line) = place {
                        borrowed = Some(&line[line.len() - value.len()..]);
                    } else {
                        let value_start = line.len() - value.len();
                        self.lines.swap_joined(self.block.first_data(value_start));
                    }
                }
                Line::Blank => {
                    let has_data = borrowed.is_some() || self.block.has_data;
                    if self.strict && self.block.has_event_type && !has_data {
                        return Some(Err(refuse(DecodeErrorKind::EventWithoutData)));
                    }
                    if self.block.has_id {
                        mem::swap(&mut self.last_event_id, &mut self.block.id);
                    }
                    if has_data || self.block.has_id {
                        self.dispatched = true;
                        return Some(Ok(if has_data { Step::Event(borrowed) } else { Step::LastEventId }));
                    }
                    self.block.clear();
                }
                Line::Event(value) => self.block.set_event_type(value),
                Line::Id(value) => {
                    if memchr::memchr(b'\0', value).is_some() {
                        if self.strict {
                            return Some(Err(refuse(DecodeErrorKind::NulInId).showing(value)));
                        }
                    } else if value.len() > self.max_id_bytes {
                        if self.strict {
                            let limit = self.max_id_bytes;
                            return Some(Err(refuse(DecodeErrorKind::IdTooLong { limit }).showing(value)));
                        }
                    } else {
                        self.block.set_id(value);
                    }
                }
                Line::Retry(value) => {
                    let retry = parse_retry(value).filter(|_| !self.strict || is_exact_retry(value));
                    if let Some(retry) = retry {
                        self.block.retry = Some(retry);
                        self.keep(borrowed);
                        return Some(Ok(Step::Retry(retry)));
                    }
                    if self.strict {
                        return Some(Err(refuse(DecodeErrorKind::BadRetry).showing(value)));
                    }
                }
                Line::Unknown { name, .. } if !self.unknown_fields => {
                    if self.strict {
                        return Some(Err(refuse(DecodeErrorKind::UnknownField).showing(name)));
                    }
                }
                Line::Comment(_) | Line::Unknown { .. } => {
                    self.keep(borrowed);
                    return Some(Ok(Step::Shown(place)));
                }
            }
        }
    }

    /// Copies borrowed data, because the chunk is not available after this call.
    fn keep(&mut self, borrowed: Option<&[u8]>) {
        if let Some(value) = borrowed {
            self.block.push_data(value);
        }
    }

    fn item<'a>(&'a mut self, step: Step<'a>) -> Item<'a> {
        match step {
            Step::Event(borrowed) => Item::Event(EventRef {
                event_type: &self.block.event_type,
                data: utf8::decode(borrowed.unwrap_or(self.block.data()), &mut self.repaired),
                last_event_id: &self.last_event_id,
                sets_id: self.block.has_id,
                retry: self.block.retry,
            }),
            Step::LastEventId => Item::LastEventId(&self.last_event_id),
            Step::Retry(retry) => Item::Retry(retry),
            Step::Shown(place) => {
                let text = utf8::decode(place.unwrap_or(self.lines.joined()), &mut self.repaired);
                // Decoded first, because both parts of a repaired line lie in one buffer.
                let (name, value) = text.split_once(':').unwrap_or((text, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                if name.is_empty() { Item::Comment(value) } else { Item::Unknown { name, value } }
            }
        }
    }
}
