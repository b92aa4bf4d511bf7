//! From the upstream into the log.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use tidings_client::{ResponseBody, TransportError};
use tidings_codec::{Decoder, EventRef, EventType, Item};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{
    ending::Ending,
    failure::Failure,
    live::{Gateway, Live, Progress},
    request::Asked,
    stream::{kept_type, update_of},
    upstream::{broken, read_rest},
    wire::AnswerState,
};
use crate::{
    Hub, Topic,
    log::{Append, Appended, Refused},
};

/// How long to wait before a request is sent again; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait before the end of a stream is appended again.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// A batch takes no more pieces of the upstream's answer once it has this many bytes of data.
const MAX_BATCH_BYTES: usize = 64 << 10;

/// An upstream that is being asked: the head of its answer, if that is a stream, and its body. Dropping it ends the connection.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<(HeaderMap, ResponseBody), Failure>> + Send>>;

/// Sends a request to the upstream, once it is polled.
pub(super) fn ask(gateway: Arc<Gateway>, asked: Asked) -> Asking {
    Box::pin(async move { gateway.upstream.open(&asked.target, asked.headers, asked.body).await })
}

/// Receives one stream, in a task that does not depend on readers.
pub(super) struct Relay {
    hub: Hub,
    gateway: Arc<Gateway>,
    live: Arc<Live>,
    /// The stream's.
    topic: Topic,
    asked: Asked,
    /// The first attempt, if it has begun already.
    asking: Option<Asking>,
    /// How many events are in the log, or on their way to it.
    events: u64,
    begun: Instant,
    /// When the newest events have arrived.
    arrived: Option<Instant>,
    /// Which of the answer's choices are complete, as bits.
    finished: u128,
    abandoned: bool,
    /// How the upstream may still end an answer that is complete.
    rest: Option<ResponseBody>,
}

/// Events that arrived together.
struct Batch {
    events: Vec<Append>,
    bytes: usize,
    /// The state of the answer after the last event.
    state: AnswerState,
    /// Whether anything was complete, even a comment.
    alive: bool,
    /// The bytes after the events cannot be read.
    problem: Option<Failure>,
}

impl Batch {
    fn new() -> Batch {
        Batch { events: Vec::new(), bytes: 0, state: AnswerState::More, alive: false, problem: None }
    }

    /// Whether the last event ends the answer.
    fn is_last(&self) -> bool {
        matches!(self.state, AnswerState::Complete | AnswerState::Failed) || self.problem.is_some()
    }
}

impl Relay {
    pub(super) fn new(
        hub: Hub,
        gateway: Arc<Gateway>,
        live: Arc<Live>,
        asked: Asked,
        asking: Option<Asking>,
    ) -> Relay {
        Relay {
            hub,
            gateway,
            topic: live.id.topic(),
            live,
            asked,
            asking,
            events: 0,
            begun: Instant::now(),
            arrived: None,
            finished: 0,
            abandoned: false,
            rest: None,
        }
    }

    /// Receives the stream and ends it in the log.
    pub(super) async fn run(mut self) {
        let gateway = self.gateway.clone();
        gateway.metrics.streams.inc();
        let outcome = self.receive().await;
        let ending = outcome.as_ref().map_or_else(|failure| failure.ending, |()| Ending::Complete);
        let failure = outcome.err();
        self.abandoned |= !self.hub.engine().routing.is_followed(&self.topic);
        // Before readers hear of the end, so that a reader of the end finds it counted.
        if self.abandoned {
            gateway.metrics.abandoned.inc();
        }
        gateway.metrics.ended(ending);
        gateway.metrics.streams.dec();
        self.end(ending, failure.as_ref()).await;
        tracing::debug!(stream = %self.live.id, ending = ending.as_str(), events = self.events, "a stream has ended");
        let last = match failure {
            Some(failure) if self.events == 0 => Progress::Failed(Arc::new(failure)),
            _ => Progress::Kept(self.live.headers()),
        };
        gateway.leave(&self.live, last, ending.is_upstreams());
        if let Some(rest) = self.rest {
            read_rest(rest).await;
        }
    }

    /// Receives the answer, until it is complete or something ends it. The upstream's connection ends with this.
    async fn receive(&mut self) -> Result<(), Failure> {
        let (gateway, live, engine) = (self.gateway.clone(), self.live.clone(), self.hub.engine().clone());
        let total = gateway.settings.timeouts.total;
        let mut stop = live.stop.subscribe();
        tokio::select! {
            biased;
            stopped = stop.wait_for(Option::is_some) => {
                let ending = stopped.ok().and_then(|ending| *ending).unwrap_or(Ending::Stopped);
                Err(Failure::new(ending, "the stream was stopped"))
            }
            () = gateway.shutdown_begun() => Err(restarted()),
            () = gateway.settings.abandon.of(&engine, &live.id) => {
                self.abandoned = true;
                Err(Failure::new(Ending::Abandoned, "the stream was ended, since nobody read it"))
            }
            () = sleep(total) => {
                Err(Failure::new(Ending::Expired, format!("the answer took longer than {} s", total.as_secs_f32())))
            }
            outcome = self.try_again_and_again() => outcome,
        }
    }

    /// Sends the request again, as long as no client has seen an event.
    async fn try_again_and_again(&mut self) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        let mut left = self.gateway.settings.retries;
        loop {
            match self.attempt().await {
                Err(failure) if failure.again && self.events == 0 && left > 0 => {
                    self.gateway.metrics.retried.inc();
                    tracing::info!(stream = %self.live.id, reason = failure.message, "the upstream is asked again");
                    sleep(pause).await;
                    (left, pause) = (left - 1, pause * 2);
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt(&mut self) -> Result<(), Failure> {
        let gateway = self.gateway.clone();
        let timeouts = &gateway.settings.timeouts;
        let first = Instant::now() + timeouts.first_event;
        let silent = |what: &str, limit: Duration| {
            let message = format!("the upstream sent no {what} within {} s", limit.as_secs_f32());
            Failure::new(Ending::Expired, message)
        };
        let asking = self.asking.take().unwrap_or_else(|| ask(gateway.clone(), self.asked.clone()));
        let (headers, mut body) =
            timeout_at(first, asking).await.map_err(|_| silent("answer", timeouts.first_event))??;
        let headers = Arc::new(headers);
        let max_bytes = self.hub.engine().settings.max_data_bytes;
        let mut decoder = Decoder::new()
            .with_max_line_bytes(max_bytes.saturating_add(1 << 10))
            .with_max_event_bytes(max_bytes);
        let mut deadline = pin!(sleep_until(first));
        let mut state = AnswerState::More;
        loop {
            let mut piece = tokio::select! {
                biased;
                piece = body.chunk() => piece,
                () = &mut deadline => return Err(match self.events {
                    0 => silent("event", timeouts.first_event),
                    _ => silent("further event", timeouts.between_events),
                }),
            };
            // While the log takes one batch, the next batch gathers. An append costs much, and another event in it costs little.
            let mut batch = Batch::new();
            let end = loop {
                match piece {
                    Some(Ok(piece)) => self.decode(&mut decoder, &piece, &mut batch),
                    end => break Some(end),
                }
                if batch.is_last() || batch.bytes >= MAX_BATCH_BYTES {
                    break None;
                }
                match at_hand(&mut body).await {
                    Some(next) => piece = next,
                    None => break None,
                }
            };
            if batch.alive && self.events > 0 {
                deadline.as_mut().reset(Instant::now() + timeouts.between_events);
            }
            if batch.state != AnswerState::More {
                state = batch.state;
            }
            self.publish(batch.events, &headers).await?;
            match (state, batch.problem, end) {
                (AnswerState::Complete, ..) => {
                    self.rest = Some(body);
                    return Ok(());
                }
                (AnswerState::Failed, ..) => return Err(reported()),
                (_, Some(problem), _) => return Err(problem),
                (_, None, Some(Some(Err(error)))) => return Err(broken(error)),
                (_, None, Some(_)) => return self.at_the_end(state, decoder, &headers).await,
                (_, None, None) => {}
            }
        }
    }

    /// The connection has ended in good order. Some upstreams leave out the last event of the interface, and some the empty line
    /// after it.
    async fn at_the_end(
        &mut self,
        mut state: AnswerState,
        mut decoder: Decoder,
        headers: &Arc<HeaderMap>,
    ) -> Result<(), Failure> {
        let before = self.events;
        // An empty line ends an event whose lines are whole. A line that was cut gives no event.
        let mut last = Batch::new();
        self.decode(&mut decoder, b"\n", &mut last);
        match last.state {
            AnswerState::More => self.events = before,
            last_state => {
                state = last_state;
                self.publish(last.events, headers).await?;
            }
        }
        match (state, self.events) {
            (AnswerState::Complete, _) => Ok(()),
            (AnswerState::Finished(choices), _) if choices.count_ones() >= self.asked.choices => Ok(()),
            (AnswerState::Failed, _) => Err(reported()),
            (AnswerState::More, 0) => {
                Err(Failure::new(Ending::Truncated, "the upstream's answer has no event").again())
            }
            (AnswerState::More | AnswerState::Finished(_), _) => {
                Err(Failure::new(Ending::Truncated, "the upstream's answer ended before it was complete"))
            }
        }
    }

    /// Adds the events that have arrived to `batch`, up to the last event of the answer.
    fn decode(&mut self, decoder: &mut Decoder, mut input: &[u8], batch: &mut Batch) {
        while let Some(item) = decoder.decode(&mut input) {
            batch.alive = true;
            let event = match item {
                Ok(Item::Event(event)) => event,
                Ok(_) => continue,
                Err(error) => {
                    let message = format!("the upstream's answer cannot be read: {error}");
                    batch.problem = Some(Failure::new(Ending::UpstreamError, message));
                    return;
                }
            };
            self.events += 1;
            batch.bytes += event.data().len();
            batch.events.push(self.append(&event));
            match self.asked.interface.read(event.event_type(), event.data()) {
                AnswerState::More => {}
                AnswerState::Finished(choices) => {
                    self.finished |= choices;
                    batch.state = AnswerState::Finished(self.finished);
                }
                state => batch.state = state,
            }
            if batch.is_last() {
                return;
            }
        }
    }

    /// The upstream's event. Its own ID and reconnection time are about its own connection; the hub gives it another ID.
    fn append(&self, event: &EventRef<'_>) -> Append {
        let mut made = tidings_codec::Event::new(event.data());
        if event.event_type() != "message" {
            let kept = EventType::parse(kept_type(event.event_type()));
            made = made.with_type(kept.expect("it was one line of a decoded event"));
        }
        update_of(self.topic.clone(), made).into()
    }

    async fn publish(&mut self, events: Vec<Append>, headers: &Arc<HeaderMap>) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        self.measure(events.len() as u64);
        match self.hub.publish_reserved(events).await {
            Ok(Appended { refused: None, .. }) => {}
            Ok(Appended { refused: Some(refused), .. }) => return Err(not_kept(&refused)),
            Err(error) => return Err(not_kept(&error)),
        }
        self.live.progress.send_if_modified(|progress| {
            let first = matches!(progress, Progress::Waiting);
            if first {
                *progress = Progress::Flowing(headers.clone());
            }
            first
        });
        // The request is never sent again, and holds memory that other requests wait for.
        self.asked.body = Bytes::new();
        Ok(())
    }

    /// Counts events that have just arrived.
    fn measure(&mut self, count: u64) {
        let metrics = &self.gateway.metrics;
        let now = Instant::now();
        match self.arrived.replace(now) {
            Some(before) => metrics.next_event_after(now - before),
            None => metrics.first_event_after(now - self.begun),
        }
        metrics.events.inc_by(count);
        self.abandoned |= !self.hub.engine().routing.is_followed(&self.topic);
    }

    /// Ends the stream in the log. Readers wait until that is done.
    async fn end(&mut self, ending: Ending, failure: Option<&Failure>) {
        let id = &self.live.id;
        let mut batch: Vec<Append> = Vec::new();
        if let Some(failure) = failure.filter(|failure| !failure.is_reported) {
            let event = self.asked.interface.error_event(ending.as_str(), &failure.message, self.events);
            batch.push(id.update(event.with_id(id.error_id())).into());
        }
        batch.push(id.close(ending.reason()).into());
        // To append them again is harmless: the error has an ID of its own, and a topic is closed once.
        loop {
            let error = match self.hub.publish_reserved(batch.clone()).await {
                Ok(Appended { refused: None | Some(Refused::Closed { .. }), .. }) => return,
                Ok(Appended { refused: Some(refused), .. }) => {
                    tracing::error!(stream = %id, error = %refused, "a stream cannot be ended");
                    return self.gateway.leave_open(&self.live);
                }
                Err(error) => error,
            };
            tracing::error!(stream = %id, %error, "a stream cannot be ended in the log yet");
            tokio::select! {
                () = sleep(LOG_PAUSE) => {}
                () = self.gateway.shutdown_begun() => return self.gateway.leave_open(&self.live),
            }
        }
    }
}

/// The next piece of an answer, if it has arrived already.
async fn at_hand(body: &mut ResponseBody) -> Option<Option<Result<Bytes, TransportError>>> {
    std::future::poll_fn(|context| {
        Poll::Ready(match body.poll_chunk(context) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        })
    })
    .await
}

/// The last event of a stream that the end of the gateway has cut.
pub(super) fn restarted() -> Failure {
    Failure::new(Ending::GatewayRestart, "the gateway was restarted before the answer was complete")
}

/// The upstream's own error is the last event.
fn reported() -> Failure {
    Failure::new(Ending::UpstreamError, "the upstream failed").reported()
}

fn not_kept(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "the events of a stream cannot be kept");
    Failure::new(Ending::UpstreamError, "the answer cannot be kept, and is cut here")
}
