//! Where a subscriber starts: its last event ID becomes a position in the log, or a gap that it is told of.

use serde_json::json;

use crate::{
    Selector, Topic,
    authorize::Reading,
    delivery::Engine,
    delivery::routing::{Registration, Wake},
    log::{Epoch, HubId, Log, LogError, Page, PageLimit, Position},
    model::gap::GapReason,
};

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StartAt {
    /// With the updates from now on.
    #[default]
    Tail,
    /// With the oldest record that is kept.
    Oldest,
    /// After the event with this ID, which the subscriber has seen.
    After(String),
    /// After this position, which the caller has found: it knows what the subscriber means by the ID that it named.
    Position {
        /// The ID.
        asked: String,
        /// The sequence of the record that it stands for, kept or not.
        sequence: u64,
    },
    /// With the oldest record that is kept, after a `gap` event: the subscriber named an ID that is none of its topics' events.
    Unknown(String),
}

/// The answer to a subscriber that names its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It gets all that follows; nothing is missing.
    Resumed,
    /// It first gets a `gap` event: something may be missing.
    Gap,
}

/// The content of a `gap` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The ID from which the subscriber wanted to go on.
    pub(crate) asked: String,
    /// Why something may be missing.
    pub(crate) reason: GapReason,
    /// The ID of the first record that is kept, in the hub's form; `None` if none is.
    pub(crate) first: Option<String>,
    /// The position just before it: a client that resumes from there is not told again.
    pub(crate) id: HubId,
}

impl Gap {
    /// The data of the event: `{"asked": "…", "reason": "evicted", "first": "…"}`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({ "asked": self.asked, "reason": self.reason.as_str(), "first": self.first })
    }

    /// The gap before `page`, which was read for a subscriber that asked for the updates after `asked`.
    pub(crate) async fn before(
        log: &dyn Log,
        page: &Page,
        asked: String,
        reason: GapReason,
    ) -> Result<Gap, LogError> {
        let epoch = log.bounds().epoch;
        let first = match page.records.first() {
            Some(record) if record.sequence() < page.oldest => Some(record.position()),
            _ => log.record(page.oldest).await?.map(|record| record.position()),
        };
        // Where other topics are kept, a record may stand at that position, and a client that comes back with the ID is known by
        // its check.
        let position = page.before_first_kept();
        let position = log.record(position.sequence).await?.map_or(position, |record| record.position());
        Ok(Gap {
            asked,
            reason,
            first: first.map(|position| HubId { epoch, position }.to_string()),
            id: HubId { epoch, position },
        })
    }
}

/// A subscription that has found its position.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Wakes the subscription from before its position was found.
    pub(crate) registration: Registration,
    /// The life of the log that the position is in.
    pub(crate) epoch: Epoch,
    /// The answer, for a subscriber that named its last event.
    pub(crate) verdict: Option<Verdict>,
    /// To be told before the page.
    pub(crate) gap: Option<Gap>,
    /// The position that the page follows.
    pub(crate) after: u64,
    /// The first records, unless they are read from the [window](First::Window). Records after `page.reached` are not
    /// read yet.
    pub(crate) page: Page,
    /// The topics of an exact subscription whose close is still to come.
    pub(crate) open: Vec<Topic>,
}

/// The result of opening a subscription.
#[derive(Debug)]
pub(crate) enum Opened {
    Live(Box<Opening>),
    /// All its topics are closed, and it has seen that, or is new: there is nothing to come, ever.
    Ended,
}

/// Which side reads the first page of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// This does, always.
    Page,
    /// The caller does, if all that follows the position is in the window: a page that many clients ask for when they come back at once is
    /// then read once. The page is empty, and the position that it reaches has no check.
    Window,
}

/// Finds the position of a subscriber.
///
/// It is registered first, so that what is published meanwhile is either in the page or signalled.
pub(crate) async fn open(
    engine: &Engine,
    reading: &Reading,
    start: StartAt,
    limit: PageLimit,
    first: First,
) -> Result<Opened, LogError> {
    let (log, selector) = (&*engine.log, &reading.selector);
    let registration = engine.routing.register(selector.clone(), Wake::default());
    let bounds = log.bounds();

    let (after, unknown) = match &start {
        StartAt::Tail => (bounds.newest.sequence, None),
        StartAt::Oldest => (0, None),
        // The log may know it, as the ID of another topic's event.
        StartAt::Unknown(asked) => {
            (0, Some(locate(log, asked, selector).await?.err().unwrap_or(GapReason::UnknownId)))
        }
        StartAt::Position { sequence, .. } => (*sequence, None),
        StartAt::After(asked) => match locate(log, asked, selector).await? {
            Ok(sequence) => (sequence, None),
            Err(reason) => (0, Some(reason)),
        },
    };

    // A subscriber that starts at the tail, or from an ID that is known, has seen the closes up to there.
    let seen = if start == StartAt::Oldest || unknown.is_some() { 0 } else { after };
    let mut open = Vec::with_capacity(selector.topics().len());
    if reading.is_exact {
        for topic in selector.topics() {
            match log.closed(topic).await? {
                Some(close) if close.sequence() <= seen => {}
                _ => open.push(topic.clone()),
            }
        }
        if open.is_empty() {
            return Ok(Opened::Ended);
        }
    }

    let nothing_before = |reached| Page { records: Vec::new(), reached, lost: None, oldest: bounds.oldest };
    let page = match start {
        StartAt::Tail => nothing_before(bounds.newest),
        StartAt::After(_) | StartAt::Position { .. }
            if first == First::Window
                && unknown.is_none()
                && bounds.evicted <= after
                && engine.read_window().holds_after(after) =>
        {
            nothing_before(Position::unchecked(after))
        }
        _ => log.read(after, selector, limit).await?,
    };
    let (verdict, gap) = match (start, unknown) {
        (StartAt::After(asked) | StartAt::Unknown(asked), Some(reason)) => {
            (Some(Verdict::Gap), Some(Gap::before(log, &page, asked, reason).await?))
        }
        (StartAt::After(asked) | StartAt::Position { asked, .. }, None) if page.lost.is_some() => {
            (Some(Verdict::Gap), Some(Gap::before(log, &page, asked, GapReason::Evicted).await?))
        }
        (StartAt::After(_) | StartAt::Position { .. }, None) => (Some(Verdict::Resumed), None),
        _ => (None, None),
    };
    Ok(Opened::Live(Box::new(Opening { registration, epoch: bounds.epoch, verdict, gap, after, page, open })))
}

/// The sequence that `asked` names in this log, whether or not its record is still kept. An ID that a publisher chose names
/// an update of `selector`, or none: other topics may have the same for other updates.
pub(crate) async fn locate(
    log: &dyn Log,
    asked: &str,
    selector: &Selector,
) -> Result<Result<u64, GapReason>, LogError> {
    let mut bounds = log.bounds();
    let Some(id) = HubId::parse(asked) else {
        let mut found = log.find(asked, selector).await?;
        // Bounds may lag, and so may a look-up: nobody is told of a gap before the log has made sure.
        if found.is_none() && log.refresh().await?.newest != bounds.newest {
            found = log.find(asked, selector).await?;
        }
        return Ok(found.ok_or(GapReason::UnknownId));
    };
    let Position { sequence, check } = id.position;
    if id.epoch != bounds.epoch {
        return Ok(Err(GapReason::UnknownEpoch));
    }
    if sequence > bounds.newest.sequence {
        bounds = log.refresh().await?;
    }
    // Nothing stands at 0, so no hub has made a check for it.
    if sequence > bounds.newest.sequence || (sequence == 0 && check != 0) {
        return Ok(Err(GapReason::UnknownId));
    }
    Ok(match log.record(sequence).await? {
        // The same sequence, but another record: the log went back to an older state and grew again.
        Some(record) if record.check() != check => Err(GapReason::UnknownId),
        Some(_) | None => Ok(sequence),
    })
}
