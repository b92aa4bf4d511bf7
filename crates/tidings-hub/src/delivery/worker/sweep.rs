//! Heartbeats, write timeouts, and grants that end: a look at all rows now and then, instead of a timer for each.

use std::time::Duration;

use bytes::Bytes;

use super::{
    row::{State, Then},
    slots::Slot,
    work::Worker,
};
use crate::{
    Settings,
    delivery::{chunk::Encoded, expiry::Due},
    metrics::EndReason,
};

/// How many rows are looked at in one piece of work, and how many of them may get a heartbeat.
const LOOKS: usize = 4096;
const HEARTBEATS: usize = 128;

/// How far the current sweep has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    next: Option<Slot>,
}

impl Sweep {
    pub(super) fn begin(&mut self) {
        self.next.get_or_insert(0);
    }

    pub(super) fn is_running(&self) -> bool {
        self.next.is_some()
    }
}

/// How often to look: a heartbeat or a timeout is late by this at most, a sixteenth of itself and never more than a second.
pub(super) fn period(settings: &Settings) -> Duration {
    let shortest = settings.heartbeat.min(settings.write_timeout);
    let shortest = if shortest.is_zero() { settings.write_timeout } else { shortest };
    (shortest / 16).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

impl Worker {
    /// Goes on with the current sweep, if there is one.
    pub(super) fn sweep(&mut self) {
        let Some(first) = self.sweep.next else { return };
        let timeout = u64::try_from(self.engine.settings.write_timeout.as_millis()).unwrap_or(u64::MAX);
        let (mut next, mut heartbeats) = (first, 0);
        while next < self.rows.end() && ((next - first) as usize) < LOOKS && heartbeats < HEARTBEATS {
            let slot = next;
            next += 1;
            self.end_if_expired(slot);
            let Some(row) = self.rows.get(slot) else { continue };
            match &row.state {
                State::Blocked(rest) if self.now.saturating_sub(rest.pace.since()) >= timeout => {
                    self.engine.metrics.stalled.inc();
                    tracing::info!(
                        after = ?self.engine.settings.write_timeout,
                        "a connection is closed: its client takes too little"
                    );
                    self.remove(slot, EndReason::Stalled);
                }
                // A subscriber that lags gets something anyway.
                State::Blocked(_) | State::Behind => {}
                State::Live | State::Reading => heartbeats += usize::from(self.send_heartbeat_if_due(slot)),
            }
        }
        self.sweep.next = (next < self.rows.end()).then_some(next);
    }

    /// Ends a row whose grant has ended, or gives notice of that.
    fn end_if_expired(&mut self, slot: Slot) {
        let now = self.now;
        let Some(due) = self.expiries.get_mut(&slot).and_then(|expiry| expiry.take_due(now)) else { return };
        let Some(row) = self.rows.get_mut(slot) else { return };
        let group = self.groups.get(row.group);
        let is_told =
            group.is_some_and(|group| self.engine.form(group.subscription.terms.form).own().is_none());
        let chunk = |event: &Bytes| Encoded::from(&event[..]).into_chunk();
        match (&mut row.state, due) {
            // What it takes is late already. It ends when the rest is sent, and hears why when it comes back.
            (State::Blocked(rest), Due::End(_)) => {
                if rest.then == Then::Follow {
                    rest.then = Then::Finish(EndReason::Expired);
                }
            }
            (State::Blocked(_), Due::Notice(_)) => {}
            (_, Due::Notice(event)) => {
                if is_told {
                    self.send_aside(slot, &chunk(&event));
                }
            }
            (_, Due::End(event)) => {
                if is_told {
                    self.send_aside(slot, &chunk(&event));
                }
                match self.rows.get_mut(slot).map(|row| &mut row.state) {
                    Some(State::Blocked(rest)) => rest.then = Then::Finish(EndReason::Expired),
                    Some(_) => self.finish(slot, EndReason::Expired),
                    None => {}
                }
            }
        }
    }

    /// Only for rows that are between two events.
    fn send_heartbeat_if_due(&mut self, slot: Slot) -> bool {
        let Some(row) = self.rows.get(slot) else { return false };
        let silence = self.now.saturating_sub(row.written);
        let Some(heartbeat) = self.groups.heartbeat_after(row.group, silence) else { return false };
        self.send_aside(slot, &heartbeat);
        true
    }
}
