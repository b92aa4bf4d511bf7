//! Which subscribers an update wakes.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{Interest, Topic, log::Record};

/// The table of live subscriptions. What an update costs here is its own slashes and its recipients, however many
/// others there are.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    tables: RwLock<Tables>,
    last_number: AtomicU64,
}

/// Subscribers in the order in which they came: sockets are cheapest to write in the order of their creation.
type Subscribers = BTreeMap<u64, Arc<Wake>>;

#[derive(Debug, Default)]
struct Tables {
    topics: HashMap<Topic, Subscribers>,
    prefixes: HashMap<Box<str>, Subscribers>,
    everything: Subscribers,
}

/// One subscriber's place in the table; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    routing: Arc<Routing>,
    interest: Arc<Interest>,
    number: u64,
    wake: Arc<Wake>,
}

/// How a subscriber hears that there is something for it.
#[derive(Debug, Default)]
pub(crate) struct Wake(Mutex<Signal>);

#[derive(Debug, Default)]
struct Signal {
    /// The first update for this subscriber since it last looked. None before it is for it.
    first: Option<u64>,
    waker: Option<Waker>,
}

impl Routing {
    /// Registers a subscriber: from now on it hears of each update that matches `interest`.
    pub(crate) fn register(self: &Arc<Self>, interest: Arc<Interest>) -> Registration {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed);
        let wake = Arc::new(Wake::default());
        self.change(|tables| {
            for topic in interest.topics() {
                tables.topics.entry(topic.clone()).or_default().insert(number, wake.clone());
            }
            for prefix in interest.prefixes() {
                tables.prefixes.entry(prefix.as_str().into()).or_default().insert(number, wake.clone());
            }
            if interest.is_everything() {
                tables.everything.insert(number, wake.clone());
            }
        });
        Registration { routing: self.clone(), interest, number, wake }
    }

    /// Tells the subscribers that `record` matches that it can be read.
    pub(crate) fn wake(&self, record: &Record) {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let everyone = |subscribers: &Subscribers| {
            for wake in subscribers.values() {
                wake.signal(record.sequence());
            }
        };
        everyone(&tables.everything);
        for topic in record.topics() {
            if let Some(subscribers) = tables.topics.get(topic) {
                everyone(subscribers);
            }
            if !tables.prefixes.is_empty() {
                let text = topic.as_str();
                // `a/b/c` is below `a/` and `a/b/`; what ends in a slash is not below itself.
                for (slash, _) in text.match_indices('/').filter(|(slash, _)| slash + 1 < text.len()) {
                    if let Some(subscribers) = tables.prefixes.get(&text[..=slash]) {
                        everyone(subscribers);
                    }
                }
            }
        }
    }

    /// Whether somebody's subscription names `topic` itself.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_followed(&self, topic: &Topic) -> bool {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).topics.contains_key(topic)
    }

    /// Tells every subscriber to look at all that follows `sequence` - 1, or that the hub shuts down.
    pub(crate) fn signal_all(&self, sequence: u64) {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let tables =
            [&tables.everything].into_iter().chain(tables.topics.values()).chain(tables.prefixes.values());
        for wake in tables.flat_map(BTreeMap::values) {
            wake.signal(sequence);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Tables)) {
        change(&mut self.tables.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Registration {
    /// The sequence of the first update for this subscriber since this was last ready. Cancel safe.
    pub(crate) fn poll_update(&self, context: &mut Context<'_>) -> Poll<u64> {
        let mut signal = self.wake.0.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// How it hears, for somebody who wants to know what it has not looked for yet.
    pub(crate) fn wake(&self) -> Arc<Wake> {
        self.wake.clone()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        fn leave<K, Q>(table: &mut HashMap<K, Subscribers>, key: &Q, number: u64)
        where
            K: Eq + Hash + Borrow<Q>,
            Q: Eq + Hash + ?Sized,
        {
            if let Some(subscribers) = table.get_mut(key) {
                subscribers.remove(&number);
                if subscribers.is_empty() {
                    table.remove(key);
                }
            }
        }
        self.routing.change(|tables| {
            for topic in self.interest.topics() {
                leave(&mut tables.topics, topic, self.number);
            }
            for prefix in self.interest.prefixes() {
                leave(&mut tables.prefixes, prefix.as_str(), self.number);
            }
            tables.everything.remove(&self.number);
        });
    }
}

impl Wake {
    /// The first update that its subscriber has not looked for yet.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first
    }

    fn signal(&self, sequence: u64) {
        let mut signal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signal.first.is_none() {
            signal.first = Some(sequence);
            if let Some(waker) = signal.waker.take() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{TopicFilter, Update, log::Epoch};

    fn register(routing: &Arc<Routing>, filters: &[&str]) -> Registration {
        routing.register(Arc::new(filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect()))
    }

    fn wake(routing: &Routing, sequence: u64, topic: &str) {
        let update = Update::new(Topic::parse(topic).unwrap(), "");
        routing.wake(&Record::new(Epoch::from_bits(0), sequence, SystemTime::now(), update));
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
    fn who_leaves_is_forgotten() {
        let routing = Arc::new(Routing::default());
        drop(register(&routing, &["a", "b/*", "*"]));
        let tables = routing.tables.read().unwrap();
        assert!(tables.topics.is_empty() && tables.prefixes.is_empty() && tables.everything.is_empty());
    }
}
