//! The names that publishers give: IDs of updates and idempotency keys, also after the eviction of their updates.

#![expect(missing_docs, clippy::unwrap_used, reason = "tests: each is named by its promise, and may fail")]

use std::sync::Arc;

use super::{MANY, append, fill, find, keep, keep_by, keyed, read, topic, update, with_id};
use crate::{
    Update, UpdateType,
    log::{Append, IdempotencyKey, KeyOwner, Log, Receipt, Refused, Retention},
};

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
        assert!(append(log, with_id(Update::close(topic("closed"), "done"), "end")).await.unwrap().repeated);
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

pub async fn only_so_many_names_of_evicted_updates_are_remembered(make: impl Fn(Retention) -> Arc<dyn Log>) {
    let log = &*make(Retention { names: 4, ..keep_by(&["a=1"]) });
    // Updates that are kept do not count.
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
