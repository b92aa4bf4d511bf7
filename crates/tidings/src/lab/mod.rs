//! Tools for testing event streams: load, and faults on purpose.

#[cfg(feature = "bench")]
pub(crate) mod bench;
#[cfg(feature = "chaos")]
pub(crate) mod chaos;
