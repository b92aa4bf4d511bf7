//! The interface to a store of files: the trait [`Attachments`].

use std::{fmt, future::Future, io, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_core::Stream;

use super::{AttachmentUpload, UploadError};
use crate::AttachmentId;

/// The result of an operation of [`Attachments`]: a future that can be sent between threads.
pub type AttachmentFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A part of a file, in pieces of at most 64 KiB, each read when it is asked for.
pub type AttachmentBytes = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

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

impl AttachmentLimits {
    /// How many bytes one connection may have under way: a quarter of all, and always one file.
    pub(crate) fn of_connection(self) -> u64 {
        self.each.max(self.all / 4)
    }
}

/// How much is stored, or promised to an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachmentUsage {
    /// How many files are complete.
    pub files: u64,
    /// How many bytes they have, and the uploads that are under way.
    pub bytes: u64,
}

/// A store of published files, which a [log](crate::log::Log::attachments) supplies. The log's records say what the files are.
///
/// A file lives as long as the record that announces it. It is complete and durable before that record is appended, and is
/// removed after the record. A file that a crash leaves without a record is the store's to remove.
pub trait Attachments: fmt::Debug + Send + Sync + 'static {
    /// How large attachments may be.
    fn limits(&self) -> AttachmentLimits;

    /// How much is stored now, or being received. Does not wait, and may be a moment old.
    fn usage(&self) -> AttachmentUsage;

    /// Begins to receive a file of `expected` bytes or more.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`] and [`UploadError::Full`], before the first byte has come, where that many bytes are too many;
    /// [`UploadError::Io`] where the store fails.
    fn begin(self: Arc<Self>, expected: u64) -> AttachmentFuture<Box<dyn AttachmentUpload>, UploadError>;

    /// The `length` bytes of a file from `first` on.
    ///
    /// A reader keeps what it reads: if the file is removed meanwhile, the stream goes on, or ends with an error.
    ///
    /// # Errors
    /// Where the file is not there, or cannot be read.
    fn read(
        self: Arc<Self>,
        id: AttachmentId,
        first: u64,
        length: u64,
    ) -> AttachmentFuture<AttachmentBytes, io::Error>;

    /// Removes a file, if it is there. Does not wait: a store that is far away removes it later.
    fn remove(&self, id: &AttachmentId);
}
