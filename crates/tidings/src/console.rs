//! Static files in the binary: the console, which the hub serves at `/`, and the browser client.

use std::collections::HashMap;

use bytes::Bytes;
use tidings_hub::Asset;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A path, its content type, and the file below `web/`, which a link brings into this crate's package.
macro_rules! file {
    ($path:literal, $content_type:expr, $file:literal) => {
        (
            $path,
            Asset {
                content_type: $content_type,
                body: Bytes::from_static(include_bytes!(concat!("../web/", $file))),
            },
        )
    };
    ($path:literal, $content_type:expr) => {
        file!($path, $content_type, $path)
    };
}

/// Returns each file by its path.
pub(crate) fn pages() -> HashMap<&'static str, Asset> {
    HashMap::from([
        file!("/", HTML, "console/index.html"),
        file!("/chat", HTML, "console/chat.html"),
        file!("/doctor", HTML, "console/doctor.html"),
        file!("/favicon.svg", SVG, "console/favicon.svg"),
        file!("/console/console.css", CSS),
        file!("/console/chat.css", CSS),
        file!("/console/doctor.css", CSS),
        file!("/console/access.js", JAVASCRIPT),
        file!("/console/arrival_picture.js", JAVASCRIPT),
        file!("/console/chat.js", JAVASCRIPT),
        file!("/console/commands.js", JAVASCRIPT),
        file!("/console/connections.js", JAVASCRIPT),
        file!("/console/console.js", JAVASCRIPT),
        file!("/console/count.js", JAVASCRIPT),
        file!("/console/counters.js", JAVASCRIPT),
        file!("/console/diagnose.js", JAVASCRIPT),
        file!("/console/doctor.js", JAVASCRIPT),
        file!("/console/element.js", JAVASCRIPT),
        file!("/console/event_list.js", JAVASCRIPT),
        file!("/console/frame.js", JAVASCRIPT),
        file!("/console/gateway.js", JAVASCRIPT),
        file!("/console/hub.js", JAVASCRIPT),
        file!("/console/markup.js", JAVASCRIPT),
        file!("/console/metrics.js", JAVASCRIPT),
        file!("/console/picture.js", JAVASCRIPT),
        file!("/console/probe.js", JAVASCRIPT),
        file!("/console/subscriptions.js", JAVASCRIPT),
        file!("/console/tab_limit.js", JAVASCRIPT),
        file!("/console/token.js", JAVASCRIPT),
        file!("/console/topic_list.js", JAVASCRIPT),
        file!("/console/turn.js", JAVASCRIPT),
        file!("/console/watch.js", JAVASCRIPT),
        file!("/tidings.js", JAVASCRIPT),
        file!("/tidings-shared.js", JAVASCRIPT),
    ])
}
