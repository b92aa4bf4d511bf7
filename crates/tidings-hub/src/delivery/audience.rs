//! How many subscribers each topic has.

use crate::{
    Selector, Topic,
    delivery::routing::{Followers, Routing, Tables},
};

/// One listener may stand for many subscriptions, so these are counted beside.
impl Routing {
    /// Counts a subscription, until it [leaves](Routing::leave). Somebody is registered for its selector as long as that.
    pub(crate) fn join(&self, selector: &Selector) {
        self.count(selector, |audience| audience.saturating_add(1));
    }

    /// Takes a subscription out that has joined.
    pub(crate) fn leave(&self, selector: &Selector) {
        self.count(selector, |audience| audience.saturating_sub(1));
    }

    /// How many subscriptions an update of `topic` is for, each counted once. Asking costs its slashes, however many others
    /// there are.
    pub(crate) fn audience(&self, topic: &Topic) -> u64 {
        let tables = self.read();
        let followers = tables.of(topic).chain([&tables.everything]);
        followers.map(|followers| u64::from(followers.audience)).sum()
    }

    fn count(&self, selector: &Selector, change: impl Fn(u32) -> u32) {
        let Tables { topics: by_topic, prefixes: by_prefix, everything } = &mut *self.write();
        let change = |followers: &mut Followers| followers.audience = change(followers.audience);
        if selector.is_everything() {
            return change(everything);
        }
        // None of them covers another, so that a topic's audience has each subscription once.
        for topic in selector.topics() {
            by_topic.get_mut(topic).into_iter().for_each(&change);
        }
        for prefix in selector.prefixes() {
            by_prefix.get_mut(prefix.as_str()).into_iter().for_each(&change);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{TopicFilter, delivery::routing::Wake};

    fn selector(filters: &[&str]) -> Selector {
        filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect()
    }

    #[test]
    fn each_subscription_is_counted_once_and_until_it_leaves() {
        let routing = Arc::new(Routing::default());
        let all = [
            selector(&["a/b"]),
            selector(&["a/b", "a/b/c"]),
            selector(&["a/*", "a/b", "a/b/*"]),
            selector(&["*", "a/b", "a/*"]),
            selector(&["d"]),
        ];
        let count = |topic: &str| routing.audience(&Topic::parse(topic).unwrap());
        let register = |selector: &Selector| routing.register(selector.clone(), Wake::default());
        let registrations = all.each_ref().map(register);
        for selector in &all {
            routing.join(selector);
        }
        assert_eq!(["a", "a/", "a/b", "a/b/c", "d", "e"].map(count), [1, 1, 4, 3, 2, 1]);
        for topic in ["a", "a/", "a/b", "a/b/c", "d", "e"].map(|text| Topic::parse(text).unwrap()) {
            let matching = all.iter().filter(|selector| selector.matches(std::slice::from_ref(&topic)));
            assert_eq!(routing.audience(&topic), matching.count() as u64, "{topic}");
        }
        for selector in &all {
            routing.leave(selector);
        }
        assert_eq!(["a/b", "a/b/c", "d"].map(count), [0, 0, 0]);
        drop(registrations);
        routing.join(&all[0]);
        assert_eq!(count("a/b"), 0, "a selector that is not registered has no place to be counted at");
    }
}
