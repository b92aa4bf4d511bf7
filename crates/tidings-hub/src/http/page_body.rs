//! A page of history as the body of a response.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    budget::Share,
    encoder::Encoder,
    log::{Record, json::RecordWriter},
};

/// How many bytes are encoded at once. So much of a page is in memory twice.
const CHUNK_BYTES: usize = 64 << 10;

/// How many bytes of data are encoded here, and not by the encoder. The rest of a page of many small updates has no more.
const LITTLE: usize = 16 << 10;

/// The rest of a page, which is encoded as it is sent.
pub(crate) struct PageBody {
    /// The chunk that is encoded already.
    first: Bytes,
    rest: Rest,
    encoder: Arc<Encoder>,
    /// The share of the memory for answers that the unsent rest takes.
    _room: Share,
}

enum Rest {
    Here(Box<Page>),
    /// With the encoder, which gives it back with the next chunk.
    Away(oneshot::Receiver<(Box<Page>, Option<Bytes>)>),
    /// The encoder has failed.
    Lost,
}

impl PageBody {
    /// A page of which `first` has been encoded.
    pub(super) fn new(first: Bytes, page: Page, room: Share, encoder: Arc<Encoder>) -> PageBody {
        PageBody { first, rest: Rest::Here(Box::new(page)), encoder, _room: room }
    }

    pub(super) fn is_over(&self) -> bool {
        match &self.rest {
            Rest::Here(page) => self.first.is_empty() && page.is_over(),
            Rest::Away(_) => false,
            Rest::Lost => true,
        }
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// If it could not be encoded: nothing follows.
    pub(super) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
        }
        loop {
            match &mut self.rest {
                Rest::Here(page) if page.is_over() || page.left() <= LITTLE => {
                    return Poll::Ready(page.next_chunk().map(Ok));
                }
                Rest::Here(_) => {
                    let Rest::Here(mut page) = std::mem::replace(&mut self.rest, Rest::Lost) else {
                        continue;
                    };
                    self.rest = Rest::Away(self.encoder.encode(move || {
                        let chunk = page.next_chunk();
                        (page, chunk)
                    }));
                }
                Rest::Away(given) => match ready!(Pin::new(given).poll(context)) {
                    Ok((page, chunk)) => {
                        self.rest = Rest::Here(page);
                        return Poll::Ready(chunk.map(Ok));
                    }
                    Err(_) => {
                        self.rest = Rest::Lost;
                        return Poll::Ready(Some(Err(io::Error::other("a page could not be encoded"))));
                    }
                },
                Rest::Lost => return Poll::Ready(None),
            }
        }
    }
}

/// Encodes records, `{"updates":[…]`, and the members after them, chunk by chunk.
#[derive(Debug)]
pub(super) struct Page {
    records: vec::IntoIter<Arc<Record>>,
    writing: Option<RecordWriter>,
    /// `{"updates":[`, until it has been given.
    head: &'static [u8],
    /// The text before the next record.
    comma: &'static [u8],
    /// `],"next":…}`, until it has been given.
    tail: Option<Vec<u8>>,
}

impl Page {
    /// A page with these members beside its updates.
    pub(super) fn new(records: Vec<Arc<Record>>, members: &impl Serialize) -> Page {
        let mut tail = serde_json::to_vec(members).expect("strings and numbers are JSON");
        tail[0] = b',';
        tail.insert(0, b']');
        let (head, comma): (&[u8], &[u8]) = (b"{\"updates\":[", b"");
        Page { records: records.into_iter(), writing: None, head, comma, tail: Some(tail) }
    }

    /// How many bytes of data are still to be encoded, at most.
    pub(crate) fn left(&self) -> usize {
        let writing = self.writing.as_ref().map_or(0, RecordWriter::left);
        writing + self.records.as_slice().iter().map(|record| record.event().data().len()).sum::<usize>()
    }

    pub(super) fn is_over(&self) -> bool {
        self.tail.is_none()
    }

    /// The next chunk; `None` at the end.
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        let tail = self.tail.take()?;
        let mut chunk = std::mem::take(&mut self.head).to_vec();
        loop {
            if let Some(writing) = &mut self.writing {
                if !writing.write(&mut chunk, CHUNK_BYTES) {
                    break;
                }
                self.writing = None;
            }
            if chunk.len() >= CHUNK_BYTES {
                break;
            }
            let Some(record) = self.records.next() else {
                chunk.extend_from_slice(&tail);
                return Some(chunk.into());
            };
            chunk.extend_from_slice(std::mem::replace(&mut self.comma, b","));
            self.writing = Some(RecordWriter::new(record));
        }
        self.tail = Some(tail);
        Some(chunk.into())
    }
}
