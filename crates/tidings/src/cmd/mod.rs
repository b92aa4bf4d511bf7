//! One file for each subcommand.

pub(crate) mod log;
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod subscribe;
