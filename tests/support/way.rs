//! The ways to a hub: the same tests, in a binary for each, over HTTP/1.1 and HTTP/2, with and without TLS.

/// How the clients of this test binary reach the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// HTTP/1.1, as the tests write it.
    Plain,
    /// The same bytes, within TLS.
    Tls,
    /// The same requests, over HTTP/2 with prior knowledge.
    Http2,
    /// The same requests, over HTTP/2 within TLS.
    TlsHttp2,
}

/// The way of this test binary, by its name.
pub fn way() -> Way {
    match env!("CARGO_CRATE_NAME") {
        "http_over_tls" => Way::Tls,
        "http_over_h2c" => Way::Http2,
        "http_over_h2" => Way::TlsHttp2,
        _ => Way::Plain,
    }
}

impl Way {
    pub fn is_encrypted(self) -> bool {
        matches!(self, Way::Tls | Way::TlsHttp2)
    }
}
