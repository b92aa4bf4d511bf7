//! The few subscriptions with the largest lag.

use std::time::Duration;

use crate::delivery::subscription::Subscription;

/// How many are told of.
const LISTED: usize = 20;

/// The lag of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Lag {
    /// How far its position is from the log's newest record. An upper bound of the updates it lacks: others' are counted too.
    pub(crate) behind: u64,
    /// For how long its socket has accepted nothing of what waits for it, where somebody knows.
    pub(crate) stalled: Option<Duration>,
    /// For how long it is open.
    pub(crate) age: Duration,
}

/// An open subscription, as it was when somebody looked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// How much it lacks.
    pub(crate) lag: Lag,
    /// Which topics it follows.
    pub(crate) subscription: Subscription,
    /// As in `HTTP/2`; `None` for one within this process.
    pub(crate) protocol: Option<&'static str>,
}

/// The examined subscriptions with the largest lag, the largest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Furthest(Vec<Seen>);

impl Furthest {
    /// Takes one more into account. `seen` is called only if the lag is large enough.
    pub(crate) fn look_at(&mut self, lag: Lag, seen: impl FnOnce() -> Option<Seen>) {
        if self.0.len() == LISTED && self.0.last().is_some_and(|last| last.lag >= lag) {
            return;
        }
        let Some(seen) = seen() else { return };
        let at = self.0.partition_point(|other| other.lag >= lag);
        self.0.insert(at, seen);
        self.0.truncate(LISTED);
    }

    /// Takes those into account that somebody else has looked at.
    pub(crate) fn merge(&mut self, other: &Furthest) {
        for seen in &other.0 {
            self.look_at(seen.lag, || Some(seen.clone()));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventFormat, Selector, authorize::Reading};

    fn furthest(all: impl IntoIterator<Item = u64>) -> Furthest {
        let subscription = Subscription::new(Reading::public(Selector::everything()), EventFormat::Plain);
        let mut furthest = Furthest::default();
        for behind in all {
            let lag = Lag { behind, ..Lag::default() };
            furthest.look_at(lag, || Some(Seen { lag, subscription: subscription.clone(), protocol: None }));
        }
        furthest
    }

    #[test]
    fn the_twenty_furthest_behind_are_kept_whatever_the_order_and_the_parts() {
        let behind = |furthest: &Furthest| furthest.iter().map(|seen| seen.lag.behind).collect::<Vec<_>>();
        let expected: Vec<u64> = (80..100).rev().collect();
        assert_eq!(behind(&furthest(0..100)), expected);
        assert_eq!(behind(&furthest((0..100).rev())), expected);
        let mut merged = furthest((0..100).step_by(2));
        merged.merge(&furthest((1..100).step_by(2)));
        assert_eq!(behind(&merged), expected);
    }
}
