//! One subscriber's position in the log, and the events that follow it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_core::Stream;
use serde_json::json;
use tidings_server::Frame;
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    Selector, StartAt, Topic, Verdict,
    authorize::{Held, Reading},
    budget::Share,
    delivery::{
        Engine, EventFormat,
        expiry::{Due, Expiry},
        hub_event,
        lag::{Body, Ended, Lag},
        resume::{First, Opened, Opening, open},
        routing::Registration,
        subscription::{PAGE, Progress, Read, Subscription},
    },
    log::{HubId, LogError, Page, Position},
    metrics::EndReason,
};

/// A subscriber's request.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// The topics and patterns.
    pub selector: Selector,
    /// Where to begin.
    pub start: StartAt,
    /// How the events look on the wire.
    pub form: EventFormat,
    /// Whether one that begins at the tail first gets an event of type `start` with the ID of that position, so that it
    /// can resume even if it is cut before its first event. Default: yes.
    pub start_event: bool,
}

impl From<Selector> for Subscribe {
    fn from(selector: Selector) -> Subscribe {
        Subscribe { selector, start: StartAt::Tail, form: EventFormat::Plain, start_event: true }
    }
}

/// Where a subscription begins, and how its events look on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Begin {
    pub(crate) start: StartAt,
    pub(crate) form: EventFormat,
    /// Whether one that begins at the tail first gets an event of type `start`.
    pub(crate) start_event: bool,
}

/// Follows the log for one subscriber: a stream of frames, each of one or more whole events as they go on the wire.
///
/// A cursor holds a position, not a queue. Catching up, following live, and being slow are the same to it: it reads what
/// follows its position when it is polled, at most 64 KiB at a time. Dropping it ends the subscription.
///
/// The stream ends when all topics of a subscription without patterns are closed, when the hub shuts down, and when the
/// log fails; a subscriber that comes back with its last event ID goes on where it was.
pub struct Cursor {
    engine: Arc<Engine>,
    subscription: Subscription,
    registration: Registration,
    verdict: Option<Verdict>,
    /// Where it is when what is queued is delivered.
    progress: Progress,
    /// Topics whose close is still to come; `None` for a subscription that never ends.
    open: Option<Vec<Topic>>,
    /// Whole events that are to be delivered first.
    queued: Bytes,
    /// The share that these have of the memory for answers, if they are from the log.
    room: Share,
    step: Step,
    opened: Instant,
    protocol: Option<&'static str>,
    /// The hold on its grant; `None` if that does not end.
    expiry: Option<Expiry>,
    /// Wakes it when its grant ends, once somebody polls for it.
    timer: Option<Pin<Box<Sleep>>>,
    /// The place and the ticket that the stream holds until it ends.
    held: Option<Box<Held>>,
    /// Where others see how far it is, from the first time that it is asked for what it reads.
    body: Option<Arc<Body>>,
}

/// Nothing is waited for longer than a year at once.
const FAR: Duration = Duration::from_secs(365 * 86_400);

enum Step {
    /// Everything there is has been delivered: wait for a signal.
    Waiting,
    /// There may be more after the position.
    Following,
    /// The position is older than the window: a page of the log is being read.
    Reading(Pin<Box<dyn Future<Output = Result<Read, LogError>> + Send>>),
    Ended,
    /// The rest of the stream is delivered by somebody else.
    HandedOver,
}

/// The rest of a cursor whose socket belongs to the loop of its core.
#[derive(Debug)]
pub(crate) struct HandedOver {
    /// From where the loop goes on.
    pub(crate) progress: Progress,
    /// Topics whose close is still to come; `None` for a subscription that never ends.
    pub(crate) open: Option<Vec<Topic>>,
    /// The hold on its grant; `None` if that does not end.
    pub(crate) expiry: Option<Expiry>,
    /// The place and the ticket that the stream holds until it ends.
    pub(crate) held: Option<Box<Held>>,
}

impl Cursor {
    /// Finds the position to start from; `None` when all topics are closed and the subscriber has seen it, or is new.
    pub(crate) async fn open(
        engine: Arc<Engine>,
        mut reading: Reading,
        begin: Begin,
    ) -> Result<Option<Cursor>, LogError> {
        let Begin { start, form, start_event } = begin;
        let (is_partial, is_exact) = (reading.is_partial, reading.is_exact);
        let expiry = reading.open.take().map(Expiry::of);
        let greet = start_event && start == StartAt::Tail;
        let Opening { registration, epoch, verdict, gap, after, mut page, open } =
            match open(&engine, &reading, start, PAGE, First::Window).await? {
                Opened::Live(opening) => *opening,
                Opened::Ended => return Ok(None),
            };
        let mut room = engine.answers_room.share();
        if !page.records.is_empty() && !room.try_grow_to(page.data_bytes()) {
            // What is in memory already for others is enough: it is read again when the subscriber can take it.
            page = Page { records: Vec::new(), reached: Position::unchecked(after), ..page };
        }
        engine.metrics.subscriptions.inc();
        engine.routing.join(&reading.selector);
        let mut cursor = Cursor {
            open: is_exact.then_some(open),
            engine,
            subscription: Subscription::new(reading, form),
            registration,
            verdict,
            progress: Progress::default(),
            queued: Bytes::new(),
            room,
            step: Step::Following,
            opened: Instant::now(),
            protocol: None,
            expiry,
            timer: None,
            held: None,
            body: None,
        };
        if greet {
            let id = HubId { epoch, position: page.reached }.to_string();
            let data = match is_partial {
                true => json!({ "id": id, "access": "partial" }),
                false => json!({ "id": id }),
            };
            cursor.queued = hub_event("start", &data, id);
        }
        let read = cursor.subscription.read_page(&cursor.engine, Progress::default(), &page, gap);
        cursor.take(read);
        if verdict == Some(Verdict::Resumed)
            && page.records.is_empty()
            && cursor.engine.answers_room.has_room()
        {
            cursor.follow();
        }
        cursor.room.overdraw(cursor.queued.len().saturating_sub(page.data_bytes()));
        cursor.engine.metrics.replayed_bytes.inc_by(cursor.queued.len() as u64);
        Ok(Some(cursor))
    }

    /// Whether a subscriber that named its last event resumes, or is told of a gap. `None` if it named none.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Holds this until it ends.
    pub(crate) fn holding(mut self, held: Option<Box<Held>>) -> Cursor {
        self.held = held;
        self
    }

    /// Says over which protocol it is delivered, as `HTTP/2`.
    pub(crate) fn over(&mut self, protocol: &'static str) {
        self.protocol = Some(protocol);
    }

    /// Takes what is ready to be sent. `None` when the stream ends with it.
    pub(crate) fn take_queued(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Ended => None,
            _ => Some(std::mem::take(&mut self.queued)),
        }
    }

    /// Sends these whole events before all that it reads.
    pub(crate) fn begin_with(&mut self, events: Bytes) {
        self.queued = join(events, std::mem::take(&mut self.queued));
    }

    /// Ends this cursor for a delivery loop, which is registered already and delivers what follows.
    pub(crate) fn hand_over(mut self) -> HandedOver {
        debug_assert!(self.queued.is_empty(), "what is queued has been sent");
        self.step = Step::HandedOver;
        let (open, expiry, held) = (self.open.take(), self.expiry.take(), self.held.take());
        HandedOver { progress: self.progress, open, expiry, held }
    }

    /// Ends this cursor because its subscriber takes nothing.
    pub(crate) fn stall(&mut self) {
        if !matches!(self.step, Step::Ended | Step::HandedOver) {
            self.end(EndReason::Stalled);
        }
    }

    fn take(&mut self, read: Read) {
        let Read { chunk, then, more } = read;
        self.progress = then;
        self.step = if more { Step::Following } else { Step::Waiting };
        self.engine.metrics.delivered.inc_by(chunk.events());
        if let Some(open) = &mut self.open {
            open.retain(|topic| !chunk.closed().contains(topic));
            if open.is_empty() {
                self.end(EndReason::Closed);
            }
        }
        if let Some(encoded) = chunk.into_encoded() {
            self.queued = join(std::mem::take(&mut self.queued), encoded.data());
        }
    }

    fn end(&mut self, reason: EndReason) {
        let behind = self
            .position()
            .map_or(0, |position| self.engine.log.bounds().newest.sequence.saturating_sub(position));
        self.step = Step::Ended;
        self.held = None;
        if let Some(body) = self.body.take() {
            self.engine.bodies.leave(&body);
        }
        self.engine.end(Ended {
            reason,
            time: SystemTime::now(),
            subscription: self.subscription.clone(),
            lag: Lag { behind, stalled: None, age: self.opened.elapsed() },
        });
    }

    /// Its position, or `None` if it has all there was when it looked.
    fn position(&self) -> Option<u64> {
        match self.step {
            Step::Waiting => self.registration.wake().first().map(|first| first - 1),
            _ => Some(self.progress.position),
        }
    }

    fn follow(&mut self) {
        if let Some(read) = self.subscription.read_window_shared(&self.engine, self.progress) {
            self.take(read);
            return;
        }
        let (engine, subscription, from) = (self.engine.clone(), self.subscription.clone(), self.progress);
        self.step = Step::Reading(Box::pin(async move { subscription.read_log(&engine, from).await }));
    }

    /// Lets others see how far it is. Those whose sockets are taken over are never polled, and known elsewhere.
    fn show_place(&mut self) {
        if matches!(self.step, Step::Ended | Step::HandedOver) {
            return;
        }
        let body = self.body.get_or_insert_with(|| {
            let (engine, wake) = (&self.engine, self.registration.wake());
            engine.bodies.join(self.opened, &self.subscription, self.protocol, wake)
        });
        body.note(match self.step {
            Step::Waiting => None,
            _ => Some(self.progress.position),
        });
    }

    /// Ends the cursor, or gives notice of its end, when that is due.
    fn poll_expiry(&mut self, context: &mut Context<'_>) {
        let Some(expiry) = &mut self.expiry else { return };
        let now = Instant::now();
        let due = expiry.take_due(now);
        if let Some(next) = expiry.next().filter(|_| !matches!(due, Some(Due::End(..)))) {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
            timer.as_mut().reset(next.min(now + FAR));
            if timer.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        let Some(due) = due else { return };
        let (event, end) = match due {
            Due::Notice(event) => (event, None),
            Due::End(reason, event) => (event, Some(reason)),
        };
        if self.engine.form(self.subscription.terms.form).own().is_none() {
            self.queued = join(std::mem::take(&mut self.queued), event);
        }
        if let Some(reason) = end {
            self.end(EndReason::Access(reason));
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        if !matches!(self.step, Step::Ended | Step::HandedOver) {
            self.poll_expiry(context);
        }
        loop {
            if !self.queued.is_empty() {
                self.room.clear();
                return Poll::Ready(Some(Frame::from_encoded(std::mem::take(&mut self.queued))));
            }
            if self.engine.is_shutting_down() && !matches!(self.step, Step::Ended | Step::HandedOver) {
                self.end(EndReason::Shutdown);
            }
            match &mut self.step {
                Step::Ended | Step::HandedOver => return Poll::Ready(None),
                Step::Waiting => {
                    // The hub signals everyone after it began to shut down, so that is not missed here.
                    let first = ready!(self.registration.poll_update(context));
                    // Nothing before the first that was signalled is for this subscription. So a cursor that was quiet
                    // for long need not look for its position in the log.
                    self.progress.reach(first - 1);
                    self.step = Step::Following;
                }
                Step::Following => self.follow(),
                Step::Reading(reading) => match ready!(reading.as_mut().poll(context)) {
                    Ok(read) => {
                        self.take(read);
                        if self.queued.is_empty() {
                            // A pattern may look through much of the log before it finds something: let others run.
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, position = self.progress.position, "a subscriber's stream ends: the log cannot be read");
                        self.end(EndReason::LogFailed);
                    }
                },
            }
        }
    }
}

impl Stream for Cursor {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        let polled = self.poll_frame(context);
        self.show_place();
        polled
    }
}

/// Both, in this order; copied only if there are both.
fn join(first: Bytes, then: Bytes) -> Bytes {
    match (first.is_empty(), then.is_empty()) {
        (true, _) => then,
        (_, true) => first,
        _ => [first, then].concat().into(),
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if matches!(self.step, Step::HandedOver) {
            return;
        }
        self.engine.metrics.subscriptions.dec();
        self.engine.routing.leave(&self.subscription.selector);
        if !matches!(self.step, Step::Ended) {
            self.end(EndReason::Left);
        }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("subscription", &self.subscription)
            .field("position", &self.progress.position)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Wake, Waker},
    };

    use super::*;
    use crate::{Grant, Hub, Matchers};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_open_for_long_sleeps_until_its_grant_ends() {
        let hub = Hub::default();
        let year = FAR;
        let selector = Selector::from(Topic::parse("a").unwrap());
        let grant = Grant::default().with_read(Matchers::all()).with_expiry(SystemTime::now() + 3 * year);
        let reading = grant.reading(selector).unwrap();
        let begin = Begin { start: StartAt::Tail, form: EventFormat::Plain, start_event: false };
        let mut cursor = Cursor::open(hub.engine().clone(), reading, begin).await.unwrap().unwrap();
        for years in 0..3 {
            let wakes = Arc::new(Wakes::default());
            let waker = Waker::from(wakes.clone());
            assert!(Pin::new(&mut cursor).poll_next(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "after {years} years");
            tokio::time::advance(year - Duration::from_secs(60)).await;
        }
        drop(cursor);
        hub.shutdown().await;
    }
}
