//! Limits on the number of streams, and on their bytes per second.

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

/// How many streams may go to one address. A doctor that counts the streams served at a time requests 120. Doctors that
/// use a proxy have the proxy's address.
const MAX_OF_ONE: usize = 256;

/// How many streams longer than [`LONG`] may go to one address, so that no client keeps others out for long.
const MAX_LONG_OF_ONE: usize = 16;
const LONG: Duration = Duration::from_secs(30);

/// How many bytes per second all streams together may have, and how large a burst before that may be.
const BYTES_PER_SECOND: u64 = 32 << 20;
const BURST: Duration = Duration::from_millis(32);

/// Room for streams.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    streams: usize,
    by_peer: HashMap<IpAddr, Counts>,
    /// The time at which the bytes so far are paid for, at the limit of bytes per second.
    paid: Option<Instant>,
}

#[derive(Debug, Default)]
struct Counts {
    streams: usize,
    long: usize,
}

/// A stream's place in the room. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Position {
    room: Arc<Room>,
    peer: Option<IpAddr>,
    is_long: bool,
}

impl Room {
    /// Takes a place for a stream, if one is free.
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
    /// Notes that `bytes` are sent now. Returns the time for the next ones.
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
