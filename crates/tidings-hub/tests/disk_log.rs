//! The log on disk keeps the contract of every log, and what it has acknowledged.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tidings_hub::{
    Interest, Topic, Update, UpdateId,
    log::{Append, DiskLog, DiskView, IdempotencyKey, Limits, Log, OpenError, Page, PageLimit, Retention},
};

tidings_hub::log_contract!(|retention: Retention| -> Arc<dyn Log> {
    // The log outlives this function, so its directory stays, in the target directory.
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    Arc::new(DiskLog::open(&directory, retention).unwrap())
});

fn limits(records: usize) -> Retention {
    let limits = Limits { records: records as u64, ..Limits::default() };
    Retention { limits, ..Retention::on_disk() }
}

fn open(directory: &Path) -> DiskLog {
    DiskLog::open(directory, Retention::on_disk()).unwrap()
}

fn update(data: &str) -> Update {
    Update::new(Topic::parse("t").unwrap(), data)
}

async fn all(log: &DiskLog) -> Page {
    let limit = PageLimit { records: 100_000, bytes: usize::MAX };
    log.read(0, &Interest::everything(), limit).await.unwrap()
}

#[tokio::test]
async fn all_of_it_is_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path());
    let named = Append {
        update: update("named").with_id(UpdateId::parse("one").unwrap()),
        key: Some(IdempotencyKey::parse("k").unwrap()),
        time: None,
    };
    let close = Update::close(Topic::parse("closed").unwrap(), "done");
    log.append(vec![update("first").into(), named.clone(), close.into()]).await.unwrap();
    let (bounds, page) = (log.bounds(), all(&log).await);
    drop(log);

    let log = open(directory.path());
    assert_eq!(log.bounds(), bounds);
    assert_eq!(*log.follow().borrow(), 3);
    assert_eq!(all(&log).await, page);
    assert_eq!(log.find("one").await.unwrap(), Some(2));
    assert!(log.append(vec![named]).await.unwrap().receipts[0].repeated);
    assert!(log.closed(&Topic::parse("closed").unwrap()).await.unwrap().is_some());
    assert_eq!(log.append(vec![update("next").into()]).await.unwrap().receipts[0].sequence, 4);
}

/// Opens the log under rules, and waits until all that they tell to go is gone.
async fn open_under(directory: &Path, rules: &[&str], kept: usize) -> DiskLog {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let log = DiskLog::open(directory, Retention { rules, ..Retention::on_disk() }).unwrap();
    for _ in 0..1000 {
        if all(&log).await.records.len() == kept {
            return log;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} are kept, and not {kept}", all(&log).await.records.len());
}

#[tokio::test]
async fn new_rules_keep_the_newest_of_each_of_their_topics() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path());
    for name in ["b", "a", "c"] {
        let updates = (0..1000).map(|number| Update::new(Topic::parse(name).unwrap(), number.to_string()));
        log.append(updates.map(Append::from).collect()).await.unwrap();
    }
    drop(log);
    let log = open_under(directory.path(), &["c=10", "a=20", "b=30"], 60).await;
    let kept: Vec<u64> = all(&log).await.records.iter().map(|record| record.sequence()).collect();
    let expected: Vec<u64> = (971..=1000).chain(1981..=2000).chain(2991..=3000).collect();
    assert_eq!(kept, expected);
    // And so it goes on.
    for name in ["a", "b", "c"] {
        log.append(vec![Update::new(Topic::parse(name).unwrap(), "new").into()]).await.unwrap();
    }
    let kept: Vec<u64> = all(&log).await.records.iter().map(|record| record.sequence()).collect();
    let expected: Vec<u64> = (972..=1000).chain(1982..=2000).chain(2992..=3000).chain(3001..=3003).collect();
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn space_is_given_back_to_the_file_system() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path());
    for _ in 0..40 {
        log.append((0..16).map(|_| update(&"x".repeat(1 << 16)).into()).collect()).await.unwrap();
    }
    drop(log);
    let bytes = || fs::metadata(directory.path().join("log.sqlite")).unwrap().len();
    assert!(bytes() > 40 << 20);
    // Nobody publishes, and it is given back all the same.
    let log = open_under(directory.path(), &["t=10"], 10).await;
    for _ in 0..1000 {
        if bytes() < 10 << 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(bytes() < 10 << 20, "{} bytes are left", bytes());
    drop(log);
    let check = DiskView::open(directory.path()).unwrap().check(|_, _| ()).unwrap();
    assert!(check.findings.is_empty(), "{:?}", check.findings);
}

#[tokio::test]
async fn a_log_that_is_written_without_a_pause_stays_at_its_limit() {
    let directory = TempDir::new().unwrap();
    let log = DiskLog::open(directory.path(), limits(1_000)).unwrap();
    for _ in 0..10 {
        log.append((0..2_000).map(|_| update("x").into()).collect()).await.unwrap();
        let bounds = log.bounds();
        assert!(bounds.newest.sequence + 1 - bounds.oldest <= 1_000, "{bounds:?}");
    }
}

#[tokio::test]
async fn two_processes_never_share_a_directory() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path());
    assert!(matches!(DiskLog::open(directory.path(), limits(1)), Err(OpenError::InUse { .. })));
    drop(log);
    open(directory.path());
}

#[tokio::test]
async fn what_is_no_log_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.sqlite");
    std::fs::write(&path, "precious".repeat(1000)).unwrap();
    assert!(matches!(DiskLog::open(directory.path(), limits(1)), Err(OpenError::NotADatabase { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), "precious".repeat(1000).into_bytes());
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE precious (thing)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(DiskLog::open(directory.path(), limits(1)), Err(OpenError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
