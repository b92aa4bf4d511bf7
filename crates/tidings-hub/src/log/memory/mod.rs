//! The log in memory: records, the tables that find them, and what is remembered of records that are gone.

mod evicted;
mod memory_log;
mod names;
mod retained;

pub(super) use memory_log::KIND;
pub use memory_log::MemoryLog;
