//! The flags for reaching the server.

use tidings_client::HyperTransport;

use crate::{cli::Subscribe, exit::UsageError};

pub(super) fn transport(subscribe: &Subscribe) -> Result<HyperTransport, UsageError> {
    let mut transport = HyperTransport::new();
    transport = match subscribe.proxy.as_deref() {
        None => transport,
        Some("") => transport.without_proxy(),
        Some(url) => transport.with_proxy(url).map_err(|error| UsageError(format!("--proxy: {error}")))?,
    };
    if subscribe.http1 {
        transport = transport.with_http1_only();
    }
    if subscribe.http2 {
        transport = transport.with_http2_only();
    }
    Ok(transport)
}
