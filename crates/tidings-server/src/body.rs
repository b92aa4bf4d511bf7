//! The body of an event stream's response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::keep_alive::Heartbeats;
use crate::{Frame, IntoFrame, KeepAlive};

pin_project! {
    /// The body of an event stream: the first bytes, then each frame as soon as it is ready, with heartbeats in
    /// between.
    ///
    /// [`Sse::into_response`](crate::Sse::into_response) makes it. It holds at most one frame, and takes the next from
    /// its stream only when the server asks for it: a client that reads slowly slows the stream down.
    ///
    /// Poll it within a Tokio runtime that has its timer enabled, unless heartbeats are turned off.
    pub struct SseBody<S>
    where
        S: Stream,
        S::Item: IntoFrame,
    {
        // `None` after the first poll, or if there are no first bytes.
        opening: Option<Frame>,
        // `None` once the stream has ended or failed.
        #[pin]
        stream: Option<S>,
        // Holds the error from the poll that met it until the next poll, which reports it.
        failure: Option<<S::Item as IntoFrame>::Error>,
        #[pin]
        heartbeats: Heartbeats,
    }
}

impl<S> SseBody<S>
where
    S: Stream,
    S::Item: IntoFrame,
{
    pub(crate) fn new(stream: S, opening: Option<Frame>, keep_alive: KeepAlive) -> SseBody<S> {
        SseBody { opening, stream: Some(stream), failure: None, heartbeats: Heartbeats::new(keep_alive) }
    }

    /// The stream of events, so that you can send it commands. `None` once it has ended. Events that you take from it
    /// yourself are missing in the response.
    pub fn stream(self: Pin<&mut Self>) -> Option<Pin<&mut S>> {
        self.project().stream.as_pin_mut()
    }
}

impl<S> Body for SseBody<S>
where
    S: Stream,
    S::Item: IntoFrame,
{
    type Data = Bytes;
    type Error = <S::Item as IntoFrame>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        if let Some(opening) = this.opening.take() {
            this.heartbeats.note_write();
            return Poll::Ready(Some(Ok(data(opening))));
        }
        if let Some(error) = this.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        // The stream comes before the heartbeat: when both are ready, the event goes first.
        while let Some(stream) = this.stream.as_mut().as_pin_mut() {
            match stream.poll_next(cx).map(|next| next.map(IntoFrame::into_frame)) {
                Poll::Ready(Some(Ok(frame))) if frame.as_bytes().is_empty() => {}
                Poll::Ready(Some(Ok(frame))) => {
                    this.heartbeats.note_write();
                    return Poll::Ready(Some(Ok(data(frame))));
                }
                Poll::Ready(Some(Err(error))) => {
                    // Over HTTP/1.1, hyper drops unflushed bytes as soon as it sees an error, even the head of the
                    // response. It flushes when a body is pending. So be pending once, then report the error.
                    this.stream.set(None);
                    *this.failure = Some(error);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(None) => this.stream.set(None),
                Poll::Pending => {
                    return this.heartbeats.poll_due(cx).map(|heartbeat| Some(Ok(data(heartbeat))));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.opening.is_none() && self.stream.is_none() && self.failure.is_none()
    }
}

impl<S> fmt::Debug for SseBody<S>
where
    S: Stream,
    S::Item: IntoFrame,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseBody").field("ended", &self.is_end_stream()).finish_non_exhaustive()
    }
}

fn data(frame: Frame) -> http_body::Frame<Bytes> {
    http_body::Frame::data(frame.into_bytes())
}
