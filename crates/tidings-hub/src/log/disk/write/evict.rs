//! Evicting what is over the limits, in steps that no publish has to wait for.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, ffi};

use super::state::{AT_ONCE, Remembered, State, Verdict};
use crate::log::{
    Epoch, Position, Record,
    disk::{
        read::pages::{Outline, Pages},
        schema::closes,
    },
    retention_rules::Rules,
};

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
#[derive(Default)]
pub(super) struct Evicted {
    /// The records that are gone.
    pub(super) gone: Vec<Outline>,
    /// Whether there may be more to evict.
    pub(super) more: bool,
    /// How many records were passed by, since they are damaged.
    pub(super) unevictable: u64,
    /// What has ended the step after some of them were gone.
    pub(super) ended_by: Option<rusqlite::Error>,
}

/// One step: it evicts what is over the limits, oldest first.
///
/// It evicts up to twice as many as the same transaction has `appended`: however fast is written, a log that is full stays
/// at its limits. `now` is what time it is, for ages, in milliseconds since 1970.
pub(super) fn step(
    transaction: &Transaction<'_>,
    rules: &Rules,
    now: u64,
    state: &mut State,
    appended: usize,
) -> rusqlite::Result<Evicted> {
    let most = STEP.max(2 * appended);
    let mut gone = Vec::new();
    let mut more = choose_of_whole(transaction, rules, now, most, state, &mut gone)?;
    // What goes with the whole log is all that was there up to here.
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

/// One step in transactions of its own, which passes by what is damaged: it stays, and what comes after it goes.
///
/// SQLite lets nothing be written in a transaction that has met damage. So after a step that fails, what there is to evict is
/// looked for outside of a transaction, and each record goes with one of its own.
pub(super) fn step_past_damage(
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
                tracing::error!(%error, sequence = outline.sequence, "a damaged record can't be evicted, and stays");
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
    // They are gone, whatever comes of this.
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
            tracing::error!(%error, "what is remembered of evicted topics is damaged, and can't be made less");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whether something in the database can't be read, so that elsewhere it may still be changed.
///
/// A write that fails says nothing of what is there: to pass by a record for it would keep a whole one for good.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let unreadable = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS];
    // What was read, and can't be what was written, has no code of SQLite's.
    error.sqlite_error().is_none_or(|error| {
        matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            || unreadable.contains(&error.extended_code)
    })
}

/// The last of the records after `after` that can't be read, of those in a row.
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
    tracing::error!(%error, first = after + 1, last = damaged, "damaged records can't be evicted, and stay");
    *unevictable += damaged - after;
    Ok(damaged)
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
    connection: &Connection,
    rules: &Rules,
    now: u64,
    most: usize,
    state: &mut State,
    gone: &mut Vec<Outline>,
) -> rusqlite::Result<bool> {
    let limits = rules.limits;
    if !state.whole.kept.is_too_much(&limits) && limits.age.is_none() {
        return Ok(false);
    }
    let (mut last, newest) =
        (state.bounds.oldest.saturating_sub(1).max(state.whole.swept), state.bounds.newest.sequence);
    let (mut looked, mut full) = (0, false);
    Outline::each_after(connection, state.whole.begin(last, &limits, now), |outline| {
        // The newest record stays, whatever the limits say: the log goes on from its sequence.
        if outline.sequence == newest {
            return false;
        }
        let verdict = state.whole.judge(&limits, &outline, now, last);
        looked += 1;
        full = match verdict {
            Verdict::Goes => gone.len() == most,
            Verdict::IsAhead => looked == LOOK * most,
            Verdict::OthersGo => true,
            Verdict::Stays => false,
        };
        if verdict == Verdict::Goes && !full {
            last = outline.sequence;
            state.whole.swept = last;
            state.remove(rules, &outline);
            gone.push(outline);
        }
        !full && verdict != Verdict::Stays
    })?;
    Ok(full)
}

/// Adds to `gone` what the topics of a rule have too much of; true if the step is full.
///
/// It goes through the log from where the rule has come to, behind `already`, past what is not the rule's, and so looks at
/// each record once.
fn choose_of_rule(
    connection: &Connection,
    rules: &Rules,
    now: u64,
    (number, already): (usize, u64),
    most: usize,
    state: &mut State,
    gone: &mut Vec<Outline>,
) -> rusqlite::Result<bool> {
    let limits = rules.rules[number].limits;
    let group = state.groups.of_mut(number);
    let has_none = group.kept.records == 0;
    if has_none || (!group.kept.is_too_much(&limits) && limits.age.is_none()) {
        group.look_at = None;
        return Ok(false);
    }
    let begin = group.begin(already, &limits, now);
    let newest = state.bounds.newest.sequence;
    let (mut looked, mut full, mut ended_at) = (0, false, None);
    Outline::each_after(connection, begin, |outline| {
        if outline.sequence == newest {
            ended_at = Some(outline.time);
            return false;
        }
        let group = state.groups.of_mut(number);
        let last = group.swept.max(already);
        let verdict = group.judge(&limits, &outline, now, last);
        full = match verdict {
            Verdict::Goes | Verdict::IsAhead => gone.len() >= most || looked == LOOK * most,
            Verdict::OthersGo => true,
            Verdict::Stays => false,
        };
        looked += 1;
        if verdict == Verdict::Goes && !full {
            group.swept = outline.sequence;
            if outline.rule(rules) == Some(number) {
                state.remove(rules, &outline);
                gone.push(outline);
            }
        } else if verdict == Verdict::Stays {
            ended_at = Some(outline.time);
        }
        !full && verdict != Verdict::Stays
    })?;
    let group = state.groups.of_mut(number);
    match full {
        true => group.look_at = AT_ONCE,
        false => group.looked(&limits, ended_at, now),
    }
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
    let (epoch, newest) = (Epoch::from_bits(0), Position::unchecked(u64::MAX));
    match (Pages { connection: transaction, epoch, newest }).record(sequence) {
        Err(error) if is_damage(&error) => Ok(None),
        record => record,
    }
}

/// Deletes records, and marks their topics, so that who asks for them is told. How much more is remembered then.
fn remove(transaction: &Transaction<'_>, gone: &[Outline]) -> rusqlite::Result<Remembered> {
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
/// What leaves the marks counts as evicted up to the last of those that left.
fn forget_oldest(transaction: &Transaction<'_>, most: u64, state: &mut State) -> rusqlite::Result<()> {
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

#[cfg(test)]
mod tests {
    use rusqlite::types::Type;

    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{super::insert::Inserting, *};
    use crate::{
        Topic, TopicFilter, Update,
        log::{Limits, RecordTime, Retention, Rule, disk::schema::tables},
    };

    #[test]
    fn damage_is_what_cannot_be_read_and_no_write_that_fails() {
        let of = |code| is_damage(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_CORRUPT_INDEX,
            ffi::SQLITE_CORRUPT_VTAB,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_IOERR_SHORT_READ,
            ffi::SQLITE_IOERR_CORRUPTFS,
        ] {
            assert!(of(code), "{code}");
        }
        for code in [
            ffi::SQLITE_ERROR,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_READONLY_DBMOVED,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_DIR_FSYNC,
            ffi::SQLITE_IOERR_TRUNCATE,
            ffi::SQLITE_IOERR_NOMEM,
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_IOERR_SHMMAP,
        ] {
            assert!(!of(code), "{code}");
        }
        let unlike_what_was_written = rusqlite::Error::InvalidColumnType(0, "time".into(), Type::Text);
        assert!(is_damage(&unlike_what_was_written));
    }

    fn insert(connection: &Connection, sequence: u64, topic: &str) {
        let insert = "INSERT INTO records (sequence, time, flags, topics, type, data, sum)
                      VALUES (?, 0, 0, ?, 'message', 'data', 0)";
        connection.execute(insert, (sequence, topic)).unwrap();
    }

    #[test]
    fn rules_that_are_not_over_their_limits_cost_nothing() {
        let steps = |others: usize| {
            let rules = (0..others).map(|number| format!("other/{number}=90d,3")).chain(["t=2".to_owned()]);
            let rules = rules.map(|rule| rule.parse().unwrap()).collect();
            let rules = Rules::from(Retention { rules, ..Retention::on_disk() });
            let directory = tempfile::tempdir().unwrap();
            let (mut connection, _) = tables::open(&directory.path().join("log.sqlite")).unwrap();
            for sequence in 1..=3 {
                insert(&connection, sequence, &format!("other/{}", sequence - 1));
            }
            for sequence in 4..=6 {
                insert(&connection, sequence, "t");
            }
            let now = 1_000;
            let bounds = tables::bounds(&connection).unwrap();
            let mut state = State::load(&connection, &rules, bounds).unwrap();
            let transaction = connection.transaction().unwrap();
            let mut step = |sequence: u64, is_gone: Option<u64>| {
                // One for each thousand instructions of SQLite's would be too coarse.
                let count = Arc::new(AtomicU64::new(0));
                transaction.progress_handler(1, {
                    let count = count.clone();
                    Some(move || {
                        count.fetch_add(1, Ordering::Relaxed);
                        false
                    })
                });
                let gone = super::step(&transaction, &rules, now, &mut state, 1).unwrap().gone;
                transaction.progress_handler(0, None::<fn() -> bool>);
                assert_eq!(gone.first().map(|outline| outline.sequence), is_gone);
                assert_eq!(gone.len(), is_gone.iter().count());
                state.groups.settle();
                assert!(state.groups.to_look_at(now).is_empty());
                insert(&transaction, sequence + 1, "t");
                let update = Update::new(Topic::parse("t").unwrap(), "data");
                let record = Record::new(bounds.epoch, sequence + 1, RecordTime::MIN, update);
                state.append(&rules, &record);
                count.load(Ordering::Relaxed)
            };
            // The first step looks at all of them.
            step(6, Some(4));
            (7..=9).map(|sequence| step(sequence, Some(sequence - 2))).sum::<u64>()
        };
        let (few, many) = (steps(3), steps(3_000));
        assert!(many < 2 * few, "{many} instructions of SQLite's with 3,000 rules, {few} with 3");
    }

    /// Appends a record, or a close of several topics, as the log would.
    fn append(connection: &mut Connection, state: &mut State, rules: &Rules, topics: &str, closes: bool) {
        let topics: Vec<_> = topics.split(' ').map(|topic| Topic::parse(topic).unwrap()).collect();
        let update = match closes {
            true => Update::stored(
                topics,
                tidings_codec::Event::new("over")
                    .with_type(tidings_codec::EventType::parse("close").unwrap()),
                false,
                true,
            ),
            false => Update::stored(topics, tidings_codec::Event::new("data"), false, false),
        };
        let record =
            Record::new(state.bounds.epoch, state.bounds.newest.sequence + 1, RecordTime::MIN, update);
        state.append(rules, &record);
        let transaction = connection.transaction().unwrap();
        let mut inserting = Inserting::new(&transaction, 1).unwrap();
        inserting.insert(record, None).unwrap();
        inserting.flush().unwrap();
        drop(inserting);
        transaction.commit().unwrap();
    }

    fn count(connection: &Connection, table: &str) -> u64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_is_remembered_is_not_counted_anew_with_each_step() {
        let steps = |topics: u64| {
            let limits = Limits { records: 1, ..Limits::default() };
            let rules = Rules::from(Retention { limits, topics, ..Retention::on_disk() });
            let directory = tempfile::tempdir().unwrap();
            let (mut connection, bounds) = tables::open(&directory.path().join("log.sqlite")).unwrap();
            connection.pragma_update(None, "synchronous", "OFF").unwrap();
            let mut state = State::load(&connection, &rules, bounds).unwrap();
            for number in 0..topics + 3 {
                append(&mut connection, &mut state, &rules, &format!("t/{number}"), false);
                append(&mut connection, &mut state, &rules, &format!("closed/{number}"), true);
                if number < topics {
                    let transaction = connection.transaction().unwrap();
                    super::step(&transaction, &rules, 0, &mut state, 1).unwrap();
                    transaction.commit().unwrap();
                }
            }
            let count = Arc::new(AtomicU64::new(0));
            let transaction = connection.transaction().unwrap();
            transaction.progress_handler(1, {
                let count = count.clone();
                Some(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    false
                })
            });
            super::step(&transaction, &rules, 0, &mut state, 1).unwrap();
            transaction.progress_handler(0, None::<fn() -> bool>);
            transaction.commit().unwrap();
            assert_eq!((count_of(&connection), state.remembered.closes), ((topics, topics), topics));
            count.load(Ordering::Relaxed)
        };
        let (few, many) = (steps(16), steps(1_600));
        assert!(
            many < 2 * few,
            "{many} instructions of SQLite's where 1,600 are remembered, {few} where 16 are"
        );
    }

    fn count_of(connection: &Connection) -> (u64, u64) {
        let gone = "closed WHERE NOT EXISTS (SELECT 1 FROM records WHERE records.sequence = closed.sequence)";
        (count(connection, gone), count(connection, "evicted"))
    }

    #[test]
    fn what_goes_past_damage_is_remembered_within_the_bound_too() {
        let limits = Limits { records: 1, ..Limits::default() };
        let rules = Rules::from(Retention { limits, topics: 4, ..Retention::on_disk() });
        let directory = tempfile::tempdir().unwrap();
        let (mut connection, bounds) = tables::open(&directory.path().join("log.sqlite")).unwrap();
        let mut state = State::load(&connection, &rules, bounds).unwrap();
        append(&mut connection, &mut state, &rules, "damaged", false);
        let damage = "UPDATE records SET topics = CAST(x'ff' AS TEXT) WHERE sequence = 1";
        connection.execute_batch(damage).unwrap();
        for number in 0..20 {
            append(&mut connection, &mut state, &rules, &format!("a/{number} b/{number}"), number % 3 == 0);
            if number % 5 == 4 {
                while step_past_damage(&mut connection, &rules, 0, &mut state).unwrap().more {}
                let (closes, watermarks) = count_of(&connection);
                assert!(closes <= 4 && watermarks <= 4, "{closes} closes, {watermarks} marks");
                assert_eq!(state.remembered, Remembered { closes, watermarks });
                // As it would be after a restart.
                let bounds = tables::bounds(&connection).unwrap();
                assert_eq!(State::load(&connection, &rules, bounds).unwrap().remembered, state.remembered);
                assert_eq!(bounds.oldest, 1, "the damaged one stays");
            }
        }
    }

    #[test]
    fn a_step_past_damage_that_ends_midway_counts_what_has_gone_and_the_next_goes_on() {
        let rule = |limits| Rule { filter: TopicFilter::parse("t").unwrap(), limits };
        let two = Limits { records: 2, ..Limits::default() };
        for retention in [
            Retention { limits: two, ..Retention::in_memory() },
            Retention { rules: vec![rule(two)], ..Retention::in_memory() },
        ] {
            let rules = Rules::from(retention);
            let directory = tempfile::tempdir().unwrap();
            let (mut connection, _) = tables::open(&directory.path().join("log.sqlite")).unwrap();
            for sequence in 1..=10 {
                insert(&connection, sequence, "t");
            }
            let bounds = tables::bounds(&connection).unwrap();
            let mut state = State::load(&connection, &rules, bounds).unwrap();
            let change = |connection: &Connection, change| connection.execute_batch(change).unwrap();
            change(&connection, "UPDATE records SET topics = CAST(x'ff' AS TEXT) WHERE sequence = 4");
            change(
                &connection,
                "CREATE TEMP TRIGGER stays BEFORE DELETE ON records WHEN old.sequence = 2
                 BEGIN SELECT RAISE(ABORT, 'a write that fails'); END",
            );
            let mut step = |connection: &mut Connection, gone: &[u64], unevictable, kept: u64| {
                let evicted = step_past_damage(connection, &rules, 0, &mut state).unwrap();
                let sequences: Vec<_> = evicted.gone.iter().map(|outline| outline.sequence).collect();
                assert_eq!((&*sequences, evicted.unevictable), (gone, unevictable));
                let noted: u64 = connection
                    .query_row("SELECT min(records) FROM kept WHERE up_to = 10", (), |row| row.get(0))
                    .unwrap();
                assert_eq!((state.whole.kept.records, noted), (kept, kept));
                assert!((0..state.groups.len()).all(|number| state.groups.of(number).kept.records == kept));
                assert_eq!(state.bounds.oldest, tables::oldest(connection).unwrap());
                (evicted.more, evicted.ended_by.is_some())
            };
            assert_eq!(step(&mut connection, &[1], 0, 9), (false, true));
            change(&connection, "DROP TRIGGER stays");
            assert_eq!(step(&mut connection, &[2, 3], 1, 7), (true, false));
            assert_eq!(step(&mut connection, &[5, 6, 7, 8, 9], 0, 2), (false, false));
        }
    }
}
