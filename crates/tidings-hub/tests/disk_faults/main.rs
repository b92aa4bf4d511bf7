//! The log on a disk that fails, fills up, or loses power, at every point where it could.
//!
//! SQLite writes through a file system of our own ([`vfs`]), which tells a [`medium`] of each step before it happens.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod medium;
mod script;
mod vfs;

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
    thread,
    time::UNIX_EPOCH,
};

use medium::{Fault, Kind, Medium, Operation, Survivors, after_power_loss};
use rusqlite::{Connection, ffi};
use script::{
    Answers, Batch, acknowledged_is_readable, batches, open, opens_with_all_that_was_acknowledged, settings,
};
use tempfile::TempDir;
use tidings_hub::{
    Topic, Update,
    log::{Append, DiskLog, IdempotencyKey, Log, LogError, OpenError},
};

/// Says where a test was when it failed.
struct Context(String);

impl Drop for Context {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The kinds of a power loss that are tried at one point.
fn survivors(point: usize) -> [Survivors; 4] {
    let seed = 2 * point as u64;
    [Survivors::Nothing, Survivors::Everything, Survivors::Some(seed), Survivors::Some(seed + 1)]
}

/// Checks what a log finds that is opened when power is back.
async fn survives_power_loss(
    history: &[Operation],
    survivors: Survivors,
    batches: &[Batch],
    answers: &Answers,
) {
    let directory = directory();
    for (name, content) in after_power_loss(history, survivors) {
        fs::write(directory.path().join(name), content).unwrap();
    }
    // From here on it needs no disk that is slow and safe.
    Medium::below(directory.path());
    opens_with_all_that_was_acknowledged(directory.path(), batches, answers).await;
    Medium::remove(directory.path());
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_loss_of_power_at_every_write_and_sync() {
    let (directory, batches) = (directory(), batches());
    let medium = Medium::below(directory.path());
    let mut answers = Answers::new();
    let mut log = open(directory.path());
    for (step, together) in script::TOGETHER.into_iter().enumerate() {
        let appending: Vec<_> = together
            .map(|number| {
                let (log, medium, batch) = (log.clone(), medium.clone(), batches[number].clone());
                tokio::spawn(async move {
                    let answer = log.append(batch).await.unwrap();
                    medium.acknowledged(number);
                    (number, answer)
                })
            })
            .collect();
        for appended in appending {
            answers.extend([appended.await.unwrap()]);
        }
        match step {
            // The write-ahead log begins anew, over its old content.
            1 | 4 => {
                let connection = Connection::open(directory.path().join("log.sqlite")).unwrap();
                connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())).unwrap();
            }
            // The process ends, and another begins.
            3 => {
                drop(log);
                log = open(directory.path());
            }
            _ => {}
        }
    }
    drop(log);
    Medium::remove(directory.path());

    let history = medium.history();
    let mut tried = 0;
    let mut acknowledged = Answers::new();
    for point in 0..=history.len() {
        if let Some(Operation::Acknowledged(number)) = point.checked_sub(1).map(|before| &history[before]) {
            acknowledged.insert(*number, answers[number].clone());
        }
        for survivors in survivors(point) {
            let _context =
                Context(format!("power lost after {point} of {} steps, {survivors:?}", history.len()));
            survives_power_loss(&history[..point], survivors, &batches, &acknowledged).await;
            tried += 1;
        }
    }
    assert_eq!(acknowledged.len(), batches.len());
    println!("{tried} losses of power, at each of {} steps", history.len());
}

/// The answers of a log that met a fault.
#[derive(Default)]
struct Met {
    /// How many appends, or attempts to open the log, failed.
    failures: usize,
    answers: Answers,
}

/// Appends all batches to a new log on a disk that will fail, each until it is acknowledged, and checks what the log
/// says and does in between.
async fn append_all(directory: &Path, medium: &Medium, batches: &[Batch], fault: Fault) -> Met {
    let mut met = Met::default();
    let mut log = open_in_the_end(directory, medium, &mut met.failures);
    for (number, batch) in batches.iter().enumerate() {
        // Once refused, once more while the disk still fails, and then it works.
        for attempt in 0.. {
            let error = match log.append(batch.clone()).await {
                Ok(answer) => {
                    assert!(fault.kind == Kind::Write || attempt != 1, "after a sync that failed");
                    met.answers.insert(number, answer);
                    break;
                }
                Err(error) => error,
            };
            met.failures += 1;
            // These were written, and could not be synced.
            let hidden = if fault.kind == Kind::Sync { batch.len() } else { 0 };
            acknowledged_is_readable(&log, batches, &met.answers, hidden).await;
            assert_eq!(matches!(error, LogError::Full), fault.code == ffi::SQLITE_FULL, "{error:?}");
            match (fault.kind, fault.lasting, attempt) {
                (Kind::Write, _, 0) => {}
                (Kind::Write, true, 1) => medium.repair(),
                (Kind::Sync, _, 0) => medium.repair(),
                // The disk is fine again, and nothing is written all the same: only a new start is safe.
                (Kind::Sync, _, 1) => {
                    drop(log);
                    log = Arc::new(open_again(directory, medium).unwrap());
                }
                _ => panic!("attempt {attempt} failed: {error}"),
            }
        }
    }
    met
}

/// Opens the log on what may be left there, and tells the medium if the write-ahead log was written once more, which
/// does not go through SQLite.
fn open_again(directory: &Path, medium: &Medium) -> Result<DiskLog, OpenError> {
    let path = directory.join("log.sqlite-wal");
    let left = File::options().write(true).open(&path);
    if let Ok(left) = &left {
        left.set_modified(UNIX_EPOCH).unwrap();
    }
    let opened = DiskLog::open(directory, settings());
    let modified = fs::metadata(&path).map(|metadata| metadata.modified().unwrap());
    if left.is_ok() && modified.is_ok_and(|modified| modified > UNIX_EPOCH) {
        let content = fs::read(&path).unwrap();
        medium.writes("log.sqlite-wal", 0, &content);
        medium.syncs("log.sqlite-wal");
    }
    opened
}

/// Opens the log, again if need be, on a disk that is repaired after the second failure.
fn open_in_the_end(directory: &Path, medium: &Medium, failures: &mut usize) -> Arc<DiskLog> {
    for attempt in 0..3 {
        match open_again(directory, medium) {
            Ok(log) => return Arc::new(log),
            Err(error) => assert!(medium.has_failed(), "{error:?}"),
        }
        *failures += 1;
        if attempt == 1 {
            medium.repair();
        }
    }
    panic!("the log cannot be opened on a disk that works");
}

/// Lets a disk fail at each operation of a kind in turn.
async fn fail_everywhere(kind: Kind, lasting: bool, code: std::ffi::c_int) {
    let batches = batches();
    let (mut points, mut failures) = (0, 0);
    for number in 0.. {
        let fault = Fault { kind, number, lasting, code };
        let _context = Context(format!("{fault:?}"));
        let directory = directory();
        let medium = Medium::below(directory.path());
        medium.fail(fault);
        let met = append_all(directory.path(), &medium, &batches, fault).await;
        medium.repair();
        let history = medium.history();
        // The process ends, or the power: after the last acknowledgement.
        opens_with_all_that_was_acknowledged(directory.path(), &batches, &met.answers).await;
        Medium::remove(directory.path());
        for survivors in survivors(number) {
            let _context = Context(format!("then power lost, {survivors:?}"));
            survives_power_loss(&history, survivors, &batches, &met.answers).await;
        }
        if !medium.has_failed() {
            break;
        }
        (points, failures) = (points + 1, failures + met.failures);
    }
    println!("{kind:?} lasting {lasting} code {code}: {points} points of failure, {failures} failures seen");
    assert!(points > 10 && failures > points / 4, "the faults were met");
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    fail_everywhere(Kind::Write, false, ffi::SQLITE_FULL).await;
    fail_everywhere(Kind::Write, true, ffi::SQLITE_FULL).await;
}

#[tokio::test]
async fn a_write_that_fails_loses_nothing() {
    fail_everywhere(Kind::Write, false, ffi::SQLITE_IOERR_WRITE).await;
    fail_everywhere(Kind::Write, true, ffi::SQLITE_IOERR_WRITE).await;
}

#[tokio::test]
async fn after_a_sync_that_fails_nothing_is_written_until_the_log_is_opened_again() {
    fail_everywhere(Kind::Sync, false, ffi::SQLITE_IOERR_FSYNC).await;
    fail_everywhere(Kind::Sync, true, ffi::SQLITE_IOERR_FSYNC).await;
}

#[tokio::test]
async fn the_write_ahead_log_never_begins_anew_after_the_database_failed_to_sync() {
    let (directory, mut answers) = (directory(), Answers::new());
    let batches: Vec<Batch> = (0..12).map(|number| vec![large_update(number)]).collect();
    let medium = Medium::below(directory.path());
    // No topics are listed here: an append of what is there already has nothing to write.
    let log = DiskLog::open(directory.path(), settings().retention).unwrap();
    let mut reader = Some(Connection::open(directory.path().join("log.sqlite")).unwrap());
    for (number, batch) in batches.iter().enumerate() {
        match number {
            // For the sake of this reader, later writes cannot be copied into the database. Earlier writes
            // are copied, but not synced.
            3 => {
                let reader = reader.as_ref().unwrap();
                reader.execute_batch("BEGIN").unwrap();
                reader.query_row("SELECT max(sequence) FROM records", (), |_| Ok(())).unwrap();
            }
            // The commit is synced, and once more before it is copied, and then the checkpoint syncs, before and after it copies
            // the rest. The first part has been copied before, and the system has just forgotten it.
            8 => {
                // Answered after all that the last one led to.
                assert!(log.append(batches[7].clone()).await.unwrap().receipts[0].repeated);
                drop(reader.take());
                medium.fail(Fault {
                    kind: Kind::Sync,
                    number: 3,
                    lasting: false,
                    code: ffi::SQLITE_IOERR_FSYNC,
                });
            }
            _ => {}
        }
        match log.append(batch.clone()).await {
            Ok(answer) => drop(answers.insert(number, answer)),
            Err(error) => assert!(number > 8 && matches!(error, LogError::Unavailable { .. }), "{error:?}"),
        }
    }
    let in_database =
        |operation: &Operation| matches!(operation, Operation::FailedSync { file } if file == "log.sqlite");
    assert_eq!(medium.history().iter().filter(|operation| in_database(operation)).count(), 1);
    drop(log);
    let history = medium.history();
    Medium::remove(directory.path());
    for survivors in survivors(0) {
        let _context = Context(format!("{survivors:?}"));
        survives_power_loss(&history, survivors, &batches, &answers).await;
    }
    assert_eq!(answers.len(), 9, "nothing is acknowledged that may not be kept");
}

/// Here publishers wait, so another thread copies and syncs while the next commits are written.
#[tokio::test]
async fn a_sync_that_fails_while_commits_and_copies_overlap_loses_nothing() {
    let batches: Vec<Batch> = (0..18).map(|number| vec![large_update(number)]).collect();
    for number in 0.. {
        let _context = Context(format!("sync {number} failed"));
        let (directory, mut answers) = (directory(), Answers::new());
        let medium = Medium::below(directory.path());
        let log = Arc::new(DiskLog::open(directory.path(), settings().retention).unwrap());
        medium.fail(Fault { kind: Kind::Sync, number, lasting: false, code: ffi::SQLITE_IOERR_FSYNC });
        for together in [0..9, 9..18] {
            let appending: Vec<_> = together
                .map(|number| {
                    let (log, batch) = (log.clone(), batches[number].clone());
                    tokio::spawn(async move { (number, log.append(batch).await) })
                })
                .collect();
            for appended in appending {
                match appended.await.unwrap() {
                    (number, Ok(answer)) => drop(answers.insert(number, answer)),
                    (_, Err(error)) => assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}"),
                }
            }
        }
        drop(log);
        let history = medium.history();
        Medium::remove(directory.path());
        for survivors in [Survivors::Nothing, Survivors::Everything] {
            let _context = Context(format!("then power lost, {survivors:?}"));
            survives_power_loss(&history, survivors, &batches, &answers).await;
        }
        if !medium.has_failed() {
            assert!(number > 5, "faults were met");
            assert_eq!(answers.len(), batches.len());
            break;
        }
    }
}

/// Seven of these are more than the write-ahead log may have before it is copied.
fn large_update(number: usize) -> Append {
    let update = Update::new(Topic::parse("large").unwrap(), format!("{number} ").repeat(300_000));
    Append { update, key: Some(IdempotencyKey::parse(&number.to_string()).unwrap()), time: None }
}
