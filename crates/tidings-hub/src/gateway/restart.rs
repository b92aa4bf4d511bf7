//! Streams that the end of an earlier process has cut.

use tidings_codec::Event;

use super::{
    announcement::Announcement,
    ending::Ending,
    live::Gateway,
    relay::restarted,
    stream::{self, StreamId, started, update_of},
    wire::Interface,
};
use crate::{
    Hub, Selector,
    delivery::resume::locate,
    log::{Append, HubId, Log, LogError, PageLimit, Position},
};

/// After how many announcements the log is told which streams have ended.
pub(super) const NOTE_AFTER: u64 = 100;

const ONE: PageLimit = PageLimit { records: 1, bytes: 1 };

/// How many streams were cut, and are ended now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Swept {
    /// How many announcements were read.
    pub(super) looked_at: u64,
    pub(super) ended: u64,
}

/// Ends the streams in the log that no process receives any more, so that no reader waits for them.
///
/// A stream that this process receives goes on. Announcements before the last note, which says that all of them have ended, are
/// not read: there is one for each answer that there has ever been.
pub(super) async fn end_cut_streams(hub: &Hub, gateway: &Gateway) -> Result<Swept, LogError> {
    let log = &hub.engine().log;
    // Bounds may lag, and a stream beyond them would have no end.
    let newest = log.refresh().await?.newest.sequence;
    let from = all_ended_to(&**log, newest).await?;
    gateway.swept_to(from);
    let selector = Selector::from(started());
    let limit = PageLimit { records: 500, bytes: 1 << 20 };
    let (mut after, mut swept) = (from.sequence, Swept { looked_at: 0, ended: 0 });
    while after < newest {
        let page = log.read(after, &selector, limit).await?;
        for record in page.records.iter().filter(|record| record.sequence() <= newest) {
            let Some((id, interface)) = Announcement::read(record) else { continue };
            // In this order: a stream is entered before it is announced, and closed before it is taken out.
            if gateway.find(&id).is_some() {
                continue;
            }
            swept.looked_at += 1;
            if log.closed(&id.topic()).await?.is_none() {
                end(hub, &id, interface).await?;
                swept.ended += 1;
            }
        }
        if page.reached.sequence <= after {
            break;
        }
        after = page.reached.sequence;
    }
    gateway.swept_to(Position::unchecked(u64::MAX));
    if swept.looked_at >= NOTE_AFTER {
        note_ended(hub, gateway).await;
    }
    Ok(swept)
}

/// Tells the log up to where all announced streams have ended.
pub(super) async fn note_ended(hub: &Hub, gateway: &Gateway) {
    if gateway.is_shutting_down() {
        // Streams may leave without an end.
        return;
    }
    let bounds = hub.engine().log.bounds();
    // Asked after the log: a stream that is announced between the two is live.
    let Some(ended) = gateway.all_ended_to() else { return };
    let position = if ended.sequence < bounds.newest.sequence { ended } else { bounds.newest };
    let id = HubId { epoch: bounds.epoch, position }.to_string();
    if let Err(error) = hub.publish_reserved(vec![update_of(stream::ended(), Event::new(id)).into()]).await {
        // The next start reads more announcements. Nothing is lost.
        tracing::warn!(%error, "the note of which streams have ended cannot be kept; the next start takes longer");
    }
}

/// The position in the last note. A note of another life of the log counts for nothing, nor does one after the end of the log.
async fn all_ended_to(log: &dyn Log, newest: u64) -> Result<Position, LogError> {
    let selector = Selector::from(stream::ended());
    // By halves: a log is read forwards, and has a note for every hundred answers.
    let (mut low, mut high, mut last) = (0, newest, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = log.read(middle, &selector, ONE).await?;
        match page.records.into_iter().next().filter(|record| record.sequence() <= newest) {
            Some(record) => {
                low = record.sequence();
                last = Some(record);
            }
            None => high = middle,
        }
    }
    let Some(note) = last else { return Ok(Position::START) };
    let id = note.event().data();
    Ok(match (locate(log, id, &selector).await?, HubId::parse(id)) {
        (Ok(_), Some(id)) => id.position,
        _ => Position::START,
    })
}

async fn end(hub: &Hub, id: &StreamId, interface: Interface) -> Result<(), LogError> {
    let log = &hub.engine().log;
    // The error says how many events went before it, which strict clients compare.
    let mut events = 0;
    let (mut after, selector) = (0, Selector::from(id.topic()));
    loop {
        let page = log.read(after, &selector, PageLimit { records: 500, bytes: 1 << 20 }).await?;
        events += page.records.len() as u64;
        if page.records.is_empty() || page.reached.sequence <= after {
            break;
        }
        after = page.reached.sequence;
    }
    let failure = restarted();
    let error = interface.error_event(failure.ending.as_str(), &failure.message, events);
    let batch: Vec<Append> = vec![
        id.update(error.with_id(id.error_id())).into(),
        id.close(Ending::GatewayRestart.reason()).into(),
    ];
    hub.publish_reserved(batch).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{
        Settings,
        gateway::{
            GatewaySettings, Secret,
            live::{Entered, Progress},
        },
        log::MemoryLog,
    };

    const STREAMS: u64 = 1_000;

    fn settings() -> GatewaySettings {
        GatewaySettings::new("http://127.0.0.1:9", Secret::new("s")).unwrap()
    }

    /// A hub whose gateway has looked at its log.
    async fn hub() -> (Hub, Arc<Gateway>) {
        let (hub, gateway) = Gateway::of_hub(Arc::new(MemoryLog::default()), Settings::default(), settings());
        gateway.tasks_done().await;
        (hub, gateway)
    }

    fn id(number: u64) -> StreamId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        StreamId::from_bytes(bytes)
    }

    async fn announce(hub: &Hub, number: u64) {
        let announcement = Announcement::new(Interface::ChatCompletions, "body").to_update(&id(number));
        hub.publish_reserved(vec![announcement.into()]).await.unwrap();
    }

    async fn close(hub: &Hub, number: u64) {
        hub.publish_reserved(vec![id(number).close("complete").into()]).await.unwrap();
    }

    /// Does the same as the next process.
    async fn restart(hub: &Hub) -> Swept {
        end_cut_streams(hub, &Gateway::new(settings(), &mut Registry::default())).await.unwrap()
    }

    #[tokio::test]
    async fn a_start_looks_at_the_streams_that_may_be_open_and_not_at_all_there_ever_were() {
        let (hub, gateway) = hub().await;
        let mut cut = None;
        for number in 0..STREAMS {
            let newest = hub.engine().log.bounds().newest;
            let Entered::New(live) = gateway.enter(id(number), "body".into(), newest) else {
                panic!("it is new")
            };
            announce(&hub, number).await;
            gateway.count_announced(&hub);
            // One of the last is open when the process is killed.
            if number == STREAMS - 150 {
                cut = Some(live);
                continue;
            }
            close(&hub, number).await;
            gateway.leave(&live, Progress::Kept(Arc::default()), true);
            gateway.tasks_done().await;
        }
        assert!(hub.engine().log.closed(&cut.unwrap().id.topic()).await.unwrap().is_none());
        let swept = restart(&hub).await;
        assert_eq!(swept.ended, 1);
        assert!(swept.looked_at >= 150 && swept.looked_at <= 150 + NOTE_AFTER, "{swept:?}");
        assert!(hub.engine().log.closed(&id(STREAMS - 150).topic()).await.unwrap().is_some());
        assert_eq!(restart(&hub).await, Swept { looked_at: 0, ended: 0 });
    }

    #[tokio::test]
    async fn a_history_without_notes_is_looked_at_once() {
        let (hub, _gateway) = hub().await;
        for number in 0..STREAMS {
            announce(&hub, number).await;
            if number % 100 > 0 {
                close(&hub, number).await;
            }
        }
        assert_eq!(restart(&hub).await, Swept { looked_at: STREAMS, ended: STREAMS / 100 });
        assert_eq!(restart(&hub).await, Swept { looked_at: 0, ended: 0 });
    }

    #[tokio::test]
    async fn a_note_of_another_life_of_the_log_counts_for_nothing() {
        let (hub, _gateway) = hub().await;
        announce(&hub, 1).await;
        let epoch = crate::log::Epoch::from_bits(7);
        let note = HubId { epoch, position: hub.engine().log.bounds().newest }.to_string();
        hub.publish_reserved(vec![update_of(stream::ended(), Event::new(note)).into()]).await.unwrap();
        assert_eq!(restart(&hub).await, Swept { looked_at: 1, ended: 1 });
    }
}
