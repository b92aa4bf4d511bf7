//! Reading: a chunk at a time, when somebody has room for it.

use std::{
    fs::File,
    future::Future,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::attachments::AttachmentBytes;

/// How much is read at once: the cost of a slow reader, beside its socket.
const CHUNK_BYTES: u64 = 64 << 10;

/// Opens a file for reading `length` bytes from `first` on.
pub(super) async fn open(path: PathBuf, first: u64, length: u64) -> io::Result<AttachmentBytes> {
    let opened = spawn_blocking(move || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(first))?;
        Ok(file)
    });
    let file = opened.await.map_err(io::Error::other).and_then(|file| file)?;
    Ok(Box::pin(Chunks { reading: Reading::Idle(file), left: length }))
}

/// Reads a file from where it stands.
struct Chunks {
    reading: Reading,
    /// How many bytes are still to be read.
    left: u64,
}

enum Reading {
    Idle(File),
    /// Off the async threads, since a disk may be slow.
    Chunk(JoinHandle<io::Result<(File, Bytes)>>),
    Over,
}

impl Stream for Chunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
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
                    let read = read.map_err(io::Error::other).and_then(|read| read);
                    return Poll::Ready(Some(read.map(|(file, chunk)| {
                        self.left -= chunk.len() as u64;
                        self.reading = Reading::Idle(file);
                        chunk
                    })));
                }
            }
        }
    }
}

/// Reads `most` bytes, or those that are left of the file. None left is an error, because more was promised.
fn read(mut file: File, most: u64) -> io::Result<(File, Bytes)> {
    let mut chunk = Vec::with_capacity(most as usize);
    let read = (&mut file).take(most).read_to_end(&mut chunk)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, chunk.into()))
}
