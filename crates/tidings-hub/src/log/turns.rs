//! Turns between publishers: a publisher with much waiting for the log does not make the others wait for all of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::oneshot;

use crate::{attachments::UploadError, log::Append};

/// A batch of so many bytes or less is a small one. Small ones and large ones have turns of their own.
const SMALL_BYTES: u64 = 8 << 10;

/// How many bytes of small batches are with the log at a time, and how many of large ones. Other batches wait here for
/// their turn. A larger batch waits until no other is there. So a small batch waits for at most one large one.
const MOST_BYTES: u64 = 1 << 20;

/// The cost of an update besides its data.
const UPDATE_BYTES: u64 = 1 << 10;

/// How much slower the clock of the turns runs than bytes go to the log. A publisher that waits is the next one at last, however many
/// small publishes come after it.
const CLOCK: u64 = 16;

/// How many bytes of one connection may wait for the log before no more is read of it.
const MOST_OF_ONE: usize = 4 << 20;

/// Which batch goes to the log next: the one whose bytes would have gone first if all publishers sent theirs side by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<[Mutex<Lane>; 2]>);

/// The turns of small batches, or those of large ones.
#[derive(Debug, Default)]
struct Lane {
    /// Bytes that are with the log.
    in_log: u64,
    /// The time of the turns, in bytes of one publisher.
    now: u64,
    /// By when each would have been done, and the order in which they came.
    waiting: BTreeMap<Position, Waiter>,
    came: u64,
}

type Position = (u64, u64);

#[derive(Debug)]
struct Waiter {
    began: u64,
    bytes: u64,
    tell: oneshot::Sender<Turn>,
}

/// The right of a batch to be with the log. It ends when this is dropped, and the next batch comes.
///
/// The default is the turn of a batch after which no other waits.
#[derive(Debug, Default)]
pub struct Turn {
    of: Option<(Turns, u64)>,
    /// The bytes that wait for the log until then.
    waits: Option<Waits>,
}

/// A batch that waits for its turn. Once it does not wait any more, nothing is left of it.
struct Waiting<'a> {
    turns: &'a Turns,
    bytes: u64,
    position: Position,
    told: oneshot::Receiver<Turn>,
}

/// A connection that may publish many things at once. HTTP/1.1 has one at a time, and needs none of this.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publisher(Arc<One>);

#[derive(Debug, Default)]
struct One {
    /// By when what it has sent so far would be done, small and large.
    done: [AtomicU64; 2],
    /// Bytes that wait for the log, those of streams that were reset too.
    waiting: AtomicUsize,
    /// Bytes of attachments that are under way.
    uploads: AtomicU64,
    /// How often no more was read of it.
    put_off: AtomicUsize,
    /// The task that reads of it, while it has too much waiting.
    reader: Mutex<Option<Waker>>,
}

/// The cost of a batch.
pub(crate) fn cost(batch: &[Append]) -> u64 {
    batch.iter().map(|append| append.update.event().data().len() as u64 + UPDATE_BYTES).sum()
}

/// The number of the lane for so many bytes.
fn lane(bytes: u64) -> usize {
    usize::from(bytes > SMALL_BYTES)
}

impl Turns {
    /// Waits for a turn for so many bytes. Cancel safe.
    pub(crate) async fn take(&self, publisher: Option<&Publisher>, bytes: u64) -> Turn {
        let waits = publisher.map(|publisher| publisher.wait(bytes));
        let mut waiting = {
            let lane = &mut *self.lock(bytes);
            let before = publisher.map(|publisher| publisher.done(bytes));
            let began = before.map_or(0, |before| before.load(Ordering::Relaxed)).max(lane.now);
            let done = began + bytes;
            if let Some(before) = before {
                before.store(done, Ordering::Relaxed);
            }
            if lane.waiting.is_empty() && lane.has_room(bytes) {
                lane.enter(began, bytes);
                return Turn { of: Some((self.clone(), bytes)), waits };
            }
            let (tell, told) = oneshot::channel();
            lane.came += 1;
            let position = (done, lane.came);
            lane.waiting.insert(position, Waiter { began, bytes, tell });
            Waiting { turns: self, bytes, position, told }
        };
        let turn = (&mut waiting.told).await;
        let mut turn = turn.expect("a waiting batch is told, as a turn ends for each that has begun");
        turn.waits = waits;
        turn
    }

    fn give_back(&self, bytes: u64) {
        let lane = &mut *self.lock(bytes);
        lane.in_log -= bytes;
        while let Some((position, first)) = lane.waiting.first_key_value() {
            let (position, bytes) = (*position, first.bytes);
            if !lane.has_room(bytes) {
                break;
            }
            let Some(Waiter { began, bytes, tell }) = lane.waiting.remove(&position) else { break };
            lane.enter(began, bytes);
            // The receiver is there: a batch that stops waiting has taken itself out before.
            let _ = tell.send(Turn { of: Some((self.clone(), bytes)), waits: None });
        }
    }

    fn lock(&self, bytes: u64) -> MutexGuard<'_, Lane> {
        self.0[lane(bytes)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn has_room(&self, bytes: u64) -> bool {
        self.in_log == 0 || self.in_log + bytes <= MOST_BYTES
    }

    fn enter(&mut self, began: u64, bytes: u64) {
        self.in_log += bytes;
        self.now = self.now.max(began) + bytes / CLOCK;
    }
}

impl Turn {
    /// The turn of a batch that goes to the log at once, no matter what waits. So many bytes of its publisher wait for the log until it ends.
    pub(crate) fn at_once(publisher: Option<&Publisher>, bytes: u64) -> Turn {
        Turn { of: None, waits: publisher.map(|publisher| publisher.wait(bytes)) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((turns, bytes)) = self.of.take() {
            turns.give_back(bytes);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.lock(self.bytes).waiting.remove(&self.position);
    }
}

impl Publisher {
    fn done(&self, bytes: u64) -> &AtomicU64 {
        &self.0.done[lane(bytes)]
    }

    /// Counts so many bytes that wait for the log, until what is returned is dropped.
    fn wait(&self, bytes: u64) -> Waits {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.0.waiting.fetch_add(bytes, Ordering::AcqRel);
        Waits { publisher: self.clone(), bytes }
    }

    /// An attachment that comes over this connection, of which nothing has come yet.
    pub(crate) fn upload(&self) -> Uploading {
        Uploading { publisher: self.clone(), bytes: 0 }
    }

    /// Ready when more may be read of the connection. Only one task asks.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_too_much() {
            *self.reader() = Some(context.waker().clone());
            // It may have come to an end in between.
            if self.has_too_much() {
                self.0.put_off.fetch_add(1, Ordering::Relaxed);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// How often [`poll_read`](Publisher::poll_read) has put its reader off.
    pub(crate) fn put_off(&self) -> usize {
        self.0.put_off.load(Ordering::Relaxed)
    }

    /// Whether no more is read of the connection for now.
    pub(crate) fn has_too_much(&self) -> bool {
        self.0.waiting.load(Ordering::Acquire) > MOST_OF_ONE
    }

    /// Something that is too much.
    #[cfg(test)]
    pub(crate) fn much(&self) -> Waits {
        self.wait(MOST_OF_ONE as u64 + 1)
    }

    fn reader(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The received bytes of an attachment, until this is dropped.
#[derive(Debug)]
pub(crate) struct Uploading {
    publisher: Publisher,
    bytes: u64,
}

impl Uploading {
    /// # Errors
    /// If the connection would have more than `max` bytes under way.
    pub(crate) fn grow(&mut self, bytes: u64, max: u64) -> Result<(), UploadError> {
        self.bytes += bytes;
        match self.publisher.0.uploads.fetch_add(bytes, Ordering::Relaxed) + bytes > max {
            true => Err(UploadError::TooMany { max }),
            false => Ok(()),
        }
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.publisher.0.uploads.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of a connection that wait for the log.
#[derive(Debug)]
pub(crate) struct Waits {
    publisher: Publisher,
    bytes: usize,
}

impl Drop for Waits {
    fn drop(&mut self) {
        let had_too_much = self.publisher.has_too_much();
        self.publisher.0.waiting.fetch_sub(self.bytes, Ordering::AcqRel);
        if had_too_much && !self.publisher.has_too_much() {
            if let Some(reader) = self.publisher.reader().take() {
                reader.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::{Pin, pin},
    };

    use super::*;

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    const LARGE: u64 = 1 << 19;

    #[test]
    fn a_small_publish_does_not_wait_for_large_ones() {
        let (turns, flood) = (Turns::default(), Publisher::default());
        let large: Vec<_> = (0..50).map(|_| Box::pin(turns.take(Some(&flood), LARGE))).collect();
        let mut in_log: Vec<_> = large.into_iter().filter_map(|mut large| poll(large.as_mut())).collect();
        assert_eq!(in_log.len() as u64, MOST_BYTES / LARGE);
        in_log.extend(poll(pin!(turns.take(Some(&flood), SMALL_BYTES))));
        in_log.extend(poll(pin!(turns.take(None, 1))));
        assert_eq!(in_log.len() as u64, MOST_BYTES / LARGE + 2);
    }

    #[test]
    fn a_publisher_with_little_waiting_goes_before_the_backlog_of_another() {
        let (turns, flood) = (Turns::default(), Publisher::default());
        let first = poll(pin!(turns.take(Some(&flood), MOST_BYTES))).expect("nobody is before it");
        let mut large: Vec<_> = (0..50).map(|_| Box::pin(turns.take(Some(&flood), LARGE))).collect();
        assert!(large.iter_mut().all(|large| poll(large.as_mut()).is_none()));
        let mut smaller = pin!(turns.take(None, LARGE / 2));
        assert!(poll(smaller.as_mut()).is_none());
        drop(first);
        assert!(poll(smaller.as_mut()).is_some());
        let mut told = 0;
        while told < 50 {
            let before = told;
            large.retain_mut(|large| poll(large.as_mut()).is_none());
            told = 50 - large.len();
            assert!(told > before, "each turn that ends is the next one's");
        }
        assert_eq!(turns.lock(LARGE).in_log, 0);
    }

    #[test]
    fn a_large_publish_has_its_turn_however_many_smaller_ones_come() {
        let turns = Turns::default();
        let mut in_log = poll(pin!(turns.take(None, MOST_BYTES)));
        let mut large = pin!(turns.take(None, MOST_BYTES));
        assert!(poll(large.as_mut()).is_none());
        for _ in 0..40 {
            let mut next = Box::pin(turns.take(None, LARGE));
            assert!(poll(next.as_mut()).is_none());
            drop(in_log.take());
            if poll(large.as_mut()).is_some() {
                return;
            }
            in_log = poll(next.as_mut());
            assert!(in_log.is_some());
        }
        panic!("it still waits; {}", in_log.is_some());
    }

    #[test]
    fn a_publish_that_stops_waiting_leaves_nothing() {
        let turns = Turns::default();
        let first = poll(pin!(turns.take(None, MOST_BYTES)));
        {
            let mut gone = pin!(turns.take(None, LARGE));
            assert!(poll(gone.as_mut()).is_none());
            assert_eq!(turns.lock(LARGE).waiting.len(), 1);
        }
        assert_eq!(turns.lock(LARGE).waiting.len(), 0);
        let mut told_in_vain = Box::pin(turns.take(None, LARGE + 1));
        assert!(poll(told_in_vain.as_mut()).is_none());
        let mut next = pin!(turns.take(None, LARGE + 2));
        assert!(poll(next.as_mut()).is_none());
        drop(first);
        assert!(poll(next.as_mut()).is_none(), "it is the other's turn");
        drop(told_in_vain);
        assert!(poll(next).is_some());
        assert_eq!(turns.lock(LARGE).in_log, 0);
    }

    #[test]
    fn no_more_is_read_of_a_connection_that_has_much_waiting() {
        let publisher = Publisher::default();
        let mut context = Context::from_waker(Waker::noop());
        let (much, one) = (publisher.wait(MOST_OF_ONE as u64), publisher.wait(1));
        assert!(publisher.poll_read(&mut context).is_pending());
        drop(one);
        assert!(publisher.poll_read(&mut context).is_ready());
        drop(much);
    }
}
