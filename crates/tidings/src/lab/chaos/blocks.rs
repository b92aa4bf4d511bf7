//! Cuts a stream after its blank lines. Each block is an event, or comments without an event.

use bytes::{Bytes, BytesMut};

/// The maximum size of a block. Beyond it, the bytes so far count as a block: nothing here needs larger ones, and a
/// stream without blank lines must not fill the memory.
const MOST_BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Blocks {
    unread: BytesMut,
    /// How much of it has been searched.
    seen: usize,
    line_has_bytes: bool,
    after_cr: bool,
}

impl Blocks {
    /// Takes bytes, and returns the blocks that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        let mut blocks = Vec::new();
        self.unread.extend_from_slice(bytes);
        while let Some(&byte) = self.unread.get(self.seen) {
            self.seen += 1;
            // An LF after CR is the second half of a line end. After a blank line it is the first byte of the next
            // block, where it means nothing.
            let ends_line = byte == b'\r' || (byte == b'\n' && !self.after_cr);
            let is_half = byte == b'\n' && self.after_cr;
            let ends_block = ends_line && !self.line_has_bytes;
            self.after_cr = byte == b'\r';
            if !is_half {
                self.line_has_bytes = !ends_line;
            }
            if ends_block || self.seen == MOST_BYTES {
                blocks.push(self.unread.split_to(self.seen).freeze());
                self.seen = 0;
            }
        }
        blocks
    }

    /// The bytes after the last blank line.
    pub(super) fn rest(&mut self) -> Bytes {
        self.seen = 0;
        self.unread.split().freeze()
    }
}

/// The value of the last `id` field in a block.
pub(super) fn id(block: &[u8]) -> Option<&[u8]> {
    let lines = block.split(|&byte| byte == b'\n' || byte == b'\r');
    let values = lines.filter_map(|line| line.strip_prefix(b"id:"));
    values.map(|value| value.strip_prefix(b" ").unwrap_or(value)).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(stream: &str, at_a_time: usize) -> Vec<Bytes> {
        let mut blocks = Blocks::default();
        let mut all: Vec<_> =
            stream.as_bytes().chunks(at_a_time).flat_map(|bytes| blocks.push(bytes)).collect();
        all.push(blocks.rest());
        all
    }

    #[test]
    fn blocks_end_with_a_blank_line_of_any_kind() {
        for (stream, blocks) in [
            (
                ":\nretry: 1\ndata: a\n\ndata: b\n\n:\n",
                &[":\nretry: 1\ndata: a\n\n", "data: b\n\n", ":\n"][..],
            ),
            ("data: a\r\rdata: b\r\r", &["data: a\r\r", "data: b\r\r", ""]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["data: a\r\n\r", "\ndata: b\r\n\r", "\n"]),
        ] {
            for at_a_time in [1, 2, 1000] {
                assert_eq!(cut(stream, at_a_time), blocks, "{stream:?} by {at_a_time}");
            }
        }
    }

    #[test]
    fn the_last_id_of_a_block_counts() {
        assert_eq!(id(b"id: 1\r\ndata: id: 3\r\nid:2\r\n\r\n"), Some(&b"2"[..]));
        assert_eq!(id(b"data: x\n\n"), None);
    }
}
