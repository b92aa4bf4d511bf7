//! The newest records with their frames, in memory: what cursors that keep up read.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use super::frame::{Form, Framed};
use crate::{
    Interest, Topic,
    log::{Record, merge::Merge},
};

/// A contiguous run of the log up to what the feed has read.
///
/// Cursors at or behind its first record, minus one, are served from here; those further behind read the log until they
/// are. It holds at most `max_bytes` of records; their frames come on top, one for each form in use.
#[derive(Debug)]
pub(crate) struct Window {
    max_bytes: u64,
    bytes: u64,
    /// The sequence of the first entry, or of the one to come.
    first: u64,
    entries: VecDeque<Framed>,
    by_topic: HashMap<Topic, VecDeque<u64>>,
}

/// What [`Window::read`] found for a cursor.
#[derive(Debug)]
pub(crate) enum WindowRead {
    /// The cursor's place is before the window: what follows it is in the log.
    Behind,
    /// What to send, possibly nothing.
    Chunk {
        chunk: Chunk,
        /// All that matches up to here is in the chunk.
        reached: u64,
        /// Whether the chunk was full before the newest record.
        more: bool,
    },
}

/// Whole events, to be written at once.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// A frame that is alone in its chunk stays shared with every other subscriber.
    alone: Option<Bytes>,
    joined: Vec<u8>,
    events: u64,
    closed: Vec<Topic>,
}

impl Chunk {
    /// A chunk is full once it has this many bytes: enough that the cost of writing is spread over many events, and
    /// little enough that what a slow reader holds is small.
    pub(crate) const FULL: usize = 64 << 10;

    fn push_shared(&mut self, framed: &Framed, form: Form) {
        let frame = framed.frame(form);
        self.note(&framed.record);
        if self.events == 1 {
            self.alone = Some(frame.clone());
        } else {
            self.join();
            self.joined.extend_from_slice(frame);
        }
    }

    /// Adds a record that has no ready frame.
    pub(crate) fn push(&mut self, record: &Record, form: Form) {
        self.note(record);
        self.join();
        form.encode(record, &mut self.joined);
    }

    pub(crate) fn len(&self) -> usize {
        self.alone.as_ref().map_or(self.joined.len(), Bytes::len)
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The topics whose close is among the events.
    pub(crate) fn closed(&self) -> &[Topic] {
        &self.closed
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.alone.unwrap_or_else(|| self.joined.into())
    }

    fn note(&mut self, record: &Record) {
        self.events += 1;
        if record.is_close() {
            self.closed.extend_from_slice(record.topics());
        }
    }

    fn join(&mut self) {
        if let Some(alone) = self.alone.take() {
            self.joined.extend_from_slice(&alone);
        }
    }
}

impl Window {
    /// A window that begins after `sequence`.
    pub(crate) fn after(sequence: u64, max_bytes: u64) -> Window {
        Window {
            max_bytes,
            bytes: 0,
            first: sequence + 1,
            entries: VecDeque::new(),
            by_topic: HashMap::new(),
        }
    }

    /// The sequence of the last record that was pushed.
    pub(crate) fn newest(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// Adds the record that follows the newest, and drops the oldest ones above the bound.
    pub(crate) fn push(&mut self, record: Arc<Record>) {
        debug_assert_eq!(record.sequence(), self.newest() + 1);
        for topic in record.topics() {
            self.by_topic.entry(topic.clone()).or_default().push_back(record.sequence());
        }
        self.bytes += record.cost();
        self.entries.push_back(Framed::new(record));
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.first += 1;
            self.bytes -= oldest.record.cost();
            for topic in oldest.record.topics() {
                if let Some(sequences) = self.by_topic.get_mut(topic) {
                    sequences.pop_front();
                    if sequences.is_empty() {
                        self.by_topic.remove(topic);
                    }
                }
            }
        }
    }

    /// The events after `after` that `interest` asks for and `may_receive` allows.
    pub(crate) fn read(
        &self,
        after: u64,
        interest: &Interest,
        form: Form,
        may_receive: impl Fn(&Record) -> bool,
    ) -> WindowRead {
        if after + 1 < self.first {
            return WindowRead::Behind;
        }
        let (mut chunk, mut reached) = (Chunk::default(), after);
        // False when the chunk is full: all that matches up to the last record taken is in it.
        let mut take = |framed: &Framed| {
            if chunk.len() >= Chunk::FULL {
                return false;
            }
            if may_receive(&framed.record) {
                chunk.push_shared(framed, form);
            }
            reached = framed.record.sequence();
            true
        };
        let all_read = if interest.is_exact() {
            let lists =
                interest.topics().iter().filter_map(|topic| self.by_topic.get(topic)).map(|sequences| {
                    sequences.range(sequences.partition_point(|sequence| *sequence <= after)..)
                });
            Merge::new(lists.map(std::iter::Iterator::copied))
                .filter_map(|sequence| self.entries.get(usize::try_from(sequence - self.first).ok()?))
                .all(&mut take)
        } else {
            let seen = usize::try_from(after + 1 - self.first).unwrap_or(usize::MAX);
            self.entries
                .range(seen.min(self.entries.len())..)
                .filter(|framed| interest.matches(framed.record.topics()))
                .all(&mut take)
        };
        if all_read {
            // A cursor that has read the log ahead of the feed stays ahead.
            reached = after.max(self.newest());
        }
        WindowRead::Chunk { chunk, reached, more: !all_read }
    }

    /// Starts over behind `sequence`: the log could not say what was between.
    pub(crate) fn restart_after(&mut self, sequence: u64) {
        *self = Window::after(sequence, self.max_bytes);
    }
}
