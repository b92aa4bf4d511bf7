//! What was evicted, remembered just well enough to say who may miss something.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::{Interest, Topic};

/// For each topic the sequence of its last evicted record, in a bounded table over one mark for all others.
///
/// When the table is full, the topic whose mark is oldest leaves it, and its mark becomes the floor of every topic that
/// is not in the table. The floor can only be too high, never too low: a subscriber may be told of a gap where nothing
/// was missing, but a gap is never kept from it.
#[derive(Debug)]
pub(crate) struct Evicted {
    max_topics: usize,
    floor: u64,
    last: u64,
    marks: BTreeMap<Topic, u64>,
    by_age: BTreeSet<(u64, Topic)>,
}

impl Evicted {
    pub(crate) fn new(max_topics: usize) -> Evicted {
        Evicted { max_topics, floor: 0, last: 0, marks: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    /// Notes that the record of `topics` at `sequence` is gone.
    pub(crate) fn note(&mut self, topics: &[Topic], sequence: u64) {
        self.last = self.last.max(sequence);
        for topic in topics {
            let mark = self.marks.entry(topic.clone()).or_default();
            if sequence > *mark {
                self.by_age.remove(&(*mark, topic.clone()));
                self.by_age.insert((sequence, topic.clone()));
                *mark = sequence;
            }
        }
        while self.marks.len() > self.max_topics {
            let Some((oldest, topic)) = self.by_age.pop_first() else { break };
            self.marks.remove(&topic);
            self.floor = self.floor.max(oldest);
        }
    }

    /// Whether a record after `after` that `interest` asks for may be gone.
    pub(crate) fn may_miss(&self, interest: &Interest, after: u64) -> bool {
        if after >= self.last {
            return false;
        }
        interest.is_everything()
            || interest.topics().iter().any(|topic| after < *self.marks.get(topic).unwrap_or(&self.floor))
            || interest.prefixes().iter().any(|prefix| {
                after < self.floor
                    || self
                        .marks
                        .range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded))
                        .take_while(|(topic, _)| prefix.covers(topic))
                        .any(|(_, mark)| after < *mark)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicFilter;

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap()
    }

    fn asks(filter: &str) -> Interest {
        [TopicFilter::parse(filter).unwrap()].into_iter().collect()
    }

    #[test]
    fn only_who_could_miss_a_record_is_told() {
        let mut evicted = Evicted::new(10);
        evicted.note(&[topic("a/1")], 1);
        evicted.note(&[topic("b")], 2);
        evicted.note(&[topic("a/2"), topic("c")], 3);
        for (filter, last) in
            [("a/1", 1), ("b", 2), ("a/2", 3), ("c", 3), ("a/*", 3), ("*", 3), ("d", 0), ("d/*", 0)]
        {
            assert!(!evicted.may_miss(&asks(filter), last), "{filter} after {last}");
            assert!(last == 0 || evicted.may_miss(&asks(filter), last - 1), "{filter} after {}", last - 1);
        }
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_stays_on_the_safe_side() {
        let mut evicted = Evicted::new(2);
        for (sequence, name) in ["a", "b", "a", "c"].into_iter().enumerate() {
            evicted.note(&[topic(name)], sequence as u64 + 1);
        }
        // b, whose mark 2 is the oldest, left: whatever is not in the table counts as evicted up to 2.
        assert!(evicted.may_miss(&asks("b"), 1) && evicted.may_miss(&asks("unseen"), 1));
        assert!(evicted.may_miss(&asks("unseen/*"), 1));
        assert!(!evicted.may_miss(&asks("b"), 2) && !evicted.may_miss(&asks("unseen"), 2));
        assert!(evicted.may_miss(&asks("a"), 2) && !evicted.may_miss(&asks("a"), 3));
    }
}
