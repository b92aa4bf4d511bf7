//! Acknowledged updates read back, with any content and in any way: after restarts, in a copy, and over HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tidings_hub::{
    Selector, UpdateRetry,
    log::{
        DiskLog, DiskSettings, DiskView, Durability, Found, Import, Limits, Log, PageLimit, Record,
        Retention,
        contract::acknowledged::{Acknowledged, seed, updates},
    },
};

const ALL: PageLimit = PageLimit { records: usize::MAX - 1, bytes: usize::MAX };

/// A log that keeps everything, and is not slowed down by the disk.
fn open(directory: &Path) -> DiskLog {
    let retention = Retention { limits: Limits::default(), ..Retention::on_disk() };
    let mut settings = DiskSettings::from(retention);
    settings.durability = Durability::Write { sync_every: Duration::from_secs(1) };
    DiskLog::open(directory, settings).unwrap()
}

async fn all(log: &DiskLog) -> Vec<Arc<Record>> {
    log.read(0, &Selector::everything(), ALL).await.unwrap().records
}

#[tokio::test]
async fn what_a_log_on_disk_has_acknowledged_reads_back_after_restarts_and_in_a_copy() {
    let directory = TempDir::new().unwrap();
    let mut acknowledged = Acknowledged::new(seed());
    let lives = 5;
    for life in 1..=lives {
        let log = open(directory.path());
        acknowledged.append(&log, updates(2_000) / lives).await;
        let before = all(&log).await;
        drop(log);
        let log = open(directory.path());
        assert_eq!(all(&log).await, before, "life {life}");
        acknowledged.check(&log).await;
    }
    let view = DiskView::open(directory.path()).unwrap();
    assert!(view.check(|_, _| ()).unwrap().is_whole());

    let mut export = Vec::new();
    for found in view.records(Selector::everything(), 0) {
        let Found::Kept(kept) = found.unwrap() else { panic!("all of it can be read") };
        serde_json::to_writer(&mut export, &kept).unwrap();
        export.push(b'\n');
    }
    let copy = TempDir::new().unwrap();
    let log = open(copy.path());
    for import in 1..=2 {
        let lines = Import::ndjson(&export[..]).with_max_retry(UpdateRetry::MAX);
        let batch: Vec<_> = lines.map(Result::unwrap).collect();
        for batch in batch.chunks(1_000) {
            let appended = log.append(batch.to_vec()).await.unwrap();
            assert_eq!((appended.receipts.len(), appended.refused), (batch.len(), None), "import {import}");
        }
        acknowledged.check_copy(&all(&log).await);
    }
}
