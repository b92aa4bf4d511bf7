//! One file for each subcommand.

pub(crate) mod bench;
pub(crate) mod chaos;
pub(crate) mod doctor;
pub(crate) mod log;
pub(crate) mod publish;
mod request;
pub(crate) mod serve;
pub(crate) mod subscribe;
