//! Why bytes are no key for tokens.

/// Why bytes are no key for tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTokenKey {
    /// The secret is too short to be safe.
    #[error(
        "the key has {bytes} bytes, and a secret for {algorithm} has at least {at_least}; make one with `tidings token key`"
    )]
    TooShort {
        /// The algorithm that it is for.
        algorithm: &'static str,
        /// How many bytes it has.
        bytes: usize,
        /// How many it has to have.
        at_least: usize,
    },
    /// A secret is needed, because tokens are made with it.
    #[error("the key is {what}, and tokens are made with a secret; make one with `tidings token key`")]
    NotASecret {
        /// The form of the key.
        what: &'static str,
    },
    /// The private half of a key. The hub needs only the public half, and should not have the other.
    #[error(
        "the file has a private key ({what}); the hub needs only its public half: openssl pkey -in FILE -pubout"
    )]
    Private {
        /// Its form.
        what: &'static str,
    },
    /// The hub does not verify by such a key.
    #[error("{reason}")]
    NotSupported {
        /// The kind of key, and what to use.
        reason: String,
    },
    /// The bytes are not what they begin as.
    #[error("the key cannot be read: {reason}")]
    Malformed {
        /// The mistake.
        reason: String,
    },
}

impl InvalidTokenKey {
    pub(super) fn malformed(reason: impl Into<String>) -> InvalidTokenKey {
        InvalidTokenKey::Malformed { reason: reason.into() }
    }

    pub(super) fn not_supported(reason: impl Into<String>) -> InvalidTokenKey {
        InvalidTokenKey::NotSupported { reason: reason.into() }
    }
}
