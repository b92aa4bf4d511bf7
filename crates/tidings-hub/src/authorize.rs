//! Who may do what.

use std::net::IpAddr;

use crate::log::Record;

/// The rule that decides what a request may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Access {
    /// Anyone who can reach the hub under a loopback name may publish and subscribe.
    ///
    /// Any web page can make a browser send requests to 127.0.0.1, and a foreign domain name can be pointed there (DNS
    /// rebinding). Therefore a request whose `Host` is neither a loopback address, nor `localhost`, nor listed as
    /// allowed, is answered 421.
    #[default]
    Loopback,
    /// Anyone may do what is granted here, under any `Host`.
    Anonymous(Grant),
}

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Grant {
    /// Whether it may publish.
    pub publish: bool,
    /// Whether it may subscribe, and read the history.
    pub subscribe: bool,
    /// Whether it may receive private updates too, when it may subscribe.
    pub private: bool,
}

impl Access {
    /// What a request without credentials may do.
    pub(crate) fn anonymous(&self) -> Grant {
        match self {
            Access::Loopback => Grant { publish: true, subscribe: true, private: false },
            Access::Anonymous(grant) => *grant,
        }
    }
}

impl Grant {
    /// Whether its holder may receive `record`; asked for replayed records as for live ones.
    pub(crate) fn may_receive(self, record: &Record) -> bool {
        self.subscribe && (self.private || !record.is_private())
    }

    /// Whether its holder may receive all that the holder of `other` may.
    pub(crate) fn covers(self, other: Grant) -> bool {
        (self.subscribe || !other.subscribe) && (self.private || !other.private)
    }
}

/// Whether a `Host` header (`name`, `name:port`, `[::1]:port`) names this machine itself.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let name = host_name(host);
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A `Host` header without its port.
pub(crate) fn host_name(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_known_with_and_without_a_port() {
        for host in ["localhost", "LOCALHOST:4400", "127.0.0.1", "127.8.8.8:1", "[::1]", "[::1]:4400"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:80",
            "10.0.0.1",
            "[::2]:1",
            "::",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
