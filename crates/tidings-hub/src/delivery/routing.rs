//! Which subscribers an update wakes.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{Selector, Topic, delivery::one_or_many::OneOrMany, log::Record, model::topic_map::TopicMap};

/// How many names of a subscription are entered or taken out under one lock: a subscription with many lets others have their turn.
const AT_ONCE: usize = 16;

/// The table of live subscriptions. The cost of an update depends on its own slashes and its recipients, not on other
/// subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    tables: RwLock<Tables>,
    last_number: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// The listeners of each topic, by its name.
    pub(crate) topics: TopicMap<Followers>,
    /// The listeners of each prefix, by its text.
    pub(crate) prefixes: HashMap<Arc<str>, Followers>,
    /// The listeners of everything.
    pub(crate) everything: Followers,
}

/// The listeners of a topic, of all topics below a prefix, or of everything.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    /// In the order in which they came: sockets are cheapest to write in the order of their creation.
    listeners: OneOrMany<u64, Arc<dyn Listen>>,
    /// How many open subscriptions they stand for, see [`join`](Routing::join).
    pub(crate) audience: u32,
}

/// A subscriber, or a group of them, that hears of updates.
pub(crate) trait Listen: fmt::Debug + Send + Sync {
    /// The update with this sequence is for it, and can be read.
    ///
    /// Of several signals before it looks, the least counts: nothing before that one is for it. They come in any order, since
    /// a look for missed updates signals a position that is before others.
    fn signal(&self, sequence: u64);
}

/// A listener's position in the table; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Registration<L = Wake> {
    routing: Arc<Routing>,
    selector: Selector,
    number: u64,
    listener: Arc<L>,
}

/// Wakes the task of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Wake(Mutex<Signal>);

#[derive(Debug, Default)]
struct Signal {
    /// The first update for this subscriber since it last looked. None before it is for it.
    first: Option<u64>,
    waker: Option<Waker>,
}

impl Routing {
    /// Registers a listener: from now on it hears of the updates that match `selector`; of some that come together, of the first.
    pub(crate) fn register<L: Listen + 'static>(
        self: &Arc<Self>,
        selector: Selector,
        listener: L,
    ) -> Registration<L> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed);
        let listener = Arc::new(listener);
        for topics in selector.topics().chunks(AT_ONCE) {
            let tables = &mut *self.write();
            for topic in topics {
                tables.topics.entry(topic.clone()).or_default().listeners.insert(number, listener.clone());
            }
        }
        for prefixes in selector.prefixes().chunks(AT_ONCE) {
            let tables = &mut *self.write();
            for prefix in prefixes {
                let followers = tables.prefixes.entry(prefix.to_text()).or_default();
                followers.listeners.insert(number, listener.clone());
            }
        }
        if selector.is_everything() {
            self.write().everything.listeners.insert(number, listener.clone());
        }
        Registration { routing: self.clone(), selector, number, listener }
    }

    /// Tells the listeners that one of `records` matches that it can be read. All of them can already.
    pub(crate) fn wake<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        let mut previous: &[Topic] = &[];
        for record in records {
            // A listener that was told of one update finds this one too when it looks.
            if record.topics() != previous {
                // For each one, so that listeners that come and go never wait for long.
                let tables = self.read();
                tables.everything.signal(record.sequence());
                for topic in record.topics() {
                    tables.of(topic).for_each(|followers| followers.signal(record.sequence()));
                }
                previous = record.topics();
            }
        }
    }

    /// Whether somebody's subscription names `topic` itself.
    pub(crate) fn is_followed(&self, topic: &Topic) -> bool {
        self.read().topics.contains_key(topic)
    }

    /// Tells every listener to look at all that follows `sequence` - 1, or that the hub shuts down.
    pub(crate) fn signal_all(&self, sequence: u64) {
        let tables = self.read();
        let named = tables.topics.values().chain(tables.prefixes.values());
        [&tables.everything].into_iter().chain(named).for_each(|followers| followers.signal(sequence));
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// The listeners of `topic`, by its name and by each prefix.
    pub(crate) fn of(&self, topic: &Topic) -> impl Iterator<Item = &Followers> {
        let text = topic.as_str();
        let slashes = (!self.prefixes.is_empty()).then(|| text.match_indices('/'));
        // `a/b/c` is below `a/` and `a/b/`; what ends in a slash is not below itself.
        let slashes = slashes.into_iter().flatten().filter(|(slash, _)| slash + 1 < text.len());
        let below = slashes.filter_map(|(slash, _)| self.prefixes.get(&text[..=slash]));
        self.topics.get(topic).into_iter().chain(below)
    }
}

impl Followers {
    fn signal(&self, sequence: u64) {
        for listener in self.listeners.values() {
            listener.signal(sequence);
        }
    }
}

impl<L> Registration<L> {
    /// A number that no other registration ever has.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only delivery loops ask"))]
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn listener(&self) -> &L {
        &self.listener
    }
}

impl Registration {
    /// The sequence of the first update for this subscriber since this was last ready. Cancel safe.
    pub(crate) fn poll_update(&self, context: &mut Context<'_>) -> Poll<u64> {
        let mut signal = self.listener.0.lock().unwrap_or_else(PoisonError::into_inner);
        match signal.first.take() {
            Some(first) => Poll::Ready(first),
            None => {
                match &mut signal.waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    empty => *empty = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// How it hears: this says what it has not looked for yet.
    pub(crate) fn wake(&self) -> Arc<Wake> {
        self.listener.clone()
    }
}

impl Wake {
    /// Wakes the task although there is no update for it.
    pub(crate) fn rouse(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<L> Drop for Registration<L> {
    fn drop(&mut self) {
        fn leave<K, Q, S>(table: &mut HashMap<K, Followers, S>, key: &Q, number: u64)
        where
            K: Eq + Hash + Borrow<Q>,
            Q: Eq + Hash + ?Sized,
            S: BuildHasher,
        {
            if let Some(followers) = table.get_mut(key) {
                followers.listeners.remove(&number);
                if followers.listeners.is_empty() {
                    table.remove(key);
                }
            }
        }
        for topics in self.selector.topics().chunks(AT_ONCE) {
            let tables = &mut *self.routing.write();
            topics.iter().for_each(|topic| leave(&mut tables.topics, topic, self.number));
        }
        for prefixes in self.selector.prefixes().chunks(AT_ONCE) {
            let tables = &mut *self.routing.write();
            prefixes.iter().for_each(|prefix| leave(&mut tables.prefixes, prefix.as_str(), self.number));
        }
        if self.selector.is_everything() {
            self.routing.write().everything.listeners.remove(&self.number);
        }
    }
}

impl Wake {
    /// The first update that its subscriber has not looked for yet.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first
    }
}

impl Listen for Wake {
    fn signal(&self, sequence: u64) {
        let mut signal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = signal.first;
        signal.first = Some(before.map_or(sequence, |first| first.min(sequence)));
        if before.is_none() {
            if let Some(waker) = signal.waker.take() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TopicFilter, Update,
        log::{Epoch, RecordTime},
    };

    fn register(routing: &Arc<Routing>, filters: &[&str]) -> Registration {
        let selector = filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect();
        routing.register(selector, Wake::default())
    }

    fn record(sequence: u64, topic: &str) -> Record {
        let update = Update::new(Topic::parse(topic).unwrap(), "");
        Record::new(Epoch::from_bits(0), sequence, RecordTime::now(), update)
    }

    fn wake(routing: &Routing, sequence: u64, topic: &str) {
        routing.wake(std::iter::once(&record(sequence, topic)));
    }

    fn heard(registration: &Registration) -> Option<u64> {
        match registration.poll_update(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(first) => Some(first),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_update_wakes_exactly_those_whom_it_matches() {
        let routing = Arc::new(Routing::default());
        let cases =
            [("a/b", vec!["a/b/c", "a", "x"]), ("a/*", vec!["a", "a/", "ab", "b/a/c"]), ("*", vec![])];
        for (filter, others) in cases {
            let registration = register(&routing, &[filter]);
            for other in others {
                wake(&routing, 1, other);
                assert_eq!(heard(&registration), None, "{filter} and {other}");
            }
            wake(&routing, 2, "a/b");
            assert_eq!(heard(&registration), Some(2), "{filter}");
        }
    }

    #[test]
    fn of_updates_that_come_together_each_listener_hears_the_first_that_is_for_it() {
        let routing = Arc::new(Routing::default());
        let filters = ["a/x", "b/x", "c/x", "b/*", "*"];
        let registrations = filters.map(|filter| register(&routing, &[filter]));
        let records = [(1, "a/x"), (2, "a/x"), (3, "b/x"), (4, "b/y"), (5, "a/x"), (6, "c/x")]
            .map(|(sequence, topic)| record(sequence, topic));
        routing.wake(records.iter());
        assert_eq!(registrations.each_ref().map(heard), [1, 3, 6, 3, 1].map(Some));
        assert_eq!(registrations.each_ref().map(heard), [None; 5]);
    }

    #[test]
    fn the_first_update_since_the_last_look_is_remembered() {
        let routing = Arc::new(Routing::default());
        let registration = register(&routing, &["a", "b", "a/*"]);
        for (sequence, topic) in [(3, "b"), (4, "a"), (5, "a/x")] {
            wake(&routing, sequence, topic);
        }
        assert_eq!(heard(&registration), Some(3));
        assert_eq!(heard(&registration), None);
    }

    #[test]
    fn of_signals_in_any_order_the_least_counts() {
        let routing = Arc::new(Routing::default());
        let registration = register(&routing, &["a"]);
        for sequence in [5, 6, 4, 7] {
            registration.listener().signal(sequence);
        }
        routing.signal_all(3);
        assert_eq!((heard(&registration), heard(&registration)), (Some(3), None));
    }

    #[test]
    fn a_subscriber_that_leaves_is_forgotten() {
        let routing = Arc::new(Routing::default());
        drop(register(&routing, &["a", "b/*", "*"]));
        let tables = routing.read();
        assert!(tables.topics.is_empty() && tables.prefixes.is_empty());
        assert!(tables.everything.listeners.is_empty());
    }
}
