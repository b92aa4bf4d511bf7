//! What the hub needs of a store: the trait [`Log`].

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::watch;

use super::{Append, Appended, Bounds, LogError, Page, PageLimit, Reads, Record, Turn, Wear};
use crate::{AttachmentId, Attachments, Selector, Topic};

/// What an operation of a [`Log`] returns: a future that can be sent between threads.
pub type LogFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// A totally ordered, append-only sequence of records.
///
/// Sequences are given in the order of appending, from 1. Old records may be evicted, of the whole log or of some topics
/// (see [`Retention`](super::Retention)); who may miss one is told by [`Page::lost`]. The close of a topic outlives eviction: [`closed`](Log::closed) still finds
/// it, and [`read`](Log::read) still returns it to those who ask for its topic.
pub trait Log: Send + Sync + 'static {
    /// Appends updates in order, and returns when they are as durable as this log was told to make them.
    ///
    /// Nothing is visible to readers before it is durable. An update is refused, and with it all that follow it in the
    /// batch, when its topic is closed, its ID is taken by another content, or its key was used for another content. It
    /// is answered as the first time, and nothing is appended, when its key or its ID has been appended with the same
    /// content, or when it closes a topic again for the same reason (looked at in this order: key, ID, close).
    ///
    /// IDs and keys belong to topics: an update has its ID in each of its topics, and its key in the first. They outlive
    /// the record: an ID names no second update as long as it is remembered ([`Retention::names`](super::Retention::names)).
    ///
    /// Dropping the future may leave the batch appended or not appended, but never half visible.
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended>;

    /// The same for a batch that has had to wait for its turn, which ends when the batch does not wait for the log any more.
    ///
    /// Where dropping the future leaves the batch waiting, the turn stays with the batch. Default: it ends with the future.
    fn append_in_turn(&self, batch: Vec<Append>, turn: Turn) -> LogFuture<'_, Appended> {
        let appended = self.append(batch);
        Box::pin(async move {
            let appended = appended.await;
            drop(turn);
            appended
        })
    }

    /// The records after `after` that match `selector`, in order, at most `limit` of them.
    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page>;

    /// The record at `sequence`, or `None` if it was evicted or isn't there yet.
    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>>;

    /// The sequence of the update with an ID that its publisher chose, of those that `selector` asks for, whether its record
    /// is kept or was evicted and the ID is remembered.
    ///
    /// `None` if there is none, and if there are several: which of them somebody saw can't be known. What a look-up costs
    /// does not grow with the topics that have the ID.
    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>>;

    /// The record that closed `topic`, if it is closed.
    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>>;

    /// The record that announces an attachment, if it is kept. Default: none, as in a log without attachments.
    fn announcing<'a>(&'a self, attachment: &'a AttachmentId) -> LogFuture<'a, Option<Arc<Record>>> {
        let _ = attachment;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Where files go that are published, if the log keeps any. Default: it doesn't.
    ///
    /// A log that does takes over, when [`append`](Log::append) is called, the files that the batch announces. Whatever
    /// happens then, also if the future is dropped: a file stays exactly as long as there is a record that announces it.
    fn attachments(&self) -> Option<&Arc<Attachments>> {
        None
    }

    /// What the log holds now.
    fn bounds(&self) -> Bounds;

    /// Whether what is published can be kept, as far as the log knows without trying.
    ///
    /// # Errors
    /// Why publishes are refused, or would be. A log that can recover by itself finds out by itself.
    fn health(&self) -> Result<(), LogError>;

    /// What an operator should know of it beside that.
    fn wear(&self) -> Wear {
        Wear::default()
    }

    /// The newest sequence that readers may see; it changes when records become visible.
    fn follow(&self) -> watch::Receiver<u64>;

    /// How many reads run and wait, for a log whose readers are bounded. Default: it has no such bound.
    fn reads(&self) -> Option<Reads> {
        None
    }
}
