//! The tables: how they are made, brought up to date, and checked before they are trusted.

pub(super) mod closes;
pub(super) mod migrate;
pub(super) mod tables;
pub(super) mod watermarks;
