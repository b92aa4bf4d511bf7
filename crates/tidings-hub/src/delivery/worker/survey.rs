//! Which rows are furthest behind: a look at all of them when somebody asks, instead of a list that is kept.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    row::{Row, State},
    slots::Slot,
    work::Worker,
};
use crate::delivery::lag::{FRESH, Furthest, Lag, Seen};

/// How many rows are looked at in one piece of work.
const LOOKS: usize = 4096;

/// Somebody who asks.
pub(crate) type Asker = oneshot::Sender<Arc<Furthest>>;

/// How far the current look has come, and what came of the last.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Whoever asks while it runs gets what comes of it.
    askers: Vec<Asker>,
    next: Slot,
    furthest: Furthest,
    /// When it was done, in milliseconds of the worker's time.
    last: Option<(u64, Arc<Furthest>)>,
}

impl Survey {
    pub(super) fn is_running(&self) -> bool {
        !self.askers.is_empty()
    }
}

impl Worker {
    /// Answers with the last look if it is fresh, or else when all rows have been looked at.
    pub(super) fn answer(&mut self, asker: Asker) {
        let fresh = FRESH.as_millis();
        match &self.survey.last {
            Some((at, furthest)) if u128::from(self.now.saturating_sub(*at)) < fresh => {
                // Who does not wait any more needs no answer.
                let _ = asker.send(furthest.clone());
            }
            _ => self.survey.askers.push(asker),
        }
    }

    /// Goes on with the current look, if there is one.
    pub(super) fn survey(&mut self) {
        if !self.survey.is_running() {
            return;
        }
        let newest = self.engine.log.bounds().newest.sequence;
        let end = self.rows.end().min(self.survey.next.saturating_add(LOOKS as Slot));
        for slot in self.survey.next..end {
            let Some(row) = self.rows.get(slot) else { continue };
            let (lag, group) = (row.lag(newest, self.now), row.group);
            self.survey.furthest.look_at(lag, || {
                let subscription = &self.groups.get(group)?.subscription;
                let seen = || Seen { lag, subscription: subscription.clone(), protocol: Some("HTTP/1.1") };
                self.engine.may_be_told_of(subscription).then(seen)
            });
        }
        self.survey.next = end;
        if end < self.rows.end() {
            return;
        }
        let furthest = Arc::new(std::mem::take(&mut self.survey.furthest));
        for asker in self.survey.askers.drain(..) {
            let _ = asker.send(furthest.clone());
        }
        self.survey.next = 0;
        self.survey.last = Some((self.now, furthest));
    }
}

impl Row {
    /// How much it lacks of a log that ends with `newest`.
    pub(super) fn lag(&self, newest: u64, now: u64) -> Lag {
        let behind = match self.state {
            // Its position is that of the last update for it, however many there were for others.
            State::Live => 0,
            _ => newest.saturating_sub(self.standing.position),
        };
        let stalled = match &self.state {
            State::Blocked(rest) => Some(Duration::from_millis(now.saturating_sub(rest.pace.since()))),
            _ => None,
        };
        let age = Duration::from_secs((now / 1000).saturating_sub(self.joined.into()));
        Lag { behind, stalled, age }
    }
}
