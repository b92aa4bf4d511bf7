//! The newest records with their frames, in memory. Cursors that keep up read them here.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use super::{chunk::Chunk, frame::Framed};
use crate::{
    Selector,
    log::{Record, topic_index::TopicIndex},
};

/// The most records that are taken at once, however small they are.
const MAX_RUN: usize = 1_000;

/// A contiguous piece of the log up to what the feed has read.
///
/// A cursor whose next record is in the window is served from here. Any other reads the log until its next record is. It holds at most `max_bytes` of records; their frames come on top, one for each form in use.
#[derive(Debug)]
pub(crate) struct Window {
    max_bytes: u64,
    bytes: u64,
    /// The sequence of the first entry, or of the one to come.
    first: u64,
    entries: VecDeque<Entry>,
    by_topic: TopicIndex,
}

/// A record, and its frames once somebody reads it.
#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    framed: OnceLock<Arc<Framed>>,
}

/// A piece of the window for one selector: frames, to be encoded and joined when the window is no longer locked.
#[derive(Debug)]
pub(crate) struct Run {
    /// The matching records, in order.
    pub(crate) records: Vec<Arc<Framed>>,
    /// All that matches up to here is among the records.
    pub(crate) reached: u64,
    /// Whether there may be more before the newest record.
    pub(crate) more: bool,
}

impl Window {
    /// A window that begins after `sequence`.
    pub(crate) fn after(sequence: u64, max_bytes: u64) -> Window {
        Window {
            max_bytes,
            bytes: 0,
            first: sequence + 1,
            entries: VecDeque::new(),
            by_topic: TopicIndex::default(),
        }
    }

    /// The sequence of the last record that was pushed.
    pub(crate) fn newest(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// Whether it has all that follows `sequence`.
    pub(crate) fn holds_after(&self, sequence: u64) -> bool {
        self.first <= sequence + 1
    }

    /// Adds the record that follows the newest, and drops the oldest ones above the bound.
    pub(crate) fn push(&mut self, record: Arc<Record>) {
        debug_assert_eq!(record.sequence(), self.newest() + 1);
        self.by_topic.push(record.topics(), record.sequence());
        self.bytes += record.cost();
        self.entries.push_back(Entry { record, framed: OnceLock::new() });
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.first += 1;
            self.bytes -= oldest.record.cost();
            self.by_topic.remove(oldest.record.topics(), oldest.record.sequence());
        }
    }

    /// The records after `after` that match `selector`, about as many as fill a chunk. `None` if that position is
    /// before the window, so that its next records are in the log.
    pub(crate) fn read(&self, after: u64, selector: &Selector) -> Option<Run> {
        if !self.holds_after(after) {
            return None;
        }
        let (mut records, mut bytes, mut reached) = (Vec::new(), 0, after);
        // False when there is enough: all that matches up to the last record taken is in the run.
        let mut take = |entry: &Entry| {
            if bytes >= Chunk::FULL {
                return false;
            }
            bytes += entry.record.event().data().len();
            reached = entry.record.sequence();
            records.push(entry.framed.get_or_init(|| Arc::new(Framed::new(entry.record.clone()))).clone());
            records.len() < MAX_RUN
        };
        let all_read = if selector.is_exact() {
            self.by_topic
                .after(selector, after)
                .filter_map(|sequence| self.entries.get(usize::try_from(sequence - self.first).ok()?))
                .all(&mut take)
        } else {
            let seen = usize::try_from(after + 1 - self.first).unwrap_or(usize::MAX);
            self.entries
                .range(seen.min(self.entries.len())..)
                .filter(|entry| selector.matches(entry.record.topics()))
                .all(&mut take)
        };
        if all_read {
            // A cursor that has read the log ahead of the feed stays ahead.
            reached = after.max(self.newest());
        }
        Some(Run { records, reached, more: !all_read })
    }

    /// Starts over after `sequence`: the log could not say what was between.
    pub(crate) fn restart_after(&mut self, sequence: u64) {
        *self = Window::after(sequence, self.max_bytes);
    }
}
