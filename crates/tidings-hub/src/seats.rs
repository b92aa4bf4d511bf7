//! The limit on the number of open connections.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Semaphore;

use crate::metrics::Metrics;

/// Seats for connections. A connection takes a seat before it is accepted, and frees it when its socket is closed, even
/// if other parts of the hub have held the socket meanwhile. Connections without a seat wait in the listener's backlog.
///
/// A connection is a file descriptor, and the log and its files need some, too. Without a limit, a client that opens
/// connections until none is left would stop all publishing and reading.
#[derive(Debug, Clone)]
pub(crate) struct Seats(Arc<Room>);

#[derive(Debug)]
struct Room {
    free: Semaphore,
    max: usize,
    /// Whether the log already has a message that all seats are taken.
    said: AtomicBool,
}

/// A connection's seat. `None` is one that is counted elsewhere.
#[derive(Debug)]
pub(crate) struct Seat(Option<Arc<Room>>);

/// The seats of many connections in one place: a number, instead of a word for each. All are of one hub.
#[derive(Debug, Default)]
pub(crate) struct Seated {
    /// Where they are, once there was one.
    room: Option<Arc<Room>>,
    count: usize,
}

impl Seats {
    /// `None` means no limit.
    pub(crate) fn new(max: Option<usize>) -> Seats {
        let max = max.unwrap_or(Semaphore::MAX_PERMITS).clamp(1, Semaphore::MAX_PERMITS);
        Seats(Arc::new(Room { free: Semaphore::new(max), max, said: AtomicBool::new(false) }))
    }

    /// Waits until a seat is free. Cancel safe.
    pub(crate) async fn take(&self, metrics: &Metrics) -> Seat {
        let Seats(room) = self;
        let permit = match room.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                if !room.said.swap(true, Ordering::Relaxed) {
                    metrics.accepting_paused.inc();
                    let max = room.max;
                    tracing::warn!(
                        max,
                        "the limit of open connections is reached (--max-connections): new ones wait"
                    );
                }
                room.free.acquire().await.expect("it is never closed")
            }
        };
        permit.forget();
        Seat(Some(room.clone()))
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.max - self.0.free.available_permits()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Seat(Some(room)) = self else { return };
        room.free.add_permits(1);
        // Not for each connection that opens and closes while nearly all seats are taken.
        if room.free.available_permits() > room.max / 16 {
            room.said.store(false, Ordering::Relaxed);
        }
    }
}

impl Seated {
    pub(crate) fn add(&mut self, mut seat: Seat) {
        let room = seat.0.take();
        self.room = self.room.take().or(room);
        self.count += 1;
    }

    /// Gives one of them back into the caller's hands.
    pub(crate) fn take(&mut self) -> Option<Seat> {
        self.count = self.count.checked_sub(1)?;
        Some(Seat(self.room.clone()))
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[tokio::test]
    async fn a_connection_without_a_seat_waits_for_the_next_free_one() {
        let (seats, metrics) = (Seats::new(Some(2)), Metrics::new());
        let first = seats.take(&metrics).await;
        let _second = seats.take(&metrics).await;
        assert_eq!(seats.taken(), 2);
        {
            let mut context = Context::from_waker(Waker::noop());
            let mut third = pin!(seats.take(&metrics));
            assert!(third.as_mut().poll(&mut context).is_pending());
            assert_eq!(metrics.accepting_paused.get(), 1);
            drop(first);
            assert!(third.as_mut().poll(&mut context).is_ready());
        }
        assert_eq!(seats.taken(), 1, "the third has gone again");
        assert_eq!(Seats::new(None).taken(), 0);
    }

    #[tokio::test]
    async fn seats_that_are_only_counted_are_given_back_too() {
        let (seats, metrics) = (Seats::new(Some(4)), Metrics::new());
        let mut seated = Seated::default();
        for _ in 0..3 {
            seated.add(seats.take(&metrics).await);
        }
        assert_eq!(seats.taken(), 3);
        drop(seated.take());
        assert_eq!(seats.taken(), 2);
        drop(seated);
        assert_eq!(seats.taken(), 0);
    }
}
