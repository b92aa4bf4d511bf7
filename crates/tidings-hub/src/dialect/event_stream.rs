//! A published event stream: each event is an update.

use std::time::Duration;

use tidings_codec::{Decoder, EventRef, Item};

use super::UpdateReader;
use crate::{Topic, Update, UpdateId, UpdateRetry, UpdateType, http::Problem};

/// How much memory a stream keeps between two events.
const KEPT_BYTES: usize = 4 << 10;

/// Reads `text/event-stream` strictly: what a browser would silently forgive would be lost silently here.
///
/// Comments, and blocks that only set `retry` or an `id`, are allowed and not published.
#[derive(Debug)]
pub(crate) struct EventStreamReader {
    topic: Topic,
    decoder: Decoder,
    max_retry: Duration,
}

impl EventStreamReader {
    pub(crate) fn new(topic: Topic, max_data_bytes: usize, max_retry: Duration) -> EventStreamReader {
        // A line has the name of its field beside the data; comments and other fields are short.
        let max_line_bytes = max_data_bytes.saturating_add(1 << 10);
        let decoder =
            Decoder::strict().with_max_line_bytes(max_line_bytes).with_max_event_bytes(max_data_bytes);
        EventStreamReader { topic, decoder, max_retry }
    }
}

impl UpdateReader for EventStreamReader {
    fn read(&mut self, input: &mut &[u8]) -> Option<Result<Update, Problem>> {
        let EventStreamReader { topic, decoder, max_retry } = self;
        loop {
            match decoder.decode(input)? {
                Ok(Item::Event(event)) => return Some(update(topic.clone(), event, *max_retry)),
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    fn unfinished_bytes(&mut self) -> usize {
        let unfinished = self.decoder.unfinished_bytes();
        if unfinished == 0 {
            // One large event would otherwise cost its memory for as long as the stream stays open.
            self.decoder.shrink_to(KEPT_BYTES);
        }
        unfinished
    }

    fn finish(&mut self) -> Option<Result<Update, Problem>> {
        self.decoder.finish().err().map(|incomplete| Err(incomplete.into()))
    }

    fn line(&self) -> u64 {
        // The decoder is at the line behind the blank one that ended the event.
        self.decoder.line().saturating_sub(1).max(1)
    }
}

fn update(topic: Topic, event: EventRef<'_>, max_retry: Duration) -> Result<Update, Problem> {
    let mut update = Update::new(topic, event.data()).with_type(UpdateType::parse(event.event_type())?);
    if let Some(id) = event.id() {
        update = update.with_id(UpdateId::parse(id)?);
    }
    if let Some(retry) = event.retry() {
        update = update.with_retry(UpdateRetry::parse(retry, max_retry)?);
    }
    Ok(update)
}
