//! The bound: a loop that inserts rows into the same tables, in transactions of a given size, and does nothing else.

use std::{path::Path, time::Instant};

use rusqlite::Connection;

use crate::{DATA_BYTES, per_second};

/// Inserts `commits` batches of `batch` updates; answers how many updates it did in a second.
///
/// The tables and indices are those of the log, which made the database; so are the durability and the cache.
pub(crate) fn insert(directory: &Path, commits: u64, batch: u64) -> f64 {
    let connection = Connection::open(directory.join("log.sqlite")).unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.pragma_update(None, "cache_size", -16_384).unwrap();
    let first: u64 = connection
        .query_row("SELECT ifnull(max(sequence), 0) + 1 FROM records", (), |row| row.get(0))
        .unwrap();
    let mut record = connection
        .prepare(
            "INSERT INTO records (sequence, time, flags, topics, type, data, sum) \
             VALUES (?, 1, 0, 'bench/topic', 'message', ?, 1)",
        )
        .unwrap();
    let mut topic = connection.prepare("INSERT INTO topics VALUES ('bench/topic', ?)").unwrap();
    let data = "x".repeat(DATA_BYTES);
    let began = Instant::now();
    for commit in 0..commits {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for number in 0..batch {
            let sequence = first + commit * batch + number;
            record.execute((sequence, &data)).unwrap();
            topic.execute([sequence]).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    per_second(commits * batch, began.elapsed())
}
