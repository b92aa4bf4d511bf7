//! Authorization: a request becomes a [`Grant`] once, and all other code asks the grant.

mod access;
mod authorizer;
mod denial;
mod grant;
mod host;
mod reading;
mod tokens;

pub use self::{
    access::Access,
    authorizer::{Authorizer, Authorizing},
    denial::Denial,
    grant::{Grant, Subject},
    tokens::{InvalidTokenKey, MAX_TOKEN_LIFE, TokenKey, Tokens},
};
pub(crate) use self::{
    denial::DenialKind,
    grant::{NotReadable, Right},
    host::{host_name, is_loopback_host},
    reading::{Reach, Reading},
};
