//! The endpoints: one file for each thing that a client may ask for.

pub(super) mod download;
mod history;
pub(super) mod operations;
pub(super) mod publish;
pub(super) mod read;
pub(super) mod static_file;
pub(crate) mod subscribe;
mod subscribers;
mod upload;
