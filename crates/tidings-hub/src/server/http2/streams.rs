//! The streams of one HTTP/2 connection, which are polled by the connection's own task.
//!
//! hyper makes a future for each request. As tasks they would run one by one, on any core, each wake up the connection, and
//! an update for a hundred of them would be a hundred small writes in the worst case. Here those that were woken are polled
//! one after the other, then the connection, which writes what they gave at once; and no future needs a task's memory.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use hyper::rt::Executor;
use tokio::{
    sync::{mpsc, oneshot},
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::progress::{Progress, Untaken};
use crate::{Hub, pace::Pace};

/// How often the woken streams are polled before other tasks of the thread have their turn.
const ROUNDS: usize = 16;

/// How many new streams are polled before the connection writes what they gave: a head and two frames each. A client that
/// opens a hundred at once would make the connection queue all of these, and it keeps the memory of its longest queue.
const NEW: usize = 32;

/// The number of the connection itself among those that are woken.
const CONNECTION: usize = usize::MAX;

type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where hyper leaves the futures of new streams.
#[derive(Debug, Clone)]
pub(super) struct StreamExecutor(mpsc::UnboundedSender<Answering>);

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // Unconstrained: the heartbeats' timers of a hundred streams would use up what tokio allows one task, and the
        // connection could not write. Whether others have their turn is for the rounds to see.
        // It fails only when the connection has ended, and its streams with it.
        let _ = self.0.send(Box::pin(unconstrained(future)));
    }
}

impl StreamExecutor {
    /// Lets `future` go on when nobody waits for it any more.
    pub(super) fn detach<T>(
        &self,
        future: Pin<Box<dyn Future<Output = T> + Send>>,
    ) -> Pin<Box<dyn Future<Output = T> + Send>>
    where
        T: Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        self.execute(async {
            // The task that waited may be gone.
            let _ = tell.send(future.await);
        });
        Box::pin(async { told.await.expect("it is polled to its end") })
    }
}

/// The streams of one connection.
pub(super) struct Streams {
    hub: Hub,
    new: mpsc::UnboundedReceiver<Answering>,
    slots: Vec<Option<Stream>>,
    free: Vec<usize>,
    woken: Arc<WokenStreams>,
    connection: Arc<StreamWaker>,
    progress: Progress,
    /// When to look for streams whose clients take nothing, if there are any that have to wait.
    sweep: Option<Pin<Box<Sleep>>>,
    /// Those who are polled now; kept for its memory.
    batch: Vec<usize>,
}

struct Stream {
    answering: Answering,
    wake: Arc<StreamWaker>,
    /// The bytes that wait for its client, once it has been given some.
    waiting: Option<Arc<Untaken>>,
    /// How that is taken. `None` for a client that had all there was.
    pace: Option<Pace<Instant>>,
}

impl Streams {
    /// No streams yet, and the executor through which they come.
    pub(super) fn new(hub: Hub) -> (StreamExecutor, Streams) {
        let (executor, new) = mpsc::unbounded_channel();
        let woken = Arc::<WokenStreams>::default();
        let connection = StreamWaker::woken(CONNECTION, &woken);
        let progress = Progress::new(hub.engine().answers_room.clone());
        let streams = Streams {
            hub,
            progress,
            new,
            slots: Vec::new(),
            free: Vec::new(),
            woken,
            connection,
            sweep: None,
            batch: Vec::new(),
        };
        (StreamExecutor(executor), streams)
    }

    /// Where the bodies of these streams note what they do.
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Whether no stream is under way, and the client has all that was given.
    pub(super) fn are_idle(&self) -> bool {
        self.free.len() == self.slots.len() && self.progress.has_nothing()
    }

    /// Polls `connection` at the next opportunity, although nothing has happened on it.
    pub(super) fn wake_connection(&self) {
        self.connection.wake_by_ref();
    }

    /// Polls the streams that were woken, then `connection` if it was or they have given it something; ready when it has ended.
    pub(super) fn poll_with<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        context: &mut Context<'_>,
    ) -> Poll<C::Output> {
        for _ in 0..ROUNDS {
            self.reset_stalled(context);
            let mut batch = mem::take(&mut self.batch);
            if !self.woken.take(&mut batch, context.waker()) {
                self.batch = batch;
                return Poll::Pending;
            }
            let (mut ended, mut now) = (Poll::Pending, None);
            for number in batch.drain(..) {
                if number != CONNECTION {
                    self.poll_stream(number, &mut now);
                    continue;
                }
                self.connection.rearm();
                let waker = Waker::from(self.connection.clone());
                ended = connection.as_mut().poll(&mut Context::from_waker(&waker));
            }
            self.batch = batch;
            // Not before the others of the batch have been polled: their wakers are spent, and would not wake again.
            if ended.is_ready() {
                return ended;
            }
            self.take_new(NEW);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Polls what is left when the connection has ended; ready when nothing is.
    pub(super) fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.take_new(usize::MAX);
        loop {
            if self.free.len() == self.slots.len() {
                return Poll::Ready(());
            }
            let mut batch = mem::take(&mut self.batch);
            if !self.woken.take(&mut batch, context.waker()) {
                return Poll::Pending;
            }
            let mut now = None;
            for number in batch.drain(..).filter(|number| *number != CONNECTION) {
                self.poll_stream(number, &mut now);
            }
            self.batch = batch;
        }
    }

    /// Each of them rings, so there is a next round, which takes more if there are more.
    fn take_new(&mut self, most: usize) {
        for _ in 0..most {
            let Ok(answering) = self.new.try_recv() else { return };
            self.add(answering);
        }
    }

    fn add(&mut self, answering: Answering) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let wake = StreamWaker::woken(number, &self.woken);
        self.slots[number] = Some(Stream { answering, wake, waiting: None, pace: None });
    }

    fn remove(&mut self, number: usize) {
        self.slots[number] = None;
        self.free.push(number);
    }

    /// Polls a stream. `now` is the time of those that are polled together, for the first of them that asks.
    fn poll_stream(&mut self, number: usize, now: &mut Option<Instant>) {
        // A waker may outlive its stream, and wake the next one with its number: it is polled once for nothing.
        let Some(stream) = &mut self.slots[number] else { return };
        stream.wake.rearm();
        let waker = Waker::from(stream.wake.clone());
        let answered = stream.answering.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let begun = self.progress.take_begun();
        if begun && stream.waiting.is_none() {
            stream.waiting = self.progress.take_new();
        }
        if answered {
            self.remove(number);
            return;
        }
        // Its pieces may have been taken by the time of the sweep.
        if begun {
            let now = *now.get_or_insert_with(Instant::now);
            stream.pace = Some(Pace::new(now));
            let limit = self.hub.engine().settings.write_timeout;
            self.sweep.get_or_insert_with(|| Box::pin(sleep_until(now + limit)));
        }
    }

    /// Resets the streams whose clients have taken too little within the write timeout. They come back, and lose nothing.
    fn reset_stalled(&mut self, context: &mut Context<'_>) {
        while let Some(sweep) = &mut self.sweep {
            if sweep.as_mut().poll(context).is_pending() {
                return;
            }
            let engine = self.hub.engine().clone();
            let (now, limit) = (Instant::now(), engine.settings.write_timeout);
            let mut next = None;
            for number in 0..self.slots.len() {
                let Some(stream) = &mut self.slots[number] else { continue };
                let Some(waiting) = stream.waiting.as_ref().filter(|waiting| !waiting.is_nothing()) else {
                    stream.pace = None;
                    continue;
                };
                let Some(pace) = &mut stream.pace else { continue };
                pace.took(waiting.take_taken(), now);
                let until = pace.since() + limit;
                if until > now {
                    next = Some(next.map_or(until, |next| Instant::min(next, until)));
                    continue;
                }
                engine.metrics.stalled.inc();
                tracing::info!(after = ?limit, "a stream is reset: its client takes too little");
                self.progress.drop_stalled(self.slots[number].take());
                self.free.push(number);
            }
            self.sweep = next.map(|next| Box::pin(sleep_until(next)));
        }
    }
}

/// The streams to poll next.
#[derive(Debug, Default)]
struct WokenStreams(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    numbers: Vec<usize>,
    /// The task that polls them, while it waits.
    task: Option<Waker>,
}

impl WokenStreams {
    /// Exchanges `batch`, which is empty, for those who were woken; if there are none, `task` is woken when one is.
    fn take(&self, batch: &mut Vec<usize>, task: &Waker) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.numbers.is_empty() {
            waiting.task = Some(task.clone());
            return false;
        }
        waiting.task = None;
        mem::swap(batch, &mut waiting.numbers);
        true
    }

    fn push(&self, number: usize) {
        let task = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.numbers.push(number);
            waiting.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Wakes one stream, or the connection.
#[derive(Debug)]
struct StreamWaker {
    number: usize,
    /// Whether it is among those who are to be polled.
    is_woken: AtomicBool,
    woken: Arc<WokenStreams>,
}

impl StreamWaker {
    /// A new stream is polled first.
    fn woken(number: usize, woken: &Arc<WokenStreams>) -> Arc<StreamWaker> {
        let wake = Arc::new(StreamWaker { number, is_woken: AtomicBool::new(false), woken: woken.clone() });
        wake.wake_by_ref();
        wake
    }

    /// Called before the poll, so that an event during the poll wakes it again.
    fn rearm(&self) {
        self.is_woken.store(false, Ordering::SeqCst);
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            self.woken.push(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use super::*;

    #[tokio::test]
    async fn a_stream_that_is_woken_together_with_the_end_of_its_connection_ends_too() {
        let (executor, mut streams) = Streams::new(Hub::default());
        let (go_on, gone) = oneshot::channel::<()>();
        executor.execute(async {
            let _ = gone.await;
        });
        let (end, ended) = oneshot::channel::<()>();
        let mut connection = pin!(ended);
        poll_fn(|context| {
            assert!(streams.poll_with(connection.as_mut(), context).is_pending());
            Poll::Ready(())
        })
        .await;
        // The connection first.
        drop((end, go_on));
        assert!(poll_fn(|context| streams.poll_with(connection.as_mut(), context)).await.is_err());
        let mut context = Context::from_waker(Waker::noop());
        assert!(streams.poll_rest(&mut context).is_ready(), "its client is gone, and it is over");
    }
}
