//! Listing: which records a topic has is written down for many records at once.

use rusqlite::{Connection, Statement, Transaction, types::Type};

use super::insert::{ROWS, values};
use crate::{
    Topic,
    log::disk::read::pending_index::{PendingIndex, Rows},
};

/// Of as many rows as may wait, how many are listed at a time, as a fraction: the pause is that much shorter than if
/// all were, and each topic has gathered twice as many by the time that it is its turn.
const STEP: usize = 16;

/// One step, with a commit, if more than `most` rows wait: it lists what is too much, and a little more.
///
/// `newest` is the newest record that may have waiting rows. The listed rows must be forgotten after the commit.
pub(super) fn step(
    transaction: &Transaction<'_>,
    pending_index: &PendingIndex,
    most: usize,
    newest: u64,
) -> rusqlite::Result<Rows> {
    match pending_index.rows().saturating_sub(most) {
        0 => Ok(Vec::new()),
        over => list(transaction, pending_index, over.max(most / STEP), newest),
    }
}

/// Lists about `count` rows, and notes up to where none is left to be listed.
pub(super) fn list(
    connection: &Connection,
    pending_index: &PendingIndex,
    count: usize,
    newest: u64,
) -> rusqlite::Result<Rows> {
    let next = pending_index.next(count);
    // After a crash some are listed already.
    let mut one = connection.prepare_cached(values!("INSERT OR IGNORE", "topics", "(?,?)"))?;
    let mut many = connection.prepare_cached(values!(8, "INSERT OR IGNORE", "topics", "(?,?)"))?;
    let rows = next.rows.iter().flat_map(|(topic, sequences)| sequences.iter().map(move |one| (topic, *one)));
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(ROWS) {
        if rows.len() == ROWS {
            insert(&mut many, rows)?;
        } else {
            for row in rows.chunks(1) {
                insert(&mut one, row)?;
            }
        }
    }
    let listed = next.left.map_or(newest, |left| left - 1);
    connection.prepare_cached("UPDATE log SET listed = ?")?.execute([listed])?;
    Ok(next.rows)
}

fn insert(statement: &mut Statement<'_>, rows: &[(&Topic, u64)]) -> rusqlite::Result<()> {
    for (number, (topic, sequence)) in rows.iter().enumerate() {
        statement.raw_bind_parameter(2 * number + 1, topic.as_str())?;
        statement.raw_bind_parameter(2 * number + 2, sequence)?;
    }
    statement.raw_execute().map(drop)
}

/// Reads from the records what is not listed for certain: all after `listed`.
pub(crate) fn load(connection: &Connection, listed: u64) -> rusqlite::Result<PendingIndex> {
    let mut pending_index = PendingIndex::default();
    let mut statement =
        connection.prepare("SELECT sequence, topics FROM records WHERE sequence > ? ORDER BY sequence")?;
    let mut rows = statement.query([listed])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(1)?.as_str()?;
        let topics: Result<Vec<_>, _> = text.split('\n').map(Topic::parse).collect();
        let topics =
            topics.map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, error.into()))?;
        pending_index.add(&topics, row.get(0)?);
    }
    Ok(pending_index)
}
