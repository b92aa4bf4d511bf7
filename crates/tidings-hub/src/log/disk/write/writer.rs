//! The handle of the writing thread: publishers' batches go in, and answers come out.

use std::{
    io,
    sync::{Arc, OnceLock, atomic::Ordering},
    thread::{self, JoinHandle},
};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    group_commit::{Disk, Waiter},
    writing::Writing,
};
use crate::{
    attachments::Unannounced,
    log::{Append, Appended, Clock, Fault, LogError, Turn, Wear},
};

/// How many publishes may wait for the writer; more wait outside, and with them their publishers' sockets.
const MAX_WAITING: usize = 1024;

/// How much of what waits, or is being written, there may be, in KiB. A batch that is larger waits until it is alone.
const MAX_WAITING_KIB: u32 = 32 << 10;

/// A batch to be appended, and where to answer.
#[derive(Debug)]
pub(super) struct Request {
    /// The updates, in order.
    pub(super) batch: Vec<Append>,
    /// The publisher.
    pub(super) waiter: Waiter,
}

/// The handle of the writing thread; dropping it waits for the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    room: Arc<Semaphore>,
    disk: Arc<Disk>,
    clock: Clock,
    thread: Option<JoinHandle<()>>,
    /// When it was found that the thread has ended.
    found_gone: OnceLock<Fault>,
}

impl Writer {
    pub(crate) fn start(writing: Writing) -> io::Result<Writer> {
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        let (disk, clock) = (writing.disk.clone(), writing.clock.clone());
        let thread = thread::Builder::new().name("tidings-log".into()).spawn(move || writing.run(waiting))?;
        let room = Arc::new(Semaphore::new(MAX_WAITING_KIB as usize));
        Ok(Writer {
            requests: Some(requests),
            room,
            disk,
            clock,
            thread: Some(thread),
            found_gone: OnceLock::new(),
        })
    }

    pub(crate) fn health(&self) -> Result<(), Fault> {
        match self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            true => Err(self.found_gone.get_or_init(|| Fault::now(gone())).clone()),
            false => self.disk.health(),
        }
    }

    pub(crate) fn wear(&self) -> Wear {
        Wear { unevictable: self.disk.unevictable.load(Ordering::Relaxed), clock_jump: self.clock.jump() }
    }

    /// Hands a batch to the thread, and gives back where it will be answered.
    pub(crate) async fn send(
        &self,
        batch: Vec<Append>,
        files: Unannounced,
        turn: Turn,
    ) -> Result<oneshot::Receiver<Result<Appended, LogError>>, LogError> {
        let Some(requests) = &self.requests else { return Err(gone()) };
        let bytes: usize = batch.iter().map(|append| append.update.event().data().len()).sum();
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).saturating_add(1).min(MAX_WAITING_KIB);
        let room = self.room.clone().acquire_many_owned(kib).await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { reply, files, room, turn };
        requests.send(Request { batch, waiter }).await.map_err(|_| gone())?;
        Ok(answer)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without senders the thread ends, after what it has taken.
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                tracing::error!("the log's thread panicked");
            }
        }
    }
}

pub(crate) fn gone() -> LogError {
    LogError::Unavailable { reason: "its thread has ended", source: None }
}
