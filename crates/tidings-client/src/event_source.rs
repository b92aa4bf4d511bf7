//! A client that follows an event stream across reconnections.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{Stream, stream::FusedStream};
use http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    error::{BoxError, Error, InvalidUrl, TransportError},
    exchange::{End, Exchange, Step},
    item::{Item, ReceivedEvent},
    reconnect::{Cause, Pace},
    repeats::Repeats,
    request::{Attempt, Request, Requests},
    transport::{HyperTransport, Transport},
};

/// Follows an event stream, and reconnects whenever the connection is lost, as a browser's `EventSource` does.
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
/// # Opening, ending and failing
///
/// | The server | The source |
/// |---|---|
/// | answers 200 with `text/event-stream` | yields [`Item::Opened`], then the items of the stream |
/// | answers 204 | ends: `next` returns `None` |
/// | redirects with 301, 302, 303, 307 or 308 | follows, at most 20 times for each attempt |
/// | answers anything else | yields the [`Error`], and ends |
/// | cannot be reached, ends the response, or breaks it off | yields [`Item::Retrying`], waits, and sends the request again with the last event ID |
///
/// Source: HTML, "Processing model".
///
/// A request whose method is not idempotent, such as POST, is not sent again once it may have reached the server,
/// unless [you allow it](Request::with_repeatable) or it carries an `Idempotency-Key`. The source then ends when its
/// response ends.
///
/// # Credentials
///
/// With [`from_factory`](Self::from_factory) or [`with_token`](Self::with_token) each attempt has a credential of its own.
/// Then the source also does the following:
///
/// | When | The source |
/// |---|---|
/// | a hub says that the credential expires soon (an event `access` with the reason `expires`) | yields the event and [`Item::Retrying`], and resumes at once after the last event, with the next credential |
/// | the answer is 401 | asks once more, with the next credential; a second 401 in a row is the error |
///
/// Renewing loses and doubles nothing, because a hub resumes after the last event ID. The source renews at most once a second,
/// and not before it has an ID. Once a hub has opened a stream for a credential (`Tidings-Access: token`), further requests demand
/// one with the parameter `access=token`.
///
/// # Redirects
///
/// Browsers differ on the URL of a reconnection. Here every attempt starts from the original URL, after permanent
/// redirects too. The target of a redirect may be a node that has just failed, and the server at the original URL knows
/// a node that works.
///
/// A redirect to another origin (scheme, host and port) takes along the method, the body, and only the headers that any
/// server may know: `Accept`, `Accept-Encoding`, `Accept-Language`, `Cache-Control`, `Content-Encoding`,
/// `Content-Language`, `Content-Type`, `Idempotency-Key`, `Last-Event-ID` and `User-Agent`. All others are left out,
/// because any of them may be a credential. If the stream needs them at the other origin, use the URL of the redirect's
/// target.
///
/// # Ending
///
/// Nothing runs in the background: the source connects and reads while you await [`next`](Self::next). Drop the source
/// or [close](Self::close) it, and its connection is closed at once.
#[derive(Debug)]
pub struct EventSource {
    phase: Phase,
    pub(crate) exchange: Exchange,
    requests: Requests,
    pub(crate) transport: Arc<dyn Transport>,
    pace: Pace,
    status_retries: bool,
    repeats: Option<Repeats>,
    attempts: u64,
    /// Whether the answer has been 401 since the last stream.
    is_refused: bool,
    /// Whether the hub has said that the credential expires soon. The event is yielded first.
    is_expiring: bool,
    renewed_at: Option<Instant>,
}

/// The shortest time between two renewals. Without it, a credential that is not renewed would be asked for in a storm.
const RENEWAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Phase {
    /// The next poll begins to connect.
    Connect,
    Connecting,
    Open,
    Waiting(Pin<Box<Sleep>>),
    Closed,
}

/// The state of a source. Source: HTML, "readyState".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// It has not connected yet, or has lost the connection and is reconnecting.
    Connecting,
    /// It has a connection and dispatches events.
    Open,
    /// It has ended, and does not reconnect.
    Closed,
}

impl EventSource {
    /// Follows the stream that a request opens. Every attempt sends the same request.
    ///
    /// It connects when it is first polled.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self::with_requests(Requests::Same(Box::new(request)))
    }

    /// Follows the stream at a URL: short for [`EventSource::new`] with [`Request::get`].
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] when the text is not an absolute URL.
    pub fn get(url: &str) -> Result<Self, InvalidUrl> {
        Request::get(url).map(Self::new)
    }

    /// Calls `factory` for a request before each attempt, for instance to put a fresh token into it.
    ///
    /// The source adds the last event ID to the request. An error of the factory ends the stream with
    /// [`Error::Factory`]. A factory that can recover from an error should retry inside.
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
            status_retries: false,
            repeats: None,
            attempts: 0,
            is_refused: false,
            is_expiring: false,
            renewed_at: None,
        }
    }

    /// Calls `token` before each attempt, and sends its result as `Authorization: Bearer …`.
    ///
    /// ```no_run
    /// use tidings_client::{EventSource, InvalidUrl};
    ///
    /// # async fn from_cache() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # async fn from_issuer() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # fn main() -> Result<(), InvalidUrl> {
    /// let source = EventSource::get("https://hub.example/topics/orders/42")?.with_token(|attempt| async move {
    ///     Ok(if attempt.is_refused { from_issuer().await? } else { from_cache().await? })
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An error of `token`, or a token that no header can hold, ends the stream with [`Error::Factory`].
    #[must_use]
    pub fn with_token<F, M>(self, token: F) -> Self
    where
        F: FnMut(Attempt) -> M + Send + 'static,
        M: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self { requests: self.requests.with_token(token), ..self }
    }

    /// Sets how long the source waits before it reconnects, until the server sets another time. Default 3 s, maximum
    /// one day.
    ///
    /// A server sets another time with a `retry` field: at least 100 ms, and at most
    /// [an hour](Self::with_max_reconnection_time). Source: HTML, "reconnection time".
    #[must_use]
    pub fn with_reconnection_time(mut self, time: Duration) -> Self {
        self.pace.set_reconnection_time(time);
        self
    }

    /// Sets the longest wait that a server may ask for, by a `retry` field or a `Retry-After` header. Default 1 h,
    /// minimum 100 ms, maximum one day.
    ///
    /// A longer wait is shortened to this one. Otherwise a mistake of the server, or a publisher on a hub, could
    /// silence its clients for years.
    #[must_use]
    pub fn with_max_reconnection_time(mut self, max: Duration) -> Self {
        self.pace.set_max_asked(max);
        self
    }

    /// Sets the longest back-off, which is added to the reconnection time. Default 60 s, maximum one day. Zero turns
    /// the back-off off.
    ///
    /// After a connection that failed, the source waits for the reconnection time plus a random part of a span. The
    /// span starts at the reconnection time (at 1 s if that is shorter) and doubles with each failure in a row. A
    /// response that ended is a failure only if it brought no event and was not [healthy](Self::with_healthy_after).
    ///
    /// If responses end soon and bring the same events each time, the wait after them doubles from 100 ms up to 3 s,
    /// even if the reconnection time is shorter. This prevents a storm of requests.
    #[must_use]
    pub fn with_max_backoff(mut self, max: Duration) -> Self {
        self.pace.set_max_backoff(max);
        self
    }

    /// Sets how long a connection must last to count as healthy. After a healthy connection, failures are counted from
    /// zero again. Default 30 s. A connection that has brought an event is healthy at once.
    #[must_use]
    pub fn with_healthy_after(mut self, time: Duration) -> Self {
        self.pace.healthy_after = time;
        self
    }

    /// Sets whether the source tries again after a status of 408, 429, or 5xx. It then waits for as long as a
    /// `Retry-After` header asks. Default `false`: by the standard these statuses are final.
    #[must_use]
    pub fn with_status_retries(mut self, retries: bool) -> Self {
        self.status_retries = retries;
        self
    }

    /// Drops events that an earlier connection has already brought. The source recognises them by their IDs, and
    /// remembers the `window` latest IDs. Default 0, which drops nothing.
    ///
    /// Use it with servers that resume at the last event ID instead of after it. If one connection brings an ID twice,
    /// neither event is dropped. Events without an ID are never dropped.
    #[must_use]
    pub fn with_deduplication(mut self, window: usize) -> Self {
        self.repeats = (window > 0).then(|| Repeats::new(window));
        self
    }

    /// Waits for the next item. `None` means that the source has ended.
    ///
    /// Cancel safe: nothing is lost when you drop the future, as in a `tokio::select!`. The next call goes on where
    /// this one stopped. While you do not call it, nothing is read, and the server sees a slow reader.
    ///
    /// # Errors
    ///
    /// An [`Error`] is the last item before `None`. Failures from which the source recovers are not errors: each gives
    /// an [`Item::Retrying`].
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        std::future::poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Ends the source. Its connection is closed at once, and from now on `next` returns `None`.
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

    /// The ID from which a reconnection would resume. Empty if there is none.
    ///
    /// An ID of more than 4 KiB is ignored, because servers commonly accept 8 KiB of headers. A reconnection then
    /// resumes from the ID before it: some events may come again, and none is lost.
    ///
    /// The ID is ahead of the events only if a server sets an ID without sending an event. Source: HTML, "last event ID
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
                Phase::Open if mem::take(&mut self.is_expiring) => {
                    self.exchange.stop();
                    return Poll::Ready(Some(Ok(self.retry(Cause::Expiring))));
                }
                Phase::Connecting | Phase::Open => match ready!(self.exchange.poll_step(cx)) {
                    Step::Item(item) => {
                        if self.note(&item) {
                            return Poll::Ready(Some(Ok(item)));
                        }
                    }
                    Step::ReconnectionTime(time) => self.pace.asked(time),
                    Step::End(end) => return Poll::Ready(self.reconnect_or_end(end)),
                },
            }
        }
    }

    /// Takes note of an item. Returns `false` for a repeat, which is not yielded.
    fn note(&mut self, item: &Item) -> bool {
        match item {
            Item::Opened(_) => {
                self.phase = Phase::Open;
                self.is_refused = false;
                self.pace.opened();
                if let Some(repeats) = &mut self.repeats {
                    repeats.reconnected();
                }
            }
            Item::Event(event) => {
                if let (Some(repeats), Some(id)) = (&mut self.repeats, event.id()) {
                    // An empty ID counts as no ID.
                    if !id.as_str().is_empty() && repeats.is_repeat(id) {
                        return false;
                    }
                }
                self.pace.event(event);
                if self.exchange.is_hub() && says_expiring(event) && self.may_renew() {
                    self.is_expiring = true;
                    self.renewed_at = Some(Instant::now());
                }
            }
            Item::Gap(gap) => self.pace.event(gap.event()),
            _ => {}
        }
        true
    }

    /// Whether a new connection has another credential, and loses nothing.
    fn may_renew(&self) -> bool {
        let is_due = self.renewed_at.is_none_or(|renewed| renewed.elapsed() >= RENEWAL);
        is_due && self.requests.vary() && self.exchange.is_repeatable() && !self.last_event_id().is_empty()
    }

    fn retry(&mut self, cause: Cause) -> Item {
        let after = self.pace.wait(&cause);
        self.phase = Phase::Waiting(Box::pin(sleep(after)));
        Item::Retrying { cause, after }
    }

    fn connect(&mut self) {
        self.attempts += 1;
        self.is_expiring = false;
        let attempt = Attempt {
            number: self.attempts,
            last_event_id: self.last_event_id().to_owned(),
            is_refused: self.is_refused,
        };
        self.exchange.start(self.requests.next(attempt), Arc::clone(&self.transport));
        self.phase = Phase::Connecting;
    }

    /// Decides between "reestablish the connection" and "fail the connection".
    fn reconnect_or_end(&mut self, end: End) -> Option<Result<Item, Error>> {
        let again = match end {
            End::Clean => Ok(Cause::Ended),
            End::ForGood => Err(None),
            End::Failed(error) => self.recover(error).map_err(Some),
        };
        let again = match again {
            // A request that was never sent may be sent again, even if its method is not idempotent.
            Ok(cause @ Cause::Network(TransportError::Connect { .. })) => Ok(cause),
            Ok(Cause::Ended) if !self.exchange.is_repeatable() && self.exchange.expects_terminal_event() => {
                Err(Some(Error::Unfinished))
            }
            Ok(cause) if !self.exchange.is_repeatable() => Err(cause.into_error()),
            again => again,
        };
        match again {
            Ok(cause) => Some(Ok(self.retry(cause))),
            Err(error) => {
                self.phase = Phase::Closed;
                error.map(Err)
            }
        }
    }

    /// Returns the cause for another attempt, if the error allows one.
    fn recover(&mut self, error: Error) -> Result<Cause, Error> {
        match error {
            Error::Transport(error @ (TransportError::Connect { .. } | TransportError::Broken { .. })) => {
                Ok(Cause::Network(error))
            }
            Error::Idle(timeout) => Ok(Cause::Idle(timeout)),
            Error::Status(refusal) if self.status_retries && refusal.is_temporary() => {
                Ok(Cause::Status(refusal))
            }
            Error::Status(refusal)
                if refusal.status == StatusCode::UNAUTHORIZED && self.requests.vary() && !self.is_refused =>
            {
                self.is_refused = true;
                Ok(Cause::Status(refusal))
            }
            error => Err(error),
        }
    }
}

/// Whether an event of a hub says that the credential expires soon.
fn says_expiring(event: &ReceivedEvent) -> bool {
    event.event_type() == "access"
        && serde_json::from_str::<Value>(event.data()).is_ok_and(|data| data["reason"] == "expires")
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
