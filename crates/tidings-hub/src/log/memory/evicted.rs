//! Which topics have lost records, remembered just well enough to tell every subscriber that may miss one.

use std::{collections::BTreeMap, ops::Bound};

use crate::{Selector, Topic};

/// The cost of a topic in the table, besides its text.
const AROUND_MARK: usize = 128;

/// For each topic the sequence of its last evicted record, in a bounded table over one mark for all others.
///
/// When the table is full, by its topics or by what they cost, a sixteenth of it leaves, the topics whose marks are oldest, and the newest of these marks becomes
/// the floor of every topic that is not in the table. The floor can only be too high, never too low: a subscriber may be told
/// of a gap where nothing was missing, but a gap is never kept from it.
#[derive(Debug)]
pub(crate) struct Evicted {
    max_topics: usize,
    max_cost: usize,
    /// The text of all topics in the table.
    text: usize,
    floor: u64,
    last: u64,
    watermarks: BTreeMap<Topic, u64>,
}

impl Evicted {
    /// An empty table, of at most so many topics, and so many bytes.
    pub(crate) fn new(max_topics: usize, max_cost: usize) -> Evicted {
        Evicted { max_topics, max_cost, text: 0, floor: 0, last: 0, watermarks: BTreeMap::new() }
    }

    /// The size of the table in bytes.
    pub(crate) fn cost(&self) -> usize {
        self.watermarks.len() * AROUND_MARK + self.text
    }

    /// Notes that the record of `topics` at `sequence` is gone.
    pub(crate) fn note(&mut self, topics: &[Topic], sequence: u64) {
        self.last = self.last.max(sequence);
        for topic in topics {
            match self.watermarks.get_mut(topic) {
                Some(mark) => *mark = (*mark).max(sequence),
                None => {
                    self.watermarks.insert(topic.clone(), sequence);
                    self.text += topic.as_str().len();
                }
            }
        }
        while !self.watermarks.is_empty()
            && (self.watermarks.len() > self.max_topics || self.cost() > self.max_cost)
        {
            self.forget_oldest();
        }
    }

    /// Many at once: finding the oldest costs a look at all of them.
    fn forget_oldest(&mut self) {
        let mut ages: Vec<u64> = self.watermarks.values().copied().collect();
        let leaving =
            self.watermarks.len().saturating_sub(self.max_topics).max(self.watermarks.len() / 16).max(1);
        let (_, newest, _) = ages.select_nth_unstable(leaving - 1);
        self.floor = self.floor.max(*newest);
        self.watermarks.retain(|topic, mark| {
            let stays = *mark > self.floor;
            if !stays {
                self.text -= topic.as_str().len();
            }
            stays
        });
    }

    /// The last record that is gone; 0 if none is.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The last record after `after` that may be gone, of those that `selector` asks for.
    pub(crate) fn lost(&self, selector: &Selector, after: u64) -> Option<u64> {
        if after >= self.last {
            return None;
        }
        if selector.is_everything() {
            return Some(self.last);
        }
        let of_topics =
            selector.topics().iter().map(|topic| *self.watermarks.get(topic).unwrap_or(&self.floor));
        let of_prefixes = selector.prefixes().iter().flat_map(|prefix| {
            let watermarks = self.watermarks.range((Bound::Excluded(prefix.as_topic()), Bound::Unbounded));
            let below = watermarks.take_while(|(topic, _)| prefix.covers(topic)).map(|(_, mark)| *mark);
            below.chain([self.floor])
        });
        of_topics.chain(of_prefixes).max().filter(|lost| *lost > after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicFilter;

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap()
    }

    fn may_miss(evicted: &Evicted, selector: &Selector, after: u64) -> bool {
        evicted.lost(selector, after).is_some()
    }

    fn asks(filter: &str) -> Selector {
        [TopicFilter::parse(filter).unwrap()].into_iter().collect()
    }

    #[test]
    fn only_a_subscriber_that_could_miss_a_record_is_told() {
        let mut evicted = Evicted::new(10, usize::MAX);
        evicted.note(&[topic("a/1")], 1);
        evicted.note(&[topic("b")], 2);
        evicted.note(&[topic("a/2"), topic("c")], 3);
        for (filter, last) in
            [("a/1", 1), ("b", 2), ("a/2", 3), ("c", 3), ("a/*", 3), ("*", 3), ("d", 0), ("d/*", 0)]
        {
            assert!(!may_miss(&evicted, &asks(filter), last), "{filter} after {last}");
            assert!(last == 0 || may_miss(&evicted, &asks(filter), last - 1), "{filter} after {}", last - 1);
        }
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_stays_on_the_safe_side() {
        let mut evicted = Evicted::new(2, usize::MAX);
        for (sequence, name) in ["a", "b", "a", "c"].into_iter().enumerate() {
            evicted.note(&[topic(name)], sequence as u64 + 1);
        }
        // b, whose mark 2 is the oldest, left: topics that are not in the table count as evicted up to 2.
        assert!(may_miss(&evicted, &asks("b"), 1) && may_miss(&evicted, &asks("unseen"), 1));
        assert!(may_miss(&evicted, &asks("unseen/*"), 1));
        assert!(!may_miss(&evicted, &asks("b"), 2) && !may_miss(&evicted, &asks("unseen"), 2));
        assert!(may_miss(&evicted, &asks("a"), 2) && !may_miss(&evicted, &asks("a"), 3));
    }

    #[test]
    fn a_table_of_long_topics_is_full_sooner() {
        let mut evicted = Evicted::new(usize::MAX, 100_000);
        for sequence in 1..=1_000 {
            evicted.note(&[topic(&format!("{sequence}/{}", "x".repeat(900)))], sequence);
            assert!(evicted.cost() <= 100_000);
        }
        assert!(evicted.watermarks.len() > 80);
        assert_eq!(evicted.text, evicted.watermarks.keys().map(|topic| topic.as_str().len()).sum::<usize>());
        assert!(may_miss(&evicted, &asks("unseen"), evicted.floor - 1));
    }

    #[test]
    fn the_oldest_sixteenth_leaves_a_large_table_together() {
        let mut evicted = Evicted::new(32, usize::MAX);
        for sequence in 1..=33 {
            evicted.note(&[topic(&format!("t/{sequence}"))], sequence);
        }
        assert_eq!((evicted.watermarks.len(), evicted.floor), (31, 2));
        assert!(!may_miss(&evicted, &asks("t/1"), 2) && may_miss(&evicted, &asks("t/3"), 2));
    }
}
