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
pub(crate) struct Joining {
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
    mail: Mutex<Mail>,
    bell: Notify,
}

/// Bounded by sockets, groups and requests: each is in here once at most.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// New rows.
    #[expect(
        clippy::vec_box,
        reason = "hundreds may come at once, and would be copied each time the list grows"
    )]
    pub(super) joining: Vec<Box<Joining>>,
    /// Groups that an update is for.
    pub(super) signalled: Vec<Slot>,
    /// Questions which rows lag most.
    pub(super) askers: Vec<Asker>,
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
    pub(super) fn put(&self, put: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let first = mail.joining.is_empty() && mail.signalled.is_empty() && mail.askers.is_empty();
        put(&mut mail);
        let wake = first || mail.closing;
        drop(mail);
        if wake {
            self.bell.notify_one();
        }
    }

    /// Hands a subscription over; gives it back if the worker has ended.
    pub(super) fn join(&self, joining: Box<Joining>) -> Option<Box<Joining>> {
        let mut refused = Some(joining);
        self.put(|mail| {
            if !mail.ended {
                mail.joining.extend(refused.take());
            }
        });
        refused
    }

    /// Notes that the worker has ended. The entries in here end with it.
    pub(super) fn end(&self) {
        let mut left = Mail { ended: true, ..Mail::default() };
        std::mem::swap(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner), &mut left);
        // Here, where nothing is locked: a subscription that ends looks into other tables.
        drop(left);
    }

    /// Asks which rows lag most, of those that the holder of `grant` may know of. An error means that the loop has ended.
    pub(crate) fn ask(&self, grant: &Grant) -> oneshot::Receiver<Arc<Furthest>> {
        let (tell, answer) = oneshot::channel();
        self.put(|mail| mail.askers.push(Asker { grant: grant.clone(), tell }));
        answer
    }

    /// Exchanges what is in here for `empty`.
    pub(super) fn take(&self, empty: &mut Mail) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        empty.closing = mail.closing;
        std::mem::swap(&mut *mail, empty);
    }

    /// Returns once there is something. Cancel safe.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
