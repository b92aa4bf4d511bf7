//! The subscriptions that ended last.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use super::Lag;
use crate::{Grant, delivery::subscription::Subscription, metrics::EndReason};

/// How many are told of.
const LISTED: usize = 20;

/// A subscription that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// Why it ended.
    pub(crate) reason: EndReason,
    /// When.
    pub(crate) time: SystemTime,
    /// Which topics it followed; only grants that cover them are told.
    pub(crate) subscription: Subscription,
    /// How much it lacked.
    pub(crate) lag: Lag,
}

/// The subscriptions that ended last, in two lists: those with public updates alone, and the others. So private streams
/// do not push out public ones. Their topics are shared, not copied, and bounded by the size of the requests' heads.
#[derive(Debug, Default)]
pub(crate) struct LastEnded(Mutex<[VecDeque<Ended>; 2]>);

impl LastEnded {
    pub(crate) fn push(&self, ended: Ended) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut last[usize::from(ended.subscription.terms.reach.has_private())];
        last.push_front(ended);
        last.truncate(LISTED);
    }

    /// Those that the holder of `grant` may know of, the last one first.
    pub(crate) fn of(&self, grant: &Grant) -> Vec<Ended> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.iter().flatten().filter(|ended| ended.subscription.may_be_told_to(grant));
        let mut known: Vec<_> = known.cloned().collect();
        known.sort_by_key(|ended| Reverse(ended.time));
        known.truncate(LISTED);
        known
    }
}
