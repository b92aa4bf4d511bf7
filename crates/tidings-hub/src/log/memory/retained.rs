//! The records that a log in memory keeps.

use std::{collections::VecDeque, sync::Arc};

use crate::log::{IdempotencyKey, Record};

/// Records in the order of their sequences. Most often the oldest one leaves; one that leaves from between the others stays
/// as an empty position, until half of all positions are empty.
#[derive(Debug, Default)]
pub(super) struct Retained {
    /// Begins with a position that is not empty.
    positions: VecDeque<Entry>,
    empty: usize,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    record: Option<Arc<Record>>,
    /// When it came, in milliseconds since 1970, or when it says that it did if that is earlier.
    from: u64,
    key: Option<IdempotencyKey>,
    rule: Option<usize>,
}

/// A record that has left.
#[derive(Debug)]
pub(super) struct Removed {
    /// The record, for its topics and its cost.
    pub(crate) record: Arc<Record>,
    /// The key, to be remembered a while longer.
    pub(super) key: Option<IdempotencyKey>,
    /// The number of the rule that it counted under.
    pub(super) rule: Option<usize>,
}

impl Retained {
    /// Adds a record that comes after all others.
    pub(super) fn push(
        &mut self,
        record: Arc<Record>,
        now: u64,
        key: Option<IdempotencyKey>,
        rule: Option<usize>,
    ) {
        let (sequence, from) = (record.sequence(), record.time_ms().min(now));
        self.positions.push_back(Entry { sequence, record: Some(record), from, key, rule });
    }

    /// From when on the age of a record counts. A time that had not come when the record did makes it no younger.
    pub(super) fn age_begins(&self, sequence: u64) -> Option<u64> {
        let entry = self.positions.get(self.find(sequence).ok()?)?;
        entry.record.as_ref().map(|_| entry.from)
    }

    /// The first sequence that is kept.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.positions.front().map(|entry| entry.sequence)
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Arc<Record>> {
        self.positions.get(self.find(sequence).ok()?)?.record.as_ref()
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Removed> {
        let index = self.find(sequence).ok()?;
        let entry = self.positions.get_mut(index)?;
        let record = entry.record.take()?;
        let removed = Removed { record, key: entry.key.take(), rule: entry.rule };
        self.empty += 1;
        while self.positions.front().is_some_and(|oldest| oldest.record.is_none()) {
            self.positions.pop_front();
            self.empty -= 1;
        }
        if self.empty > self.positions.len() / 2 {
            self.positions.retain(|entry| entry.record.is_some());
            self.empty = 0;
        }
        Some(removed)
    }

    /// Those from `first` on. Empty positions on the way are passed over, of which there are never more than records.
    pub(super) fn from(&self, first: u64) -> impl Iterator<Item = &Arc<Record>> {
        let index = self.find(first).unwrap_or_else(|index| index);
        self.positions.range(index..).filter_map(|entry| entry.record.as_ref())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.positions.len() - self.empty
    }

    /// Where the place for `sequence` is, or would be.
    fn find(&self, sequence: u64) -> Result<usize, usize> {
        // Without positions that are gone it is as far from the oldest one as their sequences are, and it is never further.
        let distance = sequence.saturating_sub(self.oldest().unwrap_or(sequence));
        let most = usize::try_from(distance).unwrap_or(usize::MAX);
        match self.positions.get(most) {
            Some(entry) if entry.sequence == sequence => Ok(most),
            _ => self.positions.binary_search_by_key(&sequence, |entry| entry.sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Topic, Update,
        log::{Epoch, RecordTime},
    };

    #[test]
    fn entries_removed_in_the_middle_are_gone_and_the_others_are_found() {
        let mut retained = Retained::default();
        for sequence in 1..=10 {
            let update = Update::new(Topic::parse("t").unwrap(), "");
            let record = Record::new(Epoch::from_bits(0), sequence, RecordTime::now(), update);
            retained.push(Arc::new(record), 0, None, Some(sequence as usize));
        }
        let mut left: Vec<u64> = (1..=10).collect();
        for gone in [5, 1, 3, 2, 9, 7, 6, 10, 4, 8] {
            let removed = retained.remove(gone).unwrap();
            assert_eq!((removed.record.sequence(), removed.rule), (gone, Some(gone as usize)));
            assert!(retained.remove(gone).is_none());
            left.retain(|sequence| *sequence != gone);
            assert_eq!((retained.len(), retained.oldest()), (left.len(), left.first().copied()));
            assert!(retained.positions.len() <= 2 * left.len() + 1, "{retained:?}");
            for first in 0..=11 {
                let found = retained.get(first).map(|record| record.sequence());
                assert_eq!(found, left.contains(&first).then_some(first));
                let from: Vec<_> = retained.from(first).map(|record| record.sequence()).collect();
                let expected: Vec<_> = left.iter().copied().filter(|sequence| *sequence >= first).collect();
                assert_eq!(from, expected, "from {first}");
            }
        }
    }
}
