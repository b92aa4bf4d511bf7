//! One subscriber's place in the log, and the events that follow it.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use serde_json::json;
use tidings_server::Frame;

use crate::{
    Interest, StartAt, Topic, Verdict,
    authorize::Grant,
    delivery::{Chunk, Form, WindowRead, hub_event},
    hub::Shared,
    log::{Epoch, HubId, LogError, Page, PageLimit, Place},
    metrics::EndReason,
    resume::{Gap, GapReason, Opened, Opening, open},
    routing::Registration,
};

const PAGE: PageLimit = PageLimit { records: 500, bytes: Chunk::FULL };

/// What a subscriber asks for.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// The topics and patterns.
    pub interest: Interest,
    /// Where to begin.
    pub start: StartAt,
    /// How the events look on the wire.
    pub form: Form,
    /// Whether one that begins at the tail first gets an event of type `start` with the ID of that place, so that it
    /// can resume even if it is cut before its first event. Default: yes.
    pub start_event: bool,
}

impl From<Interest> for Subscribe {
    fn from(interest: Interest) -> Subscribe {
        Subscribe { interest, start: StartAt::Tail, form: Form::Plain, start_event: true }
    }
}

/// Follows the log for one subscriber: a stream of frames, each of one or more whole events as they go on the wire.
///
/// A cursor holds a place, not a queue. Catching up, following live, and being slow are the same to it: it reads what
/// follows its place when it is polled, at most 64 KiB at a time. Dropping it ends the subscription.
///
/// The stream ends when all topics of a subscription without patterns are closed, when the hub shuts down, and when the
/// log fails; a subscriber that comes back with its last event ID goes on where it was.
pub struct Cursor {
    shared: Arc<Shared>,
    interest: Arc<Interest>,
    form: Form,
    grant: Grant,
    registration: Registration,
    verdict: Option<Verdict>,
    epoch: Epoch,
    /// All up to here is delivered or queued.
    place: u64,
    /// Topics whose close is still to come; `None` for a subscription that never ends.
    open: Option<Vec<Topic>>,
    queued: VecDeque<Bytes>,
    step: Step,
}

enum Step {
    /// Everything there is has been delivered: wait for a signal.
    Waiting,
    /// There may be more behind the place.
    Following,
    /// The place is older than the window: a page of the log is being read.
    Reading(Pin<Box<dyn Future<Output = Result<PageRead, LogError>> + Send>>),
    Ended,
}

type PageRead = (Page, Option<Gap>);

impl Cursor {
    /// Finds the place to start from; `None` when all topics are closed and the subscriber has seen it, or is new.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        subscribe: Subscribe,
        grant: Grant,
    ) -> Result<Option<Cursor>, LogError> {
        let Subscribe { interest, start, form, start_event } = subscribe;
        let interest = Arc::new(interest);
        let greet = start_event && start == StartAt::Tail;
        let Opening { registration, epoch, verdict, gap, page, open } =
            match open(&shared, interest.clone(), start, PAGE).await? {
                Opened::Live(opening) => *opening,
                Opened::Ended => return Ok(None),
            };
        shared.metrics.subscriptions.inc();
        let mut cursor = Cursor {
            open: interest.is_exact().then_some(open),
            shared,
            interest,
            form,
            grant,
            registration,
            verdict,
            epoch,
            place: page.reached.sequence,
            queued: VecDeque::new(),
            step: Step::Following,
        };
        if greet {
            let id = HubId { epoch, place: page.reached }.to_string();
            cursor.queued.push_back(hub_event("start", &json!({ "id": id }), id));
        }
        cursor.take((page, gap));
        Ok(Some(cursor))
    }

    /// What a subscriber that named the event it saw last is told; `None` for one that named none.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    fn take(&mut self, (page, gap): PageRead) {
        if let Some(gap) = gap {
            self.shared.metrics.gap(gap.reason);
            self.queued.push_back(hub_event("gap", &gap.to_json(), gap.id.to_string()));
        }
        let mut chunk = Chunk::default();
        for record in page.records.iter().filter(|record| self.grant.may_receive(record)) {
            chunk.push(record, self.form);
        }
        self.place = self.place.max(page.reached.sequence);
        self.step = Step::Following;
        self.queue(chunk);
    }

    fn queue(&mut self, chunk: Chunk) {
        if chunk.events() == 0 {
            return;
        }
        self.shared.metrics.delivered.inc_by(chunk.events());
        if let Some(open) = &mut self.open {
            open.retain(|topic| !chunk.closed().contains(topic));
            if open.is_empty() {
                self.end(EndReason::Closed);
            }
        }
        self.queued.push_back(chunk.into_bytes());
    }

    fn end(&mut self, reason: EndReason) {
        self.step = Step::Ended;
        self.shared.metrics.ended(reason);
    }

    /// Reads the next page of the log, and what to tell if it turns out that something before it is lost.
    fn read_log(&self) -> Step {
        let (shared, interest, after) = (self.shared.clone(), self.interest.clone(), self.place);
        let asked = HubId { epoch: self.epoch, place: Place::unchecked(after) }.to_string();
        Step::Reading(Box::pin(async move {
            let page = shared.log.read(after, &interest, PAGE).await?;
            let gap = match page.lost {
                true => Some(Gap::before(&*shared.log, &page, asked, GapReason::Evicted).await?),
                false => None,
            };
            Ok((page, gap))
        }))
    }

    fn read_window(&mut self) {
        let read = self
            .shared
            .read_window()
            .read(self.place, &self.interest, self.form, |record| self.grant.may_receive(record));
        match read {
            WindowRead::Behind => self.step = self.read_log(),
            WindowRead::Chunk { chunk, reached, more } => {
                self.place = reached;
                self.step = if more { Step::Following } else { Step::Waiting };
                self.queue(chunk);
            }
        }
    }
}

impl Stream for Cursor {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            if let Some(bytes) = self.queued.pop_front() {
                return Poll::Ready(Some(Frame::from_encoded(bytes)));
            }
            if self.shared.is_shutting_down() && !matches!(self.step, Step::Ended) {
                self.end(EndReason::Shutdown);
            }
            match &mut self.step {
                Step::Ended => return Poll::Ready(None),
                Step::Waiting => {
                    // The hub signals everyone after it began to shut down, so that is not missed here.
                    let first = ready!(self.registration.poll_update(context));
                    // Nothing before the first that was signalled is for this subscription. So a cursor that was quiet
                    // for long need not look for its place in the log.
                    self.place = self.place.max(first - 1);
                    self.step = Step::Following;
                }
                Step::Following => self.read_window(),
                Step::Reading(reading) => match ready!(reading.as_mut().poll(context)) {
                    Ok(read) => {
                        let empty = read.0.records.is_empty();
                        self.take(read);
                        if empty && self.queued.is_empty() {
                            // A pattern may look through much of the log before it finds something: let others run.
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, place = self.place, "a subscriber's stream ends: the log can't be read");
                        self.end(EndReason::LogFailed);
                    }
                },
            }
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.shared.metrics.subscriptions.dec();
        if !matches!(self.step, Step::Ended) {
            self.shared.metrics.ended(EndReason::Left);
        }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("interest", &self.interest)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
