//! Reads from `Alt-Svc` where a server offers HTTP/3. Source: RFC 7838, section 3.

/// The host, empty for the server's own, and the port; `None` if there is no HTTP/3.
pub(super) fn http3(alt_svc: &str) -> Option<(&str, u16)> {
    alt_svc.split(',').find_map(|alternative| {
        let authority = alternative.trim().strip_prefix("h3=")?.split(';').next()?;
        let (host, port) = authority.trim().trim_matches('"').rsplit_once(':')?;
        Some((host, port.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http3_is_found_among_others_with_and_without_a_host() {
        for (alt_svc, expected) in [
            (r#"h3=":443"; ma=2592000"#, Some(("", 443))),
            (r#"h2="other.example:443", h3="edge.example:8443";ma=60"#, Some(("edge.example", 8443))),
            (r#"h3="[::1]:443""#, Some(("[::1]", 443))),
            (r#"h3-29=":443"; ma=60"#, None),
            (r#"h3=":99999""#, None),
            ("h3=443", None),
            ("clear", None),
        ] {
            assert_eq!(http3(alt_svc), expected, "{alt_svc}");
        }
    }
}
