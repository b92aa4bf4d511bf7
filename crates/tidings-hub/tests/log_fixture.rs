//! A log that the first version wrote opens in every later one, and says the same.
//!
//! `cargo test -p tidings-hub --test log_fixture -- --ignored` writes it anew, which a released version never does.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tidings_hub::{
    Interest, Topic, Update,
    log::{Append, DiskLog, DiskSettings, DiskView, Found, Import, Limits, Log, PageLimit, Retention},
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

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/log-v1")
}

fn updates() -> Vec<Append> {
    Import::ndjson(UPDATES.as_bytes()).map(Result::unwrap).collect()
}

/// The lines of an export.
fn export(directory: &Path) -> String {
    let view = DiskView::open(directory).unwrap();
    let lines = view.records(Interest::everything(), 0).map(|found| match found.unwrap() {
        Found::Kept(kept) => serde_json::to_string(&kept).unwrap() + "\n",
        Found::Unreadable(damage) => panic!("{damage:?}"),
    });
    lines.collect()
}

/// A copy that may be written to.
fn copy() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::copy(fixture().join("log.sqlite"), directory.path().join("log.sqlite")).unwrap();
    directory
}

#[tokio::test]
#[ignore = "it writes the fixture, which stays as the first version wrote it"]
async fn writes_the_fixture() {
    let directory = TempDir::new().unwrap();
    let updates = updates();
    let records = (updates.len() - EVICTED) as u64;
    let limits = Limits { records, ..Limits::default() };
    let log = DiskLog::open(directory.path(), Retention { limits, ..Retention::on_disk() }).unwrap();
    assert_eq!(log.append(updates).await.unwrap().refused, None);
    drop(log);
    fs::create_dir_all(fixture()).unwrap();
    fs::write(fixture().join("export.ndjson"), export(directory.path())).unwrap();
    fs::copy(directory.path().join("log.sqlite"), fixture().join("log.sqlite")).unwrap();
}

#[tokio::test]
async fn the_first_versions_log_says_exactly_what_was_published() {
    let directory = copy();
    // All that it says, the hub's IDs included, is beside it.
    let log = DiskLog::open(directory.path(), DiskSettings::default()).unwrap();
    let exported = fs::read_to_string(fixture().join("export.ndjson")).unwrap();
    assert_eq!(export(directory.path()), exported);
    assert!(DiskView::open(directory.path()).unwrap().check(|_, _| ()).unwrap().is_whole());

    let written = updates();
    let limit = PageLimit { records: 100, bytes: usize::MAX };
    let page = log.read(0, &Interest::everything(), limit).await.unwrap();
    // The close whose record was evicted stands before the records.
    let (tombstone, records) = page.records.split_first().unwrap();
    assert!(tombstone.says_the_same_as(&written[1].update) && tombstone.sequence() == 2);
    assert_eq!((records.len(), page.oldest, page.lost.is_some()), (written.len() - EVICTED, 3, true));
    for (record, append) in records.iter().zip(&written[EVICTED..]) {
        assert!(record.says_the_same_as(&append.update), "{record:?}");
        assert_eq!(Some(record.time()), append.time);
    }
}

#[tokio::test]
async fn the_first_versions_log_goes_on() {
    let directory = copy();
    let log = DiskLog::open(directory.path(), DiskSettings::default()).unwrap();
    let (newest, written) = (log.bounds().newest.sequence, updates());

    // What was evicted is known, topic by topic.
    let limit = PageLimit { records: 1, bytes: 0 };
    for (topic, lost) in [("gone", true), ("news", false)] {
        let interest = [tidings_hub::TopicFilter::parse(topic).unwrap()].into_iter().collect();
        assert_eq!(log.read(0, &interest, limit).await.unwrap().lost.is_some(), lost, "{topic}");
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
    assert!(DiskView::open(directory.path()).unwrap().check(|_, _| ()).unwrap().is_whole());
}
