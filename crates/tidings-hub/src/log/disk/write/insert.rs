//! Inserting: the rows of a transaction, several with one statement.

use std::borrow::Cow;

use rusqlite::{CachedStatement, Statement, Transaction};

use crate::{
    AttachmentId, Topic,
    log::{
        Append, IdempotencyKey, Record,
        disk::{
            read::row::{CLOSE, PRIVATE},
            schema::closes,
        },
        publisher_names::names_of,
    },
};

/// How many rows one statement inserts. Half of what inserting a row costs is what any statement costs.
pub(super) const ROWS: usize = 8;

/// A statement that inserts one row into a table, or as many as [`ROWS`].
macro_rules! values {
    ($insert:literal, $table:literal, $row:literal) => {
        concat!($insert, " INTO ", $table, " VALUES ", $row)
    };
    (8, $insert:literal, $table:literal, $row:literal) => {
        concat!(
            values!($insert, $table, $row),
            ",",
            $row,
            ",",
            $row,
            ",",
            $row,
            ",",
            $row,
            ",",
            $row,
            ",",
            $row,
            ",",
            $row
        )
    };
}
pub(super) use values;

/// A record, and the key that it was appended with.
#[derive(Debug)]
pub(crate) struct Row {
    /// For the records that stay in memory, and to give the batch back if the commit fails.
    pub(crate) record: Record,
    key: Option<IdempotencyKey>,
}

impl Row {
    /// The append from which it was made, to append it again.
    pub(super) fn into_append(self) -> Append {
        let time = Some(self.record.record_time());
        Append { update: self.record.into_update(), key: self.key, time }
    }
}

/// The rows of one transaction. The last few wait until there are enough for a statement, or until they are flushed.
pub(super) struct Inserting<'a> {
    transaction: &'a Transaction<'a>,
    rows: Vec<Row>,
    /// So many of the rows are in the database.
    done: usize,
    record: CachedStatement<'a>,
    records: CachedStatement<'a>,
}

impl<'a> Inserting<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, rows: usize) -> rusqlite::Result<Inserting<'a>> {
        Ok(Inserting {
            transaction,
            rows: Vec::with_capacity(rows),
            done: 0,
            record: transaction.prepare_cached(values!("INSERT", "records", "(?,?,?,?,?,?,?,?,?,?,?)"))?,
            records: transaction.prepare_cached(values!(
                8,
                "INSERT",
                "records",
                "(?,?,?,?,?,?,?,?,?,?,?)"
            ))?,
        })
    }

    pub(super) fn insert(&mut self, record: Record, key: Option<IdempotencyKey>) -> rusqlite::Result<()> {
        let closes = record.is_close();
        self.rows.push(Row { record, key });
        // Whether a topic is closed is asked of the database.
        if closes || self.rows.len() - self.done >= 4 * ROWS { self.flush() } else { Ok(()) }
    }

    /// Brings all rows into the database.
    pub(super) fn flush(&mut self) -> rusqlite::Result<()> {
        let rows = &self.rows[self.done..];
        for rows in rows.chunks(ROWS) {
            if rows.len() == ROWS {
                insert_records(&mut self.records, rows)?;
            } else {
                for row in rows.chunks(1) {
                    insert_records(&mut self.record, row)?;
                }
            }
        }
        for Row { record, key } in rows {
            for (kind, name, topic) in names_of(record.topics(), record.publisher_id(), key.as_ref()) {
                self.transaction
                    .prepare_cached("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, NULL, NULL, NULL)")?
                    .execute((kind as u8, name, topic.as_str(), record.sequence()))?;
            }
        }
        for Row { record, .. } in rows.iter().filter(|row| row.record.is_close()) {
            closes::insert(self.transaction, record)?;
        }
        self.done = self.rows.len();
        Ok(())
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

fn insert_records(statement: &mut Statement<'_>, rows: &[Row]) -> rusqlite::Result<()> {
    let mut parameter = 0;
    for Row { record, key } in rows {
        let event = record.event();
        let topics = match record.topics() {
            [only] => Cow::Borrowed(only.as_str()),
            several => Cow::Owned(several.iter().map(Topic::as_str).collect::<Vec<_>>().join("\n")),
        };
        let flags = (i64::from(record.is_private()) * PRIVATE) | (i64::from(record.is_close()) * CLOSE);
        // A number that the column cannot hold fails to be bound: nothing is clipped, or it would not read back.
        let retry = event.retry().map(|retry| retry.as_millis()).map(u64::try_from).transpose();
        let retry = retry.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let values: [&dyn rusqlite::ToSql; 11] = [
            &record.sequence(),
            &record.time_ms(),
            &flags,
            &retry,
            &topics,
            &event.event_type(),
            &event.data(),
            &record.publisher_id(),
            &key.as_ref().map(IdempotencyKey::as_str),
            &record.check(),
            &record.attachment().map(AttachmentId::as_str),
        ];
        for value in values {
            parameter += 1;
            statement.raw_bind_parameter(parameter, value)?;
        }
    }
    statement.raw_execute().map(drop)
}
