//! Appends updates: new ones become records, repeated ones are found, and others are refused.

use std::collections::HashSet;

use rusqlite::Transaction;
use tidings_codec::EventId;

use super::{
    insert::{Inserting, Row},
    state::State,
};
use crate::{
    Topic,
    log::{
        Append, Appended, Receipt, Record, RecordTime, Refused,
        disk::read::pages::Pages,
        publisher_names::{Named, again, names_of},
        record::receipt,
        retention_rules::Rules,
    },
};

/// The appends of one transaction.
pub(super) struct Appending<'a> {
    pages: Pages<'a>,
    rules: &'a Rules,
    state: State,
    rows: Inserting<'a>,
    taken: Taken,
    /// Topics that this transaction has found open; closing one takes it out.
    open: HashSet<Topic>,
}

impl<'a> Appending<'a> {
    /// Begins to append up to `updates` of them.
    pub(super) fn new(
        transaction: &'a Transaction<'a>,
        pages: Pages<'a>,
        rules: &'a Rules,
        state: State,
        updates: usize,
    ) -> rusqlite::Result<Appending<'a>> {
        let rows = Inserting::new(transaction, updates)?;
        Ok(Appending { pages, rules, state, rows, taken: Taken::default(), open: HashSet::new() })
    }

    /// Writes what is left to be written.
    pub(super) fn flush(&mut self) -> rusqlite::Result<()> {
        self.rows.flush()
    }

    /// The state that the commit leads to, what it will have written, and what that was made of.
    pub(super) fn finish(self) -> (State, Vec<Row>, Taken) {
        (self.state, self.rows.into_rows(), self.taken)
    }

    pub(super) fn append_batch(&mut self, batch: Vec<Append>) -> rusqlite::Result<Appended> {
        let mut appended = Appended { receipts: Vec::with_capacity(batch.len()), refused: None };
        let mut done = Ok(());
        self.taken.batches.push(batch.len());
        let mut batch = batch.into_iter();
        for append in batch.by_ref() {
            match self.before(&append) {
                Ok(None) => match self.write(append) {
                    Ok(receipt) => appended.receipts.push(receipt),
                    Err(error) => done = Err(error),
                },
                earlier => {
                    self.taken.spend(append);
                    match earlier.transpose() {
                        Some(Ok(Ok(receipt))) => appended.receipts.push(receipt),
                        Some(Ok(Err(refused))) => appended.refused = Some(refused),
                        Some(Err(error)) => done = Err(error),
                        None => {}
                    }
                }
            }
            if appended.refused.is_some() || done.is_err() {
                break;
            }
        }
        batch.for_each(|append| self.taken.spend(append));
        done.map(|()| appended)
    }

    /// The answer to an update that is not written.
    fn before(&mut self, append: &Append) -> rusqlite::Result<Option<Result<Receipt, Refused>>> {
        if let Some(earlier) = self.repeated(append)? {
            return Ok(Some(earlier));
        }
        for topic in append.update.topics() {
            if self.open.contains(topic) {
                continue;
            }
            if let Some(close) = self.pages.closed(topic)? {
                let reason = close.event().data().to_owned();
                if append.update.is_close() && close.says_the_same_as(&append.update) {
                    return Ok(Some(Ok(receipt(&close, true))));
                }
                return Ok(Some(Err(Refused::Closed { topic: topic.as_str().to_owned(), reason })));
            }
            self.open.insert(topic.clone());
        }
        Ok(None)
    }

    fn write(&mut self, append: Append) -> rusqlite::Result<Receipt> {
        let sequence = self.state.bounds.newest.sequence + 1;
        let time = append.time.unwrap_or_else(RecordTime::now);
        let record = Record::new(self.pages.epoch, sequence, time, append.update);
        self.state.append(self.rules, &record);
        let receipt = receipt(&record, false);
        if record.is_close() {
            for topic in record.topics() {
                self.open.remove(topic);
            }
        }
        self.taken.count += 1;
        self.rows.insert(record, append.key)?;
        Ok(receipt)
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

/// The parts from which the appends of a transaction were made, so that they can be made again if it fails. The written
/// parts are in its rows, and the rest is here.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// How many updates each batch has.
    batches: Vec<usize>,
    /// How many were taken, written or not.
    count: usize,
    /// The updates that were not written, each with the number of others that were taken before it.
    spent: Vec<(usize, Append)>,
}

impl Taken {
    fn spend(&mut self, append: Append) {
        self.spent.push((self.count, append));
        self.count += 1;
    }

    /// The batches as they came.
    pub(super) fn give_back(self, rows: Vec<Row>) -> Vec<Vec<Append>> {
        let (mut rows, mut spent) = (rows.into_iter(), self.spent.into_iter().peekable());
        let mut all = (0..).map_while(|number| match spent.next_if(|(at, _)| *at == number) {
            Some((_, append)) => Some(append),
            None => rows.next().map(Row::into_append),
        });
        self.batches.into_iter().map(|count| all.by_ref().take(count).collect()).collect()
    }
}
