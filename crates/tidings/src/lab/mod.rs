//! Tools for tests of event streams: load, and faults on purpose.

pub(crate) mod bench;
pub(crate) mod chaos;
