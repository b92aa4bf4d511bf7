//! Which paths are the gateway's.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body::Body;

use super::{answer::answer, live::Gateway, target::Target, watch::watch, wire::Dialect};
use crate::{
    Grant, Hub,
    authorize::Right,
    http::{HubBody, Problem, cross_site::Site, service::BoxError},
};

const STREAMS: &str = "/streams/";

/// The methods that are served at one of its paths, as `Allow` has them; `None` at others.
pub(crate) fn methods(path: &str) -> Option<&'static str> {
    match Dialect::of_path(path) {
        Some(_) => Some("POST, OPTIONS"),
        None if path.starts_with(STREAMS) => Some("GET, HEAD, DELETE, OPTIONS"),
        None => Target::is_models(path).then_some("GET, OPTIONS"),
    }
}

/// Whether requests to this path bring a token of the gateway itself, instead of a grant.
pub(crate) fn has_own_token(path: &str) -> bool {
    path.starts_with(STREAMS)
}

/// Answers a request to one of its paths.
pub(crate) async fn route<B>(
    hub: &Hub,
    gateway: &Arc<Gateway>,
    grant: &Grant,
    site: &Site,
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let path = parts.uri.path();
    if let Some(id) = path.strip_prefix(STREAMS) {
        if parts.method == Method::DELETE {
            site.may_publish()?;
        }
        return watch(hub.engine(), gateway, id, parts).await;
    }
    let query = parts.uri.query();
    let (dialect, target, method, allow) = match Dialect::of_path(path) {
        Some(dialect) => (dialect, Target::of_interface(dialect, query), Method::POST, "POST, OPTIONS"),
        None if Target::is_models(path) => {
            let target =
                Target::of_models(path, query).map_err(|error| Problem::invalid(error).in_sdk_shape())?;
            (Dialect::of_headers(&parts.headers), target, Method::GET, "GET, OPTIONS")
        }
        None => return Err(Problem::no_such_path(path)),
    };
    if parts.method != method {
        return Err(Problem::method_not_allowed(&parts.method, allow).in_sdk_shape());
    }
    ask(hub, gateway, (dialect, target), grant, site, parts, body).await.map_err(Problem::in_sdk_shape)
}

/// Answers an SDK, if it may ask.
async fn ask<B>(
    hub: &Hub,
    gateway: &Arc<Gateway>,
    what: (Dialect, Target),
    grant: &Grant,
    site: &Site,
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    site.may_publish()?;
    // A request costs its operator money: it takes the right to publish.
    if !grant.has(Right::Publish) {
        return Err(Problem::forbidden(
            "publishing is not allowed on this hub, and so is asking its upstream",
        ));
    }
    answer(hub, gateway, grant, what, parts, body).await
}
