//! The contract of every [`Log`], as tests.
//!
//! An implementation calls [`log_contract!`](crate::log_contract) in a test file with a function that makes an empty
//! log:
//!
//! ```
//! use std::sync::Arc;
//! use tidings_hub::log::{Log, MemoryLog, Retention};
//!
//! tidings_hub::log_contract!(|retention: Retention| -> Arc<dyn Log> { Arc::new(MemoryLog::new(retention)) });
//! ```

pub mod acknowledged;
pub mod two_handles;

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, SystemTime},
};

use self::acknowledged::Acknowledged;
use super::{
    Append, Following, HubId, IdempotencyKey, KeyOwner, Limits, Log, Page, PageLimit, Receipt, RecordId,
    RecordTime, Refused, Retention, Rule,
};
use crate::{Selector, Topic, TopicFilter, Update, UpdateId, UpdateType};

/// Declares one test for each promise of the contract; the argument makes an empty log with the given
/// retention.
#[macro_export]
macro_rules! log_contract {
    ($make:expr) => {
        $crate::log_contract! { $make =>
            what_is_acknowledged_reads_back
            sequences_start_at_one_and_have_no_holes
            the_hubs_ids_name_the_epoch_the_place_and_the_record
            a_page_holds_what_matches_in_order
            pages_are_bounded_and_lead_to_the_end
            an_id_is_found_and_the_same_update_again_is_not_appended
            an_id_is_one_updates_in_each_of_its_topics
            an_id_that_several_updates_have_is_none_of_them
            a_key_makes_repeating_harmless
            a_key_is_one_updates_in_its_first_topic
            a_key_is_its_publishers_own
            a_record_keeps_the_time_that_it_is_given
            a_batch_stops_at_the_first_refusal
            a_closed_topic_takes_no_more
            only_who_may_miss_an_evicted_record_is_told
            a_close_outlives_eviction
            an_id_never_names_two_updates
            an_id_is_known_while_its_update_is_evicted
            what_is_repeated_after_its_eviction_is_answered_as_the_first_time
            only_so_many_names_of_evicted_updates_are_remembered
            a_rule_evicts_only_its_own_topics
            who_may_miss_what_a_rule_evicted_is_told_once
            what_is_too_old_goes_with_the_next_append
            followers_never_hear_of_what_they_cannot_read
            each_follower_hears_of_the_newest_by_itself
            bounds_never_go_back_and_reads_never_lag_behind_them
            what_is_acknowledged_is_within_what_refresh_tells
            readers_never_see_what_is_not_announced
            concurrent_appends_are_one_order
        }
    };
    ($make:expr => $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::log::contract::$promise($make).await;
            }
        )*
    };
    ($make:expr => two_handles: $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::log::contract::two_handles::$promise($make).await;
            }
        )*
    };
}

const MANY: u64 = 1_000_000;
const ALL: PageLimit = PageLimit { records: 1_000_000, bytes: usize::MAX };

fn keep(records: u64) -> Retention {
    Retention { limits: Limits { records, ..Limits::default() }, ..Retention::in_memory() }
}

fn keep_by(rules: &[&str]) -> Retention {
    let rules =
        rules.iter().map(|rule| rule.parse::<Rule>().expect("a rule of the contract is valid")).collect();
    Retention { rules, ..Retention::in_memory() }
}

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a topic of the contract is valid")
}

fn selector(filters: &[&str]) -> Selector {
    filters.iter().map(|text| TopicFilter::parse(text).expect("a filter of the contract is valid")).collect()
}

fn update(name: &str, data: impl Into<String>) -> Update {
    Update::new(topic(name), data)
}

fn with_id(update: Update, id: &str) -> Update {
    update.with_id(UpdateId::parse(id).expect("an ID of the contract is valid"))
}

fn keyed(update: Update, key: &str) -> Append {
    let key = IdempotencyKey::parse(key).expect("a key of the contract is valid");
    Append { key: Some(key), ..Append::from(update) }
}

async fn append(log: &dyn Log, update: impl Into<Append>) -> Result<Receipt, Refused> {
    let appended = log.append(vec![update.into()]).await.expect("the log works");
    match appended.refused {
        Some(refused) => Err(refused),
        None => Ok(appended.receipts[0].clone()),
    }
}

/// The next notice to a follower.
async fn next(following: &mut Following) -> u64 {
    let told = poll_fn(|context| following.as_mut().poll_next(context)).await;
    told.expect("the log is there").expect("the log works")
}

async fn find(log: &dyn Log, id: &str, filters: &[&str]) -> Option<u64> {
    log.find(id, &selector(filters)).await.expect("the log works")
}

async fn fill(log: &dyn Log, name: &str, count: usize) {
    let batch = (0..count).map(|number| update(name, number.to_string()).into()).collect();
    let appended = log.append(batch).await.expect("the log works");
    assert_eq!((appended.receipts.len(), appended.refused), (count, None));
}

async fn read(log: &dyn Log, after: u64, filters: &[&str]) -> Page {
    log.read(after, &selector(filters), ALL).await.expect("the log works")
}

fn sequences(page: &Page) -> Vec<u64> {
    page.records.iter().map(|record| record.sequence()).collect()
}

#[expect(missing_docs, clippy::unwrap_used, reason = "tests: each is named by its promise, and may fail")]
mod promises {
    use super::*;

    pub async fn what_is_acknowledged_reads_back(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(Retention { limits: Limits::default(), ..Retention::in_memory() });
        let mut acknowledged = Acknowledged::new(acknowledged::seed());
        acknowledged.append(log, acknowledged::updates(2_000)).await;
        acknowledged.check(log).await;
    }

    pub async fn sequences_start_at_one_and_have_no_holes(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        assert_eq!((log.bounds().oldest, log.bounds().newest.sequence), (1, 0));
        assert_eq!(append(log, update("a", "x")).await.unwrap().sequence, 1);
        fill(log, "b", 3).await;
        assert_eq!(append(log, update("a", "y")).await.unwrap().sequence, 5);
        assert_eq!((log.bounds().oldest, log.bounds().newest.sequence), (1, 5));
        assert_eq!(sequences(&read(log, 0, &["*"]).await), [1, 2, 3, 4, 5]);
    }

    pub async fn the_hubs_ids_name_the_epoch_the_place_and_the_record(
        make: impl Fn(Retention) -> Arc<dyn Log>,
    ) {
        let (log, other) = (&*make(keep(MANY)), &*make(keep(MANY)));
        let receipt = append(log, update("a", "x")).await.unwrap();
        let record = log.record(1).await.unwrap().unwrap();
        let id = HubId { epoch: log.bounds().epoch, position: record.position() };
        assert_eq!(receipt.id, RecordId::Hub(id));
        assert_eq!(record.id(), receipt.id);
        assert_eq!(log.bounds().newest, record.position());
        assert_ne!(log.bounds().epoch, other.bounds().epoch, "each log is a life of its own");
        assert_eq!(log.record(0).await.unwrap(), None);
        assert_eq!(log.record(2).await.unwrap(), None);
    }

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

    pub async fn an_id_is_found_and_the_same_update_again_is_not_appended(
        make: impl Fn(Retention) -> Arc<dyn Log>,
    ) {
        let log = &*make(keep(MANY));
        let first = append(log, with_id(update("a", "x"), "one")).await.unwrap();
        assert_eq!((first.id.to_string().as_str(), first.sequence, first.repeated), ("one", 1, false));
        fill(log, "b", 2).await;
        let again = append(log, with_id(update("a", "x"), "one")).await.unwrap();
        assert_eq!((again.id.to_string().as_str(), again.sequence, again.repeated), ("one", 1, true));
        let typed = update("a", "x").with_type(UpdateType::parse("t").unwrap());
        for other in [update("a", "y"), update("a", "x").private(), typed] {
            let refused = append(log, with_id(other, "one")).await.unwrap_err();
            assert_eq!(refused, Refused::IdTaken { id: "one".into() });
        }
        assert_eq!(find(log, "one", &["a"]).await, Some(1));
        assert_eq!(find(log, "two", &["a"]).await, None);
        assert_eq!(log.bounds().newest.sequence, 3);
    }

    pub async fn an_id_is_one_updates_in_each_of_its_topics(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        let both = || with_id(update("a/1", "x").with_topics(vec![topic("a/1"), topic("b")]), "one");
        append(log, both()).await.unwrap();
        // Another topic's publisher has chosen the same.
        assert_eq!(append(log, with_id(update("a/2", "x"), "one")).await.unwrap().sequence, 2);
        assert_eq!(append(log, with_id(update("A/1", "y"), "one")).await.unwrap().sequence, 3);
        assert!(append(log, both()).await.unwrap().repeated);
        for name in ["a/1", "b"] {
            let refused = append(log, with_id(update(name, "x"), "one")).await.unwrap_err();
            assert_eq!(refused, Refused::IdTaken { id: "one".into() }, "{name}");
        }
        // One that any of its topics has for another update.
        let taken = update("c", "x").with_topics(vec![topic("c"), topic("a/2")]);
        let refused = append(log, with_id(taken, "one")).await.unwrap_err();
        assert_eq!(refused, Refused::IdTaken { id: "one".into() });
        let cases: [(&[&str], Option<u64>); 9] = [
            (&["a/1"], Some(1)),
            (&["b"], Some(1)),
            (&["a/1", "b"], Some(1)),
            (&["a/2"], Some(2)),
            (&["A/*"], Some(3)),
            (&["b", "b/*", "c"], Some(1)),
            (&["c"], None),
            (&["a"], None),
            (&["a/1/*"], None),
        ];
        for (filters, expected) in cases {
            assert_eq!(find(log, "one", filters).await, expected, "{filters:?}");
        }
    }

    pub async fn an_id_that_several_updates_have_is_none_of_them(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep_by(&["a/2=1"]));
        for name in ["a/1", "a/2", "b", "a0"] {
            append(log, with_id(update(name, "x"), "one")).await.unwrap();
        }
        // One of them is gone, and may be what somebody saw all the same.
        fill(log, "a/2", 1).await;
        assert_eq!(log.record(2).await.unwrap(), None);
        let cases: [(&[&str], Option<u64>); 7] = [
            (&["a/*"], None),
            (&["*"], None),
            (&["a/2", "b"], None),
            (&["b", "a/*"], None),
            (&["a/2"], Some(2)),
            (&["b", "c", "c/*"], Some(3)),
            (&["a/1/*", "a0"], Some(4)),
        ];
        for (filters, expected) in cases {
            assert_eq!(find(log, "one", filters).await, expected, "{filters:?}");
        }
    }

    pub async fn a_key_makes_repeating_harmless(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        let first = append(log, keyed(update("a", "x"), "k")).await.unwrap();
        let again = append(log, keyed(update("a", "x"), "k")).await.unwrap();
        assert_eq!(again, Receipt { repeated: true, ..first });
        let refused = append(log, keyed(update("a", "y"), "k")).await.unwrap_err();
        assert_eq!(refused, Refused::KeyReused { key: "k".into() });
        // The same content under another key, or under none, is another update.
        assert_eq!(append(log, keyed(update("a", "x"), "l")).await.unwrap().sequence, 2);
        assert_eq!(append(log, update("a", "x")).await.unwrap().sequence, 3);
    }

    pub async fn a_key_is_one_updates_in_its_first_topic(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        let key = IdempotencyKey::parse("k").unwrap();
        let first = Append { key: Some(key.numbered(1)), ..Append::from(update("a", "x")) };
        let receipt = append(log, first.clone()).await.unwrap();
        // A key is spelled as the number of another one, an ID as a key, and another topic has the same.
        assert_eq!(append(log, keyed(update("a", "other"), "k#1")).await.unwrap().sequence, 2);
        assert_eq!(append(log, keyed(update("a", "other"), "k")).await.unwrap().sequence, 3);
        assert_eq!(append(log, with_id(update("a", "other"), "k")).await.unwrap().sequence, 4);
        assert_eq!(append(log, keyed(update("b", "other"), "k")).await.unwrap().sequence, 5);
        assert_eq!(append(log, first).await.unwrap(), Receipt { repeated: true, ..receipt });
        let other = Append { key: Some(key.numbered(1)), ..Append::from(update("a", "y")) };
        assert_eq!(append(log, other).await.unwrap_err(), Refused::KeyReused { key: "k#1".into() });
        assert_eq!(find(log, "k", &["*"]).await, Some(4), "a key is no event's ID");
    }

    pub async fn a_key_is_its_publishers_own(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        let of = |name: &str, data: &str| {
            let owner = (!name.is_empty()).then(|| KeyOwner::of("issuer", name));
            let key = IdempotencyKey::parse("k").expect("a key of the contract is valid");
            let key = owner.map_or(key.clone(), |owner| key.owned(&owner)).numbered(1);
            Append { key: Some(key), ..Append::from(update("a", data)) }
        };
        let mut receipts = Vec::new();
        for name in ["", "alice", "bob"] {
            receipts.push(append(log, of(name, "x")).await.unwrap());
        }
        assert!(receipts.iter().all(|receipt| !receipt.repeated), "{receipts:?}");
        for (name, first) in ["", "alice", "bob"].into_iter().zip(receipts) {
            assert_eq!(append(log, of(name, "x")).await.unwrap(), Receipt { repeated: true, ..first });
            let refused = append(log, of(name, "y")).await.unwrap_err();
            assert_eq!(refused, Refused::KeyReused { key: "k#1".into() }, "{name}");
        }
    }

    pub async fn a_record_keeps_the_time_that_it_is_given(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        let (before, given) = (SystemTime::now(), RecordTime::stored(1_234_567));
        append(log, Append { time: Some(given), ..Append::from(update("a", "x")) }).await.unwrap();
        append(log, update("a", "y")).await.unwrap();
        assert_eq!(log.record(1).await.unwrap().unwrap().time(), SystemTime::from(given));
        let now = log.record(2).await.unwrap().unwrap().time();
        assert!(now + Duration::from_millis(1) > before && now <= SystemTime::now());
    }

    pub async fn a_batch_stops_at_the_first_refusal(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        append(log, with_id(update("a", "x"), "one")).await.unwrap();
        let batch =
            vec![update("a", "1").into(), with_id(update("a", "2"), "one").into(), update("a", "3").into()];
        let appended = log.append(batch).await.unwrap();
        assert_eq!(appended.receipts.iter().map(|receipt| receipt.sequence).collect::<Vec<_>>(), [2]);
        assert_eq!(appended.refused, Some(Refused::IdTaken { id: "one".into() }));
        assert_eq!(sequences(&read(log, 0, &["a"]).await), [1, 2]);
        assert_eq!(log.append(Vec::new()).await.unwrap().receipts, []);
    }

    pub async fn a_closed_topic_takes_no_more(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(MANY));
        append(log, keyed(update("a", "x"), "k")).await.unwrap();
        assert_eq!(log.closed(&topic("a")).await.unwrap(), None);
        let close = append(log, Update::close(topic("a"), "done")).await.unwrap();
        let again = append(log, Update::close(topic("a"), "done")).await.unwrap();
        assert_eq!(again, Receipt { repeated: true, ..close.clone() });
        for refused in [update("a", "y"), Update::close(topic("a"), "other reason")] {
            let refused = append(log, refused).await.unwrap_err();
            assert_eq!(refused, Refused::Closed { topic: "a".into(), reason: "done".into() });
        }
        // What was published before is still answered as the first time.
        assert!(append(log, keyed(update("a", "x"), "k")).await.unwrap().repeated);
        append(log, update("a/b", "others go on")).await.unwrap();
        let record = log.closed(&topic("a")).await.unwrap().unwrap();
        assert_eq!(
            (record.sequence(), record.event().data(), record.is_close()),
            (close.sequence, "done", true)
        );
        assert_eq!(record.event().event_type(), "close");
    }

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

    pub async fn an_id_never_names_two_updates(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = &*make(keep(2));
        append(log, with_id(update("a", "x"), "one")).await.unwrap();
        append(log, with_id(Update::close(topic("closed"), "done"), "end")).await.unwrap();
        for sequence in 3..=6 {
            // Whether its record is kept or not.
            let typed = update("a", "x").with_type(UpdateType::parse("t").unwrap());
            for other in [update("a", "y"), update("a", "x").private(), typed] {
                let refused = append(log, with_id(other, "one")).await.unwrap_err();
                assert_eq!(refused, Refused::IdTaken { id: "one".into() });
            }
            assert!(append(log, with_id(update("a", "x"), "one")).await.unwrap().repeated);
            assert!(
                append(log, with_id(Update::close(topic("closed"), "done"), "end")).await.unwrap().repeated
            );
            assert_eq!(append(log, update("a", "between")).await.unwrap().sequence, sequence);
            assert_eq!(find(log, "one", &["a"]).await, Some(1), "a place to go on from");
            assert_eq!(find(log, "end", &["*"]).await, Some(2));
        }
        assert_eq!(log.record(1).await.unwrap(), None);
        assert_eq!(read(log, 1, &["a"]).await.lost, Some(4), "and it is told what is missing after it");
    }

    pub async fn an_id_is_known_while_its_update_is_evicted(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = make(keep(2));
        append(&*log, with_id(update("a", "x"), "0")).await.unwrap();
        let publisher = tokio::spawn({
            let log = log.clone();
            async move {
                for number in 1..300 {
                    append(&*log, with_id(update("a", ""), &number.to_string())).await.unwrap();
                }
            }
        });
        let mut sequence = 1;
        while sequence < 300 {
            // A subscriber that comes back with it at this moment is told what is missing after it, and never that nobody knows it.
            let id = (sequence - 1).to_string();
            for filters in [&["a"][..], &["*"]] {
                assert_eq!(find(&*log, &id, filters).await, Some(sequence), "{filters:?}");
            }
            sequence = log.bounds().oldest.clamp(sequence, 300);
            if log.bounds().newest.sequence == 300 {
                sequence += 1;
            }
        }
        publisher.await.unwrap();
    }

    pub async fn what_is_repeated_after_its_eviction_is_answered_as_the_first_time(
        make: impl Fn(Retention) -> Arc<dyn Log>,
    ) {
        let log = &*make(keep(2));
        let two = || update("a", "x").with_topics(vec![topic("a"), topic("b")]);
        let appends = [
            keyed(update("a", "x"), "k"),
            keyed(with_id(update("a", "x"), "one"), "l"),
            Append { key: Some(IdempotencyKey::parse("k").unwrap().numbered(1)), ..Append::from(two()) },
            Append::from(with_id(two(), "two")),
        ];
        let mut receipts = Vec::new();
        for first in &appends {
            receipts.push(append(log, first.clone()).await.unwrap());
        }
        fill(log, "c", 3).await;
        assert_eq!(log.bounds().oldest, 6);
        for (again, receipt) in appends.into_iter().zip(receipts) {
            assert_eq!(append(log, again).await.unwrap(), Receipt { repeated: true, ..receipt });
        }
        assert_eq!(log.bounds().newest.sequence, 7);
        let refused = append(log, keyed(update("a", "y"), "k")).await.unwrap_err();
        assert_eq!(refused, Refused::KeyReused { key: "k".into() });
        let refused = append(log, keyed(with_id(update("a", "x"), "other"), "l")).await.unwrap_err();
        assert_eq!(refused, Refused::KeyReused { key: "l".into() });
        for name in ["a", "b"] {
            let refused = append(log, with_id(update(name, "x"), "two")).await.unwrap_err();
            assert_eq!(refused, Refused::IdTaken { id: "two".into() });
        }
    }

    pub async fn only_so_many_names_of_evicted_updates_are_remembered(
        make: impl Fn(Retention) -> Arc<dyn Log>,
    ) {
        let log = &*make(Retention { names: 4, ..keep_by(&["a=1"]) });
        // What is kept does not count.
        for number in 0..10 {
            append(log, with_id(update("kept", "x"), &number.to_string())).await.unwrap();
        }
        for number in 0..4 {
            append(log, keyed(with_id(update("a", "x"), &number.to_string()), &number.to_string()))
                .await
                .unwrap();
        }
        // Evicted are 0, 1 and 2, and of each the ID and the key; of those the last four are remembered.
        assert_eq!(find(log, "0", &["a"]).await, None);
        for number in 1..4_u64 {
            assert_eq!(find(log, &number.to_string(), &["a"]).await, Some(11 + number));
            assert!(append(log, keyed(update("a", "other"), &number.to_string())).await.is_err());
        }
        for number in 0..10 {
            assert_eq!(find(log, &number.to_string(), &["kept"]).await, Some(number + 1));
        }
        // A name that is forgotten is free.
        let again = append(log, keyed(with_id(update("a", "other"), "0"), "0")).await.unwrap();
        assert_eq!((again.sequence, again.repeated), (15, false));
        assert_eq!(find(log, "0", &["a"]).await, Some(15));
        assert_eq!(find(log, "1", &["a"]).await, None);
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

    pub async fn bounds_never_go_back_and_reads_never_lag_behind_them(
        make: impl Fn(Retention) -> Arc<dyn Log>,
    ) {
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

    pub async fn concurrent_appends_are_one_order(make: impl Fn(Retention) -> Arc<dyn Log>) {
        let log = make(keep(MANY));
        let publishers: Vec<_> = (0..8)
            .map(|publisher| {
                let log = log.clone();
                tokio::spawn(async move {
                    let mut positions = Vec::new();
                    for number in 0..100 {
                        let data = format!("{publisher} {number}");
                        positions
                            .push((append(&*log, update("a", data.clone())).await.unwrap().sequence, data));
                    }
                    positions
                })
            })
            .collect();
        let mut told = Vec::new();
        for publisher in publishers {
            let positions = publisher.await.unwrap();
            assert!(positions.is_sorted(), "each publisher's own order is kept");
            told.extend(positions);
        }
        told.sort();
        let page = read(&*log, 0, &["a"]).await;
        let kept = page.records.iter().map(|record| (record.sequence(), record.event().data().to_owned()));
        assert_eq!(kept.collect::<Vec<_>>(), told);
        assert_eq!(page.records.len(), 800);
    }
}

pub use promises::*;
