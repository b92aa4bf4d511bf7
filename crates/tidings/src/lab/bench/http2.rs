//! A minimal reader of many event streams over one HTTP/2 connection, with prior knowledge.
//!
//! It does not use hyper, so that reading costs little and needs no memory for a stream between two events. It refuses
//! everything that a server may leave out: padding, and a status other than the one indexed byte for 200.

use super::{
    order::Order,
    scan::{Scanner, Sought, Update},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length, type, flags and stream of a frame.
const FRAME_HEAD: usize = 9;

/// A server that follows our settings sends no longer frames.
const MAX_FRAME: usize = 16 << 10;

/// How many bytes may arrive on one stream, and on all streams, before the server gets more credit.
const WINDOW: u32 = (1 << 31) - 1;
const REFILL: u32 = 1 << 29;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
}

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// One connection with its streams and their state.
#[derive(Debug, Default)]
pub(super) struct Http2 {
    lanes: Vec<Lane>,
    /// A frame's head as far as it has arrived, or the whole frame if it is not DATA.
    partial: Vec<u8>,
    /// The rest of a DATA frame: its stream and its length.
    data: Option<(usize, usize)>,
    /// The number of bytes since the last credit for the server.
    taken: u32,
    /// The number of streams that have begun since the last call.
    begun: u32,
    /// The bytes to send.
    pub(super) out: Vec<u8>,
}

#[derive(Debug)]
struct Lane {
    is_live: bool,
    scanner: Scanner,
    order: Order,
}

impl Http2 {
    /// A connection that requests `heads`, each a request of HTTP/1.1. The first update of each stream is `first`.
    pub(super) fn new(heads: impl Iterator<Item = String>, first: u64) -> Http2 {
        let mut http2 = Http2 { out: PREFACE.to_vec(), ..Http2::default() };
        // SETTINGS: no push (2), the window of a stream (4).
        let mut settings = vec![0, 2, 0, 0, 0, 0, 0, 4];
        settings.extend_from_slice(&WINDOW.to_be_bytes());
        http2.send(kind::SETTINGS, 0, 0, &settings);
        http2.send(kind::WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes());
        for (number, head) in heads.enumerate() {
            http2.send(kind::HEADERS, END_STREAM | END_HEADERS, 2 * number as u32 + 1, &fields(&head));
            http2.lanes.push(Lane { is_live: false, scanner: Scanner::of_body(), order: Order::from(first) });
        }
        http2
    }

    /// The number of streams.
    pub(super) fn streams(&self) -> u32 {
        self.lanes.len() as u32
    }

    /// The number of streams that have begun since the last call.
    pub(super) fn take_begun(&mut self) -> u32 {
        std::mem::take(&mut self.begun)
    }

    /// Reads more bytes. Responses to the server are then in `out`.
    ///
    /// # Errors
    /// A stream was refused or ended, or the connection breaks its framing.
    pub(super) fn feed(
        &mut self,
        mut input: &[u8],
        sought: &Sought,
        found: &mut impl FnMut(&mut Order, Update<'_>),
    ) -> Result<(), String> {
        while !input.is_empty() {
            if let Some((lane, left)) = self.data {
                let here = left.min(input.len());
                let Lane { scanner, order, .. } = &mut self.lanes[lane];
                scanner.feed(&input[..here], sought, &mut |update| found(order, update))?;
                input = &input[here..];
                self.data = Some((lane, left - here)).filter(|(_, left)| *left > 0);
                continue;
            }
            let wanted = match self.partial.get(..FRAME_HEAD) {
                None => FRAME_HEAD,
                Some(head) => FRAME_HEAD + length(head),
            };
            let here = (wanted - self.partial.len()).min(input.len());
            self.partial.extend_from_slice(&input[..here]);
            input = &input[here..];
            if self.partial.len() < wanted {
                continue;
            }
            if length(&self.partial) > MAX_FRAME {
                return Err("a frame of HTTP/2 is too long".into());
            }
            let is_data = self.partial[3] == kind::DATA;
            if is_data || self.partial.len() == FRAME_HEAD + length(&self.partial) {
                let frame = std::mem::take(&mut self.partial);
                self.frame(&frame)?;
                // Kept for its memory.
                self.partial = frame;
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// Handles a whole frame, or the head of a DATA frame.
    fn frame(&mut self, frame: &[u8]) -> Result<(), String> {
        let (head, payload) = frame.split_at(FRAME_HEAD);
        let (kind, flags) = (head[3], head[4]);
        let number = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let lane = (number as usize).wrapping_sub(1) / 2;
        match kind {
            kind::DATA | kind::HEADERS if flags & PADDED != 0 || lane >= self.lanes.len() => {
                Err("a frame of HTTP/2 is padded, or belongs to an unknown stream".into())
            }
            kind::DATA | kind::HEADERS if flags & END_STREAM != 0 => {
                Err("the server ended the stream".into())
            }
            kind::DATA => {
                let length = length(head);
                self.data = Some((lane, length)).filter(|_| length > 0);
                self.taken += length as u32;
                if self.taken >= REFILL {
                    let taken = std::mem::take(&mut self.taken);
                    self.send(kind::WINDOW_UPDATE, 0, 0, &taken.to_be_bytes());
                }
                Ok(())
            }
            kind::HEADERS => {
                // Updates of the table's size may come first.
                let status = payload.iter().find(|byte| **byte & 0xe0 != 0x20);
                if status != Some(&0x88) {
                    return Err("the status is not 200".into());
                }
                self.lanes[lane].is_live = true;
                self.begun += 1;
                Ok(())
            }
            kind::RST_STREAM | kind::GOAWAY => Err("the server ended the stream".into()),
            kind::SETTINGS if flags & ACK == 0 => {
                self.send(kind::SETTINGS, ACK, 0, &[]);
                Ok(())
            }
            kind::PING if flags & ACK == 0 => {
                self.send(kind::PING, ACK, 0, payload);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }
}

/// The length of a frame, from its head.
fn length(head: &[u8]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}

/// The header fields of an HTTP/1.1 request, each as a literal that no table stores.
fn fields(head: &str) -> Vec<u8> {
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or("/");
    let mut block = Vec::new();
    literal(":method", "GET", &mut block);
    literal(":scheme", "http", &mut block);
    literal(":path", path, &mut block);
    let lines: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    // Pseudo-fields come first.
    let is_host = |name: &str| name.eq_ignore_ascii_case("host");
    for (_, host) in lines.iter().filter(|(name, _)| is_host(name)) {
        literal(":authority", host.trim(), &mut block);
    }
    for (name, value) in lines.iter().filter(|(name, _)| !is_host(name)) {
        literal(&name.to_ascii_lowercase(), value.trim(), &mut block);
    }
    block
}

fn literal(name: &str, value: &str, block: &mut Vec<u8>) {
    block.push(0);
    for text in [name, value] {
        // HPACK's integer with a prefix of seven bits.
        let mut length = text.len();
        if length < 127 {
            block.push(length as u8);
        } else {
            block.push(127);
            length -= 127;
            while length >= 128 {
                block.push((length % 128) as u8 | 128);
                length /= 128;
            }
            block.push(length as u8);
        }
        block.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::bench::payload::{Mark, Payload};

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut http2 = Http2::default();
        http2.send(kind, flags, stream, payload);
        http2.out
    }

    #[test]
    fn events_are_found_however_their_frames_are_cut() {
        let sought = Sought { payload: Payload::new(7, 48), ids: false };
        let mut event = "data: ".to_owned();
        let mut data = String::new();
        sought.payload.write(Mark { number: 0, due: 1 }, &mut data);
        event += &(data + "\n\n");
        let (first, rest) = event.as_bytes().split_at(20);
        let wire = [
            frame(kind::SETTINGS, 0, 0, &[]),
            frame(kind::HEADERS, END_HEADERS, 1, &[0x88]),
            frame(kind::HEADERS, END_HEADERS, 3, &[0x20, 0x88]),
            frame(kind::DATA, 0, 3, first),
            frame(kind::DATA, 0, 1, event.as_bytes()),
            frame(kind::PING, 0, 0, &[1; 8]),
            frame(kind::DATA, 0, 3, rest),
        ]
        .concat();
        for size in [1, 2, wire.len()] {
            let heads = ["GET /a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), String::new()];
            let mut http2 = Http2::new(heads.into_iter(), 0);
            http2.out.clear();
            let mut count = 0;
            for piece in wire.chunks(size) {
                http2.feed(piece, &sought, &mut |_, _| count += 1).unwrap();
            }
            assert_eq!((count, http2.take_begun(), http2.streams()), (2, 2, 2));
            let answers = [frame(kind::SETTINGS, ACK, 0, &[]), frame(kind::PING, ACK, 0, &[1; 8])].concat();
            assert_eq!(http2.out, answers);
        }
    }

    #[test]
    fn another_status_or_an_end_is_told() {
        let sought = Sought { payload: Payload::new(7, 48), ids: false };
        for wire in [
            frame(kind::HEADERS, END_HEADERS, 1, &[0x8d]),
            frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]),
            frame(kind::RST_STREAM, 0, 1, &[0; 4]),
            frame(kind::GOAWAY, 0, 0, &[0; 8]),
            frame(kind::DATA, 0, 5, &[]),
        ] {
            let mut http2 = Http2::new([String::new()].into_iter(), 0);
            http2.feed(&wire, &sought, &mut |_, _| {}).unwrap_err();
        }
    }
}
