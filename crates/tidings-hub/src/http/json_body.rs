//! The body of a request that is a JSON object.

use std::pin::pin;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use serde::de::DeserializeOwned;

use super::{Problem, published_body::PublishedBody, request_head::has_no_coding, service::BoxError};
use crate::Hub;

/// The longest such body, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// Reads the body whole. Its type does not matter, because `curl -d` says that it is a form.
///
/// # Errors
/// 400 for a body that is not such an object, with `example`; 413 for a long one; 408 for a slow one.
pub(super) async fn read_json<T, B>(
    hub: &Hub,
    headers: &HeaderMap,
    body: B,
    example: &str,
) -> Result<T, Problem>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    has_no_coding(headers)?;
    let body = pin!(body);
    let mut body = PublishedBody::new(body, hub);
    let whole = body.read_whole(MAX_BYTES, Problem::request_too_large).await;
    let whole = whole.map_err(|problem| if body.is_over() { problem } else { problem.before_the_end() })?;
    serde_json::from_slice(&whole).map_err(|error| {
        Problem::invalid(format!("the body is not what is asked for: {error}; send JSON such as {example}"))
    })
}
