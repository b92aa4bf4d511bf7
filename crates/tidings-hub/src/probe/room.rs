//! How many streams there may be, and how many bytes of them a second.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Knobs;

/// How many streams are sent at a time.
const MAX_STREAMS: usize = 512;

/// How many of them to one address: a doctor that counts how many are served at a time asks for 120, and doctors that ask through
/// a proxy have the proxy's address.
const MAX_OF_ONE: usize = 256;

/// How many of those that take longer than [`LONG`] to one address, so that nobody keeps others out for long.
const MAX_LONG_OF_ONE: usize = 16;
const LONG: Duration = Duration::from_secs(30);

/// How many bytes a second all streams together may have, and how many may come at once before that.
const BYTES_PER_SECOND: u64 = 32 << 20;
const BURST: Duration = Duration::from_millis(32);

/// Room for streams.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    streams: usize,
    by_peer: HashMap<IpAddr, Counts>,
    /// When what was sent so far is paid for, at the bound of bytes a second.
    paid: Option<Instant>,
}

#[derive(Debug, Default)]
struct Counts {
    streams: usize,
    long: usize,
}

/// A stream's part of the room.
#[derive(Debug)]
pub(super) struct Position {
    room: Arc<Room>,
    peer: Option<IpAddr>,
    is_long: bool,
}

impl Room {
    /// A place for a stream, if there is one.
    pub(super) fn take(self: &Arc<Self>, peer: Option<IpAddr>, knobs: &Knobs) -> Option<Position> {
        let is_long = knobs.duration() > LONG;
        let state = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.streams == MAX_STREAMS {
            return None;
        }
        if let Some(peer) = peer {
            let counts = state.by_peer.entry(peer).or_default();
            if counts.streams == MAX_OF_ONE || (is_long && counts.long == MAX_LONG_OF_ONE) {
                return None;
            }
            counts.streams += 1;
            counts.long += usize::from(is_long);
        }
        state.streams += 1;
        Some(Position { room: self.clone(), peer, is_long })
    }
}

impl Position {
    /// Notes that so many bytes are sent now. Says when the next ones may be.
    pub(super) fn sent(&self, bytes: usize) -> Instant {
        let mut state = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let takes = Duration::from_nanos(bytes as u64 * 1_000_000_000 / BYTES_PER_SECOND);
        let paid = state.paid.unwrap_or(now).max(now) + takes;
        state.paid = Some(paid);
        paid.checked_sub(BURST).map_or(now, |next| next.max(now))
    }
}

impl Drop for Position {
    fn drop(&mut self) {
        let mut state = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.streams -= 1;
        let Some(peer) = self.peer else { return };
        if let Some(counts) = state.by_peer.get_mut(&peer) {
            counts.streams -= 1;
            counts.long -= usize::from(self.is_long);
            if counts.streams == 0 {
                state.by_peer.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn no_address_takes_the_room_of_all_others() {
        let room = Arc::<Room>::default();
        let (short, long) = (Knobs::parse("idle=2000").unwrap(), Knobs::parse("idle=60000").unwrap());
        let of = |last, knobs| std::iter::from_fn(|| room.take(peer(last), knobs)).collect::<Vec<_>>();
        let first = of(1, &long);
        assert_eq!(first.len(), 16);
        let more = of(1, &short);
        assert_eq!(more.len(), 240);
        assert_eq!(of(2, &long).len(), 16, "they have gone again");
        let second = of(2, &short);
        assert_eq!((second.len(), of(3, &short).len()), (256, 0));
        drop((first, more));
        assert_eq!(of(3, &short).len(), 256);
        drop(second);
        assert!(room.0.lock().unwrap().by_peer.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn many_bytes_take_their_time() {
        let room = Arc::<Room>::default();
        let position = room.take(None, &Knobs::default()).unwrap();
        let began = Instant::now();
        assert_eq!(position.sent(1 << 20), began, "a mebibyte comes at once");
        let next = position.sent(31 << 20);
        assert_eq!((next + BURST - began).as_millis(), 1000);
    }
}
