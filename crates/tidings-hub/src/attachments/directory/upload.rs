//! Receiving: into a file, piece by piece, summed on the way.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use ring::digest::{Context, SHA256};

use super::store::{AttachmentDirectory, PART, sync_directory};
use crate::{
    AttachmentId,
    attachments::{AttachmentFuture, AttachmentUpload, ReceivedAttachment, UploadError},
    owner_only,
};

/// An attachment that is being received; dropping it removes what has come.
///
/// Each step runs off the async threads and takes the upload with it. If the future of a step is dropped, the step still ends, and
/// drops the upload then.
pub(super) struct Upload {
    store: Arc<AttachmentDirectory>,
    id: AttachmentId,
    /// `None` once it has its final name.
    part: Option<PathBuf>,
    file: File,
    sum: Context,
    bytes: u64,
}

impl Upload {
    /// Begins to receive `expected` bytes or more.
    ///
    /// # Errors
    /// Also when that many bytes are too many, before the first has come.
    pub(super) async fn begin(store: Arc<AttachmentDirectory>, expected: u64) -> Result<Upload, UploadError> {
        if expected > store.limits.each {
            return Err(UploadError::TooLarge { max: store.limits.each });
        }
        store.has_room_for(expected)?;
        off_thread(move || {
            let id = AttachmentId::random()?;
            let part = store.directory.join(format!("{id}{PART}"));
            let file = owner_only::file().write(true).create_new(true).open(&part)?;
            Ok(Upload { store, id, part: Some(part), file, sum: Context::new(&SHA256), bytes: 0 })
        })
        .await
    }
}

impl AttachmentUpload for Upload {
    fn write(mut self: Box<Self>, piece: Bytes) -> AttachmentFuture<Box<dyn AttachmentUpload>, UploadError> {
        Box::pin(async move {
            let more = piece.len() as u64;
            let max = self.store.limits.each;
            if self.bytes + more > max {
                return Err(UploadError::TooLarge { max });
            }
            self.store.reserve(more)?;
            self.bytes += more;
            off_thread(move || {
                self.file.write_all(&piece)?;
                self.sum.update(&piece);
                Ok(self as Box<dyn AttachmentUpload>)
            })
            .await
        })
    }

    /// Brings all of it to the disk, under its name.
    fn finish(mut self: Box<Self>) -> AttachmentFuture<ReceivedAttachment, UploadError> {
        Box::pin(off_thread(move || {
            self.file.sync_all()?;
            if let Some(part) = &self.part {
                fs::rename(part, self.store.path(&self.id))?;
            }
            self.part = None;
            self.store.lock_usage().files += 1;
            let sum = digits(self.sum.clone());
            let received = ReceivedAttachment::new(self.store.clone(), self.id.clone(), self.bytes, sum);
            sync_directory(&self.store.directory)?;
            Ok(received)
        }))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(part) = &self.part else { return };
        if let Err(error) = fs::remove_file(part) {
            tracing::error!(?part, %error, "the part of an attachment that was received cannot be removed");
        }
        self.store.release(self.bytes);
    }
}

/// How many bytes a file has, and their SHA-256 in hexadecimal digits.
pub(crate) fn sum_of(mut file: File) -> io::Result<(u64, String)> {
    let (mut sum, mut bytes, mut piece) = (Context::new(&SHA256), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((bytes, digits(sum))),
            Ok(read) => {
                sum.update(&piece[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn digits(sum: Context) -> String {
    sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs what waits for the disk where nothing else waits for it.
async fn off_thread<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    tokio::task::spawn_blocking(step).await.map_err(io::Error::other)?
}
