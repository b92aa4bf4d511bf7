//! The row of a record: its columns, and the record that they make.

use std::{sync::Arc, time::Duration};

use rusqlite::{Row, types::Type};
use tidings_codec::{Event, EventId, EventType};

use crate::{
    AttachmentId, Topic, Update,
    log::{Epoch, Record, RecordTime},
};

/// The flags of a record, as bits.
pub(crate) const PRIVATE: i64 = 1;
pub(crate) const CLOSE: i64 = 2;

/// The value that earlier versions wrote for any larger reconnection time. Their checksum covers the original time,
/// which is not known, so such a record is read without a check. Today's limit is a day.
pub(crate) const CLIPPED_RETRY: u64 = i64::MAX as u64;

/// A query of whole records, in the order of columns that `from_row` reads.
macro_rules! records {
    ($rest:literal) => {
        records!("", " FROM records ", $rest)
    };
    ($more_columns:literal, $from:literal, $rest:literal) => {
        concat!(
            "SELECT sequence, time, flags, retry, topics, type, data, publisher_id, sum, attachment",
            $more_columns,
            $from,
            $rest
        )
    };
}
pub(crate) use records;

/// Whether the row after that of record `last` is one of a later record. A damaged table can give its rows in another order, and
/// reading it from the wrong one again would have no end.
pub(crate) fn goes_on(last: u64, sequence: u64) -> rusqlite::Result<()> {
    if sequence > last {
        return Ok(());
    }
    let reason = format!("record {sequence} stands where one after record {last} should be");
    Err(rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, reason.into()))
}

pub(crate) fn from_row(epoch: Epoch, row: &Row<'_>) -> rusqlite::Result<Arc<Record>> {
    let damaged = |column: usize, reason: &str| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason.to_owned().into())
    };
    let text = |column| row.get_ref(column)?.as_str().map_err(|error| damaged(column, &error.to_string()));
    let topics: Result<Vec<Topic>, _> = text(4)?.split('\n').map(Topic::parse).collect();
    let topics = topics.map_err(|error| damaged(4, &error.to_string()))?;

    let mut event = Event::new(row.get::<_, String>(6)?);
    let event_type = text(5)?;
    if event_type != event.event_type() {
        let event_type = EventType::parse(event_type).map_err(|error| damaged(5, &error.to_string()))?;
        event = event.with_type(event_type);
    }
    if let Some(id) = row.get::<_, Option<String>>(7)? {
        event = event.with_id(EventId::parse(id).map_err(|error| damaged(7, &error.to_string()))?);
    }
    let retry: Option<u64> = row.get(3)?;
    let clipped = retry == Some(CLIPPED_RETRY);
    if let Some(retry) = retry.filter(|_| !clipped) {
        event = event.with_retry(Duration::from_millis(retry));
    }
    let flags: i64 = row.get(2)?;
    let mut update = Update::stored(topics, event, flags & PRIVATE != 0, flags & CLOSE != 0);
    if let Some(id) = row.get::<_, Option<String>>(9)? {
        let id = AttachmentId::parse(&id).ok_or_else(|| damaged(9, &format!("{id:?} is no attachment")))?;
        update = update.with_attachment(id);
    }
    let time = RecordTime::stored(row.get(1)?);
    let sum = row.get(8)?;
    if clipped {
        return Ok(Arc::new(Record::with_check(epoch, row.get(0)?, time, update, sum)));
    }
    let record = Record::new(epoch, row.get(0)?, time, update);
    // The sum is computed anew from what was read: a record that was damaged on the disk is noticed here.
    match record.check() == sum {
        true => Ok(Arc::new(record)),
        false => {
            Err(damaged(8, &format!("the sum of record {} does not match its content", record.sequence())))
        }
    }
}
