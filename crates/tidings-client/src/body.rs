//! The two bodies of an exchange: the request's, which is sent, and the response's, which arrives piece by piece.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::error::{BoxError, TransportError};

/// The body of a request: empty, bytes, or pieces that are sent as they become available.
pub struct RequestBody(Sending);

enum Sending {
    Full(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>),
}

impl RequestBody {
    /// Makes a body without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(Sending::Full(Bytes::new()))
    }

    /// Sends pieces as a stream yields them. An error of the stream aborts the exchange, so that the server does not
    /// take an incomplete body for a complete one.
    pub fn from_stream<S>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    {
        Self(Sending::Stream(Box::pin(stream)))
    }

    /// Sends pieces as you give them to the sender.
    ///
    /// One piece waits at a time: [`RequestBodySender::send`] returns when there is room for the next one. A slow
    /// server therefore slows down its publisher.
    #[must_use]
    pub fn channel() -> (RequestBodySender, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (RequestBodySender(sender), Self::from_stream(Received(receiver)))
    }
}

impl<B: Into<Bytes>> From<B> for RequestBody {
    fn from(bytes: B) -> Self {
        Self(Sending::Full(bytes.into()))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Sending::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Sending::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Sending::Stream(stream) => stream.as_mut().poll_next(cx).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Sending::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Sending::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Sending::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Sending::Full(bytes) => write!(f, "RequestBody({} bytes)", bytes.len()),
            Sending::Stream(_) => f.write_str("RequestBody(stream)"),
        }
    }
}

/// The sending end of [`RequestBody::channel`]. Dropping it completes the body.
#[derive(Debug)]
pub struct RequestBodySender(mpsc::Sender<Result<Bytes, BoxError>>);

impl RequestBodySender {
    /// Sends the next piece. Waits for room while the piece before it is not sent yet.
    ///
    /// Cancel safe: a piece is either accepted whole or not at all.
    ///
    /// # Errors
    ///
    /// [`ExchangeEnded`] when the exchange is over. The response tells the reason.
    pub async fn send(&mut self, piece: impl Into<Bytes>) -> Result<(), ExchangeEnded> {
        self.0.send(Ok(piece.into())).await.map_err(|_| ExchangeEnded)
    }

    /// Aborts the exchange, so that the server does not take an incomplete body for a complete one.
    ///
    /// # Errors
    ///
    /// [`ExchangeEnded`] when the exchange is already over.
    pub async fn abort(self, reason: impl Into<BoxError>) -> Result<(), ExchangeEnded> {
        self.0.send(Err(reason.into())).await.map_err(|_| ExchangeEnded)
    }
}

/// Nothing reads the request's body any more: the server has answered, or the connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the exchange is over; nobody reads the request's body any more")]
pub struct ExchangeEnded;

struct Received(mpsc::Receiver<Result<Bytes, BoxError>>);

impl Stream for Received {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// The body of a response, piece by piece. Dropping it closes the connection.
pub struct ResponseBody(Pin<Box<dyn Body<Data = Bytes, Error = TransportError> + Send>>);

impl ResponseBody {
    /// Wraps the body of any transport.
    pub fn new(body: impl Body<Data = Bytes, Error = TransportError> + Send + 'static) -> Self {
        Self(Box::pin(body))
    }

    /// Waits for the next piece. `None` is the end of a complete body. Trailers are skipped.
    ///
    /// Cancel safe: the next call returns a piece that this call did not return.
    ///
    /// # Errors
    ///
    /// [`TransportError::Broken`] when the connection broke before the body was complete.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, TransportError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The same as [`ResponseBody::chunk`], for state machines.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            match ready!(self.0.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseBody")
    }
}
