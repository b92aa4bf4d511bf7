//! Authorization: a request becomes a [`Grant`] once, and all other code asks the grant.

#![allow(dead_code, unused_imports, reason = "tickets, revocations, limits and rules are about to use it")]

mod access;
mod api_keys;
mod authorizer;
mod control;
mod credential;
mod denial;
mod grant;
mod host;
mod limits;
mod local;
mod open_stream;
mod reading;
mod refusal;
mod rights;
mod roles;
mod rules;
mod tokens;

pub use self::{
    access::Access,
    api_keys::NewApiKey,
    authorizer::{Authorizer, Authorizing},
    control::{Control, Policy},
    denial::Denial,
    grant::{Grant, Subject},
    rights::Right,
    tokens::{
        InvalidIssuer, InvalidTokenKey, Issuer, MAX_TOKEN_LIFE, NewToken, TokenCheck, TokenExplanation,
        TokenKey, TokenKeys, Tokens,
    },
};
pub(crate) use self::{
    api_keys::{ApiKey, ApiKeys, basic_api_key, is_api_key_id, looks_like_api_key, read_sha256},
    credential::{Accepted, Credential, CredentialKind},
    denial::DenialKind,
    grant::NotReadable,
    host::{host_name, is_loopback_host},
    limits::Limits,
    open_stream::{AccessEnd, OpenStream, Standing, Term},
    reading::{Reach, Reading},
    refusal::Refusal,
    rights::Rights,
    roles::{Role, allowed_by_roles},
    rules::{Audience, InvalidRules, Rule, Rules, Template, View, claim},
};
