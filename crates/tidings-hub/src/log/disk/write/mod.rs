//! Writing: one thread appends, evicts and keeps the write-ahead log short.

pub(super) mod acknowledge;
pub(super) mod append;
pub(super) mod copy_back;
pub(super) mod evict;
pub(super) mod groups;
pub(super) mod insert;
pub(super) mod list;
pub(super) mod state;
pub(super) mod write_ahead;
pub(super) mod writer;
