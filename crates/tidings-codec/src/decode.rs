//! Bytes to items. Source: HTML, "Parsing an event stream" and "Interpreting an event stream".

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
/// Where the chunks end does not matter, except for what is free: an event is yielded as soon as its last byte is there,
/// and an event of one `data` line that lies in one chunk is not copied.
///
/// One decoder serves one event source: at the end of a response call [`finish`](Self::finish) or
/// [`reset`](Self::reset), and go on with the next response.
///
/// # Memory
/// Beside the chunk, which is the caller's, a decoder holds at most an unfinished line and the data of an unfinished
/// event, each within its limit. It keeps that memory for the next event.
#[derive(Debug, Clone)]
pub struct Decoder {
    lines: Lines,
    block: Block,
    /// `block` has been yielded, and is cleared when the borrow of its item has ended: at the next call.
    dispatched: bool,
    /// The last line was not blank, so that what follows does not begin a block.
    in_block: bool,
    /// Nothing is interpreted until the next blank line, after an error.
    skipping: bool,
    /// The last event ID string of the standard.
    last_event_id: String,
    /// Text that had to be repaired.
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

/// What comes next, where [`Item`] cannot be made yet since it would borrow the decoder.
#[derive(Clone, Copy)]
enum Step<'i> {
    /// `Some` data lies in the input, `None` in the block.
    Event(Option<&'i [u8]>),
    LastEventId,
    Retry(core::time::Duration),
    /// A comment or unknown field; `Some` line lies in the input, `None` was joined.
    Shown(Option<&'i [u8]>),
}

/// What [`Decoder::one_line_event`] found at the start of a block.
enum OneLine<'i> {
    /// The data of an event that is nothing but one `data` line.
    Event(&'i str),
    /// The start of a line that fills the input.
    Unfinished,
    /// Anything else; nothing is consumed.
    Other,
}

impl Decoder {
    /// A decoder that forgives what the standard forgives, like a browser.
    ///
    /// Unknown fields and invalid values are ignored, and what is not UTF-8 becomes U+FFFD. Only limits are errors.
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

    /// A decoder that reports what the standard forgives, for reading what somebody publishes.
    ///
    /// A mistake that every client would ignore in silence is an error here, with its line number: see
    /// [`DecodeErrorKind`]. What the standard's grammar allows is no error: comments, blocks that only set an ID or a
    /// reconnection time, fields without a colon, one leading byte order mark.
    pub fn strict() -> Decoder {
        Decoder { strict: true, ..Decoder::new() }
    }

    /// Sets how long a line may be, in bytes without its line end. Default 16 MiB.
    ///
    /// A longer one is [`DecodeErrorKind::LineTooLong`], as soon as its first byte too many is there.
    #[must_use]
    pub fn with_max_line_bytes(mut self, max: usize) -> Decoder {
        self.lines.set_max_line_bytes(max);
        self
    }

    /// Sets how long the data of an event may be, in bytes as received, its lines joined. Default 16 MiB.
    ///
    /// More is [`DecodeErrorKind::EventTooLarge`], at the end of the line that is too much.
    #[must_use]
    pub fn with_max_event_bytes(mut self, max: usize) -> Decoder {
        self.max_event_bytes = max;
        self
    }

    /// Sets how long an ID may be, in bytes as received. Default 4 KiB: it goes back to the server in a request header, and
    /// servers commonly take 8 KiB of headers.
    ///
    /// A longer one is ignored, as one with a NUL is by the standard: its event is yielded, and the last event ID stays what
    /// it was. A reconnection resumes there, so that some events may come again and none is lost. If
    /// [strict](Self::strict) it is [`DecodeErrorKind::IdTooLong`].
    #[must_use]
    pub fn with_max_id_bytes(mut self, max: usize) -> Decoder {
        self.max_id_bytes = max;
        self
    }

    /// Sets whether unknown fields are yielded as [`Item::Unknown`]. Default `false`: they are ignored, and an error if
    /// strict. `true` makes them welcome in both.
    #[must_use]
    pub fn with_unknown_fields(mut self, unknown_fields: bool) -> Decoder {
        self.unknown_fields = unknown_fields;
        self
    }

    /// The next item, from what is left of `input` and what earlier chunks began.
    ///
    /// Advances `input` past what was read. `None` means that `input` is used up: call again with the next chunk. An
    /// error concerns one block only; go on calling to read what follows it.
    ///
    /// # Errors
    /// A limit, and if [strict](Self::strict) what the standard forgives: see [`DecodeErrorKind`]. The rest of the block
    /// is skipped, and nothing of it takes effect except a reconnection time already yielded.
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
                // The blank line that ends a block has been read already.
                self.skipping = error.kind() != DecodeErrorKind::EventWithoutData;
                self.block.clear();
                Some(Err(error))
            }
        }
    }

    /// The last event ID string of the standard: what a client sends as `Last-Event-ID` when it reconnects.
    ///
    /// Set at the blank line that ends its block, not before. `""` if there is none.
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

    /// How many bytes it keeps of a line and a block that are not complete: 0 between two blocks, and after a comment there.
    pub fn unfinished_bytes(&self) -> usize {
        let block = if self.dispatched { 0 } else { self.block.kept_bytes() };
        self.lines.partial_bytes() + block
    }

    /// Gives back the memory of long lines and events beyond this many bytes, as far as nothing is in it.
    ///
    /// A decoder keeps its buffers from one event to the next. Where one stream stays open for long, this is how it costs
    /// little after a large event.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.dispatched {
            self.block.clear();
            self.dispatched = false;
        }
        self.lines.shrink_to(bytes);
        self.block.shrink_to(bytes);
    }

    /// Ends the stream and says what its end cut off. Then does what [`reset`](Self::reset) does.
    ///
    /// # Errors
    /// [`Incomplete`] if the stream ends inside a line, or in a block that would have dispatched an event or set an ID.
    /// By the standard that part is discarded, so a client may ignore this; a server that reads a request should not.
    /// A block already reported as an error is not reported again.
    pub fn finish(&mut self) -> Result<(), Incomplete> {
        let pending = !self.dispatched && self.block.is_pending();
        let inside_line = self.lines.is_inside_line();
        let line = self.lines.number();
        let cut = !self.skipping && (inside_line || pending);
        self.reset();
        if cut { Err(Incomplete { line, inside_line }) } else { Ok(()) }
    }

    /// Forgets an unfinished line and block, and starts a new stream: line 1, perhaps with a byte order mark.
    ///
    /// The last event ID stays, as in browsers: it belongs to the event source, not to the connection.
    pub fn reset(&mut self) {
        self.lines.reset();
        self.block.clear();
        self.dispatched = false;
        self.in_block = false;
        self.skipping = false;
    }

    /// Takes an event off `input` if all of it is there and it is nothing but one `data` line.
    ///
    /// It does for the commonest block what [`step`](Self::step) does for any: a tiny event takes half the time, and one
    /// of 285 bytes three quarters.
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

    /// Reads lines up to the next one that yields something.
    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Option<Result<Step<'i>, DecodeError>> {
        if mem::take(&mut self.dispatched) {
            self.block.clear();
        }
        // The only `data` line of the block so far, as long as it can stay where it is.
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

    /// Copies borrowed data, as the chunk is out of sight after this call.
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
                // Decoded first: both parts of a repaired line lie in one buffer.
                let (name, value) = text.split_once(':').unwrap_or((text, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                if name.is_empty() { Item::Comment(value) } else { Item::Unknown { name, value } }
            }
        }
    }
}
