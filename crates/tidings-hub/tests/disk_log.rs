//! The log on disk keeps the contract of every log, and what it has acknowledged.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    fs,
    future::poll_fn,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tidings_hub::{
    Selector, Topic, TopicFilter, Update, UpdateId,
    log::{
        Append, DiskLog, DiskSettings, DiskView, Durability, Finding, IdempotencyKey, Limits, Log, OpenError,
        Page, PageLimit, Retention,
    },
};

tidings_hub::log_contract!(|retention: Retention| -> Arc<dyn Log> {
    // The log outlives this function, so its directory stays, in the target directory.
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    Arc::new(DiskLog::open(&directory, retention).unwrap())
});

tidings_hub::two_handles_contract!(|retention: Retention| -> [Arc<dyn Log>; 2] {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    // Another process cannot have it open: two handles are two clones.
    let log = Arc::new(DiskLog::open(&directory, retention).unwrap());
    [log.clone(), log]
});

mod a_log_that_lists_with_every_commit {
    use super::*;

    tidings_hub::log_contract!(|retention: Retention| -> Arc<dyn Log> {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        Arc::new(DiskLog::open(&directory, listing(0, retention)).unwrap())
    });
}

/// Settings with which at most `unlisted_rows` of the index of topics wait.
fn listing(unlisted_rows: usize, retention: Retention) -> DiskSettings {
    let mut settings = DiskSettings::from(retention);
    settings.unlisted_rows = unlisted_rows;
    settings
}

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
    log.read(0, &Selector::everything(), limit).await.unwrap()
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
    let told = poll_fn(|context| log.follow().as_mut().poll_next(context)).await;
    assert_eq!(told.unwrap().unwrap(), 3);
    assert_eq!(all(&log).await, page);
    assert_eq!(log.find("one", &Selector::everything()).await.unwrap(), Some(2));
    assert!(log.append(vec![named]).await.unwrap().receipts[0].repeated);
    assert!(log.closed(&Topic::parse("closed").unwrap()).await.unwrap().is_some());
    assert_eq!(log.append(vec![update("next").into()]).await.unwrap().receipts[0].sequence, 4);
}

const TOPICS: u64 = 7;

fn topic_of(sequence: u64) -> Topic {
    Topic::parse(&format!("t/{}", sequence % TOPICS)).unwrap()
}

/// Appends `count` updates, to several topics in turn, each with a commit of its own.
async fn append_in_turn(log: &DiskLog, count: u64) {
    let newest = log.bounds().newest.sequence;
    for sequence in newest + 1..=newest + count {
        log.append(vec![Update::new(topic_of(sequence), "").into()]).await.unwrap();
    }
}

/// Reads what some topics have after `after`, and holds it against what `append_in_turn` has appended.
async fn assert_each_comes_once(log: &DiskLog, topics: &[u64], after: u64) {
    let selector: Selector = topics.iter().map(|topic| TopicFilter::Exact(topic_of(*topic))).collect();
    let limit = PageLimit { records: 100_000, bytes: usize::MAX };
    let page = log.read(after, &selector, limit).await.unwrap();
    let first = page.oldest.max(after + 1);
    let read: Vec<u64> =
        page.records.iter().map(|record| record.sequence()).filter(|sequence| *sequence >= first).collect();
    let expected: Vec<u64> = (first..=page.reached.sequence)
        .filter(|sequence| topics.iter().any(|topic| topic % TOPICS == sequence % TOPICS))
        .collect();
    assert_eq!(read, expected, "topics {topics:?} after {after}");
}

/// A copy of the log as a crash would leave it now.
fn crashed(directory: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for name in ["log.sqlite", "log.sqlite-wal"] {
        fs::copy(directory.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn findings(directory: &Path) -> Vec<Finding> {
    DiskView::open(directory).unwrap().check(|_, _| ()).unwrap().findings
}

#[tokio::test]
async fn what_was_not_listed_yet_is_found_by_topic_after_a_crash() {
    // None is listed, a part is, and all are.
    for (unlisted_rows, count) in [(1000, 50), (20, 50), (20, 500), (0, 50)] {
        let directory = TempDir::new().unwrap();
        let log = DiskLog::open(directory.path(), listing(unlisted_rows, Retention::on_disk())).unwrap();
        append_in_turn(&log, count).await;
        // Twice, since what was listed before the first crash may be listed again before the second.
        let mut left = crashed(directory.path());
        for _ in 0..2 {
            assert_eq!(findings(left.path()), []);
            let stat = DiskView::open(left.path()).unwrap().stat().unwrap();
            assert_eq!((stat.topics, stat.records), (TOPICS, log.bounds().newest.sequence));
            let of_topics: u64 = stat.largest_topics.iter().map(|topic| topic.records).sum();
            assert_eq!(of_topics, stat.records);

            let log = DiskLog::open(left.path(), listing(unlisted_rows, Retention::on_disk())).unwrap();
            for after in [0, 1, count / 2, count - 1] {
                for topics in [&[0][..], &[1, 3], &[0, 1, 2, 3, 4, 5, 6]] {
                    assert_each_comes_once(&log, topics, after).await;
                }
            }
            left = crashed(left.path());
        }
    }
}

#[tokio::test]
async fn a_log_goes_on_after_a_crash_in_the_middle_of_listing() {
    let directory = TempDir::new().unwrap();
    let log = DiskLog::open(directory.path(), listing(20, Retention::on_disk())).unwrap();
    append_in_turn(&log, 100).await;
    let left = crashed(directory.path());
    let log = DiskLog::open(left.path(), listing(20, Retention::on_disk())).unwrap();
    append_in_turn(&log, 100).await;
    for topic in 0..TOPICS {
        assert_each_comes_once(&log, &[topic], 0).await;
    }
    drop(log);
    assert_eq!(findings(left.path()), []);
    let connection = rusqlite::Connection::open(left.path().join("log.sqlite")).unwrap();
    let rows: u64 = connection.query_row("SELECT count(*) FROM topics", (), |row| row.get(0)).unwrap();
    assert_eq!(rows, 200, "a log that was closed has listed all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_gets_each_record_once_while_topics_are_listed() {
    for unlisted_rows in [0, 5, 40] {
        let directory = TempDir::new().unwrap();
        let settings = listing(unlisted_rows, limits(500));
        let log = Arc::new(DiskLog::open(directory.path(), settings).unwrap());
        let ended = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = [&[3][..], &[1, 5]]
            .into_iter()
            .map(|topics| {
                let (log, ended) = (log.clone(), ended.clone());
                tokio::spawn(async move {
                    while !ended.load(Ordering::Relaxed) {
                        let newest = log.bounds().newest.sequence;
                        for after in [newest.saturating_sub(100), newest.saturating_sub(10)] {
                            assert_each_comes_once(&log, topics, after).await;
                        }
                    }
                })
            })
            .collect();
        append_in_turn(&log, 1_000).await;
        ended.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_evicted_before_it_was_listed_is_gone() {
    for unlisted_rows in [1000, 5] {
        let directory = TempDir::new().unwrap();
        let log = DiskLog::open(directory.path(), listing(unlisted_rows, limits(20))).unwrap();
        append_in_turn(&log, 100).await;
        assert_eq!(log.bounds().oldest, 81);
        let left = crashed(directory.path());
        drop(log);
        for path in [directory.path(), left.path()] {
            assert_eq!(findings(path), []);
            let log = DiskLog::open(path, listing(unlisted_rows, limits(20))).unwrap();
            append_in_turn(&log, 10).await;
            for topic in 0..TOPICS {
                assert_each_comes_once(&log, &[topic], 0).await;
            }
            drop(log);
            assert_eq!(findings(path), []);
        }
    }
}

/// Opens the log under rules, and waits until all that they tell to go is gone.
async fn open_under(directory: &Path, rules: &[&str], kept: usize) -> DiskLog {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let log = DiskLog::open(directory, Retention { rules, ..Retention::on_disk() }).unwrap();
    for _ in 0..6000 {
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
    for _ in 0..6000 {
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
async fn space_is_given_back_although_somebody_reads_while_the_last_of_it_is_evicted() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path());
    for _ in 0..40 {
        log.append((0..16).map(|_| update(&"x".repeat(1 << 16)).into()).collect()).await.unwrap();
    }
    drop(log);
    let database = directory.path().join("log.sqlite");
    let reader = rusqlite::Connection::open(&database).unwrap();
    let _log = {
        let reading = reader.unchecked_transaction().unwrap();
        reading.query_row("SELECT count(*) FROM records", (), |_| Ok(())).unwrap();
        let log = open_under(directory.path(), &["t=10"], 10).await;
        // Everything is evicted, and what has been written so is copied as far as the reader allows.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(fs::metadata(&database).unwrap().len() > 40 << 20, "the reader still sees it");
        log
    };
    for _ in 0..6000 {
        if fs::metadata(&database).unwrap().len() < 10 << 20 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} bytes are left", fs::metadata(&database).unwrap().len());
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

#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_begins_anew_while_many_publish() {
    let directory = TempDir::new().unwrap();
    let log = Arc::new(open(directory.path()));
    let publishing: Vec<_> = (0..64)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                for _ in 0..16 {
                    log.append(vec![update(&"x".repeat(1 << 16)).into()]).await.unwrap();
                }
            })
        })
        .collect();
    for publisher in publishing {
        publisher.await.unwrap();
    }
    let bytes = |name| fs::metadata(directory.path().join(name)).unwrap().len();
    // At the most 8,000 pages, and a commit of 64 updates.
    assert!(bytes("log.sqlite-wal") < 48 << 20, "{} bytes wait", bytes("log.sqlite-wal"));
    assert!(bytes("log.sqlite") > 16 << 20);
    assert_eq!(all(&log).await.records.len(), 1024);
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

/// All that a pattern finds, page by page, and how many pages that took.
async fn found(log: &DiskLog, filters: &[&str], limit: PageLimit) -> (Vec<u64>, usize) {
    let selector: Selector = filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect();
    let (mut sequences, mut after, mut pages) = (Vec::new(), 0, 0);
    loop {
        let page = log.read(after, &selector, limit).await.unwrap();
        assert_eq!(page.lost, None);
        sequences.extend(page.records.iter().map(|record| record.sequence()));
        pages += 1;
        if page.reached == log.bounds().newest {
            return (sequences, pages);
        }
        assert!(page.reached.sequence > after, "each page leads on");
        let reached = log.record(page.reached.sequence).await.unwrap().unwrap();
        assert_eq!(reached.position(), page.reached, "a subscriber that comes back from there is known");
        after = page.reached.sequence;
    }
}

#[tokio::test]
async fn a_pattern_finds_the_same_in_the_index_and_in_the_records() {
    const COUNT: u64 = 12_000;
    // Some seldom, some in long runs, some under many topics, most under one that nobody asks for.
    let name = |sequence: u64| match sequence {
        sequence if sequence % 1_100 == 0 => format!("rare/{}", sequence % 7),
        sequence if sequence % 97 == 0 => format!("many/{sequence}"),
        5_000..5_700 => "run/x".to_owned(),
        _ => "other".to_owned(),
    };
    for unlisted_rows in [0, 700, 16_384] {
        let directory = TempDir::new().unwrap();
        let log = DiskLog::open(directory.path(), listing(unlisted_rows, Retention::on_disk())).unwrap();
        let all: Vec<u64> = (1..=COUNT).collect();
        for some in all.chunks(1_000) {
            let topic = |sequence: &u64| Topic::parse(&name(*sequence)).unwrap();
            let updates = some.iter().map(|sequence| Update::new(topic(sequence), "x").into());
            log.append(updates.collect()).await.unwrap();
        }
        for filters in [
            &["rare/*"][..],
            &["many/*"],
            &["run/*"],
            &["nothing/*"],
            &["rare/*", "run/*"],
            &["rare/1", "many/*"],
            &["nothing/*", "other"],
        ] {
            let selector: Selector = filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect();
            let matches = |sequence: &u64| selector.matches(&[Topic::parse(&name(*sequence)).unwrap()]);
            let expected: Vec<u64> = all.iter().copied().filter(matches).collect();
            for records in [3, 500] {
                let limit = PageLimit { records, bytes: usize::MAX };
                let (found, pages) = found(&log, filters, limit).await;
                assert_eq!(found, expected, "{filters:?}, {unlisted_rows} unlisted");
                let most = expected.len() / records + 3;
                assert!(pages <= most, "{filters:?}: {pages} pages, {unlisted_rows} unlisted");
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_publish_fails_no_other_of_its_commit() {
    let directory = TempDir::new().unwrap();
    let keyed =
        |data: &str| Append { key: Some(IdempotencyKey::parse("k").unwrap()), ..Append::from(update(data)) };
    let log = open(directory.path());
    log.append(vec![keyed("first")]).await.unwrap();
    append_in_turn(&log, 200).await;
    drop(log);
    // A publisher that uses the key again meets a record that cannot be read.
    let database = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
    database.execute("UPDATE records SET data = 'damaged' WHERE sequence = 1", ()).unwrap();
    drop(database);

    let log = Arc::new(open(directory.path()));
    let publishing: Vec<_> = (0..100)
        .map(|number| {
            let log = log.clone();
            let append = if number % 10 == 5 { keyed("first") } else { update(&number.to_string()).into() };
            tokio::spawn(async move { (number, log.append(vec![append]).await) })
        })
        .collect();
    let mut kept = Vec::new();
    for published in publishing {
        let (number, answer) = published.await.unwrap();
        match number % 10 {
            5 => drop(answer.unwrap_err()),
            _ => kept.push((answer.unwrap().receipts[0].sequence, number.to_string())),
        }
    }
    kept.sort();
    let page = log
        .read(201, &Selector::everything(), PageLimit { records: 1_000, bytes: usize::MAX })
        .await
        .unwrap();
    let read = page.records.iter().map(|record| (record.sequence(), record.event().data().to_owned()));
    assert_eq!(read.collect::<Vec<_>>(), kept);
}

#[tokio::test]
async fn a_log_that_a_publish_failed_in_is_unwell_until_it_can_be_written_to() {
    let directory = TempDir::new().unwrap();
    let append = Append { key: Some(IdempotencyKey::parse("k").unwrap()), ..Append::from(update("first")) };
    let log = open(directory.path());
    log.append(vec![append.clone()]).await.unwrap();
    append_in_turn(&log, 200).await;
    drop(log);
    let database = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
    database.execute("UPDATE records SET data = 'damaged' WHERE sequence = 1", ()).unwrap();
    drop(database);

    let log = open(directory.path());
    log.health().unwrap();
    let error = log.append(vec![append]).await.unwrap_err();
    let shown = error.to_string();
    assert!(
        !shown.contains("sum") && !shown.contains("sqlite"),
        "clients are not told of internals: {shown}"
    );
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("sum"), "and the operator is");
    log.health().expect("one damaged record is no fault of the log");

    let database = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'nothing fits'); END",
        )
        .unwrap();
    log.append(vec![update("next").into()]).await.unwrap_err();
    log.health().unwrap_err();
    database.execute_batch("DROP TRIGGER full").unwrap();
    // The log finds out by itself that others can publish.
    while log.health().is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(log.append(vec![update("next").into()]).await.unwrap().receipts[0].sequence, 202);
    assert!(log.health().is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn a_log_whose_files_are_deleted_acknowledges_nothing_more() {
    for (file, durability) in [
        ("", Durability::Fsync),
        ("log.sqlite", Durability::Fsync),
        ("log.sqlite-wal", Durability::Fsync),
        ("log.sqlite-wal", Durability::Write { sync_every: Duration::from_secs(3600) }),
    ] {
        let directory = TempDir::new().unwrap();
        let mut settings = DiskSettings::default();
        settings.durability = durability;
        let log = DiskLog::open(directory.path(), settings).unwrap();
        log.append(vec![update("kept").into()]).await.unwrap();
        match file {
            "" => fs::remove_dir_all(directory.path()).unwrap(),
            file => fs::remove_file(directory.path().join(file)).unwrap(),
        }
        let error = log.append(vec![update("lost").into()]).await.unwrap_err().to_string();
        assert!(error.contains("deleted"), "{file}: {error}");
        assert!(log.health().unwrap_err().to_string().contains("deleted"), "{file}");
        assert_eq!(all(&log).await.records.len(), 1, "{file}: nobody is shown what was not acknowledged");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_log_creates_is_its_owners_alone() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let above = TempDir::new().unwrap();
    let directory = above.path().join("new/data");
    let log = open(&directory);
    log.append(vec![update("x").into()]).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join("attachments"))), (0o700, 0o700));
    for file in ["lock", "log.sqlite", "log.sqlite-wal", "log.sqlite-shm"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    drop(log);
    // A mode that somebody has chosen stays.
    let database = directory.join("log.sqlite");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o640)).unwrap();
    drop(open(&directory));
    assert_eq!((mode(&directory), mode(&database)), (0o750, 0o640));
}
