//! One request and the stream in its response, as a state machine.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tidings_codec::{Decoder, EventId, EventRef};

use crate::{
    body::ResponseBody,
    error::Error,
    gap::Gap,
    idle::Idle,
    item::{Item, ReceivedEvent},
    open::{Opened, open, prepare},
    request::MakingRequest,
    transport::Transport,
};

/// Sends one request and decodes its response. Then it is idle until it is started again.
///
/// All state is in here and none in the future of a caller. This makes every `next` cancel safe.
pub(crate) struct Exchange {
    state: State,
    decoder: Decoder,
    comments: bool,
    idle_timeout: Option<Duration>,
    /// The watchdog of the current exchange.
    idle: Option<Idle>,
    is_terminal: Option<IsTerminal>,
    /// Whether the request of the current exchange may be sent again.
    repeatable: bool,
    /// The last event ID, shared with the events that do not carry their own.
    inherited_id: Arc<str>,
    /// The `topic` field of the block that is being read.
    topic: Option<String>,
    /// Whether the stream is a hub's, so that its `gap` events are gaps.
    is_hub: bool,
    /// Whether a hub has accepted a credential. Then a stream without one is no success.
    demands_credential: bool,
}

/// Recognises the event after which no other is expected.
type IsTerminal = Box<dyn FnMut(&ReceivedEvent) -> bool + Send>;

enum State {
    Resting,
    /// The terminal event has been yielded.
    Finished,
    /// The request factory is running.
    Making(MakingRequest, Arc<dyn Transport>),
    /// The request is on its way, redirects included.
    Opening(Pin<Box<dyn Future<Output = Result<Option<Opened>, Error>> + Send>>),
    /// The response is being read. `unread` holds the bytes that the decoder has not seen yet.
    Open {
        body: ResponseBody,
        unread: Bytes,
    },
}

/// One step of an exchange.
#[derive(Debug)]
pub(crate) enum Step {
    Item(Item),
    /// The server has set the reconnection time.
    ReconnectionTime(Duration),
    /// The exchange is over.
    End(End),
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The response was complete.
    Clean,
    /// The server will send nothing more: 204, or the terminal event.
    ForGood,
    Failed(Error),
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Resting,
            decoder: Decoder::new().with_unknown_fields(true),
            comments: false,
            idle_timeout: None,
            idle: None,
            is_terminal: None,
            repeatable: true,
            inherited_id: Arc::from(""),
            topic: None,
            is_hub: false,
            demands_credential: false,
        }
    }

    pub(crate) fn set_comments(&mut self, comments: bool) {
        self.comments = comments;
    }

    pub(crate) fn set_idle_timeout(&mut self, timeout: Duration) {
        self.idle_timeout = Some(timeout);
    }

    pub(crate) fn set_terminal_event(&mut self, is_terminal: IsTerminal) {
        self.is_terminal = Some(is_terminal);
    }

    pub(crate) fn expects_terminal_event(&self) -> bool {
        self.is_terminal.is_some()
    }

    pub(crate) fn set_decoder(&mut self, set: impl FnOnce(Decoder) -> Decoder) {
        self.decoder = set(mem::take(&mut self.decoder));
    }

    /// Whether the request of the current exchange may be sent again.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    pub(crate) fn set_last_event_id(&mut self, id: EventId) {
        self.decoder.set_last_event_id(id);
    }

    pub(crate) fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// Whether the stream is a hub's.
    pub(crate) fn is_hub(&self) -> bool {
        self.is_hub
    }

    /// Begins the next exchange. An unfinished event of the last one is discarded; the last event ID is kept.
    pub(crate) fn start(&mut self, request: MakingRequest, transport: Arc<dyn Transport>) {
        self.decoder.reset();
        self.topic = None;
        self.state = State::Making(request, transport);
    }

    /// Drops the connection.
    pub(crate) fn stop(&mut self) {
        self.idle = None;
        self.state = State::Resting;
    }

    /// The next step. After [`Step::End`] the exchange must be started again before it is polled.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let step = match self.poll_exchange(cx) {
            Poll::Ready(step) => step,
            // Only now, because bytes that arrived while nobody polled count as a sign of life.
            Poll::Pending => {
                let Some(idle) = &mut self.idle else { return Poll::Pending };
                ready!(idle.poll_expired(cx));
                Step::End(End::Failed(Error::Idle(idle.timeout())))
            }
        };
        if matches!(step, Step::End(_)) {
            self.stop();
        }
        Poll::Ready(step)
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            match &mut self.state {
                State::Resting => return Poll::Ready(Step::End(End::Clean)),
                State::Finished => return Poll::Ready(Step::End(End::ForGood)),
                State::Making(request, transport) => {
                    let request = match ready!(request.as_mut().poll(cx)) {
                        Ok(request) => {
                            prepare(request, self.decoder.last_event_id(), self.demands_credential)
                        }
                        Err(error) => Err(Error::Factory(error)),
                    };
                    let request = match request {
                        Ok(request) => request,
                        Err(error) => return Poll::Ready(Step::End(End::Failed(error))),
                    };
                    self.repeatable = request.is_repeatable();
                    self.idle = self.idle_timeout.map(Idle::new);
                    let transport = Arc::clone(transport);
                    self.state = State::Opening(Box::pin(async move { open(&*transport, request).await }));
                }
                State::Opening(opening) => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    self.sign_of_life();
                    match opened {
                        Ok(Some(Opened { head, body })) => {
                            self.is_hub = head.is_hub();
                            self.demands_credential |= head.is_for_credential();
                            self.state = State::Open { body, unread: Bytes::new() };
                            return Poll::Ready(Step::Item(Item::Opened(head)));
                        }
                        Ok(None) => return Poll::Ready(Step::End(End::ForGood)),
                        Err(error) => return Poll::Ready(Step::End(End::Failed(error))),
                    }
                }
                State::Open { .. } => {
                    if let Some(step) = self.decode() {
                        return Poll::Ready(step);
                    }
                    let State::Open { body, unread } = &mut self.state else { continue };
                    match ready!(body.poll_chunk(cx)) {
                        Some(Ok(chunk)) => {
                            *unread = chunk;
                            self.sign_of_life();
                        }
                        // An event without its blank line is no event: HTML, "Parsing an event stream".
                        None => return Poll::Ready(Step::End(End::Clean)),
                        Some(Err(error)) => return Poll::Ready(Step::End(End::Failed(error.into()))),
                    }
                }
            }
        }
    }

    fn sign_of_life(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.sign_of_life();
        }
    }

    /// Decodes up to the next step, or until the bytes are used up.
    fn decode(&mut self) -> Option<Step> {
        let State::Open { unread, .. } = &mut self.state else { return None };
        loop {
            let mut input = &unread[..];
            let Some(decoded) = self.decoder.decode(&mut input) else {
                // The chunk is used up. The next poll must not read it again.
                unread.clear();
                return None;
            };
            let mut finished = false;
            let step = match decoded {
                Ok(tidings_codec::Item::Event(event)) => {
                    let event = received(event, &mut self.inherited_id, self.topic.take());
                    finished = self.is_terminal.as_mut().is_some_and(|is_terminal| is_terminal(&event));
                    let gap = self.is_hub.then(|| Gap::read(&event)).flatten();
                    Some(Step::Item(gap.map_or(Item::Event(event), Item::Gap)))
                }
                Ok(tidings_codec::Item::Retry(time)) => Some(Step::ReconnectionTime(time)),
                Ok(tidings_codec::Item::Comment(text)) if self.comments => {
                    Some(Step::Item(Item::Comment(text.to_owned())))
                }
                Ok(tidings_codec::Item::Unknown { name: "topic", value }) => {
                    self.topic = Some(value.to_owned());
                    None
                }
                Ok(_) => None,
                Err(error) => Some(Step::End(End::Failed(Error::Decode(error)))),
            };
            let consumed = unread.len() - input.len();
            unread.advance(consumed);
            if finished {
                self.state = State::Finished;
                return step;
            }
            if step.is_some() {
                return step;
            }
        }
    }
}

fn received(event: EventRef<'_>, shared_id: &mut Arc<str>, topic: Option<String>) -> ReceivedEvent {
    let mut inherited_id = None;
    if event.id().is_none() && !event.last_event_id().is_empty() {
        if **shared_id != *event.last_event_id() {
            *shared_id = Arc::from(event.last_event_id());
        }
        inherited_id = Some(Arc::clone(shared_id));
    }
    ReceivedEvent::new(event.to_owned_event(), inherited_id, topic)
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Resting => "resting",
            State::Finished => "finished",
            State::Making(..) => "making",
            State::Opening(_) => "opening",
            State::Open { .. } => "open",
        };
        f.debug_struct("Exchange")
            .field("state", &state)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}
