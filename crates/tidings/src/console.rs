//! Static files inside the binary: the console, served by the hub at `/`, and the browser client.

use std::collections::HashMap;

use bytes::Bytes;
use tidings_hub::Asset;

/// Each file by its path.
pub(crate) fn pages() -> HashMap<&'static str, Asset> {
    const FILES: [(&str, &str, &[u8]); 6] = [
        ("/", "text/html; charset=utf-8", include_bytes!("../../../web/console/index.html")),
        (
            "/console/console.css",
            "text/css; charset=utf-8",
            include_bytes!("../../../web/console/console.css"),
        ),
        (
            "/console/console.js",
            "text/javascript; charset=utf-8",
            include_bytes!("../../../web/console/console.js"),
        ),
        ("/tidings.js", "text/javascript; charset=utf-8", include_bytes!("../../../web/tidings.js")),
        (
            "/tidings-shared.js",
            "text/javascript; charset=utf-8",
            include_bytes!("../../../web/tidings-shared.js"),
        ),
        ("/favicon.svg", "image/svg+xml", include_bytes!("../../../web/console/favicon.svg")),
    ];
    FILES
        .into_iter()
        .map(|(path, content_type, body)| (path, Asset { content_type, body: Bytes::from_static(body) }))
        .collect()
}
