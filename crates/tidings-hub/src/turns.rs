//! Turns between publishers: what one of them has waiting for the log does not make others wait for all of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::oneshot;

use crate::{attachment::UploadError, log::Append};

/// How many bytes are with the log at a time: enough for a commit while the one before it is synced. What is more waits here,
/// where it has turns; a batch that is larger waits until it is alone.
const MOST_BYTES: u64 = 2 << 20;

/// What an update costs beside its data.
const UPDATE_BYTES: u64 = 1 << 10;

/// How much slower the clock of the turns runs than bytes go to the log. A publisher that waits is the next one at last, however many
/// small publishes come after it.
const CLOCK: u64 = 16;

/// How many bytes of one connection may wait for the log before no more is read of it.
const MOST_OF_ONE: usize = 4 << 20;

/// Who goes to the log next: the one whose bytes would have gone first if all publishers sent theirs side by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Bytes that are with the log.
    in_log: u64,
    /// The time of the turns, in bytes of one publisher.
    now: u64,
    /// By when each would have been done, and the order in which they came.
    waiting: BTreeMap<(u64, u64), Waiter>,
    came: u64,
}

#[derive(Debug)]
struct Waiter {
    began: u64,
    bytes: u64,
    tell: oneshot::Sender<Turn>,
}

/// The right to hand a batch to the log. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    bytes: u64,
}

/// A connection that may publish many things at once. HTTP/1.1 has one at a time, and needs none of this.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publisher(Arc<One>);

#[derive(Debug, Default)]
struct One {
    /// By when what it has sent so far would be done.
    done: AtomicU64,
    /// Bytes that wait for the log, those of streams that were reset too.
    waiting: AtomicUsize,
    /// Bytes of attachments that are under way.
    uploads: AtomicU64,
    /// Who reads of it, while it has too much waiting.
    reader: Mutex<Option<Waker>>,
}

/// What a batch costs.
pub(crate) fn cost(batch: &[Append]) -> u64 {
    batch.iter().map(|append| append.update.event().data().len() as u64 + UPDATE_BYTES).sum()
}

impl Turns {
    /// Waits for a turn for so many bytes. Cancel safe.
    pub(crate) async fn take(&self, publisher: Option<&Publisher>, bytes: u64) -> Turn {
        let told = {
            let state = &mut *self.lock();
            let began =
                publisher.map_or(0, |publisher| publisher.0.done.load(Ordering::Relaxed)).max(state.now);
            let done = began + bytes;
            if let Some(publisher) = publisher {
                publisher.0.done.store(done, Ordering::Relaxed);
            }
            if state.waiting.is_empty() && state.has_room(bytes) {
                state.enter(began, bytes);
                return Turn { turns: self.clone(), bytes };
            }
            let (tell, told) = oneshot::channel();
            state.came += 1;
            state.waiting.insert((done, state.came), Waiter { began, bytes, tell });
            told
        };
        told.await.expect("whoever waits is told, as a turn ends for each that has begun")
    }

    fn give_back(&self, bytes: u64) {
        let state = &mut *self.lock();
        state.in_log -= bytes;
        while let Some(first) = state.waiting.first_entry() {
            if !(state.in_log == 0 || state.in_log + first.get().bytes <= MOST_BYTES) {
                break;
            }
            let Waiter { began, bytes, tell } = first.remove();
            let turn = Turn { turns: self.clone(), bytes };
            match tell.send(turn) {
                Ok(()) => state.enter(began, bytes),
                // It has stopped waiting. Its turn gives back nothing: it had nothing.
                Err(mut turn) => turn.bytes = 0,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, bytes: u64) -> bool {
        self.in_log == 0 || self.in_log + bytes <= MOST_BYTES
    }

    fn enter(&mut self, began: u64, bytes: u64) {
        self.in_log += bytes;
        self.now = self.now.max(began) + bytes / CLOCK;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.turns.give_back(self.bytes);
        }
    }
}

impl Publisher {
    /// Counts so many bytes that wait for the log, until what is returned is dropped.
    pub(crate) fn wait(&self, bytes: u64) -> Waits {
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
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn has_too_much(&self) -> bool {
        self.0.waiting.load(Ordering::Acquire) > MOST_OF_ONE
    }

    fn reader(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has come of an attachment, until this is dropped.
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

    #[test]
    fn a_small_publish_goes_before_what_others_have_waiting() {
        let (turns, flood) = (Turns::default(), Publisher::default());
        let first = poll(pin!(turns.take(Some(&flood), MOST_BYTES))).expect("nobody is before it");
        let mut large: Vec<_> = (0..50).map(|_| Box::pin(turns.take(Some(&flood), 1 << 20))).collect();
        assert!(large.iter_mut().all(|large| poll(large.as_mut()).is_none()));
        let mut small = pin!(turns.take(None, 1 << 10));
        assert!(poll(small.as_mut()).is_none());
        drop(first);
        assert!(poll(small.as_mut()).is_some());
        let mut told = 0;
        while told < 50 {
            let before = told;
            large.retain_mut(|large| poll(large.as_mut()).is_none());
            told = 50 - large.len();
            assert!(told > before, "each turn that ends is the next one's");
        }
        assert_eq!(turns.lock().in_log, 0);
    }

    #[test]
    fn a_large_publish_has_its_turn_however_many_small_ones_come() {
        let turns = Turns::default();
        let mut in_log = poll(pin!(turns.take(None, MOST_BYTES)));
        let mut large = pin!(turns.take(None, MOST_BYTES));
        assert!(poll(large.as_mut()).is_none());
        for _ in 0..40 {
            let mut next = Box::pin(turns.take(None, 1 << 20));
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
    fn who_stops_waiting_is_passed_over() {
        let turns = Turns::default();
        let first = poll(pin!(turns.take(None, MOST_BYTES)));
        {
            let mut gone = pin!(turns.take(None, 10));
            assert!(poll(gone.as_mut()).is_none());
        }
        let mut next = pin!(turns.take(None, 20));
        assert!(poll(next.as_mut()).is_none());
        drop(first);
        assert!(poll(next).is_some());
        assert_eq!(turns.lock().in_log, 0);
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
