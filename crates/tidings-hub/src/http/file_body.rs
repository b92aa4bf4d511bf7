//! A file as the body of a response.

use std::{
    fmt, io,
    task::{Context, Poll, ready},
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
    /// # Errors
    /// When the file cannot be read to its end: the client must not take a part for the whole.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let read = match ready!(self.bytes.as_mut().poll_next(context)) {
            Some(read) => read,
            None if self.left == 0 => return Poll::Ready(None),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        match &read {
            Ok(chunk) => self.left = self.left.saturating_sub(chunk.len() as u64),
            Err(error) => tracing::error!(%error, "a file cannot be read to its end"),
        }
        Poll::Ready(Some(read))
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, pin::Pin};

    use futures_core::Stream;
    use http_body_util::BodyExt;

    use super::*;
    use crate::http::HubBody;

    /// A store's answer to a read.
    struct Chunks(VecDeque<io::Result<Bytes>>);

    impl Stream for Chunks {
        type Item = io::Result<Bytes>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.pop_front())
        }
    }

    async fn download(length: u64, chunks: impl IntoIterator<Item = io::Result<Bytes>>) -> io::Result<Bytes> {
        let chunks = Box::pin(Chunks(chunks.into_iter().collect()));
        Ok(HubBody::file(FileBody::new(chunks, length)).collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_to_its_end_fails_its_download() {
        let half = || Ok(Bytes::from_static(b"half"));
        assert_eq!(download(8, [half(), half()]).await.unwrap(), "halfhalf");
        let failed = download(8, [half(), Err(io::ErrorKind::PermissionDenied.into())]).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let cut = download(8, [half()]).await;
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
