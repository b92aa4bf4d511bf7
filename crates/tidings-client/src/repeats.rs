//! Events that a server sends again after a reconnection.

use std::collections::{HashMap, VecDeque};

use tidings_codec::EventId;

/// Remembers the IDs of the latest events, and which connection brought them first.
///
/// An event is a repeat only if an earlier connection brought its ID. Some servers number events by the clock and give
/// one ID to several events: dropping those would lose data.
#[derive(Debug)]
pub(crate) struct Repeats {
    window: usize,
    first_brought_by: HashMap<EventId, u64>,
    /// The same IDs, oldest first.
    order: VecDeque<EventId>,
    connection: u64,
}

impl Repeats {
    /// Remembers `window` IDs.
    pub(crate) fn new(window: usize) -> Self {
        Self { window, first_brought_by: HashMap::new(), order: VecDeque::new(), connection: 0 }
    }

    /// The next connection begins.
    pub(crate) fn reconnected(&mut self) {
        self.connection += 1;
    }

    /// Whether an earlier connection has brought this ID.
    pub(crate) fn is_repeat(&mut self, id: &EventId) -> bool {
        if let Some(first) = self.first_brought_by.get(id) {
            return *first < self.connection;
        }
        self.first_brought_by.insert(id.clone(), self.connection);
        self.order.push_back(id.clone());
        if self.order.len() > self.window {
            if let Some(oldest) = self.order.pop_front() {
                self.first_brought_by.remove(&oldest);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EventId {
        EventId::parse(text).unwrap()
    }

    #[test]
    fn an_id_of_an_earlier_connection_is_a_repeat() {
        let mut repeats = Repeats::new(10);
        assert!(!repeats.is_repeat(&id("a")));
        repeats.reconnected();
        assert!(repeats.is_repeat(&id("a")));
        assert!(!repeats.is_repeat(&id("b")));
    }

    #[test]
    fn an_id_that_one_connection_brings_twice_is_no_repeat() {
        let mut repeats = Repeats::new(10);
        assert!(!repeats.is_repeat(&id("a")));
        assert!(!repeats.is_repeat(&id("a")));
    }

    #[test]
    fn the_oldest_ids_are_forgotten() {
        let mut repeats = Repeats::new(2);
        for text in ["a", "b", "c"] {
            repeats.is_repeat(&id(text));
        }
        repeats.reconnected();
        assert_eq!(repeats.first_brought_by.len(), 2);
        assert!(repeats.is_repeat(&id("b")) && repeats.is_repeat(&id("c")));
        assert!(!repeats.is_repeat(&id("a")));
    }
}
