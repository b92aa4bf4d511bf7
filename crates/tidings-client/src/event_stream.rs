//! One response, read to its end.

use std::{
    future::ready,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::FusedStream};

use crate::{
    error::{Error, InvalidUrl},
    event_source::ReadyState,
    exchange::{End, Exchange, Step},
    item::Item,
    request::Request,
    transport::{HyperTransport, Transport},
};

/// Sends one request and reads the event stream that answers it, as `fetch` would: an answer of an LLM, for instance.
///
/// It never sends the request twice. To reconnect, follow the same request with an [`EventSource`](crate::EventSource).
///
/// ```no_run
/// use tidings_client::{EventStream, Item, Request};
///
/// # async fn answer() -> Result<(), Box<dyn std::error::Error>> {
/// let request = Request::post("http://localhost:11434/v1/chat/completions")?
///     .with_body(r#"{"model": "small", "stream": true, "messages": []}"#);
/// let mut stream = EventStream::new(request).with_terminal_event(|event| event.data() == "[DONE]");
/// while let Some(item) = stream.next().await {
///     if let Item::Event(token) = item? {
///         println!("{}", token.data());
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # How it ends
///
/// `None` means that the answer is complete. Everything else is an [`Error`]: a refusal, a connection that broke, and,
/// if a [terminal event](Self::with_terminal_event) is expected, a response that ended without it. A connection that is
/// cut often looks like an end, so expect one where the server sends one.
#[derive(Debug)]
pub struct EventStream {
    phase: Phase,
    pub(crate) exchange: Exchange,
    pub(crate) transport: Arc<dyn Transport>,
}

#[derive(Debug)]
enum Phase {
    /// The request is sent at the first poll.
    Asking(Box<Request>),
    Connecting,
    Open,
    Closed,
}

impl EventStream {
    /// Reads what answers a request. The request is sent when the stream is first polled.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self {
            phase: Phase::Asking(Box::new(request)),
            exchange: Exchange::new(),
            transport: Arc::new(HyperTransport::new()),
        }
    }

    /// Reads what a URL answers: short for [`EventStream::new`] with [`Request::get`].
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] when the text is not an absolute URL.
    pub fn get(url: &str) -> Result<Self, InvalidUrl> {
        Request::get(url).map(Self::new)
    }

    /// Waits for what comes next; `None` when the answer is complete.
    ///
    /// Cancel safe: nothing is lost when the future is dropped, as in a `tokio::select!`; the next call goes on where
    /// this one was. While nobody calls it, nothing is read, and the server sees a slow reader.
    ///
    /// # Errors
    ///
    /// An [`Error`] is the last thing before `None`.
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        std::future::poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Ends the stream. Its connection is closed at once, and `next` returns `None` from now on.
    pub fn close(&mut self) {
        self.exchange.stop();
        self.phase = Phase::Closed;
    }

    /// Whether the stream is connecting, open, or closed.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        match self.phase {
            Phase::Asking(_) | Phase::Connecting => ReadyState::Connecting,
            Phase::Open => ReadyState::Open,
            Phase::Closed => ReadyState::Closed,
        }
    }

    /// Where another request could resume. Empty when there is no such place.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.exchange.last_event_id()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        loop {
            match &mut self.phase {
                Phase::Closed => return Poll::Ready(None),
                Phase::Asking(request) => {
                    let request = (**request).clone();
                    self.exchange.start(Box::pin(ready(Ok(request))), Arc::clone(&self.transport));
                    self.phase = Phase::Connecting;
                }
                Phase::Connecting | Phase::Open => match ready!(self.exchange.poll_step(cx)) {
                    Step::Item(item) => {
                        if matches!(item, Item::Opened(_)) {
                            self.phase = Phase::Open;
                        }
                        return Poll::Ready(Some(Ok(item)));
                    }
                    // There is no reconnection.
                    Step::ReconnectionTime(_) => {}
                    Step::End(end) => {
                        self.phase = Phase::Closed;
                        return Poll::Ready(match end {
                            End::Clean if self.exchange.expects_terminal_event() => {
                                Some(Err(Error::Unfinished))
                            }
                            End::Clean | End::ForGood => None,
                            End::Failed(error) => Some(Err(error)),
                        });
                    }
                },
            }
        }
    }
}

impl Stream for EventStream {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        self.ready_state() == ReadyState::Closed
    }
}
