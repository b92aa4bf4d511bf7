//! The task of a worker: what wakes it, and in which order it works.

use std::{
    collections::VecDeque,
    io,
    net::{Shutdown, TcpStream},
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mio::{Events, Poll, Token};
use tokio::{
    io::unix::AsyncFd,
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use super::{
    deliver::{Page, PageRead, Pass, Prepared},
    group::Groups,
    inbox::{Inbox, Joining, Mail},
    row::{Extra, Row, State},
    slots::{Slot, Slots},
    survey::Survey,
    sweep::{self, Sweep},
};
use crate::{hub::Shared, metrics::EndReason, seats::Seat, subscription::Standing, survey::Ended};

/// How many readiness events are fetched at once.
const EVENTS: usize = 1024;

/// A connection whose stream has ended and which serves on, with what its client has sent meanwhile.
pub(crate) type Returned = (TcpStream, Bytes, Seat);

/// The delivery loops of one server: one for each core. Dropping them ends their connections.
pub(crate) struct Workers {
    inboxes: Vec<Arc<Inbox>>,
    next: AtomicUsize,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Starts them on the current Tokio runtime. Connections that outlive their streams go to `door`.
    pub(crate) fn start(shared: &Arc<Shared>, door: &mpsc::UnboundedSender<Returned>) -> io::Result<Workers> {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut workers = Workers { inboxes: Vec::new(), next: AtomicUsize::new(0), tasks: JoinSet::new() };
        for _ in 0..count {
            let worker = Worker::new(shared.clone(), door.clone())?;
            shared.loops.add(&worker.inbox);
            workers.inboxes.push(worker.inbox.clone());
            workers.tasks.spawn(worker.run());
        }
        Ok(workers)
    }

    /// Hands a subscription to the next of them.
    pub(crate) fn join(&self, joining: Joining) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.inboxes[turn % self.inboxes.len()].put(|mail| mail.joining.push(joining));
    }

    /// Waits until all streams have ended, which they do when the hub shuts down. Nobody may join after that.
    pub(crate) async fn ended(mut self) {
        for inbox in &self.inboxes {
            inbox.put(|mail| mail.closing = true);
        }
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a delivery loop failed");
            }
        }
    }
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Arc<Inbox>,
    mail: Mail,
    /// Where readiness of the sockets is told. Polled only when Tokio says that there is some, and between pieces of work.
    pub(super) sockets: AsyncFd<Poll>,
    pub(super) rows: Slots<Row>,
    pub(super) groups: Groups,
    /// Groups with updates that their rows don't have yet.
    pub(super) passes: VecDeque<Pass>,
    /// Rows that are behind, each once.
    pub(super) turns: VecDeque<Slot>,
    /// Pages of the log that have come, and for whom.
    pub(super) pages: VecDeque<Page>,
    /// Pages that are being read: for which group, from where, and what came of it.
    pub(super) reads: JoinSet<PageRead>,
    /// How many of them are searched for.
    pub(super) searching: usize,
    /// Pages to be read when others are done: for which group, and from where.
    pub(super) wanted: VecDeque<(Slot, Standing)>,
    /// The same of pages that are searched for, so that nobody else waits for these.
    pub(super) wanted_searches: VecDeque<(Slot, Standing)>,
    /// The last chunk that was made since the inbox was looked at: of rows at one place, all but the first find it here.
    pub(super) prepared: Option<(Slot, Standing, Prepared)>,
    pub(super) sweep: Sweep,
    pub(super) survey: Survey,
    /// Events sent in this piece of work.
    pub(super) delivered: u64,
    /// Of a pass, the rows to be looked at; kept for its memory.
    pub(super) scratch: Vec<Slot>,
    began: Instant,
    /// Milliseconds since it began, as of the current piece of work.
    pub(super) now: u64,
    pub(super) stopping: bool,
    pub(super) door: mpsc::UnboundedSender<Returned>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        for slot in 0..self.rows.end() {
            drop(self.remove(slot, EndReason::Left));
        }
    }
}

impl Worker {
    fn new(shared: Arc<Shared>, door: mpsc::UnboundedSender<Returned>) -> io::Result<Worker> {
        // Tokio deprecates `new` because not every descriptor stays what it was. That of a `Poll` does, as long as it lives,
        // and its replacement is unsafe code.
        #[allow(deprecated, reason = "as above; older versions of Tokio don't deprecate it")]
        let sockets = AsyncFd::new(Poll::new()?)?;
        Ok(Worker {
            inbox: Arc::default(),
            mail: Mail::default(),
            sockets,
            rows: Slots::new(),
            groups: Groups::new(),
            passes: VecDeque::new(),
            turns: VecDeque::new(),
            pages: VecDeque::new(),
            reads: JoinSet::new(),
            searching: 0,
            wanted: VecDeque::new(),
            wanted_searches: VecDeque::new(),
            prepared: None,
            sweep: Sweep::default(),
            survey: Survey::default(),
            delivered: 0,
            scratch: Vec::new(),
            began: Instant::now(),
            now: 0,
            stopping: false,
            door,
            shared,
        })
    }

    /// Works in pieces that are short enough for others on the same thread, in this order: who is new, whose socket has
    /// changed, live updates, then those that are behind, the clock, and who asks.
    async fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let shutdown = self.shared.shutdown_begun();
        tokio::pin!(shutdown);
        let mut clock = clock(sweep::period(&self.shared.settings));
        loop {
            if self.has_work() {
                yield_now().await;
            } else {
                if self.mail.closing && self.rows.is_empty() {
                    return;
                }
                tokio::select! {
                    () = self.inbox.rung() => {}
                    ready = self.sockets.readable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(error) => {
                            tracing::error!(%error, "a delivery loop ends with its streams: sockets can't be watched");
                            return;
                        }
                    },
                    Some(read) = self.reads.join_next() => self.take_page(read),
                    _ = clock.tick(), if !self.rows.is_empty() => self.sweep.begin(),
                    () = &mut shutdown, if !self.stopping => self.stopping = true,
                }
            }
            self.now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.prepared = None;
            self.take_mail();
            if self.stopping {
                self.end_all();
            }
            if let Err(error) = self.take_events(&mut events) {
                tracing::error!(%error, "a delivery loop ends with its streams: sockets can't be polled");
                return;
            }
            while let Some(read) = self.reads.try_join_next() {
                self.take_page(read);
            }
            self.deliver();
            self.sweep();
            self.survey();
        }
    }

    fn has_work(&self) -> bool {
        !(self.passes.is_empty() && self.turns.is_empty() && self.pages.is_empty())
            || self.sweep.is_running()
            || self.survey.is_running()
    }

    fn take_mail(&mut self) {
        let mut mail = std::mem::take(&mut self.mail);
        self.inbox.take(&mut mail);
        mail.signalled.sort_unstable();
        for group in mail.signalled.drain(..) {
            self.begin_pass(group);
        }
        for joining in mail.joining.drain(..) {
            self.join(joining);
        }
        for asker in mail.askers.drain(..) {
            self.answer(asker);
        }
        self.mail = mail;
    }

    fn join(&mut self, joining: Joining) {
        let Joining { socket, pipelined, cursor, keep_alive, persistent, seat } = joining;
        // The group is registered before the cursor leaves the table, and then reads from the cursor's place on. So no
        // update falls between them.
        let group = self.groups.find_or_register(
            cursor.subscription(),
            keep_alive,
            &self.shared.routing,
            &self.inbox,
        );
        let handed_over = cursor.hand_over();
        let open = handed_over.open.filter(|_| {
            self.groups.get(group).is_some_and(|group| group.subscription.interest.topics().len() > 1)
        });
        let closes = !persistent;
        let extra = (open.is_some() || !pipelined.is_empty() || closes)
            .then(|| Box::new(Extra { open, pipelined, closes }));
        let row = self.rows.insert(Row {
            socket: mio::net::TcpStream::from_std(socket),
            group,
            standing: handed_over.standing,
            written: self.now,
            state: State::Behind,
            joined: u32::try_from(self.now / 1000).unwrap_or(u32::MAX),
            extra,
            seat,
        });
        self.groups.get_mut(group).expect("it was found above").rows.insert(row, ());
        let socket = &mut self.rows.get_mut(row).expect("it was inserted above").socket;
        let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
        if let Err(error) = self.sockets.get_ref().registry().register(socket, Token(row as usize), interest)
        {
            tracing::warn!(%error, "a subscriber is let go: its socket can't be watched");
            self.remove(row, EndReason::Left);
            return;
        }
        self.turns.push_back(row);
    }

    /// Ends a row whose body is complete. Its connection serves on if it may.
    pub(super) fn complete(&mut self, slot: Slot, reason: EndReason) {
        let Some(mut row) = self.remove(slot, reason) else { return };
        let extra = row.extra.take().map(|extra| *extra).unwrap_or_default();
        let returns = !extra.closes && reason == EndReason::Closed && !self.stopping;
        if returns && self.sockets.get_ref().registry().deregister(&mut row.socket).is_ok() {
            let pipelined = extra.pipelined;
            // The door is closed when the hub shuts down; then the connection ends here.
            let _ = self.door.send((row.socket.into(), pipelined, row.seat));
        } else {
            // An error means that it is closed already.
            let _ = row.socket.shutdown(Shutdown::Write);
        }
    }

    pub(super) fn remove(&mut self, slot: Slot, reason: EndReason) -> Option<Row> {
        let row = self.rows.remove(slot)?;
        if let Some(group) = self.groups.get_mut(row.group) {
            group.rows.remove(&slot);
            self.shared.routing.leave(&group.subscription.interest);
            let lag = row.lag(self.shared.log.bounds().newest.sequence, self.now);
            self.shared.end(Ended {
                reason,
                time: SystemTime::now(),
                subscription: group.subscription.clone(),
                lag,
            });
        }
        self.forget_if_unused(row.group);
        self.shared.metrics.subscriptions.dec();
        Some(row)
    }

    /// Forgets a group without rows, and what knows it by its number. Its passes are passed over when their turn comes: to look
    /// for them here would cost the square of those who leave together.
    pub(super) fn forget_if_unused(&mut self, group: Slot) {
        if self.groups.forget_if_unused(group) {
            self.prepared = None;
        }
    }

    fn take_events(&mut self, events: &mut Events) -> io::Result<()> {
        loop {
            match self.sockets.get_mut().poll(events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let mut count = 0;
            for event in events.iter() {
                count += 1;
                let row = event.token().0 as Slot;
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.look_for_hang_up(row);
                }
                if event.is_writable() {
                    self.unblock(row);
                }
            }
            if count < EVENTS {
                return Ok(());
            }
        }
    }
}

fn clock(period: Duration) -> Interval {
    let mut clock = interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}
