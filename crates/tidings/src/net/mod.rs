//! Addresses and requests, for every command that speaks HTTP.

pub(crate) mod hub_url;
pub(crate) mod listen;
pub(crate) mod request;
