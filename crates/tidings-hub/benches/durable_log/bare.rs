//! The bound: a loop that inserts rows into the same tables, in transactions of a given size, and does nothing else.

use std::{path::Path, time::Instant};

use rusqlite::Connection;

use crate::{DATA_BYTES, per_second};

pub(crate) struct Bare {
    connection: Connection,
    next: u64,
}

impl Bare {
    /// Opens the database of an empty log: the tables, the durability and the cache are the log's own.
    pub(crate) fn open(directory: &Path) -> Bare {
        let connection = Connection::open(directory.join("log.sqlite")).unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection.pragma_update(None, "cache_size", -16_384).unwrap();
        Bare { connection, next: 1 }
    }

    /// Inserts `commits` batches of `batch` updates, all that a record of the log has; answers how many it did in a
    /// second.
    pub(crate) fn insert(&mut self, commits: u64, batch: u64) -> f64 {
        let mut record = self
            .connection
            .prepare("INSERT INTO records VALUES (?, ?, ?, NULL, ?, ?, ?, NULL, NULL, ?, NULL)")
            .unwrap();
        let mut topic = self.connection.prepare("INSERT INTO topics VALUES (?, ?)").unwrap();
        let (name, data) = ("bench/topic", "x".repeat(DATA_BYTES));
        let began = Instant::now();
        for _ in 0..commits {
            self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            for _ in 0..batch {
                record.execute((self.next, self.next, 0, name, "message", &data, self.next)).unwrap();
                topic.execute((name, self.next)).unwrap();
                self.next += 1;
            }
            self.connection.execute_batch("COMMIT").unwrap();
        }
        per_second(commits * batch, began.elapsed())
    }
}
