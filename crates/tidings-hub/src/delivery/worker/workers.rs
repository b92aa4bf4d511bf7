//! The delivery loops of one server, and the one that takes a new subscriber.

use std::{
    io,
    net::TcpStream,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::{self, JoinSet},
    time::sleep,
};

use super::{
    inbox::{Inbox, Join},
    work::Worker,
};
use crate::{delivery::Engine, seats::Seat};

/// A connection whose stream has ended and which serves on, with what its client has sent meanwhile.
pub(crate) type Returned = (TcpStream, Bytes, Seat);

/// The delivery loops of one server: one for each core. Dropping them ends their connections.
pub(crate) struct Workers {
    engine: Arc<Engine>,
    returned: mpsc::UnboundedSender<Returned>,
    /// Each with its task, by which it is known when it ends.
    inboxes: Vec<(task::Id, Arc<Inbox>)>,
    next: AtomicUsize,
    tasks: JoinSet<()>,
}

/// How long a loop that replaces a failed one waits, because the cause of the failure may still be there.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

impl Workers {
    /// Starts them on the current Tokio runtime. Connections that outlive their streams go to `returned`.
    pub(crate) fn start(
        engine: &Arc<Engine>,
        returned: &mpsc::UnboundedSender<Returned>,
    ) -> io::Result<Workers> {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut workers = Workers {
            engine: engine.clone(),
            returned: returned.clone(),
            inboxes: Vec::new(),
            next: AtomicUsize::new(0),
            tasks: JoinSet::new(),
        };
        for _ in 0..count {
            workers.begin(Duration::ZERO)?;
        }
        Ok(workers)
    }

    fn begin(&mut self, after: Duration) -> io::Result<()> {
        let worker = Worker::new(self.engine.clone(), self.returned.clone())?;
        let inbox = worker.inbox.clone();
        self.engine.loops.add(&inbox);
        let task = self.tasks.spawn(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            worker.run().await;
        });
        self.inboxes.push((task.id(), inbox));
        Ok(())
    }

    /// Hands a subscription to the next of them that runs.
    pub(crate) fn join(&self, join: Join) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let mut refused = Some(Box::new(join));
        for number in 0..self.inboxes.len() {
            let Some(join) = refused.take() else { return };
            let (_, inbox) = &self.inboxes[(turn + number) % self.inboxes.len()];
            refused = inbox.join(join);
        }
        if refused.is_some() {
            tracing::warn!("a subscriber is let go: no delivery loop runs");
        }
    }

    /// Waits until one of them ends, although the hub goes on, and begins another one in its place. The connections of its
    /// subscribers have been closed, and these come back. Cancel safe.
    ///
    /// # Errors
    /// When none is left, and none can be begun.
    pub(crate) async fn restarted(&mut self) -> io::Result<()> {
        let ended = match self.tasks.join_next_with_id().await {
            None => return Err(io::Error::other("no delivery loop runs")),
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => {
                tracing::error!(%error, "a delivery loop failed: its subscribers' connections are closed");
                error.id()
            }
        };
        self.engine.metrics.loops_restarted.inc();
        self.inboxes.retain(|(task, _)| *task != ended);
        match self.begin(RESTART_PAUSE) {
            Err(error) if self.inboxes.is_empty() => Err(error),
            Err(error) => {
                tracing::error!(%error, left = self.inboxes.len(), "a delivery loop cannot be begun again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Waits until all streams have ended, which they do when the hub shuts down. Nobody may join after that.
    pub(crate) async fn ended(mut self) {
        for (_, inbox) in &self.inboxes {
            inbox.put(|commands| commands.closing = true);
        }
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a delivery loop failed");
            }
        }
    }
}
