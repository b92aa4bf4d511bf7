//! The access file: issuers, API keys, rules, roles and revoked credentials, as an operator writes them down in TOML.

mod file;
mod issuer;
mod nearest;
mod policy;
mod problem;
mod table;
mod ways;

pub use self::{
    file::{AccessFile, GoverningRule},
    problem::InvalidAccessFile,
    ways::Way,
};

#[cfg(test)]
mod tests;
