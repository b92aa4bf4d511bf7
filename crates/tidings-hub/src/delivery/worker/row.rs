//! One subscriber of a delivery loop.

use std::io::{self, Write};

use bytes::Bytes;
use mio::net::TcpStream;

use super::slots::Slot;
use crate::{Topic, delivery::subscription::Progress, metrics::EndReason, pace::Pace};

/// A subscriber's socket and position: all that it costs while it has nothing to get, beside its group.
#[derive(Debug)]
pub(super) struct Row {
    /// Does not block: what it does not take stays in the log.
    pub(super) socket: TcpStream,
    /// The group whose subscription it has.
    pub(super) group: Slot,
    /// Where it is when the unsent rest is sent.
    pub(super) progress: Progress,
    /// When it was last written to, in milliseconds of the worker's time.
    pub(super) written: u64,
    /// The event that it waits for.
    pub(super) state: State,
    /// When it came, in seconds of the worker's time: these four bytes fit in where others leave room.
    pub(super) joined: u32,
    /// The rare parts of a row.
    pub(super) extra: Option<Box<Extra>>,
}

#[derive(Debug)]
pub(super) enum State {
    /// It has all there is: the next signal of its group is for it.
    Live,
    /// There may be more for it, and it waits for its turn.
    Behind,
    /// The records after its position are being read from the log.
    Reading,
    /// Its socket takes nothing more for now.
    Blocked(Box<Rest>),
}

/// The unsent rest of a chunk that was sent in part. Later records stay in the log.
#[derive(Debug)]
pub(super) struct Rest {
    /// Begins within an event, or at its end.
    pub(super) bytes: Bytes,
    /// How its client takes it, in milliseconds of the worker's time.
    pub(super) pace: Pace<u64>,
    /// The bytes after it.
    pub(super) then: Then,
}

/// The bytes after the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Follow,
    /// The body ends: its last chunk is to be sent.
    Finish(EndReason),
    /// The last chunk is the rest.
    Finished(EndReason),
}

#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Of a subscription to several topics: those whose close is still to come.
    pub(super) open: Option<Vec<Topic>>,
    /// Whether it asked for a pattern, of which its group has topics alone: their closes do not end it.
    pub(super) never_ends: bool,
    /// Requests that came after this one: they are answered when the stream has ended.
    pub(super) pipelined: Bytes,
    /// Whether the connection ends with the stream, and serves no further requests.
    pub(super) closes: bool,
}

impl Row {
    /// Sends what the socket takes; says how many bytes that was.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        // To the end, or until it blocks: only then is the socket sure to tell when it takes more.
        while sent < bytes.len() {
            match (&self.socket).write(&bytes[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Makes it wait until its socket takes more, `rest` first.
    pub(super) fn block(&mut self, rest: Bytes, now: u64, then: Then) {
        self.state = State::Blocked(Box::new(Rest { bytes: rest, pace: Pace::new(now), then }));
    }

    /// Whether its client has hung up: it sends nothing more, and most likely is gone.
    pub(super) fn has_hung_up(&self) -> bool {
        match self.socket.peek(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// Notes closes that were sent to it, of a group without patterns; says whether it ends, because all of its topics are
    /// closed now.
    pub(super) fn note_closed(&mut self, closed: &[Topic]) -> bool {
        match self.extra.as_deref_mut() {
            Some(Extra { never_ends: true, .. }) => false,
            Some(Extra { open: Some(open), .. }) => {
                open.retain(|topic| !closed.contains(topic));
                open.is_empty()
            }
            _ => !closed.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_with_nothing_to_get_costs_at_most_56_bytes_beside_its_socket() {
        // The socket is counted apart: with debug assertions mio keeps more of it than its number.
        let beside = size_of::<Option<Row>>() - size_of::<TcpStream>();
        assert!(beside <= 56, "{beside} bytes");
    }
}
