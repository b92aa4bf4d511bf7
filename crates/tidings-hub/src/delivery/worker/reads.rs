//! Reads of the log for rows that are before the window: a few at once, and the rest in turn.

use std::{collections::VecDeque, sync::Arc};

use tokio::task::{JoinError, JoinSet};

use super::slots::Slot;
use crate::{
    caught::caught,
    delivery::{
        Engine,
        subscription::{Progress, Read, Subscription},
    },
    log::LogError,
};

/// How many pages of the log are read at once, and how many are searched for beside those. With what is still to be sent of
/// them, they bound the memory of replay.
const READS: usize = 8;
const SEARCHES: usize = 4;

/// The pages that are read, and those that wait for it.
#[derive(Default)]
pub(super) struct Reads {
    running: JoinSet<PageRead>,
    /// How many of them are searched for.
    searching: usize,
    /// Pages to be read when others are done.
    waiting: VecDeque<Wanted>,
    /// The same of pages that are searched for, so that nobody else waits for these.
    waiting_searches: VecDeque<Wanted>,
}

/// A page that rows of a group ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) group: Slot,
    /// The position that it follows.
    pub(super) from: Progress,
    /// Whether the log has to be searched for it.
    pub(super) is_search: bool,
}

/// The result of reading a page.
#[derive(Debug)]
pub(super) struct PageRead {
    pub(super) wanted: Wanted,
    pub(super) read: Result<Read, LogError>,
}

impl Reads {
    /// Takes down a page, to be read in its turn.
    pub(super) fn want(&mut self, wanted: Wanted) {
        match wanted.is_search {
            true => self.waiting_searches.push_back(wanted),
            false => self.waiting.push_back(wanted),
        }
    }

    /// The next page whose turn it is, if another one may be read now.
    pub(super) fn next_wanted(&mut self) -> Option<Wanted> {
        if self.running.len() - self.searching < READS && !self.waiting.is_empty() {
            return self.waiting.pop_front();
        }
        if self.searching < SEARCHES { self.waiting_searches.pop_front() } else { None }
    }

    /// Begins to read a page.
    pub(super) fn begin(&mut self, wanted: Wanted, subscription: Subscription, engine: Arc<Engine>) {
        self.searching += usize::from(wanted.is_search);
        self.running.spawn(async move {
            // A log that panics is a bug, and ends the streams that have met it, not those of the whole loop.
            let read = caught(subscription.read_log(&engine, wanted.from)).await;
            let read = read.unwrap_or_else(|| {
                Err(LogError::Unavailable { reason: "a read of it panicked", source: None })
            });
            PageRead { wanted, read }
        });
    }

    /// The next page that has been read; `None` if none is being read. Cancel safe.
    pub(super) async fn ended(&mut self) -> Option<PageRead> {
        let ended = self.running.join_next().await?;
        Some(self.take(ended))
    }

    /// The same for a page that has been read already.
    pub(super) fn try_ended(&mut self) -> Option<PageRead> {
        let ended = self.running.try_join_next()?;
        Some(self.take(ended))
    }

    fn take(&mut self, ended: Result<PageRead, JoinError>) -> PageRead {
        // Nobody aborts them, and they catch their panics.
        let ended = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        self.searching -= usize::from(ended.wanted.is_search);
        ended
    }
}
