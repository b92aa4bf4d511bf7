//! The routes that an extension of the hub adds to the hub's own.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::combinators::UnsyncBoxBody;

use super::{HubBody, Problem, cross_site::Site, service::BoxError};
use crate::{Grant, Hub};

/// The body of a request to an extension.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// The answer of an extension.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<HubBody>, Problem>> + Send + 'a>>;

/// What an extension of the hub answers.
pub(crate) trait Routes: Send + Sync {
    /// The methods that are served at a path, as `Allow` has them; `None` at a path that is not the extension's.
    fn methods(&self, path: &str) -> Option<&'static str>;

    /// Whether requests to one of its paths bring a credential that the extension itself judges. They get no grant.
    fn has_own_credentials(&self, path: &str) -> bool;

    /// The refusal of a request that gets no grant, as clients of the extension read it.
    fn in_own_shape(&self, problem: Problem) -> Problem;

    /// Answers a request to one of the extension's paths.
    fn answer<'a>(
        self: Arc<Self>,
        hub: &'a Hub,
        grant: &'a Grant,
        site: &'a Site,
        parts: &'a Parts,
        body: RequestBody,
    ) -> Answer<'a>;
}

/// The routes of the hub's extension, if there is one.
pub(super) fn of_extension(hub: &Hub) -> Option<&Arc<dyn Routes>> {
    hub.routes()
}
