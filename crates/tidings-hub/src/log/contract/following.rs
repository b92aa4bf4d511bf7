//! Followers, bounds, and what they say to readers.

#![expect(missing_docs, clippy::unwrap_used, reason = "tests: each is named by its promise, and may fail")]

use std::sync::Arc;

use super::{ALL, MANY, append, fill, find, keep, next, read, selector, sequences, update, with_id};
use crate::log::{Log, Retention};

pub async fn followers_never_hear_of_what_they_cannot_read(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = make(keep(MANY));
    let mut newest = log.follow();
    assert_eq!(next(&mut newest).await, 0, "the present one comes first");
    let publisher = tokio::spawn({
        let log = log.clone();
        async move {
            for _ in 0..200 {
                fill(&*log, "a", 5).await;
            }
        }
    });
    let mut heard = 0;
    while heard < 1000 {
        let now = next(&mut newest).await;
        assert!(now > heard, "it only grows");
        let page = read(&*log, heard, &["*"]).await;
        assert!(page.reached.sequence >= now, "what was announced is there");
        assert_eq!(sequences(&page), (heard + 1..=page.reached.sequence).collect::<Vec<_>>());
        heard = now;
    }
    publisher.await.unwrap();
}

pub async fn each_follower_hears_of_the_newest_by_itself(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = make(keep(MANY));
    let mut before = log.follow();
    assert_eq!(next(&mut before).await, 0);
    drop(log.follow());
    fill(&*log, "a", 3).await;
    let mut after = log.follow();
    for following in [&mut before, &mut after] {
        while next(following).await < 3 {}
    }
    fill(&*log, "a", 1).await;
    for mut following in [before, after] {
        while next(&mut following).await < 4 {}
    }
}

pub async fn bounds_never_go_back_and_reads_never_lag_behind_them(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = make(keep(10));
    let publisher = tokio::spawn({
        let log = log.clone();
        async move {
            for _ in 0..300 {
                fill(&*log, "a", 2).await;
            }
        }
    });
    let mut before = log.bounds();
    while before.newest.sequence < 600 {
        let bounds = log.bounds();
        let grown = [
            (before.oldest, bounds.oldest),
            (before.evicted, bounds.evicted),
            (before.newest.sequence, bounds.newest.sequence),
        ];
        assert!(grown.iter().all(|(before, now)| before <= now), "{before:?}, then {bounds:?}");
        assert_eq!(before.epoch, bounds.epoch);
        let page = read(&*log, bounds.oldest - 1, &["*"]).await;
        assert!(page.reached.sequence >= bounds.newest.sequence, "{page:?} and {bounds:?}");
        assert!(
            page.oldest >= bounds.oldest
                && sequences(&page).iter().all(|sequence| *sequence >= bounds.oldest)
        );
        before = log.refresh().await.unwrap();
        assert!(before.newest.sequence >= bounds.newest.sequence);
    }
    publisher.await.unwrap();
}

pub async fn what_is_acknowledged_is_within_what_refresh_tells(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(keep(MANY));
    for number in 1..=100 {
        let receipt = append(log, with_id(update("a", ""), &number.to_string())).await.unwrap();
        assert_eq!(log.refresh().await.unwrap().newest.sequence, number);
        assert_eq!(log.record(number).await.unwrap().map(|record| record.id()), Some(receipt.id));
        assert_eq!(find(log, &number.to_string(), &["a"]).await, Some(number));
    }
}

pub async fn readers_never_see_what_is_not_announced(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = make(keep(MANY));
    let publisher = tokio::spawn({
        let log = log.clone();
        async move {
            for number in 0..300 {
                append(&*log, with_id(update("a", ""), &number.to_string())).await.unwrap();
            }
        }
    });
    let (mut seen, everything) = (0, selector(&["*"]));
    while seen < 300 {
        // A subscriber that saw a record and comes back at once must find that the log knows it.
        let page = log.read(seen, &everything, ALL).await.unwrap();
        assert!(page.reached.sequence <= log.bounds().newest.sequence);
        assert!(page.records.last().is_none_or(|last| last.sequence() <= page.reached.sequence));
        let next = log.find(&seen.to_string(), &everything).await.unwrap();
        assert!(next.is_none_or(|sequence| sequence <= log.bounds().newest.sequence));
        let record = log.record(page.reached.sequence + 1).await.unwrap();
        assert!(record.is_none_or(|record| record.sequence() <= log.bounds().newest.sequence));
        seen = page.reached.sequence;
    }
    publisher.await.unwrap();
}
