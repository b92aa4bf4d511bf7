//! The watermarks of a log: its statements about itself besides its records, and their consistency.

use rusqlite::Connection;

use crate::log::Bounds;

/// The tables' statements about evicted records, and about the newest closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watermarks {
    /// The last sequence that was evicted.
    pub(crate) evicted: u64,
    /// Up to here, topics without a mark of their own may have lost records.
    pub(crate) evicted_floor: u64,
    /// Up to here, the table of topics has all that is kept.
    pub(crate) listed: u64,
    /// The newest mark of any topic.
    newest_of_topic: u64,
    /// The newest close of any topic.
    newest_close: u64,
    epoch: u64,
}

impl Watermarks {
    /// Reads them from tables of a version.
    pub(crate) fn read(connection: &Connection, version: i32) -> rusqlite::Result<Watermarks> {
        let newest = |query| {
            connection.query_row(query, (), |row| row.get::<_, Option<u64>>(0)).map(Option::unwrap_or_default)
        };
        let newest_of_topic = newest("SELECT max(sequence) FROM evicted")?;
        let newest_close = newest("SELECT max(sequence) FROM closed")?;
        let query = match version {
            // With that version, a record was listed when it was appended.
            1 => {
                "SELECT evicted, evicted_floor, (SELECT ifnull(max(sequence), 0) FROM records), epoch FROM log"
            }
            _ => "SELECT evicted, evicted_floor, listed, epoch FROM log",
        };
        connection.query_row(query, (), |row| {
            Ok(Watermarks {
                evicted: row.get(0)?,
                evicted_floor: row.get(1)?,
                listed: row.get(2)?,
                newest_of_topic,
                newest_close,
                epoch: row.get(3)?,
            })
        })
    }

    /// Whether a record that is not there was evicted. One that is gone without having been is damage.
    pub(super) fn explain_that_it_is_gone(&self, sequence: u64) -> bool {
        sequence < self.first_unexplained()
    }

    /// The first sequence whose record has to be there, if the log has come so far.
    pub(crate) fn first_unexplained(&self) -> u64 {
        self.evicted.saturating_add(1)
    }

    /// The contradiction, in words.
    pub(crate) fn contradictions(&self, bounds: &Bounds) -> Vec<String> {
        let (oldest, newest) = (bounds.oldest, bounds.newest.sequence);
        let mut found = Vec::new();
        let mut expect = |holds: bool, otherwise: String| {
            if !holds {
                found.push(otherwise);
            }
        };
        expect(self.epoch < 1 << 48, format!("its epoch {:#x} has more than 48 bits", self.epoch));
        expect(
            self.evicted <= newest,
            format!("record {} was evicted, and the newest record is {newest}", self.evicted),
        );
        expect(
            self.evicted_floor <= self.evicted,
            format!(
                "its floor of evicted records is {}, above the last evicted, {}",
                self.evicted_floor, self.evicted
            ),
        );
        expect(
            self.listed <= newest,
            format!("topics list all up to record {}, and the newest record is {newest}", self.listed),
        );
        expect(
            self.newest_of_topic <= self.evicted,
            format!(
                "a topic has lost record {}, above the last evicted, {}",
                self.newest_of_topic, self.evicted
            ),
        );
        expect(
            self.newest_close <= newest,
            format!("a topic was closed at {}, and the newest record is {newest}", self.newest_close),
        );
        expect(
            oldest <= 1 || self.explain_that_it_is_gone(oldest - 1),
            format!("the oldest record is {oldest}, and those before it were not evicted"),
        );
        found
    }
}
