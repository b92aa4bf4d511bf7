//! One step, in the transaction of a commit.

use rusqlite::Transaction;

use super::{
    choose::{choose_of_rule, choose_of_whole},
    remove::{forget_oldest, remember, remove},
};
use crate::log::{
    disk::{read::outline::Outline, write::state::State},
    retention_rules::Rules,
};

/// How many records one step evicts at the most, unless it comes with a commit that has appended more.
pub(super) const STEP: usize = 512;

/// How many free pages are given back to the file system with one step: 1 MiB.
const VACUUM_STEP: u64 = 256;

/// How many free pages stay in the database: 4 MiB. A full log frees as many as it fills, and would otherwise move pages
/// to shrink the file and grow it again with the next append.
const FREE_PAGES: u64 = 1_024;

/// The result of one step of evicting.
#[derive(Default)]
pub(in crate::log::disk::write) struct Evicted {
    /// The records that are gone.
    pub(in crate::log::disk::write) gone: Vec<Outline>,
    /// Whether there may be more to evict.
    pub(in crate::log::disk::write) more: bool,
    /// How many records were passed by, since they are damaged.
    pub(in crate::log::disk::write) unevictable: u64,
    /// The error that ended the step after some records were deleted.
    pub(in crate::log::disk::write) ended_by: Option<rusqlite::Error>,
}

/// One step: it evicts what is over the limits, oldest first.
///
/// It evicts up to twice as many as the same transaction has `appended`: however fast is written, a log that is full stays
/// at its limits. `now` is what time it is, for ages, in milliseconds since 1970.
pub(in crate::log::disk::write) fn step(
    transaction: &Transaction<'_>,
    rules: &Rules,
    now: u64,
    state: &mut State,
    appended: usize,
) -> rusqlite::Result<Evicted> {
    let most = STEP.max(2 * appended);
    let mut gone = Vec::new();
    let mut more = choose_of_whole(transaction, rules, now, most, state, &mut gone)?;
    // The records so far go by the limits of the whole log.
    let already = gone.last().map_or(0, |last| last.sequence);
    for number in state.groups.to_look_at(now) {
        more |= choose_of_rule(transaction, rules, now, (number, already), most, state, &mut gone)?;
    }
    if !gone.is_empty() {
        remember(transaction, &gone, rules.names)?;
        state.remembered.add(remove(transaction, &gone)?);
        forget_oldest(transaction, rules.topics, state)?;
        state.evicted(transaction, &gone)?;
        state.note(transaction, rules, true)?;
    }
    if state.gives_back {
        more |= give_back(transaction)?;
    }
    Ok(Evicted { gone, more, ..Evicted::default() })
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
