//! Deleting records, and what is remembered of them.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{OptionalExtension, Transaction};

use super::is_damage;
use crate::log::{
    Epoch, Position, Record,
    disk::{
        read::{outline::Outline, pages::Pages},
        schema::closes,
        write::state::{Remembered, State},
    },
};

/// Goes on remembering the IDs and keys of records that are about to be deleted; the longest gone are forgotten when there
/// are more than `most`.
pub(super) fn remember(transaction: &Transaction<'_>, gone: &[Outline], most: u64) -> rusqlite::Result<()> {
    let mut named = gone.iter().filter(|outline| outline.has_names()).peekable();
    if named.peek().is_none() {
        return Ok(());
    }
    // They are numbered in the order in which they go.
    let before: u64 = transaction
        .prepare_cached("SELECT ifnull(max(gone), 0) FROM names WHERE gone IS NOT NULL")?
        .query_row((), |row| row.get(0))?;
    let mut number = before;
    let mut remember = transaction.prepare_cached(
        "UPDATE names SET gone = ?, sum = ?, content = ? WHERE kind = ? AND name = ? AND topic = ? AND sequence = ?",
    )?;
    for outline in named {
        let record = read(transaction, outline.sequence)?;
        let (sum, content) = match &record {
            Some(record) => (Some(record.check()), Some(record.content() as i64)),
            None => (None, None),
        };
        for (kind, name, topic) in outline.names() {
            let row = (number + 1, sum, content, kind as u8, name, topic, outline.sequence);
            number += remember.execute(row)? as u64;
        }
    }
    // Not with every commit: some together change the pages at the beginning of the index once.
    let together = most / 1_024 + 1;
    if number / together != before / together {
        let forgotten = number.saturating_sub(most);
        transaction.prepare_cached("DELETE FROM names WHERE gone <= ?")?.execute([forgotten])?;
    }
    Ok(())
}

/// A record that is about to be deleted; `None` if it is damaged, which must not keep it from going.
fn read(transaction: &Transaction<'_>, sequence: u64) -> rusqlite::Result<Option<Arc<Record>>> {
    // The epoch is in the hub's IDs alone, and in no sum.
    let (epoch, newest) = (Epoch::from_bits(0), Position::unchecked(u64::MAX));
    match (Pages { connection: transaction, epoch, newest }).record(sequence) {
        Err(error) if is_damage(&error) => Ok(None),
        record => record,
    }
}

/// Deletes records, and marks their topics, so that a reader of these topics is told. Returns how much more is remembered then.
pub(super) fn remove(transaction: &Transaction<'_>, gone: &[Outline]) -> rusqlite::Result<Remembered> {
    let mut record = transaction.prepare_cached("DELETE FROM records WHERE sequence = ?")?;
    let mut topic = transaction.prepare_cached("DELETE FROM topics WHERE topic = ? AND sequence = ?")?;
    let (mut watermarks, mut last, mut remembered) = (HashMap::new(), 0, Remembered::default());
    for outline in gone {
        record.execute([outline.sequence])?;
        last = last.max(outline.sequence);
        for name in outline.topics() {
            topic.execute((name, outline.sequence))?;
            // A close outlives its record in a table of its own.
            if outline.is_close() {
                remembered.closes += 1;
            } else {
                let mark = watermarks.entry(name).or_default();
                *mark = outline.sequence.max(*mark);
            }
        }
    }
    for (name, sequence) in watermarks {
        remembered.watermarks += u64::from(mark(transaction, name, sequence)?);
    }
    transaction.prepare_cached("UPDATE log SET evicted = max(evicted, ?)")?.execute([last])?;
    Ok(remembered)
}

/// Notes that a topic has lost a record; whether it had no mark yet.
fn mark(transaction: &Transaction<'_>, topic: &str, sequence: u64) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached("UPDATE evicted SET sequence = max(sequence, ?2) WHERE topic = ?1")?
        .execute((topic, sequence))?;
    if changed == 0 {
        transaction.prepare_cached("INSERT INTO evicted VALUES (?, ?)")?.execute((topic, sequence))?;
    }
    Ok(changed == 0)
}

/// Keeps the table of marks, and that of closes without a record, within their bound: the longest gone leave it.
///
/// Topics that leave the marks count as evicted up to the last record of those that left.
pub(super) fn forget_oldest(
    transaction: &Transaction<'_>,
    most: u64,
    state: &mut State,
) -> rusqlite::Result<()> {
    let remembered = &mut state.remembered;
    if let Some(too_many) = remembered.closes.checked_sub(most).filter(|too_many| *too_many > 0) {
        let mut oldest = transaction.prepare_cached(concat!(
            "SELECT topic, sequence FROM closed WHERE ",
            closes::is_evicted!(),
            " ORDER BY sequence LIMIT ?"
        ))?;
        let mut forget = transaction.prepare_cached("DELETE FROM closed WHERE topic = ?")?;
        let oldest =
            oldest.query_map((state.bounds.oldest, too_many), |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (topic, sequence) in oldest.collect::<rusqlite::Result<Vec<(String, u64)>>>()? {
            remembered.watermarks += u64::from(mark(transaction, &topic, sequence)?);
            forget.execute([topic])?;
        }
        remembered.closes = most;
    }
    if let Some(too_many) = remembered.watermarks.checked_sub(most).filter(|too_many| *too_many > 0) {
        let floor: Option<u64> = transaction
            .prepare_cached("SELECT sequence FROM evicted ORDER BY sequence LIMIT 1 OFFSET ?")?
            .query_row([too_many - 1], |row| row.get(0))
            .optional()?;
        if let Some(floor) = floor {
            let forgotten =
                transaction.prepare_cached("DELETE FROM evicted WHERE sequence <= ?")?.execute([floor])?;
            transaction
                .prepare_cached("UPDATE log SET evicted_floor = max(evicted_floor, ?)")?
                .execute([floor])?;
            remembered.watermarks = remembered.watermarks.saturating_sub(forgotten as u64);
        }
    }
    Ok(())
}
