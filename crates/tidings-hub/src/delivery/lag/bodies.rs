//! The subscriptions that are delivered as bodies: HTTP/2, HTTP/1 over TLS, other servers, and this process itself.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::{FRESH, Furthest, Lag, Seen};
use crate::{
    Grant,
    delivery::{routing::Wake, subscription::Subscription},
};

/// A list of them: about a hundred bytes for each, beside the kilobytes that a body costs.
#[derive(Debug, Default)]
pub(crate) struct Bodies(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    bodies: HashMap<u64, Arc<Body>>,
    last_number: u64,
    /// The last result, with its time and the grant for which it was made.
    last: Option<(Instant, Grant, Arc<Furthest>)>,
}

/// The known state of a subscription that is delivered as a body.
#[derive(Debug)]
pub(crate) struct Body {
    number: u64,
    opened: Instant,
    subscription: Subscription,
    protocol: Option<&'static str>,
    /// Its position, or [`UP_TO_SIGNAL`].
    position: AtomicU64,
    wake: Arc<Wake>,
}

/// The position of one that has all there was: it lacks what it has been signalled since, though it may not have noticed.
const UP_TO_SIGNAL: u64 = u64::MAX;

impl Bodies {
    /// Lists a subscription, until it [leaves](Bodies::leave).
    pub(crate) fn join(
        &self,
        opened: Instant,
        subscription: &Subscription,
        protocol: Option<&'static str>,
        wake: Arc<Wake>,
    ) -> Arc<Body> {
        let open = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.last_number += 1;
        let number = open.last_number;
        let (subscription, position) = (subscription.clone(), AtomicU64::new(UP_TO_SIGNAL));
        let body = Arc::new(Body { number, opened, subscription, protocol, position, wake });
        open.bodies.insert(number, body.clone());
        body
    }

    pub(crate) fn leave(&self, body: &Body) {
        let open = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.bodies.remove(&body.number);
    }

    /// Makes each look at its grant.
    pub(crate) fn look_at_grants(&self) {
        let bodies: Vec<_> = {
            let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            open.bodies.values().map(|body| body.wake.clone()).collect()
        };
        for wake in bodies {
            wake.rouse();
        }
    }

    /// The subscriptions with the largest lag that the holder of `grant` may see. `newest` is the log's newest record.
    pub(crate) fn furthest(&self, newest: u64, grant: &Grant) -> Arc<Furthest> {
        let open = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_fresh = |(at, of, _): &&(Instant, Grant, _)| now - *at < FRESH && of.knows_as_much_as(grant);
        if let Some((.., furthest)) = open.last.as_ref().filter(is_fresh) {
            return furthest.clone();
        }
        let mut furthest = Furthest::default();
        for body in open.bodies.values() {
            let lag = Lag { behind: body.behind(newest), stalled: None, age: now - body.opened };
            furthest.look_at(lag, || {
                let Body { subscription, protocol, .. } = &**body;
                let seen = || Seen { lag, subscription: subscription.clone(), protocol: *protocol };
                subscription.may_be_told_to(grant).then(seen)
            });
        }
        let furthest = Arc::new(furthest);
        open.last = Some((now, grant.clone(), furthest.clone()));
        furthest
    }
}

impl Body {
    /// Notes its position in the log. `None` means the position of its next signal.
    pub(crate) fn note(&self, position: Option<u64>) {
        self.position.store(position.unwrap_or(UP_TO_SIGNAL), Ordering::Relaxed);
    }

    fn behind(&self, newest: u64) -> u64 {
        match self.position.load(Ordering::Relaxed) {
            UP_TO_SIGNAL => self.wake.first().map_or(0, |first| (newest + 1).saturating_sub(first)),
            position => newest.saturating_sub(position),
        }
    }
}
