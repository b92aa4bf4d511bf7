//! Reading in pages.

#![expect(missing_docs, clippy::unwrap_used, reason = "tests: each is named by its promise, and may fail")]

use std::sync::Arc;

use super::{ALL, MANY, append, keep, read, selector, sequences, update};
use crate::log::{Log, PageLimit, Retention};

pub async fn a_page_holds_what_matches_in_order(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep(MANY));
    for name in ["a", "b", "a/x", "a/y/z", "b", "c", "a"] {
        append(log, update(name, "")).await.unwrap();
    }
    let cases: [(&[&str], u64, &[u64]); 9] = [
        (&["a"], 0, &[1, 7]),
        (&["a"], 1, &[7]),
        (&["a"], 7, &[]),
        (&["b", "a"], 0, &[1, 2, 5, 7]),
        (&["a/*"], 0, &[3, 4]),
        (&["a/y/*", "c"], 0, &[4, 6]),
        (&["a", "a/*"], 2, &[3, 4, 7]),
        (&["*"], 5, &[6, 7]),
        (&["none", "none/*"], 0, &[]),
    ];
    for (filters, after, expected) in cases {
        let page = read(log, after, filters).await;
        assert_eq!(sequences(&page), expected, "{filters:?} after {after}");
        assert_eq!(
            (page.reached.sequence, page.lost, page.oldest),
            (7, None, 1),
            "{filters:?} after {after}"
        );
        assert_eq!(page.reached, log.bounds().newest);
    }
}

pub async fn pages_are_bounded_and_lead_to_the_end(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep(MANY));
    for number in 0..50 {
        append(log, update(if number % 3 == 0 { "a" } else { "b/c" }, "x".repeat(10))).await.unwrap();
    }
    let limits = [
        PageLimit { records: 1, bytes: usize::MAX },
        PageLimit { records: 7, bytes: usize::MAX },
        PageLimit { records: 1_000_000, bytes: 0 },
        PageLimit { records: 1_000_000, bytes: 25 },
        ALL,
    ];
    for filters in [&["a"][..], &["a", "b/c"], &["b/*"], &["*"]] {
        let expected = sequences(&read(log, 0, filters).await);
        for limit in limits {
            let (mut seen, mut after) = (Vec::new(), 0);
            while after < 50 {
                let page = log.read(after, &selector(filters), limit).await.unwrap();
                assert!(page.reached.sequence > after, "each page leads on");
                assert!(page.records.len() <= limit.records);
                // The record that crosses the bound is the last: data of 10 bytes, so at most three in 25.
                assert!(limit.bytes > 25 || page.records.len() <= limit.bytes.div_ceil(10).max(1));
                seen.extend(sequences(&page));
                after = page.reached.sequence;
            }
            assert_eq!(seen, expected, "{filters:?} {limit:?}");
        }
    }
}
