//! Streams that the end of an earlier process has cut.

use super::{
    announcement::Announcement,
    dialect::Dialect,
    ending::Ending,
    relay::restarted,
    stream::{StreamId, started},
};
use crate::{
    Hub, Interest,
    log::{Append, LogError, PageLimit},
};

/// Ends in the log what no process receives any more, so that no reader waits for it.
///
/// `newest` is the log's end when this process began: what came later is its own.
pub(super) async fn end_cut_streams(hub: &Hub, newest: u64) -> Result<u64, LogError> {
    let log = &hub.shared().log;
    let interest = Interest::from(started());
    let limit = PageLimit { records: 500, bytes: 1 << 20 };
    let (mut after, mut ended) = (0, 0);
    while after < newest {
        let page = log.read(after, &interest, limit).await?;
        for record in page.records.iter().filter(|record| record.sequence() <= newest) {
            let Some((id, dialect)) = Announcement::read(record) else { continue };
            if log.closed(&id.topic()).await?.is_none() {
                end(hub, &id, dialect).await?;
                ended += 1;
            }
        }
        if page.reached.sequence <= after {
            break;
        }
        after = page.reached.sequence;
    }
    Ok(ended)
}

async fn end(hub: &Hub, id: &StreamId, dialect: Dialect) -> Result<(), LogError> {
    let log = &hub.shared().log;
    // The error says how many events went before it, which strict clients compare.
    let mut events = 0;
    let (mut after, interest) = (0, Interest::from(id.topic()));
    loop {
        let page = log.read(after, &interest, PageLimit { records: 500, bytes: 1 << 20 }).await?;
        events += page.records.len() as u64;
        if page.records.is_empty() || page.reached.sequence <= after {
            break;
        }
        after = page.reached.sequence;
    }
    let failure = restarted();
    let error = dialect.error_event(failure.ending.as_str(), &failure.message, events);
    let batch: Vec<Append> = vec![
        id.update(error.with_id(id.error_id())).into(),
        id.close(Ending::GatewayRestart.reason()).into(),
    ];
    hub.publish_reserved(batch).await.map(drop)
}
