//! Which paths are the gateway's.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body::Body;

use super::{answer::answer, dialect::Dialect, live::Gateway, watch::watch};
use crate::{
    Hub,
    http::{BoxError, HubBody, Problem, Site},
};

const STREAMS: &str = "/streams/";

/// What models there are, and below it one of them: the same path in all interfaces.
const MODELS: &str = "/v1/models";

/// Whether the gateway answers requests to this path.
pub(crate) fn serves(path: &str) -> bool {
    path.starts_with(STREAMS) || Dialect::of_path(path).is_some() || is_models(path)
}

fn is_models(path: &str) -> bool {
    path.strip_prefix(MODELS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request to one of its paths.
pub(crate) async fn route<B>(
    hub: &Hub,
    gateway: &Arc<Gateway>,
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
        return watch(hub.shared(), gateway, id, parts).await;
    }
    let (dialect, method, allow) = match Dialect::of_path(path) {
        Some(dialect) => (dialect, Method::POST, "POST, OPTIONS"),
        None if is_models(path) => (Dialect::of_headers(&parts.headers), Method::GET, "GET, OPTIONS"),
        None => return Err(Problem::no_such_path(path)),
    };
    if parts.method != method {
        return Err(Problem::method_not_allowed(&parts.method, allow).in_sdk_shape());
    }
    ask(hub, gateway, dialect, site, parts, body).await.map_err(Problem::in_sdk_shape)
}

/// Answers an SDK, if it may ask.
async fn ask<B>(
    hub: &Hub,
    gateway: &Arc<Gateway>,
    dialect: Dialect,
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
    if !hub.shared().settings.access.anonymous().publish {
        return Err(Problem::forbidden(
            "publishing is not allowed on this hub, and so is asking its upstream",
        ));
    }
    answer(hub, gateway, dialect, parts, body).await
}
