//! Which rows lag most: a look at all of them when an operator asks, instead of a list that is kept up to date.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    row::{Row, State},
    slots::Slot,
    work::Worker,
};
use crate::{
    Grant,
    delivery::lag::{FRESH, Furthest, Lag, Seen},
};

/// How many rows are looked at in one piece of work.
const LOOKS: usize = 4096;

/// A question, and where to answer it.
#[derive(Debug)]
pub(super) struct Asker {
    /// Rows that its holder may not know of are left out.
    pub(super) grant: Grant,
    /// Where the answer goes.
    pub(super) tell: oneshot::Sender<Arc<Furthest>>,
}

/// How far the current look has come, and what came of the last.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The look is for the grant of the first of them; others with the same grant get what comes of it.
    askers: Vec<Asker>,
    next: Slot,
    furthest: Furthest,
    /// When it was done, in milliseconds of the worker's time, and for whom.
    last: Option<(u64, Grant, Arc<Furthest>)>,
}

impl Survey {
    pub(super) fn is_running(&self) -> bool {
        !self.askers.is_empty()
    }
}

impl Worker {
    /// Answers with the last result if it is fresh, otherwise after a search of all rows.
    pub(super) fn answer(&mut self, asker: Asker) {
        let fresh = FRESH.as_millis();
        match &self.survey.last {
            Some((at, grant, furthest))
                if u128::from(self.now.saturating_sub(*at)) < fresh && *grant == asker.grant =>
            {
                // A client that does not wait any more needs no answer.
                let _ = asker.tell.send(furthest.clone());
            }
            _ => self.survey.askers.push(asker),
        }
    }

    /// Goes on with the current look, if there is one.
    pub(super) fn survey(&mut self) {
        let Some(Asker { grant, .. }) = self.survey.askers.first() else { return };
        let newest = self.engine.log.bounds().newest.sequence;
        let end = self.rows.end().min(self.survey.next.saturating_add(LOOKS as Slot));
        for slot in self.survey.next..end {
            let Some(row) = self.rows.get(slot) else { continue };
            let (lag, group) = (row.lag(newest, self.now), row.group);
            self.survey.furthest.look_at(lag, || {
                let subscription = &self.groups.get(group)?.subscription;
                let seen = || Seen { lag, subscription: subscription.clone(), protocol: Some("HTTP/1.1") };
                subscription.may_be_told_to(grant).then(seen)
            });
        }
        self.survey.next = end;
        if end < self.rows.end() {
            return;
        }
        let (grant, furthest) = (grant.clone(), Arc::new(std::mem::take(&mut self.survey.furthest)));
        let (told, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.survey.askers).into_iter().partition(|asker| asker.grant == grant);
        self.survey.askers = others;
        for asker in told {
            let _ = asker.tell.send(furthest.clone());
        }
        self.survey.next = 0;
        self.survey.last = Some((self.now, grant, furthest));
    }
}

impl Row {
    /// How much it lacks of a log that ends with `newest`.
    pub(super) fn lag(&self, newest: u64, now: u64) -> Lag {
        let behind = match self.state {
            // Its position is that of the last update for it, however many there were for others.
            State::Live => 0,
            _ => newest.saturating_sub(self.progress.position),
        };
        let stalled = match &self.state {
            State::Blocked(rest) => Some(Duration::from_millis(now.saturating_sub(rest.pace.since()))),
            _ => None,
        };
        let age = Duration::from_secs((now / 1000).saturating_sub(self.joined.into()));
        Lag { behind, stalled, age }
    }
}
