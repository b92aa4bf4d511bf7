//! The subscriptions that ended last.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use super::Lag;
use crate::{delivery::subscription::Subscription, metrics::EndReason};

/// How many are kept.
const KEPT: usize = 20;

/// A subscription that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) reason: EndReason,
    pub(crate) time: SystemTime,
    pub(crate) subscription: Subscription,
    /// How much it lacked.
    pub(crate) lag: Lag,
}

/// Those that ended last. What they followed is shared, not copied: at most what the heads of so many requests can name.
#[derive(Debug, Default)]
pub(crate) struct LastEnded(Mutex<VecDeque<Ended>>);

impl LastEnded {
    pub(crate) fn push(&self, ended: Ended) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_front(ended);
        last.truncate(KEPT);
    }

    /// The last one first.
    pub(crate) fn to_vec(&self) -> Vec<Ended> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
