//! Whether connections are encrypted.

#[cfg(feature = "tls")]
use crate::Tls;

/// The encryption that a listener expects of its clients.
#[derive(Debug, Clone)]
pub(crate) enum Encryption {
    None,
    #[cfg(feature = "tls")]
    Tls(Tls),
}
