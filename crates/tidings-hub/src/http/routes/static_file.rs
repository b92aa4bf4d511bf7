//! `GET` of a static file of the hub's settings.

use http::{HeaderValue, Response, header};

use super::operations::text;
use crate::{
    delivery::Engine,
    http::{HubBody, Problem},
};

/// A page may use what comes from the hub and nothing more, and no other page may frame it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Answers with the file at `path`.
///
/// # Errors
/// 404 if there is none.
pub(crate) fn static_file(engine: &Engine, path: &str) -> Result<Response<HubBody>, Problem> {
    let Some(asset) = engine.settings.pages.get(path) else { return Err(Problem::no_such_path(path)) };
    let mut response = text(asset.content_type, asset.body.clone());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}
