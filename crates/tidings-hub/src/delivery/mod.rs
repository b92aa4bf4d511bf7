//! From the log towards the sockets: each update is encoded once, and the newest ones wait in memory as ready frames.

pub(crate) mod audience;
mod chunk;
pub(crate) mod cursor;
mod engine;
mod expiry;
mod feed;
mod frame;
pub(crate) mod lag;
pub(crate) mod one_or_many;
pub(crate) mod resume;
pub(crate) mod routing;
pub(crate) mod subscription;
mod terms;
mod window;
#[cfg(unix)]
mod worker;
#[cfg(not(unix))]
#[path = "worker/absent.rs"]
mod worker;

pub(crate) use chunk::Chunk;
pub(crate) use engine::Engine;
pub(crate) use feed::{Feed, FeedPlace};
pub use frame::EventFormat;
pub(crate) use frame::{OwnFormat, hub_event};
pub(crate) use window::Window;
pub(crate) use worker::{Inbox, Join, Workers};
