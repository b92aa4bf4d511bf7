//! A watchdog over bytes: a connection with a dead peer looks like a silent one.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Reports when nothing has arrived for a given time.
#[derive(Debug)]
pub(crate) struct Idle {
    timeout: Duration,
    last_sign: Instant,
    /// Due no later than `last_sign + timeout`. It does not move with each sign of life, because moving a timer costs
    /// more than noting the time. It moves when it fires too early.
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, last_sign: Instant::now(), timer: Box::pin(sleep(timeout)) }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Call this when something has arrived.
    pub(crate) fn sign_of_life(&mut self) {
        self.last_sign = Instant::now();
    }

    /// Ready when nothing has arrived for the time-out.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let due = self.last_sign + self.timeout;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}
