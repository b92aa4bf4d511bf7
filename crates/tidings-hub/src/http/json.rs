//! Answers in JSON.

use http::{HeaderValue, Response, header};

use super::HubBody;

/// An answer whose body is JSON, with this rule for caches.
pub(super) fn json(body: HubBody, cache: &'static str) -> Response<HubBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
