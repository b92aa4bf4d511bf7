//! From a last event ID to a position in a stream.

use std::sync::Arc;

use super::stream::{StreamId, started};
use crate::{
    Selector, StartAt,
    delivery::resume,
    log::{HubId, Log, LogError, PageLimit, Record},
    model::gap::GapReason,
};

/// Where a reader begins that has seen no event of a stream: after the announcement. From there, the reader is told of a gap if
/// something was evicted.
pub(super) async fn start(log: &dyn Log, stream: &StreamId) -> Result<StartAt, LogError> {
    start_after(log, stream, stream.start_id().into_string()).await
}

/// Where a reader of a stream begins that has seen the event `asked`.
pub(super) async fn start_after(
    log: &dyn Log,
    stream: &StreamId,
    asked: String,
) -> Result<StartAt, LogError> {
    Ok(match locate(log, stream, &asked).await? {
        Ok(sequence) => StartAt::Position { asked, sequence },
        Err(_) => StartAt::Unknown(asked),
    })
}

/// The sequence that `asked` names in a stream. The ID of an event of another stream, or of another topic, is unknown here.
/// Otherwise the events of this stream before that position would be left out in silence.
pub(super) async fn locate(
    log: &dyn Log,
    stream: &StreamId,
    asked: &str,
) -> Result<Result<u64, GapReason>, LogError> {
    // The announcement is in another topic, and is found there by its ID. All other chosen IDs are in the stream's own topic.
    let topic = if asked == stream.start_id().as_str() { started() } else { stream.topic() };
    let is_place = HubId::parse(asked).is_some();
    Ok(match resume::locate(log, asked, &topic.into()).await? {
        Ok(sequence) if is_place && !is_of(log, stream, sequence).await? => Err(GapReason::UnknownId),
        found => found,
    })
}

/// The announcement of a stream, if it is kept.
pub(super) async fn announcement(log: &dyn Log, stream: &StreamId) -> Result<Option<Arc<Record>>, LogError> {
    match log.find(stream.start_id().as_str(), &started().into()).await? {
        Some(sequence) => log.record(sequence).await,
        None => Ok(None),
    }
}

/// Whether `sequence` is the position of an event of a stream, or the position before all its events that are kept, which is the
/// ID of a `gap`. A reader that begins after it misses nothing.
async fn is_of(log: &dyn Log, stream: &StreamId, sequence: u64) -> Result<bool, LogError> {
    const ONE: PageLimit = PageLimit { records: 1, bytes: 1 };
    let events = Selector::from(stream.topic());
    // Not `Log::record`: a close that has outlived its record is found in this way too.
    let at = log.read(sequence.saturating_sub(1), &events, ONE).await?;
    if at.records.first().is_some_and(|record| record.sequence() == sequence) {
        return Ok(true);
    }
    Ok(log.read(0, &events, ONE).await?.before_first_kept().sequence == sequence)
}

#[cfg(test)]
mod tests {
    use tidings_codec::{Event, EventId};

    use super::*;
    use crate::{
        Topic, Update,
        log::{Limits, MemoryLog, Retention},
    };

    const A: StreamId = StreamId::from_bytes([1; 16]);
    const B: StreamId = StreamId::from_bytes([2; 16]);

    async fn append(log: &MemoryLog, update: Update) -> String {
        log.append(vec![update.into()]).await.unwrap().receipts[0].id.to_string()
    }

    async fn position(log: &MemoryLog, asked: &str) -> Option<u64> {
        locate(log, &A, asked).await.unwrap().ok()
    }

    #[tokio::test]
    async fn an_id_is_a_place_in_the_stream_that_has_given_it_and_in_no_other() {
        let log = MemoryLog::default();
        let own = [
            append(&log, A.announce("{}".into())).await,
            append(&log, A.update(Event::new("a"))).await,
            append(&log, B.announce("{}".into())).await,
            append(&log, B.update(Event::new("b"))).await,
            append(&log, Update::new(Topic::parse("news").unwrap(), "n")).await,
            append(&log, A.update(Event::new("a"))).await,
            append(&log, B.close("complete")).await,
            append(&log, A.close("complete")).await,
        ];
        for (sequence, id) in (1..).zip(&own) {
            let is_own = [1, 2, 6, 8].contains(&sequence);
            assert_eq!(position(&log, id).await, is_own.then_some(sequence), "{sequence}");
        }
        let other_epoch = format!("~{}", "A".repeat(24));
        for garbage in ["", "~", "7", &own[1][..24], &other_epoch] {
            assert_eq!(position(&log, garbage).await, None, "{garbage}");
        }
    }

    #[tokio::test]
    async fn the_ids_that_earlier_versions_chose_are_places_still() {
        let log = MemoryLog::default();
        let named = |stream: StreamId, name: &str| {
            let id = EventId::parse(format!("~{stream}.{name}")).unwrap();
            stream.update(Event::new("x").with_id(id))
        };
        for update in [named(A, "1"), named(B, "1"), named(A, "2"), named(B, "2")] {
            append(&log, update).await;
        }
        for (id, sequence) in
            [(format!("~{A}.1"), Some(1)), (format!("~{A}.2"), Some(3)), (format!("~{B}.1"), None)]
        {
            assert_eq!(position(&log, &id).await, sequence, "{id}");
        }
    }

    #[tokio::test]
    async fn the_position_before_the_rest_of_a_stream_is_known_when_its_beginning_is_gone() {
        let limits = Limits { records: 4, ..Limits::default() };
        let log = MemoryLog::new(Retention { limits, ..Retention::in_memory() });
        let mut ids = Vec::new();
        for stream in [A, A, B, A, B, A] {
            ids.push(append(&log, stream.update(Event::new("x"))).await);
        }
        // Kept are B's at 3 and 5, and A's at 4 and 6.
        assert_eq!(position(&log, &ids[1]).await, None, "it cannot be known whose it was");
        assert_eq!(position(&log, &ids[2]).await, Some(3), "what a gap says");
        assert_eq!(position(&log, &ids[3]).await, Some(4));
        assert_eq!(position(&log, &ids[4]).await, None);
        append(&log, A.close("complete")).await;
        let close = log.closed(&A.topic()).await.unwrap().unwrap();
        for _ in 0..5 {
            append(&log, B.update(Event::new("x"))).await;
        }
        assert_eq!(log.record(close.sequence()).await.unwrap(), None);
        assert_eq!(
            position(&log, &close.id().to_string()).await,
            Some(close.sequence()),
            "who has seen the end has all"
        );
    }
}
