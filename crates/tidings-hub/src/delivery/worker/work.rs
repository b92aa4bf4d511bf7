//! The task of a worker: its wake-ups, and the order of its work.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::Shutdown,
    sync::Arc,
    time::{Duration, SystemTime},
};

use mio::{Events, Poll, Token};
use tokio::{
    io::unix::AsyncFd,
    sync::mpsc,
    task::yield_now,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

#[cfg(test)]
use super::inbox::Fault;
use super::{
    deliver::{Page, Pass, Prepared},
    group::Groups,
    inbox::{Commands, Inbox, Join},
    reads::Reads,
    row::{Extra, Row, State},
    slots::{Slot, Slots},
    survey::Survey,
    sweep::{self, Sweep},
    workers::Returned,
};
use crate::{
    Selector,
    authorize::Held,
    delivery::{Engine, expiry::Expiry, lag::Ended, subscription::Progress},
    metrics::EndReason,
    seats::{Seat, Seated},
};

/// How many readiness events are fetched at once.
const EVENTS: usize = 1024;

/// One delivery loop.
pub(super) struct Worker {
    /// The log, the window and the metrics.
    pub(super) engine: Arc<Engine>,
    /// Where the hub puts what is for this loop.
    pub(super) inbox: Arc<Inbox>,
    commands: Commands,
    /// Where readiness of the sockets is told. Polled only when Tokio says that there is some, and between pieces of work.
    pub(super) sockets: AsyncFd<Poll>,
    /// All sockets of this loop, by their numbers.
    pub(crate) rows: Slots<Row>,
    /// Theirs: one for each.
    seated: Seated,
    /// The rows by their subscriptions.
    pub(super) groups: Groups,
    /// Groups with updates that their rows do not have yet.
    pub(super) passes: VecDeque<Pass>,
    /// Rows that lag, each once.
    pub(super) turns: VecDeque<Slot>,
    /// Pages of the log that have come, and for whom.
    pub(super) pages: VecDeque<Page>,
    /// Pages of the log that are still to come.
    pub(super) reads: Reads,
    /// The last chunk that was made since the inbox was looked at: of rows at one position, all but the first find it here.
    pub(super) prepared: Option<(Slot, Progress, Prepared)>,
    /// How far the current look for heartbeats and timeouts has come.
    pub(super) sweep: Sweep,
    /// The rows whose grants may end.
    pub(super) expiries: BTreeMap<Slot, Expiry>,
    /// The places and tickets of rows. Only a row with limits has one.
    held: BTreeMap<Slot, Box<Held>>,
    /// The look for rows that lag, while an operator asks.
    pub(super) survey: Survey,
    /// Events sent in this piece of work.
    pub(super) delivered: u64,
    /// Of a pass, the rows to be looked at; kept for its memory.
    pub(super) scratch: Vec<Slot>,
    pub(super) began: Instant,
    /// Milliseconds since it began, as of the current piece of work.
    pub(super) now: u64,
    /// The hub shuts down: rows end between two events.
    pub(super) stopping: bool,
    /// Where sockets go whose connections serve on after their streams.
    pub(super) returned: mpsc::UnboundedSender<Returned>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inbox.end();
        let reason = match self.engine.is_shutting_down() {
            true => EndReason::Shutdown,
            false => EndReason::LoopFailed,
        };
        for slot in 0..self.rows.end() {
            drop(self.remove(slot, reason));
        }
    }
}

impl Worker {
    pub(super) fn new(engine: Arc<Engine>, returned: mpsc::UnboundedSender<Returned>) -> io::Result<Worker> {
        // Tokio deprecates `new` because not every descriptor stays what it was. That of a `Poll` does, as long as it lives,
        // and its replacement is unsafe code.
        #[allow(deprecated, reason = "as above; older versions of Tokio do not deprecate it")]
        let sockets = AsyncFd::new(Poll::new()?)?;
        Ok(Worker {
            inbox: Arc::default(),
            commands: Commands::default(),
            sockets,
            rows: Slots::new(),
            seated: Seated::default(),
            groups: Groups::new(),
            passes: VecDeque::new(),
            turns: VecDeque::new(),
            pages: VecDeque::new(),
            reads: Reads::default(),
            prepared: None,
            sweep: Sweep::default(),
            expiries: BTreeMap::new(),
            held: BTreeMap::new(),
            survey: Survey::default(),
            delivered: 0,
            scratch: Vec::new(),
            began: Instant::now(),
            now: 0,
            stopping: false,
            returned,
            engine,
        })
    }

    /// Works in pieces that are short enough for others on the same thread, in this order: new rows, sockets that have
    /// changed, live updates, rows that lag, the clock, and questions.
    pub(super) async fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let shutdown = self.engine.shutdown_begun();
        tokio::pin!(shutdown);
        let mut clock = clock(sweep::period(&self.engine.settings));
        loop {
            if self.has_work() {
                yield_now().await;
            } else {
                if self.commands.closing && self.rows.is_empty() {
                    return;
                }
                tokio::select! {
                    () = self.inbox.rung() => {}
                    ready = self.sockets.readable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(error) => {
                            tracing::error!(%error, "a delivery loop ends with its streams: sockets cannot be watched");
                            return;
                        }
                    },
                    Some(read) = self.reads.ended() => self.take_page(read),
                    _ = clock.tick(), if !self.rows.is_empty() => self.sweep.begin(),
                    () = &mut shutdown, if !self.stopping => self.stopping = true,
                }
            }
            self.now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.prepared = None;
            self.take_commands();
            if self.stopping {
                self.end_all();
            }
            if let Err(error) = self.take_events(&mut events) {
                tracing::error!(%error, "a delivery loop ends with its streams: sockets cannot be polled");
                return;
            }
            while let Some(read) = self.reads.try_ended() {
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

    fn take_commands(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        self.inbox.take(&mut commands);
        commands.signalled.sort_unstable();
        for group in commands.signalled.drain(..) {
            self.begin_pass(group);
        }
        for join in commands.join.drain(..) {
            self.join(*join);
        }
        for asker in commands.askers.drain(..) {
            self.answer(asker);
        }
        if std::mem::take(&mut commands.grants_ended) {
            self.sweep.begin_again();
        }
        self.commands = commands;
    }

    fn join(&mut self, join: Join) {
        let Join { socket, pipelined, cursor, keep_alive, persistent, seat } = join;
        // The group is registered before the cursor leaves the table, and then reads from the cursor's position on. So no
        // update falls between them.
        let group = self.groups.find_or_register(
            cursor.subscription(),
            keep_alive,
            &self.engine.routing,
            &self.inbox,
        );
        let handed_over = cursor.hand_over();
        let selector = self.groups.get(group).map(|group| &group.subscription.selector);
        let never_ends = handed_over.open.is_none() && selector.is_some_and(Selector::is_exact);
        let open = handed_over.open.filter(|_| selector.is_some_and(|selector| selector.topics().len() > 1));
        let closes = !persistent;
        let extra = (open.is_some() || never_ends || !pipelined.is_empty() || closes)
            .then(|| Box::new(Extra { open, never_ends, pipelined, closes }));
        let row = self.rows.insert(Row {
            socket: mio::net::TcpStream::from_std(socket),
            group,
            progress: handed_over.progress,
            written: self.now,
            state: State::Behind,
            joined: u32::try_from(self.now / 1000).unwrap_or(u32::MAX),
            extra,
        });
        self.seated.add(seat);
        self.groups.get_mut(group).expect("it was found above").rows.insert(row, ());
        let socket = &mut self.rows.get_mut(row).expect("it was inserted above").socket;
        let selector = mio::Interest::READABLE | mio::Interest::WRITABLE;
        if let Err(error) = self.sockets.get_ref().registry().register(socket, Token(row as usize), selector)
        {
            tracing::warn!(%error, "a subscriber is let go: its socket cannot be watched");
            self.remove(row, EndReason::Left);
            return;
        }
        if let Some(expiry) = handed_over.expiry {
            self.expiries.insert(row, expiry);
        }
        if let Some(held) = handed_over.held {
            self.held.insert(row, held);
        }
        self.turns.push_back(row);
    }

    /// Ends a row whose body is complete. Its connection serves on if it may.
    pub(super) fn complete(&mut self, slot: Slot, reason: EndReason) {
        let Some((mut row, seat)) = self.remove(slot, reason) else { return };
        let extra = row.extra.take().map(|extra| *extra).unwrap_or_default();
        let returns = !extra.closes && reason == EndReason::Closed && !self.stopping;
        if returns && self.sockets.get_ref().registry().deregister(&mut row.socket).is_ok() {
            let pipelined = extra.pipelined;
            // It is closed when the hub shuts down; then the connection ends here.
            let _ = self.returned.send((row.socket.into(), pipelined, seat));
        } else {
            // An error means that it is closed already.
            let _ = row.socket.shutdown(Shutdown::Write);
            // The seat is kept for as long as the socket is open.
            drop(row);
            drop(seat);
        }
    }

    /// Takes a row out of all tables. Its seat is to be kept for as long as its socket is open.
    pub(super) fn remove(&mut self, slot: Slot, reason: EndReason) -> Option<(Row, Seat)> {
        let row = self.rows.remove(slot)?;
        let seat = self.seated.take()?;
        self.expiries.remove(&slot);
        self.held.remove(&slot);
        if let Some(group) = self.groups.get_mut(row.group) {
            group.rows.remove(&slot);
            self.engine.routing.leave(&group.subscription.selector);
            let lag = row.lag(self.engine.log.bounds().newest.sequence, self.now);
            self.engine.end(Ended {
                reason,
                time: SystemTime::now(),
                subscription: group.subscription.clone(),
                lag,
            });
        }
        self.forget_if_unused(row.group);
        self.engine.metrics.subscriptions.dec();
        Some((row, seat))
    }

    /// Forgets a group without rows, and what knows it by its number. Its passes are passed over when their turn comes: to look
    /// for them here would cost the square of the rows that leave together.
    pub(super) fn forget_if_unused(&mut self, group: Slot) {
        if self.groups.forget_if_unused(group) {
            self.prepared = None;
        }
    }

    fn take_events(&mut self, events: &mut Events) -> io::Result<()> {
        #[cfg(test)]
        match self.commands.fault.take() {
            Some(Fault::Panic) => panic!("on purpose"),
            Some(Fault::Poll) => return Err(io::Error::other("on purpose")),
            None => {}
        }
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

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    use super::{super::deliver::LOOKED_AT, *};
    use crate::{EventFormat, Hub, Topic, Update, authorize::Reading, delivery::subscription::Subscription};

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn subscribe(address: std::net::SocketAddr) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        read_to(&mut socket, "event: start").await;
        socket
    }

    async fn read_to(socket: &mut TcpStream, end: &str) {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(end) {
            let reading = timeout(PATIENCE, socket.read_buf(&mut read)).await.expect("something comes");
            assert!(reading.unwrap() > 0, "it ends before {end}: {}", String::from_utf8_lossy(&read));
        }
    }

    async fn publish(hub: &Hub, data: &str) {
        hub.publish(Update::new(Topic::parse("a").unwrap(), data)).await.unwrap();
    }

    #[tokio::test]
    async fn subscribers_of_loops_that_fail_are_cut_and_come_back_to_others() {
        let hub = Hub::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn({
            let hub = hub.clone();
            async move { hub.serve(listener).await }
        });
        let loops = std::thread::available_parallelism().map_or(1, NonZero::get);
        for (round, fault) in (1..).zip([Fault::Panic, Fault::Poll, Fault::Panic]) {
            // Each loop has some.
            let mut subscribers = Vec::new();
            for _ in 0..2 * loops {
                subscribers.push(subscribe(address).await);
            }
            publish(&hub, &format!("before-{round}")).await;
            for subscriber in &mut subscribers {
                read_to(subscriber, &format!("before-{round}")).await;
            }
            for inbox in hub.engine().loops.inboxes() {
                inbox.put(|commands| commands.fault = Some(fault));
            }
            for subscriber in &mut subscribers {
                let mut rest = Vec::new();
                // A reset is an end, too.
                let _ = timeout(PATIENCE, subscriber.read_to_end(&mut rest)).await.expect("it is cut");
            }
            let metrics = hub.engine().metrics.to_text();
            let cut = format!(
                "tidings_subscriptions_ended_total{{reason=\"loop-failed\"}} {}\n",
                round * 2 * loops
            );
            assert!(metrics.contains(&cut), "{metrics}");
        }
        let mut subscriber = subscribe(address).await;
        publish(&hub, "after").await;
        read_to(&mut subscriber, "after").await;
        let metrics = hub.engine().metrics.to_text();
        assert!(
            metrics.contains(&format!("tidings_delivery_loops_restarted_total {}\n", 3 * loops)),
            "{metrics}"
        );
        hub.shutdown().await;
        timeout(PATIENCE, serving).await.expect("it ends").unwrap();
    }

    /// How often a pass is looked at when so many groups go, each with an update that is on its way to it.
    async fn looked_at_when_all_leave(count: u32) -> usize {
        let hub = Hub::default();
        let (returned, _returned) = mpsc::unbounded_channel();
        let mut worker = Worker::new(hub.engine().clone(), returned).unwrap();
        let topics: Vec<_> = (0..count).map(|number| Topic::parse(&number.to_string()).unwrap()).collect();
        let groups: Vec<_> = topics
            .iter()
            .map(|topic| {
                let reading = Reading::public(topic.clone().into());
                let subscription = Subscription::new(reading, EventFormat::Plain);
                let (routing, inbox) = (&worker.engine.routing, &worker.inbox);
                worker.groups.find_or_register(&subscription, Default::default(), routing, inbox)
            })
            .collect();
        hub.publish_all(topics.into_iter().map(|topic| Update::new(topic, "").into()).collect())
            .await
            .unwrap();
        let signalled = async {
            while worker.passes.len() < groups.len() {
                worker.inbox.rung().await;
                worker.take_commands();
            }
        };
        timeout(PATIENCE, signalled).await.expect("each group is signalled");
        LOOKED_AT.set(0);
        for group in groups {
            worker.forget_if_unused(group);
        }
        while worker.has_work() {
            worker.deliver();
        }
        LOOKED_AT.get()
    }

    #[tokio::test]
    async fn to_leave_together_costs_each_a_step() {
        for count in [1_000, 10_000] {
            assert_eq!(looked_at_when_all_leave(count).await, count as usize);
        }
    }
}
