//! Steps, with and without damage, and what they cost.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rusqlite::{Connection, ffi, types::Type};

use super::{is_damage, step_past_damage};
use crate::{
    Topic, TopicFilter, Update,
    log::{
        Limits, Record, RecordTime, Retention, Rule,
        disk::{
            schema::tables,
            write::{
                insert::Inserting,
                state::{Remembered, State},
            },
        },
        retention_rules::Rules,
    },
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
            tidings_codec::Event::new("over").with_type(tidings_codec::EventType::parse("close").unwrap()),
            false,
            true,
        ),
        false => Update::stored(topics, tidings_codec::Event::new("data"), false, false),
    };
    let record = Record::new(state.bounds.epoch, state.bounds.newest.sequence + 1, RecordTime::MIN, update);
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
    assert!(many < 2 * few, "{many} instructions of SQLite's where 1,600 are remembered, {few} where 16 are");
}

fn count_of(connection: &Connection) -> (u64, u64) {
    let gone = "closed WHERE NOT EXISTS (SELECT 1 FROM records WHERE records.sequence = closed.sequence)";
    (count(connection, gone), count(connection, "evicted"))
}

#[test]
fn records_evicted_past_damage_are_remembered_within_the_bound_too() {
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
