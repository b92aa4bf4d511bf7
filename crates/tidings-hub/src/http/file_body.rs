//! A file as the body of a response.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::attachments::AttachmentBytes;

/// Sends a file, a chunk whenever the connection has room for one.
pub(crate) struct FileBody {
    bytes: AttachmentBytes,
    /// How many bytes are still to be sent.
    left: u64,
}

impl FileBody {
    /// The `length` bytes that `bytes` gives.
    pub(crate) fn new(bytes: AttachmentBytes, length: u64) -> FileBody {
        FileBody { bytes, left: length }
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next chunk, or `None` at the end.
    ///
    /// A file that cannot be read ends before what its response has promised. hyper then ends the connection, so the client
    /// knows that something is missing.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.bytes.as_mut().poll_next(context).map(|read| match read? {
            Ok(chunk) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Some(chunk)
            }
            Err(error) => {
                tracing::error!(%error, "a file cannot be read to its end");
                None
            }
        })
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody").field("left", &self.left).finish_non_exhaustive()
    }
}
