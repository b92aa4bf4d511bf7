//! What a log does with updates: it gives them sequences, in one order, and refuses those of closed topics.

#![expect(missing_docs, clippy::unwrap_used, reason = "tests: each is named by its promise, and may fail")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    MANY,
    acknowledged::{self, Acknowledged},
    append, fill, keep, keyed, read, sequences, topic, update, with_id,
};
use crate::{
    Update,
    log::{Append, HubId, Limits, Log, Receipt, RecordId, RecordTime, Refused, Retention},
};

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

pub async fn the_hubs_ids_name_the_epoch_the_place_and_the_record(make: impl Fn(Retention) -> Arc<dyn Log>) {
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
    // An update from before the close is still answered as the first time.
    assert!(append(log, keyed(update("a", "x"), "k")).await.unwrap().repeated);
    append(log, update("a/b", "others go on")).await.unwrap();
    let record = log.closed(&topic("a")).await.unwrap().unwrap();
    assert_eq!((record.sequence(), record.event().data(), record.is_close()), (close.sequence, "done", true));
    assert_eq!(record.event().event_type(), "close");
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
                    positions.push((append(&*log, update("a", data.clone())).await.unwrap().sequence, data));
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
