//! Dialects: they translate requests, at the edge, into operations of the hub.

pub(crate) mod accept;
mod content_type;
pub(crate) mod event_stream;
pub(crate) mod list;
pub(crate) mod native;
pub(crate) mod ndjson;
mod operation;
pub(crate) mod query;
mod receipts;
mod refusal;
mod route;

use http::{HeaderMap, HeaderValue, request::Parts};

use self::native::Native;
pub(crate) use self::{
    operation::{Details, File, History, Many, Operation, Publish, Subscription, Text},
    receipts::{Published, Receipts},
    refusal::{Refusal, RefusalKind},
    route::{GET, Need, POST, Pages, Path, Route},
};
use crate::{Settings, Verdict, log::Append};

/// The dialects that the hub speaks. A further one is a folder, and a line here.
pub(crate) static DIALECTS: &[&dyn Dialect] = &[&Native];

/// A way to ask for operations, and to tell what came of them: paths, parameters, headers, and forms of bodies.
///
/// A dialect sees the head of a request alone. It neither decides what a request may do nor touches the log.
pub(crate) trait Dialect: Sync {
    /// The dialect's part of the table of requests.
    fn table(&self) -> &'static [Route];

    /// Reads what a request of the table asks for.
    ///
    /// # Errors
    /// A request that breaks a rule of the dialect.
    fn operation(&self, request: &Parts, settings: &Settings) -> Result<Operation, Refusal>;

    /// The answer to a publish: its media type, and its body.
    fn published(&self, published: &Published<'_>) -> (HeaderValue, Vec<u8>);

    /// Adds the dialect's own headers to the head of a stream. `verdict` is for a subscriber that named the event it saw last.
    fn sign_stream(&self, head: &mut HeaderMap, verdict: Option<Verdict>);
}

/// Reads the updates of a body that has many, piece by piece.
pub(crate) trait UpdateReader: Send {
    /// The next update, if it is complete in what has come so far.
    ///
    /// Advances `input` past what was used; when it returns `None`, all of it was.
    fn read(&mut self, input: &mut &[u8]) -> Option<Result<Append, Refusal>>;

    /// How many bytes are kept of an update that is not complete; 0 if no update has begun.
    fn unfinished_bytes(&mut self) -> usize;

    /// Takes the end of the body. Returns an update that needed no more, or what is wrong with the rest.
    fn finish(&mut self) -> Option<Result<Append, Refusal>>;

    /// The number of the line, from 1, that the last update or problem ended on.
    fn line(&self) -> u64;
}
