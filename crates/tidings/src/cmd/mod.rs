//! The subcommands, one file for each.

pub(crate) mod access;
pub(crate) mod log;
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod subscribe;
pub(crate) mod token;
