//! Whether the client of an HTTP/2 stream takes what the stream gives.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::HubBody;

/// What the body that was polled last has done, on one connection, where one is polled at a time.
///
/// hyper asks a body for more once it is rid of what it has. So a body that gave something and was not asked again waits for
/// its client, whatever else moves on the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU8>);

/// What a body has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Did {
    /// It was not polled.
    Nothing,
    /// It has nothing to give at the moment.
    Waited,
    Gave,
}

const NOTHING: u8 = 0;
const WAITED: u8 = 1;
const GAVE: u8 = 2;
const STALLS: u8 = 3;

impl Progress {
    /// What was done since this was asked last.
    pub(super) fn take(&self) -> Did {
        match self.0.swap(NOTHING, Ordering::Relaxed) {
            WAITED => Did::Waited,
            GAVE => Did::Gave,
            _ => Did::Nothing,
        }
    }

    /// Drops a stream whose client takes nothing, and lets its body know.
    pub(super) fn drop_stalled<S>(&self, stream: S) {
        self.0.store(STALLS, Ordering::Relaxed);
        drop(stream);
        self.0.store(NOTHING, Ordering::Relaxed);
    }
}

/// A body that notes what it does.
#[derive(Debug)]
pub(super) struct Watched {
    body: HubBody,
    progress: Progress,
}

impl Watched {
    pub(super) fn new(body: HubBody, progress: Progress) -> Watched {
        Watched { body, progress }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = <HubBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.progress.0.store(if frame.is_pending() { WAITED } else { GAVE }, Ordering::Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.progress.0.load(Ordering::Relaxed) == STALLS {
            self.body.stall();
        }
    }
}
