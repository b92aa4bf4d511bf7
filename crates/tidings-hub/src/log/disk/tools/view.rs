//! A log on disk, to be looked at without changing it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::scan::{NO_END, Records};
use crate::{
    Selector,
    log::{
        Epoch, HubId, Position,
        disk::{DATABASE, OpenError, read::pages::Pages, schema::tables},
    },
};

/// A log on disk, to look at: whole or damaged, and also while a hub has it open.
///
/// Nothing of the log is ever changed through it. SQLite itself may create its two companions, `-wal` and `-shm`, beside
/// the database, so the directory has to be writable.
#[derive(Debug)]
pub struct DiskView {
    /// The database, for messages.
    pub(super) path: PathBuf,
    /// Opened for reading alone.
    pub(crate) connection: Connection,
    /// The version of its tables, which decides which queries work.
    pub(super) version: i32,
    /// The log's life; 0 where the database has lost it.
    pub(crate) epoch: Epoch,
}

/// The database failed while it was looked at, in a way that is not damage.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot be read")]
pub struct ViewError(#[from] rusqlite::Error);

impl DiskView {
    /// Opens the log in a directory, or in a database file, such as one that was moved aside.
    ///
    /// # Errors
    /// [`OpenError`] if there is none, or if nothing of it can be read. Damage inside it is no error here.
    pub fn open(log: &Path) -> Result<DiskView, OpenError> {
        let path = if log.is_dir() { log.join(DATABASE) } else { log.to_owned() };
        if let Err(source) = std::fs::metadata(&path) {
            return Err(OpenError::Directory { path, source });
        }
        let failed = |source| OpenError::of(&path, source);
        let connection = tables::open_reader(&path).map_err(failed)?;
        let version = tables::version(&connection, &path)?;
        // Records of a log that has lost its epoch can still be read; the IDs that the hub gave them cannot be made again.
        let epoch = connection.query_row("SELECT epoch FROM log", (), |row| row.get(0)).unwrap_or_default();
        Ok(DiskView { path, connection, version, epoch: Epoch::from_bits(epoch) })
    }

    /// The database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records that match `selector`, after the sequence `after`, up to the newest now.
    pub fn records(&self, selector: Selector, after: u64) -> Records<'_> {
        Records::new(&self.connection, self.version, self.epoch, selector, after, self.newest())
    }

    /// A sequence from which on there are about `count` records of `selector`, to see the end of the log.
    ///
    /// # Errors
    /// [`ViewError`] if the database fails.
    pub fn before_newest(&self, selector: &Selector, count: usize) -> Result<u64, ViewError> {
        let mut statement =
            self.connection.prepare("SELECT sequence, topics FROM records ORDER BY sequence DESC")?;
        let mut rows = statement.query(())?;
        let (mut before, mut found) = (self.newest(), 0);
        while found < count {
            let Some(row) = rows.next()? else { return Ok(0) };
            let topics: String = row.get(1)?;
            let topics: Vec<_> =
                topics.split('\n').filter_map(|text| crate::Topic::parse(text).ok()).collect();
            if selector.matches(&topics) {
                found += 1;
                before = row.get::<_, u64>(0)?.saturating_sub(1);
            }
        }
        Ok(before)
    }

    /// The sequence of the event with this ID, the hub's or a publisher's, of those that `selector` asks for. `None` if there
    /// is none, and if several have the ID.
    ///
    /// # Errors
    /// [`ViewError`] if the database fails.
    pub fn find(&self, id: &str, selector: &Selector) -> Result<Option<u64>, ViewError> {
        if let Some(id) = HubId::parse(id) {
            return Ok((id.epoch == self.epoch).then_some(id.position.sequence));
        }
        if self.version < tables::WITH_NAMES {
            let find = "SELECT sequence FROM records WHERE publisher_id = ?";
            return Ok(self.connection.query_row(find, [id], |row| row.get(0)).optional()?);
        }
        let newest = Position::unchecked(NO_END);
        let pages = Pages { connection: &self.connection, epoch: self.epoch, newest };
        Ok(pages.find(id, selector)?)
    }

    /// The newest sequence; the highest there can be if damage hides it.
    pub(crate) fn newest(&self) -> u64 {
        let newest = "SELECT ifnull(max(sequence), 0) FROM records";
        self.connection.query_row(newest, (), |row| row.get(0)).unwrap_or(NO_END)
    }
}
