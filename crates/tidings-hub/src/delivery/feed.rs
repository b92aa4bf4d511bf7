//! The one reader of the whole log: it fills the window and wakes those whom a record is for.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    Selector,
    caught::caught,
    delivery::Engine,
    log::{LogError, Page, PageLimit},
};

const PAGE: PageLimit = PageLimit { records: 1_000, bytes: 1 << 20 };

/// How many records a publisher may be ahead of the feed. Who appends much faster than the feed reads, on the same core for one,
/// would have records evicted before subscribers could get them.
const AHEAD: u64 = 2 * PAGE.records as u64;

/// How far the feed is, for publishers: it is woken by what they append, and lets them go on also where it can't read that.
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

    /// Whether who has appended `sequence` has to wait for the feed.
    pub(crate) fn is_far_from(&self, sequence: u64) -> bool {
        sequence.saturating_sub(self.sequence.load(Ordering::Acquire)) > AHEAD
    }

    /// Waits until the feed has read `sequence`, so that one who has to wait does not soon have to again.
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

/// What the feed fills. No publisher waits for it when it has ended, however it did, or if it never began.
struct Followed(Arc<Engine>);

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.fed.reach(u64::MAX);
    }
}

async fn follow_log(followed: Followed) {
    let engine = &*followed.0;
    let mut newest = engine.log.follow();
    let everything = Selector::everything();
    let mut shutdown = pin!(engine.shutdown_begun());
    loop {
        // Before the first wait too: something may have been appended before this task ran.
        let before = engine.read_window().newest();
        let failed = match caught(catch_up(engine, &everything)).await {
            Some(Ok(())) => false,
            Some(Err(error)) => {
                tracing::error!(%error, "the log can't be read");
                true
            }
            None => {
                tracing::error!("the feed of the log panicked; it goes on with what is appended next");
                // Whatever it was doing, nobody misses anything who looks into the log.
                let mut window = engine.write_window();
                let reached = window.newest();
                window.restart_after(reached);
                drop(window);
                engine.routing.signal_all(before + 1);
                true
            }
        };
        if failed {
            // The next append tries again from the same position; cursors read the log themselves.
            engine.fed.reach(*newest.borrow());
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            () = &mut shutdown => return,
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
