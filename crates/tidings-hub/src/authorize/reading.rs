//! The part of the requested topics that a request gets.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{OpenStream, View};
use crate::{Selector, Topic, log::Record, model::matchers::Matchers};

/// The requested topics, narrowed to those that the request may read. Only a grant makes one, or a credential of the
/// topics themselves.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) selector: Selector,
    pub(crate) reach: Reach,
    /// Whether more was asked for.
    pub(crate) is_partial: bool,
    /// Whether topics alone were asked for, no patterns: only such a subscription ends when its topics are closed. A pattern may
    /// be narrowed to topics.
    pub(crate) is_exact: bool,
    /// The hold on the grant; `None` if that does not end.
    pub(crate) open: Option<OpenStream>,
}

/// Which of the records that a selector asks for its reader gets. The selector has been narrowed, so that is a question of
/// private ones alone. A record of several topics counts for those that the selector asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reach {
    public: Public,
    private: Private,
    /// Whether a record's topics are named that the selector does not ask for.
    names_all: bool,
}

/// The topics of a selector of which public records are received.
#[derive(Debug, Clone)]
enum Public {
    All,
    /// Rules forbid some.
    ByRules(Arc<ByRules>),
}

/// The topics of a selector that may be read: those that are named, and those whose rule allows it.
#[derive(Debug)]
struct ByRules {
    selector: Selector,
    named: Matchers,
    view: View,
}

/// The topics of a selector of which private records are received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Private {
    None,
    All,
    /// All but those of these.
    But(Matchers),
    Some(Matchers),
}

impl Reading {
    /// All that is public, without a request.
    pub(crate) fn public(selector: Selector) -> Reading {
        Reading {
            is_exact: selector.is_exact(),
            selector,
            reach: Reach { public: Public::All, private: Private::None, names_all: true },
            is_partial: false,
            open: None,
        }
    }

    /// Private records too, for the bearer of a credential of these very topics.
    pub(crate) fn whole(selector: Selector) -> Reading {
        Reading {
            is_exact: selector.is_exact(),
            selector,
            reach: Reach { public: Public::All, private: Private::All, names_all: true },
            is_partial: false,
            open: None,
        }
    }

    /// The reading of `*` without the private updates of topics that are reserved for a part of the hub. `None` if nothing is left.
    pub(crate) fn unreserved(mut self, reserved: &Matchers) -> Option<Reading> {
        self.reach.private = match self.reach.private {
            Private::All if self.selector.is_everything() => Private::But(reserved.clone()),
            Private::Some(topics) => match topics.without(reserved) {
                none if none.is_none() => Private::None,
                some => Private::Some(some),
            },
            other => other,
        };
        self.selector = Matchers::from(self.selector).without(reserved).iter().collect();
        (!self.selector.is_nothing()).then_some(self)
    }
}

impl Reach {
    /// Those that need no matchers. Nearly all subscriptions have one of them.
    pub(crate) const SIMPLE: [Reach; 4] = [
        Reach { public: Public::All, private: Private::None, names_all: true },
        Reach { public: Public::All, private: Private::None, names_all: false },
        Reach { public: Public::All, private: Private::All, names_all: true },
        Reach { public: Public::All, private: Private::All, names_all: false },
    ];

    /// The same for a reader to whom no topic is named anyway.
    pub(crate) fn without_names(self) -> Reach {
        Reach { names_all: true, ..self }
    }

    /// Of a selector that is within what its reader may read.
    pub(super) fn of(selector: &Selector, private: &Matchers, reads_all: bool) -> Reach {
        let private = match private.narrow(selector) {
            _ if private.is_none() => Private::None,
            _ if private.covers_selector(selector) => Private::All,
            some if some.is_nothing() => Private::None,
            some => Private::Some(Matchers::from(some)),
        };
        Reach { public: Public::All, private, names_all: reads_all }
    }

    /// The same, where rules forbid to read some topics of the selector.
    pub(super) fn by_rules(self, selector: Selector, named: Matchers, view: View) -> Reach {
        Reach { public: Public::ByRules(Arc::new(ByRules { selector, named, view })), ..self }
    }

    /// Whether rules forbid to read some topics of the selector.
    pub(super) fn is_by_rules(&self) -> bool {
        matches!(self.public, Public::ByRules(_))
    }

    /// Whether a record that matches the selector is received: asked for replayed records as for live ones.
    pub(crate) fn may_receive(&self, record: &Record) -> bool {
        if !record.is_private() {
            return match &self.public {
                Public::All => true,
                Public::ByRules(rules) => record.topics().iter().any(|topic| rules.asks_for(topic)),
            };
        }
        match &self.private {
            Private::All => true,
            Private::None => false,
            Private::But(topics) => !topics.covers_any(record.topics()),
            Private::Some(topics) => topics.covers_any(record.topics()),
        }
    }

    /// Whether no cache may keep for others what is received.
    pub(crate) fn has_private(&self) -> bool {
        self.private != Private::None
    }

    /// The record with the topics alone that its reader may know of; `None` if these are all that it has.
    pub(crate) fn hide_topics(&self, selector: &Selector, record: &Record) -> Option<Record> {
        if self.names_all || record.topics().len() == 1 {
            return None;
        }
        let is_named = |topic: &&Topic| match &self.public {
            Public::All => selector.matches(std::slice::from_ref(*topic)),
            Public::ByRules(rules) => rules.asks_for(topic),
        };
        Some(record.with_topics(record.topics().iter().filter(is_named).cloned().collect()))
    }

    /// Whether somebody who may read these topics, and private records of those, receives all that this receives of `selector`.
    pub(super) fn is_within(&self, selector: &Selector, read: &Matchers, private: &Matchers) -> bool {
        match &self.private {
            Private::None => read.covers_selector(selector),
            Private::All | Private::But(_) => private.covers_selector(selector),
            Private::Some(topics) => read.covers_selector(selector) && private.include(topics),
        }
    }
}

impl ByRules {
    fn asks_for(&self, topic: &Topic) -> bool {
        self.selector.matches(std::slice::from_ref(topic))
            && (self.named.covers(topic) || self.view.reads(topic))
    }
}

/// The same rules of the same holder: two that were made apart count as different.
impl PartialEq for Public {
    fn eq(&self, other: &Public) -> bool {
        match (self, other) {
            (Public::All, Public::All) => true,
            (Public::ByRules(one), Public::ByRules(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Public {}

impl Hash for Public {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Public::All => state.write_usize(0),
            Public::ByRules(rules) => state.write_usize(Arc::as_ptr(rules).addr()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Grant, TopicFilter, Update,
        log::{Epoch, RecordTime},
    };

    const FILTERS: [&str; 7] = ["a", "a/*", "a/b", "a/b/*", "b/*", "c", "*"];
    const TOPICS: [&str; 7] = ["a", "a/b", "a/b/c", "a/c", "b/a", "c", "d"];

    /// Numbers that look random, and are the same each time.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 33
        }

        fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
            let most = self.next() % 4;
            (0..most).map(|_| of[self.next() as usize % of.len()].clone()).collect()
        }
    }

    fn matches(filters: &[TopicFilter], topic: &Topic) -> bool {
        filters.iter().any(|filter| filter.matches(topic))
    }

    #[test]
    fn a_record_is_received_for_a_topic_that_is_asked_for_and_may_be_read_and_for_no_other_reason() {
        let filters = FILTERS.map(|text| TopicFilter::parse(text).unwrap());
        let topics = TOPICS.map(|text| Topic::parse(text).unwrap());
        let mut numbers = Numbers(1);
        let (mut received, mut withheld, mut refused) = (0, 0, 0);
        for _ in 0..200_000 {
            let [read, private, asked] = [(); 3].map(|()| numbers.some(&filters));
            let grant = Grant::default()
                .with_read(read.iter().cloned().collect())
                .with_private(private.iter().cloned().collect());
            let may_read = |topic: &Topic| matches(&read, topic) || matches(&private, topic);
            let selector: Selector = asked.iter().cloned().collect();
            let Ok(reading) = grant.reading(selector.clone()) else {
                // Something that was asked for by name may not be read, or nothing at all may.
                assert!(
                    selector.topics().iter().any(|topic| !may_read(topic))
                        || topics.iter().all(|topic| !matches(&asked, topic) || !may_read(topic)),
                    "{grant:?} {asked:?}"
                );
                refused += 1;
                continue;
            };
            assert!(selector.topics().iter().all(may_read), "{grant:?} {asked:?}");
            let mut about = numbers.some(&topics);
            about.push(topics[numbers.next() as usize % topics.len()].clone());
            let is_private = numbers.next() % 2 == 0;
            let update = Update::new(about[0].clone(), "x").with_topics(about);
            let update = if is_private { update.private() } else { update };
            let record = Record::new(Epoch::from_bits(1), 1, RecordTime::MIN, update);

            let may = |topic: &Topic| matches(&private, topic) || (!is_private && matches(&read, topic));
            let expected = record.topics().iter().any(|topic| matches(&asked, topic) && may(topic));
            let found = reading.selector.matches(record.topics()) && reading.reach.may_receive(&record);
            assert_eq!(found, expected, "{grant:?} {asked:?} {record:?}");
            assert_eq!(grant.may_receive(&record), record.topics().iter().any(may), "{grant:?} {record:?}");
            if found {
                received += 1;
                let shown = reading.reach.hide_topics(&reading.selector, &record).unwrap_or(record.clone());
                assert!(
                    !shown.topics().is_empty() && shown.topics().iter().all(may_read),
                    "{grant:?} {shown:?}"
                );
                assert_eq!((shown.position(), shown.event()), (record.position(), record.event()));
                if grant.read().is_all() {
                    assert_eq!(shown, record);
                }
            } else {
                withheld += 1;
            }
        }
        assert!(
            received > 10_000 && withheld > 10_000 && refused > 10_000,
            "{received} {withheld} {refused}"
        );
    }

    #[test]
    fn a_subscriptions_topics_are_told_only_to_a_client_that_may_receive_all_of_them() {
        let filters = FILTERS.map(|text| TopicFilter::parse(text).unwrap());
        let topics = TOPICS.map(|text| Topic::parse(text).unwrap());
        let mut numbers = Numbers(2);
        let mut told = 0;
        for _ in 0..20_000 {
            let mut grant = || {
                Grant::default()
                    .with_read(numbers.some(&filters).into_iter().collect())
                    .with_private(numbers.some(&filters).into_iter().collect())
            };
            let (follows, asks) = (grant(), grant());
            let selector: Selector = numbers.some(&filters).into_iter().collect();
            let Ok(reading) = follows.reading(selector) else { continue };
            if asks.covers(&reading.selector, &reading.reach) {
                told += 1;
                for topic in &topics {
                    for update in [Update::new(topic.clone(), ""), Update::new(topic.clone(), "").private()] {
                        let record = Record::new(Epoch::from_bits(1), 1, RecordTime::MIN, update);
                        let gets =
                            reading.selector.matches(record.topics()) && reading.reach.may_receive(&record);
                        assert!(!gets || asks.may_receive(&record), "{follows:?} {asks:?} {record:?}");
                    }
                }
            }
        }
        assert!(told > 1_000, "{told}");
    }
}
