//! Which records a topic has, in memory.

use std::collections::VecDeque;

use super::merge::Merge;
use crate::{Selector, Topic, model::topic_map::TopicMap};

/// The sequences of kept records by topic.
#[derive(Debug, Default)]
pub(crate) struct TopicIndex {
    by_topic: TopicMap<VecDeque<u64>>,
    /// The text of all topics.
    text: usize,
}

/// The cost of a topic in the table besides its text: its place there, and the first sequences.
const AROUND_TOPIC: usize = 200;

impl TopicIndex {
    /// Adds a record that comes after all others.
    pub(crate) fn push(&mut self, topics: &[Topic], sequence: u64) {
        for topic in topics {
            match self.by_topic.get_mut(topic) {
                Some(sequences) => sequences.push_back(sequence),
                None => {
                    self.by_topic.insert(topic.clone(), VecDeque::from([sequence]));
                    self.text += topic.as_str().len();
                }
            }
        }
    }

    /// Removes a record, which most often is the oldest one of its topics.
    pub(crate) fn remove(&mut self, topics: &[Topic], sequence: u64) {
        for topic in topics {
            let Some(sequences) = self.by_topic.get_mut(topic) else { continue };
            if sequences.front() == Some(&sequence) {
                sequences.pop_front();
            } else if let Ok(index) = sequences.binary_search(&sequence) {
                sequences.remove(index);
            }
            if sequences.is_empty() {
                self.by_topic.remove(topic);
                self.text -= topic.as_str().len();
            }
        }
    }

    /// The records after `after` of the topics that an exact `selector` names, in order.
    pub(crate) fn after(&self, selector: &Selector, after: u64) -> impl Iterator<Item = u64> {
        Merge::new(selector.topics().iter().filter_map(|topic| self.by_topic.get(topic)).map(
            move |sequences| {
                sequences.range(sequences.partition_point(|sequence| *sequence <= after)..).copied()
            },
        ))
    }

    /// The size of its topics in bytes. A sequence is counted with its record.
    pub(crate) fn cost(&self) -> usize {
        self.by_topic.len() * AROUND_TOPIC + self.text
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_topic.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicFilter;

    #[test]
    fn a_record_is_under_each_of_its_topics_until_it_is_removed() {
        let topics: Vec<Topic> = ["a", "b"].into_iter().map(|text| Topic::parse(text).unwrap()).collect();
        let asks: Selector = ["a", "b"].into_iter().map(|text| TopicFilter::parse(text).unwrap()).collect();
        let mut index = TopicIndex::default();
        index.push(&topics, 1);
        index.push(&topics[..1], 2);
        index.push(&topics[1..], 3);
        index.push(&topics[..1], 4);
        let after = |index: &TopicIndex, after| index.after(&asks, after).collect::<Vec<_>>();
        assert_eq!((after(&index, 0), after(&index, 2)), (vec![1, 2, 3, 4], vec![3, 4]));
        index.remove(&topics[..1], 2);
        index.remove(&topics, 1);
        assert_eq!(after(&index, 0), [3, 4]);
        index.remove(&topics[1..], 3);
        assert_eq!((after(&index, 0), index.len(), index.text), (vec![4], 1, 1));
    }
}
