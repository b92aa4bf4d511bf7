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
mod appending;
mod eviction;
mod following;
mod names;
mod pages;
pub mod two_handles;

use std::future::poll_fn;

pub use self::{appending::*, eviction::*, following::*, names::*, pages::*};
use super::{
    Append, Following, IdempotencyKey, Limits, Log, Page, PageLimit, Receipt, Refused, Retention, Rule,
};
use crate::{Selector, Topic, TopicFilter, Update, UpdateId};

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
