//! The files that records announce: whether each is there, as it was sent.

use std::{
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    attachments::{Announcement, sum_of},
    log::{Record, disk::DATABASE},
};

/// The files beside a database, which may have been moved aside together with it.
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn beside(database: &Path) -> Files {
        let name = database.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let aside = name.strip_prefix(DATABASE).unwrap_or_default();
        Files { directory: database.with_file_name(format!("attachments{aside}")) }
    }

    /// The damage of the file that `record` announces, in words. Nothing for a record that announces none.
    ///
    /// `is_kept` says whether the record is there still: a hub that evicted it meanwhile has removed the file with it.
    pub(super) fn check(&self, record: &Record, is_kept: impl FnOnce() -> bool) -> Option<String> {
        let id = record.attachment()?;
        let sequence = record.sequence();
        let Some(announced) = Announcement::parse(record.event().data()) else {
            return Some(format!("record {sequence} does not say what attachment {id} is"));
        };
        match File::open(self.directory.join(id.as_str())).and_then(sum_of) {
            Ok((bytes, _)) if bytes != announced.size => Some(format!(
                "attachment {id} of record {sequence} has {bytes} bytes, and had {}",
                announced.size
            )),
            Ok((_, sum)) if sum != announced.sha256 => Some(format!(
                "attachment {id} of record {sequence} is not the one that was sent: its SHA-256 differs"
            )),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                is_kept().then(|| format!("attachment {id} of record {sequence} is missing"))
            }
            Err(error) => Some(format!("attachment {id} of record {sequence} cannot be read: {error}")),
        }
    }
}
