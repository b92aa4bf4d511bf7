//! A piece of the log, and how much may be in it.

use std::sync::Arc;

use super::{Position, Record};

/// How much [`Log::read`](super::Log::read) may return at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// The most records; at least 1.
    pub records: usize,
    /// No record is added once those before it have this many bytes of data, so a page is never empty for its size.
    pub bytes: usize,
}

impl PageLimit {
    /// Whether a page with so many records, and bytes of data in them, takes no more.
    pub(crate) fn is_reached(&self, records: usize, bytes: usize) -> bool {
        records == self.records.max(1) || bytes >= self.bytes.max(1)
    }
}

/// A piece of the log for one selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The matching records, in order of sequence.
    pub records: Vec<Arc<Record>>,
    /// How far the log was looked through: every match up to here is in `records`, or lost.
    pub reached: Position,
    /// The last evicted record after the asked position that could have matched, if there is one.
    pub lost: Option<u64>,
    /// The first sequence that is kept, or the next one if none is.
    pub oldest: u64,
}

impl Page {
    /// How many bytes of data its records have.
    pub(crate) fn data_bytes(&self) -> usize {
        self.records.iter().map(|record| record.event().data().len()).sum()
    }

    /// The position just before the first kept record that matches, or the end of the search if none was found.
    pub fn before_first_kept(&self) -> Position {
        // Not before the oldest record of the log: what was evicted after that one would be told again.
        match self.records.first() {
            Some(first) => Position::unchecked(first.sequence() - 1),
            None => self.reached,
        }
    }
}
