//! `GET` for the operator of a hub: does the hub run, can it keep updates, and what has it counted.

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use crate::{
    Audit, Hub,
    delivery::Engine,
    http::{HubBody, Problem},
};

/// `/healthz`: the process runs and answers.
pub(crate) fn health() -> Response<HubBody> {
    text("text/plain; charset=utf-8", "ok\n")
}

/// `/readyz`: the hub can keep updates.
///
/// # Errors
/// 503 while the hub shuts down, and while its log cannot keep updates.
pub(crate) fn readiness(engine: &Engine) -> Result<Response<HubBody>, Problem> {
    if engine.is_shutting_down() {
        return Err(Problem::shutting_down());
    }
    engine.health()?;
    let audit = engine.settings.access.control().and_then(|control| control.audit());
    // A hub without its audit log serves on, so a load balancer must not take it out.
    let ready = match audit.is_some_and(Audit::has_failed) {
        true => "ready, but the audit log cannot be written\n",
        false => "ready\n",
    };
    Ok(text("text/plain; charset=utf-8", ready))
}

/// `/metrics`: all counters of the hub.
pub(crate) fn metrics(hub: &Hub) -> Response<HubBody> {
    let engine = hub.engine();
    if let Some(attachments) = engine.log.attachments() {
        engine.metrics.stored(attachments.usage());
    }
    engine.metrics.in_use(hub.seats().taken(), engine.log.reads().unwrap_or_default());
    let control = engine.settings.access.control();
    engine.metrics.keys_aged(control.map_or_else(Vec::new, |control| control.key_ages()));
    if let Some(audit) = control.and_then(|control| control.audit()) {
        engine.metrics.audited(!audit.has_failed(), audit.lost());
    }
    engine.metrics.worn(engine.health().is_ok(), engine.log.wear());
    text("application/openmetrics-text; version=1.0.0; charset=utf-8", engine.metrics.to_text())
}

pub(super) fn text(content_type: &'static str, body: impl Into<Bytes>) -> Response<HubBody> {
    let mut response = Response::new(HubBody::from(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
