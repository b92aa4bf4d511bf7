//! The credential of a request.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Map, Value};

use super::{Limits, Rights, Subject};
use crate::Matchers;

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    /// A JSON Web Token.
    Token,
    /// An API key of the access file.
    ApiKey,
    /// A ticket that another credential has got from the hub.
    Ticket,
}

/// A credential that was proved to be genuine. Requests and streams that show the same one share it.
#[derive(Debug)]
pub(crate) struct Credential {
    /// Its name for logs, which tells nothing of its secret: the ID of a token or API key, otherwise the first 8 hexadecimal digits of
    /// its SHA-256.
    pub(crate) name: Box<str>,
    pub(crate) kind: CredentialKind,
    pub(crate) subject: Option<Subject>,
    pub(crate) issuer: Option<Box<str>>,
    /// The ID that its issuer gave to a token (`jti`).
    pub(crate) token_id: Option<Box<str>>,
    pub(crate) issued_at: Option<SystemTime>,
    pub(crate) expires: Option<SystemTime>,
    /// All that its issuer says of its bearer.
    pub(crate) claims: Map<String, Value>,
    /// Of the keys that the issuer of a token had when it was verified, or of the secret of an API key; 0 for a ticket.
    pub(crate) keys: u64,
}

/// A credential, and what it allows by itself.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) credential: Arc<Credential>,
    pub(crate) publish: Matchers,
    /// With private updates.
    pub(crate) read: Matchers,
    pub(crate) rights: Rights,
    pub(crate) limits: Limits,
    /// A text for others, where its bearer is present.
    #[cfg_attr(not(test), expect(dead_code, reason = "no dialect tells who is present yet"))]
    pub(crate) payload: Option<Arc<Value>>,
}
