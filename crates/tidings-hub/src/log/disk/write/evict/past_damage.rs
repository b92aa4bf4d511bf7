//! One step in transactions of its own, where damage is in the way.

use rusqlite::{Connection, ErrorCode, TransactionBehavior, ffi};

use super::{
    choose::{choose_of_rule, choose_of_whole},
    remove::{forget_oldest, remember, remove},
    step::{Evicted, STEP, step},
};
use crate::log::{
    disk::{
        read::outline::Outline,
        write::state::{Remembered, State},
    },
    retention_rules::Rules,
};

/// One step in transactions of its own, which passes by what is damaged: it stays, and what comes after it goes.
///
/// SQLite lets nothing be written in a transaction that has met damage. So after a step that fails, what there is to evict is
/// looked for outside of a transaction, and each record goes with one of its own.
pub(in crate::log::disk::write) fn step_past_damage(
    connection: &mut Connection,
    rules: &Rules,
    now: u64,
    state: &mut State,
) -> rusqlite::Result<Evicted> {
    // Free pages may not be movable either: then the file stays as large as it is.
    for gives_back in [state.gives_back, false] {
        let mut after = state.clone();
        after.gives_back = gives_back;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let evicted = step(&transaction, rules, now, &mut after, 0);
        match evicted.and_then(|evicted| transaction.commit().map(|()| evicted)) {
            Err(error) if is_damage(&error) => {}
            evicted => {
                let evicted = evicted?;
                *state = after;
                return Ok(evicted);
            }
        }
    }

    // What is chosen counts as gone at once: only what has gone in the end is in the state.
    let mut after = state.clone();
    let (mut chosen, mut unevictable, mut more) = (Vec::new(), 0, false);
    match choose_of_whole(connection, rules, now, STEP, &mut after, &mut chosen) {
        Err(error) if is_damage(&error) => {
            let last = chosen.last().map_or(after.whole.swept, |last| last.sequence);
            after.whole.swept = pass_by(connection, last, &after, &error, &mut unevictable)?;
        }
        full => more |= full?,
    }
    let (of_whole, already) = (chosen.len(), chosen.last().map_or(0, |last| last.sequence));
    for number in after.groups.to_look_at(now) {
        match choose_of_rule(connection, rules, now, (number, already), STEP, &mut after, &mut chosen) {
            Err(error) if is_damage(&error) => {
                let last = after.groups.of(number).swept.max(already);
                let swept = pass_by(connection, last, &after, &error, &mut unevictable)?;
                after.groups.of_mut(number).swept = swept;
            }
            full => more |= full?,
        }
    }
    let (mut gone, mut ended_by, mut remembered) = (Vec::new(), None, Remembered::default());
    for (number, outline) in chosen.into_iter().enumerate() {
        match evict_one(connection, rules, &outline) {
            Ok(more) => {
                remembered.add(more);
                gone.push(outline);
            }
            Err(error) if is_damage(&error) => {
                tracing::error!(%error, sequence = outline.sequence, "a damaged record cannot be evicted; it stays, and publishing goes on");
                unevictable += 1;
                after.keep(rules, &outline);
                if number < of_whole {
                    after.whole.swept = after.whole.swept.max(outline.sequence);
                }
            }
            Err(error) if gone.is_empty() => return Err(error),
            Err(error) => {
                // The choice is void, and with it how far it went: the next step chooses anew.
                after = state.clone();
                gone.iter().for_each(|outline| after.remove(rules, outline));
                (ended_by, unevictable) = (Some(error), 0);
                break;
            }
        }
    }
    after.remembered.add(remembered);
    // They are gone, even if this fails.
    if let Err(error) = note_gone(connection, rules, &mut after, &gone) {
        ended_by.get_or_insert(error);
    }
    *state = after;
    let more = (more || unevictable > 0) && ended_by.is_none();
    Ok(Evicted { gone, more, unevictable, ended_by })
}

/// Evicts a record in a transaction of its own.
fn evict_one(connection: &mut Connection, rules: &Rules, outline: &Outline) -> rusqlite::Result<Remembered> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let gone = std::slice::from_ref(outline);
    remember(&transaction, gone, rules.names)?;
    let remembered = remove(&transaction, gone)?;
    transaction.commit().map(|()| remembered)
}

/// Moves the bounds after records have been evicted one by one, forgets what is remembered of too many, and writes the totals down.
fn note_gone(
    connection: &mut Connection,
    rules: &Rules,
    state: &mut State,
    gone: &[Outline],
) -> rusqlite::Result<()> {
    state.evicted(connection, gone)?;
    let mut noted = state.clone();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    noted.note(&transaction, rules, true)?;
    transaction.commit()?;
    *state = noted;

    let mut forgotten = state.clone();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match forget_oldest(&transaction, rules.topics, &mut forgotten).and_then(|()| transaction.commit()) {
        Ok(()) => *state = forgotten,
        Err(error) if is_damage(&error) => {
            tracing::error!(%error, "the tables of evicted topics are damaged, and cannot be made smaller");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whether something in the database cannot be read, so that elsewhere it may still be changed.
///
/// A write that fails says nothing of what is there: to pass by a record for it would keep a whole one for good.
pub(in crate::log::disk::write) fn is_damage(error: &rusqlite::Error) -> bool {
    let unreadable = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS];
    // SQLite has no code for a value that was read and cannot have been written.
    error.sqlite_error().is_none_or(|error| {
        matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            || unreadable.contains(&error.extended_code)
    })
}

/// The last of the records after `after` that cannot be read, of those in a row.
fn pass_by(
    connection: &Connection,
    after: u64,
    state: &State,
    error: &rusqlite::Error,
    unevictable: &mut u64,
) -> rusqlite::Result<u64> {
    let is_readable = |sequence: u64| match Outline::each_after(connection, sequence - 1, |_| false) {
        Err(error) if is_damage(&error) => Ok(false),
        read => read.map(|()| true),
    };
    // In longer and longer steps to a record that can be read, then back to the first.
    let newest = state.bounds.newest.sequence;
    let (mut damaged, mut step) = (after + 1, 1);
    let mut readable = loop {
        let next = damaged.saturating_add(step).min(newest);
        if next == newest || is_readable(next)? {
            break next;
        }
        (damaged, step) = (next, 2 * step);
    };
    while damaged + 1 < readable {
        let middle = damaged + (readable - damaged) / 2;
        match is_readable(middle)? {
            true => readable = middle,
            false => damaged = middle,
        }
    }
    tracing::error!(%error, first = after + 1, last = damaged, "damaged records cannot be evicted, and stay");
    *unevictable += damaged - after;
    Ok(damaged)
}
