//! Connections that are kept for the next request to the same server.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use hyper::client::conn::http1::SendRequest;

use crate::{
    body::RequestBody,
    transport::{address::Address, driven::Driver},
};

/// How long a connection is kept. Servers close theirs after a while, and a request that arrives then is lost.
const KEPT_FOR: Duration = Duration::from_secs(15);

/// How many connections are kept, for all servers together.
const MAX_KEPT: usize = 64;

/// An HTTP/1.1 connection between two requests. Dropping it closes it.
pub(super) struct Idle {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) driver: Driver,
}

/// The pool entry to which a connection returns when its response has been read to the end.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pool: Pool,
    server: String,
}

/// The connections that are kept, the oldest first.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Kept>>>);

struct Kept {
    server: String,
    since: Instant,
    idle: Idle,
}

impl Pool {
    pub(super) fn home(&self, server: &Address<'_>) -> Home {
        let scheme = if server.is_secure { "https" } else { "http" };
        Home { pool: self.clone(), server: format!("{scheme}://{}", server.authority()) }
    }

    /// Returns the connections that are recent enough, and closes the others.
    fn fresh(&self) -> MutexGuard<'_, Vec<Kept>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.since.elapsed() < KEPT_FOR);
        kept
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Home {
    /// Takes the connection that was used last and that the server has not closed.
    pub(super) fn take(&self) -> Option<Idle> {
        let mut kept = self.pool.fresh();
        while let Some(place) = kept.iter().rposition(|kept| kept.server == self.server) {
            let mut idle = kept.remove(place).idle;
            // Nothing has polled the connection since its last use. Only now does it show whether the server has closed
            // it.
            idle.driver.poll(&mut Context::from_waker(Waker::noop()));
            if idle.sender.is_ready() {
                return Some(idle);
            }
        }
        None
    }

    /// Keeps a connection, unless it is about to be closed.
    pub(super) fn keep(self, idle: Idle) {
        if !idle.sender.is_ready() {
            return;
        }
        let mut kept = self.pool.fresh();
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push(Kept { server: self.server, since: Instant::now(), idle });
    }
}
