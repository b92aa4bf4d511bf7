//! The endpoints: one file for each thing that a client may ask for.

pub(crate) mod download;
pub(crate) mod history;
pub(crate) mod publish;
pub(crate) mod subscribe;
pub(crate) mod subscribers;
pub(crate) mod upload;
