//! The part of a URL that a connection needs: host and port.

use http::Uri;

use crate::error::{BoxError, TransportError};

/// The host and port of a server.
pub(super) struct Address<'a> {
    /// A name or an IP address, IPv6 without brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) is_secure: bool,
}

impl<'a> Address<'a> {
    pub(super) fn of(url: &'a Uri) -> Result<Self, TransportError> {
        let unsupported = |reason| TransportError::Unsupported { url: url.clone(), reason };
        let default_port = match url.scheme_str() {
            Some("http") => 80,
            Some("https") if cfg!(feature = "tls") => 443,
            Some("https") => return Err(unsupported("this build has no TLS")),
            _ => return Err(unsupported("its scheme is neither `http` nor `https`")),
        };
        if !has_valid_port(url) {
            return Err(unsupported("its port is not a number from 1 to 65535"));
        }
        let host = url.host().ok_or_else(|| unsupported("it names no host"))?;
        // An IPv6 address has brackets in a URL, but not in a socket address.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self { host, port: url.port_u16().unwrap_or(default_port), is_secure: default_port == 443 })
    }

    /// Host and port, as in a URL.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The error for a server to which no connection was made.
    pub(super) fn unreachable(&self, source: impl Into<BoxError>) -> TransportError {
        TransportError::Connect { authority: self.authority(), source: source.into() }
    }
}

/// Whether the port of a URL is valid or missing. The URL parser accepts any text as a port. In
/// `http://user:pass/word@host/`, where the slash should be escaped, that text is a part of the password.
pub(crate) fn has_valid_port(url: &Uri) -> bool {
    let Some(authority) = url.authority() else { return true };
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port = host_and_port.strip_prefix(authority.host()).unwrap_or_default();
    authority.port_u16().is_some_and(|port| port != 0) || matches!(port, "" | ":")
}
