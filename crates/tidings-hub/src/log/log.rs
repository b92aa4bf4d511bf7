//! The interface to a store of records: the trait [`Log`].

use std::{future::Future, pin::Pin, sync::Arc};

use super::{
    Append, Appended, Bounds, Fault, Following, LogError, Page, PageLimit, Reads, Record, Turn, Wear,
};
use crate::{AttachmentId, Attachments, Selector, Topic};

/// The result of an operation of a [`Log`]: a future that can be sent between threads.
pub type LogFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// A totally ordered, append-only sequence of records.
///
/// The first record has sequence 1, and each further one the next sequence. Old records may be evicted, of the whole log or
/// of some topics (see [`Retention`](super::Retention)); [`Page::lost`] tells a reader that may miss one. The close of a topic
/// outlives eviction: [`closed`](Log::closed) still finds it, and [`read`](Log::read) still returns it to a reader that asks for
/// its topic.
///
/// A log may have several handles at once: clones of an [`Arc`], or other processes where the kind of log allows them. All
/// handles have one order, and [`append`](Log::append) decides the same through each of them. A handle may show a record
/// a little later than the handle that appended it; see [`bounds`](Log::bounds) and [`refresh`](Log::refresh).
pub trait Log: Send + Sync + 'static {
    /// Appends updates in order, and returns when they are as durable as this log was told to make them.
    ///
    /// No reader sees a record before it is durable. When this returns, the handle that appended can read the records.
    ///
    /// Each update is compared with everything before it in the order, and appended in the same step: nothing comes between.
    /// The log looks at the key first, then the ID, then the close:
    ///
    /// | Before it in the order is | The update is |
    /// |---|---|
    /// | an update with the same key or ID and the same content | answered with the receipt of that one, [`repeated`](super::Receipt::repeated) |
    /// | an update with the same key or ID and other content | [refused](super::Refused), and so is the rest of the batch |
    /// | the close of one of its topics, for the same reason, and it closes the topic too | answered with the receipt of that close |
    /// | the close of one of its topics | refused, and so is the rest of the batch |
    /// | none of these | appended |
    ///
    /// So of two appends at the same time, through the same handle or through two, the one that comes first in the order
    /// decides the answer of the other. Nothing is ever appended to a topic after its close.
    ///
    /// IDs and keys belong to topics: an update has its ID in each of its topics, and its key in the first. They outlive
    /// the record: an ID names no second update as long as it is remembered ([`Retention::names`](super::Retention::names)).
    ///
    /// If the future is dropped, the batch may be appended or not, but it is never half visible.
    ///
    /// # Errors
    /// When the store fails. The batch may be kept then; with keys it is safe to append it again.
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended>;

    /// Appends a batch that has waited for its turn. The turn ends when the batch does not wait for the log any more.
    ///
    /// In a log where the batch goes on waiting after the future was dropped, the turn stays with the batch. Default: the turn
    /// ends with the future.
    ///
    /// # Errors
    /// The same as [`append`](Log::append).
    fn append_in_turn(&self, batch: Vec<Append>, turn: Turn) -> LogFuture<'_, Appended> {
        let appended = self.append(batch);
        Box::pin(async move {
            let appended = appended.await;
            drop(turn);
            appended
        })
    }

    /// The records after `after` that match `selector`, in order, at most `limit` of them.
    ///
    /// A read is never older than the [`bounds`](Log::bounds): it finds every record that they show, page by page.
    ///
    /// # Errors
    /// When the store fails. The caller may try again.
    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page>;

    /// The record at `sequence`, or `None` if it was evicted or is not there yet.
    ///
    /// # Errors
    /// When the store fails. The caller may try again.
    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>>;

    /// The sequence of the update that has this ID from its publisher, among those that match `selector`. The record may be kept,
    /// or evicted as long as the ID is remembered.
    ///
    /// `None` if there is no such update, or if there are several: nobody can know which of them a subscriber saw. The cost of
    /// a look-up does not grow with the topics that have the ID.
    ///
    /// # Errors
    /// When the store fails. The caller may try again.
    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>>;

    /// The record that closed `topic`, if the topic is closed.
    ///
    /// # Errors
    /// When the store fails. The caller may try again.
    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>>;

    /// The record that announces an attachment, if it is kept. Default: none, for a log without attachments.
    ///
    /// # Errors
    /// When the store fails. The caller may try again.
    fn announcing<'a>(&'a self, attachment: &'a AttachmentId) -> LogFuture<'a, Option<Arc<Record>>> {
        let _ = attachment;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Where published files go, if the log keeps any. Default: it does not.
    ///
    /// When [`append`](Log::append) is called, such a log takes over the files that the batch announces. A file then
    /// stays exactly as long as a record announces it, even if the future is dropped.
    fn attachments(&self) -> Option<&Arc<dyn Attachments>> {
        None
    }

    /// The bounds of the log, as far as this handle knows them without waiting.
    ///
    /// Bounds may lag: they were true at some moment, and never go back. A caller may conclude that every sequence up to
    /// [`newest`](Bounds::newest) was given and can be read, unless it was evicted, and that everything before
    /// [`oldest`](Bounds::oldest) is gone. It must not conclude that a later sequence was not given, that a record is still
    /// kept, or that nothing more was evicted: a [page](Log::read) says what is lost, and [`refresh`](Log::refresh) says what
    /// was given.
    fn bounds(&self) -> Bounds;

    /// The bounds once everything can be read here that any handle had acknowledged before this was called.
    ///
    /// It is for callers that are about to say that something does not exist. Default: the bounds, for a log whose bounds do not
    /// lag.
    ///
    /// # Errors
    /// When the log cannot find out. The caller then knows no more than before.
    fn refresh(&self) -> LogFuture<'_, Bounds> {
        Box::pin(std::future::ready(Ok(self.bounds())))
    }

    /// Whether published updates can be kept, as far as the log knows without trying.
    ///
    /// # Errors
    /// Why not, and since when. A log that can recover by itself also finds out by itself.
    fn health(&self) -> Result<(), Fault>;

    /// Damage that did not stop the log, for its operator. Default: none.
    fn wear(&self) -> Wear {
        Wear::default()
    }

    /// The newest sequence that readers may see: the present one first, then each time that it has grown.
    ///
    /// The stream may be late and may skip sequences. A sequence that it told can be read. An error says that the log cannot be
    /// followed at the moment, and is not the end: poll again after a moment, and the stream goes on. A sequence that was told before the error
    /// need not be told again. The stream tells a position, not records, so a follower that reads on from its own position loses nothing. The stream ends when the log is gone.
    fn follow(&self) -> Following;

    /// How many reads run and wait, for a log whose readers are bounded. Default: the log has no such bound.
    fn reads(&self) -> Option<Reads> {
        None
    }
}
