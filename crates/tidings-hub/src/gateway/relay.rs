//! From the upstream into the log.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use tidings_client::ResponseBody;
use tidings_codec::{Decoder, EventRef, EventType, Item};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    dialect::Says,
    ending::Ending,
    failure::Failure,
    live::{Gateway, Live, Progress},
    request::Asked,
    stream::kept_type,
    upstream::{broken, read_rest},
};
use crate::{
    Hub, Update,
    log::{Append, Appended, Refused},
};

/// How long to wait before a request is sent again; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait before the log is asked again to take the end of a stream.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Receives one stream: a task that goes on whether or not somebody reads.
pub(super) struct Relay {
    hub: Hub,
    gateway: Arc<Gateway>,
    live: Arc<Live>,
    asked: Asked,
    /// How many events are in the log, or on their way to it.
    events: u64,
    begun: Instant,
    /// When the newest events have arrived.
    arrived: Option<Instant>,
    /// Which of the answer's choices are complete, as bits.
    finished: u128,
    abandoned: bool,
    /// What the upstream may still say when the answer is complete.
    rest: Option<ResponseBody>,
}

/// A batch of events that arrived together.
struct Batch {
    updates: Vec<Update>,
    /// What the last of them says of the answer.
    says: Says,
    /// Whether anything was complete, if only a comment.
    alive: bool,
}

impl Relay {
    pub(super) fn new(hub: Hub, gateway: Arc<Gateway>, live: Arc<Live>, asked: Asked) -> Relay {
        Relay {
            hub,
            gateway,
            live,
            asked,
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
        self.abandoned |= !self.hub.shared().routing.is_followed(&self.live.id.topic());
        // Before readers hear of the end: who has read it finds it counted.
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
        gateway.leave(&self.live, last);
        if let Some(rest) = self.rest {
            read_rest(rest).await;
        }
    }

    /// Receives the answer, until it is complete or something ends it. The upstream's connection ends with this.
    async fn receive(&mut self) -> Result<(), Failure> {
        let (gateway, live, shared) = (self.gateway.clone(), self.live.clone(), self.hub.shared().clone());
        let total = gateway.settings.timeouts.total;
        let mut stop = live.stop.subscribe();
        tokio::select! {
            biased;
            stopped = stop.wait_for(Option::is_some) => {
                let ending = stopped.ok().and_then(|ending| *ending).unwrap_or(Ending::Stopped);
                Err(Failure::new(ending, "the stream was stopped"))
            }
            () = gateway.shutdown_begun() => Err(restarted()),
            () = gateway.settings.abandon.of(&shared, &live.id) => {
                self.abandoned = true;
                Err(Failure::new(Ending::Abandoned, "the stream was ended, since nobody read it"))
            }
            () = sleep(total) => {
                Err(Failure::new(Ending::Expired, format!("the answer took longer than {} s", total.as_secs_f32())))
            }
            outcome = self.try_again_and_again() => outcome,
        }
    }

    /// Sends the request again while that can't repeat anything that a client has seen.
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
        let asked = (&self.asked.target, self.asked.headers.clone(), self.asked.body.clone());
        let opening = gateway.upstream.open(asked.0, asked.1, asked.2);
        let (headers, mut body) =
            timeout_at(first, opening).await.map_err(|_| silent("answer", timeouts.first_event))??;
        let headers = Arc::new(headers);
        let max_bytes = self.hub.shared().settings.max_data_bytes;
        let mut decoder = Decoder::new()
            .with_max_line_bytes(max_bytes.saturating_add(1 << 10))
            .with_max_event_bytes(max_bytes);
        let mut deadline = first;
        let mut said = Says::More;
        loop {
            let chunk = timeout_at(deadline, body.chunk()).await.map_err(|_| match self.events {
                0 => silent("event", timeouts.first_event),
                _ => silent("further event", timeouts.between_events),
            })?;
            let Some(chunk) = chunk else { return self.at_the_end(said, decoder, &headers).await };
            let chunk = chunk.map_err(broken)?;
            let mut input = &chunk[..];
            let (batch, problem) = self.decode(&mut decoder, &mut input);
            if batch.alive && (self.events > 0 || !batch.updates.is_empty()) {
                deadline = Instant::now() + timeouts.between_events;
            }
            if batch.says != Says::More {
                said = batch.says;
            }
            self.publish(batch.updates, &headers).await?;
            match said {
                Says::Complete => {
                    self.rest = Some(body);
                    return Ok(());
                }
                Says::Failed => return Err(told()),
                Says::More | Says::Finished(_) => {}
            }
            if let Some(problem) = problem {
                return Err(problem);
            }
        }
    }

    /// The connection has ended in good order. Some upstreams leave the interface's last event out, and some the empty line
    /// behind it.
    async fn at_the_end(
        &mut self,
        mut said: Says,
        mut decoder: Decoder,
        headers: &Arc<HeaderMap>,
    ) -> Result<(), Failure> {
        let before = self.events;
        // It ends an event whose lines are whole; a line that was cut stays without its event.
        let (last, _) = self.decode(&mut decoder, &mut &b"\n"[..]);
        match last.says {
            Says::More => self.events = before,
            says => {
                said = says;
                self.publish(last.updates, headers).await?;
            }
        }
        match (said, self.events) {
            (Says::Complete, _) => Ok(()),
            (Says::Finished(choices), _) if choices.count_ones() >= self.asked.choices => Ok(()),
            (Says::Failed, _) => Err(told()),
            (Says::More, 0) => {
                Err(Failure::new(Ending::Truncated, "the upstream's answer has no event").again())
            }
            (Says::More | Says::Finished(_), _) => {
                Err(Failure::new(Ending::Truncated, "the upstream's answer ended before it was complete"))
            }
        }
    }

    /// Decodes what has arrived, up to the last event of the answer.
    fn decode(&mut self, decoder: &mut Decoder, input: &mut &[u8]) -> (Batch, Option<Failure>) {
        let mut batch = Batch { updates: Vec::new(), says: Says::More, alive: false };
        while let Some(item) = decoder.decode(input) {
            batch.alive = true;
            let event = match item {
                Ok(Item::Event(event)) => event,
                Ok(_) => continue,
                Err(error) => {
                    let message = format!("the upstream's answer can't be read: {error}");
                    return (batch, Some(Failure::new(Ending::UpstreamError, message)));
                }
            };
            self.events += 1;
            batch.updates.push(self.update(&event));
            match self.asked.dialect.read(event.event_type(), event.data()) {
                Says::More => {}
                Says::Finished(choices) => {
                    self.finished |= choices;
                    batch.says = Says::Finished(self.finished);
                }
                says => batch.says = says,
            }
            if matches!(batch.says, Says::Complete | Says::Failed) {
                break;
            }
        }
        (batch, None)
    }

    /// The upstream's event. Its own ID and reconnection time are about its own connection; the hub gives it another ID.
    fn update(&self, event: &EventRef<'_>) -> Update {
        let id = &self.live.id;
        let mut made = tidings_codec::Event::new(event.data());
        if event.event_type() != "message" {
            let kept = EventType::parse(kept_type(event.event_type()));
            made = made.with_type(kept.expect("it was one line of a decoded event"));
        }
        id.update(made)
    }

    async fn publish(&mut self, updates: Vec<Update>, headers: &Arc<HeaderMap>) -> Result<(), Failure> {
        if updates.is_empty() {
            return Ok(());
        }
        self.measure(updates.len() as u64);
        let batch = updates.into_iter().map(Append::from).collect();
        match self.hub.publish_reserved(batch).await {
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
        self.abandoned |= !self.hub.shared().routing.is_followed(&self.live.id.topic());
    }

    /// Ends the stream in the log; until that is done, readers wait.
    async fn end(&mut self, ending: Ending, failure: Option<&Failure>) {
        let id = &self.live.id;
        let mut batch: Vec<Append> = Vec::new();
        if let Some(failure) = failure.filter(|failure| !failure.told) {
            let event = self.asked.dialect.error_event(ending.as_str(), &failure.message, self.events);
            batch.push(id.update(event.with_id(id.error_id())).into());
        }
        batch.push(id.close(ending.reason()).into());
        // Appending them again is harmless: the error has an ID of its own, and a topic is closed once.
        loop {
            let error = match self.hub.publish_reserved(batch.clone()).await {
                Ok(Appended { refused: None | Some(Refused::Closed { .. }), .. }) => return,
                Ok(Appended { refused: Some(refused), .. }) => {
                    tracing::error!(stream = %id, error = %refused, "a stream can't be ended");
                    return;
                }
                Err(error) => error,
            };
            tracing::error!(stream = %id, %error, "a stream can't be ended in the log yet");
            tokio::select! {
                () = sleep(LOG_PAUSE) => {}
                () = self.gateway.shutdown_begun() => return,
            }
        }
    }
}

/// What a stream that the gateway's end has cut is told.
pub(super) fn restarted() -> Failure {
    Failure::new(Ending::GatewayRestart, "the gateway was restarted before the answer was complete")
}

/// The upstream's own error is the last event.
fn told() -> Failure {
    Failure::new(Ending::UpstreamError, "the upstream failed").told()
}

fn not_kept(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "a stream's events can't be kept");
    Failure::new(Ending::UpstreamError, "the answer can't be kept, and is cut here")
}
