//! The contract for a log that is written through two handles at once: each key, each ID and each close is decided
//! once.
//!
//! An implementation calls [`two_handles_contract!`](crate::two_handles_contract) in a test file with a function that makes two
//! handles of one empty log:
//!
//! ```
//! use std::sync::Arc;
//! use tidings_hub::log::{Log, MemoryLog, Retention};
//!
//! tidings_hub::two_handles_contract!(|retention: Retention| -> [Arc<dyn Log>; 2] {
//!     let log = Arc::new(MemoryLog::new(retention));
//!     [log.clone(), log]
//! });
//! ```

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Barrier;

use super::{MANY, append, keep, keyed, read, sequences, topic, update, with_id};
use crate::{
    Update,
    log::{Append, Log, Receipt, Refused, Retention},
};

/// Declares one test for each promise; the argument makes two handles of one empty log with the given retention.
#[macro_export]
macro_rules! two_handles_contract {
    ($make:expr) => {
        $crate::log_contract! { $make => two_handles:
            what_one_handle_acknowledged_the_other_reads
            of_racing_updates_with_one_id_one_is_kept
            of_racing_updates_with_one_key_one_is_kept
            the_same_update_sent_through_both_is_kept_once
            of_racing_closes_one_wins_and_nothing_follows_it
            racing_appends_are_one_order_without_holes
        }
    };
}

/// How often two appends race.
const ROUNDS: u64 = 60;

/// Appends through each of the handles four times, all at once. Returns the results.
async fn race(
    handles: &[Arc<dyn Log>; 2],
    append_of: impl Fn(usize) -> Append,
) -> Vec<Result<Receipt, Refused>> {
    const EACH: usize = 4;
    let start = Arc::new(Barrier::new(2 * EACH));
    let racing: Vec<_> = (0..2 * EACH)
        .map(|number| {
            let (log, start, one) = (handles[number % 2].clone(), start.clone(), append_of(number));
            tokio::spawn(async move {
                start.wait().await;
                append(&*log, one).await
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for raced in racing {
        outcomes.push(raced.await.expect("it does not panic"));
    }
    outcomes
}

/// The receipts of updates that were appended now.
fn kept(outcomes: &[Result<Receipt, Refused>]) -> Vec<&Receipt> {
    outcomes.iter().flatten().filter(|receipt| !receipt.repeated).collect()
}

#[expect(missing_docs, clippy::unwrap_used, reason = "tests: each is named by its promise, and may fail")]
mod promises {
    use super::*;

    pub async fn what_one_handle_acknowledged_the_other_reads(make: impl Fn(Retention) -> [Arc<dyn Log>; 2]) {
        let handles = make(keep(MANY));
        for number in 1..=ROUNDS {
            let (log, other) = match number % 2 {
                0 => (&*handles[0], &*handles[1]),
                _ => (&*handles[1], &*handles[0]),
            };
            let receipt = append(log, with_id(update("a", "x"), &number.to_string())).await.unwrap();
            assert_eq!(receipt.sequence, number);
            let bounds = other.refresh().await.unwrap();
            assert_eq!((bounds.newest.sequence, bounds.epoch), (number, log.bounds().epoch));
            assert_eq!(other.record(number).await.unwrap(), log.record(number).await.unwrap());
            assert_eq!(other.find(&number.to_string(), &topic("a").into()).await.unwrap(), Some(number));
        }
    }

    pub async fn of_racing_updates_with_one_id_one_is_kept(make: impl Fn(Retention) -> [Arc<dyn Log>; 2]) {
        let handles = make(keep(MANY));
        for round in 0..ROUNDS {
            let id = round.to_string();
            let outcomes =
                race(&handles, |number| with_id(update("a", number.to_string()), &id).into()).await;
            let kept = kept(&outcomes);
            assert_eq!(kept.len(), 1, "{outcomes:?}");
            let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            assert!(refused.clone().all(|refused| *refused == Refused::IdTaken { id: id.clone() }));
            assert_eq!(refused.count(), outcomes.len() - 1);
        }
        assert_eq!(handles[1].refresh().await.unwrap().newest.sequence, ROUNDS);
    }

    pub async fn of_racing_updates_with_one_key_one_is_kept(make: impl Fn(Retention) -> [Arc<dyn Log>; 2]) {
        let handles = make(keep(MANY));
        for round in 0..ROUNDS {
            let key = round.to_string();
            let outcomes = race(&handles, |number| keyed(update("a", number.to_string()), &key)).await;
            assert_eq!(kept(&outcomes).len(), 1, "{outcomes:?}");
            let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            assert!(refused.clone().all(|refused| *refused == Refused::KeyReused { key: key.clone() }));
            assert_eq!(refused.count(), outcomes.len() - 1);
        }
        assert_eq!(handles[1].refresh().await.unwrap().newest.sequence, ROUNDS);
    }

    pub async fn the_same_update_sent_through_both_is_kept_once(
        make: impl Fn(Retention) -> [Arc<dyn Log>; 2],
    ) {
        let handles = make(keep(MANY));
        for round in 0..ROUNDS {
            let name = round.to_string();
            let outcomes = race(&handles, |_| match round % 2 {
                0 => keyed(update("a", "x"), &name),
                _ => with_id(update("a", "x"), &name).into(),
            })
            .await;
            let kept = kept(&outcomes);
            assert_eq!(kept.len(), 1, "{outcomes:?}");
            for outcome in &outcomes {
                let receipt = outcome.as_ref().unwrap();
                assert_eq!(
                    (&receipt.id, receipt.sequence),
                    (&kept[0].id, round + 1),
                    "all are answered alike"
                );
            }
        }
    }

    pub async fn of_racing_closes_one_wins_and_nothing_follows_it(
        make: impl Fn(Retention) -> [Arc<dyn Log>; 2],
    ) {
        let handles = make(keep(MANY));
        for round in 0..ROUNDS {
            let name = format!("t/{round}");
            let outcomes = race(&handles, |number| match number {
                0..4 => Update::close(topic(&name), number.to_string()).into(),
                _ => update(&name, number.to_string()).into(),
            })
            .await;
            let closes = outcomes[..4].iter().flatten().collect::<Vec<_>>();
            assert_eq!(closes.len(), 1, "{outcomes:?}");
            let close = handles[0].record(closes[0].sequence).await.unwrap();
            let close = match close {
                Some(close) => close,
                None => {
                    handles[0].refresh().await.unwrap();
                    handles[0].record(closes[0].sequence).await.unwrap().unwrap()
                }
            };
            let closed = Refused::Closed { topic: name.clone(), reason: close.event().data().to_owned() };
            for outcome in &outcomes {
                match outcome {
                    Ok(receipt) => assert!(receipt.sequence <= close.sequence(), "{outcomes:?}"),
                    Err(refused) => assert_eq!(*refused, closed),
                }
            }
            for log in &handles {
                log.refresh().await.unwrap();
                assert_eq!(sequences(&read(&**log, 0, &[&name]).await).last(), Some(&close.sequence()));
                assert_eq!(log.closed(&topic(&name)).await.unwrap(), Some(close.clone()));
                assert_eq!(append(&**log, update(&name, "late")).await.unwrap_err(), closed);
            }
        }
    }

    pub async fn racing_appends_are_one_order_without_holes(make: impl Fn(Retention) -> [Arc<dyn Log>; 2]) {
        let handles = make(keep(MANY));
        let mut told = BTreeMap::new();
        for round in 0..ROUNDS {
            let outcomes = race(&handles, |number| update("a", format!("{round} {number}")).into()).await;
            for (number, outcome) in outcomes.into_iter().enumerate() {
                assert_eq!(told.insert(outcome.unwrap().sequence, format!("{round} {number}")), None);
            }
        }
        for log in &handles {
            log.refresh().await.unwrap();
            let page = read(&**log, 0, &["a"]).await;
            let kept =
                page.records.iter().map(|record| (record.sequence(), record.event().data().to_owned()));
            assert_eq!(kept.collect::<BTreeMap<_, _>>(), told);
            assert_eq!(sequences(&page), (1..=told.len() as u64).collect::<Vec<_>>());
        }
    }
}

pub use promises::*;
