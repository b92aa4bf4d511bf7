//! Ages of records go by a clock that neither a wrong time nor a jump of the machine's clock can mislead.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;
use tidings_hub::{
    Selector, Topic, Update,
    log::{Append, Clock, DiskLog, Limits, Log, MemoryLog, PageLimit, RecordTime, Retention},
};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Time that passes when a test says so.
#[derive(Clone)]
struct Time(Arc<Mutex<(SystemTime, Duration)>>);

impl Time {
    fn new() -> Time {
        Time(Arc::new(Mutex::new((SystemTime::now(), Duration::ZERO))))
    }

    fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::reading(move || *time.0.lock().unwrap())
    }

    fn pass(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = (now.0 + Duration::from_secs(seconds), now.1 + Duration::from_secs(seconds));
    }

    fn jump(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        let by = Duration::from_secs(seconds.unsigned_abs());
        now.0 = if seconds < 0 { now.0 - by } else { now.0 + by };
    }

    fn now(&self) -> SystemTime {
        self.0.lock().unwrap().0
    }
}

fn retention(rules: &[&str]) -> Retention {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    Retention { rules, ..Retention::in_memory() }
}

/// A log in memory, and one on disk in `directory`.
fn both(directory: &Path, retention: &Retention, time: &Time) -> [Box<dyn Log>; 2] {
    [
        Box::new(MemoryLog::with_clock(retention.clone(), time.clock())),
        Box::new(DiskLog::open_with_clock(directory, retention.clone(), time.clock()).unwrap()),
    ]
}

async fn append(log: &dyn Log, name: &str, time: SystemTime) {
    let update = Update::new(Topic::parse(name).unwrap(), "");
    let time = Some(RecordTime::parse(time).unwrap());
    log.append(vec![Append { update, key: None, time }]).await.unwrap();
}

/// Appends to another topic until the steps of evicting have come to an end, and says how many of `name` are kept.
async fn kept(log: &dyn Log, name: &str, time: &Time) -> usize {
    for _ in 0..4 {
        append(log, "other", time.now()).await;
    }
    let selector: Selector = Topic::parse(name).unwrap().into();
    log.read(0, &selector, PageLimit { records: 1_000, bytes: usize::MAX }).await.unwrap().records.len()
}

#[tokio::test]
async fn a_record_from_the_future_stops_no_retention() {
    for rules in [&["x=1h"][..], &["*=1h"], &["x=1h", "far=1h", "other=2h"]] {
        let (directory, time) = (TempDir::new().unwrap(), Time::new());
        for log in both(directory.path(), &retention(rules), &time) {
            let now = time.now();
            append(&*log, "far", now + Duration::from_secs(400 * DAY)).await;
            append(&*log, "x", now).await;
            append(&*log, "x", now + Duration::from_secs(400 * DAY)).await;
            append(&*log, "x", now).await;
            assert_eq!(kept(&*log, "x", &time).await, 3, "{rules:?}");
            time.pass(2 * HOUR);
            assert_eq!(kept(&*log, "x", &time).await, 0, "{rules:?}");
            let far = kept(&*log, "far", &time).await;
            assert_eq!(far, usize::from(!rules.contains(&"*=1h") && !rules.contains(&"far=1h")), "{rules:?}");
        }
    }
}

#[tokio::test]
async fn many_records_from_the_future_are_passed_by() {
    let (directory, time) = (TempDir::new().unwrap(), Time::new());
    for log in both(directory.path(), &retention(&["x=1h"]), &time) {
        let far = Some(RecordTime::parse(time.now() + Duration::from_secs(400 * DAY)).unwrap());
        let update = || Update::new(Topic::parse("x").unwrap(), "");
        let batch = (0..9_000).map(|_| Append { update: update(), key: None, time: far });
        log.append(batch.collect()).await.unwrap();
        append(&*log, "x", time.now()).await;
        time.pass(2 * HOUR);
        // On disk in steps, a thousand records with each append at the most.
        for _ in 0..30 {
            kept(&*log, "x", &time).await;
        }
        assert_eq!(kept(&*log, "x", &time).await, 0);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_evicts_nothing_that_is_young_and_keeps_nothing_that_is_old() {
    let (directory, time) = (TempDir::new().unwrap(), Time::new());
    for log in both(directory.path(), &retention(&["a=1h"]), &time) {
        for _ in 0..10 {
            append(&*log, "a", time.now()).await;
        }
        time.jump(2 * DAY as i64);
        assert_eq!(kept(&*log, "a", &time).await, 10, "two days did not pass");
        let jump = log.wear().clock_jump.as_secs();
        assert!((2 * DAY - 1..=2 * DAY + 1).contains(&jump), "{jump}");
        append(&*log, "a", time.now()).await;
        time.jump(-2 * DAY as i64);
        assert_eq!(kept(&*log, "a", &time).await, 11);
        assert_eq!(log.wear().clock_jump, Duration::ZERO);
        time.pass(2 * HOUR);
        assert_eq!(
            kept(&*log, "a", &time).await,
            0,
            "what came while the clock was wrong goes with the others"
        );
    }
}

#[tokio::test]
async fn a_jump_is_told_before_anything_is_published_and_where_nothing_has_an_age() {
    for rules in [&["a=1h"][..], &[]] {
        let (directory, time) = (TempDir::new().unwrap(), Time::new());
        for log in both(directory.path(), &retention(rules), &time) {
            time.jump(2 * DAY as i64);
            assert_eq!(log.wear().clock_jump, Duration::from_secs(2 * DAY), "{rules:?}");
            append(&*log, "a", time.now()).await;
            time.jump(-2 * DAY as i64);
            assert_eq!(log.wear().clock_jump, Duration::ZERO, "{rules:?}");
        }
    }
}

#[tokio::test]
async fn what_comes_after_a_jump_goes_once_the_time_that_passes_has_reached_it() {
    let age = Some(Duration::from_secs(HOUR));
    let of_all = Retention { limits: Limits { age, ..Limits::default() }, ..retention(&[]) };
    for retention in [retention(&["x=1h"]), of_all] {
        let (directory, time) = (TempDir::new().unwrap(), Time::new());
        for log in both(directory.path(), &retention, &time) {
            time.jump(2 * DAY as i64);
            append(&*log, "x", time.now()).await;
            // The clock that ages go by comes to the record's time after two days, and to its end an hour later.
            for _ in 0..50 {
                kept(&*log, "x", &time).await;
                time.pass(HOUR);
            }
            assert_eq!(kept(&*log, "x", &time).await, 0, "{retention:?}");
            time.jump(-2 * DAY as i64);
        }
    }
}
