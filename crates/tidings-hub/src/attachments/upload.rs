//! Receiving: into a file, piece by piece, summed on the way.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use ring::digest::{Context, SHA256};

use super::{
    Attachments, Unannounced,
    store::{PART, sync_directory},
};
use crate::{AttachmentId, owner_only};

/// An attachment that is being received; dropping it removes what has come.
///
/// Each step runs off the async threads, and takes the upload with it: one that is cut off in the middle of a step is
/// dropped behind it.
pub(crate) struct Upload {
    store: Arc<Attachments>,
    id: AttachmentId,
    /// `None` once it has its final name.
    part: Option<PathBuf>,
    file: File,
    sum: Context,
    bytes: u64,
}

/// An attachment that is on the disk; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Received {
    id: AttachmentId,
    pub(crate) bytes: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
    file: Unannounced,
}

/// Why an attachment was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(
        "an attachment is over {max} bytes (tidings serve --max-attachment); publish a link to it instead"
    )]
    TooLarge { max: u64 },
    #[error(
        "there is no room for it: {used} of {max} bytes of attachments are in use (tidings serve --attachment-quota); \
         they go with the updates that announce them"
    )]
    Full { used: u64, max: u64 },
    #[error(
        "this connection has {max} bytes of attachments under way, as many as one may; send one after the other"
    )]
    TooMany { max: u64 },
    #[error("an attachment can't be stored: {0}")]
    Io(#[from] io::Error),
}

impl Upload {
    /// Begins to receive `expected` bytes or more.
    ///
    /// # Errors
    /// Also when that many bytes are too many, before the first has come.
    pub(crate) async fn begin(store: Arc<Attachments>, expected: u64) -> Result<Upload, UploadError> {
        if expected > store.limits.each {
            return Err(UploadError::TooLarge { max: store.limits.each });
        }
        store.has_room_for(expected)?;
        off_thread(move || {
            let id = AttachmentId::random().map_err(|error| io::Error::other(error.to_string()))?;
            let part = store.directory.join(format!("{id}{PART}"));
            let file = owner_only::file().write(true).create_new(true).open(&part)?;
            Ok(Upload { store, id, part: Some(part), file, sum: Context::new(&SHA256), bytes: 0 })
        })
        .await
    }

    /// Takes the next piece.
    pub(crate) async fn write(mut self, piece: Bytes) -> Result<Upload, UploadError> {
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
            Ok(self)
        })
        .await
    }

    /// Brings all of it to the disk, under its name.
    pub(crate) async fn finish(mut self) -> Result<Received, UploadError> {
        off_thread(move || {
            self.file.sync_all()?;
            if let Some(part) = &self.part {
                fs::rename(part, self.store.path(&self.id))?;
            }
            self.part = None;
            self.store.lock_usage().files += 1;
            let file = Unannounced::file(&self.store, self.id.clone());
            sync_directory(&self.store.directory)?;
            Ok(Received { id: self.id.clone(), bytes: self.bytes, sha256: digits(self.sum.clone()), file })
        })
        .await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(part) = &self.part else { return };
        if let Err(error) = fs::remove_file(part) {
            tracing::error!(?part, %error, "what was received of an attachment can't be removed");
        }
        self.store.release(self.bytes);
    }
}

impl Received {
    pub(crate) fn id(&self) -> &AttachmentId {
        &self.id
    }

    /// Leaves the file to the log, which takes it over when the update that announces it is appended.
    pub(crate) fn hand_over(mut self) -> AttachmentId {
        self.file.leave();
        self.id
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
