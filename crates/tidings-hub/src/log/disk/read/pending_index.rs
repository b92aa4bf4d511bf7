//! Which records each topic has, of those that the table of topics does not list yet.

use std::collections::{BTreeSet, VecDeque};

use crate::{Topic, model::topic_map::TopicMap};

/// The rows that the table of topics lacks.
///
/// A row of its own for each record would be a page to write for each, when many topics are published to in turn. So
/// they wait here until there are many, and then those of the topics that wait longest are [listed](crate::log::disk::write::topic_index)
/// together, each topic's on a page or two.
///
/// Of each topic, the table has all up to some record, and this all from there on. While rows are moved, and after a
/// crash, some are in both; none is ever in neither.
#[derive(Debug, Default)]
pub(crate) struct PendingIndex {
    by_topic: TopicMap<VecDeque<u64>>,
    /// The first row of each topic.
    firsts: BTreeSet<(u64, Topic)>,
    rows: usize,
}

/// Rows of the table: topics, and records of each.
pub(crate) type Rows = Vec<(Topic, Vec<u64>)>;

/// The records to list next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// In the order of the table.
    pub(crate) rows: Rows,
    /// The oldest record that has a row which is not among them.
    pub(crate) left: Option<u64>,
}

impl PendingIndex {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a record, which is newer than all before.
    pub(crate) fn add(&mut self, topics: &[Topic], sequence: u64) {
        for topic in topics {
            match self.by_topic.get_mut(topic) {
                // An import may name a topic twice.
                Some(sequences) if sequences.back() == Some(&sequence) => continue,
                Some(sequences) => sequences.push_back(sequence),
                None => {
                    self.by_topic.insert(topic.clone(), [sequence].into());
                    self.firsts.insert((sequence, topic.clone()));
                }
            }
            self.rows += 1;
        }
    }

    /// The records of each topic that come after `after`, in order.
    pub(crate) fn of_each(&self, topics: &[Topic], after: u64) -> Vec<Vec<u64>> {
        let of = |topic| {
            let Some(sequences) = self.by_topic.get(topic) else { return Vec::new() };
            sequences.range(sequences.partition_point(|sequence| *sequence <= after)..).copied().collect()
        };
        topics.iter().map(of).collect()
    }

    /// The oldest record that has a row here: of all before it, the table has every row.
    pub(crate) fn first(&self) -> Option<u64> {
        self.firsts.first().map(|(first, _)| *first)
    }

    /// How many records each topic has here.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&Topic, usize)> {
        self.by_topic.iter().map(|(topic, sequences)| (topic, sequences.len()))
    }

    /// Chooses about `count` rows: all of the topic whose first row is oldest, then all of the next.
    pub(crate) fn next(&self, count: usize) -> Next {
        let (mut next, mut chosen) = (Next::default(), 0);
        for (first, topic) in &self.firsts {
            if chosen == count {
                next.left = next.left.into_iter().chain([*first]).min();
                break;
            }
            let sequences = &self.by_topic[topic];
            let some = sequences.len().min(count - chosen);
            next.rows.push((topic.clone(), sequences.range(..some).copied().collect()));
            next.left = sequences.get(some).copied();
            chosen += some;
        }
        next.rows.sort();
        next
    }

    /// Forgets what has been listed.
    pub(crate) fn listed(&mut self, rows: &Rows) {
        for (topic, listed) in rows {
            let last = listed.last().copied().unwrap_or_default();
            self.change(topic, |sequences| {
                drop(sequences.drain(..sequences.partition_point(|sequence| *sequence <= last)));
            });
        }
    }

    /// Forgets a record that has been evicted.
    pub(crate) fn evicted(&mut self, topic: &str, sequence: u64) {
        // Most have been listed long ago.
        if self.firsts.first().is_none_or(|(first, _)| sequence < *first) {
            return;
        }
        // The stored text was a topic when it came.
        let Ok(topic) = Topic::parse(topic) else { return };
        self.change(&topic, |sequences| {
            if let Ok(index) = sequences.binary_search(&sequence) {
                sequences.remove(index);
            }
        });
    }

    /// Takes rows of a topic away.
    fn change(&mut self, topic: &Topic, take: impl FnOnce(&mut VecDeque<u64>)) {
        let Some((topic, mut sequences)) = self.by_topic.remove_entry(topic) else { return };
        let (rows, first) = (sequences.len(), sequences.front().copied());
        take(&mut sequences);
        self.rows -= rows - sequences.len();
        if sequences.front().copied() != first {
            self.firsts.remove(&(first.unwrap_or_default(), topic.clone()));
            self.firsts.extend(sequences.front().map(|first| (*first, topic.clone())));
        }
        if !sequences.is_empty() {
            self.by_topic.insert(topic, sequences);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap()
    }

    fn topics(text: &str) -> Vec<Topic> {
        text.split(' ').map(topic).collect()
    }

    /// Records 1 to 7.
    fn pending_index() -> PendingIndex {
        let mut pending_index = PendingIndex::default();
        for (before, names) in ["d", "b", "b a", "b", "c", "d", "b"].into_iter().enumerate() {
            pending_index.add(&topics(names), before as u64 + 1);
        }
        pending_index
    }

    type Expected<'a> = &'a [(&'a str, &'a [u64])];

    fn rows(expected: Expected<'_>) -> Rows {
        expected.iter().map(|(name, sequences)| (topic(name), sequences.to_vec())).collect()
    }

    #[test]
    fn the_topics_that_wait_longest_come_next_in_the_order_of_the_table() {
        let cases: [(usize, Expected<'_>, Option<u64>); 6] = [
            (0, &[], Some(1)),
            (1, &[("d", &[1])], Some(2)),
            (2, &[("d", &[1, 6])], Some(2)),
            (4, &[("b", &[2, 3]), ("d", &[1, 6])], Some(3)),
            (7, &[("a", &[3]), ("b", &[2, 3, 4, 7]), ("d", &[1, 6])], Some(5)),
            (99, &[("a", &[3]), ("b", &[2, 3, 4, 7]), ("c", &[5]), ("d", &[1, 6])], None),
        ];
        for (count, expected, left) in cases {
            assert_eq!(pending_index().next(count), Next { rows: rows(expected), left }, "{count}");
        }
    }

    #[test]
    fn all_is_listed_step_by_step_and_once() {
        let mut pending_index = pending_index();
        assert_eq!(pending_index.rows(), 8);
        let mut listed = Vec::new();
        while pending_index.rows() > 0 {
            let next = pending_index.next(3);
            pending_index.listed(&next.rows);
            let left = pending_index.firsts.first().map(|(first, _)| *first);
            assert_eq!(next.left, left, "what is left begins where it was said to");
            listed.extend(next.rows.into_iter().flat_map(|(topic, sequences)| {
                sequences.into_iter().map(move |sequence| (topic.as_str().to_owned(), sequence))
            }));
        }
        listed.sort();
        let expected = [("a", 3), ("b", 2), ("b", 3), ("b", 4), ("b", 7), ("c", 5), ("d", 1), ("d", 6)];
        assert_eq!(listed, expected.map(|(name, sequence)| (name.to_owned(), sequence)));
        assert!(pending_index.by_topic.is_empty() && pending_index.firsts.is_empty());
    }

    #[test]
    fn what_is_evicted_is_no_longer_listed() {
        let mut pending_index = pending_index();
        for (topic, sequence) in [("d", 1), ("b", 3), ("a", 3), ("c", 5), ("c", 9), ("none", 1)] {
            pending_index.evicted(topic, sequence);
        }
        assert_eq!(pending_index.rows(), 4);
        assert_eq!(pending_index.of_each(&topics("b a d"), 2), [vec![4, 7], vec![], vec![6]]);
        assert_eq!(
            pending_index.next(99),
            Next { rows: rows(&[("b", &[2, 4, 7]), ("d", &[6])]), left: None }
        );
    }
}
