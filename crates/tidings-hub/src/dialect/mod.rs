//! What requests mean: translated here, at the edge, into updates and subscriptions.

mod content_type;
pub(crate) mod event_stream;
pub(crate) mod list;
pub(crate) mod native;
pub(crate) mod ndjson;
mod refusal;

pub(crate) use self::refusal::{Refusal, RefusalKind};
use crate::log::Append;

/// Reads the updates of a body that has many, piece by piece.
pub(crate) trait UpdateReader: Send {
    /// The next update, if it is complete in what has come so far.
    ///
    /// Advances `input` past what was used; when it returns `None`, all of it was.
    fn read(&mut self, input: &mut &[u8]) -> Option<Result<Append, Refusal>>;

    /// How many bytes it keeps of an update that is not complete. 0 where none has begun.
    fn unfinished_bytes(&mut self) -> usize;

    /// The body has ended as it should: an update that needs no more, or what is wrong with the rest.
    fn finish(&mut self) -> Option<Result<Append, Refusal>>;

    /// The number of the line, from 1, that the last update or problem ended on.
    fn line(&self) -> u64;
}
