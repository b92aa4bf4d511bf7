//! A page of history as the body of a response.

use std::{
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;
use serde::Serialize;

use crate::{budget::Share, json::RecordWriter, log::Record};

/// How much is encoded at once: what of a page is in memory twice.
const CHUNK_BYTES: usize = 64 << 10;

/// Encodes records as they are sent, `{"updates":[…]`, and what stands behind them.
#[derive(Debug)]
pub(crate) struct PageBody {
    records: vec::IntoIter<Arc<Record>>,
    writing: Option<RecordWriter>,
    /// `{"updates":[`, until it has been sent.
    head: &'static [u8],
    /// What comes before the next record.
    comma: &'static [u8],
    /// `],"next":…}`, until it has been sent.
    tail: Option<Vec<u8>>,
    /// Its part of the memory for answers, for what is not sent yet.
    _room: Option<Share>,
    /// What has been encoded already.
    first: Bytes,
    /// Whether others have their turn before the next chunk: to encode one may take longer than to send it.
    yields: bool,
}

impl PageBody {
    /// A page with these members beside its updates.
    pub(super) fn new(records: Vec<Arc<Record>>, members: &impl Serialize) -> PageBody {
        let mut tail = serde_json::to_vec(members).expect("strings and numbers are JSON");
        tail[0] = b',';
        tail.insert(0, b']');
        PageBody {
            records: records.into_iter(),
            writing: None,
            head: b"{\"updates\":[",
            comma: b"",
            tail: Some(tail),
            _room: None,
            first: Bytes::new(),
            yields: false,
        }
    }

    /// How many bytes of data are still to be encoded, at most.
    pub(super) fn left(&self) -> usize {
        let writing = self.writing.as_ref().map_or(0, RecordWriter::left);
        writing + self.records.as_slice().iter().map(|record| record.event().data().len()).sum::<usize>()
    }

    /// The same page, which holds its share of memory until it is sent.
    pub(super) fn within(self, room: Share) -> PageBody {
        PageBody { _room: Some(room), ..self }
    }

    /// The same page, which gives out again first what it has given out.
    pub(super) fn after(self, first: Bytes) -> PageBody {
        PageBody { first, ..self }
    }

    pub(super) fn is_over(&self) -> bool {
        self.tail.is_none()
    }

    /// What comes next; `None` at the end.
    pub(super) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.yields = !self.yields && !self.is_over();
        if self.yields && self.first.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.next_chunk())
    }

    /// The same, at once.
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
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
