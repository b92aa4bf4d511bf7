//! A file on its way into the store.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{AttachmentFuture, Attachments, Unannounced};
use crate::AttachmentId;

/// A file that is being received, a piece at a time.
///
/// Each step takes the upload, and gives it back when it is done. If the upload is dropped, or the future of a step, the
/// store removes what has come and counts it no more.
pub trait AttachmentUpload: Send {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`] and [`UploadError::Full`] where the file or the store has no room for the piece;
    /// [`UploadError::Io`] where the store fails.
    fn write(self: Box<Self>, piece: Bytes) -> AttachmentFuture<Box<dyn AttachmentUpload>, UploadError>;

    /// Makes the file complete and durable.
    ///
    /// # Errors
    /// [`UploadError::Io`] where the store fails.
    fn finish(self: Box<Self>) -> AttachmentFuture<ReceivedAttachment, UploadError>;
}

/// A complete file that no record announces yet. If it is dropped, the file is removed.
#[derive(Debug)]
pub struct ReceivedAttachment {
    id: AttachmentId,
    /// How many bytes it has, for its announcement.
    pub(super) bytes: u64,
    /// The sum of its bytes in hexadecimal digits, for its announcement.
    pub(super) sha256: String,
    file: Unannounced,
}

impl ReceivedAttachment {
    /// The file `id` of `store`, which makes this as soon as the file is complete. `sha256` is the sum of its bytes, in hexadecimal
    /// digits.
    pub fn new(
        store: Arc<dyn Attachments>,
        id: AttachmentId,
        bytes: u64,
        sha256: String,
    ) -> ReceivedAttachment {
        ReceivedAttachment { file: Unannounced::file(store, id.clone()), id, bytes, sha256 }
    }

    pub(crate) fn id(&self) -> &AttachmentId {
        &self.id
    }

    /// Leaves the file to the log, which takes it over when the update that announces it is appended.
    pub(crate) fn hand_over(mut self) -> AttachmentId {
        self.file.leave();
        self.id
    }
}

/// Why an attachment was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The file is too large, however much room there is.
    #[error(
        "the attachment has more than {max} bytes (tidings serve --max-attachment); publish a link to it instead"
    )]
    TooLarge {
        /// The most bytes of one attachment.
        max: u64,
    },
    /// The store has no room until older files are removed.
    #[error(
        "the attachments take {used} of {max} bytes (tidings serve --attachment-quota), so this one has no room; there is room \
         again when older updates with attachments are evicted"
    )]
    Full {
        /// How many bytes are in use.
        used: u64,
        /// The most bytes of all attachments.
        max: u64,
    },
    /// The connection has too much under way.
    #[error(
        "this connection has {max} bytes of attachments under way, which is its limit; send one after the other"
    )]
    TooMany {
        /// The most bytes that one connection may have under way.
        max: u64,
    },
    /// The store failed.
    #[error("the attachment cannot be stored: {0}")]
    Io(#[from] io::Error),
}
