//! The body of a response on its way from the upstream to the client.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tidings_client::{BoxError, ResponseBody};
use tokio::time::{Instant, Sleep, sleep};

use super::stage::{Stage, pass};

/// The time between the pieces of one read, so that the client's system cannot join them.
const APART: Duration = Duration::from_millis(2);

/// Passes bytes on, changed, on time or late, until it is cut.
///
/// It reads nothing while pieces wait to be sent, so a slow client slows the upstream down. Dropping it closes the
/// connection to the upstream.
pub(super) struct SpoiledBody {
    upstream: ResponseBody,
    stages: Vec<Box<dyn Stage>>,
    waiting: VecDeque<Bytes>,
    /// The time from which the next piece may be sent.
    pause: Option<Pin<Box<Sleep>>>,
    drip: Option<Drip>,
    idle_cut: Option<(Duration, Pin<Box<Sleep>>)>,
    lifetime: Option<Pin<Box<Sleep>>>,
    /// The rest of an announced length.
    left: Option<usize>,
    ended: bool,
}

/// This many bytes, then a pause.
struct Drip {
    bytes: usize,
    pause: Duration,
}

impl SpoiledBody {
    /// Passes everything on unchanged.
    pub(super) fn new(upstream: ResponseBody) -> SpoiledBody {
        SpoiledBody {
            upstream,
            stages: Vec::new(),
            waiting: VecDeque::new(),
            pause: None,
            drip: None,
            idle_cut: None,
            lifetime: None,
            left: None,
            ended: false,
        }
    }

    /// Adds a stage that changes the bytes, after the earlier stages.
    pub(super) fn add(&mut self, stage: impl Stage + 'static) {
        self.stages.push(Box::new(stage));
    }

    /// Passes on at most this many bytes a second.
    pub(super) fn drip(&mut self, bytes_per_second: usize) {
        // Twenty pieces a second, or a byte at a time.
        let bytes = bytes_per_second.div_ceil(20);
        self.drip =
            Some(Drip { bytes, pause: Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64) });
    }

    /// Cuts the connection when nothing arrived for this long.
    pub(super) fn cut_when_idle(&mut self, time: Duration) {
        self.idle_cut = Some((time, Box::pin(sleep(time))));
    }

    /// Cuts the connection after this time.
    pub(super) fn cut_after(&mut self, time: Duration) {
        self.lifetime = Some(Box::pin(sleep(time)));
    }

    /// Ends after this many bytes.
    pub(super) fn end_after(&mut self, bytes: usize) {
        self.left = Some(bytes);
    }

    fn is_due(timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> bool {
        timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
    }

    /// Returns the next waiting piece, and sets the time for the one after it.
    fn next_piece(&mut self) -> Option<Bytes> {
        let mut piece = self.waiting.pop_front()?;
        self.pause = match &self.drip {
            Some(drip) => {
                if piece.len() > drip.bytes {
                    self.waiting.push_front(piece.split_off(drip.bytes));
                }
                Some(Box::pin(sleep(drip.pause)))
            }
            None => (!self.waiting.is_empty()).then(|| Box::pin(sleep(APART))),
        };
        if let Some(left) = &mut self.left {
            piece.truncate(*left);
            *left -= piece.len();
            if *left == 0 {
                self.waiting.clear();
                self.ended = true;
            }
        }
        Some(piece)
    }

    fn was_active(&mut self) {
        if let Some((time, timer)) = &mut self.idle_cut {
            timer.as_mut().reset(Instant::now() + *time);
        }
    }
}

impl Body for SpoiledBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if Self::is_due(&mut this.lifetime, cx) {
            return Poll::Ready(Some(Err("cut after its lifetime".into())));
        }
        if this.pause.is_some() && !Self::is_due(&mut this.pause, cx) {
            return Poll::Pending;
        }
        this.pause = None;
        loop {
            if let Some(piece) = this.next_piece() {
                this.was_active();
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match this.upstream.poll_chunk(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    this.was_active();
                    this.waiting.extend(pass(&mut this.stages, Some(bytes)));
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    this.waiting.extend(pass(&mut this.stages, None));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Pending => {
                    let idle =
                        this.idle_cut.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
                    return if idle {
                        Poll::Ready(Some(Err("cut after silence".into())))
                    } else {
                        Poll::Pending
                    };
                }
            }
        }
    }
}
