//! The endpoints: one file for each thing that a client may ask for.

pub(super) mod download;
pub(super) mod history;
pub(crate) mod operations;
pub(super) mod publish;
pub(super) mod revocations;
pub(super) mod session;
pub(super) mod static_file;
pub(crate) mod subscribe;
pub(super) mod subscribers;
pub(super) mod tickets;
mod upload;
