//! JSON Web Tokens that say which topics their bearer may publish to and read.

mod algorithm;
mod cache;
mod claims;
mod issuer;
mod json;
mod judge;
#[cfg(feature = "jwks")]
mod jwks;
mod jws;
mod key;
mod report;
mod shown;

pub use self::{
    issuer::{InvalidIssuer, Issuer},
    judge::{MAX_TOKEN_LIFE, TokenExplanation, Tokens},
    key::{InvalidTokenKey, NewToken, TokenKey, TokenKeys},
    report::TokenCheck,
};
use super::{Accepted, Credential, CredentialKind, Grant, Refusal};

#[cfg(test)]
mod tests;
