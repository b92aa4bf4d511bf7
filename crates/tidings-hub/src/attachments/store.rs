//! The directory of attachments.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::UploadError;
use crate::{AttachmentId, Update, owner_only};

/// What the name of a file ends with while it is received.
pub(super) const PART: &str = ".part";

/// How large attachments may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachmentLimits {
    /// The most bytes of one attachment. Default: 64 MiB.
    pub each: u64,
    /// The most bytes of all together, those that are being received included. Default: 1 GiB.
    pub all: u64,
}

impl Default for AttachmentLimits {
    fn default() -> AttachmentLimits {
        AttachmentLimits { each: 64 << 20, all: 1 << 30 }
    }
}

/// Attachments, each a file of one directory; the log's records say what they are.
///
/// A file lives as long as the record that announces it. It is on the disk before that record, and removed after it: what
/// a crash leaves between is removed when the directory is opened again.
#[derive(Debug)]
pub struct Attachments {
    pub(super) directory: PathBuf,
    pub(super) limits: AttachmentLimits,
    usage: Mutex<Usage>,
}

/// How much is stored, or promised to an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Attachments {
    /// Opens `directory`, which is created if it is not there, and removes the files that no record announces.
    ///
    /// Only files that were made here are touched.
    ///
    /// # Errors
    /// Those of the operating system, and of `is_announced`.
    pub(crate) fn open(
        directory: &Path,
        limits: AttachmentLimits,
        mut is_announced: impl FnMut(&AttachmentId) -> io::Result<bool>,
    ) -> io::Result<Attachments> {
        owner_only::create_directory(directory)?;
        sync_directory(directory.parent().unwrap_or(directory))?;
        let mut usage = Usage::default();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let keep =
                match (AttachmentId::parse(name), name.strip_suffix(PART).and_then(AttachmentId::parse)) {
                    (Some(id), _) => is_announced(&id)?,
                    (None, Some(_)) => false,
                    (None, None) => continue,
                };
            if keep {
                usage.files += 1;
                usage.bytes += entry.metadata()?.len();
            } else {
                tracing::debug!(file = name, "an attachment that no update announces is removed");
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Attachments { directory: directory.into(), limits, usage: Mutex::new(usage) })
    }

    /// How much one connection may have under way: a quarter of all, and always one file.
    pub(crate) fn share(&self) -> u64 {
        self.limits.each.max(self.limits.all / 4)
    }

    /// How much is stored now, or being received.
    pub(crate) fn usage(&self) -> Usage {
        *self.lock_usage()
    }

    /// Removes the file of a record that is gone. Whoever reads it goes on reading: its bytes go with the last reader.
    pub(crate) fn remove(&self, id: &AttachmentId) {
        let path = self.path(id);
        let removed =
            fs::metadata(&path).and_then(|metadata| fs::remove_file(&path).map(|()| metadata.len()));
        match removed {
            Ok(bytes) => {
                let mut usage = self.lock_usage();
                usage.files = usage.files.saturating_sub(1);
                usage.bytes = usage.bytes.saturating_sub(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%id, %error, "an attachment can't be removed"),
        }
    }

    /// # Errors
    /// [`UploadError::Full`] if there is no room for `bytes` more now.
    pub(super) fn has_room_for(&self, bytes: u64) -> Result<(), UploadError> {
        let (used, max) = (self.usage().bytes, self.limits.all);
        if used.saturating_add(bytes) > max { Err(UploadError::Full { used, max }) } else { Ok(()) }
    }

    /// Counts `bytes` as used before they are written, so that all uploads together stay within the limit.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), UploadError> {
        let (mut usage, max) = (self.lock_usage(), self.limits.all);
        let used = usage.bytes.saturating_add(bytes);
        if used > max {
            return Err(UploadError::Full { used: usage.bytes, max });
        }
        usage.bytes = used;
        Ok(())
    }

    pub(super) fn release(&self, bytes: u64) {
        let mut usage = self.lock_usage();
        usage.bytes = usage.bytes.saturating_sub(bytes);
    }

    /// Opens an attachment for reading, at `offset`.
    pub(crate) fn read(&self, id: &AttachmentId, offset: u64) -> io::Result<File> {
        let mut file = File::open(self.path(id))?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    }

    pub(super) fn path(&self, id: &AttachmentId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    pub(super) fn lock_usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of updates that are on their way into the log; those that are not announced when this is dropped are
/// removed.
///
/// It goes where the batch goes, so a publisher that stops waiting, a refusal, a repetition, and a log that fails all end
/// the same way.
#[derive(Debug)]
pub(crate) struct Unannounced {
    store: Arc<Attachments>,
    ids: Vec<AttachmentId>,
}

impl Unannounced {
    /// Takes over the files that `updates` want to announce.
    pub(crate) fn of<'a>(store: &Arc<Attachments>, updates: impl Iterator<Item = &'a Update>) -> Unannounced {
        let ids = updates.filter_map(|update| update.attachment().cloned()).collect();
        Unannounced { store: store.clone(), ids }
    }

    /// The file of an attachment that no update announces yet.
    pub(super) fn file(store: &Arc<Attachments>, id: AttachmentId) -> Unannounced {
        Unannounced { store: store.clone(), ids: vec![id] }
    }

    /// Leaves the files to somebody else.
    pub(crate) fn leave(&mut self) {
        self.ids.clear();
    }

    /// Lets the files stay that records announce now.
    pub(crate) fn keep<'a>(&mut self, announced: impl Iterator<Item = &'a AttachmentId> + Clone) {
        self.ids.retain(|id| !announced.clone().any(|announced| announced == id));
    }
}

impl Drop for Unannounced {
    fn drop(&mut self) {
        for id in &self.ids {
            self.store.remove(id);
        }
    }
}

/// Makes what happened to the names in a directory durable. Other systems than Unix do that by themselves.
#[cfg_attr(not(unix), expect(clippy::unnecessary_wraps, reason = "nothing can fail where nothing is done"))]
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}
