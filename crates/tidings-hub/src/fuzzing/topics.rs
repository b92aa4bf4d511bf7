//! Reads topics and patterns.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tidings_codec::Event;

use crate::{
    MAX_FILTERS, MAX_TOPIC_BYTES, Selector, Topic, TopicFilter, Update,
    delivery::routing::{Listen, Routing},
    dialect::native::ReadParams,
    log::{Epoch, Record, RecordTime},
};

/// A parsed text is written unchanged, and a refused one gets a reason. A selector matches exactly the topics that one
/// of its filters matches, in any order and with any repetitions of filters. An update wakes exactly the subscriptions
/// whose selector it matches.
///
/// Input: lines of text. Each one is tried as a filter and as a topic.
pub fn topics_and_patterns(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> = text.split('\n').take(24).collect();
    let topics: Vec<Topic> = lines.iter().filter_map(|line| topic(line)).collect();
    let filters: Vec<TopicFilter> = lines.iter().filter_map(|line| filter(line)).collect();
    assert!(filters.len() <= MAX_FILTERS);

    for topic in &topics {
        let path = utf8_percent_encode(topic.as_str(), NON_ALPHANUMERIC).to_string();
        let (parts, ()) = http::Request::new(()).into_parts();
        let read = ReadParams::parse(Some(&path), &parts).expect("a topic is named by its encoded path");
        assert_eq!(read.selector, Selector::from(topic.clone()), "{path}");
        for filter in &filters {
            assert_eq!(filter.matches(topic), matches(filter, topic.as_str()), "{filter} and {topic}");
        }
    }

    let orders = [filters.clone(), filters.iter().rev().chain(&filters).cloned().collect()];
    let routing = Arc::<Routing>::default();
    for (index, order) in orders.into_iter().enumerate() {
        let selector: Selector = order.into_iter().collect();
        let woken = Arc::<AtomicU64>::default();
        let _registration = routing.register(selector.clone(), Woken(woken.clone()));
        for (sequence, topics) in (1..).zip(topics.windows(2).chain(topics.chunks(1))) {
            let expected =
                topics.iter().any(|topic| filters.iter().any(|filter| matches(filter, topic.as_str())));
            assert_eq!(selector.matches(topics), expected, "{filters:?} in order {index} and {topics:?}");
            let update = Update::stored(topics.to_vec(), Event::new(""), false, false);
            let record = Record::new(Epoch::from_bits(1), sequence, RecordTime::MIN, update);
            woken.store(0, Ordering::Relaxed);
            routing.wake([&record].into_iter());
            let was_woken = woken.load(Ordering::Relaxed) == sequence;
            assert_eq!(was_woken, expected, "{filters:?} in order {index} is woken by {topics:?}");
        }
    }
}

#[derive(Debug)]
struct Woken(Arc<AtomicU64>);

impl Listen for Woken {
    fn signal(&self, sequence: u64) {
        self.0.store(sequence, Ordering::Relaxed);
    }
}

fn topic(text: &str) -> Option<Topic> {
    match Topic::parse(text) {
        Ok(topic) => {
            assert_eq!(topic.as_str(), text);
            assert_eq!(TopicFilter::parse(text), Ok(TopicFilter::Exact(topic.clone())));
            Some(topic)
        }
        Err(error) => {
            let broken = text.is_empty()
                || text.len() > MAX_TOPIC_BYTES
                || text.contains('*')
                || text.chars().any(char::is_control);
            assert!(broken, "{text:?} is refused without a reason");
            let named = text.is_empty()
                || error.to_string().contains(&format!("{text:?}"))
                || error.to_string().contains(&text.len().to_string());
            assert!(named, "{error} does not name {text:?}");
            None
        }
    }
}

fn filter(text: &str) -> Option<TopicFilter> {
    let filter = TopicFilter::parse(text).ok()?;
    assert_eq!(filter.to_string(), text);
    Some(filter)
}

/// The same result by text alone.
fn matches(filter: &TopicFilter, topic: &str) -> bool {
    let filter = filter.to_string();
    match filter.strip_suffix('*') {
        Some(prefix) => topic.len() > prefix.len() && topic.starts_with(prefix),
        None => topic == filter,
    }
}
