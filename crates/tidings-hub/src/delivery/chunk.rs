//! Whole events, to be written at once.

use bytes::{Buf, Bytes};

use super::frame::{Form, Framed};
use crate::{Topic, log::Record};

/// The most bytes before the data of a chunk: 16 hexadecimal digits, CR and LF.
const HEAD_ROOM: usize = 18;

/// Ends the body of a response in HTTP/1.1.
pub(crate) const LAST_CHUNK: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// Events that are sent together: the result of one read of a cursor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    /// A frame that is alone in its chunk stays shared with every other subscriber.
    alone: Option<Encoded>,
    /// Begins with room for the head, once there is anything.
    joined: Vec<u8>,
    /// How many bytes of events are expected.
    expected: usize,
    events: u64,
    closed: Vec<Topic>,
}

impl Chunk {
    /// A chunk is full once it has this many bytes: enough that the cost of writing is spread over many events, and
    /// little enough that what a slow reader holds is small.
    pub(crate) const FULL: usize = 64 << 10;

    /// An empty one, for about as many bytes of events as a chunk can have of these.
    ///
    /// To be moved while it grows costs a chunk more than to be filled.
    pub(crate) fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Chunk {
        const AROUND: usize = 48;
        let bytes: usize = records.map(|record| record.event().data().len() + AROUND).sum();
        Chunk { expected: bytes.min(Chunk::FULL + (Chunk::FULL >> 4)), ..Chunk::default() }
    }

    /// Adds a record with the frame that it has, or gets now.
    pub(crate) fn push_framed(&mut self, framed: &Framed, form: Form) {
        if form.hides(&framed.record) {
            return self.note(&framed.record);
        }
        let frame = framed.frame(form);
        let first = self.is_empty();
        self.note(&framed.record);
        if first {
            self.alone = Some(frame.clone());
        } else {
            self.joined().extend_from_slice(&frame.data());
        }
    }

    /// Adds a record that has no ready frame.
    pub(crate) fn push(&mut self, record: &Record, form: Form) {
        self.note(record);
        if !form.hides(record) {
            form.encode(record, self.joined());
        }
    }

    /// Adds an event of the hub itself, which is not counted.
    pub(crate) fn push_hub_event(&mut self, frame: &[u8]) {
        self.joined().extend_from_slice(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.alone.is_none() && self.joined.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        let len = match &self.alone {
            Some(alone) => alone.data().len(),
            None => self.joined.len().saturating_sub(HEAD_ROOM),
        };
        len >= Chunk::FULL
    }

    /// How many records it has.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The topics whose close is among the events.
    pub(crate) fn closed(&self) -> &[Topic] {
        &self.closed
    }

    /// The same, cheap to clone: its bytes are shared.
    pub(crate) fn share(mut self) -> Chunk {
        if !self.joined.is_empty() {
            self.alone = Some(Encoded::finish(std::mem::take(&mut self.joined)));
        }
        self
    }

    /// Its bytes; `None` if it has none.
    pub(crate) fn into_encoded(self) -> Option<Encoded> {
        match self.alone {
            Some(alone) => Some(alone),
            None if self.joined.is_empty() => None,
            None => Some(Encoded::finish(self.joined)),
        }
    }

    fn note(&mut self, record: &Record) {
        self.events += 1;
        if record.is_close() {
            self.closed.extend_from_slice(record.topics());
        }
    }

    /// Where further events go, after what is there already.
    fn joined(&mut self) -> &mut Vec<u8> {
        if self.joined.is_empty() {
            self.joined = Encoded::begin(self.expected);
        }
        if let Some(alone) = self.alone.take() {
            self.joined.extend_from_slice(&alone.data());
        }
        &mut self.joined
    }
}

/// Bytes as a chunk of HTTP/1.1. Without its head and its end, it is what any other body sends.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    chunk: Bytes,
    head: u8,
}

impl Encoded {
    /// A buffer that what is to be sent is appended to.
    pub(crate) fn begin(capacity: usize) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(HEAD_ROOM + capacity + 2);
        buffer.resize(HEAD_ROOM, 0);
        buffer
    }

    /// Takes a buffer from [`begin`](Encoded::begin) that is not left empty: a chunk without data would end the body.
    pub(crate) fn finish(mut buffer: Vec<u8>) -> Encoded {
        let mut left = buffer.len() - HEAD_ROOM;
        debug_assert!(left > 0, "a chunk without data ends the body");
        let mut start = HEAD_ROOM - 2;
        buffer[start..HEAD_ROOM].copy_from_slice(b"\r\n");
        while left > 0 {
            start -= 1;
            buffer[start] = b"0123456789ABCDEF"[left & 15];
            left >>= 4;
        }
        buffer.extend_from_slice(b"\r\n");
        let mut chunk = Bytes::from(buffer);
        chunk.advance(start);
        Encoded { chunk, head: (HEAD_ROOM - start) as u8 }
    }

    /// The same bytes, without what HTTP/1.1 puts around them.
    pub(crate) fn data(&self) -> Bytes {
        self.chunk.slice(usize::from(self.head)..self.chunk.len() - 2)
    }

    /// The whole chunk.
    pub(crate) fn into_chunk(self) -> Bytes {
        self.chunk
    }
}

impl From<&[u8]> for Encoded {
    fn from(data: &[u8]) -> Encoded {
        let mut buffer = Encoded::begin(data.len());
        buffer.extend_from_slice(data);
        Encoded::finish(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_its_length_in_hexadecimal_and_its_data() {
        for (data, head) in
            [(vec![b'x'; 1], "1\r\n"), (vec![b'x'; 250], "FA\r\n"), (vec![b'x'; 70_000], "11170\r\n")]
        {
            let encoded = Encoded::from(&data[..]);
            assert_eq!(encoded.data(), data);
            assert_eq!(encoded.into_chunk(), [head.as_bytes(), &data, b"\r\n"].concat());
        }
    }
}
