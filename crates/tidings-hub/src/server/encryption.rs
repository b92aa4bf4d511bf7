//! Whether connections are encrypted.

#[cfg(feature = "tls")]
use crate::Tls;

/// Whether the clients of a listener encrypt.
#[derive(Debug, Clone)]
pub(crate) enum Encryption {
    None,
    #[cfg(feature = "tls")]
    Tls(Tls),
}
