//! The directory, and how much is in it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{read, upload::Upload};
use crate::{
    AttachmentId,
    attachments::{
        AttachmentBytes, AttachmentFuture, AttachmentLimits, AttachmentUpload, AttachmentUsage, Attachments,
        UploadError,
    },
    owner_only,
};

/// The ending of a file's name while the file is received.
pub(super) const PART: &str = ".part";

/// A directory with one file for each attachment.
///
/// A file that a crash leaves without a record is removed when the directory is opened again.
#[derive(Debug)]
pub(crate) struct AttachmentDirectory {
    /// Where the files are, and where uploads make theirs.
    pub(super) directory: PathBuf,
    /// The limits that uploads check piece by piece.
    pub(super) limits: AttachmentLimits,
    usage: Mutex<AttachmentUsage>,
}

impl AttachmentDirectory {
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
    ) -> io::Result<AttachmentDirectory> {
        owner_only::create_directory(directory)?;
        sync_directory(directory.parent().unwrap_or(directory))?;
        let mut usage = AttachmentUsage::default();
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
        Ok(AttachmentDirectory { directory: directory.into(), limits, usage: Mutex::new(usage) })
    }

    /// # Errors
    /// [`UploadError::Full`] if there is no room for `bytes` more now.
    pub(super) fn has_room_for(&self, bytes: u64) -> Result<(), UploadError> {
        let (used, max) = (self.lock_usage().bytes, self.limits.all);
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

    pub(super) fn path(&self, id: &AttachmentId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    pub(super) fn lock_usage(&self) -> MutexGuard<'_, AttachmentUsage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attachments for AttachmentDirectory {
    fn limits(&self) -> AttachmentLimits {
        self.limits
    }

    fn usage(&self) -> AttachmentUsage {
        *self.lock_usage()
    }

    fn begin(self: Arc<Self>, expected: u64) -> AttachmentFuture<Box<dyn AttachmentUpload>, UploadError> {
        Box::pin(async move {
            let upload: Box<dyn AttachmentUpload> = Box::new(Upload::begin(self, expected).await?);
            Ok(upload)
        })
    }

    fn read(
        self: Arc<Self>,
        id: AttachmentId,
        first: u64,
        length: u64,
    ) -> AttachmentFuture<AttachmentBytes, io::Error> {
        Box::pin(read::open(self.path(&id), first, length))
    }

    /// Removes the file of a record that is gone. A reader goes on reading: the bytes go with the last reader.
    fn remove(&self, id: &AttachmentId) {
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
            Err(error) => tracing::error!(%id, %error, "an attachment cannot be removed"),
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
