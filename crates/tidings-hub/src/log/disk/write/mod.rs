//! Writing: one thread appends, evicts and keeps the write-ahead log short.

pub(super) mod append;
pub(super) mod checkpoint;
pub(super) mod evict;
pub(super) mod group_commit;
pub(super) mod groups;
pub(super) mod insert;
pub(super) mod state;
pub(super) mod topic_index;
pub(super) mod write_ahead;
pub(super) mod writer;
pub(super) mod writing;
