//! A stream that is followed across reconnections.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{Stream, stream::FusedStream};
use tidings_codec::EventId;
use tokio::time::{Sleep, sleep};

use crate::{
    error::{BoxError, Error, InvalidUrl, TransportError},
    exchange::{End, Exchange, Step},
    item::Item,
    reconnect::{Cause, Pace},
    request::{Attempt, Request, Requests},
    transport::{HyperTransport, Transport},
};

/// Follows an event stream, and connects again whenever the connection is gone, as a browser's `EventSource` does.
///
/// ```no_run
/// use tidings_client::{EventSource, Item};
///
/// # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = EventSource::get("http://localhost:8080/topics/news")?;
/// while let Some(item) = source.next().await {
///     if let Item::Event(event) = item? {
///         println!("{}: {}", event.event_type(), event.data());
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What opens, ends and fails a stream
///
/// | The server | The source |
/// |---|---|
/// | answers 200 with `text/event-stream` | yields [`Item::Opened`], then what the stream says |
/// | answers 204 | ends: `next` returns `None` |
/// | redirects with 301, 302, 303, 307 or 308 | follows, at most 20 times for each attempt |
/// | answers anything else | yields the [`Error`], and ends |
/// | cannot be reached, ends the response, or breaks it off | yields [`Item::Retrying`], waits, and connects again with the last event ID |
///
/// Source: HTML, "Processing model".
///
/// # Redirects
///
/// Browsers differ on the URL of a reconnection. Here every attempt starts from the URL that was asked for, after
/// permanent redirects too: the place that a redirect leads to may be the node that has just gone, and who answers the
/// first URL knows a living one.
///
/// # Ending
///
/// Nothing runs in the background: the source connects and reads while [`next`](Self::next) is awaited. Dropping or
/// [closing](Self::close) it closes its connection at once.
#[derive(Debug)]
pub struct EventSource {
    phase: Phase,
    exchange: Exchange,
    requests: Requests,
    transport: Arc<dyn Transport>,
    pace: Pace,
    attempts: u64,
}

#[derive(Debug)]
enum Phase {
    /// Connecting begins at the next poll.
    Connect,
    Connecting,
    Open,
    Waiting(Pin<Box<Sleep>>),
    Closed,
}

/// The state of a source. Source: HTML, "readyState".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// It has not connected yet, or has lost the connection and is connecting again.
    Connecting,
    /// It has a connection and dispatches events.
    Open,
    /// It has ended, and does not connect again.
    Closed,
}

impl EventSource {
    /// Follows what a request opens, with the same request for every attempt.
    ///
    /// It connects when it is first polled.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self::with_requests(Requests::Same(Box::new(request)))
    }

    /// Follows a URL: short for [`EventSource::new`] with [`Request::get`].
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] when the text is not an absolute URL.
    pub fn get(url: &str) -> Result<Self, InvalidUrl> {
        Request::get(url).map(Self::new)
    }

    /// Asks `factory` for a request before each attempt, for instance to put a fresh token into it.
    ///
    /// The last event ID is added to what it makes. Its error ends the stream with [`Error::Factory`]: a factory that
    /// hopes for better times awaits them itself.
    pub fn from_factory<F, M>(mut factory: F) -> Self
    where
        F: FnMut(Attempt) -> M + Send + 'static,
        M: Future<Output = Result<Request, BoxError>> + Send + 'static,
    {
        Self::with_requests(Requests::Factory(Box::new(move |attempt| Box::pin(factory(attempt)))))
    }

    fn with_requests(requests: Requests) -> Self {
        Self {
            phase: Phase::Connect,
            exchange: Exchange::new(),
            requests,
            transport: Arc::new(HyperTransport::new()),
            pace: Pace::new(),
            attempts: 0,
        }
    }

    /// Resumes after this event, as if the source had received it.
    #[must_use]
    pub fn with_last_event_id(mut self, id: EventId) -> Self {
        self.exchange.set_last_event_id(id);
        self
    }

    /// Waits this long before it connects again, until the server says otherwise. Default 3 s.
    ///
    /// Source: HTML, "reconnection time".
    #[must_use]
    pub fn with_reconnection_time(mut self, time: Duration) -> Self {
        self.pace.set_reconnection_time(time);
        self
    }

    /// Whether comments are yielded, for instance to see heartbeats. Default `false`.
    #[must_use]
    pub fn with_comments(mut self, comments: bool) -> Self {
        self.exchange.set_comments(comments);
        self
    }

    /// Sends requests by this transport. Default: [`HyperTransport`].
    #[must_use]
    pub fn with_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = transport;
        self
    }

    /// Waits for what happens next; `None` when the source has ended.
    ///
    /// Cancel safe: nothing is lost when the future is dropped, as in a `tokio::select!`; the next call goes on where
    /// this one was. While nobody calls it, nothing is read, and the server sees a slow reader.
    ///
    /// # Errors
    ///
    /// An [`Error`] is the last thing before `None`. What the source recovers from is no error but an
    /// [`Item::Retrying`].
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        std::future::poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Ends the source. Its connection is closed at once, and `next` returns `None` from now on.
    pub fn close(&mut self) {
        self.exchange.stop();
        self.phase = Phase::Closed;
    }

    /// Whether the source is connecting, open, or closed.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        match self.phase {
            Phase::Connect | Phase::Connecting | Phase::Waiting(_) => ReadyState::Connecting,
            Phase::Open => ReadyState::Open,
            Phase::Closed => ReadyState::Closed,
        }
    }

    /// Where a reconnection would resume. Empty when there is no such place.
    ///
    /// It runs ahead of the events only where a server sets an ID without sending an event. Source: HTML, "last event ID
    /// string".
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.exchange.last_event_id()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        loop {
            match &mut self.phase {
                Phase::Closed => return Poll::Ready(None),
                Phase::Waiting(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    self.phase = Phase::Connect;
                }
                Phase::Connect => self.connect(),
                Phase::Connecting | Phase::Open => match ready!(self.exchange.poll_step(cx)) {
                    Step::Item(item) => {
                        if matches!(item, Item::Opened(_)) {
                            self.phase = Phase::Open;
                        }
                        return Poll::Ready(Some(Ok(item)));
                    }
                    Step::ReconnectionTime(time) => self.pace.set_reconnection_time(time),
                    Step::End(end) => return Poll::Ready(self.reconnect_or_end(end)),
                },
            }
        }
    }

    fn connect(&mut self) {
        self.attempts += 1;
        let attempt = Attempt { number: self.attempts, last_event_id: self.last_event_id().to_owned() };
        self.exchange.start(self.requests.next(attempt), Arc::clone(&self.transport));
        self.phase = Phase::Connecting;
    }

    /// Decides between "reestablish the connection" and "fail the connection".
    fn reconnect_or_end(&mut self, end: End) -> Option<Result<Item, Error>> {
        let cause = match end {
            End::Clean => Cause::Ended,
            End::ForGood => {
                self.phase = Phase::Closed;
                return None;
            }
            End::Failed(Error::Transport(
                error @ (TransportError::Connect { .. } | TransportError::Broken { .. }),
            )) => Cause::Network(error),
            End::Failed(error) => {
                self.phase = Phase::Closed;
                return Some(Err(error));
            }
        };
        let after = self.pace.wait();
        self.phase = Phase::Waiting(Box::pin(sleep(after)));
        Some(Ok(Item::Retrying { cause, after }))
    }
}

impl Stream for EventSource {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl FusedStream for EventSource {
    fn is_terminated(&self) -> bool {
        self.ready_state() == ReadyState::Closed
    }
}
