//! The delivery loops, which can be asked for their rows with the largest lag.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::Furthest;
use crate::{Grant, delivery::Inbox};

/// How long a loop may take to answer, with all its other work. One that failed never does.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those that run.
#[derive(Debug, Default)]
pub(crate) struct Loops(Mutex<Vec<Weak<Inbox>>>);

impl Loops {
    /// Adds a loop that begins, for as long as its inbox is there.
    #[cfg(unix)]
    pub(crate) fn add(&self, inbox: &Arc<Inbox>) {
        let mut inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.retain(|inbox| inbox.strong_count() > 0);
        inboxes.push(Arc::downgrade(inbox));
    }

    /// Those that run.
    #[cfg(all(test, unix))]
    pub(crate) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        let inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.iter().filter_map(Weak::upgrade).collect()
    }

    /// Makes each look at the grants of its rows.
    pub(crate) fn look_at_grants(&self) {
        let inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for inbox in inboxes.iter().filter_map(Weak::upgrade) {
            inbox.look_at_grants();
        }
    }

    /// Asks all of them for those that the holder of `grant` may know of. Cancel safe. A loop that does not answer in time is left out, and the log says so.
    pub(crate) async fn furthest(&self, grant: &Grant) -> Furthest {
        let inboxes: Vec<Arc<Inbox>> = {
            let inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            inboxes.iter().filter_map(Weak::upgrade).collect()
        };
        // All are asked before the first is waited for.
        let answers: Vec<_> = inboxes.iter().map(|inbox| inbox.ask(grant)).collect();
        drop(inboxes);
        let deadline = Instant::now() + PATIENCE;
        let mut all = Furthest::default();
        for answer in answers {
            match timeout_at(deadline, answer).await {
                Ok(Ok(furthest)) => all.merge(&furthest),
                // It has ended, and its rows with it.
                Ok(Err(_)) => {}
                Err(_) => {
                    tracing::warn!(after = ?PATIENCE, "a delivery loop does not say which of its subscriptions lag");
                }
            }
        }
        all
    }
}
