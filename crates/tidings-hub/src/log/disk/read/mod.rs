//! Reading: pages for subscribers and history, from memory or from the database.

pub(super) mod outline;
pub(super) mod pages;
pub(super) mod pending_index;
pub(super) mod readers;
pub(super) mod recent;
pub(super) mod row;
pub(super) mod visible;
