//! The end of connections without a request under way, when the hub shuts down.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep};

use crate::http::published_body::LAST_CHANCE;

/// When the shutdown closes a connection whose client is in the middle of the head of a request, or sends nothing.
#[derive(Default)]
pub(super) struct LastChance(Option<Pin<Box<Sleep>>>);

impl LastChance {
    pub(super) fn has_begun(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn begin(&mut self) {
        self.0 = Some(Box::pin(sleep(LAST_CHANCE)));
    }

    /// Ready when the time is over and no request is under way. The time starts again after each request.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>, is_idle: impl Fn() -> bool) -> Poll<()> {
        let Some(until) = &mut self.0 else { return Poll::Pending };
        loop {
            ready!(until.as_mut().poll(context));
            if is_idle() {
                return Poll::Ready(());
            }
            until.as_mut().reset(Instant::now() + LAST_CHANCE);
        }
    }
}
