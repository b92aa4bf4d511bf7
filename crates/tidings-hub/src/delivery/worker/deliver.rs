//! What a worker sends: live updates first, then chunks for the rows that lag.

use std::io;

use bytes::{Buf, Bytes};

use super::{
    reads::{PageRead, Wanted},
    row::{State, Then},
    slots::Slot,
    work::Worker,
};
use crate::{
    Topic,
    delivery::{
        chunk::{Encoded, LAST_CHUNK},
        subscription::{Progress, Read, Subscription},
    },
    metrics::EndReason,
};

/// How many rows get live updates in one piece of work, at about 2 µs each.
const LIVE: usize = 256;

/// How many rows that lag get a chunk in one piece of work, at up to 20 µs each.
const BEHIND: usize = 16;

/// An update for a group, on its way through the group's rows.
#[derive(Debug)]
pub(super) struct Pass {
    /// Asked for by [`group`](Pass::group) alone, which counts.
    group: Slot,
    /// The group's own: its slot may be another's by the time this goes on.
    registration: u64,
    /// The first update for the group since the last pass.
    first: u64,
    /// The last row that has been looked at.
    after: Option<Slot>,
}

#[cfg(test)]
thread_local! {
    /// How often passes of this thread's workers have been looked at.
    pub(super) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Pass {
    fn group(&self) -> Slot {
        #[cfg(test)]
        LOOKED_AT.set(LOOKED_AT.get() + 1);
        self.group
    }
}

/// A page of the log that has come for the rows of a group that wait for it.
#[derive(Debug)]
pub(super) struct Page {
    group: Slot,
    from: Progress,
    prepared: Prepared,
}

/// A chunk for every row of a group at one position.
#[derive(Debug)]
pub(super) struct Prepared {
    bytes: Option<Bytes>,
    events: u64,
    /// The closes in it, where they count: in subscriptions that end.
    closed: Vec<Topic>,
    then: Progress,
    more: bool,
}

impl Prepared {
    fn new(read: Read, subscription: &Subscription) -> Prepared {
        let Read { chunk, then, more } = read;
        let closed = if subscription.selector.is_exact() { chunk.closed().to_vec() } else { Vec::new() };
        let events = chunk.events();
        let bytes = chunk.into_encoded().map(Encoded::into_chunk);
        Prepared { bytes, events, closed, then, more }
    }
}

impl Worker {
    /// Does one piece of work of each kind.
    pub(super) fn deliver(&mut self) {
        let mut budget = LIVE;
        while budget > 0 {
            let Some(pass) = self.passes.pop_front() else { break };
            budget = self.go_on(pass, budget);
        }
        let mut budget = BEHIND;
        while budget > 0 {
            let Some(page) = self.pages.pop_front() else { break };
            budget = self.hand_out(page, budget);
        }
        for _ in 0..BEHIND.min(self.turns.len()) {
            let Some(slot) = self.turns.pop_front() else { break };
            if self.rows.get(slot).is_some_and(|row| matches!(row.state, State::Behind)) {
                self.advance(slot);
            }
        }
        if self.delivered > 0 {
            self.engine.metrics.delivered.inc_by(std::mem::take(&mut self.delivered));
        }
    }

    /// Begins to bring what `group` was signalled to its rows.
    pub(super) fn begin_pass(&mut self, group: Slot) {
        let Some(of) = self.groups.get(group) else { return };
        if let Some(first) = of.listen() {
            self.passes.push_back(Pass { group, registration: of.registration(), first, after: None });
        }
    }

    /// Continues a pass, and returns the rest of the budget. A pass ends before the next one of its group begins.
    /// Otherwise its position would be wrong for rows that it has not reached.
    fn go_on(&mut self, mut pass: Pass, budget: usize) -> usize {
        let of = self.groups.get(pass.group());
        let Some(group) = of.filter(|group| group.registration() == pass.registration) else { return budget };
        let mut slots = std::mem::take(&mut self.scratch);
        slots.extend(group.rows.keys_after(pass.after).take(budget));
        for slot in &slots {
            // Rows in other states come to it by themselves.
            let Some(row) = self.rows.get_mut(*slot) else { continue };
            if matches!(row.state, State::Live) {
                // Nothing before the first that was signalled is for it. So a row that was quiet for long need not look for its
                // position in the log.
                row.progress.reach(pass.first - 1);
                self.advance(*slot);
            }
        }
        let left = budget - slots.len();
        pass.after = slots.last().copied();
        slots.clear();
        self.scratch = slots;
        if left == 0 {
            self.passes.push_front(pass);
        }
        left
    }

    /// Hands a page to the rows that wait for it; returns what is left of the budget.
    fn hand_out(&mut self, page: Page, mut budget: usize) -> usize {
        while let Some(readers) = self.groups.readers(page.group, page.from) {
            let Some(slot) = readers.pop() else {
                self.forget_page(page.group, page.from);
                return budget;
            };
            if self.is_reading(slot, page.group, page.from) {
                if budget == 0 {
                    self.want_page(slot, page.group, page.from);
                    self.pages.push_front(page);
                    return 0;
                }
                budget -= 1;
                self.send(slot, &page.prepared);
            }
        }
        budget
    }

    /// Whether a row still waits for this page. It may have left, and another may have its number.
    fn is_reading(&self, slot: Slot, group: Slot, from: Progress) -> bool {
        self.rows.get(slot).is_some_and(|row| {
            matches!(row.state, State::Reading) && row.group == group && row.progress == from
        })
    }

    /// Sends one chunk of what follows a row's position.
    fn advance(&mut self, slot: Slot) {
        let Some(row) = self.rows.get(slot) else { return };
        let (group, from) = (row.group, row.progress);
        let prepared = match self.prepared.take() {
            Some(prepared) if prepared.0 == group && prepared.1 == from => Some(prepared.2),
            _ => self.groups.get(group).and_then(|group| {
                let read = group.subscription.read_window(&self.engine, from)?;
                Some(Prepared::new(read, &group.subscription))
            }),
        };
        match prepared {
            Some(prepared) => {
                self.send(slot, &prepared);
                self.prepared = Some((group, from, prepared));
            }
            None => self.want_page(slot, group, from),
        }
    }

    /// Makes a row wait for what follows its position in the log, together with others of its group that are there.
    fn want_page(&mut self, slot: Slot, group: Slot, from: Progress) {
        let Some(row) = self.rows.get_mut(slot) else { return };
        row.state = State::Reading;
        if self.groups.add_reader(group, from, slot) {
            let is_search = self.groups.get(group).is_some_and(super::group::Group::is_searched_for);
            self.reads.want(Wanted { group, from, is_search });
            self.read_wanted();
        }
    }

    /// Begins to read the pages that may be read now, except those that all rows have left.
    fn read_wanted(&mut self) {
        while let Some(wanted) = self.reads.next_wanted() {
            let Some(of) = self.groups.get(wanted.group) else { continue };
            if of.rows.is_empty() {
                self.forget_page(wanted.group, wanted.from);
            } else {
                self.reads.begin(wanted, of.subscription.clone(), self.engine.clone());
            }
        }
    }

    pub(super) fn take_page(&mut self, PageRead { wanted: Wanted { group, from, .. }, read }: PageRead) {
        self.read_wanted();
        match read {
            Ok(read) => {
                let Some(of) = self.groups.get(group) else { return };
                let prepared = Prepared::new(read, &of.subscription);
                self.pages.push_back(Page { group, from, prepared });
            }
            Err(error) => {
                tracing::error!(%error, position = from.position, "subscribers' streams end: the log cannot be read");
                let readers = self.groups.readers(group, from);
                for slot in readers.map(std::mem::take).unwrap_or_default() {
                    if self.is_reading(slot, group, from) {
                        self.finish(slot, EndReason::LogFailed);
                    }
                }
                self.forget_page(group, from);
            }
        }
    }

    fn forget_page(&mut self, group: Slot, from: Progress) {
        self.groups.forget_readers(group, from);
        self.forget_if_unused(group);
    }

    /// Sends a chunk to a row that is where the chunk begins.
    fn send(&mut self, slot: Slot, prepared: &Prepared) {
        let Some(row) = self.rows.get_mut(slot) else { return };
        let mut ended = false;
        if let Some(bytes) = &prepared.bytes {
            let sent = match row.send(bytes) {
                Ok(sent) => sent,
                Err(error) => return self.lose(slot, &error),
            };
            if sent == 0 {
                // Nothing of it has begun, so nothing of it is kept.
                row.block(Bytes::new(), self.now, Then::Follow);
                return;
            }
            row.written = self.now;
            self.delivered += prepared.events;
            ended = row.note_closed(&prepared.closed);
            if sent < bytes.len() {
                let then = if ended { Then::Finish(EndReason::Closed) } else { Then::Follow };
                row.progress = prepared.then;
                row.block(bytes.slice(sent..), self.now, then);
                return;
            }
        }
        row.progress = prepared.then;
        row.state = State::Live;
        if ended {
            self.finish(slot, EndReason::Closed);
        } else if prepared.more {
            row.state = State::Behind;
            self.turns.push_back(slot);
        }
    }

    /// Sends what belongs to no position to a row that is between two events.
    pub(super) fn send_aside(&mut self, slot: Slot, bytes: &Bytes) {
        let Some(row) = self.rows.get_mut(slot) else { return };
        match row.send(bytes) {
            Ok(sent) => {
                row.written = self.now;
                if sent < bytes.len() {
                    if matches!(row.state, State::Behind) {
                        // It gets a turn when its socket takes more, and has no second one in the same round.
                        self.turns.retain(|other| *other != slot);
                    }
                    row.block(bytes.slice(sent..), self.now, Then::Follow);
                }
            }
            Err(error) => self.lose(slot, &error),
        }
    }

    /// Sends the rest of a row whose socket takes more.
    pub(super) fn unblock(&mut self, slot: Slot) {
        let Some(row) = self.rows.get_mut(slot) else { return };
        let mut rest = match std::mem::replace(&mut row.state, State::Behind) {
            State::Blocked(rest) => rest,
            // The kernel tells all that a socket is ready for: one with something to read also takes more, and did before.
            other => {
                row.state = other;
                return;
            }
        };
        let sent = match row.send(&rest.bytes) {
            Ok(sent) => sent,
            Err(error) => return self.lose(slot, &error),
        };
        rest.bytes.advance(sent);
        if sent > 0 {
            rest.pace.took(sent, self.now);
            row.written = self.now;
        }
        if !rest.bytes.is_empty() {
            row.state = State::Blocked(rest);
            return;
        }
        match rest.then {
            Then::Follow => self.turns.push_back(slot),
            Then::Finish(reason) => self.finish(slot, reason),
            Then::Finished(reason) => self.complete(slot, reason),
        }
    }

    /// Ends the body of a row that is between two events.
    pub(super) fn finish(&mut self, slot: Slot, reason: EndReason) {
        let Some(row) = self.rows.get_mut(slot) else { return };
        match row.send(&LAST_CHUNK) {
            Ok(sent) if sent < LAST_CHUNK.len() => {
                row.block(LAST_CHUNK.slice(sent..), self.now, Then::Finished(reason));
            }
            Ok(_) => self.complete(slot, reason),
            Err(error) => self.lose(slot, &error),
        }
    }

    /// Ends all streams, each between two events.
    pub(super) fn end_all(&mut self) {
        for slot in 0..self.rows.end() {
            let Some(row) = self.rows.get_mut(slot) else { continue };
            match &mut row.state {
                State::Blocked(rest) => {
                    if rest.then == Then::Follow {
                        rest.then = Then::Finish(EndReason::Shutdown);
                    }
                }
                _ => self.finish(slot, EndReason::Shutdown),
            }
        }
    }

    pub(super) fn look_for_hang_up(&mut self, slot: Slot) {
        let Some(row) = self.rows.get(slot) else { return };
        if row.has_hung_up() {
            // A client that only stopped sending gets a whole body.
            match row.state {
                State::Blocked(_) => drop(self.remove(slot, EndReason::Left)),
                _ => self.finish(slot, EndReason::Left),
            }
        }
    }

    fn lose(&mut self, slot: Slot, error: &io::Error) {
        tracing::debug!(%error, "a subscriber has left");
        drop(self.remove(slot, EndReason::Left));
    }
}
