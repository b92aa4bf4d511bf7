//! Appending: what becomes a record, what was one before, and what is refused.

use std::collections::HashSet;

use rusqlite::Transaction;
use tidings_codec::EventId;

use super::{
    insert::{Inserting, Row},
    pages::Pages,
    state::State,
};
use crate::{
    Topic,
    log::{
        Append, Appended, Receipt, Record, RecordTime, Refused, Retention,
        names::{Named, again, names_of},
        record::receipt,
    },
};

/// The appends of one transaction.
pub(super) struct Appending<'a> {
    pages: Pages<'a>,
    retention: &'a Retention,
    state: State,
    rows: Inserting<'a>,
    /// Topics that this transaction has found open; closing one takes it out.
    open: HashSet<Topic>,
}

impl<'a> Appending<'a> {
    /// Begins to append up to `updates` of them.
    pub(super) fn new(
        transaction: &'a Transaction<'a>,
        pages: Pages<'a>,
        retention: &'a Retention,
        state: State,
        updates: usize,
    ) -> rusqlite::Result<Appending<'a>> {
        let rows = Inserting::new(transaction, updates)?;
        Ok(Appending { pages, retention, state, rows, open: HashSet::new() })
    }

    /// Writes what is left to be written. The state that the commit leads to, and what it will have written.
    pub(super) fn finish(mut self) -> rusqlite::Result<(State, Vec<Row>)> {
        self.rows.flush()?;
        Ok((self.state, self.rows.into_rows()))
    }

    pub(super) fn append_batch(&mut self, batch: Vec<Append>) -> rusqlite::Result<Appended> {
        let mut appended = Appended { receipts: Vec::with_capacity(batch.len()), refused: None };
        for append in batch {
            match self.append(append)? {
                Ok(receipt) => appended.receipts.push(receipt),
                Err(refused) => {
                    appended.refused = Some(refused);
                    break;
                }
            }
        }
        Ok(appended)
    }

    fn append(&mut self, append: Append) -> rusqlite::Result<Result<Receipt, Refused>> {
        if let Some(earlier) = self.repeated(&append)? {
            return Ok(earlier);
        }
        for topic in append.update.topics() {
            if self.open.contains(topic) {
                continue;
            }
            if let Some(close) = self.pages.closed(topic)? {
                let reason = close.event().data().to_owned();
                if append.update.is_close() && close.says_the_same_as(&append.update) {
                    return Ok(Ok(receipt(&close, true)));
                }
                return Ok(Err(Refused::Closed { topic: topic.as_str().to_owned(), reason }));
            }
            self.open.insert(topic.clone());
        }
        let sequence = self.state.bounds.newest.sequence + 1;
        let time = append.time.unwrap_or_else(RecordTime::now);
        let record = Record::new(self.pages.epoch, sequence, time, append.update);
        self.state.append(self.retention, &record);
        let receipt = receipt(&record, false);
        if record.is_close() {
            for topic in record.topics() {
                self.open.remove(topic);
            }
        }
        self.rows.insert(record, append.key)?;
        Ok(Ok(receipt))
    }

    /// The answer of the first time, if the update was appended before under its key or its ID.
    fn repeated(&mut self, append: &Append) -> rusqlite::Result<Option<Result<Receipt, Refused>>> {
        let (update, key) = (&append.update, append.key.as_ref());
        let id = update.event().id().map(EventId::as_str);
        if key.is_none() && id.is_none() {
            return Ok(None);
        }
        // It may be one of this transaction.
        self.rows.flush()?;
        for (kind, name, topic) in names_of(update.topics(), id, key) {
            let again = match self.pages.named(kind, name, topic)? {
                Some(Named::Kept(sequence)) => {
                    self.pages.record(sequence)?.map(|record| again(&record, update))
                }
                Some(Named::Gone(gone)) => Some(gone.again(self.pages.epoch, update)),
                None => None,
            };
            match again {
                Some(Some(receipt)) => return Ok(Some(Ok(receipt))),
                Some(None) => return Ok(Some(Err(kind.refuse(name)))),
                None => {}
            }
        }
        Ok(None)
    }
}
