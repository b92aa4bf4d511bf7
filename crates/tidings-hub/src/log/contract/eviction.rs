//! The limits of a log, and the readers that they make miss something.

#![expect(missing_docs, clippy::unwrap_used, reason = "tests: each is named by its promise, and may fail")]

use std::sync::Arc;

use super::{append, fill, find, keep, keep_by, read, sequences, topic, update};
use crate::{
    Update,
    log::{Log, Retention},
};

pub async fn only_who_may_miss_an_evicted_record_is_told(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep(4));
    append(log, update("a", "")).await.unwrap();
    append(log, update("b/c", "")).await.unwrap();
    assert_eq!(log.bounds().evicted, 0);
    fill(log, "x", 4).await;
    assert_eq!((log.bounds().oldest, log.bounds().evicted), (3, 2));
    let cases: [(&[&str], u64, bool); 10] = [
        (&["a"], 0, true),
        (&["a"], 1, false),
        (&["b/c"], 1, true),
        (&["b/c"], 2, false),
        (&["b/*"], 1, true),
        (&["b/*"], 2, false),
        (&["*"], 1, true),
        (&["*"], 2, false),
        (&["x", "unheard"], 0, false),
        (&["x", "a"], 0, true),
    ];
    for (filters, after, lost) in cases {
        let page = read(log, after, filters).await;
        assert_eq!((page.lost.is_some(), page.oldest), (lost, 3), "{filters:?} after {after}");
    }
}

pub async fn a_close_outlives_eviction(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep(3));
    append(log, update("a", "x")).await.unwrap();
    append(log, Update::close(topic("a"), "done")).await.unwrap();
    fill(log, "b", 5).await;
    assert_eq!(log.bounds().oldest, 5);
    assert_eq!(log.closed(&topic("a")).await.unwrap().unwrap().event().data(), "done");
    assert!(append(log, update("a", "y")).await.is_err());
    for filters in [&["a"][..], &["a", "b"], &["*"]] {
        let page = read(log, 0, filters).await;
        assert_eq!(page.records[0].event().data(), "done", "{filters:?}");
        assert_eq!(page.before_first_kept().sequence, 1);
    }
    // A reader that has seen all but the close has missed nothing.
    let page = read(log, 1, &["a"]).await;
    assert_eq!((sequences(&page), page.lost), (vec![2], None));
    assert!(read(log, 2, &["a"]).await.records.is_empty());
}

pub async fn a_rule_evicts_only_its_own_topics(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep_by(&["a/*=2", "a/b=1", "c=1KiB"]));
    for name in ["x", "a/1", "a/b", "a/2", "x", "a/b", "a/3", "a", "x"] {
        append(log, update(name, "")).await.unwrap();
    }
    assert_eq!(sequences(&read(log, 0, &["*"]).await), [1, 4, 5, 6, 7, 8, 9]);
    assert_eq!(log.bounds().oldest, 1);
    assert_eq!(log.record(2).await.unwrap(), None);
    // A close is not a rule's to evict: it still has to be told.
    for _ in 0..3 {
        append(log, update("c", "x".repeat(400))).await.unwrap();
    }
    append(log, Update::close(topic("c"), "done")).await.unwrap();
    append(log, Update::close(topic("a/3"), "done")).await.unwrap();
    fill(log, "a/1", 3).await;
    assert_eq!(sequences(&read(log, 0, &["c", "a/*"]).await), [6, 12, 13, 14, 16, 17]);
    // The rule that is the most specific one counts, and each on its own.
    assert_eq!(find(log, "none", &["*"]).await, None);
}

pub async fn who_may_miss_what_a_rule_evicted_is_told_once(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep_by(&["a/*=2"]));
    for name in ["x", "a/1", "a/1", "x", "a/1", "a/2", "x"] {
        append(log, update(name, "")).await.unwrap();
    }
    // 2 and 3 are gone.
    assert_eq!((log.bounds().oldest, log.bounds().evicted), (1, 3));
    let cases: [(&[&str], u64, bool); 8] = [
        (&["a/1"], 1, true),
        (&["a/1"], 3, false),
        (&["a/2"], 0, false),
        (&["a/*"], 2, true),
        (&["x"], 0, false),
        (&["x", "a/1"], 0, true),
        (&["*"], 2, true),
        (&["*"], 3, false),
    ];
    for (filters, after, lost) in cases {
        let page = read(log, after, filters).await;
        assert_eq!(page.lost, lost.then_some(3), "{filters:?} after {after}");
        if lost {
            let again = read(log, page.before_first_kept().sequence, filters).await;
            assert_eq!(again.records, page.records, "{filters:?} after {after}");
        }
    }
    // Alone on its topics, nobody is told twice.
    let page = read(log, 0, &["a/1"]).await;
    assert_eq!(page.lost, Some(3));
    assert_eq!(read(log, page.before_first_kept().sequence, &["a/1"]).await.lost, None);
}

pub async fn what_is_too_old_goes_with_the_next_append(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep_by(&["a=1ms"]));
    append(log, update("x", "")).await.unwrap();
    fill(log, "a", 3).await;
    let mut sequence = 4;
    // Until the clock has moved on by more than a millisecond.
    while log.record(2).await.unwrap().is_some() {
        sequence = append(log, update("x", "")).await.unwrap().sequence;
    }
    while log.record(4).await.unwrap().is_some() {
        sequence = append(log, update("x", "")).await.unwrap().sequence;
    }
    assert!(read(log, 0, &["a"]).await.records.is_empty());
    assert_eq!(read(log, 0, &["x"]).await.records.len() as u64, sequence - 3);
}
