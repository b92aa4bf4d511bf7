//! The names in a `Host` header.

use std::net::IpAddr;

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
