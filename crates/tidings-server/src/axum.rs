//! For axum: [`Sse`] as a response, `Option<LastEventId>` as an extractor.

use std::convert::Infallible;

use axum_core::BoxError;
use axum_core::body::Body;
use axum_core::extract::OptionalFromRequestParts;
use axum_core::response::{IntoResponse, Response};
use futures_core::Stream;
use http::request::Parts;

use crate::{IntoFrame, LastEventId, Sse};

impl<S> IntoResponse for Sse<S>
where
    S: Stream + Send + 'static,
    S::Item: IntoFrame<Error: Into<BoxError> + Send>,
{
    fn into_response(self) -> Response {
        Sse::into_response(self).map(Body::new)
    }
}

/// Never rejects a request. Without a last event ID the extractor gives `None`.
impl<S: Send + Sync> OptionalFromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<LastEventId>, Infallible> {
        Ok(LastEventId::from_parts(&parts.headers, parts.uri.query()))
    }
}
