//! All readable records in order, even from a damaged database.

use std::{collections::VecDeque, fmt, ops::RangeInclusive, sync::Arc};

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::{
    Selector,
    log::{
        Epoch, IdempotencyKey, Record,
        disk::{
            ViewError,
            read::row::{from_row, goes_on, records},
            reason,
            schema::closes,
        },
    },
};

/// How many rows one query takes, and after how many bytes of data it takes no more.
const ROWS: usize = 512;
const BYTES: usize = 1 << 20;

/// The highest sequence that SQLite can store: the newest one's position, when damage hides which that is.
pub(super) const NO_END: u64 = i64::MAX as u64;

/// A record, with what is kept beside it.
///
/// As JSON it is a line of an export: the shape of every update, and what only an import needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The record.
    pub record: Arc<Record>,
    /// The key that it was appended with.
    pub key: Option<IdempotencyKey>,
    /// Whether only the close is left of it: the record was evicted, and its topic stays closed.
    pub is_tombstone: bool,
}

/// A position where records are, or were, that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The sequences that are affected.
    pub sequences: RangeInclusive<u64>,
    /// The damage at that position.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sequences.start(), self.sequences.end()) {
            (first, last) if first == last => write!(f, "record {first}")?,
            (first, &NO_END) => write!(f, "all records from {first} on")?,
            (first, last) => write!(f, "the records from {first} to {last}")?,
        }
        write!(f, " cannot be read: {}", self.reason)
    }
}

/// The next item of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A record that is as it was written.
    Kept(Kept),
    /// Damage. The items after it follow.
    Unreadable(Unreadable),
}

/// The records of a [`DiskView`](crate::log::disk::DiskView) in order, and what cannot be read between them; memory is constant.
///
/// It reads bounded pieces, each in its own transaction, so that a hub with the same log continues. Records that are
/// evicted meanwhile are left out.
#[derive(Debug)]
pub struct Records<'c> {
    connection: &'c Connection,
    epoch: Epoch,
    /// Of the tables.
    version: i32,
    selector: Selector,
    after: u64,
    through: u64,
    ready: VecDeque<Found>,
    /// False once the table of closes turned out to be unreadable, which is told once.
    closes: bool,
}

impl<'c> Records<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        version: i32,
        epoch: Epoch,
        selector: Selector,
        after: u64,
        through: u64,
    ) -> Records<'c> {
        Records { connection, epoch, version, selector, after, through, ready: VecDeque::new(), closes: true }
    }

    /// How far it has come: all that follows has a higher sequence, or was taken from the same piece.
    pub fn reached(&self) -> u64 {
        self.after
    }

    /// Reads the next piece.
    fn read(&mut self) -> Result<(), ViewError> {
        let mut piece = self.piece()?;
        if self.closes {
            match self.tombstones(&mut piece) {
                Ok(()) => {}
                Err(error) if is_damage(&error) => {
                    self.closes = false;
                    let sequences = self.after + 1..=self.through;
                    let reason = format!("the closes of evicted records: {}", reason(&error));
                    self.ready.push_back(Found::Unreadable(Unreadable { sequences, reason }));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.after = piece.reached;
        self.ready.extend(piece.found.into_iter().filter(|found| match found {
            Found::Kept(kept) => self.selector.matches(kept.record.topics()),
            Found::Unreadable(_) => true,
        }));
        Ok(())
    }

    /// The rows of the table of records after `after`.
    fn piece(&self) -> Result<Piece, ViewError> {
        let mut piece = Piece { found: Vec::new(), reached: self.after };
        let read = (|| -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare_cached(records!(
                ", key",
                " FROM records ",
                "WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
            ))?;
            let mut rows = statement.query((self.after, self.through, ROWS))?;
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                let sequence = row.get(0)?;
                goes_on(piece.reached, sequence)?;
                let record = from_row(self.epoch, row).and_then(|record| {
                    let key = row.get::<_, Option<String>>("key")?;
                    let key = key.as_deref().map(IdempotencyKey::stored).transpose();
                    Ok(Kept { record, key: key.map_err(not_a_key)?, is_tombstone: false })
                });
                piece.reached = sequence;
                match record {
                    Ok(kept) => {
                        bytes += kept.record.event().data().len();
                        piece.found.push(Found::Kept(kept));
                    }
                    Err(error) => piece.found.push(Found::Unreadable(Unreadable {
                        sequences: sequence..=sequence,
                        reason: reason(&error),
                    })),
                }
                if bytes >= BYTES {
                    return Ok(());
                }
            }
            if piece.found.len() < ROWS {
                piece.reached = self.through;
            }
            Ok(())
        })();
        match read {
            Err(error) if is_damage(&error) => {
                let first = piece.reached + 1;
                let readable = self.next_readable(first)?;
                let (sequences, reason) = (first..=readable - 1, reason(&error));
                piece.found.push(Found::Unreadable(Unreadable { sequences, reason }));
                piece.reached = readable - 1;
            }
            read => read?,
        }
        Ok(piece)
    }

    /// The first sequence after a damaged part of the table, where `first` is in that part. Reading works again from there.
    ///
    /// Steps grow until one is beyond the damage, then halve, so that a lost page costs some dozen queries.
    fn next_readable(&self, first: u64) -> rusqlite::Result<u64> {
        let end = self.through + 1;
        let (mut damaged, mut step) = (first, 1);
        let mut readable = loop {
            let next = damaged.saturating_add(step).min(end);
            if next == end || self.is_readable_from(next)? {
                break next;
            }
            (damaged, step) = (next, step.saturating_mul(2));
        };
        while readable - damaged > 1 {
            let middle = damaged + (readable - damaged) / 2;
            if self.is_readable_from(middle)? { readable = middle } else { damaged = middle }
        }
        Ok(readable)
    }

    fn is_readable_from(&self, sequence: u64) -> rusqlite::Result<bool> {
        let query = records!(
            ", key",
            " FROM records ",
            "WHERE sequence >= ? AND sequence <= ? ORDER BY sequence LIMIT 1"
        );
        // The tables themselves may be unreadable, and then no query can be prepared.
        let read = self.connection.prepare_cached(query).and_then(|mut statement| {
            statement.query_row((sequence, self.through), |row| row.get::<_, u64>(0)).optional()
        });
        match read {
            Ok(found) => Ok(found.is_none_or(|found| found >= sequence)),
            Err(error) if is_damage(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds the closes that outlived their records, each in its place.
    fn tombstones(&self, piece: &mut Piece) -> rusqlite::Result<()> {
        let query = closes::columns(self.version).to_owned()
            + "WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?";
        let mut statement = self.connection.prepare_cached(&query)?;
        let mut rows = statement.query((self.after, piece.reached, ROWS))?;
        let (mut tombstones, mut read) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let close = closes::from_row(self.epoch, row)?;
            read += 1;
            if read == ROWS {
                // There may be more of them: this piece ends here.
                piece.reached = close.sequence();
                piece.found.retain(|found| found.sequence() <= close.sequence());
            }
            // One record may close several topics.
            let is_new = tombstones.last().is_none_or(|last: &Found| last.sequence() != close.sequence());
            if is_new && !piece.has(close.sequence()) {
                tombstones.push(Found::Kept(Kept { record: close, key: None, is_tombstone: true }));
            }
        }
        piece.found.extend(tombstones);
        piece.found.sort_by_key(Found::sequence);
        Ok(())
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Found, ViewError>;

    fn next(&mut self) -> Option<Result<Found, ViewError>> {
        while self.ready.is_empty() && self.after < self.through {
            if let Err(error) = self.read() {
                self.after = self.through;
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// The result of one query, and the end of the searched part.
struct Piece {
    found: Vec<Found>,
    reached: u64,
}

impl Piece {
    fn has(&self, sequence: u64) -> bool {
        self.found
            .iter()
            .any(|found| matches!(found, Found::Kept(kept) if kept.record.sequence() == sequence))
    }
}

impl Found {
    /// Its sequence, or the first of those that cannot be read.
    pub fn sequence(&self) -> u64 {
        match self {
            Found::Kept(kept) => kept.record.sequence(),
            Found::Unreadable(unreadable) => *unreadable.sequences.start(),
        }
    }
}

/// Whether the database or the disk below it is damaged, so that reading elsewhere may still work.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::SystemIoFailure | ErrorCode::Unknown)
    )
}

fn not_a_key(error: crate::log::InvalidKey) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(9, rusqlite::types::Type::Text, error.into())
}
