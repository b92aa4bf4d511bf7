//! The last events with an ID, so that one can be sent again to a client that resumes after it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::{
    blocks::{self, Blocks},
    stage::Stage,
};

/// How many events are remembered, for all streams together. Each has at most a mebibyte.
const MOST_EVENTS: usize = 1_000;

/// How many bytes of events are remembered.
const MOST_BYTES: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    events: VecDeque<Event>,
    bytes: usize,
}

#[derive(Debug)]
struct Event {
    path: Arc<str>,
    id: Bytes,
    block: Bytes,
}

impl Repeats {
    /// The event with this ID on the stream at `path`, if it is remembered.
    pub(super) fn find(&self, path: &str, id: &[u8]) -> Option<Bytes> {
        let seen = self.0.lock().expect("nobody panics with it");
        let event = seen.events.iter().rev().find(|event| *event.path == *path && event.id == id);
        event.map(|event| event.block.clone())
    }

    fn remember(&self, event: Event) {
        let mut seen = self.0.lock().expect("nobody panics with it");
        seen.bytes += event.block.len();
        seen.events.push_back(event);
        while seen.events.len() > MOST_EVENTS || seen.bytes > MOST_BYTES {
            let oldest = seen.events.pop_front();
            seen.bytes -= oldest.map_or(0, |event| event.block.len());
        }
    }
}

/// Remembers the events of a stream, and begins the stream with a repeated event.
#[derive(Debug)]
pub(super) struct Repeat {
    repeats: Arc<Repeats>,
    path: Arc<str>,
    again: Option<Bytes>,
    blocks: Blocks,
}

impl Repeat {
    pub(super) fn new(repeats: Arc<Repeats>, path: &str, again: Option<Bytes>) -> Repeat {
        Repeat { repeats, path: path.into(), again, blocks: Blocks::default() }
    }
}

impl Stage for Repeat {
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>) {
        for block in self.blocks.push(&bytes) {
            if let Some(id) = blocks::id(&block) {
                let id = Bytes::copy_from_slice(id);
                self.repeats.remember(Event { path: Arc::clone(&self.path), id, block });
            }
        }
        pieces.extend(self.again.take());
        pieces.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stage::tests::run, *};

    #[test]
    fn an_event_comes_again_where_it_was_seen() {
        let repeats = Arc::new(Repeats::default());
        run(Repeat::new(Arc::clone(&repeats), "/a", None), &["data: a\nid: 1\n\ndata: b\n", "id: 2\n\n"]);
        let again = repeats.find("/a", b"2");
        assert_eq!(again.as_deref(), Some(&b"data: b\nid: 2\n\n"[..]));
        assert_eq!(repeats.find("/b", b"2"), None);
        assert_eq!(repeats.find("/a", b"3"), None);
        let resumed = run(Repeat::new(repeats, "/a", again), &[":\n", "data: c\n\n"]);
        assert_eq!(resumed, ["data: b\nid: 2\n\n|:\n", "data: c\n\n", ""]);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let repeats = Arc::new(Repeats::default());
        for number in 0..2 * MOST_EVENTS {
            run(Repeat::new(Arc::clone(&repeats), "/a", None), &[&format!("id: {number}\n\n")]);
        }
        assert_eq!(repeats.0.lock().unwrap().events.len(), MOST_EVENTS);
        let large = format!("{}\nid: x\n\n", "x".repeat(1_000_000));
        for _ in 0..20 {
            run(Repeat::new(Arc::clone(&repeats), "/a", None), &[&large]);
        }
        assert!(repeats.0.lock().unwrap().bytes <= MOST_BYTES);
    }
}
