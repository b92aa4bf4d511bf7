//! Cuts chunks into lines, and a line into its field and value. Source: HTML, "Parsing an event stream".

use alloc::vec::Vec;
use core::mem;

use crate::work;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Cuts chunks into lines. Keeps the start of a line until its end arrives.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    /// The start of the line being read, from earlier chunks. Until the next call: the line just returned.
    partial: Vec<u8>,
    expected: Expected,
    /// The line being read was reported as too long, and its bytes are dropped.
    overlong: bool,
    /// The line in `partial` has been returned. The next line replaces it.
    returned: bool,
    number: u64,
    max_line_bytes: usize,
}

/// Bytes that may come before the next line and are not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Nothing,
    /// The rest of a byte order mark at the start of the stream, of which this many bytes have arrived.
    Bom(usize),
    /// A LF that belongs to the CR before it. The CR may have been the last byte of its chunk. Its line was returned at
    /// once, so that an event never waits for a byte that carries nothing.
    Lf,
}

/// The result of [`Lines::next`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next<'i> {
    /// A line that lies in the input, without its end.
    Whole(&'i [u8]),
    /// A line that began in an earlier chunk; see [`Lines::joined`].
    Joined,
    /// The line being read exceeds the limit. Returned once for each such line.
    TooLong,
    /// The input is used up.
    More,
}

impl Lines {
    pub(crate) fn new(max_line_bytes: usize) -> Lines {
        Lines {
            partial: Vec::new(),
            expected: Expected::Bom(0),
            overlong: false,
            returned: false,
            number: 1,
            max_line_bytes,
        }
    }

    pub(crate) fn set_max_line_bytes(&mut self, max: usize) {
        self.max_line_bytes = max;
    }

    pub(crate) fn max_line_bytes(&self) -> usize {
        self.max_line_bytes
    }

    /// The number of the line being read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the next byte of the input is certainly the first of a line.
    #[inline]
    pub(crate) fn is_between_lines(&self) -> bool {
        self.expected == Expected::Nothing && !self.overlong && (self.partial.is_empty() || self.returned)
    }

    /// Counts lines that the caller took off the input itself.
    #[inline]
    pub(crate) fn count(&mut self, lines: u64) {
        self.number += lines;
    }

    /// Whether part of a line has been read.
    pub(crate) fn is_inside_line(&self) -> bool {
        self.overlong
            || (!self.returned && !self.partial.is_empty())
            || matches!(self.expected, Expected::Bom(1 | 2))
    }

    /// How many bytes of an unfinished line are held.
    pub(crate) fn partial_bytes(&self) -> usize {
        if self.returned { 0 } else { self.partial.len() }
    }

    /// Releases memory beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.forget_returned();
        self.partial.shrink_to(bytes);
    }

    /// The line to which [`Next::Joined`] refers.
    pub(crate) fn joined(&self) -> &[u8] {
        &self.partial
    }

    /// Exchanges the joined line's buffer for `other`, so that a long line is not copied.
    pub(crate) fn swap_joined(&mut self, other: &mut Vec<u8>) {
        mem::swap(&mut self.partial, other);
    }

    /// Starts again for the next stream. Keeps the limit and the buffer.
    pub(crate) fn reset(&mut self) {
        self.partial.clear();
        self.expected = Expected::Bom(0);
        self.overlong = false;
        self.returned = false;
        self.number = 1;
    }

    /// Takes the next line off `input`.
    #[inline]
    pub(crate) fn next<'i>(&mut self, input: &mut &'i [u8]) -> Next<'i> {
        self.forget_returned();
        loop {
            if self.expected != Expected::Nothing {
                self.skip_expected(input);
            }
            let bytes = *input;
            if bytes.is_empty() {
                return Next::More;
            }
            let end = line_end(bytes);
            let here = end.unwrap_or(bytes.len());
            if !self.overlong && self.partial.len() + here > self.max_line_bytes {
                // Nothing is consumed: the length of a line must not depend on where its chunks end.
                self.overlong = true;
                self.partial.clear();
                return Next::TooLong;
            }
            let rest = &bytes[..here];
            let Some(end) = end else {
                *input = &bytes[bytes.len()..];
                if !self.overlong {
                    self.keep(rest);
                }
                return Next::More;
            };
            if bytes[end] == b'\r' {
                self.expected = Expected::Lf;
            }
            *input = &bytes[end + 1..];
            self.number += 1;
            if mem::take(&mut self.overlong) {
                continue;
            }
            if self.partial.is_empty() {
                return Next::Whole(rest);
            }
            self.keep(rest);
            self.returned = true;
            return Next::Joined;
        }
    }

    #[inline]
    fn forget_returned(&mut self) {
        if mem::take(&mut self.returned) {
            self.partial.clear();
        }
    }

    /// Keeps part of a line until its end arrives. The caller has checked it against the limit.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.forget_returned();
        work::count(bytes.len());
        self.partial.extend_from_slice(bytes);
    }

    #[cold]
    #[inline(never)]
    fn skip_expected(&mut self, input: &mut &[u8]) {
        while let Some((first, tail)) = input.split_first() {
            match self.expected {
                Expected::Bom(matched) if BOM.get(matched) == Some(first) => {
                    *input = tail;
                    self.expected = Expected::Bom(matched + 1);
                    continue;
                }
                // The bytes began like a byte order mark but are the start of the first line.
                Expected::Bom(matched) if matched < BOM.len() => self.keep(&BOM[..matched]),
                Expected::Lf if *first == b'\n' => *input = tail,
                _ => {}
            }
            self.expected = Expected::Nothing;
            return;
        }
    }
}

/// Where the first CR or LF of `bytes` is.
///
/// Most blank and short lines end within the two words that are examined here. For them a call of memchr2 costs more
/// than finding the end (a third of the time of a tiny event).
#[inline]
pub(crate) fn line_end(bytes: &[u8]) -> Option<usize> {
    let end = find_line_end(bytes);
    work::count(end.unwrap_or(bytes.len()));
    end
}

#[inline]
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    for at in [0, 8] {
        let Some((word, tail)) = rest.split_first_chunk() else { break };
        let hits = line_breaks(u64::from_le_bytes(*word));
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        rest = tail;
    }
    memchr::memchr2(b'\r', b'\n', rest).map(|end| bytes.len() - rest.len() + end)
}

/// The lowest bit set in the result is in the first byte of `word`, in memory order, that is CR or LF.
#[inline]
fn line_breaks(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    zero_bytes(word ^ (ONES * b'\n' as u64)) | zero_bytes(word ^ (ONES * b'\r' as u64))
}

/// The meaning of one line. Source: HTML, "Interpreting an event stream".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Dispatches the event.
    Blank,
    /// The text after the colon and one space.
    Comment(&'a [u8]),
    Data(&'a [u8]),
    Event(&'a [u8]),
    Id(&'a [u8]),
    Retry(&'a [u8]),
    Unknown {
        name: &'a [u8],
        value: &'a [u8],
    },
}

impl<'a> Line<'a> {
    #[inline]
    pub(crate) fn parse(line: &'a [u8]) -> Line<'a> {
        if let [b'd', b'a', b't', b'a', b':', value @ ..] = line {
            return Line::Data(value.strip_prefix(b" ").unwrap_or(value));
        }
        if line.is_empty() {
            return Line::Blank;
        }
        // A line without a colon is a field name with an empty value.
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, rest) = line.split_at(colon);
        let value = match rest {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            _ => rest,
        };
        match name {
            b"" => Line::Comment(value),
            b"data" => Line::Data(value),
            b"event" => Line::Event(value),
            b"id" => Line::Id(value),
            b"retry" => Line::Retry(value),
            _ => Line::Unknown { name, value },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_quick_line_end_is_the_first_cr_or_lf() {
        // 0x8A and 0x8D differ from LF and CR in the high bit only, 0x0B and 0x0C by the bit that a borrow would
        // change.
        for filler in [b'a', 0x00, 0x0B, 0x0C, 0x8A, 0x8D, 0xFF] {
            for length in 0..40 {
                let mut bytes = vec![filler; length];
                assert_eq!(line_end(&bytes), None);
                for at in 0..length {
                    for end in *b"\r\n" {
                        for second in at..length {
                            bytes[second] = b'\n';
                            bytes[at] = end;
                            let plain = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
                            assert_eq!(line_end(&bytes), plain, "{bytes:?}");
                            bytes[second] = filler;
                            bytes[at] = filler;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_data_line_is_recognised_as_any_other_line_is() {
        for line in [&b"data:"[..], b"data: ", b"data:  a", b"data:a", b"data: a:b", b"data::"] {
            let (name, value) = line.split_at(4);
            assert_eq!(name, b"data");
            let value = value.strip_prefix(b": ").or(value.strip_prefix(b":")).unwrap();
            assert_eq!(Line::parse(line), Line::Data(value));
        }
        assert_eq!(Line::parse(b"data"), Line::Data(b""));
        assert_eq!(Line::parse(b"dat:"), Line::Unknown { name: b"dat", value: b"" });
    }
}
