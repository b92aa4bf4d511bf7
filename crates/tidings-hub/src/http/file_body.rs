//! A file as the body of a response.

use std::{
    fs::File,
    future::Future,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

/// How much is read at once: what a slow reader costs, beside its socket.
const CHUNK_BYTES: u64 = 64 << 10;

/// Reads a file from where it stands, a chunk whenever the connection has room for one.
#[derive(Debug)]
pub(crate) struct FileBody {
    reading: Reading,
    /// How many bytes are still to be sent.
    left: u64,
}

#[derive(Debug)]
enum Reading {
    Idle(File),
    /// Off the async threads, since a disk may be slow.
    Chunk(JoinHandle<io::Result<(File, Bytes)>>),
    Over,
}

impl FileBody {
    /// The next `length` bytes of `file`.
    pub(crate) fn new(file: File, length: u64) -> FileBody {
        FileBody { reading: Reading::Idle(file), left: length }
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next chunk, or `None` at the end.
    ///
    /// A file that can't be read ends before what its response has promised, and hyper then ends the connection: its
    /// client knows that something is missing.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match std::mem::replace(&mut self.reading, Reading::Over) {
                Reading::Idle(file) if self.left > 0 => {
                    let most = self.left.min(CHUNK_BYTES);
                    self.reading = Reading::Chunk(spawn_blocking(move || read(file, most)));
                }
                Reading::Idle(_) | Reading::Over => return Poll::Ready(None),
                Reading::Chunk(mut chunk) => {
                    let Poll::Ready(read) = Pin::new(&mut chunk).poll(context) else {
                        self.reading = Reading::Chunk(chunk);
                        return Poll::Pending;
                    };
                    match read.map_err(io::Error::other).and_then(|read| read) {
                        Ok((file, chunk)) => {
                            self.left -= chunk.len() as u64;
                            self.reading = Reading::Idle(file);
                            return Poll::Ready(Some(chunk));
                        }
                        Err(error) => tracing::error!(%error, "a file can't be read to its end"),
                    }
                }
            }
        }
    }
}

/// Reads `most` bytes; fewer are an error.
fn read(mut file: File, most: u64) -> io::Result<(File, Bytes)> {
    let mut chunk = Vec::with_capacity(most as usize);
    let read = (&mut file).take(most).read_to_end(&mut chunk)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, chunk.into()))
}
