//! One request in, one response out.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use tower_service::Service;

use super::{HubBody, cross_site::Site, router::route};
use crate::Hub;

impl Hub {
    /// The hub's HTTP interface, to be mounted in an application.
    pub fn service(&self) -> HubService {
        HubService::new(self.clone())
    }
}

/// The hub's HTTP interface as a tower service, to be mounted in an application under any prefix.
///
/// It answers `/topics/…`, `/topics?topic=…`, `/subscribers`, `/attachments/…`, `/healthz`, `/readyz`, `/metrics`, and
/// the static files of the [`Settings`](crate::Settings). The application that mounts it strips the prefix, as axum's
/// `nest_service` does. The [`Access`](crate::Access) rule decides what a request may do; with an
/// [`Authorizer`](crate::Authorizer), the application does.
#[derive(Debug, Clone)]
pub struct HubService {
    hub: Hub,
}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl HubService {
    pub(crate) fn new(hub: Hub) -> HubService {
        HubService { hub }
    }
}

impl<B> Service<Request<B>> for HubService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<HubBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<HubBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let hub = self.hub.clone();
        Box::pin(async move { Ok(answer(&hub, request).await) })
    }
}

/// Answers a request.
pub(crate) async fn answer<B>(hub: &Hub, request: Request<B>) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let engine = hub.engine();
    let site = Site::of(&parts, &engine.settings);
    let mut response = match route(hub, &site, &parts, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    site.sign(&mut response);
    forbid_sniffing(&mut response);
    if parts.method == Method::HEAD && parts.version == Version::HTTP_2 {
        response = without_body(response);
    }
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        engine.metrics.refused(status);
        tracing::debug!(method = %parts.method, path = parts.uri.path(), %status, "refused");
    }
    response
}

/// Forbids browsers to guess the type of a body. Otherwise a browser could run published data as a script.
fn forbid_sniffing(response: &mut Response<HubBody>) {
    if !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
}

/// Leaves out the body of an answer to HEAD. hyper does that for HTTP/1.1 alone. Over HTTP/2 a stream would begin and never end,
/// and clients take its first byte for a broken answer.
fn without_body(response: Response<HubBody>) -> Response<HubBody> {
    let length = response.body().size_hint().exact().filter(|length| *length > 0);
    let mut response = response.map(|_| HubBody::empty());
    if let Some(length) = length {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    response
}
