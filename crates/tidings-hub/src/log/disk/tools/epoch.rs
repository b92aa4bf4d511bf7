//! A new epoch for a log whose position in time is not what its subscribers remember.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::log::{
    Epoch,
    disk::{OpenError, beside, schema::tables, sync_directory_of},
};

/// How a new epoch began.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewEpoch {
    /// There was no log.
    Created,
    /// The log was whole and has kept its records; all IDs that the hub gave them are new.
    Renewed {
        /// The epoch that ended.
        old: Epoch,
    },
    /// The log was damaged. Its files are moved aside, and the new log is empty.
    MovedAside {
        /// Where the damaged database is now.
        damaged: PathBuf,
        /// The damage that was found.
        reason: String,
    },
}

/// Begins a new epoch in the database at `path`, whose directory is locked.
pub(crate) fn begin(path: &Path) -> Result<NewEpoch, OpenError> {
    let is_new = !path.exists();
    let reason = match tables::open(path) {
        Ok(_) if is_new => return Ok(NewEpoch::Created),
        Ok((connection, bounds)) => {
            let epoch = Epoch::random().map_err(OpenError::no_randomness)?;
            connection
                .execute("UPDATE log SET epoch = ?", [epoch.bits()])
                .map_err(|source| OpenError::of(path, source))?;
            return Ok(NewEpoch::Renewed { old: bounds.epoch });
        }
        Err(OpenError::Damaged { reason, .. }) => reason,
        Err(OpenError::NotADatabase { .. }) => "it is not a SQLite database".to_owned(),
        Err(error) => return Err(error),
    };
    let damaged = move_aside(path).map_err(|source| OpenError::Directory { path: path.into(), source })?;
    Ok(NewEpoch::MovedAside { damaged, reason })
}

/// Moves the database and what belongs to it to names that nothing has.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace([':', '-'], "");
    // What its records announce goes with it, and goes first: it would be nobody's in the new log, and removed. Then
    // the database: without it, the files that a crash leaves are refused, and never opened as half a log.
    let moves = |suffix: &str| {
        let attachments = path.with_file_name("attachments");
        let aside = beside(path, suffix);
        [
            (attachments.clone(), beside(&attachments, suffix)),
            (path.to_owned(), aside.clone()),
            (beside(path, "-wal"), beside(&aside, "-wal")),
            (beside(path, "-shm"), beside(&aside, "-shm")),
        ]
    };
    let suffixes = (1..).map(|number: u32| match number {
        1 => format!(".damaged-{now}"),
        _ => format!(".damaged-{now}-{number}"),
    });
    let is_free = |suffix: &String| moves(suffix).iter().all(|(_, to)| !to.exists());
    let suffix =
        suffixes.into_iter().find(is_free).expect("a directory has fewer files than there are numbers");
    for (from, to) in moves(&suffix) {
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => moved?,
        }
    }
    sync_directory_of(path)?;
    Ok(beside(path, &suffix))
}
