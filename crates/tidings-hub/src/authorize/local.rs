//! Whether a request comes from this machine.

use http::{HeaderName, Version, header, request::Parts};

use super::is_loopback_host;
use crate::Peer;

/// Headers that a proxy adds. The client of a request that has one of them may be anywhere.
const FORWARDED: [HeaderName; 4] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

/// The sign that a request comes from elsewhere, if it has one: the name of a proxy's header, or the address of its client.
///
/// A proxy on this machine that adds no such header cannot be told from a program on this machine.
pub(super) fn sign_of_elsewhere(request: &Parts) -> Option<String> {
    if let Some(name) = FORWARDED.iter().find(|name| request.headers.contains_key(*name)) {
        return Some(format!("it has the header {name}, which a proxy adds"));
    }
    let peer = request.extensions.get::<Peer>()?.address().ip().to_canonical();
    (!peer.is_loopback()).then(|| format!("it comes from {peer}"))
}

/// Whether a request was sent to a name of this machine, by a program on it. A page of another site may have made a browser send it.
///
/// HTTP/1.0 is what some proxies speak that add no header by themselves.
pub(super) fn is_local(request: &Parts) -> bool {
    let host = match request.uri.authority() {
        Some(authority) => authority.as_str(),
        None => request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    request.version > Version::HTTP_10 && is_loopback_host(host) && sign_of_elsewhere(request).is_none()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::Request;

    use super::*;

    fn request(host: &str, header: Option<&str>, peer: Option<&str>) -> Parts {
        let mut request = Request::get("/").header("host", host);
        if let Some(name) = header {
            request = request.header(name, "203.0.113.7");
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.extend(
            peer.map(|ip| {
                let mut extensions = http::Extensions::new();
                extensions.insert(Peer::new(SocketAddr::new(ip.parse().unwrap(), 1)));
                extensions
            })
            .unwrap_or_default(),
        );
        parts
    }

    #[test]
    fn a_request_is_local_if_nothing_says_that_it_comes_from_elsewhere() {
        for peer in [None, Some("127.0.0.1"), Some("::1"), Some("::ffff:127.0.0.1")] {
            assert!(is_local(&request("127.0.0.1:4400", None, peer)), "{peer:?}");
            assert!(!is_local(&request("hub.example", None, peer)), "{peer:?}");
            for header in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"] {
                let proxied = request("127.0.0.1:4400", Some(header), peer);
                assert!(!is_local(&proxied), "{header}");
                assert!(sign_of_elsewhere(&proxied).unwrap().contains(&header.to_lowercase()));
            }
        }
        let mut old = request("127.0.0.1:4400", None, None);
        old.version = Version::HTTP_10;
        assert!(!is_local(&old) && sign_of_elsewhere(&old).is_none());
        let other = request("127.0.0.1:4400", None, Some("192.0.2.1"));
        assert!(!is_local(&other) && sign_of_elsewhere(&other).unwrap().contains("192.0.2.1"));
    }
}
