//! Whether connections are encrypted.

#[cfg(feature = "tls")]
use crate::Tls;

/// What a listener expects of its clients.
#[derive(Debug, Clone)]
pub(crate) enum Encryption {
    None,
    #[cfg(feature = "tls")]
    Tls(Tls),
}
