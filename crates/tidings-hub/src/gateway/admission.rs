//! How many requests are with the upstream at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

/// How long a request that was given up keeps its slot. The upstream notices late, some upstreams only when the answer is
/// complete, and its work is paid for until then. Otherwise a client that asks and leaves at once could have any number of
/// requests there.
const LINGERS: Duration = Duration::from_secs(10);

/// Bounds the number of requests that are with the upstream, with or without a stream. Each has a connection, and costs the
/// operator money. A cheap handle, to be cloned.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    most: usize,
    admitted: Gauge,
    positions: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    /// When the slots of requests that were given up are free again.
    lingering: VecDeque<Instant>,
}

/// A request that was let in. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Admission,
    over: bool,
}

impl Admission {
    /// Lets in `most` at once, and counts them in `admitted`.
    pub(super) fn new(most: usize, admitted: Gauge) -> Admission {
        Admission { most, admitted, positions: Arc::default() }
    }

    /// Lets a request in; `None` while there are as many as there may be.
    pub(super) fn admit(&self) -> Option<Admitted> {
        let mut positions = self.positions();
        let now = Instant::now();
        while positions.lingering.front().is_some_and(|free| *free <= now) {
            positions.lingering.pop_front();
        }
        if positions.taken + positions.lingering.len() >= self.most {
            return None;
        }
        positions.taken += 1;
        self.admitted.inc();
        Some(Admitted { admission: self.clone(), over: false })
    }

    fn positions(&self) -> MutexGuard<'_, Places> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Notes that the upstream itself has ended the exchange: the slot is free at once.
    pub(super) fn over(&mut self) {
        self.over = true;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut positions = self.admission.positions();
        positions.taken -= 1;
        if !self.over {
            positions.lingering.push_back(Instant::now() + LINGERS);
        }
        self.admission.admitted.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_is_over_makes_room_at_once_and_one_that_is_given_up_later() {
        let admission = Admission::new(2, Gauge::default());
        let mut first = admission.admit().unwrap();
        let second = admission.admit().unwrap();
        assert!(admission.admit().is_none());
        assert_eq!(admission.admitted.get(), 2, "one that was refused is not counted");
        first.over();
        drop(first);
        let third = admission.admit().unwrap();
        drop(second);
        assert!(admission.admit().is_none());
        assert_eq!(admission.admitted.get(), 1, "one that was given up is not with the upstream");
        tokio::time::advance(LINGERS).await;
        assert!(admission.admit().is_some());
        drop(third);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_leave_at_once_have_as_many_requests_answered_as_may_be() {
        let admission = Admission::new(10, Gauge::default());
        assert_eq!((0..1_000).filter_map(|_| admission.admit()).count(), 10);
    }
}
