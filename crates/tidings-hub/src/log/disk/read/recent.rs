//! The newest records, in memory. A reader that keeps up with the log need not read from the disk what was just written.

use std::{collections::VecDeque, sync::Arc};

use crate::log::{Bounds, Page, PageLimit, Record};

/// The most that is kept, as records count ([`Record::cost`]).
const MAX_BYTES: u64 = 4 << 20;

/// Records without a hole between them, up to the newest that may be shown.
#[derive(Debug, Default)]
pub(super) struct Recent {
    records: VecDeque<Arc<Record>>,
    bytes: u64,
}

impl Recent {
    /// Adds a record that is about to be shown, and moves what is too much to `gone`.
    pub(super) fn add(&mut self, record: Record, gone: &mut Vec<Arc<Record>>) {
        if self.records.back().is_some_and(|last| last.sequence() + 1 != record.sequence()) {
            *self = Recent::default();
        }
        self.bytes += record.cost();
        self.records.push_back(Arc::new(record));
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.cost();
            gone.push(oldest);
        }
    }

    /// All that follows `after`, of all topics; `None` if the database has to be asked.
    pub(super) fn page(&self, after: u64, limit: PageLimit, bounds: Bounds) -> Option<Page> {
        let (first, last) = (self.records.front()?.sequence(), self.records.back()?.sequence());
        if after + 1 < first || last < bounds.newest.sequence || bounds.evicted > after {
            return None;
        }
        let mut page =
            Page { records: Vec::new(), reached: bounds.newest, lost: None, oldest: bounds.oldest };
        let (mut bytes, skipped) = (0, usize::try_from(after + 1 - first).ok()?);
        for record in self.records.range(skipped.min(self.records.len())..) {
            if record.sequence() > bounds.newest.sequence {
                break;
            }
            if limit.is_reached(page.records.len(), bytes) {
                page.reached = page.records.last().map_or(page.reached, |last| last.position());
                break;
            }
            bytes += record.event().data().len();
            page.records.push(record.clone());
        }
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Topic, Update,
        log::{Epoch, Position, RecordTime},
    };

    fn record(sequence: u64, data: &str) -> Record {
        Record::new(
            Epoch::from_bits(1),
            sequence,
            RecordTime::MIN,
            Update::new(Topic::parse("t").unwrap(), data),
        )
    }

    fn bounds(newest: u64, evicted: u64) -> Bounds {
        let newest = Position::unchecked(newest);
        Bounds { epoch: Epoch::from_bits(1), oldest: evicted + 1, evicted, newest }
    }

    /// Records 4 to 8.
    fn recent() -> Recent {
        let mut recent = Recent::default();
        (4..=8).for_each(|sequence| recent.add(record(sequence, "xx"), &mut Vec::new()));
        recent
    }

    const ALL: PageLimit = PageLimit { records: 100, bytes: 100 };

    fn read(after: u64, limit: PageLimit, bounds: Bounds) -> Option<(Vec<u64>, u64)> {
        let page = recent().page(after, limit, bounds)?;
        assert_eq!((page.lost, page.oldest), (None, bounds.oldest));
        Some((page.records.iter().map(|record| record.sequence()).collect(), page.reached.sequence))
    }

    #[test]
    fn records_after_a_position_are_here_or_must_be_requested() {
        assert_eq!(read(3, ALL, bounds(8, 0)), Some((vec![4, 5, 6, 7, 8], 8)));
        assert_eq!(read(6, ALL, bounds(8, 6)), Some((vec![7, 8], 8)));
        assert_eq!(read(8, ALL, bounds(8, 0)), Some((vec![], 8)));
        assert_eq!(read(2, ALL, bounds(8, 0)), None, "it begins later");
        assert_eq!(read(4, ALL, bounds(8, 5)), None, "the reader may have lost something");
        assert_eq!(read(4, ALL, bounds(9, 0)), None, "it ends earlier");
        assert_eq!(Recent::default().page(0, ALL, bounds(0, 0)), None);
    }

    #[test]
    fn a_page_ends_where_it_is_full_and_where_nothing_more_may_be_shown() {
        let records = |records| PageLimit { records, ..ALL };
        let bytes = |bytes| PageLimit { bytes, ..ALL };
        assert_eq!(read(3, records(2), bounds(8, 0)), Some((vec![4, 5], 5)));
        assert_eq!(read(3, records(0), bounds(8, 0)), Some((vec![4], 4)));
        assert_eq!(read(3, bytes(3), bounds(8, 0)), Some((vec![4, 5], 5)));
        assert_eq!(read(3, bytes(0), bounds(8, 0)), Some((vec![4], 4)));
        assert_eq!(read(3, records(5), bounds(8, 0)), Some((vec![4, 5, 6, 7, 8], 8)));
        assert_eq!(read(3, ALL, bounds(6, 0)), Some((vec![4, 5, 6], 6)), "8 is not on the disk yet");
    }

    #[test]
    fn it_has_no_holes_and_a_bound() {
        let mut recent = recent();
        let mut gone = Vec::new();
        recent.add(record(10, ""), &mut gone);
        assert_eq!(recent.records.front().unwrap().sequence(), 10);
        for sequence in 11..=100 {
            recent.add(record(sequence, &"x".repeat(1 << 17)), &mut gone);
        }
        assert_eq!(gone.len() + recent.records.len(), 91);
        assert!(recent.bytes <= MAX_BYTES && recent.records.len() < 32);
        assert_eq!(recent.bytes, recent.records.iter().map(|record| record.cost()).sum::<u64>());
    }
}
