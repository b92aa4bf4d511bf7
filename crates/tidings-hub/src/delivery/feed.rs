//! The one reader of the whole log: it fills the window, and wakes the subscribers that a record is for.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle, time::sleep};

use crate::{
    Selector,
    caught::caught,
    delivery::Engine,
    log::{Fault, LogError, Page, PageLimit},
};

const PAGE: PageLimit = PageLimit { records: 1_000, bytes: 1 << 20 };

/// How many records a publisher may be ahead of the feed. If a publisher appended much faster than the feed reads, on the same core
/// for example, the log could evict records before they are delivered.
const AHEAD: u64 = 2 * PAGE.records as u64;

/// How far the feed is. Publishers that are far ahead wait for it; they do not wait while it cannot read the log.
#[derive(Debug)]
pub(crate) struct FeedPlace {
    sequence: AtomicU64,
    moved: Notify,
}

impl FeedPlace {
    pub(crate) fn at(sequence: u64) -> FeedPlace {
        FeedPlace { sequence: AtomicU64::new(sequence), moved: Notify::new() }
    }

    fn reach(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// Whether a publisher that has appended `sequence` has to wait for the feed.
    pub(crate) fn is_far_from(&self, sequence: u64) -> bool {
        sequence.saturating_sub(self.sequence.load(Ordering::Acquire)) > AHEAD
    }

    /// Waits until the feed has read `sequence`. It waits for all of it, so that the publisher need not wait again soon.
    pub(crate) async fn come_to(&self, sequence: u64) {
        loop {
            let moved = self.moved.notified();
            if self.sequence.load(Ordering::Acquire) >= sequence {
                return;
            }
            moved.await;
        }
    }
}

/// The task that follows the log. The handles of a hub own it together: it ends with the last of them, or when the hub
/// shuts down.
#[derive(Debug)]
pub(crate) struct Feed {
    engine: Arc<Engine>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Feed {
    /// Starts following the log on the current Tokio runtime.
    pub(crate) fn start(engine: Arc<Engine>) -> Feed {
        let task = tokio::spawn(follow_log(Followed(engine.clone())));
        Feed { engine, task: Mutex::new(Some(task)) }
    }

    /// Waits for the end, which comes when the hub shuts down.
    pub(crate) async fn ended(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return };
        if let Err(error) = task.await {
            tracing::error!(%error, "the feed of the log failed");
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.engine.begin_shutdown();
    }
}

/// The engine that the feed fills. When the feed has ended for any reason, or has never begun, no publisher waits for it.
struct Followed(Arc<Engine>);

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.fed.reach(u64::MAX);
        if !self.0.is_shutting_down() {
            let error = LogError::Unavailable { reason: "nothing follows the log any more", source: None };
            self.0.set_feed_fault(Some(Fault::now(error)));
        }
    }
}

/// How long the feed waits after a failure before it tries again. The wait doubles each time, up to the longest.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Follows the log until the hub shuts down, or the log is gone. A failure is no end: the feed tells the engine's health, waits,
/// and tries again from its own position, so nothing is lost and nothing comes twice.
async fn follow_log(followed: Followed) {
    let engine = &*followed.0;
    let mut newest = engine.log.follow();
    let everything = Selector::everything();
    let mut shutdown = pin!(engine.shutdown_begun());
    // Whether the log has told of records that were not read yet.
    let mut unread = false;
    let (mut failing, mut wait) = (false, SHORTEST_WAIT);
    loop {
        let next = poll_fn(|context| match newest.as_mut().poll_next(context) {
            // A log that is back may have nothing new to tell. If it says no more that it is away, reading it shows the rest.
            Poll::Pending if failing => Poll::Ready(Some(Ok(()))),
            told => told.map(|told| told.map(|told| told.map(drop))),
        });
        let told = match unread {
            true => Ok(()),
            false => tokio::select! {
                told = next => match told {
                    Some(told) => told,
                    None => return over(engine),
                },
                () = &mut shutdown => return,
            },
        };
        let read = match told {
            Ok(()) => {
                unread = true;
                // A log that is elsewhere may never answer.
                tokio::select! {
                    read = catch_up_or_restart(engine, &everything) => read,
                    () = &mut shutdown => return,
                }
            }
            Err(error) => Err(error),
        };
        match read {
            Ok(()) => {
                unread = false;
                if std::mem::take(&mut failing) {
                    wait = SHORTEST_WAIT;
                    engine.set_feed_fault(None);
                    tracing::info!("the log can be followed again, and all that was missed is read");
                }
            }
            Err(error) => {
                // Publishers do not wait for a feed that cannot follow.
                engine.fed.reach(u64::MAX);
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "the log cannot be followed: subscribers get nothing new until it can");
                    engine.set_feed_fault(Some(Fault::now(error)));
                }
                tokio::select! {
                    () = sleep(wait) => wait = (2 * wait).min(LONGEST_WAIT),
                    () = &mut shutdown => return,
                }
            }
        }
    }
}

/// The stream of the log has ended, although the log is in use.
fn over(engine: &Engine) {
    if !engine.is_shutting_down() {
        tracing::error!(
            "the log tells nothing new any more: subscribers get nothing until the hub is started again"
        );
    }
}

/// Reads all that the window lacks. If that panics, the window begins anew, and everybody looks into the log.
async fn catch_up_or_restart(engine: &Engine, everything: &Selector) -> Result<(), LogError> {
    let before = engine.read_window().newest();
    match caught(catch_up(engine, everything)).await {
        Some(read) => read,
        None => {
            let mut window = engine.write_window();
            let reached = window.newest();
            window.restart_after(reached);
            drop(window);
            engine.routing.signal_all(before + 1);
            Err(LogError::Unavailable { reason: "the feed panicked", source: None })
        }
    }
}

async fn catch_up(engine: &Engine, everything: &Selector) -> Result<(), LogError> {
    loop {
        let after = engine.read_window().newest();
        let page = engine.log.read(after, everything, PAGE).await?;
        let done = page.reached.sequence <= after;
        hand_out(engine, after, &page);
        if done {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

fn hand_out(engine: &Engine, after: u64, page: &Page) {
    let records = page.records.iter().filter(|record| record.sequence() >= page.oldest);
    let mut missed = false;
    let reached = {
        let mut window = engine.write_window();
        for record in records.clone() {
            if record.sequence() != window.newest() + 1 {
                // Records were evicted before they were read here. Everyone looks into the log to learn what it missed.
                missed = true;
                window.restart_after(record.sequence() - 1);
            }
            window.push(record.clone());
        }
        if window.newest() < page.reached.sequence {
            // The page has nothing but closes of topics whose records were evicted, and so were theirs.
            missed = true;
            window.restart_after(page.reached.sequence);
        }
        window.newest()
    };
    engine.fed.reach(reached);
    if missed {
        engine.routing.signal_all(after + 1);
    }
    engine.routing.wake(records.map(|record| &**record));
}
