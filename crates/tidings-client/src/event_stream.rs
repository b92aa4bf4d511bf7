//! A client that reads one response to its end.

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

/// Sends one request and reads the event stream in its response, such as the answer of an LLM.
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
/// `None` means that the answer is complete. Every other end is an [`Error`]: a refusal, a connection that broke, or a
/// response that ended without the [terminal event](Self::with_terminal_event) that you expect. A connection that is
/// cut often looks like a normal end, so expect a terminal event if the server sends one.
#[derive(Debug)]
pub struct EventStream {
    phase: Phase,
    pub(crate) exchange: Exchange,
    pub(crate) transport: Arc<dyn Transport>,
}

#[derive(Debug)]
enum Phase {
    /// The next poll sends the request.
    Asking(Box<Request>),
    Connecting,
    Open,
    Closed,
}

impl EventStream {
    /// Reads the response to a request. The request is sent when the stream is first polled.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self {
            phase: Phase::Asking(Box::new(request)),
            exchange: Exchange::new(),
            transport: Arc::new(HyperTransport::new()),
        }
    }

    /// Reads the response from a URL: short for [`EventStream::new`] with [`Request::get`].
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] when the text is not an absolute URL.
    pub fn get(url: &str) -> Result<Self, InvalidUrl> {
        Request::get(url).map(Self::new)
    }

    /// Waits for the next item. `None` means that the answer is complete.
    ///
    /// Cancel safe: nothing is lost when you drop the future, as in a `tokio::select!`. The next call goes on where
    /// this one stopped. While you do not call it, nothing is read, and the server sees a slow reader.
    ///
    /// # Errors
    ///
    /// An [`Error`] is the last item before `None`.
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        std::future::poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Ends the stream. Its connection is closed at once, and from now on `next` returns `None`.
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

    /// The ID from which another request could resume. Empty if there is none.
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
                    // An `EventStream` never reconnects.
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
