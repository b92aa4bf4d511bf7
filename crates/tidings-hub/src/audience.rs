//! How many subscribers each topic has.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{Interest, Prefix, Topic};

/// Counts open subscriptions by what they name. Asking for a topic costs its slashes, however many others there are.
#[derive(Debug, Default)]
pub(crate) struct Audience(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    topics: HashMap<Topic, u64>,
    prefixes: HashMap<Box<str>, u64>,
    everything: u64,
}

impl Audience {
    /// Counts a subscription, until it [leaves](Audience::leave).
    pub(crate) fn join(&self, interest: &Interest) {
        let counts = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if interest.is_everything() {
            counts.everything += 1;
            return;
        }
        for topic in topics(interest) {
            *counts.topics.entry(topic.clone()).or_default() += 1;
        }
        for prefix in prefixes(interest) {
            *counts.prefixes.entry(prefix.into()).or_default() += 1;
        }
    }

    /// Takes a subscription out that has joined.
    pub(crate) fn leave(&self, interest: &Interest) {
        let counts = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if interest.is_everything() {
            counts.everything -= 1;
            return;
        }
        for topic in topics(interest) {
            if let Some(count) = counts.topics.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    counts.topics.remove(topic);
                }
            }
        }
        for prefix in prefixes(interest) {
            if let Some(count) = counts.prefixes.get_mut(prefix) {
                *count -= 1;
                if *count == 0 {
                    counts.prefixes.remove(prefix);
                }
            }
        }
    }

    /// How many subscriptions an update of `topic` is for, each counted once.
    pub(crate) fn of(&self, topic: &Topic) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = topic.as_str();
        // What ends in a slash is not below itself.
        let slashes = text.match_indices('/').filter(|(slash, _)| slash + 1 < text.len());
        let below = slashes.filter_map(|(slash, _)| counts.prefixes.get(&text[..=slash]));
        counts.everything + counts.topics.get(topic).unwrap_or(&0) + below.sum::<u64>()
    }
}

/// The topics that no prefix of the same subscription covers: else it would be counted twice.
fn topics(interest: &Interest) -> impl Iterator<Item = &Topic> {
    let is_covered = |topic: &&Topic| interest.prefixes().iter().any(|prefix| prefix.covers(topic));
    interest.topics().iter().filter(move |topic| !is_covered(topic))
}

/// The prefixes that are below no other of the same subscription.
fn prefixes(interest: &Interest) -> impl Iterator<Item = &str> {
    let all = || interest.prefixes().iter().map(Prefix::as_str);
    all().filter(move |prefix| !all().any(|other| other != *prefix && prefix.starts_with(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicFilter;

    fn interest(filters: &[&str]) -> Interest {
        filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect()
    }

    #[test]
    fn each_subscription_is_counted_once_and_until_it_leaves() {
        let audience = Audience::default();
        let all = [
            interest(&["a/b"]),
            interest(&["a/b", "a/b/c"]),
            interest(&["a/*", "a/b", "a/b/*"]),
            interest(&["*", "a/b", "a/*"]),
            interest(&["d"]),
        ];
        let count = |topic: &str| audience.of(&Topic::parse(topic).unwrap());
        for interest in &all {
            audience.join(interest);
        }
        assert_eq!(["a", "a/", "a/b", "a/b/c", "d", "e"].map(count), [1, 1, 4, 3, 2, 1]);
        for topic in ["a", "a/", "a/b", "a/b/c", "d", "e"].map(|text| Topic::parse(text).unwrap()) {
            let matching = all.iter().filter(|interest| interest.matches(std::slice::from_ref(&topic)));
            assert_eq!(audience.of(&topic), matching.count() as u64, "{topic}");
        }
        for interest in &all {
            audience.leave(interest);
        }
        assert_eq!(["a/b", "a/b/c", "d"].map(count), [0, 0, 0]);
        let counts = audience.0.lock().unwrap();
        assert!(counts.topics.is_empty() && counts.prefixes.is_empty(), "{counts:?}");
    }
}
