//! A subscription: the requested and permitted records, and the way to read them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    Grant, Selector,
    authorize::Reading,
    delivery::Engine,
    delivery::{Chunk, EventFormat, hub_event, resume::Gap, terms::Terms},
    log::{HubId, LogError, Page, PageLimit, Position},
    model::gap::GapReason,
};

/// How much is read from the log at once.
pub(crate) const PAGE: PageLimit = PageLimit { records: 500, bytes: Chunk::FULL };

/// The records that a subscriber gets. Two subscribers with the same subscription at the same position get the same
/// next chunk. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Subscription {
    /// Narrowed to what the subscriber may read.
    pub(crate) selector: Selector,
    pub(crate) terms: Arc<Terms>,
}

/// Where a subscriber is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Progress {
    /// All that matches up to here has been taken.
    pub(crate) position: u64,
    /// The subscriber was told that something after the position is lost, up to here; 0 if it was told nothing.
    told: u64,
}

impl Progress {
    #[cfg(unix)]
    pub(crate) const MIN: Progress = Progress { position: 0, told: 0 };
    #[cfg(unix)]
    pub(crate) const MAX: Progress = Progress { position: u64::MAX, told: u64::MAX };

    /// Goes on to `position`, if that is further. A gap that was told before that position counts no more: subscribers
    /// that were told and subscribers that missed nothing are the same there.
    pub(crate) fn reach(&mut self, position: u64) {
        self.position = self.position.max(position);
        if self.told <= self.position {
            self.told = 0;
        }
    }
}

/// The records after a position.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// The bytes to send, possibly none.
    pub(crate) chunk: Chunk,
    /// Where the subscriber is when it has that.
    pub(crate) then: Progress,
    /// Whether there may be more after that.
    pub(crate) more: bool,
}

/// The last chunk read from the window. The streams of an HTTP/2 connection, and clients that reconnect together, ask
/// for the same chunk in turn.
#[derive(Debug, Default)]
pub(crate) struct LastRead(Mutex<Option<(Subscription, Progress, Read)>>);

impl LastRead {
    fn find(&self, subscription: &Subscription, from: Progress) -> Option<Read> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last.as_ref().filter(|(of, at, _)| *at == from && of == subscription);
        same.map(|(.., read)| read.clone())
    }

    fn note(&self, subscription: &Subscription, from: Progress, read: &Read) {
        let last = Some((subscription.clone(), from, read.clone()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

impl Subscription {
    pub(crate) fn new(reading: Reading, form: EventFormat) -> Subscription {
        Subscription { selector: reading.selector, terms: Terms::of(form, reading.reach) }
    }

    /// Whether the holder of `grant` may know what it follows: it may receive all that this does.
    pub(crate) fn may_be_told_to(&self, grant: &Grant) -> bool {
        grant.covers(&self.selector, &self.terms.reach)
    }

    /// The same as [`read_window`](Subscription::read_window), shared with other subscribers that ask for the same.
    pub(crate) fn read_window_shared(&self, engine: &Engine, from: Progress) -> Option<Read> {
        if let Some(mut read) = engine.last_read.find(self, from) {
            // The records between two positions never change, but there may be more after them now.
            read.more |= read.then.position < engine.read_window().newest();
            return Some(read);
        }
        let mut read = self.read_window(engine, from)?;
        if !read.chunk.is_empty() {
            read.chunk = read.chunk.share();
            engine.last_read.note(self, from, &read);
        }
        Some(read)
    }

    /// The next records in the window. `None` if the position is before the window, so that the log must be read.
    pub(crate) fn read_window(&self, engine: &Engine, from: Progress) -> Option<Read> {
        // Frames are encoded and joined after this line, when the window is not locked.
        let run = engine.read_window().read(from.position, &self.selector)?;
        let records = run.records.iter().map(|framed| &*framed.record);
        let (form, reach) = (engine.form(self.terms.form), &self.terms.reach);
        let mut chunk = Chunk::of(records.filter(|record| reach.may_receive(record)));
        let mut then = from;
        for framed in &run.records {
            // A run is measured by its data; its frames may be longer.
            if chunk.is_full() {
                return Some(Read { chunk, then, more: true });
            }
            if reach.may_receive(&framed.record) {
                match reach.hide_topics(&self.selector, &framed.record) {
                    None => chunk.push_framed(framed, form),
                    Some(record) => chunk.push(&record, form),
                }
            }
            then.reach(framed.record.sequence());
        }
        then.reach(run.reached);
        Some(Read { chunk, then, more: run.more })
    }

    /// A page of the log, with a `gap` event first if something there is lost that the subscriber does not know of.
    pub(crate) async fn read_log(&self, engine: &Engine, from: Progress) -> Result<Read, LogError> {
        let page = engine.log.read(from.position, &self.selector, PAGE).await?;
        let gap = match page.lost.filter(|lost| *lost > from.told) {
            Some(_) => {
                let position = Position::unchecked(from.position);
                let asked = HubId { epoch: engine.log.bounds().epoch, position }.to_string();
                Some(Gap::before(&*engine.log, &page, asked, GapReason::Evicted).await?)
            }
            None => None,
        };
        Ok(self.read_page(engine, from, &page, gap))
    }

    /// The same of a page that has been read.
    pub(crate) fn read_page(&self, engine: &Engine, from: Progress, page: &Page, gap: Option<Gap>) -> Read {
        let (form, reach) = (engine.form(self.terms.form), &self.terms.reach);
        let records = page.records.iter().map(|record| &**record).filter(|record| reach.may_receive(record));
        let mut chunk = Chunk::of(records.clone());
        if let Some(gap) = gap {
            engine.metrics.gap(gap.reason);
            match form.own() {
                Some(own) => chunk.push_hub_event(own.gap()),
                None => chunk.push_hub_event(&hub_event("gap", &gap.to_json(), gap.id.to_string())),
            }
        }
        for record in records {
            let hidden = reach.hide_topics(&self.selector, record);
            chunk.push(hidden.as_ref().unwrap_or(record), form);
        }
        let mut then = Progress { told: from.told.max(page.lost.unwrap_or_default()), ..from };
        then.reach(page.reached.sequence);
        Read { chunk, then, more: true }
    }
}
