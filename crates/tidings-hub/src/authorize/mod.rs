//! Authorization: a request becomes a [`Grant`] once, and all other code asks the grant.

#![allow(dead_code, reason = "tickets, revocations and limits are about to use it")]

mod access;
mod authorizer;
mod control;
mod credential;
mod denial;
mod grant;
mod host;
mod limits;
mod open_stream;
mod reading;
mod refusal;
mod rights;
mod rules;
mod tokens;

pub use self::{
    access::Access,
    authorizer::{Authorizer, Authorizing},
    control::{Control, Policy},
    denial::Denial,
    grant::{Grant, Subject},
    rights::Right,
    tokens::{InvalidTokenKey, MAX_TOKEN_LIFE, TokenKey, Tokens},
};
pub(crate) use self::{
    credential::{Accepted, Credential, CredentialKind},
    denial::DenialKind,
    grant::NotReadable,
    host::{host_name, is_loopback_host},
    limits::Limits,
    open_stream::{AccessEnd, OpenStream, Standing, Term},
    reading::{Reach, Reading},
    refusal::Refusal,
    rights::Rights,
};
