//! Evicting what is over the limits, in steps that no publish has to wait for.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{OptionalExtension, Transaction};

use super::{
    pages::{Outline, Pages},
    scan::is_damage,
    schema,
    state::State,
};
use crate::log::{Epoch, Place, Record, Retention};

/// How many records one step evicts at the most, unless it comes with a commit that has appended more.
const STEP: usize = 512;

/// For each record that a step may evict, how many it looks at, for a rule that few of them fall under.
const LOOK: usize = 8;

/// How many free pages are given back to the file system with one step: 1 MiB.
const VACUUM_STEP: u64 = 256;

/// How many free pages stay in the database: 4 MiB. A full log frees as many as it fills, and would otherwise move pages
/// to shrink the file and grow it again with the next append.
const FREE_PAGES: u64 = 1_024;

/// What one step has evicted.
pub(super) struct Evicted {
    /// The records that are gone.
    pub(super) gone: Vec<Outline>,
    /// Whether there may be more to evict.
    pub(super) more: bool,
}

/// One step: it evicts what is over the limits, oldest first.
///
/// It evicts up to twice as many as the same transaction has `appended`: however fast is written, a log that is full stays
/// at its limits.
pub(super) fn step(
    transaction: &Transaction<'_>,
    retention: &Retention,
    state: &mut State,
    appended: usize,
) -> rusqlite::Result<Evicted> {
    let most = STEP.max(2 * appended);
    let mut gone = Vec::new();
    let mut more = choose_of_whole(transaction, retention, most, state, &mut gone)?;
    // What goes with the whole log is all that was there up to here.
    let already = gone.last().map_or(0, |last| last.sequence);
    for number in 0..retention.rules.len() {
        more |= choose_of_rule(transaction, retention, number, already, most, state, &mut gone)?;
    }
    if !gone.is_empty() {
        remember(transaction, &gone, retention.names)?;
        let last = remove(transaction, &gone)?;
        state.bounds.evicted = state.bounds.evicted.max(last);
        forget_oldest(transaction, retention.topics)?;
        state.bounds.oldest = schema::oldest(transaction)?;
        state.note(transaction, retention, true)?;
    }
    more |= give_back(transaction)?;
    Ok(Evicted { gone, more })
}

/// Gives free pages back to the file system, if there are more than will soon be used again; true if there still are.
fn give_back(transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
    let free: u64 = transaction.prepare_cached("PRAGMA freelist_count")?.query_row((), |row| row.get(0))?;
    let too_many = free.saturating_sub(FREE_PAGES);
    if too_many > 0 {
        // Each step of the statement gives back one page.
        let pages = too_many.min(VACUUM_STEP);
        let mut statement = transaction.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = statement.query(())?;
        while rows.next()?.is_some() {}
    }
    Ok(too_many > VACUUM_STEP)
}

/// Adds to `gone` what the whole log has too much of; true if the step is full.
fn choose_of_whole(
    transaction: &Transaction<'_>,
    retention: &Retention,
    most: usize,
    state: &mut State,
    gone: &mut Vec<Outline>,
) -> rusqlite::Result<bool> {
    let limits = retention.limits;
    if !state.whole.kept.is_too_much(&limits) && limits.age.is_none() {
        return Ok(false);
    }
    let (expired, newest, mut full) = (limits.expired_before(), state.bounds.newest.sequence, false);
    Outline::each_after(transaction, 0, |outline| {
        let too_much = state.whole.kept.is_too_much(&limits) || outline.time < expired;
        // The newest record stays, whatever the limits say: the log goes on from its sequence.
        let goes = too_much && outline.sequence != newest;
        full = goes && gone.len() == most;
        if goes && !full {
            state.remove(retention, &outline);
            gone.push(outline);
        }
        goes && !full
    })?;
    Ok(full)
}

/// Adds to `gone` what the topics of a rule have too much of; true if the step is full.
///
/// It goes through the log from where the rule has come to, behind `already`, past what is not the rule's, and so looks at
/// each record once.
fn choose_of_rule(
    transaction: &Transaction<'_>,
    retention: &Retention,
    number: usize,
    already: u64,
    most: usize,
    state: &mut State,
    gone: &mut Vec<Outline>,
) -> rusqlite::Result<bool> {
    let limits = retention.rules[number].limits;
    if !state.groups[number].kept.is_too_much(&limits) && limits.age.is_none() {
        return Ok(false);
    }
    let (expired, newest, mut full) = (limits.expired_before(), state.bounds.newest.sequence, false);
    let mut looked = 0;
    Outline::each_after(transaction, state.groups[number].swept.max(already), |outline| {
        let too_much = state.groups[number].kept.is_too_much(&limits) || outline.time < expired;
        let goes = too_much && outline.sequence != newest;
        full = goes && (gone.len() >= most || looked == LOOK * most);
        if goes && !full {
            looked += 1;
            state.groups[number].swept = outline.sequence;
            if outline.rule(retention) == Some(number) {
                state.remove(retention, &outline);
                gone.push(outline);
            }
        }
        goes && !full
    })?;
    Ok(full)
}

/// Goes on remembering the IDs and keys of records that are about to be deleted; the longest gone are forgotten when there
/// are more than `most`.
fn remember(transaction: &Transaction<'_>, gone: &[Outline], most: u64) -> rusqlite::Result<()> {
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
    let (epoch, newest) = (Epoch::from_bits(0), Place::unchecked(u64::MAX));
    match (Pages { connection: transaction, epoch, newest }).record(sequence) {
        Err(error) if is_damage(&error) => Ok(None),
        record => record,
    }
}

/// Deletes records, and marks their topics, so that who asks for them is told; gives the last sequence of them.
fn remove(transaction: &Transaction<'_>, gone: &[Outline]) -> rusqlite::Result<u64> {
    let mut record = transaction.prepare_cached("DELETE FROM records WHERE sequence = ?")?;
    let mut topic = transaction.prepare_cached("DELETE FROM topics WHERE topic = ? AND sequence = ?")?;
    let (mut marks, mut last) = (HashMap::new(), 0);
    for outline in gone {
        record.execute([outline.sequence])?;
        last = last.max(outline.sequence);
        for name in outline.topics() {
            topic.execute((name, outline.sequence))?;
            // A close outlives its record in a table of its own.
            if !outline.is_close() {
                let mark = marks.entry(name).or_default();
                *mark = outline.sequence.max(*mark);
            }
        }
    }
    let mut mark = transaction.prepare_cached(
        "INSERT INTO evicted VALUES (?1, ?2) \
         ON CONFLICT (topic) DO UPDATE SET sequence = max(sequence, excluded.sequence)",
    )?;
    for (name, sequence) in marks {
        mark.execute((name, sequence))?;
    }
    transaction.prepare_cached("UPDATE log SET evicted = max(evicted, ?)")?.execute([last])?;
    Ok(last)
}

/// Keeps the table of marks, and that of closes without a record, within their bound: the longest gone leave it.
///
/// What leaves the marks counts as evicted up to the last of those that left.
fn forget_oldest(transaction: &Transaction<'_>, most: u64) -> rusqlite::Result<()> {
    let closes: u64 = transaction
        .prepare_cached("SELECT count(*) FROM closed WHERE sequence < (SELECT min(sequence) FROM records)")?
        .query_row((), |row| row.get(0))?;
    if closes > most {
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO evicted SELECT topic, sequence FROM closed ORDER BY sequence LIMIT ?",
            )?
            .execute([closes - most])?;
        transaction
            .prepare_cached(
                "DELETE FROM closed WHERE topic IN (SELECT topic FROM closed ORDER BY sequence LIMIT ?)",
            )?
            .execute([closes - most])?;
    }
    let marks: u64 =
        transaction.prepare_cached("SELECT count(*) FROM evicted")?.query_row((), |row| row.get(0))?;
    if marks > most {
        let floor: Option<u64> = transaction
            .prepare_cached("SELECT sequence FROM evicted ORDER BY sequence LIMIT 1 OFFSET ?")?
            .query_row([marks - most - 1], |row| row.get(0))
            .optional()?;
        if let Some(floor) = floor {
            transaction.prepare_cached("DELETE FROM evicted WHERE sequence <= ?")?.execute([floor])?;
            transaction
                .prepare_cached("UPDATE log SET evicted_floor = max(evicted_floor, ?)")?
                .execute([floor])?;
        }
    }
    Ok(())
}
