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

    /// Looks at all rows, though some were looked at just now.
    pub(super) fn begin_again(&mut self) {
        self.next = Some(0);
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
        let now = self.began + Duration::from_millis(self.now);
        let Some(expiry) = self.expiries.get_mut(&slot) else { return };
        let Some(row) = self.rows.get_mut(slot) else { return };
        if matches!(row.state, State::Blocked(_)) && !expiry.is_over(now) {
            // A notice waits until the row is between two events again.
            return;
        }
        let Some(due) = expiry.take_due(now) else { return };
        let group = self.groups.get(row.group);
        let is_told =
            group.is_some_and(|group| self.engine.form(group.subscription.terms.form).own().is_none());
        let chunk = |event: &Bytes| Encoded::from(&event[..]).into_chunk();
        match (&mut row.state, due) {
            // It is late already. It ends when the rest is sent, and hears the reason when it comes back.
            (State::Blocked(rest), Due::End(reason, _)) => {
                if rest.then == Then::Follow {
                    rest.then = Then::Finish(EndReason::Access(reason));
                }
            }
            (_, Due::Notice(event)) => {
                if is_told {
                    self.send_aside(slot, &chunk(&event));
                }
            }
            (_, Due::End(reason, event)) => {
                if is_told {
                    self.send_aside(slot, &chunk(&event));
                }
                match self.rows.get_mut(slot).map(|row| &mut row.state) {
                    Some(State::Blocked(rest)) => rest.then = Then::Finish(EndReason::Access(reason)),
                    Some(_) => self.finish(slot, EndReason::Access(reason)),
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

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read},
        net::{TcpListener, TcpStream},
        time::{Instant, SystemTime},
    };

    use tokio::sync::mpsc;

    use super::{
        super::row::{Extra, Row},
        *,
    };
    use crate::{
        EventFormat, Grant, Hub, Matchers, Selector, Topic,
        authorize::Reading,
        delivery::{
            expiry::Expiry,
            subscription::{Progress, Subscription},
        },
    };

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A worker with one row whose socket takes nothing more, and its client.
    fn with_full_socket(hub: &Hub) -> (Worker, Slot, TcpStream) {
        let (returned, _) = mpsc::unbounded_channel();
        let mut worker = Worker::new(hub.engine().clone(), returned).unwrap();
        let reading = Reading::public(Topic::parse("a").unwrap().into());
        let subscription = Subscription::new(reading, EventFormat::Plain);
        let (routing, inbox) = (&worker.engine.routing, &worker.inbox);
        let group = worker.groups.find_or_register(&subscription, Default::default(), routing, inbox);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        for socket in [&client, &socket] {
            socket.set_nonblocking(true).unwrap();
        }
        let row = Row {
            socket: mio::net::TcpStream::from_std(socket),
            group,
            progress: Progress::default(),
            written: 0,
            state: State::Live,
            joined: 0,
            extra: Some(Box::<Extra>::default()),
        };
        while row.send(&[b' '; 1 << 20]).unwrap() > 0 {}
        let slot = worker.rows.insert(row);
        // The notice is due after 18 seconds.
        let expires = SystemTime::now() + Duration::from_secs(20);
        let grant = Grant::default().with_read(Matchers::all()).with_expiry(expires);
        let reading = grant.reading(Selector::everything()).unwrap();
        worker.expiries.insert(slot, Expiry::of(reading.open.unwrap()));
        worker.now += 19_000;
        (worker, slot, client)
    }

    /// Lets the client read, and the worker go on, until the row has all there is; how many notices came.
    fn notices(worker: &mut Worker, slot: Slot, client: &mut TcpStream) -> usize {
        let began = Instant::now();
        let (mut read, mut piece) = (Vec::new(), vec![0; 1 << 20]);
        let mut is_over = false;
        loop {
            match client.read(&mut piece) {
                Ok(count) => {
                    assert!(count > 0, "the row has ended");
                    read.extend(piece[..count].iter().filter(|byte| **byte != b' '));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && is_over => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(began.elapsed() < PATIENCE, "it never has all");
            worker.unblock(slot);
            assert!(worker.turns.len() <= 1, "it has one turn in a round");
            worker.deliver();
            worker.end_if_expired(slot);
            if matches!(worker.rows.get(slot).unwrap().state, State::Live) && !is_over {
                // A byte that is the last.
                is_over = worker.rows.get(slot).unwrap().send(b"!").unwrap() == 1;
            }
            if is_over && read.ends_with(b"!") {
                break;
            }
        }
        String::from_utf8_lossy(&read).matches("expires").count()
    }

    #[tokio::test]
    async fn a_notice_that_meets_a_blocked_row_is_given_when_that_is_between_two_events() {
        let hub = Hub::default();
        let (mut worker, slot, mut client) = with_full_socket(&hub);
        let now = worker.now;
        worker.rows.get_mut(slot).unwrap().block(Bytes::from_static(b"rest"), now, Then::Follow);
        worker.end_if_expired(slot);
        assert_eq!(notices(&mut worker, slot, &mut client), 1);
    }

    #[tokio::test]
    async fn a_notice_that_a_socket_does_not_take_is_given_later() {
        let hub = Hub::default();
        let (mut worker, slot, mut client) = with_full_socket(&hub);
        worker.end_if_expired(slot);
        assert_eq!(notices(&mut worker, slot, &mut client), 1);
    }

    #[tokio::test]
    async fn a_notice_to_a_row_that_has_a_turn_gives_it_no_second_one() {
        let hub = Hub::default();
        let (mut worker, slot, mut client) = with_full_socket(&hub);
        worker.rows.get_mut(slot).unwrap().state = State::Behind;
        worker.turns.push_back(slot);
        worker.end_if_expired(slot);
        assert_eq!(notices(&mut worker, slot, &mut client), 1);
    }
}
