//! How a worker hears of what others do.

use std::{
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tidings_server::KeepAlive;
use tokio::sync::{Notify, oneshot};

use super::{slots::Slot, survey::Asker};
use crate::{Cursor, Grant, delivery::lag::Furthest, seats::Seat};

/// A subscription whose head and first bytes have been sent, and whose socket is free to be taken over.
#[derive(Debug)]
pub(crate) struct Join {
    /// Does not block.
    pub(crate) socket: TcpStream,
    /// The bytes that the client has sent after its request.
    pub(crate) pipelined: Bytes,
    /// Its position, and its registration for what follows.
    pub(crate) cursor: Cursor,
    /// When it gets heartbeats, and which.
    pub(crate) keep_alive: KeepAlive,
    /// Whether the connection serves on when the stream has ended.
    pub(crate) persistent: bool,
    /// The connection's own, for as long as its socket is open.
    pub(crate) seat: Seat,
}

/// The entries since the worker looked last. The first entry wakes the worker. Later ones do not, until it has looked.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    commands: Mutex<Commands>,
    bell: Notify,
}

/// Bounded by sockets, groups and requests: each is in here once at most.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// New rows.
    #[expect(
        clippy::vec_box,
        reason = "hundreds may come at once, and would be copied each time the list grows"
    )]
    pub(super) join: Vec<Box<Join>>,
    /// Groups that an update is for.
    pub(super) signalled: Vec<Slot>,
    /// Questions which rows lag most.
    pub(super) askers: Vec<Asker>,
    /// Grants have ended before their time: all rows are looked at.
    pub(super) grants_ended: bool,
    /// Nobody joins any more: when the last row has gone, so does the worker.
    pub(super) closing: bool,
    /// The worker has ended: nobody looks into this any more.
    ended: bool,
    /// Makes the worker fail.
    #[cfg(test)]
    pub(super) fault: Option<Fault>,
}

/// How a test makes a worker fail.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Panic,
    /// Its sockets cannot be polled.
    Poll,
}

impl Inbox {
    pub(super) fn put(&self, put: impl FnOnce(&mut Commands)) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let first = commands.join.is_empty() && commands.signalled.is_empty() && commands.askers.is_empty();
        let first = first && !commands.grants_ended;
        put(&mut commands);
        let wake = first || commands.closing;
        drop(commands);
        if wake {
            self.bell.notify_one();
        }
    }

    /// Hands a subscription over; gives it back if the worker has ended.
    pub(super) fn join(&self, join: Box<Join>) -> Option<Box<Join>> {
        let mut refused = Some(join);
        self.put(|commands| {
            if !commands.ended {
                commands.join.extend(refused.take());
            }
        });
        refused
    }

    /// Notes that the worker has ended. The entries in here end with it.
    pub(super) fn end(&self) {
        let mut left = Commands { ended: true, ..Commands::default() };
        std::mem::swap(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner), &mut left);
        // Here, where nothing is locked: a subscription that ends looks into other tables.
        drop(left);
    }

    /// Asks which rows lag most, of those that the holder of `grant` may know of. An error means that the loop has ended.
    pub(crate) fn ask(&self, grant: &Grant) -> oneshot::Receiver<Arc<Furthest>> {
        let (tell, answer) = oneshot::channel();
        self.put(|commands| commands.askers.push(Asker { grant: grant.clone(), tell }));
        answer
    }

    /// Makes the loop look at the grants of all its rows.
    pub(crate) fn look_at_grants(&self) {
        self.put(|commands| commands.grants_ended = true);
    }

    /// Exchanges what is in here for `empty`.
    pub(super) fn take(&self, empty: &mut Commands) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        empty.closing = commands.closing;
        std::mem::swap(&mut *commands, empty);
    }

    /// Returns once there is something. Cancel safe.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
