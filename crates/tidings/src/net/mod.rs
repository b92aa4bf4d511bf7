//! URLs, sockets and requests, for every command that uses HTTP.

pub(crate) mod hub_url;
pub(crate) mod listen;
pub(crate) mod request;
pub(crate) mod token;
