//! From the log towards the sockets: each update is encoded once, and the newest ones wait in memory as ready frames.

mod feed;
mod frame;
mod window;

pub(crate) use feed::Feed;
pub use frame::Form;
pub(crate) use frame::hub_event;
pub(crate) use window::{Chunk, Window, WindowRead};
