//! Following the end of a log.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_core::Stream;

use super::LogError;

/// The result of [`Log::follow`](super::Log::follow): the newest sequence, each time that it has grown.
pub type Following = Pin<Box<dyn Stream<Item = Result<u64, LogError>> + Send>>;

/// The newest sequence of a log in this process, and those that follow it.
///
/// A log that has its records here keeps one, moves it on with [`set`](Newest::set), and returns what
/// [`follow`](Newest::follow) gives. The streams end when this is dropped; they have no errors.
#[derive(Debug)]
pub struct Newest(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    sequence: u64,
    is_over: bool,
    /// The followers that have been told the sequence, and wait for the next one, each by its number.
    waiting: Vec<(u64, Waker)>,
    /// How many followers there have been: the number of the next one.
    followers: u64,
}

impl Newest {
    /// Begins at this sequence.
    pub fn at(sequence: u64) -> Newest {
        let state = State { sequence, is_over: false, waiting: Vec::new(), followers: 0 };
        Newest(Arc::new(Mutex::new(state)))
    }

    /// Moves on to `sequence`, and wakes those that wait. Nothing happens if it is there already, or further.
    ///
    /// Readers must see the record before this is called.
    pub fn set(&self, sequence: u64) {
        let mut state = lock(&self.0);
        if sequence > state.sequence {
            state.sequence = sequence;
            wake_all(state);
        }
    }

    /// A stream of the sequences from now on, the present one first.
    pub fn follow(&self) -> Following {
        let mut state = lock(&self.0);
        let number = state.followers;
        state.followers += 1;
        Box::pin(Follower { of: self.0.clone(), number, told: None })
    }
}

impl Drop for Newest {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.is_over = true;
        wake_all(state);
    }
}

/// Wakes without the lock: a waker may run anything.
fn wake_all(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(|(_, waker)| waker.wake());
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Follower {
    of: Arc<Mutex<State>>,
    number: u64,
    told: Option<u64>,
}

impl Stream for Follower {
    type Item = Result<u64, LogError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let follower = &mut *self;
        let mut state = lock(&follower.of);
        if follower.told != Some(state.sequence) {
            follower.told = Some(state.sequence);
            return Poll::Ready(Some(Ok(state.sequence)));
        }
        if state.is_over {
            return Poll::Ready(None);
        }
        match state.waiting.iter_mut().find(|(number, _)| *number == follower.number) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => state.waiting.push((follower.number, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        lock(&self.of).waiting.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_follower_is_told_the_newest_once_and_the_end() {
        let newest = Newest::at(7);
        let woken = Arc::new(Woken::default());
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        let mut poll = |following: &mut Following| {
            following.as_mut().poll_next(&mut context).map(|told| told.map(|told| told.expect("no error")))
        };
        let (mut one, mut other) = (newest.follow(), newest.follow());
        assert_eq!(poll(&mut one), Poll::Ready(Some(7)));
        assert_eq!(poll(&mut one), Poll::Pending);
        assert_eq!(poll(&mut one), Poll::Pending);
        newest.set(8);
        newest.set(9);
        newest.set(5);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "it is woken once, and the other does not wait");
        assert_eq!((poll(&mut one), poll(&mut other)), (Poll::Ready(Some(9)), Poll::Ready(Some(9))));
        assert_eq!((poll(&mut one), poll(&mut other)), (Poll::Pending, Poll::Pending));
        drop(other);
        drop(newest);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2, "nobody waits any more for the one that is gone");
        assert_eq!(poll(&mut one), Poll::Ready(None));
    }
}
