//! Closes, which outlive their records: each closed topic has a row that says all that its close said.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, Row, Transaction, types::Type};
use tidings_codec::{Event, EventId, EventType};

use crate::{
    Selector, Topic, Update,
    log::{
        Epoch, Record, RecordTime,
        disk::read::row::{CLIPPED_RETRY, CLOSE, PRIVATE},
    },
};

/// The first version whose rows say more than the reason.
const WITH_ALL: i32 = 4;

/// The columns that [`from_row`] reads, in tables of a version.
pub(crate) fn columns(version: i32) -> &'static str {
    match version {
        ..WITH_ALL => "SELECT topic, sequence, time, reason, NULL, NULL, NULL, NULL, NULL FROM closed ",
        _ => "SELECT topic, sequence, time, reason, flags, retry, topics, publisher_id, sum FROM closed ",
    }
}

/// The same in tables of this version, with the rest of a query.
macro_rules! closes {
    ($($rest:tt)+) => {
        concat!(
            "SELECT topic, sequence, time, reason, flags, retry, topics, publisher_id, sum FROM closed ",
            $($rest)+
        )
    };
}
pub(crate) use closes;

/// Writes down what a record closes.
pub(crate) fn insert(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    let event = record.event();
    let flags = (i64::from(record.is_private()) * PRIVATE) | CLOSE;
    let retry = event.retry().map(|retry| retry.as_millis()).map(u64::try_from).transpose();
    let retry = retry.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let topics = record.topics().iter().map(Topic::as_str).collect::<Vec<_>>().join("\n");
    let mut closed = transaction.prepare_cached("INSERT INTO closed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for topic in record.topics() {
        closed.execute((
            topic.as_str(),
            record.sequence(),
            record.time_ms(),
            event.data(),
            flags,
            retry,
            &topics,
            record.publisher_id(),
            record.check(),
        ))?;
    }
    Ok(())
}

/// The record of a close. Of one that was evicted under an earlier version, only its topics and its reason are known.
pub(crate) fn from_row(epoch: Epoch, row: &Row<'_>) -> rusqlite::Result<Arc<Record>> {
    let damaged = |column: usize, reason: &dyn ToString| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason.to_string().into())
    };
    let topic: String = row.get(0)?;
    let topics = row.get::<_, Option<String>>(6)?.unwrap_or(topic);
    let topics: Result<Vec<_>, _> = topics.split('\n').map(Topic::parse).collect();
    let topics = topics.map_err(|error| damaged(6, &error))?;
    let close = EventType::parse("close").map_err(|error| damaged(0, &error))?;
    let mut event = Event::new(row.get::<_, String>(3)?).with_type(close);
    if let Some(id) = row.get::<_, Option<String>>(7)? {
        event = event.with_id(EventId::parse(id).map_err(|error| damaged(7, &error))?);
    }
    let retry: Option<u64> = row.get(5)?;
    let clipped = retry == Some(CLIPPED_RETRY);
    if let Some(retry) = retry.filter(|_| !clipped) {
        event = event.with_retry(Duration::from_millis(retry));
    }
    let flags: i64 = row.get::<_, Option<i64>>(4)?.unwrap_or(CLOSE);
    let update = Update::stored(topics, event, flags & PRIVATE != 0, true);
    let (sequence, time) = (row.get(1)?, RecordTime::stored(row.get(2)?));
    let sum: Option<u32> = row.get(8)?;
    if let (true, Some(sum)) = (clipped, sum) {
        return Ok(Arc::new(Record::with_check(epoch, sequence, time, update, sum)));
    }
    let record = Record::new(epoch, sequence, time, update);
    match sum.is_none_or(|sum| sum == record.check()) {
        true => Ok(Arc::new(record)),
        false => {
            Err(damaged(8, &format!("the sum of close {} does not match its content", record.sequence())))
        }
    }
}

/// How many closes are looked at before it is decided whether to go on so: where at least one in [`DENSE`] matches, that is cheaper
/// than to ask the index of topics.
const SCANNED: usize = 512;

/// Between so many records, all closes are looked at for a prefix; otherwise all below it.
const FEW: u64 = 10_000;
const DENSE: usize = 8;

/// That a close has lost its record, as one before the oldest record has.
macro_rules! is_evicted {
    () => {
        "(sequence < ? OR NOT EXISTS (SELECT 1 FROM records WHERE records.sequence = closed.sequence))"
    };
}

pub(crate) use is_evicted;

/// Calls `take` with each close between `after` and `before` that has lost its record and that `selector` asks for, in order,
/// until it answers false; false if it did. `oldest` is the first record that is kept.
///
/// There may be many closes: only those that are asked for are looked at.
pub(crate) fn each_between(
    connection: &Connection,
    epoch: Epoch,
    (after, before): (u64, u64),
    oldest: u64,
    selector: &Selector,
    mut take: impl FnMut(Arc<Record>) -> bool,
) -> rusqlite::Result<bool> {
    if after.saturating_add(1) >= before {
        return Ok(true);
    }
    if selector.is_everything() {
        let mut statement = connection.prepare_cached(closes!(
            "WHERE sequence > ? AND sequence < ? AND ",
            is_evicted!(),
            " ORDER BY sequence"
        ))?;
        let mut rows = statement.query((after, before, oldest))?;
        let mut last = after;
        while let Some(row) = rows.next()? {
            // One record may close several topics.
            let sequence = row.get(1)?;
            if std::mem::replace(&mut last, sequence) != sequence && !take(from_row(epoch, row)?) {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let (mut after, mut last) = (after, None);
    if selector.is_searched_for() {
        // Where much of what there is matches, a page is full after a few: the index of topics would find all of it first.
        let mut scan = connection.prepare_cached(concat!(
            "SELECT sequence, topic, ",
            is_evicted!(),
            " FROM closed WHERE (sequence, topic) > (?, ?) AND sequence < ? ORDER BY sequence, topic LIMIT ?"
        ))?;
        let mut of_sequence = connection.prepare_cached(closes!("WHERE sequence = ? LIMIT 1"))?;
        let mut from = (after.saturating_add(1), String::new());
        loop {
            let (mut looked_at, mut matching) = (0, 0);
            let mut rows = scan.query((oldest, from.0, &from.1, before, SCANNED))?;
            while let Some(row) = rows.next()? {
                from = (row.get(0)?, row.get(1)?);
                looked_at += 1;
                if !row.get::<_, bool>(2)? || !selector.matches_text(&from.1) {
                    continue;
                }
                matching += 1;
                // One record may close several topics.
                if last.replace(from.0) != Some(from.0)
                    && !take(of_sequence.query_row([from.0], |row| from_row(epoch, row))?)
                {
                    return Ok(false);
                }
            }
            if looked_at < SCANNED {
                return Ok(true);
            }
            if matching * DENSE < SCANNED {
                break;
            }
        }
        // More rows of the last one may follow.
        after = from.0.saturating_sub(1);
    }
    let mut sequences = Vec::new();
    let mut of_topic = connection.prepare_cached(concat!(
        "SELECT sequence FROM closed WHERE topic = ? AND sequence > ? AND sequence < ? AND ",
        is_evicted!()
    ))?;
    for topic in selector.topics() {
        let found =
            of_topic.query_map((topic.as_str(), after, before, oldest), |row| row.get::<_, u64>(0))?;
        sequences.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    // SQLite would take the index of sequences each time, and look at all closes there are.
    let below = match before - after > FEW {
        true => concat!(
            "SELECT sequence FROM closed WHERE topic > ? AND topic < ? AND +sequence > ? AND +sequence < ? AND ",
            is_evicted!()
        ),
        false => concat!(
            "SELECT sequence FROM closed WHERE +topic > ? AND +topic < ? AND sequence > ? AND sequence < ? AND ",
            is_evicted!()
        ),
    };
    let mut below = connection.prepare_cached(below)?;
    for prefix in selector.prefixes() {
        let range = (prefix.as_str(), prefix.end(), after, before, oldest);
        let found = below.query_map(range, |row| row.get::<_, u64>(0))?;
        sequences.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    sequences.sort_unstable();
    sequences.dedup();
    sequences.retain(|sequence| Some(*sequence) != last);
    let mut statement = connection.prepare_cached(closes!("WHERE sequence = ? LIMIT 1"))?;
    for sequence in sequences {
        let close = statement.query_row([sequence], |row| from_row(epoch, row))?;
        if !take(close) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::{super::tables, *};

    #[test]
    fn each_close_that_is_asked_for_comes_once_in_order_and_a_page_looks_at_few() {
        let directory = tempfile::tempdir().unwrap();
        let (connection, _) = tables::open(&directory.path().join("log.sqlite")).unwrap();
        // Dense below `a/`, one in a hundred below `b/`, and each of those closes a topic of `c/`, too.
        connection
            .execute_batch(
                "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 5000)
                 INSERT INTO closed SELECT iif(n % 100, 'a/', 'b/') || n, n, 0, 'over', 2, NULL, iif(n % 100, 'a/', 'b/') || n, NULL, NULL
                 FROM number;
                 INSERT INTO closed SELECT 'c/' || sequence, sequence, 0, 'over', 2, NULL, topics, NULL, NULL
                 FROM closed WHERE topic LIKE 'b/%';",
            )
            .unwrap();
        let asks = |filters: &str| -> Selector {
            filters.split(' ').map(|filter| crate::TopicFilter::parse(filter).unwrap()).collect()
        };
        let all = |filters: &str, most: usize| {
            let mut sequences = Vec::new();
            let epoch = Epoch::from_bits(7);
            each_between(&connection, epoch, (10, 5_001), 4_990, &asks(filters), |close| {
                sequences.push(close.sequence());
                sequences.len() < most
            })
            .unwrap();
            sequences
        };
        let hundreds: Vec<u64> = (100..=5_000).step_by(100).collect();
        for filters in ["b/*", "c/*", "b/* c/*", "b/* c/4900", "b/* x c/5000"] {
            assert_eq!(all(filters, usize::MAX), hundreds, "{filters}");
        }
        assert_eq!(all("a/* b/*", usize::MAX), (11..=5_000).collect::<Vec<_>>());
        assert_eq!(all("a/* c/700", 1_000).last(), Some(&1_019));
        assert_eq!(all("none/* a/7 a/12 c/4900", usize::MAX), [12, 4_900]);

        let steps = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        connection.progress_handler(1, {
            let steps = steps.clone();
            Some(move || steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > usize::MAX / 2)
        });
        all("a/*", 10);
        let dense = steps.swap(0, std::sync::atomic::Ordering::Relaxed);
        assert!(dense < 5_000, "{dense} instructions of SQLite's for ten of 5,000");
        let ahead = "UPDATE closed SET sequence = sequence + 100000 WHERE topic LIKE 'c/%'";
        connection.execute_batch(ahead).unwrap();
        steps.store(0, std::sync::atomic::Ordering::Relaxed);
        let found =
            each_between(&connection, Epoch::from_bits(7), (10, 200_000), 200_000, &asks("c/*"), |_| true);
        assert!(found.unwrap());
        let sparse = steps.load(std::sync::atomic::Ordering::Relaxed);
        assert!(sparse < 30_000, "{sparse} instructions of SQLite's for fifty after 5,000 others");
    }

    #[test]
    fn a_close_whose_reconnection_time_was_clipped_is_read_without_it() {
        let directory = tempfile::tempdir().unwrap();
        let (connection, _) = tables::open(&directory.path().join("log.sqlite")).unwrap();
        let insert = "INSERT INTO closed VALUES ('t', 7, 0, 'over', 2, ?, 't', NULL, 77)";
        let close = |retry: u64| {
            connection.execute("DELETE FROM closed", ()).unwrap();
            connection.execute(insert, [retry]).unwrap();
            connection.query_row(closes!("WHERE topic = 't'"), (), |row| from_row(Epoch::from_bits(7), row))
        };
        let clipped = close(CLIPPED_RETRY).unwrap();
        assert_eq!((clipped.sequence(), clipped.check(), clipped.event().retry()), (7, 77, None));
        assert!(close(CLIPPED_RETRY - 1).is_err(), "of any other the sum is checked");
    }
}
