//! A connection without a task: the caller that waits for the response or reads it also drives the connection.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1::SendRequest};

use crate::{
    body::{RequestBody, ResponseBody},
    error::TransportError,
    transport::pool::{Home, Idle},
};

/// A connection that is polled together with its response. Dropping it closes the connection.
pub(super) struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    /// Drives a connection. The response or its body reports the connection's errors.
    pub(super) fn new<C>(connection: C) -> Self
    where
        C: Future + Send + 'static,
    {
        Self(Some(Box::pin(async {
            connection.await;
        })))
    }

    /// Waits for a future that depends on the connection.
    pub(super) async fn wait_for<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Waits for the head of a response. Its body takes the connection with it.
    pub(super) async fn response(
        mut self,
        response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    ) -> Result<Response<ResponseBody>, TransportError> {
        let response = self.wait_for(response).await.map_err(TransportError::broken)?;
        Ok(self.body_of(response, None))
    }

    /// Returns the response with its body, which takes the connection with it. When the body has been read to the end,
    /// the connection goes to its home.
    pub(super) fn body_of(
        self,
        response: Response<Incoming>,
        home: Option<(Home, SendRequest<RequestBody>)>,
    ) -> Response<ResponseBody> {
        response.map(|incoming| ResponseBody::new(Driven { incoming, connection: self, home }))
    }

    /// Reads and writes as much as possible now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.0 {
            if connection.as_mut().poll(cx).is_ready() {
                self.0 = None;
            }
        }
    }
}

/// A body that drives its own connection.
struct Driven {
    incoming: Incoming,
    connection: Driver,
    home: Option<(Home, SendRequest<RequestBody>)>,
}

impl Driven {
    /// The response is complete.
    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some((home, sender)) = self.home.take() {
            self.connection.poll(cx);
            home.keep(Idle { sender, driver: Driver(self.connection.0.take()) });
        }
    }
}

impl Body for Driven {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.incoming).poll_frame(cx);
        if frame.is_pending() {
            this.connection.poll(cx);
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        // A reader that knows the length stops after the last piece.
        if matches!(frame, Poll::Ready(None)) || (frame.is_ready() && this.incoming.is_end_stream()) {
            this.finish(cx);
        }
        frame.map_err(TransportError::broken)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
