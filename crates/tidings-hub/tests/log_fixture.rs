//! A log that an earlier version wrote opens in every later one, and says the same.
//!
//! `cargo test -p tidings-hub --test log_fixture -- --ignored` writes today's version's anew, which a released version
//! never does.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tempfile::TempDir;
use tidings_hub::{
    Selector, Topic, TopicFilter, Update,
    log::{
        Append, DiskLog, DiskSettings, DiskView, Found, IdempotencyKey, Import, Limits, Log, PageLimit,
        Retention,
    },
};

/// An update of every kind. The limit below evicts the first two, one of which is a close.
const UPDATES: &str = r#"
{"topic":"gone","data":"evicted","time":"2026-01-02T03:04:05.001Z"}
{"topic":"ended","type":"close","data":"long ago","close":true,"time":"2026-01-02T03:04:05.002Z"}
{"topic":"news","data":"plain","time":"2026-01-02T03:04:05.003Z"}
{"topic":"news/zürich","type":"wetter","data":"Schnee\n\u2744 und 🦀","time":"2026-01-02T03:04:05.004Z"}
{"topic":"news","data":"named","id":"mine","time":"2026-01-02T03:04:05.005Z"}
{"topic":"news","data":"keyed","key":"once","time":"2026-01-02T03:04:05.006Z"}
{"topic":"jobs/1","data":"","retry":1500,"time":"2026-01-02T03:04:05.007Z"}
{"topic":"jobs/1","data":"secret","private":true,"time":"2026-01-02T03:04:05.008Z"}
{"topic":"jobs/2","topics":["jobs/2","https://example.com/jobs/2"],"data":"two topics","time":"2026-01-02T03:04:05.009Z"}
{"topic":"jobs/1","type":"close","data":"finished","close":true,"time":"2026-01-02T03:04:05.010Z"}
"#;
const EVICTED: usize = 2;

/// Of which versions there is a log; the last one is today's.
const VERSIONS: [i32; 4] = [1, 2, 3, 4];
const NEWEST: i32 = VERSIONS[VERSIONS.len() - 1];

fn fixture(version: i32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/fixtures/log-v{version}"))
}

fn updates() -> Vec<Append> {
    Import::ndjson(UPDATES.as_bytes()).map(Result::unwrap).collect()
}

/// The lines of an export.
fn export(directory: &Path) -> String {
    let view = DiskView::open(directory).unwrap();
    let lines = view.records(Selector::everything(), 0).map(|found| match found.unwrap() {
        Found::Kept(kept) => serde_json::to_string(&kept).unwrap() + "\n",
        Found::Unreadable(damage) => panic!("{damage:?}"),
    });
    lines.collect()
}

/// A copy that may be written to.
fn copy(version: i32) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::copy(fixture(version).join("log.sqlite"), directory.path().join("log.sqlite")).unwrap();
    directory
}

fn assert_is_whole(directory: &Path) {
    let check = DiskView::open(directory).unwrap().check(|_, _| ()).unwrap();
    assert!(check.is_whole(), "{:?}", check.findings);
}

#[tokio::test]
#[ignore = "it writes the fixture, which stays as its version wrote it"]
async fn writes_the_fixture() {
    let fixture = fixture(NEWEST);
    let directory = TempDir::new().unwrap();
    let mut updates = updates();
    let records = (updates.len() - EVICTED) as u64;
    let limits = Limits { records, ..Limits::default() };
    let mut settings = DiskSettings::from(Retention { limits, ..Retention::on_disk() });
    settings.unlisted_rows = 4;
    let log = DiskLog::open(directory.path(), settings).unwrap();
    let last = updates.split_off(7);
    for batch in [updates, last] {
        assert_eq!(log.append(batch).await.unwrap().refused, None);
    }
    // As a crash would leave it: of the topics, only some of the records are listed.
    let database = directory.path().join("log.sqlite");
    let connection = Connection::open(&database).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
    let listed: u64 = connection.query_row("SELECT listed FROM log", (), |row| row.get(0)).unwrap();
    assert!((1..10).contains(&listed), "{listed}");
    fs::create_dir_all(&fixture).unwrap();
    fs::write(fixture.join("export.ndjson"), export(directory.path())).unwrap();
    fs::copy(database, fixture.join("log.sqlite")).unwrap();
}

#[test]
fn an_older_versions_log_is_looked_at_as_it_is() {
    for version in VERSIONS {
        let directory = copy(version);
        let exported = fs::read_to_string(fixture(version).join("export.ndjson")).unwrap();
        assert_eq!(export(directory.path()), exported);
        assert_is_whole(directory.path());
        let stat = DiskView::open(directory.path()).unwrap().stat().unwrap();
        assert_eq!((stat.version, stat.records, stat.topics), (version, 8, 5));
        let largest = stat.largest_topics.iter().map(|topic| (&*topic.topic, topic.records));
        let expected = [
            ("jobs/1", 3),
            ("news", 3),
            ("https://example.com/jobs/2", 1),
            ("jobs/2", 1),
            ("news/zürich", 1),
        ];
        assert_eq!(largest.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn an_older_versions_log_says_exactly_what_was_published() {
    for version in VERSIONS {
        let directory = copy(version);
        // All that it says, the hub's IDs included, is beside it.
        let log = DiskLog::open(directory.path(), DiskSettings::default()).unwrap();
        let exported = fs::read_to_string(fixture(version).join("export.ndjson")).unwrap();
        assert_eq!(export(directory.path()), exported);
        assert_is_whole(directory.path());

        let written = updates();
        let limit = PageLimit { records: 100, bytes: usize::MAX };
        let page = log.read(0, &Selector::everything(), limit).await.unwrap();
        // The close whose record was evicted stands before the records.
        let (tombstone, records) = page.records.split_first().unwrap();
        assert!(tombstone.says_the_same_as(&written[1].update) && tombstone.sequence() == 2);
        assert_eq!((records.len(), page.oldest, page.lost.is_some()), (written.len() - EVICTED, 3, true));
        for (record, append) in records.iter().zip(&written[EVICTED..]) {
            assert!(record.says_the_same_as(&append.update), "{record:?}");
            assert_eq!(Some(record.time()), append.time.map(Into::into));
        }
        for (topic, expected) in [("news", &[3, 5, 6][..]), ("jobs/1", &[7, 8, 10]), ("jobs/2", &[9])] {
            let page = log.read(0, &only(topic), limit).await.unwrap();
            let sequences: Vec<u64> = page.records.iter().map(|record| record.sequence()).collect();
            assert_eq!(sequences, expected, "{topic}");
        }
    }
}

#[tokio::test]
async fn an_older_versions_log_goes_on() {
    for version in VERSIONS {
        let directory = copy(version);
        let log = DiskLog::open(directory.path(), DiskSettings::default()).unwrap();
        let (newest, written) = (log.bounds().newest.sequence, updates());

        // The evictions are known, topic by topic.
        let limit = PageLimit { records: 1, bytes: 0 };
        for (topic, lost) in [("gone", true), ("news", false)] {
            assert_eq!(log.read(0, &only(topic), limit).await.unwrap().lost.is_some(), lost, "{topic}");
        }
        // IDs, keys and closes of then are still taken.
        let repeated = vec![written[4].clone(), written[5].clone(), written[9].clone(), written[1].clone()];
        let receipts = log.append(repeated).await.unwrap().receipts;
        let repeated: Vec<_> = receipts.iter().map(|receipt| (receipt.sequence, receipt.repeated)).collect();
        assert_eq!(repeated, [(5, true), (6, true), (10, true), (2, true)]);
        let update = |topic| Update::new(Topic::parse(topic).unwrap(), "next");
        assert!(log.append(vec![update("jobs/1").into()]).await.unwrap().refused.is_some());
        let receipts = log.append(vec![update("news").into()]).await.unwrap().receipts;
        assert_eq!(receipts[0].sequence, newest + 1);
        drop(log);
        assert_is_whole(directory.path());
        assert_eq!(DiskView::open(directory.path()).unwrap().stat().unwrap().version, NEWEST);
    }
}

#[tokio::test]
async fn a_key_of_an_older_version_that_may_be_numbered_is_taken_in_both_spellings() {
    for version in [1, 2] {
        let directory = copy(version);
        let database = Connection::open(directory.path().join("log.sqlite")).unwrap();
        database.execute("UPDATE records SET key = 'once#12' WHERE key = 'once'", ()).unwrap();
        drop(database);
        let limits = Limits { records: 10, ..Limits::default() };
        let log = DiskLog::open(directory.path(), Retention { limits, ..Retention::on_disk() }).unwrap();
        let once = IdempotencyKey::parse("once").unwrap();
        let spellings = [once.numbered(12), IdempotencyKey::parse("once#12").unwrap()];
        let repeat = |key: &IdempotencyKey| Append { key: Some(key.clone()), ..updates()[5].clone() };
        let next = || Update::new(Topic::parse("news").unwrap(), "next").into();
        // While it is kept, and once it is evicted.
        for keeps in [true, false] {
            for key in &spellings {
                let receipts = log.append(vec![repeat(key)]).await.unwrap().receipts;
                assert_eq!((receipts[0].sequence, receipts[0].repeated), (6, true), "{key}, {version}");
                let other = Append { key: Some(key.clone()), ..next() };
                assert!(log.append(vec![other]).await.unwrap().refused.is_some(), "{key}, {version}");
            }
            assert_eq!(log.record(6).await.unwrap().is_some(), keeps);
            log.append(std::iter::repeat_with(next).take(10).collect()).await.unwrap();
        }
        // Others are what they are spelled.
        for key in [once.numbered(1), IdempotencyKey::parse("once#1").unwrap(), once.clone()] {
            assert!(!log.append(vec![repeat(&key)]).await.unwrap().receipts[0].repeated, "{key}, {version}");
        }
        drop(log);
        assert_is_whole(directory.path());
    }
}

fn only(topic: &str) -> Selector {
    [TopicFilter::parse(topic).unwrap()].into_iter().collect()
}
